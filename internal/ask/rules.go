package ask

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Rules translates without a model: by the knowledge files and what the servers
// know. It is safe for concurrent use.
type Rules struct {
	catalog *Catalog
	logs    *Logs
	know    *knowledge
}

var _ Translator = (*Rules)(nil)

// builtin is the knowledge of the files in knowledge/, read once: nothing changes it.
var builtin = sync.OnceValues(readKnowledge)

// NewRules makes a translator for the servers of the catalogs; either may be nil.
func NewRules(metrics *Catalog, logs *Logs) (*Rules, error) {
	k, err := builtin()
	if err != nil {
		return nil, fmt.Errorf("BUG: built-in knowledge: %w", err)
	}
	return &Rules{catalog: metrics, logs: logs, know: k}, nil
}

// maxQuestionBytes bounds a question: a long paragraph.
const maxQuestionBytes = 2000

// Translate makes a query of a question: LogQL if its words ask for logs, or if only
// the logs can answer; else PromQL.
func (t *Rules) Translate(ctx context.Context, q Question) (Translation, error) {
	if len(q.Text) > maxQuestionBytes {
		return Translation{}, &Refusal{Reason: fmt.Sprintf("the question has %d bytes, at most %d are read", len(q.Text), maxQuestionBytes)}
	}
	norm := normalize(q.Text)
	if norm == "" {
		return Translation{}, &Refusal{Reason: "the question is empty"}
	}
	if whole := t.follow(normalize(q.Previous), norm); whole != norm && len(whole) <= maxQuestionBytes {
		norm, q.Text = whole, whole
	}
	tr, err := t.choose(ctx, q, norm)
	tr.Text = norm
	return tr, err
}

// choose asks the logs or the metrics.
func (t *Rules) choose(ctx context.Context, q Question, norm string) (Translation, error) {
	surely, perhaps := wantsLogs(norm)
	switch {
	case t.catalog == nil && t.logs == nil:
		return Translation{}, &Refusal{Reason: "neither a Prometheus nor a Loki is given to ask"}
	case t.catalog == nil:
		return t.logs.translateLogs(ctx, q, norm, false)
	case t.logs == nil && surely:
		return Translation{}, &Refusal{Reason: "that asks for log lines, and no Loki is given to ask"}
	case t.logs == nil:
		return t.translateMetrics(ctx, q, norm)
	case surely:
		return t.logs.translateLogs(ctx, q, norm, false)
	case perhaps || t.logs.plainErrors(norm):
		tr, err := t.logs.translateLogs(ctx, q, norm, false)
		if !isRefusal(err) {
			return tr, err
		}
	}
	tr, err := t.translateMetrics(ctx, q, norm)
	if !isRefusal(err) {
		return tr, err
	}
	if logs, logErr := t.logs.translateLogs(ctx, q, norm, true); logErr == nil {
		return logs, nil
	}
	return tr, err
}

func isRefusal(err error) bool {
	var r *Refusal
	return errors.As(err, &r)
}

// plainErrors reports whether a question asks for the errors of something that logs,
// rather than for a rate of errors.
func (l *Logs) plainErrors(norm string) bool {
	if !reErrors.MatchString(norm) || reNotLogs.MatchString(norm) {
		return false
	}
	return slices.ContainsFunc(l.findStreams(cutWords(norm)), func(n streamName) bool { return slices.Contains(programLabels, n.label) })
}

// translateMetrics makes a PromQL query of a question.
func (t *Rules) translateMetrics(ctx context.Context, q Question, norm string) (Translation, error) {
	if reAgents.MatchString(norm) {
		return Translation{}, t.refuse(cutWords(norm), []string{"who did something"})
	}
	if reOpinion.MatchString(norm) {
		return Translation{}, t.refuse(cutWords(norm), []string{"what should be done"})
	}
	when, rest := takeWhen(norm, q)
	in, rest := t.intent(rest)
	words := imply(compound(cutWords(rest), t.compounds, t.catalog.isValue), in)
	mend(words, t.knows, t.know.vocabulary)
	found, err := t.match(ctx, norm, words, in)
	if err != nil {
		return Translation{}, err
	}
	var refusal *Refusal
	if len(found) == 0 || found[0].score <= 0 {
		refusal = t.refuse(words, nil)
	} else {
		t.join(ctx, words, &found[0])
		refusal = t.foreign(ctx, words, found[0])
	}
	if refusal != nil || t.generic(words, found[0]) || t.outright(words) || t.leftover(ctx, words, found[0]) {
		other, err := t.unlisted(ctx, norm, words, in)
		if err != nil {
			return Translation{}, err
		}
		if other == nil && refusal != nil {
			return Translation{}, refusal
		}
		if other != nil && (refusal != nil || !t.generic(words, found[0]) || other.c.State != "") {
			found = []candidate{*other}
		}
	}
	best := found[0]
	b := builder{ctx: ctx, t: t, m: best, when: when, in: in, words: words, now: q.Now, text: norm}
	tr, err := b.build()
	if err != nil {
		return Translation{}, err
	}
	tr.Confidence = t.confidence(words, b.m, found[1:])
	if wantsShare(norm, in) && tr.Unit != "ratio" && tr.Unit != "percent" && tr.Unit != "percentage" && tr.Unit != "%" {
		tr.Confidence = max(tr.Confidence-2*doubt, leastSure) // a part is asked for, and this is none
	}
	for _, other := range found[1:] {
		if other.score < best.score*0.6 || len(tr.Alternatives) == 3 {
			break
		}
		ob := b
		ob.m = other
		if o, err := ob.build(); err == nil && o.Query != tr.Query {
			tr.Alternatives = append(tr.Alternatives, Reading{Query: o.Query, Explanation: o.Explanation})
		}
	}
	return tr, nil
}

