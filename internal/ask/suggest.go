package ask

import (
	"cmp"
	"slices"
	"strings"
)

// maxSuggested bounds what Suggest looks at of each kind.
const maxSuggested = 200

// Suggest completes a question that is being typed: with things that can be asked for
// here and now, with names that the servers know, and with metrics that no knowledge
// file names. The likeliest come first, at most limit; text may be empty. It asks no
// server.
func (t *Rules) Suggest(text string, limit int) []string {
	text = strings.TrimLeft(text, " \t\n")
	if len(text) > maxQuestionBytes || limit <= 0 {
		return nil
	}
	at := strings.LastIndexByte(text, ' ') + 1
	var names []string
	if last := strings.ToLower(text[at:]); len(last) > 1 {
		names = t.suggestNames(last)
	}
	things := t.suggestConcepts(text)
	things = things[:min(len(things), max(limit-len(names), (limit+1)/2))] // half for each, where both have enough
	out := things
	for _, n := range names {
		if s := text[:at] + n; len(out) < limit && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// suggestConcepts returns what the knowledge can answer from the metrics that exist:
// that with most of the words first, the last of them as far as it is typed.
func (t *Rules) suggestConcepts(text string) []string {
	if t.catalog == nil {
		return nil
	}
	words := strings.Fields(strings.ToLower(text))
	type hit struct {
		name  string
		score int
	}
	var hits []hit
	for _, c := range t.know.concepts {
		if !t.available(c) {
			continue
		}
		score := 0
		for _, w := range words {
			if len(w) > 1 && (strings.Contains(strings.ToLower(c.Name), w) || slices.ContainsFunc(c.Say, func(s string) bool { return strings.Contains(s, w) })) {
				score++
			}
		}
		if score > 0 || len(words) == 0 {
			hits = append(hits, hit{c.Name, score})
		}
	}
	slices.SortStableFunc(hits, func(a, b hit) int { return cmp.Compare(b.score, a.score) })
	out := make([]string, 0, len(hits))
	for _, h := range hits {
		out = append(out, h.name)
	}
	return out
}

// suggestNames returns the label values and metrics that begin with the lower-case
// text, the shortest first, at most maxSuggested of what may be a million.
func (t *Rules) suggestNames(begin string) []string {
	var best []string
	add := func(name string) {
		at, found := slices.BinarySearchFunc(best, name, func(a, b string) int {
			return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
		})
		if found || at == maxSuggested {
			return
		}
		best = slices.Insert(best[:min(len(best), maxSuggested-1)], at, name)
	}
	if t.catalog != nil {
		s := t.catalog.now.Load()
		for low, n := range s.values {
			if strings.HasPrefix(low, begin) {
				add(n.cased)
			}
		}
		for m := range s.metrics {
			if strings.HasPrefix(m, begin) {
				add(m)
			}
		}
	}
	if t.logs != nil {
		for low := range t.logs.exact {
			if strings.HasPrefix(low, begin) {
				add(t.logs.cased[low])
			}
		}
	}
	return best
}
