package ask

import (
	"cmp"
	"context"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// Metrics that no file of the knowledge names are found by the words of their names
// and help texts, and treated by their type: a counter gets a rate, a histogram a
// quantile, a gauge is taken as it is.

// hollow are words of metric names that say what a metric is, not what it is about.
var hollow = set(`bucket sum count total info seconds second bytes byte ratio percent created number num value status state name ms milliseconds max min avg
	current last a of in the by per timestamp`)

// indexNames maps the words of metric names, and their roots, to the metrics.
func (s *snapshot) indexNames() {
	s.words, s.systems = map[string][]string{}, map[string]int{}
	for m := range s.metrics {
		for _, w := range nameWords(m) {
			s.words[w] = append(s.words[w], m)
			if r := root(w); r != w {
				s.words[r] = append(s.words[r], m)
			}
		}
		if first, _, ok := strings.Cut(strings.ToLower(m), "_"); ok && len(first) > 2 && !hollow[first] {
			s.systems[first]++
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

// endings are what verbs and nouns of one root differ in.
var endings = []string{"ations", "ation", "ptions", "ption", "ements", "ement", "ions", "ion", "ures", "ure", "ings", "ing", "ers", "er", "ed", "es", "e", "s"}

// root cuts the ending of a word, so that failed and failure, evicted and evictions
// are alike; four letters are left.
func root(w string) string {
	for _, e := range endings {
		if r, ok := strings.CutSuffix(w, e); ok && len(r) >= 4 {
			return r
		}
	}
	return w
}

// synonyms are what people say and what metrics are named with.
var synonyms = map[string][]string{
	"request": {"rq", "req", "call", "hit"}, "call": {"request", "rpc", "rq"}, "hit": {"request"}, "connection": {"conn", "cx", "session"}, "conn": {"connection"},
	"session": {"connection"}, "latency": {"duration", "time", "latencie"}, "duration": {"latency", "time"}, "slow": {"duration", "latency"}, "slowest": {"duration", "latency"},
	"error": {"err", "failure", "failed", "fail", "exception"}, "failure": {"error", "failed", "fail"}, "failed": {"failure", "error", "fail"}, "failing": {"failure", "failed", "error", "fail"},
	"memory": {"mem", "ram"}, "mem": {"memory"}, "ram": {"memory", "mem"}, "temperature": {"temp", "celsius"}, "hottest": {"temperature", "temp", "celsius"}, "hot": {"temperature", "temp", "celsius"},
	"received": {"rx", "receive", "in"}, "sent": {"tx", "transmit", "send", "out"}, "inbound": {"rx", "receive", "in"}, "outbound": {"tx", "transmit", "out"},
	"queued": {"queue", "pending", "waiting"}, "waiting": {"pending", "queue", "ready"}, "pending": {"waiting", "queue"}, "backlog": {"queue", "pending", "lag", "depth"},
	"disk": {"fs", "filesystem", "storage"}, "lag": {"behind", "delay"}, "message": {"msg"}, "transaction": {"txn", "xact", "tx"}, "row": {"tup", "tuple", "record"}, "tuple": {"tup", "row"},
	"operation": {"op", "ops"}, "replica": {"slave", "secondary"}, "slave": {"replica"}, "log": {"logback", "logging"}, "throughput": {"bytes", "rate"}, "traffic": {"request", "bytes"},
	"redeemed": {"redemption"}, "signup": {"registration", "sign"}, "registered": {"registration"}, "purchase": {"order", "sale"}, "bought": {"order", "purchase"}, "sold": {"sale"},
	"gen": {"generation"}, "utilization": {"util", "usage", "used"}, "power": {"watt", "watts"}, "retry": {"retrie", "retries"}, "timeout": {"timedout", "timed"}, "cancelled": {"canceled", "cancellation"},
	"user": {"client", "account"}, "worker": {"process", "thread"}, "job": {"task"}, "task": {"job"}, "size": {"bytes", "length"}, "length": {"size", "depth"}, "depth": {"size", "length"},
	"healthy": {"health", "up"}, "version": {"build"}, "db": {"database"}, "database": {"db"}, "config": {"configuration"}, "auth": {"authentication", "authorization", "login"}, "login": {"auth", "signin"},
}

// outcomeWords ask how things ended; a label may answer them where the name does not.
var outcomeWords = set(`error errors failed failing failure failures fail fails success successful succeeded`)

// maxNameHits bounds how many metrics of one word are looked at: a word of more
// metrics than that tells nothing.
const maxNameHits = 5_000

// maxNamesTried is how many metrics are looked at closely: each costs calls.
const maxNamesTried = 6

// byName makes concepts of the metrics whose names, with their help texts, hold the
// words of the question that say something, the likeliest first. Names of things
// and labels may be left over: the metric's labels must know them.
func (t *Rules) byName(ctx context.Context, words []word, in intent) ([]*concept, []int) {
	s := t.catalog.now.Load()
	for i, w := range words { // named outright
		if _, ok := s.metrics[w.text]; ok && strings.ContainsAny(w.text, "_:") {
			return []*concept{t.conceptOf(ctx, s, w.text, words)}, []int{i}
		}
	}
	at := s.telling(words)
	type hit struct {
		metric string
		score  float64
	}
	var hits []hit
	seen := map[string]bool{}
	for _, i := range at {
		for _, v := range variants(words[i].stem) {
			list := s.words[v]
			if len(list) > maxNameHits {
				continue
			}
			for _, m := range list {
				if seen[m] {
					continue
				}
				seen[m] = true
				if v := s.likeness(m, words, at, in); v > 0 {
					hits = append(hits, hit{m, v})
				}
			}
		}
	}
	slices.SortFunc(hits, func(a, b hit) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(len(a.metric), len(b.metric)), strings.Compare(a.metric, b.metric))
	})
	var out []*concept
	for _, h := range hits[:min(len(hits), maxNamesTried)] {
		if c := t.conceptOf(ctx, s, h.metric, words); c != nil {
			out = append(out, c)
		}
	}
	return out, at
}

// telling returns the words that a metric must know: neither small words, nor nouns of
// things, nor names, unless metrics are named with them.
func (s *snapshot) telling(words []word) []int {
	var at []int
	for i, w := range words {
		if w.used || stopWords[w.text] || stopWords[w.stem] || isNumber(w.text) || len(w.text) < 2 || reStatus.MatchString(w.text) || reCode.MatchString(w.text) {
			continue
		}
		_, kind := kindWords[w.stem]
		_, value := s.values[w.text]
		if !value {
			_, value = s.values[w.stem]
		}
		if (kind || value) && len(s.words[w.stem]) == 0 || kind && i > 0 && (words[i-1].text == "by" || words[i-1].text == "per" || words[i-1].text == "each") {
			continue
		}
		at = append(at, i)
	}
	return at
}

// variants returns the word, its root and what else names of metrics say for it.
func variants(w string) []string {
	out := []string{w}
	if r := root(w); r != w {
		out = append(out, r)
	}
	return append(out, synonyms[w]...)
}

// likeness is how much a metric is what the question says: each word weighs by how
// few metrics have it. It is 0 unless name, help, labels and known values may hold all words,
// and the name half of them.
func (s *snapshot) likeness(metric string, words []word, at []int, in intent) float64 {
	own := nameWords(metric)
	help := strings.ToLower(s.metrics[metric].Help)
	covered := make([]bool, len(own))
	hits, needed := 0, 0
	asLabels := 0 // words that may be labels
	score := 0.0
	for _, i := range at {
		w := words[i].stem
		_, kind := kindWords[w]
		_, value := s.values[words[i].text]
		soft := kind || value || outcomeWords[w] || s.isLabel(words[i])
		if !soft {
			needed++
		}
		if s.isLabel(words[i]) {
			asLabels++
		}
		k := slices.IndexFunc(own, func(o string) bool { return sameWord(w, o) })
		switch {
		case k >= 0:
			covered[k] = true
			hits++
			score += s.rarity(own[k])
		case help != "" && (strings.Contains(help, w) || len(root(w)) > 4 && strings.Contains(help, root(w))):
			score += 0.5 * s.rarity(w)
		case !soft:
			return 0
		}
	}
	// A single word of a name of many is no more than a coincidence.
	if hits == 0 || 2*hits < needed || hits+asLabels < 2 && len(own) > 2 {
		return 0
	}
	for i, c := range covered {
		if !c {
			score -= 0.3 * s.rarity(own[i])
		}
	}
	_, histogram := strings.CutSuffix(metric, "_bucket")
	switch {
	case in.quantile > 0 && histogram:
		score += 2
	case in.quantile > 0:
		score -= 2
	case strings.HasSuffix(metric, "_count") || strings.HasSuffix(metric, "_sum"):
		score -= 0.01 // the histogram says more
	}
	return max(score, 0.001)
}

// sameWord reports whether a word of a question is one of a metric's name.
func sameWord(said, own string) bool {
	if said == own || root(said) == root(own) || slices.Contains(synonyms[said], own) {
		return true
	}
	return len(said) >= 6 && strings.Contains(own, said) || len(own) >= 5 && strings.HasPrefix(said, own) && !strings.ContainsAny(said, "-_./:0123456789")
}

// rarity weighs a word of metrics' names.
func (s *snapshot) rarity(w string) float64 {
	return math.Log(1 + float64(len(s.metrics))/float64(1+len(s.words[w])))
}

// isLabel reports whether some label is named like the word.
func (s *snapshot) isLabel(w word) bool {
	_, ok := s.known[w.stem]
	if !ok {
		_, ok = s.known[w.text]
	}
	return ok
}

// conceptOf describes a metric by its type, or by its name where none is told.
func (t *Rules) conceptOf(ctx context.Context, s *snapshot, metric string, words []word) *concept {
	m := s.metrics[metric]
	c := &concept{Name: strings.ReplaceAll(metric, "_", " "), Unit: m.Unit, unlisted: true}
	base, isBucket := strings.CutSuffix(metric, "_bucket")
	switch {
	case isBucket:
		c.Histogram = base
	case m.Type == "counter" || strings.HasSuffix(metric, "_total") || strings.HasSuffix(metric, "_count") || strings.HasSuffix(metric, "_sum"):
		c.Counter = metric
	case strings.HasSuffix(metric, "_timestamp_seconds") || strings.HasSuffix(metric, "_timestamp") || strings.HasSuffix(metric, "_last_success_time_seconds"):
		c.Since, c.Unit = metric, "seconds"
		if strings.Contains(metric, "expir") || strings.Contains(metric, "not_after") || strings.Contains(metric, "next_") {
			c.Since, c.Until = "", metric
		}
	default:
		c.Gauge = metric
	}
	for suffix, unit := range map[string]string{"_seconds": "seconds", "_milliseconds": "milliseconds", "_ms": "milliseconds", "_bytes": "bytes", "_ratio": "ratio", "_celsius": "celsius", "_percent": "percent"} {
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
	for _, order := range [...][]string{labelOrder, has} { // labels of its own only where it has no common one
		for _, l := range order {
			if len(c.By) < 4 && slices.Contains(has, l) && !unnamed[l] && l != "job" && !slices.Contains(c.By, l) {
				c.By = append(c.By, l)
			}
		}
		if len(c.By) > 0 {
			break
		}
	}
	if c.Counter != "" {
		t.outcomeOf(ctx, c, has, words)
	}
	if err := c.prepare(); err != nil {
		return nil // a name that only quotes can hold
	}
	return c
}

// badValue are the values of labels that say that something went wrong.
var badValue = []string{"fail", "err", "declin", "reject", "denied", "timeout", "abort", "unavailable", "invalid", "lost"}

// outcomeOf narrows a counter to what failed, or makes a ratio of it, where the question
// speaks of errors and not the name but a label of the metric tells them.
func (t *Rules) outcomeOf(ctx context.Context, c *concept, has []string, words []word) {
	said := func(f func(string) bool) bool {
		return slices.ContainsFunc(words, func(w word) bool { return f(w.stem) || f(w.text) })
	}
	good := said(func(w string) bool { return strings.HasPrefix(w, "succe") })
	bad := said(func(w string) bool { return outcomeWords[w] && !strings.HasPrefix(w, "succe") })
	if !good && !bad || strings.Contains(c.Counter, "err") || strings.Contains(c.Counter, "fail") || strings.Contains(c.Counter, "succe") {
		return
	}
	for _, l := range has {
		if !outcome[l] && !slices.Contains(alikeTo("code"), l) {
			continue
		}
		vals, err := t.catalog.ValuesOf(ctx, c.Counter, l)
		if err != nil {
			return
		}
		m := badMatcher(l, vals, good)
		if m == nil {
			continue
		}
		if said(func(w string) bool {
			return w == "rate" || w == "ratio" || w == "share" || strings.HasPrefix(w, "percent") || w == "fraction"
		}) {
			c.Per, c.Unit = c.Counter, "ratio"
		}
		c.Counter = selector(c.Counter, m).String()
		return
	}
}

// badMatcher matches the values that stand for failure, or with good all others; nil if
// none do.
func badMatcher(label string, vals map[string]struct{}, good bool) *labels.Matcher {
	var bad []string
	for v := range vals {
		low := strings.ToLower(v)
		if len(v) == 3 && v[0] == '5' || slices.ContainsFunc(badValue, func(b string) bool { return strings.Contains(low, b) }) {
			bad = append(bad, v)
		}
	}
	if _, ok := vals["OK"]; ok { // gRPC's codes: all others are errors
		if good {
			return labels.MustNewMatcher(labels.MatchEqual, label, "OK")
		}
		return labels.MustNewMatcher(labels.MatchNotEqual, label, "OK")
	}
	if len(bad) == 0 {
		return nil
	}
	slices.Sort(bad)
	for i := range bad {
		bad[i] = regexp.QuoteMeta(bad[i])
	}
	re := labels.MatchRegexp
	if good {
		re = labels.MatchNotRegexp
	}
	if strings.IndexFunc(bad[0], func(r rune) bool { return r < '0' || r > '9' }) < 0 {
		return labels.MustNewMatcher(re, label, "5..")
	}
	return labels.MustNewMatcher(re, label, strings.Join(bad, "|"))
}