// measured are the words for what has quantiles.
var measured = set("latency duration time size delay wait lag pause rtt trip fsync commit relist age took response slow slowest bytes")

// imply adds the words that numbers stand for: "over 90 %" asks for a percentage, "two cores" are of cpu.
func imply(words []word, in intent) []word {
	add := func(text string) {
		if !slices.ContainsFunc(words, func(w word) bool { return w.stem == text }) {
			words = append(words, word{text: text, raw: text, stem: text, used: true})
		}
	}
	unit := in.unit
	if th := in.threshold; th != nil {
		if th.percent {
			add("percent")
		}
		unit += " " + th.unit
	}
	if strings.Contains(unit, "core") || strings.Contains(unit, "cpu") {
		add("cpu")
	}
	if in.quantile > 0 && !slices.ContainsFunc(words, func(w word) bool { return measured[w.stem] || measured[w.text] }) {
		add("latency")
	}
	return words
}

// generic reports whether the reading is of scrape targets, and the question perhaps of things that a system tells of
// itself: the backends of a proxy.
func (t *Rules) generic(words []word, m candidate) bool {
	if len(m.c.metrics) != 1 || m.c.metrics[0] != "up" {
		return false
	}
	return slices.ContainsFunc(words, func(w word) bool {
		_, kind := kindWords[w.stem]
		return kind && w.stem != "target" && w.stem != "job" && w.stem != "instance" && w.stem != "exporter"
	})
}

// smallNames takes words that mean something else as names where the metric's labels of kinds and outcomes have them:
// the "write" of "write timeouts".
func (t *Rules) smallNames(ctx context.Context, words []word, m *candidate) {
	has := t.labelNames(ctx, m.c)
	for i, w := range words {
		if w.used || !stopWords[w.text] && !soft[w.text] && !yesWords[w.text] && !noWords[w.text] || slices.ContainsFunc(m.names, func(n name) bool { return n.at <= i && i <= max(n.at, n.to) }) {
			continue
		}
		v, ok := t.catalog.labelled(w.text)
		if !ok {
			continue
		}
		for _, l := range v.labels {
			if !slices.Contains(has, l) || !outcome[l] && !stateLabels[l] && !kindLabels[l] {
				continue
			}
			if held, err := t.catalog.HasValue(ctx, m.c.metrics[0], l, v.cased); err == nil && held {
				m.names = append(m.names, name{at: i, value: v.cased, labels: []string{l}, not: i > 0 && negated(words, i)})
				break
			}
		}
	}
}

// kindLabels are labels that say of which sort something is.
var kindLabels = set("operation op type kind direction action command access request_type query_type")

// outright reports whether a word is the name of a metric.
func (t *Rules) outright(words []word) bool {
	return slices.ContainsFunc(words, func(w word) bool { return strings.ContainsAny(w.text, "_:") && t.catalog.Has(w.text) })
}

