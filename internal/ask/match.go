package ask

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// candidate is a concept that a question may mean.
type candidate struct {
	c      *concept
	score  float64
	taken  []int // words that its phrase took
	names  []name
	missed []name            // names that its metrics do not know
	joined []*labels.Matcher // names that only kube_pod_info knows
}

// match returns the concepts that the words may mean, the best first. Only concepts
// whose metrics exist are returned.
func (t *Rules) match(ctx context.Context, norm string, words []word, in intent) ([]candidate, error) {
	names := t.catalog.findNames(words, t.knows)
	kinds := impliedKinds(names)
	var out []candidate
	for _, c := range t.know.concepts {
		score, taken := t.phraseScore(c, words, kinds)
		if score == 0 || !t.available(c) {
			continue
		}
		out = append(out, candidate{c: c, score: score + t.kindScore(c, words, taken) - t.uncovered(words, taken) - t.elsewhere(c, words, taken), taken: taken})
	}
	slices.SortStableFunc(out, byScore)
	if len(out) > maxCandidates {
		out = out[:maxCandidates]
	}
	for i := range out {
		if err := t.placeNames(ctx, &out[i], names); err != nil {
			return nil, err
		}
		if in.threshold != nil && in.threshold.percent && out[i].c.Unit != "ratio" && out[i].c.Per == "" {
			out[i].score -= 1.5
		}
		if (in.unit == "percent" || in.unit == "percentage" || in.unit == "%") && out[i].c.Unit != "ratio" && out[i].c.Per == "" {
			out[i].score--
		}
		if noun := listed(norm); noun != "" && !slices.ContainsFunc(kindWords[noun], func(l string) bool { return slices.Contains(out[i].c.By, l) }) {
			out[i].score = min(out[i].score, 0) // these things are to be listed, not counted for others
		}
		if onlyGroups(words, out[i].taken) {
			out[i].score = max(out[i].score-2, min(out[i].score, 0.1)) // better than nothing
		}
		if in.rank != 0 && out[i].c.inventory {
			out[i].score -= 2 // the busiest of them is so by something else than that it is there
		}
		out[i].score += t.scope(&out[i], words)
		if in.quantile > 0 && out[i].c.Histogram == "" {
			out[i].score -= 4
		}
		out[i].score += t.grouping(ctx, norm, words, in, out[i])
	}
	slices.SortStableFunc(out, byScore)
	return out, nil
}

var reListed = regexp.MustCompile(`^(?:please )?(?:list|name)(?: me)?(?: all)?(?: of)?(?: the)? ([a-z]+s) (?:that|which|who)\b`)

// listed returns the kind of thing that a question wants a list of; "" if it wants none.
func listed(norm string) string {
	m := reListed.FindStringSubmatch(norm)
	if m == nil || kindWords[stem(m[1])] == nil {
		return ""
	}
	return stem(m[1])
}

// grouping prefers the concepts whose metrics have the labels that the answer is wanted by: "by ingress" is not for
// metrics of services.
func (t *Rules) grouping(ctx context.Context, norm string, words []word, in intent, m candidate) float64 {
	b := builder{ctx: ctx, t: t, m: m, in: in, words: words, text: norm}
	s := 0.0
	for i, w := range words {
		_, kind := kindWords[w.stem]
		if w.used || !kind || slices.ContainsFunc(m.names, func(n name) bool { return n.at == i }) || !b.introduced(i) {
			continue
		}
		if b.labelOf(w) == "" {
			s -= 1.5
		} else {
			s += 0.4
		}
	}
	return s
}

// nodeLabels are the labels of machines.
var nodeLabels = func() map[string]bool {
	m := map[string]bool{}
	for _, l := range [...]string{"node", "host", "instance"} {
		for _, a := range alikeTo(l) {
			m[a] = a != "name"
		}
	}
	return m
}()

// scope prefers concepts of machines where a machine is named, and ratios where a utilization is asked for.
func (t *Rules) scope(m *candidate, words []word) float64 {
	s := 0.0
	if slices.ContainsFunc(m.names, func(n name) bool {
		return !slices.ContainsFunc(n.labels, func(l string) bool { return !nodeLabels[l] })
	}) {
		if slices.Contains(m.c.Of, "node") {
			s += 0.8
		} else if slices.Contains(m.c.By, "pod") {
			s -= 0.4
		}
	}
	if slices.ContainsFunc(words, func(w word) bool { return w.stem == "utilization" }) && (m.c.Unit == "ratio" || m.c.Unit == "percent") {
		s += 0.8
	}
	return s
}

// onlyGroups reports whether all that was taken is what the answer is wanted by: "per
// node" does not ask for nodes.
func onlyGroups(words []word, taken []int) bool {
	return len(taken) > 0 && !slices.ContainsFunc(taken, func(i int) bool {
		if _, kind := kindWords[words[i].stem]; !kind || i == 0 {
			return true
		}
		switch words[i-1].text {
		case "by", "per", "each", "every", "across":
			return false
		}
		return true
	})
}

// maxCandidates is how many concepts are looked at closely: each may cost calls.
const maxCandidates = 16

func byScore(a, b candidate) int {
	switch {
	case a.score > b.score:
		return -1
	case a.score < b.score:
		return 1
	}
	return strings.Compare(a.c.Name, b.c.Name)
}

func (t *Rules) available(c *concept) bool {
	for _, m := range c.metrics {
		if !t.catalog.Has(m) {
			return false
		}
	}
	return true
}

// machines are what people call nodes.
var machines = set("host machine server worker box vm")

// kindWeight is what a noun for a kind of thing weighs in a phrase: it tells less
// than what is said of the things.
const kindWeight = 1.1

// impliedWeight is what the noun weighs that a name stands for: "thumbnail-gc" is a cronjob.
const impliedWeight = 0.3

