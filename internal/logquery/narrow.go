package logquery

import (
	"regexp"
	"slices"
	"strings"

	"github.com/portent-dev/portent/internal/logmine"
)

// Bounds of making filters.
const (
	// maxChecked lines are held against each filter: 50 filters on as many take about a
	// second.
	maxChecked = 20_000
	// maxExcept other patterns may be left out of one filter by name; more make no query
	// that anybody reads.
	maxExcept = 4
	// maxHeaders forms of header may stand in one regular expression.
	maxHeaders = 4
	// maxFilterBytes bounds a regular expression.
	maxFilterBytes = 4 << 10
)

// narrower makes filters and checks them against lines of all patterns.
type narrower struct {
	checks  []checked
	byID    map[string][]sample
	forms   map[string][]string
	regexps map[string]*regexp.Regexp
}

type checked struct {
	line string
	id   string
}

func newNarrower() *narrower {
	return &narrower{byID: map[string][]sample{}, forms: map[string][]string{}, regexps: map[string]*regexp.Regexp{}}
}

// add gives lines of a skeleton of a pattern, and the templates of all its shapes. All
// of them are held against the pattern's own filter, the first few against those of
// others.
func (n *narrower) add(id string, forms []string, samples []sample) {
	n.forms[id] = forms
	n.byID[id] = append(n.byID[id], samples...)
	for _, s := range samples[:min(len(samples), maxSamples)] {
		if len(n.checks) < maxChecked {
			n.checks = append(n.checks, checked{s.raw, id})
		}
	}
}

// compile compiles a regular expression once. All are made by regexpOf.
func (n *narrower) compile(re string) *regexp.Regexp {
	r := n.regexps[re]
	if r == nil {
		r = regexp.MustCompile(re)
		n.regexps[re] = r
	}
	return r
}

// check reports whether a filter keeps all lines of the pattern, and the ids of others
// that it takes in.
func (n *narrower) check(f *Filter, id string) (all bool, others []string) {
	for _, s := range n.byID[id] {
		if !f.keeps(s.raw, n.compile) {
			return false, nil
		}
	}
	for _, c := range n.checks {
		if c.id != id && !slices.Contains(others, c.id) && f.keeps(c.line, n.compile) {
			others = append(others, c.id)
		}
	}
	return true, others
}

// filter makes the filter of a pattern: of the candidates, from the one that reads best
// to the one that says most, the first that keeps its lines and no others.
func (n *narrower) filter(id string) *Filter {
	samples := n.byID[id]
	if len(samples) == 0 {
		return nil
	}
	literals := literalsOf(n.forms[id][0])
	var best *Filter
	var bestOthers []string
	for _, f := range n.candidates(id, literals, samples) {
		all, others := n.check(f, id)
		if !all {
			continue
		}
		if len(others) == 0 {
			f.Exact = true
			return f
		}
		if best == nil || len(others) < len(bestOthers) {
			best, bestOthers = f, others
		}
	}
	if best == nil {
		return &Filter{Literals: literals, Regexp: literalRegexp(literals), Note: "it finds the words of the pattern; some of its lines are written otherwise"}
	}
	return n.without(best, bestOthers, id)
}

// traceFilter finds stack traces that the store keeps as one entry each: their first
// line, the innermost exception and the frame stand in it, but not side by side as in
// the template.
func (n *narrower) traceFilter(p *Pattern, otherwise *Filter) *Filter {
	template := strings.Replace(p.Template, " → ", logmine.Wildcard, 1)
	if i := strings.LastIndex(template, " at "); i >= 0 && p.Cause.Frame != "" {
		template = template[:i] + logmine.Wildcard + template[i+len(" at "):]
	}
	f := &Filter{
		Must: p.Cause.Class[strings.LastIndexByte(p.Cause.Class, '.')+1:], Regexp: literalRegexp(literalsOf(template)), Literals: literalsOf(p.Template),
		Note: "it also gives lines of other patterns, which this one describes too",
	}
	all, others := n.check(f, p.ID)
	if !all {
		return otherwise
	}
	if len(others) == 0 {
		f.Exact, f.Note = true, ""
	}
	return f
}

// without leaves other patterns out of a filter by their own expressions.
func (n *narrower) without(f *Filter, others []string, id string) *Filter {
	x := *f
	if len(others) <= maxExcept {
		for _, o := range others {
			if len(n.byID[o]) > 0 {
				x.Except = append(x.Except, n.expression(o, tight, true))
			}
		}
		if all, left := n.check(&x, id); all && len(left) == 0 {
			x.Exact = true
			return &x
		}
	}
	f.Note = "it also gives lines of other patterns, which this one describes too"
	return f
}

