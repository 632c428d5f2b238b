package logmine

import (
	"cmp"
	"slices"
	"strings"
)

// A pin is a template that a user wants kept as it is. Its lines are counted by a leaf
// of their own that stands in no bucket: it is never joined with others, grows no more
// general and is not given up.
type pin struct {
	template string
	at       slot
	retired  bool // no longer wanted: what it counted stays, no line joins it
}

// SetPins makes templates, as Pattern.Template writes them, stay as they are: a line
// that one covers is counted by it whatever mining would do, by the first of them in
// order. What was counted of such lines goes over to it, except for lines that were
// joined under a more general template before. A pin that is taken back keeps its
// counts. Each pin costs about 100 ns for each new skeleton, nothing for known ones.
func (m *Miner) SetPins(templates []string) {
	m.stale = true
	for i := range m.pins {
		m.pins[i].retired = !slices.Contains(templates, m.pins[i].template)
	}
	order := map[string]int{}
	for i, t := range templates {
		if _, twice := order[t]; twice || t == "" {
			continue
		}
		order[t] = i
		if !slices.ContainsFunc(m.pins, func(p pin) bool { return p.template == t }) {
			at := m.alloc()
			m.leaves[at] = leaf{ref: m.newRef(at), pinned: true}
			m.pins = append(m.pins, pin{template: t, at: at})
		}
	}
	slices.SortStableFunc(m.pins, func(a, b pin) int {
		return cmp.Or(boolInt(a.retired)-boolInt(b.retired), cmp.Compare(order[a.template], order[b.template]))
	})
	clear(m.joined)
	for _, h := range m.shapes() {
		b := m.buckets[h]
		b.leaves = slices.DeleteFunc(b.leaves, m.moveToPin)
		b.general = slices.DeleteFunc(b.general, m.moveToPin)
		for _, at := range b.general {
			delete(m.byKey, m.leaves[at].hash) // its own first line may be a pin's now
		}
		if len(b.leaves)+len(b.general) == 0 {
			delete(m.buckets, h)
		}
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// moveToPin gives what a leaf counted to the pin that covers it, and reports whether
// there is one.
func (m *Miner) moveToPin(at slot) bool {
	l := &m.leaves[at]
	to, ok := m.pinOf(l.template())
	if !ok {
		return false
	}
	p := &m.leaves[to]
	p.absorb(l)
	if p.example == "" {
		p.example = l.example
	}
	m.release(at, p.ref)
	return true
}

// pinOf returns the leaf of the first pin that covers the template of a skeleton.
func (m *Miner) pinOf(template string) (slot, bool) {
	for i := range m.pins {
		if p := &m.pins[i]; !p.retired && Covers(p.template, template) {
			return p.at, true
		}
	}
	return 0, false
}

// pinned finds the pin of the scanned line, whose skeleton m.key holds.
func (m *Miner) pinned(h uint64, line string) (slot, bool) {
	if len(m.pins) == 0 {
		return 0, false
	}
	at, ok := m.pinOf(templateOfKey(m.key))
	if !ok {
		return 0, false
	}
	l := &m.leaves[at]
	if l.example == "" {
		l.example = strings.Clone(cmp.Or(Redact(m.example), Redact(line)))
	}
	if m.o.Entities && l.hints == nil {
		l.hints = m.scanner.hints()
	}
	if len(m.joined) >= m.o.MaxLeaves {
		clear(m.joined)
	}
	m.joined[h] = at
	return at, true
}

// templateOfKey writes a skeleton as a template.
func templateOfKey(key []byte) string {
	var b strings.Builder
	b.Grow(len(key) + 16)
	for _, c := range key {
		switch c {
		case 1: // the end of a word
		case 2:
			b.WriteString(Wildcard)
		default:
			b.WriteByte(c)
		}
	}
	return strings.TrimSpace(strings.ToValidUTF8(b.String(), "\uFFFD"))
}

// template writes a leaf as a template.
func (l *leaf) template() string {
	var b strings.Builder
	for i, w := range l.words {
		b.WriteString(l.seps[i])
		b.WriteString(cmp.Or(w, Wildcard))
	}
	b.WriteString(l.tail)
	return strings.TrimSpace(strings.ToValidUTF8(b.String(), "\uFFFD"))
}

// settlePins adds the patterns of the pins. One that mining has too, which was joined
// before it was pinned, is counted with it.
func (m *Miner) settlePins() {
	for i := range m.pins {
		l := &m.leaves[m.pins[i].at]
		if l.count == 0 {
			continue
		}
		p := Pattern{
			Template: m.pins[i].template, Count: l.count, Events: l.events, Severities: l.severities, First: l.first, Last: l.last,
			Example: strings.ToValidUTF8(l.example, "\uFFFD"), tallies: [][]tally{l.tallies}, Pinned: !m.pins[i].retired,
		}
		for range strings.Count(p.Template, Wildcard) {
			p.Kinds = append(p.Kinds, Any)
		}
		at := slices.IndexFunc(m.pats, func(q Pattern) bool { return q.Template == p.Template })
		if at < 0 {
			at = len(m.pats)
			m.pats = append(m.pats, p)
		} else {
			m.pats[at] = merged(p, m.pats[at])
			m.pats[at].Pinned = p.Pinned
		}
		l.pattern = int32(at)
	}
}
