package detect

import "unsafe"

// chunkLen is how many elements a slab grows by. Small enough that sixteen shards
// of an almost empty engine cost little, large enough that the chunk headers of a
// million series are noise.
const chunkLen = 128

// slab is a growing array whose elements never move, so that it grows without
// copying a gigabyte. The zero value is empty.
type slab[T any] struct {
	chunks []*[chunkLen]T
}

// at returns element i, which must lie below cap.
func (s *slab[T]) at(i int) *T { return &s.chunks[uint(i)/chunkLen][uint(i)%chunkLen] }

// grow makes room for element i.
func (s *slab[T]) grow(i int) {
	for len(s.chunks)*chunkLen <= i {
		s.chunks = append(s.chunks, new([chunkLen]T))
	}
}

// bytes returns the memory that the slab holds, free room included.
func (s *slab[T]) bytes() int64 {
	var zero T
	return int64(len(s.chunks))*chunkLen*int64(unsafe.Sizeof(zero)) + int64(cap(s.chunks))*8
}