func literalsOf(template string) []string { return strings.Split(template, logmine.Wildcard) }

// candidates lists filters, the one that reads best first.
func (n *narrower) candidates(id string, literals []string, samples []sample) []*Filter {
	var out []*Filter
	must := longest(literals)
	for _, s := range samples {
		if !strings.Contains(s.raw, must) {
			must = ""
		}
	}
	add := func(f *Filter) {
		if len(f.Regexp) <= maxFilterBytes {
			f.Literals = literals
			if f.Regexp != "" {
				f.Must = must
			}
			out = append(out, f)
		}
	}
	if b, ok := boundsOf(samples[0]); ok && len(n.forms[id]) == 1 {
		if p := patternFilter(literals, b); p != "" {
			add(&Filter{Pattern: p})
			if !b.quoted && !strings.HasPrefix(p, anyPart) {
				add(&Filter{Pattern: anyPart + p})
			}
		}
	}
	add(&Filter{Regexp: n.expression(id, tight, false)})
	add(&Filter{Regexp: n.expression(id, tight, true)})
	add(&Filter{Regexp: n.expression(id, loose, false)})
	add(&Filter{Regexp: n.expression(id, loose, true)})
	return slices.DeleteFunc(out, func(f *Filter) bool { return f.Pattern == "" && f.Regexp == "" })
}

// expression writes all shapes of a pattern as one regular expression.
func (n *narrower) expression(id, param string, headed bool) string {
	var alternatives, headers []string
	var kinds []bounds
	for _, s := range n.byID[id] {
		b, ok := boundsOf(s)
		if !ok {
			continue
		}
		if !slices.Contains(kinds, b) {
			kinds = append(kinds, b)
		}
		if h := headerRegexp(s); headed && h != "" && !b.quoted && !b.bare && !b.alone && !slices.Contains(headers, h) {
			headers = append(headers, h)
		}
	}
	header := ""
	if len(headers) > 0 && len(headers) <= maxHeaders {
		header = "(?:" + strings.Join(headers, "|") + ")"
	}
	for _, form := range n.forms[id] {
		for _, b := range kinds {
			if re := regexpOf(literalsOf(form), b, param, header); !slices.Contains(alternatives, re) {
				alternatives = append(alternatives, re)
			}
		}
	}
	switch len(alternatives) {
	case 0:
		return ""
	case 1:
		return alternatives[0]
	}
	return "(?:" + strings.Join(alternatives, "|") + ")"
}

// literalRegexp finds the literals in order, whatever lies between.
func literalRegexp(literals []string) string {
	var re strings.Builder
	for _, lit := range literals {
		if lit = strings.TrimSpace(lit); lit == "" || re.Len() > maxFilterBytes {
			continue
		}
		if re.Len() > 0 {
			re.WriteString(`.*?`)
		}
		quoteRegexp(&re, lit, false)
	}
	if re.Len() == 0 {
		return ""
	}
	return `(?s)` + re.String()
}

// Language is LogQL.
func (l *Loki) Language() string { return "logql" }

// Narrow writes the filter behind the query.
func (l *Loki) Narrow(f *Filter) Query {
	if f == nil {
		return Query{}
	}
	var stages []string
	if f.Pattern != "" {
		stages = append(stages, "|> "+quoteLogQL(f.Pattern))
	}
	if f.Regexp != "" {
		if f.Must != "" {
			stages = append(stages, "|= "+quoteLogQL(f.Must))
		}
		stages = append(stages, "|~ "+quoteLogQL(f.Regexp))
	}
	for _, x := range f.Except {
		stages = append(stages, "!~ "+quoteLogQL(x))
	}
	if len(stages) == 0 {
		return Query{}
	}
	return Query{Language: l.Language(), Text: l.query.with(stages...), Exact: f.Exact, Note: f.Note}
}

// longest returns the longest word sequence of the literals that stands in a line as
// it is: without what may be escaped or spaced otherwise.
func longest(literals []string) string {
	best := ""
	for _, lit := range literals {
		for _, part := range strings.FieldsFunc(lit, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"\/<>&'=+`, r) }) {
			if len(part) > len(best) {
				best = part
			}
		}
	}
	if len(best) < 4 {
		return ""
	}
	return best
}
