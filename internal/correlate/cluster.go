package correlate

import (
	"cmp"
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
	s.round++
	for i, n := range s.live {
		n.order = i
		if s.marks[n.slot].changed {
			n.group.news = s.round
			s.weigh(n)
		}
	}
	var parts [][]*node
	for _, n := range s.live {
		if n.group.news == s.round && s.marks[n.slot].round < s.round {
			parts = append(parts, s.component(n))
		}
	}
	var out [][]*node
	for _, part := range parts {
		out = append(out, s.agglomerate(part)...)
	}
	for _, g := range out {
		for _, n := range g {
			n.group, s.marks[n.slot].changed = g[0], false
		}
	}
	return out
}

// component returns what hangs together with n, in order.
func (s *scope) component(n *node) []*node {
	s.marks[n.slot].round = s.round
	part := []*node{n}
	for i := 0; i < len(part); i++ {
		for _, l := range part[i].links {
			if l.z < joinAt-stay {
				continue
			}
			if to := &s.marks[l.to]; to.round < s.round {
				to.round = s.round
				part = append(part, s.nodes[l.to])
			}
		}
	}
	slices.SortFunc(part, func(a, b *node) int { return cmp.Compare(a.order, b.order) })
	return part
}

// weigh brings the links of a changed alert up to date.
func (s *scope) weigh(n *node) {
	for k := range n.links {
		l := &n.links[k]
		o := s.nodes[l.to]
		if z := l.logit(n, o); z != l.z {
			l.z = z
			o.reweigh(n.slot, z)
		}
	}
}

// reweigh notes the log-odds of the pair with the alert of a slot, which are the
// same from both sides.
func (n *node) reweigh(slot int32, z float32) {
	for k := range n.links {
		if n.links[k].to == slot {
			n.links[k].z = z
			return
		}
	}
}