// unlisted finds a metric that no file of the knowledge names; nil if none is like
// the question.
func (t *Rules) unlisted(ctx context.Context, norm string, words []word, in intent) (*candidate, error) {
	concepts, taken := t.byName(ctx, norm, words, in)
	s := t.catalog.now.Load()
	share := wantsShare(norm, in) || reShort.MatchString(norm) || reRunsOut.MatchString(norm) && in.unit != "" && fits(in.unit, "seconds")
	var best *candidate
	for i, c := range concepts {
		if c == nil {
			continue
		}
		m := candidate{c: c, score: 1 - 0.3*float64(i), taken: taken}
		if known := t.listed(c.metrics[0], words); known != nil {
			c = known
			m.c, m.score = known, m.score+0.2
		} else if !share && in.threshold == nil && (c.spare(s, norm) || c.than(s, norm)) {
			c.metrics = nil
			if err := c.prepare(); err != nil {
				continue
			}
			m.score += 0.7
		} else if (share || in.agg == "avg") && c.pair(s, !share, reFree.MatchString(norm)) {
			c.metrics = nil
			if err := c.prepare(); err != nil {
				continue
			}
			m.score += 0.7
		} else if share && c.Unit != "ratio" && c.Unit != "percent" && c.Per == "" {
			m.score -= 0.5
		}
		if c.State != "" && in.threshold != nil && !in.threshold.percent && in.threshold.op != "!=" && in.threshold.value > 1 {
			m.score -= 0.8 // what is in a state has no number
		}
		names := slices.DeleteFunc(t.catalog.findNames(words, t.knows), func(n name) bool { // that name the metric
			return slices.ContainsFunc(nameWords(c.metrics[0]), func(o string) bool { return sameWord(words[n.at].stem, o) }) && n.regex == ""
		})
		m.taken = slices.DeleteFunc(slices.Clone(taken), func(at int) bool { return slices.ContainsFunc(names, func(n name) bool { return n.at == at }) })
		if err := t.placeNames(ctx, &m, names); err != nil {
			return nil, err
		}
		t.smallNames(ctx, words, &m)
		if t.foreign(ctx, words, m) == nil && (best == nil || m.score > best.score) {
			best = &m
		}
	}
	return best, nil
}

// leftover reports whether the reading leaves a word aside that some metric is named with: that metric may be
// what is asked for.
func (t *Rules) leftover(ctx context.Context, words []word, m candidate) bool {
	s := t.catalog.now.Load()
	has := t.labelNames(ctx, m.c)
	for i, w := range words {
		if w.used || slices.Contains(m.taken, i) || len(s.words[w.stem]) == 0 && len(s.words[w.root]) == 0 || stopWords[w.text] || stopWords[w.stem] || soft[w.text] || negations[w.text] || isNumber(w.text) || unitWords[w.stem] {
			continue
		}
		if _, kind := kindWords[w.stem]; kind || outcomeWords[w.stem] || slices.ContainsFunc(m.names, func(n name) bool { return n.at == i }) || labelNamed(w, has) != "" || t.speaksOf(m.c, w) || m.c.says(w) {
			continue
		}
		return true
	}
	return false
}

// says reports whether some phrase of the concept has the word.
func (c *concept) says(w word) bool {
	for p, phrase := range c.phrases {
		for k, alt := range phrase {
			if slices.Contains(alt, w.stem) || slices.Contains(alt, w.text) || w.root != "" && slices.Contains(c.roots[p][k], w.root) {
				return true
			}
		}
	}
	return false
}

// listed returns the concept of the files that has the metric and that the words speak of, nil if none does: it knows
// more of the metric than its name tells.
func (t *Rules) listed(metric string, words []word) *concept {
	var best *concept
	most := 1
	for _, c := range t.know.concepts {
		if !slices.Contains(c.metrics, metric) || !t.available(c) {
			continue
		}
		said := 0
		for _, w := range words {
			if !stopWords[w.stem] && c.says(w) {
				said++
			}
		}
		if said > most {
			best, most = c, said
		}
	}
	return best
}

// reCompared asks for one thing beside what there is of it at most.
var reCompared = regexp.MustCompile(`\bapproval rate\b|\bout of\b|\bportion\b|\bhow full\b|\bhow close\b|\butiliz|\bof (?:its|the|their) (?:max|limit|capacity|quota|total)|\b(?:vs\.?|versus|against|compared (?:to|with)|relative to) (?:its|the|their)? ?(?:[a-z]+ )?(?:max|limit|capacity|quota|watermark|size|total)|` +
	`\b(?:hit|miss|cache|error|failure|success|rejection|drop|usage|use|fill) (?:rate|ratio|percentage|share)|\bratio\b|\bin use\b.*\b(?:max|limit)`)

// reFree asks for what is left rather than for what is used.
var reFree = regexp.MustCompile(`\b(?:free|available|left|remaining|remains|unused|headroom|spare)\b`)

// wantsShare reports whether a question asks for a part of a whole.
func wantsShare(norm string, in intent) bool {
	return in.threshold != nil && in.threshold.percent || in.unit == "percent" || in.unit == "percentage" || in.unit == "%" || reShare.MatchString(norm) || reCompared.MatchString(norm)
}

// podInfo says on which node a pod runs: by it a concept about pods can be asked for
// by node.
const podInfo = "kube_pod_info"

