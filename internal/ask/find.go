package ask

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"
)

// evidence is what the words of a question say about which metric is meant.
type evidence struct {
	s     *snapshot
	words []word
	at    []int // the words that tell something
	in    intent
	norm  string            // the question
	known func(string) bool // whether the knowledge has the word
	// spared is the one word that may be left aside, -1 for any.
	spared int
	// holders are, for the words that are values of labels, the metrics that have them.
	holders map[int]map[string]struct{}
}

// Bounds of the search by label values: each value costs a call, and one that most
// metrics have tells nothing.
const (
	maxLookups = 4
	maxHolders = 2_000
)

// common are labels that most metrics of a fleet have: their values say where, not
// what.
var common = set("cluster namespace pod container node instance job service app endpoint host hostname region env environment name")

// collect gathers the evidence of the words.
func (t *Rules) collect(ctx context.Context, norm string, words []word, in intent) evidence {
	s := t.catalog.now.Load()
	e := evidence{s: s, norm: norm, words: words, at: s.telling(words), in: in, spared: -1, holders: map[int]map[string]struct{}{}}
	e.known = func(w string) bool { _, ok := t.know.weight[w]; return ok }
	for _, n := range t.catalog.findNames(words, t.knows) {
		if len(e.holders) == maxLookups || n.regex != "" {
			continue
		}
		l := slices.IndexFunc(n.labels, func(l string) bool { return !common[l] })
		if l < 0 || slices.ContainsFunc(n.labels, func(l string) bool { return common[l] }) {
			continue
		}
		holders := map[string]struct{}{}
		for _, label := range n.labels[l:min(len(n.labels), l+2)] {
			list, err := t.catalog.Holders(ctx, label, n.value)
			if err != nil || len(list) >= maxHolders {
				continue
			}
			for _, m := range list {
				holders[m] = struct{}{}
			}
		}
		if len(holders) > 0 {
			e.holders[n.at] = holders
			if !slices.Contains(e.at, n.at) {
				e.at = append(e.at, n.at)
			}
		}
	}
	for _, n := range t.catalog.findNames(words, t.knows) { // the words of one name stand for one thing
		if _, holds := e.holders[n.at]; holds && n.to > n.at {
			e.at = slices.DeleteFunc(e.at, func(i int) bool { return n.at < i && i <= n.to })
		}
	}
	slices.Sort(e.at)
	for _, i := range e.at {
		if i+1 < len(words) && words[i+1].start == words[i].end+1 && !e.known(words[i].stem) && len(s.words[words[i].stem]) == 0 {
			e.spared = i
			break
		}
	}
	return e
}

// likely returns the metrics that the evidence is for, the likeliest first.
func (e evidence) likely() []string {
	type hit struct {
		metric string
		score  float64
	}
	var hits []hit
	seen := map[string]bool{}
	look := func(m string) {
		if seen[m] {
			return
		}
		seen[m] = true
		if v := e.likeness(m); v > 0 {
			hits = append(hits, hit{m, v})
		}
	}
	for _, i := range e.at {
		for _, v := range variants(e.words[i].stem) {
			if list := e.s.words[v]; len(list) <= maxNameHits {
				for _, m := range list {
					look(m)
				}
			}
		}
	}
	for _, metrics := range e.holders {
		for m := range metrics {
			look(m)
		}
	}
	slices.SortFunc(hits, func(a, b hit) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(len(a.metric), len(b.metric)), strings.Compare(a.metric, b.metric))
	})
	out := make([]string, 0, maxNamesTried)
	for _, h := range hits[:min(len(hits), maxNamesTried)] {
		out = append(out, h.metric)
	}
	return out
}

// Weights of what holds a word, against its own name: a help text mentions much, a
// value of a label is there or not.
const (
	helpWeight  = 0.5
	valueWeight = 1.2
	spareWeight = 0.3 // of a word of the name that the question does not say
)

// likeness is how much a metric is what the question says: each word weighs by how few
// metrics have it. It is 0 unless name, help, labels and known values may hold all
// words, and the name half of them.
func (e evidence) likeness(metric string) float64 {
	own := nameWords(metric)
	help := strings.ToLower(e.s.metrics[metric].Help)
	covered := make([]bool, len(own))
	hits, needed, others := 0, 0, 0
	score := 0.0
	for _, i := range e.at {
		w := e.words[i]
		holders := e.holders[i]
		_, holds := holders[metric]
		optional := e.optional(w) || holds || e.modifies(i, own)
		if !optional {
			needed++
		}
		if e.s.isLabel(w) || holds {
			others++
		}
		k := slices.IndexFunc(own, func(o string) bool { return sameWord(w.stem, o) || o == w.text || noWords[w.text] && yesWords[o] })
		switch {
		case k >= 0:
			covered[k] = true
			hits++
			score += e.s.rarity(own[k])
		case holds:
			score += valueWeight * e.s.rarity(w.stem)
		case len(holders) > 0:
			score -= e.s.rarity(w.stem)
		case mentions(help, w.stem):
			others++
			score += helpWeight * e.s.rarity(w.stem)
		case !optional:
			return 0
		}
	}
	// A single word of a name of many is no more than a coincidence.
	if hits == 0 && others < 2 || 3*(hits+others) < 2*needed || hits+others < 2 && len(own) > 2 {
		return 0
	}
	for i, c := range covered {
		if !c && !e.saysPart(own[i]) {
			score -= spareWeight * e.s.rarity(own[i])
		}
	}
	return max(score+e.shape(metric)+e.direction(metric)+e.part(metric), 0.001)
}

