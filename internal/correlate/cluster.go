package correlate

import (
	"cmp"
	"container/heap"
	"slices"
)

const (
	// joinAt is the mean log-odds down to which groups are joined. It is below 0,
	// since the pairs of one fault are related through others.
	joinAt = -0.9
	// stay is what a pair has for it that was in one group before, so that groups
	// do not change for nothing.
	stay = 0.7
	// joinBoth is the same for two groups of someAlerts each: two things that each
	// have more than one sign are two faults rather than one.
	joinBoth   = -0.4
	someAlerts = 3
	// missing is the log-odds of a pair that was not compared, being too far apart
	// in time. It never weighs more than the pairs that were: in an outage most are
	// left out only for their number.
	missing = -1.5
	// bigGroup is the size from which a group is kept as it is when more alerts
	// come, so that an outage is not grouped anew with each: that would make the cost
	// of an alert grow with the square of their number.
	bigGroup = 24
	// bigComponent is the number of alerts that hang together from which that holds.
	bigComponent = 250
)

// cluster groups the live alerts of a scope by average linkage of their
// log-odds (Sokal and Michener 1958, UPGMA). Groups are only ever joined along a
// pair of at least joinAt, so it works on the components of those, and only on
// those that have news: it returns the groups of these.
func (s *scope) cluster() [][]*node {
	news := map[*node]bool{} // groups
	for i, n := range s.live {
		n.order = i
		if n.changed {
			news[n.group] = true
		}
	}
	s.round++
	var parts [][]*node
	for _, n := range s.live {
		if n.round < s.round && news[n.group] {
			parts = append(parts, s.component(n))
		}
	}
	var out [][]*node
	for _, part := range parts {
		out = append(out, agglomerate(part)...)
	}
	for _, g := range out {
		for _, n := range g {
			n.group, n.changed = g[0], false
		}
	}
	return out
}

// component returns what hangs together with n, in order.
func (s *scope) component(n *node) []*node {
	n.round = s.round
	part := []*node{n}
	for i := 0; i < len(part); i++ {
		n := part[i]
		n.links = slices.DeleteFunc(n.links, func(l link) bool { return l.to.removed })
		for k := range n.links {
			l := &n.links[k]
			if n.changed || l.to.changed {
				if z := l.logit(n); z != l.z {
					l.z = z
					l.to.reweigh(n, z)
				}
			}
			if l.z >= joinAt-stay && l.to.round < s.round {
				l.to.round = s.round
				part = append(part, l.to)
			}
		}
	}
	slices.SortFunc(part, func(a, b *node) int { return cmp.Compare(a.order, b.order) })
	return part
}

// reweigh notes the log-odds of the pair with o, which are the same from both sides.
func (n *node) reweigh(o *node, z float32) {
	for k := range n.links {
		if n.links[k].to == o {
			n.links[k].z = z
			return
		}
	}
}

// A bunch is a group that grows.
type bunch struct {
	members []*node
	near    map[int]*bond // to other bunches
	version int
}

// A bond is the sum of the log-odds between two bunches and how many they are.
type bond struct {
	sum   float64
	count int
}

// mean of a bond between bunches of a and b members.
func (b *bond) mean(a, c int) float64 {
	absent := min(a*c-b.count, b.count)
	return (b.sum + missing*float64(absent)) / float64(b.count+absent)
}

// A join is a candidate: bunches i and j, as of their versions.
type join struct {
	mean         float64
	i, j, vi, vj int
}

type joins []join

func (h joins) Len() int { return len(h) }
func (h joins) Less(a, b int) bool {
	if c := cmp.Compare(h[b].mean, h[a].mean); c != 0 {
		return c < 0
	}
	if c := cmp.Compare(h[a].i, h[b].i); c != 0 {
		return c < 0
	}
	return h[a].j < h[b].j
}
func (h joins) Swap(a, b int) { h[a], h[b] = h[b], h[a] }
func (h *joins) Push(x any)   { *h = append(*h, x.(join)) } //nolint:forcetypeassert // only joins are pushed
func (h *joins) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// agglomerate groups the nodes of one component.
func agglomerate(nodes []*node) [][]*node {
	if len(nodes) == 1 {
		return [][]*node{nodes}
	}
	at, bunches := seed(nodes)
	for _, n := range nodes {
		i := at[n.order]
		for _, l := range n.links {
			j, ok := at[l.to.order]
			if !ok || i >= j {
				continue
			}
			b := bunches[i].near[j]
			if b == nil {
				b = &bond{}
				bunches[i].near[j], bunches[j].near[i] = b, b
			}
			b.sum += float64(l.z)
			if n.group == l.to.group {
				b.sum += stay
			}
			b.count++
		}
	}
	var h joins
	push := func(i, j int) {
		if i > j {
			i, j = j, i
		}
		a, b := bunches[i], bunches[j]
		need := float64(joinAt)
		if min(len(a.members), len(b.members)) >= someAlerts {
			need = joinBoth
		}
		if m := a.near[j].mean(len(a.members), len(b.members)); m >= need {
			heap.Push(&h, join{m, i, j, a.version, b.version})
		}
	}
	for i, b := range bunches {
		for j := range b.near {
			if i < j {
				push(i, j)
			}
		}
	}
	for len(h) > 0 {
		c := heap.Pop(&h).(join) //nolint:forcetypeassert // only joins are pushed
		a, b := bunches[c.i], bunches[c.j]
		if a == nil || b == nil || a.version != c.vi || b.version != c.vj {
			continue
		}
		merge(bunches, c.i, c.j)
		for k := range a.near {
			push(c.i, k)
		}
	}
	var out [][]*node
	for _, b := range bunches {
		if b != nil {
			slices.SortFunc(b.members, func(x, y *node) int { return cmp.Compare(x.order, y.order) })
			out = append(out, b.members)
		}
	}
	return out
}

// seed makes the first bunches: each node alone, but big groups of a big
// component as they were.
func seed(nodes []*node) (at map[int]int, bunches []*bunch) {
	at = make(map[int]int, len(nodes))
	sizes := map[*node]int{}
	if len(nodes) > bigComponent {
		for _, n := range nodes {
			sizes[n.group]++
		}
	}
	whole := map[*node]int{}
	for _, n := range nodes {
		i := len(bunches)
		if sizes[n.group] > bigGroup {
			if at, ok := whole[n.group]; ok {
				i = at
			} else {
				whole[n.group] = i
			}
		}
		if i == len(bunches) {
			bunches = append(bunches, &bunch{near: map[int]*bond{}})
		}
		at[n.order] = i
		bunches[i].members = append(bunches[i].members, n)
	}
	return at, bunches
}

// merge puts bunch j into bunch i.
func merge(bunches []*bunch, i, j int) {
	a, b := bunches[i], bunches[j]
	a.members = append(a.members, b.members...)
	a.version++
	delete(a.near, j)
	for k, bk := range b.near {
		if k == i {
			continue
		}
		o := bunches[k]
		delete(o.near, j)
		if ak := a.near[k]; ak != nil {
			ak.sum += bk.sum
			ak.count += bk.count
		} else {
			a.near[k], o.near[i] = bk, bk
		}
	}
	bunches[j] = nil
}
