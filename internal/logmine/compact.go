package logmine

import (
	"cmp"
	"slices"
)

// shapes returns the buckets in an order that does not depend on that of arrival.
func (m *Miner) shapes() []uint64 {
	out := make([]uint64, 0, len(m.buckets))
	for h := range m.buckets {
		out = append(out, h)
	}
	slices.Sort(out)
	return out
}

// slotsOf returns the leaves of a bucket, sorted by their words.
func (m *Miner) slotsOf(b *bucket) []slot {
	out := append(slices.Clone(b.leaves), b.general...)
	slices.SortFunc(out, func(x, y slot) int {
		return cmp.Or(slices.Compare(m.leaves[x].words, m.leaves[y].words), cmp.Compare(m.leaves[x].ref, m.leaves[y].ref))
	})
	return out
}

// join replaces the leaves of one shape that prove alike by one general leaf each.
// Their counts go with them.
func (m *Miner) join(b *bucket) {
	s := splitter{leaves: m.leaves}
	all := m.slotsOf(b)
	s.split(all, make([]bool, len(m.leaves[all[0]].words)))
	b.leaves, b.general = b.leaves[:0], b.general[:0]
	for i, group := range s.out {
		if len(group) > 1 {
			b.general = append(b.general, m.generalize(group, s.params[i]))
		} else if m.leaves[group[0]].joined {
			b.general = append(b.general, group[0])
		} else {
			b.leaves = append(b.leaves, group[0])
		}
	}
	b.joinAt = max(maxBucket, 2*len(b.leaves))
}

// generalize makes one leaf of a group: the first seen takes the others over.
func (m *Miner) generalize(group []slot, params []bool) slot {
	first := slices.MinFunc(group, func(x, y slot) int { return cmp.Compare(m.leaves[x].ref, m.leaves[y].ref) })
	g := &m.leaves[first]
	words, kinds := slices.Clone(g.words), slices.Clone(g.kinds)
	for i, param := range params {
		if param {
			words[i], kinds[i] = "", m.kindAt(group, i)
		}
	}
	g.words, g.kinds, g.joined = words, kinds, true
	for _, at := range group {
		if at == first {
			continue
		}
		x := &m.leaves[at]
		if x.joined {
			clear(m.joined) // some entries lead to it
		}
		g.absorb(x)
		if len(m.joined) < m.o.MaxLeaves {
			m.joined[x.hash] = first
		}
		m.release(at, g.ref)
	}
	return first
}

// absorb adds what another leaf counted.
func (l *leaf) absorb(x *leaf) {
	l.count += x.count
	l.events += x.events
	for i, n := range x.severities {
		l.severities[i] += n
	}
	if x.first != 0 && (l.first == 0 || x.first < l.first) {
		l.first = x.first
	}
	l.last = max(l.last, x.last)
	for _, t := range x.tallies {
		l.countEntity(Entity{t.kind, string(t.value)}, t.count-t.over)
	}
}

// release frees a slot; its Ref leads to another, or to goneRef.
func (m *Miner) release(at slot, to Ref) {
	l := &m.leaves[at]
	delete(m.byKey, l.hash)
	if m.o.KeepRefs {
		m.refs[l.ref] = ^to
	}
	*l = leaf{}
	m.free = append(m.free, at)
	m.live--
}

// compact makes room: first by joining what proves alike, then by giving up the rare
// leaves that were seen longest ago, whose lines are counted as other from then on.
func (m *Miner) compact() {
	for _, h := range m.shapes() {
		if b := m.buckets[h]; len(b.leaves) > 1 {
			m.join(b)
		}
	}
	if surplus := m.live - m.o.MaxLeaves*3/4; surplus > 0 {
		m.giveUp(surplus)
	}
}

// giveUp counts the lines of the n leaves least worth keeping as other.
func (m *Miner) giveUp(n int) {
	type held struct {
		at slot
		b  *bucket
	}
	var all []held
	for _, h := range m.shapes() {
		b := m.buckets[h]
		for _, at := range m.slotsOf(b) {
			all = append(all, held{at, b})
		}
	}
	slices.SortStableFunc(all, func(x, y held) int {
		a, b := &m.leaves[x.at], &m.leaves[y.at]
		return cmp.Or(cmp.Compare(a.count, b.count), cmp.Compare(a.last, b.last), cmp.Compare(a.ref, b.ref))
	})
	clear(m.joined)
	for _, x := range all[:n] {
		m.counts.Other += m.leaves[x.at].count
		m.release(x.at, goneRef)
	}
	free := func(at slot) bool { return m.leaves[at].words == nil && m.leaves[at].count == 0 }
	for h, b := range m.buckets {
		b.leaves = slices.DeleteFunc(b.leaves, free)
		b.general = slices.DeleteFunc(b.general, free)
		if len(b.leaves)+len(b.general) == 0 {
			delete(m.buckets, h)
		}
	}
}
