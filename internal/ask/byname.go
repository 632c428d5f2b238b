package ask

import (
	"context"
	"slices"
	"strings"
)

// Metrics that no file of the knowledge names are found by the words of their names
// and help texts, and treated by their type: a counter gets a rate, a histogram a
// quantile, a gauge is taken as it is.

// hollow are words of metric names that say what a metric is, not what it is about.
var hollow = set(`bucket sum count total info seconds second bytes byte ratio percent created number num value status state name ms milliseconds max min avg
	current last a of in the by per timestamp`)

// indexNames maps the words of metric names to the metrics.
func (s *snapshot) indexNames() {
	s.words = map[string][]string{}
	for m := range s.metrics {
		for _, w := range nameWords(m) {
			s.words[w] = append(s.words[w], m)
		}
	}
}

// nameWords cuts the name of a metric into stems, each once.
func nameWords(metric string) []string {
	var out []string
	for _, w := range strings.FieldsFunc(strings.ToLower(metric), func(r rune) bool { return r == '_' || r == ':' || r == '.' }) {
		if w = stem(w); len(w) > 1 && !hollow[w] && !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

// maxNameHits bounds how many metrics of one word are looked at: a word of more
// metrics than that tells nothing.
const maxNameHits = 5_000

// byName makes a concept of the metric whose name, with its help text, holds all
// words of the question that say something; nil if there is none. Names of things
// may be left over: the metric's labels must know them.
func (t *Rules) byName(ctx context.Context, words []word) (*concept, []int) {
	s := t.catalog.now.Load()
	for i, w := range words { // named outright
		if _, ok := s.metrics[w.text]; ok && strings.ContainsAny(w.text, "_:") {
			return t.conceptOf(ctx, s, w.text), []int{i}
		}
	}
	var at []int
	for i, w := range words {
		if _, kind := kindWords[w.stem]; w.used || kind || stopWords[w.text] || stopWords[w.stem] || isNumber(w.text) || len(w.text) < 2 || t.catalog.isValue(w.text) && len(s.words[w.stem]) == 0 {
			continue
		}
		at = append(at, i)
	}
	var rare []string
	for _, i := range at {
		if hits := s.words[words[i].stem]; len(hits) > 0 && len(hits) <= maxNameHits && (rare == nil || len(hits) < len(rare)) {
			rare = hits
		}
	}
	best, score := "", 0.0
	for _, m := range rare {
		if v := s.likeness(m, words, at); v > score || v == score && v > 0 && m < best {
			best, score = m, v
		}
	}
	if best == "" {
		return nil, nil
	}
	return t.conceptOf(ctx, s, best), at
}

// likeness is the share of a metric's words that the question says, 0 unless name
// and help know all words of the question, and the name half of them.
func (s *snapshot) likeness(metric string, words []word, at []int) float64 {
	own := nameWords(metric)
	help := strings.ToLower(s.metrics[metric].Help)
	in := 0
	for _, i := range at {
		switch {
		case slices.Contains(own, words[i].stem):
			in++
		case !strings.Contains(help, words[i].stem):
			return 0
		}
	}
	// A single word of a name of many is no more than a coincidence.
	if 2*in < len(at) || in < 2 && len(own) > 2 {
		return 0
	}
	v := float64(in) / float64(max(1, len(own)))
	if strings.HasSuffix(metric, "_count") || strings.HasSuffix(metric, "_sum") {
		v -= 0.01 // the histogram says more
	}
	return v
}

// conceptOf describes a metric by its type, or by its name where none is told.
func (t *Rules) conceptOf(ctx context.Context, s *snapshot, metric string) *concept {
	m := s.metrics[metric]
	c := &concept{Name: strings.ReplaceAll(metric, "_", " "), Unit: m.Unit}
	base, isBucket := strings.CutSuffix(metric, "_bucket")
	switch {
	case isBucket:
		c.Histogram = base
	case m.Type == "counter" || strings.HasSuffix(metric, "_total") || strings.HasSuffix(metric, "_count") || strings.HasSuffix(metric, "_sum"):
		c.Counter = metric
	default:
		c.Gauge = metric
	}
	for suffix, unit := range map[string]string{"_seconds": "seconds", "_bytes": "bytes", "_ratio": "ratio", "_celsius": "celsius", "_percent": "percent"} {
		if name := strings.TrimSuffix(strings.TrimSuffix(metric, "_bucket"), "_total"); c.Unit == "" && strings.HasSuffix(name, suffix) {
			c.Unit = unit
		}
	}
	if c.Unit == "ratio" || c.Unit == "percent" || c.Unit == "celsius" {
		c.Agg = "avg"
	}
	has, err := t.catalog.LabelsOf(ctx, metric)
	if err != nil {
		return nil
	}
	for _, l := range labelOrder {
		if len(c.By) < 4 && slices.Contains(has, l) && !unnamed[l] && l != "job" {
			c.By = append(c.By, l)
		}
	}
	if err := c.prepare(); err != nil {
		return nil // a name that only quotes can hold
	}
	return c
}
