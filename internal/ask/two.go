package ask

import (
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
)

// Questions that take two metrics and want no ratio: what is left where only what is used and what there is are measured,
// and what is beyond a bound that is a metric itself.

// spare makes the concept what is left, where it is of what is used of something and a question asks for what is free.
func (c *concept) spare(s *snapshot, norm string) bool {
	if c.Gauge == "" || !reFree.MatchString(norm) || reSaysUsed.MatchString(norm) || strings.ContainsAny(c.Gauge, "{( ") {
		return false
	}
	var used, limit string
	switch s.roleOf(c.Gauge).kind {
	case "used":
		used, limit = c.Gauge, s.partner(c.Gauge, "limit")
	case "limit":
		used, limit = s.partner(c.Gauge, "used"), c.Gauge
	}
	if used == "" || limit == "" || s.partner(limit, "free") != "" {
		return false
	}
	c.Gauge, c.Minus, c.Name = limit, used, "free of "+strings.ReplaceAll(limit, "_", " ")
	return true
}

// remainder builds what is left of all there is.
func (b *builder) remainder() parser.Expr {
	if b.dims == nil && len(b.m.names) == 0 && !b.in.count && b.in.agg == "" {
		b.dims = b.known(b.m.c.By)
	}
	return binary("-", aggregate(parser.SUM, b.parse(b.m.c.Gauge), b.dims), aggregate(parser.SUM, b.parse(b.m.c.Minus), b.dims))
}

// reThan sets a value against a bound that has a name: "below their reorder level".
var reThan = regexp.MustCompile(`\b(?:(below|under|beneath|less than|fewer than|lower than|short of)|(?:is |are )?(?:above|over|more than|greater than|higher than|exceeds?|exceeding|beyond|past)) (?:its|their|the) (?:own )?([a-z]+(?: [a-z]+)?)`)

// than makes the concept, whose metric is a bound that the question names, a comparison with the metric that is bounded: the
// one of the same name without the words for the bound.
func (c *concept) than(s *snapshot, norm string) bool {
	m := reThan.FindStringSubmatch(norm)
	if m == nil || c.Gauge == "" || strings.ContainsAny(c.Gauge, "{( ") {
		return false
	}
	own := nameWords(c.Gauge)
	said := 0
	for _, w := range strings.Fields(m[2]) {
		if slices.ContainsFunc(own, func(o string) bool { return sameWord(stem(w), o) }) {
			said++
		}
	}
	if said == 0 {
		return false
	}
	least := s.bounded(c.Gauge, strings.Fields(m[2]))
	if least == "" {
		return false
	}
	c.Per, c.Gauge, c.Than, c.Unit, c.Agg = c.Gauge, least, ">", "", ""
	if m[1] != "" {
		c.Than = "<"
	}
	return true
}

// bounded finds the gauge whose name is that of a bound without the words that name the bound; "" is none.
func (s *snapshot) bounded(bound string, words []string) string {
	own := roleOf(bound).core
	rest := slices.DeleteFunc(slices.Clone(own), func(o string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return sameWord(stem(w), o) })
	})
	first, _, _ := strings.Cut(strings.ToLower(bound), "_")
	best := ""
	list := s.words[stem(first)]
	for _, m := range list[:min(len(list), maxPairs)] {
		if m == bound || s.isCounter(m) || strings.HasSuffix(m, "_bucket") || strings.HasSuffix(m, "_info") {
			continue
		}
		if core := roleOf(m).core; slices.Equal(core, rest) && (best == "" || len(m) < len(best) || len(m) == len(best) && m < best) {
			best = m
		}
	}
	return best
}

// against builds the comparison of a value with its bound, for each thing.
func (b *builder) against() parser.Expr {
	c := b.m.c
	if b.dims == nil || !b.explicit {
		b.dims = b.known(c.By)
	}
	return binary(c.Than, aggregate(parser.SUM, b.parse(c.Gauge), b.dims), aggregate(parser.SUM, b.parse(c.Per), b.dims))
}

// asShare makes a ratio of a plain value where a part of a whole is asked for and a metric for the whole goes with it.
func (b *builder) asShare() {
	c := b.m.c
	percent := b.in.threshold != nil && b.in.threshold.percent || b.in.unit == "percent" || b.in.unit == "percentage" || b.in.unit == "%"
	if !percent || c.Gauge == "" || c.Per != "" || c.Plus != "" || c.Unit == "ratio" || c.Unit == "percent" {
		return
	}
	ratio := *c
	if !ratio.pair(b.t.catalog.now.Load(), false, reFree.MatchString(b.text)) {
		return
	}
	ratio.Say, ratio.phrases, ratio.roots, ratio.metrics = nil, nil, nil, nil
	if ratio.prepare() == nil {
		b.m.c = &ratio
	}
}
