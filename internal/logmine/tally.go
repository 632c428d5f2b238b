package logmine

import (
	"cmp"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Bounds of what is counted for each leaf: maxTallies values in all, maxPerKind of
// one kind. At 128 bytes each that is 2 KiB, and 20 MiB at 10,000 patterns.
const (
	maxTallies = 16
	maxPerKind = 5
	maxValue   = 64 // bytes kept of a value; longer ones are not counted
)

// tally counts one value by the Space-Saving algorithm (Metwally, Agrawal, El
// Abbadi, ICDT 2005): a value that finds no room takes the place of the rarest of
// its kind and its count, which is then the most that it can be too high by.
type tally struct {
	value []byte // used again for the next value
	count int64
	over  int64 // how much of count may belong to others
	hash  uint32
	kind  EntityKind
}

// count adds n to the value of an entity.
func (l *leaf) countEntity(e Entity, n int64) {
	if len(e.Value) == 0 || len(e.Value) > maxValue {
		return
	}
	h := uint32(xxhash.Sum64String(e.Value))
	same, rarest := 0, -1
	for i := range l.tallies {
		t := &l.tallies[i]
		if t.kind != e.Kind {
			continue
		}
		if t.hash == h && string(t.value) == e.Value {
			t.count += n
			return
		}
		same++
		if rarest < 0 || t.count < l.tallies[rarest].count {
			rarest = i
		}
	}
	room := same < maxPerKind && len(l.tallies) < maxTallies
	if !room && rarest < 0 || Redact(e.Value) != e.Value {
		return
	}
	if room {
		l.tallies = append(l.tallies, tally{value: []byte(e.Value), count: n, hash: h, kind: e.Kind})
		return
	}
	t := &l.tallies[rarest]
	t.value = append(t.value[:0], e.Value...)
	t.over, t.hash = t.count, h
	t.count += n
}

// EntityCount is a value that lines of a pattern name, and how many do at least.
type EntityCount struct {
	Entity
	Count int64
}

// entities returns what the leaves of a pattern count, by kind, the most frequent
// first. Counts are lower bounds.
func entities(of [][]tally) []EntityCount {
	sums := map[Entity]int64{}
	for _, ts := range of {
		for i := range ts {
			sums[Entity{ts[i].kind, string(ts[i].value)}] += ts[i].count - ts[i].over
		}
	}
	return topEntities(sums)
}

// topEntities sorts counts by kind, the most frequent first, five of each kind at most.
func topEntities(sums map[Entity]int64) []EntityCount {
	out := make([]EntityCount, 0, len(sums))
	for e, n := range sums {
		out = append(out, EntityCount{e, n})
	}
	slices.SortFunc(out, func(a, b EntityCount) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
	})
	n, kept := 0, out[:0]
	for i, e := range out {
		if i == 0 || e.Kind != out[i-1].Kind {
			n = 0
		}
		if n++; n <= maxPerKind {
			kept = append(kept, e)
		}
	}
	return kept
}
