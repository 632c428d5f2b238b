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

type idPool struct {
	ids  []uint32
	free []uint32
}

// add stores ids, of which there are at most maxLabels, and returns where.
func (l *labelSets) add(ids []uint32) labelRef {
	n := len(ids)
	for len(l.pools) <= n {
		l.pools = append(l.pools, idPool{})
	}
	p := &l.pools[n]
	if k := len(p.free); k > 0 {
		at := p.free[k-1]
		p.free = p.free[:k-1]
		copy(p.ids[int(at)*n:], ids)
		return labelRef{at, uint16(n)}
	}
	at := uint32(0)
	if n > 0 {
		at = uint32(len(p.ids) / n)
	}
	p.ids = append(p.ids, ids...)
	return labelRef{at, uint16(n)}
}

// get returns the ids of a label set, valid until the next add.
func (l *labelSets) get(r labelRef) []uint32 {
	n := int(r.n)
	return l.pools[n].ids[int(r.at)*n:][:n:n]
}

func (l *labelSets) remove(r labelRef) {
	if r.n > 0 {
		p := &l.pools[r.n]
		p.free = append(p.free, r.at)
	}
}

func (l *labelSets) bytes() int64 {
	b := int64(0)
	for i := range l.pools {
		b += int64(cap(l.pools[i].ids)+cap(l.pools[i].free)) * 4
	}
	return b
}
