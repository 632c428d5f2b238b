package logmine

import (
	"slices"
	"strings"
)

// Leaves of one shape are compared place by place, top down. A place that takes one
// word is part of the text. Of the others, in this order:
//
//  1. the value of key= is a parameter as soon as it takes two words;
//  2. a plain word of the text splits the leaves by its values, the place with the
//     fewest first, unless it is the only place that varies, takes many values and
//     enough of the text stays the same;
//  3. the rest (places that hold a parameter in some leaves, words with a digit,
//     names, what stands in quotes or brackets) are parameters from the number of
//     values on that minValues gives.
//
// A group whose places are all settled is a pattern.
const (
	// manyWords is how many words a lone place of the text must take to be a
	// parameter. Few are more often variants of a message (Begin, End) than values.
	manyWords = 6
	// textWords is how many words of the text must then stay the same: "* started"
	// would swallow unlike lines.
	textWords = 2
)

// splitter groups the leaves of one bucket.
type splitter struct {
	leaves []leaf
	out    [][]slot
	params [][]bool // which places of out[i] are parameters
}

// place is what the leaves of a group hold at one token.
type place struct {
	values []string // the distinct words, sorted
	param  bool     // some leaf has a parameter there
}

func (p *place) distinct() int {
	if p.param {
		return len(p.values) + 1
	}
	return len(p.values)
}

func (s *splitter) place(group []slot, i int) place {
	var p place
	for _, r := range group {
		if w := s.leaves[r].words[i]; w == "" {
			p.param = true
		} else {
			p.values = append(p.values, w)
		}
	}
	slices.Sort(p.values)
	p.values = slices.Compact(p.values)
	return p
}

// split puts the groups of the leaves into s.out.
func (s *splitter) split(group []slot, params []bool) {
	params = slices.Clone(params)
	places := make([]place, len(params))
	var text, rest []int
	for i := range params {
		places[i] = s.place(group, i)
		p := &places[i]
		switch {
		case params[i]:
		case len(p.values) == 0:
			params[i] = true
		case p.distinct() == 1:
		case strings.HasSuffix(s.sepBefore(group, i), "="):
			params[i] = true
		case !p.param && s.minValues(group, i, p) == 0:
			text = append(text, i)
		default:
			rest = append(rest, i)
		}
	}
	at := s.splitAt(group, params, places, text, rest)
	if at < 0 {
		s.out, s.params = append(s.out, group), append(s.params, params)
		return
	}
	parts := map[string][]slot{}
	for _, r := range group {
		w := s.leaves[r].words[at]
		parts[w] = append(parts[w], r)
	}
	values := places[at].values
	if places[at].param {
		values = append([]string{""}, values...)
	}
	for _, w := range values {
		s.split(parts[w], params)
	}
}

// splitAt returns the place that splits the group, or -1 when all are settled; it
// marks the parameters that it finds.
func (s *splitter) splitAt(group []slot, params []bool, places []place, text, rest []int) int {
	least := func(of []int) int {
		at := -1
		for _, i := range of {
			if at < 0 || len(places[i].values) < len(places[at].values) {
				at = i
			}
		}
		return at
	}
	if len(text) == 1 && text[0] > 0 && len(places[text[0]].values) >= manyWords && s.constants(group, params, text[0]) >= textWords {
		params[text[0]] = true
		text = nil
	}
	if len(text) > 0 {
		return least(text)
	}
	var undecided []int
	for _, i := range rest {
		if places[i].distinct() >= s.minValues(group, i, &places[i]) {
			params[i] = true
		} else {
			undecided = append(undecided, i)
		}
	}
	if len(undecided) > 0 {
		return least(undecided)
	}
	if s.constants(group, params, -1) == 0 { // nothing would be left to say
		for i := range places {
			if len(places[i].values) > 0 && places[i].distinct() > 1 {
				params[i] = false
				return i
			}
		}
	}
	return -1
}

// constants counts the words of the text, one place excepted.
func (s *splitter) constants(group []slot, params []bool, except int) int {
	n := 0
	for i, p := range params {
		if !p && i != except && s.leaves[group[0]].words[i] != "" {
			n++
		}
	}
	return n
}

func (s *splitter) sepBefore(group []slot, i int) string {
	return strings.TrimRight(s.leaves[group[0]].seps[i], " ")
}

// minValues is how many distinct values make a place a parameter; 0 says that it
// looks like a word of the text.
func (s *splitter) minValues(group []slot, i int, p *place) int {
	sep, next := s.sepBefore(group, i), s.leaves[group[0]].tail
	if i+1 < len(s.leaves[group[0]].seps) {
		next = s.leaves[group[0]].seps[i+1]
	}
	names, digits := 0, false
	for _, w := range p.values {
		if looksLikeName(w) {
			names++
		}
		digits = digits || hasDigit(w)
	}
	n := 0
	switch {
	case p.param || digits:
		return 2
	case quoted(sep, next, `"`) || quoted(sep, next, "'"):
		n = 3
	case strings.HasSuffix(sep, ":") || strings.HasSuffix(sep, "[") || strings.HasSuffix(sep, "("):
		n = 4
	case names*2 > len(p.values):
		n = 4
	}
	if n == 4 && names < len(p.values) {
		n = 5
	}
	if i == 0 && n > 0 {
		n += 4 // the first word names what the line is about
	}
	return n
}

func quoted(sep, next, q string) bool { return strings.HasSuffix(sep, q) && strings.HasPrefix(next, q) }
