package correlate

import (
	"cmp"
	"slices"
)

// A bunch is a group that grows.
type bunch struct {
	members []*node
	near    []edge // to other bunches; some may be gone
	version int32
	gone    bool
}

// An edge leads to another bunch, by their bond.
type edge struct{ to, bond int32 }

// A bond is the sum of the log-odds between two bunches and how many they are.
type bond struct {
	sum   float64
	count int
}

// mean of a bond between bunches of a and c members.
func (b *bond) mean(a, c int) float64 {
	absent := min(a*c-b.count, b.count)
	return (b.sum + missing*float64(absent)) / float64(b.count+absent)
}

// A linkage is a component that is being grouped. Bunches are named by their index,
// which orders them by their first node.
type linkage struct {
	bunches []bunch
	bonds   []bond
	heap    joins
	// at is where a bunch stands in the edges of the one that is looked at, if look is
	// the current one: a set that is emptied by counting up.
	at []struct{ look, edge int32 }
	// looks counts them.
	looks int32
}

// agglomerate groups the nodes of one component, which come in order.
func (s *scope) agglomerate(nodes []*node) [][]*node {
	if len(nodes) == 1 {
		return [][]*node{nodes}
	}
	l := s.seed(nodes)
	s.tieUp(l)
	for i := range l.bunches {
		for _, e := range l.bunches[i].near {
			if int32(i) < e.to {
				l.push(int32(i), e)
			}
		}
	}
	for len(l.heap) > 0 {
		c := l.heap.pop()
		a, b := &l.bunches[c.i], &l.bunches[c.j]
		if a.gone || b.gone || a.version != c.vi || b.version != c.vj {
			continue
		}
		l.merge(c.i, c.j)
		for _, e := range a.near {
			l.push(c.i, e)
		}
	}
	var out [][]*node
	for i := range l.bunches {
		if b := &l.bunches[i]; !b.gone {
			slices.SortFunc(b.members, func(x, y *node) int { return cmp.Compare(x.order, y.order) })
			out = append(out, b.members)
		}
	}
	return out
}

// seed makes the first bunches: each node alone, but big groups of a big
// component as they were.
func (s *scope) seed(nodes []*node) *linkage {
	s.part++
	sizes := map[*node]int{}
	if len(nodes) > bigComponent {
		for _, n := range nodes {
			sizes[n.group]++
		}
	}
	l := &linkage{bunches: make([]bunch, 0, len(nodes)-bigger(sizes))}
	whole := map[*node]int{}
	for k, n := range nodes {
		i := len(l.bunches)
		big := len(sizes) > 0 && sizes[n.group] > bigGroup
		if big {
			if at, ok := whole[n.group]; ok {
				i = at
			} else {
				whole[n.group] = i
			}
		}
		if i == len(l.bunches) {
			l.bunches = append(l.bunches, bunch{members: nodes[k : k : k+1]})
			if big {
				l.bunches[i].members = make([]*node, 0, sizes[n.group])
			}
		}
		l.bunches[i].members = append(l.bunches[i].members, n)
		m := &s.marks[n.slot]
		m.part, m.bunch = s.part, int32(i)
	}
	l.at = make([]struct{ look, edge int32 }, len(l.bunches))
	return l
}

// bigger counts the nodes that big groups save beyond one each.
func bigger(sizes map[*node]int) (n int) {
	for _, size := range sizes {
		if size > bigGroup {
			n += size - 1
		}
	}
	return n
}

// tieUp makes the bonds between bunches.
func (s *scope) tieUp(l *linkage) {
	for i := range l.bunches {
		b := &l.bunches[i]
		l.looks++
		from := len(l.bonds)
		first := len(b.near) // edges to the bunches before, which found their bond already
		for _, n := range b.members {
			for k := range n.links {
				li := &n.links[k]
				m := &s.marks[li.to]
				if m.part != s.part || int32(i) >= m.bunch {
					continue
				}
				at := &l.at[m.bunch]
				if at.look != l.looks {
					at.look, at.edge = l.looks, int32(len(l.bonds))
					b.near = append(b.near, edge{m.bunch, at.edge})
					l.bonds = append(l.bonds, bond{})
				}
				bo := &l.bonds[at.edge]
				bo.sum += float64(li.z)
				if n.group == s.nodes[li.to].group {
					bo.sum += stay
				}
				bo.count++
			}
		}
		for k, e := range b.near[first:] {
			o := &l.bunches[e.to]
			o.near = append(o.near, edge{int32(i), int32(from + k)})
		}
	}
}

// push makes a candidate of the pair of bunch i and the one that an edge leads to.
func (l *linkage) push(i int32, e edge) {
	j := e.to
	if i > j {
		i, j = j, i
	}
	a, b := &l.bunches[i], &l.bunches[j]
	need := float64(joinAt)
	if min(len(a.members), len(b.members)) >= someAlerts {
		need = joinBoth
	}
	if m := l.bonds[e.bond].mean(len(a.members), len(b.members)); m >= need {
		l.heap.push(join{m, i, j, a.version, b.version})
	}
}

// merge puts bunch j into bunch i.
func (l *linkage) merge(i, j int32) {
	a, b := &l.bunches[i], &l.bunches[j]
	b.gone = true
	a.members = append(a.members, b.members...)
	a.version++
	l.looks++
	a.near = slices.DeleteFunc(a.near, func(e edge) bool { return l.bunches[e.to].gone })
	for k, e := range a.near {
		l.at[e.to].look, l.at[e.to].edge = l.looks, int32(k)
	}
	for _, e := range b.near {
		if e.to == i || l.bunches[e.to].gone {
			continue
		}
		if at := l.at[e.to]; at.look == l.looks {
			to := &l.bonds[a.near[at.edge].bond]
			to.sum += l.bonds[e.bond].sum
			to.count += l.bonds[e.bond].count
			continue
		}
		a.near = append(a.near, e)
		o := &l.bunches[e.to]
		o.near = append(o.near, edge{i, e.bond})
	}
	b.members, b.near = nil, nil
}

// A join is a candidate: bunches i and j, as of their versions.
type join struct {
	mean         float64
	i, j, vi, vj int32
}

// joins is a heap of candidates, the closest first. It is written out since
// container/heap allocates for each.
type joins []join

func (a join) before(b join) bool {
	if a.mean != b.mean {
		return a.mean > b.mean
	}
	if a.i != b.i {
		return a.i < b.i
	}
	return a.j < b.j
}

func (h *joins) push(x join) {
	*h = append(*h, x)
	s := *h
	i := len(s) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !x.before(s[up]) {
			break
		}
		s[i] = s[up]
		i = up
	}
	s[i] = x
}

func (h *joins) pop() join {
	s := *h
	top, x := s[0], s[len(s)-1]
	s = s[:len(s)-1]
	*h = s
	i := 0
	for {
		down := 2*i + 1
		if down >= len(s) {
			break
		}
		if right := down + 1; right < len(s) && s[right].before(s[down]) {
			down = right
		}
		if !s[down].before(x) {
			break
		}
		s[i] = s[down]
		i = down
	}
	if len(s) > 0 {
		s[i] = x
	}
	return top
}
