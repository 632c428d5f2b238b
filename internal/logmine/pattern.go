package logmine

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// Pattern is what many lines say.
type Pattern struct {
	// ID is derived from the template alone: the first 12 hex digits of the SHA-256
	// of its words. It is the same in every process and after every restart.
	ID       string
	Template string // the words, with <*> for each parameter
	Count    int64  // lines
	Events   int64  // fewer than Count where an event takes several lines
	// Severities counts the events by severity, indexed by Severity.
	Severities [numSeverities]int64
	First      int64 // Unix ms of the oldest line; 0 where lines carry no time
	Last       int64
	Example    string // the line that came first
	Kinds      []Kind // of the parameters, in order of the template
	// Entities are what most lines speak of, by kind, the most frequent first, five of
	// each kind at most. Empty without Options.Entities.
	Entities []EntityCount
	Pinned   bool // kept as it is: see Miner.SetPins

	tallies [][]tally // of the leaves
	forms   []string  // templates of other shapes that were joined into this one, bounded
}

// Wildcard stands for a parameter in a template.
const Wildcard = "<*>"

// minMergeWords is how many words two patterns must have in common, all of them, to
// be joined in spite of different shapes. Shorter ones say too little.
const minMergeWords = 3

// maxForms bounds the templates kept of the shapes that make up one pattern: more
// alternatives than that make no query.
const maxForms = 12

// settle computes the patterns of the leaves as they are now.
func (m *Miner) settle() {
	if !m.stale && m.pats != nil {
		return
	}
	m.stale = false
	m.pats = m.pats[:0]
	bySig := map[string]int32{}
	var sig []byte
	for _, h := range m.shapes() {
		s := splitter{leaves: m.leaves}
		if all := m.slotsOf(m.buckets[h]); len(all) > 0 {
			s.split(all, make([]bool, len(m.leaves[all[0]].words)))
		}
		for i, group := range s.out {
			p := m.pattern(group, s.params[i])
			var words int
			sig, words = signature(sig[:0], p.Template)
			k := string(sig)
			if words < minMergeWords || len(p.Kinds) == 0 {
				k = "\x00" + p.Template
			}
			at, ok := bySig[k]
			if !ok {
				at = int32(len(m.pats))
				bySig[k] = at
				m.pats = append(m.pats, p)
			} else {
				m.pats[at] = merged(m.pats[at], p)
			}
			for _, r := range group {
				m.leaves[r].pattern = at
			}
		}
	}
	m.settlePins()
	for i := range m.pats {
		m.pats[i].ID = idOf(m.pats[i].Template)
		m.pats[i].Entities, m.pats[i].tallies = entities(m.pats[i].tallies), nil
	}
}

// merged joins two patterns that say the same words. The one with more lines gives
// the template, so that a rare variant does not rename a pattern.
func merged(a, b Pattern) Pattern {
	if b.Count > a.Count || b.Count == a.Count && b.Template < a.Template {
		a, b = b, a
	}
	a.Count += b.Count
	a.Events += b.Events
	a.addSeverities(b.Severities)
	a.tallies = append(a.tallies, b.tallies...)
	if a.forms = append(append(a.forms, b.Template), b.forms...); len(a.forms) > maxForms {
		a.forms = a.forms[:maxForms]
	}
	if b.First != 0 && (a.First == 0 || b.First < a.First) {
		a.First, a.Example = b.First, b.Example
	}
	a.Last = max(a.Last, b.Last)
	return a
}

// pattern describes a group of leaves of one shape.
func (m *Miner) pattern(group []slot, params []bool) Pattern {
	l := &m.leaves[group[0]]
	var p Pattern
	var b bytes.Buffer
	for i, w := range l.words {
		b.WriteString(l.seps[i])
		if !params[i] {
			b.WriteString(w)
			continue
		}
		b.WriteString(Wildcard)
		p.Kinds = append(p.Kinds, m.kindAt(group, i))
	}
	b.WriteString(l.tail)
	p.Template = strings.TrimSpace(strings.ToValidUTF8(b.String(), "\uFFFD"))
	first := group[0]
	for _, r := range group {
		x := &m.leaves[r]
		p.Count += x.count
		p.Events += x.events
		p.addSeverities(x.severities)
		if len(x.tallies) > 0 {
			p.tallies = append(p.tallies, x.tallies)
		}
		if x.first != 0 && (p.First == 0 || x.first < p.First) {
			p.First = x.first
		}
		p.Last = max(p.Last, x.last)
		if m.leaves[r].ref < m.leaves[first].ref {
			first = r
		}
	}
	p.Example = strings.ToValidUTF8(m.leaves[first].example, "\uFFFD")
	return p
}

// kindAt returns what the parameter at place i is, or Any where the leaves differ.
func (m *Miner) kindAt(group []slot, i int) Kind {
	k := m.leaves[group[0]].kinds[i]
	for _, r := range group[1:] {
		if m.leaves[r].kinds[i] != k {
			return Any
		}
	}
	if k == Word {
		return Any
	}
	return k
}

// signature appends the words of a template with one mark for each run of
// parameters and punctuation between them, and returns how many words there are.
func signature(dst []byte, template string) (sig []byte, words int) {
	in := false
	for i := 0; i < len(template); i++ {
		if strings.HasPrefix(template[i:], Wildcard) {
			i += len(Wildcard) - 1
			if len(dst) == 0 || dst[len(dst)-1] != '*' {
				dst = append(dst, '*')
			}
			in = false
			continue
		}
		if classes[template[i]]&(isLetter|isDigit) == 0 {
			in = false
			continue
		}
		if !in {
			words++
			dst = append(dst, ' ')
		}
		in = true
		dst = append(dst, template[i])
	}
	return dst, words
}

// idOf derives a pattern's id.
func idOf(template string) string {
	sum := sha256.Sum256([]byte(template))
	return hex.EncodeToString(sum[:6])
}

func (p *Pattern) addSeverities(n [numSeverities]int64) {
	for i := range n {
		p.Severities[i] += n[i]
	}
}

// Severity returns what most of the pattern's lines say, the worse one on a tie;
// Unknown only if none says anything.
func (p *Pattern) Severity() Severity {
	best := Unknown
	for s := Debug; s < numSeverities; s++ {
		if n := p.Severities[s]; n > 0 && (best == Unknown || n >= p.Severities[best]) {
			best = s
		}
	}
	return best
}

// Plus returns p with what another pattern counted. Its texts stay.
func (p Pattern) Plus(q *Pattern) Pattern {
	p.Count += q.Count
	p.Events += q.Events
	p.addSeverities(q.Severities)
	if q.First != 0 && (p.First == 0 || q.First < p.First) {
		p.First = q.First
	}
	p.Last = max(p.Last, q.Last)
	sums := map[Entity]int64{}
	for _, e := range append(slices.Clone(p.Entities), q.Entities...) {
		sums[e.Entity] += e.Count
	}
	p.Entities = topEntities(sums)
	return p
}
