// Package logmine finds the patterns behind log lines: the words that a program
// prints each time, with the parameters left out. It needs no configuration.
//
// It works in two steps. A scanner turns each line into a skeleton: words that
// cannot be parameters, and everything that is one by its own bytes (numbers,
// addresses, paths) or by what stands around it (the value of a key) left out. Equal
// skeletons are one leaf; a line costs one hash look-up. When patterns are asked
// for, the leaves of one shape are compared and joined where a word proves to be a
// parameter (see cluster.go). So a line's pattern may grow more general as more
// lines come; counts are never lost by that.
//
// The idea of telling parameters by how many values a place takes among lines of
// one shape is that of IPLoM (Makanju et al., KDD 2009); that of deciding the
// certain parameters before any comparison is Drain's (He et al., ICWS 2017). What
// differs: the finer tokens, the order in which places are judged, and the joining
// of patterns that say the same words.
//
// The package is pure: no clock, no goroutine, no I/O. It must not know where lines
// come from or what is done with a pattern.
package logmine

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
)

// Options bounds a Miner. The zero value takes the defaults.
type Options struct {
	// MaxLeaves bounds the skeletons kept, and so memory: about 1 KiB each. Past it,
	// skeletons that prove alike are joined, then the oldest rare ones are counted as
	// other. 0 = 20,000.
	MaxLeaves int
	// MaxLineBytes is how much of a line is looked at. 0 = 16 KiB.
	MaxLineBytes int
	// KeepRefs makes every Ref valid for the life of the Miner, at four bytes for each
	// skeleton ever seen: for a caller that reads all input before it asks for the
	// pattern of each line. Without it a Ref is valid until the next Add.
	KeepRefs bool
	// Entities counts what the lines of each pattern speak of, the most frequent values
	// of each kind. It adds about two thirds to the cost of a line and 2 KiB to that of a
	// skeleton.
	Entities bool
}

const (
	defaultMaxLeaves    = 20_000
	defaultMaxLineBytes = 16 << 10
	// maxBucket is how many skeletons of one shape are kept apart before those that
	// prove alike are joined: enough to see which place varies, few enough that a
	// join costs microseconds.
	maxBucket = 256
)

// Ref names the skeleton of a line.
type Ref int32

// Other is the Ref of lines that are counted but belong to no pattern: blank ones,
// and those whose skeleton was given up for want of room.
const Other Ref = -1

// Miner turns lines into patterns. It is not safe for concurrent use. A line whose
// skeleton was seen before costs no allocation.
type Miner struct {
	o        Options
	scanner  scanner
	leaves   []leaf // slots; those without words are free
	free     []slot
	live     int
	byKey    map[uint64]slot    // skeleton to its leaf
	joined   map[uint64]slot    // skeleton to the general leaf that matched it; a bounded cache
	buckets  map[uint64]*bucket // shape to its leaves
	refs     []Ref              // with KeepRefs: a slot, or ^Ref of what took it over
	counts   Counts
	key      []byte
	shape    []byte
	example  string   // of the event in work, if it is not the line itself
	entities []Entity // of the line in work
	stale    bool
	pats     []Pattern
	pins     []pin // those in force first
	quick    quick
}

// slot is an index of Miner.leaves.
type slot int32

// bucket holds the leaves of one shape.
type bucket struct {
	leaves  []slot
	general []slot // leaves made by joining: matched word by word
	joinAt  int    // number of leaves at which joining is tried again
}

// Counts says how the lines add up: Lines = the counts of all Patterns + Other.
type Counts struct {
	Lines int64
	Other int64 // blank lines, and lines whose skeleton was given up
}

// New makes a Miner.
func New(o Options) *Miner {
	if o.MaxLeaves <= 0 {
		o.MaxLeaves = defaultMaxLeaves
	}
	if o.MaxLineBytes <= 0 {
		o.MaxLineBytes = defaultMaxLineBytes
	}
	return &Miner{o: o, byKey: map[uint64]slot{}, joined: map[uint64]slot{}, buckets: map[uint64]*bucket{}}
}