// impliedKinds are the kinds of thing that the names are of, as far as they are certain.
func impliedKinds(names []name) map[string]bool {
	out := map[string]bool{}
	for _, n := range names {
		if len(n.labels) > 2 {
			continue // the name of a program is that of its service, deployment, container, …
		}
		for _, l := range n.labels {
			out[l] = true
			switch l {
			case "persistentvolumeclaim":
				out["pvc"], out["volume"], out["claim"] = true, true, true
			case "horizontalpodautoscaler":
				out["hpa"], out["autoscaler"] = true, true
			case "consumergroup":
				out["group"] = true
			}
		}
	}
	return out
}

// rootPenalty is what a word counts less of which only the root is the same.
const rootPenalty = 0.85

// find returns the word that is one of the alternatives: as it is, else by its root.
func find(words []word, alt, roots []string) (i int, same bool) {
	i = slices.IndexFunc(words, func(w word) bool {
		return slices.Contains(alt, w.stem) || slices.Contains(alt, w.text) || machines[w.stem] && slices.Contains(alt, "node")
	})
	if i >= 0 {
		return i, true
	}
	return slices.IndexFunc(words, func(w word) bool {
		_, kind := kindWords[w.stem]
		return !kind && len(w.stem) > 4 && w.root != "" && slices.Contains(roots, w.root)
	}), false
}

// phraseScore returns the weight of the best phrase of the concept that the words
// hold whole, and which words it took. kinds are nouns that need not be said.
func (t *Rules) phraseScore(c *concept, words []word, kinds map[string]bool) (best float64, taken []int) {
	for p, phrase := range c.phrases {
		var at []int
		score := 0.0
		for k, alt := range phrase {
			i, same := find(words, alt, c.roots[p][k])
			if i < 0 && len(at)+len(phrase) > k+1 && slices.ContainsFunc(alt, func(a string) bool { return kinds[a] }) {
				score += impliedWeight
				continue
			}
			if i < 0 {
				at = nil
				break
			}
			if !slices.Contains(at, i) {
				at = append(at, i)
				w := 0.0
				for _, a := range alt {
					w = max(w, t.know.weight[a])
				}
				if _, kind := kindWords[words[i].stem]; kind {
					w = min(w, kindWeight)
				}
				if !same {
					w *= rootPenalty
				}
				score += w
			}
		}
		if at == nil {
			continue
		}
		slices.Sort(at)
		score += 0.2 * float64(len(at)-1) // what says more is meant more likely
		if span := at[len(at)-1] - at[0] + 1; span == len(at) {
			score += 0.3
		}
		if score > best {
			best, taken = score, at
		}
	}
	return best, taken
}

// uncovered weighs the words of the knowledge that the phrase leaves aside: a
// question for the inodes of a filesystem is not one for its space.
func (t *Rules) uncovered(words []word, taken []int) float64 {
	s := 0.0
	for i, w := range words {
		if _, kind := kindWords[w.stem]; kind || slices.Contains(taken, i) || stopWords[w.text] || t.catalog.isValue(w.text) || reStatus.MatchString(w.text) {
			continue
		}
		s += 0.6 * t.know.weight[w.stem]
	}
	return s
}

// elsewhere weighs the systems that the question names and the concept is not of: the hit ratio
// of coredns is not that of redis. A system is what the names of several metrics
// begin with.
func (t *Rules) elsewhere(c *concept, words []word, taken []int) float64 {
	systems := t.catalog.now.Load().systems
	s := 0.0
	for i, w := range words {
		if slices.Contains(taken, i) || stopWords[w.text] || systems[w.stem] < 2 || kindWords[w.stem] != nil || t.catalog.isValue(w.text) {
			continue
		}
		if !slices.ContainsFunc(c.metrics, func(m string) bool { return strings.Contains(strings.ToLower(m), w.stem) }) {
			s += 2
		}
	}
	return s
}

// kindScore prefers concepts about the kind of thing that the question names.
func (t *Rules) kindScore(c *concept, words []word, taken []int) float64 {
	s := 0.0
	for i, w := range words {
		ls, ok := kindWords[w.stem]
		if !ok || slices.Contains(taken, i) {
			continue
		}
		switch {
		case slices.Contains(c.Of, w.stem):
			s++
		case slices.ContainsFunc(ls, func(l string) bool { return slices.Contains(c.By, l) }):
			s += 0.6
		default:
			s -= 0.5
		}
	}
	return s
}

// tells reports whether the name is a value of a label of the concept's metric that says how things end.
func (t *Rules) tells(ctx context.Context, c *concept, n name) bool {
	if len(c.metrics) != 1 || c.Counter == "" || strings.Contains(c.Counter, "{") {
		return false
	}
	mt, err := t.catalog.matcher(ctx, n, c.metrics[0], c.Prefer)
	return err == nil && mt != nil && ended[mt.Name] && mt.Type == labels.MatchEqual
}

// placeNames finds out which names of the question the concept's metrics know.
func (t *Rules) placeNames(ctx context.Context, m *candidate, names []name) error {
	for _, n := range names {
		if slices.Contains(m.taken, n.at) && n.to == 0 {
			if n.regex == "" && !n.not && t.tells(ctx, m.c, n) {
				m.names = append(m.names, n) // what the phrase was found by tells which of them
			}
			continue
		}
		known := false
		for _, metric := range m.c.metrics {
			mt, err := t.catalog.matcher(ctx, n, metric, m.c.Prefer)
			if err != nil {
				return err
			}
			known = known || mt != nil
		}
		if known {
			m.names = append(m.names, n)
			m.score += 0.8
		} else {
			m.missed = append(m.missed, n)
			m.score -= 3.5
		}
	}
	return nil
}
