package ask

import (
	"regexp"
	"slices"
	"strings"
)

// partLabels are the labels whose values people call by a part of them: "the edge hosts" are edge-fra1 and
// edge-fra2, "the eu clusters" prod-eu1 and prod-eu2.
var partLabels = func() []string {
	out := slices.Clone(wholes)
	for _, l := range [...]string{"node", "host", "instance"} {
		for _, a := range alikeTo(l) {
			if !slices.Contains(out, a) && a != "name" && a != "node_exporter" {
				out = append(out, a)
			}
		}
	}
	return append(out, "deployment", "statefulset", "service", "service_name", "app", "queue", "topic", "proxy", "backend", "ingress")
}()

// maxParts bounds how many values of a label are cut into parts: where there are more, nobody knows their
// names by heart.
const maxParts = 2_000

// indexParts cuts the names of clusters, machines and programs into the parts that people say.
func (s *snapshot) indexParts() {
	s.parts = map[string]map[string][]string{}
	for _, l := range partLabels {
		values := s.known[l]
		if len(values) == 0 || len(values) > maxParts {
			continue
		}
		parts := map[string][]string{}
		for _, v := range values {
			for _, part := range partsOf(v) {
				for _, p := range [...]string{part, strings.TrimRight(part, "0123456789")} {
					if p != "" && !slices.Contains(parts[p], v) {
						parts[p] = append(parts[p], v)
					}
				}
			}
		}
		s.parts[l] = parts
	}
}

// partName takes a word for the things that have it in their name: of the labels, the first where it tells
// some from the others.
func (c *Catalog) partName(word string, ls []string) (name, bool) {
	if len(word) < 2 {
		return name{}, false
	}
	now := c.now.Load()
	for _, l := range ls {
		hits := slices.Clone(now.parts[l][word])
		if alias := aliases[word]; alias != "" {
			hits = append(hits, now.parts[l][alias]...)
		}
		slices.Sort(hits)
		hits = slices.Compact(hits)
		if all := len(now.known[l]); len(hits) == 0 || len(hits) == all && all > 1 || len(hits) > maxUnion {
			continue
		}
		if len(hits) == 1 {
			return name{value: hits[0], labels: []string{l}}, true
		}
		for i := range hits {
			hits[i] = regexp.QuoteMeta(hits[i])
		}
		return name{regex: strings.Join(hits, "|"), labels: []string{l}}, true
	}
	return name{}, false
}

// partAt takes a word that nothing else is known about for a part of names: of the kind of thing beside it, or
// of anything.
func (c *Catalog) partAt(words []word, i int, known func(string) bool) (name, bool) {
	w := words[i]
	if n, ok := c.partName(w.text, wholes); ok {
		return n, ok
	}
	if len(w.text) < 3 || strings.Trim(w.text, "0123456789.:%") == "" {
		return name{}, false
	}
	if hint := hintAt(words, i); hint != "" {
		var ls []string
		for _, l := range kindWords[hint] {
			if slices.Contains(partLabels, l) {
				ls = append(ls, l)
			}
		}
		if n, ok := c.partName(w.text, ls); ok && !stopWords[w.text] && !soft[w.text] {
			return n, true
		}
	}
	if known(w.text) || known(w.stem) {
		return name{}, false
	}
	return c.partName(w.text, partLabels)
}