// modifies reports whether word i only says of which sort the word behind it is, which the name has: "money transfers".
// The name of a system is more than that.
func (e evidence) modifies(i int, own []string) bool {
	if i+1 >= len(e.words) || e.words[i+1].start != e.words[i].end+1 || e.spared >= 0 && e.spared != i || e.known(e.words[i].stem) {
		return false
	}
	return len(e.at) > 2 && slices.ContainsFunc(own, func(o string) bool { return sameWord(e.words[i+1].stem, o) })
}

// optional reports whether a metric need not hold the word.
func (e evidence) optional(w word) bool {
	_, kind := kindWords[w.stem]
	_, value := e.s.values[w.text]
	return kind || value || soft[w.stem] || soft[w.text] || noWords[w.text] || yesWords[w.text] || outcomeWords[w.stem] || unitWords[w.stem] || e.s.isLabel(w)
}

// shape prefers the parts of histograms that the question needs.
func (e evidence) shape(metric string) float64 {
	histogram := strings.HasSuffix(metric, "_bucket")
	switch {
	case e.in.quantile > 0 && histogram:
		return 2
	case e.in.quantile > 0:
		return -2
	case strings.HasSuffix(metric, "_count") || strings.HasSuffix(metric, "_sum"):
		return -0.01 // the histogram says more
	}
	return 0
}

var (
	reSaysFree  = regexp.MustCompile(`\b(?:free|available|left|remaining|unused|spare|idle|run(?:s|ning)? out|full)\b`)
	reSaysUsed  = regexp.MustCompile(`\b(?:used|usage|use|using|occupied|occupy|occupies|taken|busy|active|current|consumed|open|connected)\b`)
	reSaysLimit = regexp.MustCompile(`\b(?:max|maximum|limit|limits|capacity|quota|total|size|allowed|desired|wanted|expected)\b`)
)

// saysPart reports whether a word of a name is for what is left, used or the most, and the question says so in its own words.
func (e evidence) saysPart(own string) bool {
	return freeWords[own] && reSaysFree.MatchString(e.norm) || usedWords[own] && reSaysUsed.MatchString(e.norm) || limitWords[own] && reSaysLimit.MatchString(e.norm)
}

// part prefers the metric for what there is left, what is used or what there is at most, as the question says.
func (e evidence) part(metric string) float64 {
	switch kind := roleOf(metric).kind; {
	case kind == "free":
		return sign(reSaysFree.MatchString(e.norm)) * 0.8
	case kind == "used" && reSaysUsed.MatchString(e.norm):
		return 0.5
	case kind == "limit" && !e.s.isCounter(metric):
		return sign(reSaysLimit.MatchString(e.norm)) * 0.5
	}
	return 0
}

// inWords and outWords say which way something goes, in questions and in names.
var (
	inWords  = set("in incoming inbound received receive rx ingress download downloaded arriving recv read")
	outWords = set("out outgoing outbound sent send transmit transmitted tx egress upload uploaded leaving written write")
)

// direction prefers the metric of the way that the question speaks of.
func (e evidence) direction(metric string) float64 {
	in, out := false, false
	for i, w := range e.words {
		in = in || inWords[w.text] && w.text != "in" || w.text == "in" && i > 0 && (e.words[i-1].text == "coming" || e.words[i-1].text == "going" || e.words[i-1].stem == "byte")
		out = out || outWords[w.text]
	}
	score := 0.0
	for _, o := range strings.Split(strings.ToLower(metric), "_") {
		if inWords[o] && in != out {
			score += sign(in)
		}
		if outWords[o] && in != out {
			score += sign(out)
		}
	}
	return score
}

func sign(yes bool) float64 {
	if yes {
		return 1
	}
	return -1
}

// mentions reports whether a help text has the word, or its root.
func mentions(help, w string) bool {
	return help != "" && (strings.Contains(help, w) || len(root(w)) > 4 && strings.Contains(help, root(w)))
}

// unitWords name what values are measured in, or how they are to be shown.
var unitWords = set(`gigabyte megabyte kilobyte terabyte gibibyte mebibyte gig meg bit megabit gigabit kilobit mbit gbit euro dollar cent usd eur degree celsius fahrenheit watt volt amp joule core
	millisecond microsecond nanosecond mbit/s gbit/s mbps gbps kbps rps qps ratio percentile quantile mib/s gib/s kib/s req/s`)
