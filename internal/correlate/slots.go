package correlate

import "slices"

// slots number the alerts of a scope, so that links name them by a small number and
// what clustering asks of each lies side by side. A number is given out again when its
// alert has left; no link names it then.
type slots struct {
	nodes []*node // nil: free
	marks []mark
	free  []int32
}

// A mark is what clustering notes of one alert.
type mark struct {
	round   int // of clustering that it was looked at in last
	part    int // component that it is in, and bunch of that
	bunch   int32
	changed bool // since its scope was clustered
}

// seat gives an alert its number.
func (s *slots) seat(n *node) {
	if last := len(s.free) - 1; last >= 0 {
		n.slot, s.free = s.free[last], s.free[:last]
	} else {
		n.slot = int32(len(s.nodes))
		s.nodes, s.marks = append(s.nodes, nil), append(s.marks, mark{})
	}
	s.nodes[n.slot], s.marks[n.slot] = n, mark{changed: true}
}

// leave takes an alert away, with the links to it.
func (s *slots) leave(n *node) {
	for _, l := range n.links {
		o := s.nodes[l.to]
		if i := slices.IndexFunc(o.links, func(b link) bool { return b.to == n.slot }); i >= 0 {
			o.links = slices.Delete(o.links, i, i+1)
		}
	}
	n.links, n.anchors, n.sign = nil, nil, nil
	s.nodes[n.slot] = nil
	s.free = append(s.free, n.slot)
}

// changed notes that an alert is not as it was when its scope was clustered.
func (s *slots) changed(n *node) { s.marks[n.slot].changed = true }
