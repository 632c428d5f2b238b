package detect

import (
	"github.com/cespare/xxhash/v2"

	"github.com/portent-dev/portent/internal/ingest"
)

// symbols keeps each distinct name-value pair of a shard's labels once, counted by
// the series that carry it, so that a series costs four bytes a label and churning
// label values leave with the last series that bore them. The zero value is ready.
//
// Pairs are Go strings: immutable, so that a caller may read them after the shard
// is unlocked, and freed by the garbage collector.
type symbols struct {
	pairs []pair
	free  []uint32
	index index
	text  int64 // bytes of all live strings
}

type pair struct {
	text    string // name and value, one after the other
	nameLen uint32
	refs    uint32
}

// Memory that a pair costs beside its text: the entry, the rounding of the
// allocation, and its share of the index.
const pairOverhead = 24 + 8 + 12

func (p *pair) name() string  { return p.text[:p.nameLen] }
func (p *pair) value() string { return p.text[p.nameLen:] }

// acquire returns the id of a pair and counts one more user. Both strings are
// copied when the pair is new.
func (s *symbols) acquire(name, value string) uint32 {
	hash := pairHash(name, value)
	slot := s.index.find(hash, func(slot int) bool {
		p := &s.pairs[slot]
		return p.refs > 0 && p.name() == name && p.value() == value
	})
	if slot >= 0 {
		s.pairs[slot].refs++
		return uint32(slot)
	}
	if n := len(s.free); n > 0 {
		slot, s.free = int(s.free[n-1]), s.free[:n-1]
	} else {
		slot = len(s.pairs)
		s.pairs = append(s.pairs, pair{})
	}
	s.pairs[slot] = pair{text: name + value, nameLen: uint32(len(name)), refs: 1}
	s.text += int64(len(name) + len(value))
	s.index.add(hash, slot)
	return uint32(slot)
}

// release counts one user less and forgets the pair with its last.
func (s *symbols) release(id uint32) {
	p := &s.pairs[id]
	if p.refs--; p.refs > 0 {
		return
	}
	s.index.remove(pairHash(p.name(), p.value()), int(id))
	s.text -= int64(len(p.text))
	*p = pair{}
	s.free = append(s.free, id)
}

func (s *symbols) label(id uint32) ingest.Label {
	p := &s.pairs[id]
	return ingest.Label{Name: p.name(), Value: p.value()}
}

func pairHash(name, value string) uint64 {
	// The two hashes are mixed unevenly so that swapping name and value, or moving
	// the border between them, gives another hash.
	return xxhash.Sum64String(name)*0x9e3779b97f4a7c15 ^ xxhash.Sum64String(value)
}

func (s *symbols) bytes() int64 {
	return s.text + int64(s.index.used)*pairOverhead + s.index.bytes() + int64(cap(s.free))*4
}