// join finds the names that the concept's own metrics do not know but kube_pod_info
// does.
func (t *Rules) join(ctx context.Context, words []word, m *candidate) {
	if !slices.Contains(m.c.By, "pod") || m.c.State == "" || !t.catalog.Has(podInfo) {
		return
	}
	m.missed = slices.DeleteFunc(m.missed, func(n name) bool {
		mt, err := t.catalog.matcher(ctx, n, podInfo, []string{"node"})
		if err != nil || mt == nil {
			return false
		}
		m.joined = append(m.joined, mt)
		words[n.at].used = true
		return true
	})
}

// knows reports whether a word means something as it is.
func (t *Rules) knows(w string) bool {
	if _, ok := kindWords[w]; ok {
		return true
	}
	_, ok := t.know.weight[w]
	if !ok {
		_, ok = t.catalog.now.Load().known[w]
	}
	return ok || stopWords[w] || t.catalog.isValue(w) || len(t.catalog.now.Load().words[w]) > 0
}

// foreign refuses a question whose words name things that neither the knowledge nor
// the server has: an answer to the rest of it would be an answer to another question.
func (t *Rules) foreign(ctx context.Context, words []word, m candidate) *Refusal {
	has := t.labelNames(ctx, m.c)
	for _, n := range m.missed {
		if _, ok := t.know.weight[words[n.at].stem]; !ok && n.regex == "" && !t.speaksOf(m.c, words[n.at]) {
			return t.refuse(words, []string{words[n.at].text})
		}
	}
	var odd []string
	for i, w := range words {
		if w.used || slices.Contains(m.taken, i) || soft[w.text] || stopWords[w.text] || stopWords[w.stem] || negations[w.text] || len(w.text) < 3 || isNumber(w.text) {
			continue
		}
		if slices.ContainsFunc(m.names, func(n name) bool { return n.at == i || n.at < i && i <= n.to }) || noWords[w.text] && m.c.unlisted {
			continue
		}
		if _, ok := kindWords[w.stem]; ok {
			continue
		}
		if weight, ok := t.know.weight[w.stem]; ok && (weight < t.know.rare || soft[w.stem] || outcomeWords[w.stem] || m.c.says(w)) {
			continue
		}
		if labelNamed(w, has) != "" || unitWords[w.stem] || t.speaksOf(m.c, w) {
			continue
		}
		odd = append(odd, w.text)
	}
	if len(odd) == 0 {
		return nil
	}
	return t.refuse(words, odd)
}

// speaksOf reports whether the metrics of a concept have the word in their names or help texts.
func (t *Rules) speaksOf(c *concept, w word) bool {
	s := t.catalog.now.Load()
	return slices.ContainsFunc(c.metrics, func(m string) bool {
		return slices.ContainsFunc(nameWords(m), func(o string) bool { return sameWord(w.stem, o) }) || len(w.stem) > 3 && mentions(strings.ToLower(s.metrics[m].Help), w.stem)
	})
}

// labelNames returns the names of the labels of the concept's metrics.
func (t *Rules) labelNames(ctx context.Context, c *concept) []string {
	var out []string
	for _, m := range c.metrics {
		if ls, err := t.catalog.LabelsOf(ctx, m); err == nil {
			out = append(out, ls...)
		}
	}
	return out
}

func isNumber(w string) bool { return strings.Trim(w, "0123456789.:%") == "" }

// refuse says why, and what near can be answered.
func (t *Rules) refuse(words []word, odd []string) *Refusal {
	r := &Refusal{Reason: "no metric of this server is known to answer that"}
	if len(odd) > 0 {
		r.Reason = "nothing here is known about " + quoteList(odd)
	}
	for _, c := range t.know.concepts {
		if score, _ := t.nearScore(c, words); score > 0 && t.available(c) && len(r.Suggestions) < 3 {
			r.Suggestions = append(r.Suggestions, c.Name)
		}
	}
	return r
}

func (t *Rules) nearScore(c *concept, words []word) (float64, int) {
	score, hits := 0.0, 0
	for _, phrase := range c.phrases {
		for _, alt := range phrase {
			for _, w := range words {
				if !stopWords[w.stem] && slices.Contains(alt, w.stem) {
					score += t.know.weight[w.stem]
					hits++
				}
			}
		}
	}
	return score, hits
}

func quoteList(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(out, ", ")
}

// Windows that a question leaves open.
const (
	defaultRate   = 5 * time.Minute
	defaultEvents = 24 * time.Hour
	defaultTrend  = 6 * time.Hour
	defaultGraph  = time.Hour
	maxGraphStep  = 250 // points of a graph
	defaultTop    = 10
)