// Counts returns how many lines were added, and how many of them belong to no
// pattern.
func (m *Miner) Counts() Counts { return m.counts }

// Add counts a line: the message of a Record. timeMs is when it was written, Unix
// ms; 0 if that is unknown. The line is not kept, except as the example of a new
// skeleton.
func (m *Miner) Add(line string, timeMs int64, severity Severity) Ref {
	return m.addLines(line, timeMs, severity, 1)
}

// AddRecord counts the message of a record, with what its fields name. lines is of
// how many lines it was made: that many are counted, as one event.
func (m *Miner) AddRecord(r *Record, lines int) Ref {
	ref := m.addLines(r.Message, r.Time, r.Severity, int64(lines))
	if !m.o.Entities || ref == Other {
		return ref
	}
	if at, ok := m.slotOf(ref); ok {
		for _, e := range r.Fields() {
			m.leaves[at].countEntity(e, 1)
		}
		if r.TraceID != "" {
			m.leaves[at].countEntity(Entity{TraceID, r.TraceID}, 1)
		}
	}
	return ref
}

// AddEvent counts an event. Its text becomes the example of a new skeleton, redacted,
// up to 4 KiB.
func (m *Miner) AddEvent(e *Event) Ref {
	if e.Lines > 1 {
		m.example = cut(e.Text, maxExampleBytes)
		defer func() { m.example = "" }()
	}
	return m.AddRecord(&e.Record, e.Lines)
}

// maxExampleBytes bounds the example of an event of several lines.
const maxExampleBytes = 4 << 10

func (m *Miner) addLines(line string, timeMs int64, severity Severity, lines int64) Ref {
	m.counts.Lines += lines
	m.stale = true
	line = cut(line, m.o.MaxLineBytes)
	at, ok := m.find(line)
	if !ok {
		m.counts.Other += lines
		return Other
	}
	l := &m.leaves[at]
	if m.o.Entities && len(l.hints) == len(m.scanner.toks) { // a line with a secret may be cut otherwise than its leaf
		m.entities = m.entities[:0]
		for i := range m.scanner.toks {
			m.entities = m.scanner.appendEntity(m.entities, i, l.hints[i])
		}
		for _, e := range m.entities {
			l.countEntity(e, 1)
		}
	}
	l.count += lines
	l.events++
	l.severities[severity]++
	if timeMs != 0 {
		if l.first == 0 || timeMs < l.first {
			l.first = timeMs
		}
		l.last = max(l.last, timeMs)
	}
	return l.ref
}

// find finds or makes the leaf of a line, and reports whether there is one: a blank line
// has none.
func (m *Miner) find(line string) (at slot, ok bool) {
	var masked uint64
	quick := !m.o.Entities // entities are in the line, which must be scanned for them
	if quick {
		if masked, quick = m.quick.mask(line); quick {
			if h, known := m.quick.known(masked); known {
				if at, ok = m.byKey[h]; ok {
					return at, true
				}
				if at, ok = m.joined[h]; ok {
					return at, true
				}
			}
		}
	}
	if toks := m.scanner.scan(line); len(toks) == 0 && strings.TrimSpace(line) == "" {
		return 0, false
	}
	m.key, m.shape = m.scanner.key(m.key[:0], m.shape[:0])
	h := xxhash.Sum64(m.key)
	if quick {
		m.quick.learn(masked, h)
	}
	if at, ok = m.byKey[h]; ok {
		return at, true
	}
	if at, ok = m.joined[h]; ok {
		return at, true
	}
	return m.miss(h, line), true
}

// cut bounds a line at a rune's edge.
func cut(line string, limit int) string {
	if len(line) <= limit {
		return line
	}
	for limit > 0 && !utf8.RuneStart(line[limit]) {
		limit--
	}
	return line[:limit]
}

