package detect

// labelSets keeps the label ids of many series: one slab of ids per number of
// labels, so that a freed place fits the next series with as many labels exactly.
// The zero value is ready.
type labelSets struct {
	pools []idPool // by number of labels
}

// labelRef names a label set: its length and its place in that length's pool.
type labelRef struct {
	at uint32
	n  uint16
}

// maxLabels bounds the labels of one series; Prometheus's own default for a target
// is none, but a series with more is an attack or a bug.
const maxLabels = 1 << 10

// idPool holds the ids of label sets of one length, setsPerChunk to a chunk, so that
// it grows without copying.
type idPool struct {
	chunks [][]uint32
	used   uint32
	free   []uint32
}

const setsPerChunk = 128

func (p *idPool) ids(at uint32, n int) []uint32 {
	return p.chunks[at/setsPerChunk][int(at%setsPerChunk)*n:][:n:n]
}

// add stores ids, of which there are at most maxLabels, and returns where.
func (l *labelSets) add(ids []uint32) labelRef {
	n := len(ids)
	for len(l.pools) <= n {
		l.pools = append(l.pools, idPool{})
	}
	p := &l.pools[n]
	at := p.used
	if k := len(p.free); k > 0 {
		at, p.free = p.free[k-1], p.free[:k-1]
	} else {
		p.used++
		if int(at/setsPerChunk) == len(p.chunks) {
			p.chunks = append(p.chunks, make([]uint32, setsPerChunk*n))
		}
	}
	copy(p.ids(at, n), ids)
	return labelRef{at, uint16(n)}
}

// get returns the ids of a label set, valid until it is removed.
func (l *labelSets) get(r labelRef) []uint32 {
	return l.pools[r.n].ids(r.at, int(r.n))
}

func (l *labelSets) remove(r labelRef) {
	p := &l.pools[r.n]
	p.free = append(p.free, r.at)
}

func (l *labelSets) bytes() int64 {
	b := int64(0)
	for n := range l.pools {
		p := &l.pools[n]
		b += int64(len(p.chunks))*(setsPerChunk*int64(n)*4+24) + int64(cap(p.free))*4
	}
	return b
}
