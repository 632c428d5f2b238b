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
	return append(out, "target", "url", "deployment", "statefulset", "service", "service_name", "app", "queue", "topic", "proxy", "backend", "ingress")
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
			for _, part := range append(partsOf(v), piecesOf(v)...) {
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

// piecesOf cuts a name where an address or a scope is joined to it: "shop@docker" is called shop, and
// https://shop.example.com/login shop.example.com.
func piecesOf(v string) []string {
	return strings.FieldsFunc(strings.ToLower(v), func(r rune) bool { return r == '@' || r == ':' || r == '/' || r == ' ' })
}

// maxStates bounds how many values a label has that tells of states.
const maxStates = 40

// indexStates maps the roots of the values that tell how things are or end: an approval rate is of what was
// approved.
func (s *snapshot) indexStates() {
	s.rooted = map[string]named{}
	for l, values := range s.known {
		if len(values) > maxStates || !outcome[l] && !stateLabels[l] && l != "response" && l != "decision" && l != "verdict" {
			continue
		}
		for _, v := range values {
			low := strings.ToLower(v)
			if r := root(low); len(r) >= 5 && strings.Trim(low, "abcdefghijklmnopqrstuvwxyz") == "" {
				n := s.rooted[r]
				if n.cased == "" || n.cased == v {
					n.cased = v
					n.labels = append(n.labels, l)
					s.rooted[r] = n
				}
			}
		}
	}
	for r, n := range s.rooted {
		slices.Sort(n.labels)
		s.rooted[r] = n
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
	if n, ok := c.now.Load().rooted[root(w.stem)]; ok {
		return name{value: n.cased, labels: n.labels}, true
	}
	return c.partName(w.text, partLabels)
}