// miss finds or makes the leaf of a skeleton that the maps do not know.
func (m *Miner) miss(h uint64, line string) slot {
	if at, ok := m.pinned(h, line); ok {
		return at
	}
	sh := xxhash.Sum64(m.shape)
	if b := m.buckets[sh]; b != nil {
		for _, at := range b.general {
			if m.matches(&m.leaves[at]) {
				if len(m.joined) >= m.o.MaxLeaves {
					clear(m.joined)
				}
				m.joined[h] = at
				return at
			}
		}
	}
	if clean := Redact(line); clean != line {
		return m.missRedacted(h, clean)
	}
	return m.add(h, sh, line)
}

// missRedacted finds or makes the leaf of a line that held a secret: only its
// redacted form is looked at from here on. The skeleton h of the line as it came is
// kept as a hash alone.
func (m *Miner) missRedacted(h uint64, clean string) slot {
	m.scanner.scan(clean)
	m.scanner.masks()
	m.key, m.shape = m.scanner.key(m.key[:0], m.shape[:0])
	hc := xxhash.Sum64(m.key)
	at, ok := m.byKey[hc]
	if !ok {
		at, ok = m.joined[hc]
	}
	if !ok {
		at = m.add(hc, xxhash.Sum64(m.shape), clean)
	}
	if h != hc {
		if len(m.joined) >= m.o.MaxLeaves {
			clear(m.joined)
		}
		m.joined[h] = at
	}
	return at
}

// add makes the leaf of the scanned line, which holds no secret.
func (m *Miner) add(h, sh uint64, line string) slot {
	if m.live >= m.o.MaxLeaves {
		m.compact()
	}
	b := m.buckets[sh]
	if b == nil {
		b = &bucket{joinAt: maxBucket}
		m.buckets[sh] = b
	}
	at := m.alloc()
	l := m.scanner.newLeaf(m.key)
	if m.o.Entities {
		l.hints = m.scanner.hints()
	}
	l.example, l.hash, l.ref = strings.Clone(cmp.Or(Redact(m.example), line)), h, m.newRef(at)
	m.leaves[at] = l
	m.live++
	m.byKey[h] = at
	b.leaves = append(b.leaves, at)
	if len(b.leaves) >= b.joinAt {
		m.join(b)
		if general, ok := m.joined[h]; ok {
			return general
		}
	}
	return at
}

// alloc returns a free slot.
func (m *Miner) alloc() slot {
	if n := len(m.free); n > 0 {
		at := m.free[n-1]
		m.free = m.free[:n-1]
		return at
	}
	m.leaves = append(m.leaves, leaf{})
	return slot(len(m.leaves) - 1)
}

// newRef names slot at for callers.
func (m *Miner) newRef(at slot) Ref {
	if !m.o.KeepRefs {
		return Ref(at)
	}
	m.refs = append(m.refs, Ref(at))
	return Ref(len(m.refs) - 1)
}

// slotOf returns the slot that a Ref stands for now, or false if it was given up.
func (m *Miner) slotOf(r Ref) (slot, bool) {
	if !m.o.KeepRefs || r == Other {
		return slot(r), r != Other
	}
	for m.refs[r] < 0 {
		next := ^m.refs[r]
		if next == goneRef {
			return 0, false
		}
		r = next
	}
	return slot(m.refs[r]), true
}

// goneRef is what the Ref of a leaf leads to that was given up.
const goneRef Ref = 1<<31 - 1

// matches reports whether the scanned line is one of the general leaf l.
func (m *Miner) matches(l *leaf) bool {
	for i, w := range l.words {
		if w != "" && (m.scanner.toks[i].kind != Word || m.scanner.text(m.scanner.toks[i]) != w) {
			return false
		}
	}
	return true
}

// Pattern returns the pattern that a line belongs to now, and false for a line that
// is counted as other. It is valid until the next Add.
func (m *Miner) Pattern(r Ref) (*Pattern, bool) {
	m.settle()
	at, ok := m.slotOf(r)
	if !ok {
		return nil, false
	}
	return &m.pats[m.leaves[at].pattern], true
}

// Patterns returns all patterns, the most frequent first, then by template.
func (m *Miner) Patterns() []Pattern {
	m.settle()
	out := slices.Clone(m.pats)
	slices.SortFunc(out, func(a, b Pattern) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Template, b.Template))
	})
	return out
}
