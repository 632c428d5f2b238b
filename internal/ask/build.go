package ask

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// builder makes the query of one candidate.
type builder struct {
	ctx   context.Context //nolint:containedctx // a builder lives for one call
	t     *Rules
	m     candidate
	when  when
	in    intent
	words []word
	now   time.Time
	text  string

	dims     []string // labels that the answer keeps; nil if they were not asked for
	explicit bool     // "by x", "per x" was said
	err      error
}

func (b *builder) build() (Translation, error) {
	b.asShare()
	c := b.m.c
	b.spans()
	b.dimensions()
	e := b.value()
	if b.err == nil {
		e = b.finish(e)
	}
	if b.err != nil {
		return Translation{}, b.err
	}
	tr := Translation{
		Language: PromQL, Query: e.String(), Time: b.now, Unit: b.unit(), Concept: c.Name, Translator: "rules", Explanation: b.explain(),
		Timed: b.when.told,
	}
	if b.in.graph {
		w := b.when.window
		if w == 0 {
			w = defaultGraph
		}
		step := max(w/maxGraphStep, time.Minute).Round(time.Minute)
		if w >= 6*time.Hour {
			step = max(step, 5*time.Minute)
		}
		tr.Range = &Range{Start: b.now.Add(-w - b.when.end), End: b.now.Add(-b.when.end), Step: step}
	}
	return tr, nil
}

// spans takes "over 3h" of a thing that is not measured in time for what it is: the
// time to look at. "without consumers" of a plain value is a bound.
func (b *builder) spans() {
	c := b.m.c
	if th := b.in.threshold; th != nil && th.unit != "" && b.when.window == 0 && c.Counter != "" && c.Unit != "seconds" && c.Per == "" {
		if d := units[strings.TrimSuffix(th.unit, "s")]; d > 0 && th.op == ">" {
			b.when.window, b.in.threshold = time.Duration(th.value*float64(d)), nil
		}
	}
	if m := reNone.FindStringSubmatch(b.text); m != nil && b.in.threshold == nil && c.Gauge != "" && c.Per == "" && strings.Contains(strings.ToLower(c.Gauge), stem(m[1])) {
		b.in.threshold = &threshold{op: "==", value: 0}
	}
}

// reWhere asks for the places.
var reWhere = regexp.MustCompile(`\bwhere\b`)

// reNone finds what there is none of.
var reNone = regexp.MustCompile(`\b(?:no|zero|without(?: any)?|have no|has no) ([a-z]+)`)

// dimensions finds the labels that the answer is wanted by.
func (b *builder) dimensions() {
	for i, w := range b.words {
		if _, kind := kindWords[w.stem]; slices.ContainsFunc(b.m.names, func(n name) bool { return n.at == i }) || !kind && !b.introduced(i) {
			continue
		}
		l := b.labelOf(w)
		if l == "" {
			continue
		}
		if b.introduced(i) {
			b.explicit = true
			if i+1 < len(b.words) && b.words[i+1].start == w.end+1 && b.introduced(i+1) && b.labelOf(b.words[i+1]) != "" {
				continue // "per ingress host": of two nouns the last says what they are
			}
			if !slices.Contains(b.dims, l) {
				b.dims = append(b.dims, l)
			}
		}
	}
	if b.explicit && b.m.c.State != "" { // "what version runs on each node"
		for i, w := range b.words {
			if _, kind := kindWords[w.stem]; !kind && b.asked(i) {
				if l := b.labelOf(w); l != "" && !slices.Contains(b.dims, l) {
					b.dims = append(b.dims, l)
				}
			}
		}
	}
	if b.explicit && slices.ContainsFunc(b.dims, func(l string) bool { return physical[l] }) {
		for _, l := range slices.Backward(b.known(wholes[:1])) { // names of machines recur in other parts of the fleet
			if !slices.Contains(b.dims, l) {
				b.dims = slices.Insert(b.dims, 0, l)
			}
		}
	}
	if b.explicit || b.wantsOne() || b.in.count && !reWhere.MatchString(b.text) && b.in.threshold == nil && b.in.rank == 0 {
		return
	}
	// "which pods", "top 5 nodes": what tells these things apart
	for i, w := range b.words {
		_, kind := kindWords[w.stem]
		chosen := b.chosen(i)
		if !kind && !chosen || b.isHint(i) {
			continue
		}
		if l := b.labelOf(w); l != "" {
			if b.dims = b.identity(l); chosen && b.m.c.unlisted && !physical[l] {
				b.dims = []string{l}
				if b.in.threshold != nil {
					b.dims = append(slices.DeleteFunc(b.known(wholes[:1]), func(o string) bool { return o == l }), l)
				}
			}
			return
		}
	}
	if b.m.c.unlisted && reShare.MatchString(b.text) {
		return // one share
	}
	below := b.in.threshold != nil && b.in.threshold.op[0] == '<' && b.m.c.Histogram != ""
	if b.in.list || b.in.rank != 0 || reWhere.MatchString(b.text) || b.in.threshold != nil && !below {
		b.dims = b.known(b.m.c.By)
	}
}

// isHint reports whether word i only says what the name beside it is.
func (b *builder) isHint(i int) bool {
	for _, n := range b.m.names {
		if (n.at == i-1 || n.at == i+1) && n.hint == b.words[i].stem {
			plural := b.words[i].text != b.words[i].stem
			return !plural
		}
	}
	return false
}

// introduced reports whether word i stands behind by, per, each or across.
func (b *builder) introduced(i int) bool {
	before := strings.Fields(b.text[:min(b.words[i].start, len(b.text))])
	for k := 1; k <= 4 && k <= len(before); k++ {
		switch w := strings.Trim(before[len(before)-k], ",()"); w {
		case "by", "per", "each", "every", "across", "grouped":
			return w != "by" || i <= 0 || b.in.rank == 0 || !slices.Contains(b.m.taken, i)
		case "and", "/", "the", "a", "for":
			continue
		default:
			if _, ok := kindWords[stem(w)]; ok && k < 4 {
				continue
			}
			if k == 1 && units[stem(w)] == 0 && len(before) > 1 && !stopWords[w] { // "per redis db"
				continue
			}
			return false
		}
	}
	return false
}

// wantsOne reports whether one value is asked for: of a named thing, or a total.
func (b *builder) wantsOne() bool {
	if b.in.agg == "sum" && !b.in.list {
		return true
	}
	return false
}

// labelFor returns the first of the labels that all metrics of the concept have.
func (b *builder) labelFor(ls []string) string {
	for _, l := range ls {
		all := true
		for _, m := range b.m.c.metrics {
			has, err := b.t.catalog.LabelsOf(b.ctx, m)
			if err != nil {
				b.err = err
				return ""
			}
			if all = all && slices.Contains(has, l); !all {
				break
			}
		}
		if all {
			return l
		}
	}
	return ""
}

// labelOf returns the label of the metrics that a word stands for: the label of that very name,
// one that the noun is known for, or one whose name ends in it; "" if there is none.
func (b *builder) labelOf(w word) string {
	var has []string
	for _, m := range b.m.c.metrics {
		ls, err := b.t.catalog.LabelsOf(b.ctx, m)
		if err != nil {
			b.err = err
			return ""
		}
		has = append(has, ls...)
	}
	ls := kindWords[w.stem]
	if l := b.labelFor([]string{w.stem}); l != "" && !scraped[l] {
		return l
	}
	if at := slices.IndexFunc(b.words, func(o word) bool { return o.start == w.start && o.text == w.text }); at > 0 { // "kubelet version"
		if l := b.labelFor([]string{b.words[at-1].stem + "_" + w.stem}); l != "" {
			return l
		}
	}
	named := labelNamed(w, has)
	if l := b.labelFor(ls); l != "" && (!scraped[l] || named == "") {
		return l
	}
	return named
}

// physical are the labels of things that are in one place.
var physical = func() map[string]bool {
	m := map[string]bool{"name": true, "member": true, "broker": true, "rabbitmq_node": true, "device": true}
	for _, l := range [...]string{"node", "host", "instance", "pod"} {
		for _, a := range alikeTo(l) {
			m[a] = true
		}
	}
	return m
}()

// scraped are labels that tell who was scraped, whatever else things are called so.
var scraped = set("job endpoint instance name")

// asked reports whether word i stands right behind which or what, or with one word between.
func (b *builder) asked(i int) bool {
	return i > 0 && (b.words[i-1].text == "what" || b.words[i-1].text == "which") || i > 1 && (b.words[i-2].text == "what" || b.words[i-2].text == "which")
}

// chosen reports whether word i is what is looked for: "which campaigns", "the busiest channel", "depot with the
// least stock".
func (b *builder) chosen(i int) bool {
	before := strings.Fields(strings.ToLower(b.text[:min(b.words[i].start, len(b.text))]))
	if len(before) == 0 {
		return strings.HasPrefix(b.text[b.words[i].end:], " with ") || strings.HasPrefix(b.text[b.words[i].end:], " that ")
	}
	for k := 1; k <= 4 && k <= len(before); k++ {
		w := before[len(before)-k]
		switch w {
		case "which", "what", "top", "whose":
			return true
		case "of", "in", "for", "on", "at", "from", "to", "with", "by", "per", "is", "are", "has", "have", "than", "over":
			return false
		}
		if reMost.MatchString(w) || reLow.MatchString(w) {
			return k <= 2
		}
	}
	return false
}

// identity returns the labels that tell things of label l apart.
func (b *builder) identity(l string) []string {
	by := b.m.c.By
	for i, have := range by {
		if have == l || slices.Contains(alikeTo(have), l) && b.labelFor([]string{have}) == "" {
			return b.known(by[:i+1])
		}
	}
	return b.known(append(slices.Clone(by), l))
}

// known keeps the labels that the concept's metrics have, under the names that they
// have for them.
func (b *builder) known(ls []string) []string {
	var out []string
	add := func(l string) {
		if l != "" && !slices.Contains(out, l) {
			out = append(out, l)
		}
	}
	for _, l := range ls {
		if l != wholes[0] {
			add(b.labelFor(alikeTo(l)))
			continue
		}
		for _, whole := range wholes {
			add(b.labelFor([]string{whole}))
		}
	}
	return out
}

// parse reads an expression of the knowledge and puts the names of the question on
// its selectors, as far as each metric knows them.
func (b *builder) parse(s string) parser.Expr {
	e, err := parser.NewParser(parser.Options{}).ParseExpr(s)
	if err != nil {
		b.err = fmt.Errorf("BUG: knowledge %q: %w", s, err)
		return number(0)
	}
	selectors(e, func(v *parser.VectorSelector) {
		b.fit(v)
		b.narrow(v)
		for w, sel := range b.m.c.Where {
			if slices.ContainsFunc(b.words, func(x word) bool { return x.stem == w || x.text == w }) {
				b.where(v, sel)
			}
		}
	})
	return e
}

// narrow puts the names of the question on a selector. Several names of one label are any of them.
func (b *builder) narrow(v *parser.VectorSelector) {
	var ms []*labels.Matcher
	for _, n := range b.m.names {
		m, err := b.t.catalog.matcher(b.ctx, n, v.Name, b.m.c.Prefer)
		if err != nil {
			b.err = err
			return
		}
		if m == nil {
			continue
		}
		if own := slices.IndexFunc(v.LabelMatchers, func(o *labels.Matcher) bool {
			return o.Name == m.Name && o.Type == labels.MatchEqual && m.Type == labels.MatchEqual && o.Value != m.Value
		}); own >= 0 && reEither.MatchString(b.text) {
			if either, err := labels.NewMatcher(labels.MatchRegexp, m.Name, anyOf(v.LabelMatchers[own])+"|"+anyOf(m)); err == nil {
				v.LabelMatchers[own] = either // "pending or failed"
				continue
			}
		}
		at := slices.IndexFunc(ms, func(o *labels.Matcher) bool { return o.Name == m.Name && positive(o) && positive(m) })
		if at < 0 {
			ms = append(ms, m)
			continue
		}
		if either, err := labels.NewMatcher(labels.MatchRegexp, m.Name, anyOf(ms[at])+"|"+anyOf(m)); err == nil {
			ms[at] = either
			if reVersus.MatchString(b.text) && !slices.Contains(b.dims, m.Name) {
				b.dims = append(b.dims, m.Name)
			}
		}
	}
	for _, m := range ms {
		constrain(v, m)
	}
}

var reEither = regexp.MustCompile(`\b(?:or|and)\b`)

// reVersus sets two things against each other.
var reVersus = regexp.MustCompile(`\b(?:vs\.?|versus|against|each|both|respectively|compare|compared)\b`)

func positive(m *labels.Matcher) bool {
	return m.Type == labels.MatchEqual || m.Type == labels.MatchRegexp
}

func anyOf(m *labels.Matcher) string {
	if m.Type == labels.MatchEqual {
		return regexp.QuoteMeta(m.Value)
	}
	return m.Value
}

// where puts the matchers of a selector in braces on v.
func (b *builder) where(v *parser.VectorSelector, sel string) {
	ms, err := parser.NewParser(parser.Options{}).ParseMetricSelector(sel)
	if err != nil {
		b.err = fmt.Errorf("BUG: knowledge %q: %w", sel, err)
		return
	}
	for _, m := range ms {
		constrain(v, m)
	}
}

func (b *builder) window(d time.Duration) time.Duration {
	if b.when.window > 0 && !b.in.graph {
		return b.when.window
	}
	return d
}

// value builds what is asked about, before rankings and thresholds.
func (b *builder) value() parser.Expr {
	c := b.m.c
	switch {
	case c.State != "":
		return b.state()
	case c.Since != "":
		return binary("-", call("time"), b.parse(c.Since))
	case c.Until != "":
		return binary("-", b.parse(c.Until), call("time"))
	case c.Histogram != "":
		return b.histogram()
	case c.Summary != "":
		return b.summary()
	case c.Native != "":
		return b.native()
	case b.when.ahead > 0 && c.Free != "", c.Free != "" && reRunsOut.MatchString(b.text) && b.in.unit != "" && b.in.unit != "percent":
		return b.forecast()
	case c.Per != "" && c.Gauge != "" && c.Plus == "" && c.unlisted && reRunsOut.MatchString(b.text) && b.in.unit != "" && fits(b.in.unit, "seconds"):
		return b.untilFull()
	case c.runsOut() && reRunsOut.MatchString(b.text) && (b.when.ahead > 0 || fits(b.in.unit, "seconds") && b.in.unit != ""):
		c := *c
		c.Free = c.Gauge
		b.m.c = &c
		return b.forecast()
	case c.Minus != "":
		return b.remainder()
	case c.Than != "":
		return b.against()
	case c.Per != "" || c.Plus != "":
		return b.ratio()
	case c.Counter != "":
		return b.counter(c.Counter)
	case c.Expr != "":
		e := b.parse(c.Expr)
		b.rewindow(e)
		b.regroup(e)
		return e
	}
	return b.gauge(c.Gauge)
}

// reRunsOut asks when there is nothing left.
var reRunsOut = regexp.MustCompile(`\bfull\b|\bruns? out\b|\brunning out\b|\bexhaust|\bfills? up\b|\bfilling up\b|\bdepleted?\b|\bspace left\b|\buntil (?:it|they) `)

// runsOut reports whether the metric tells how much is left of something.
func (c *concept) runsOut() bool {
	return c.unlisted && c.Gauge != "" && c.Per == "" && roleOf(c.Gauge).kind == "free"
}

// regroup drops labels from an expression's groupings that the metrics here do not have:
// a server of one cluster has no label cluster.
func (b *builder) regroup(e parser.Expr) {
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if a, ok := n.(*parser.AggregateExpr); ok && !a.Without {
			if a.Grouping = b.known(a.Grouping); b.explicit && len(b.dims) > 0 {
				a.Grouping = b.dims
			}
		}
		return nil
	})
}

// rewindow sets the windows of an expression to the one asked for.
func (b *builder) rewindow(e parser.Expr) {
	if b.when.window == 0 {
		return
	}
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if m, ok := n.(*parser.MatrixSelector); ok {
			m.Range = b.when.window
		}
		return nil
	})
}

func (b *builder) gauge(s string) parser.Expr {
	e := b.parse(s)
	if v, ok := e.(*parser.VectorSelector); ok {
		switch {
		case b.m.c.unlisted && rePerSecond.MatchString(b.text) && !strings.Contains(b.text, "error rate") && !isRate(s):
			return b.fold(over("rate", v, b.window(defaultRate)), b.m.c.Agg)
		case b.m.c.unlisted && b.when.window > 0 && reEventful.MatchString(s) && b.in.agg == "":
			if b.in.threshold == nil && (b.in.list || reThatDid.MatchString(b.text)) && b.in.rank == 0 && !b.in.count {
				b.in.threshold = &threshold{op: ">"}
			}
			return b.fold(over("increase", v, b.when.window), "sum")
		case b.when.window > 0 && reGrew.MatchString(b.text):
			return b.fold(over("delta", v, b.when.window), b.m.c.Agg)
		case b.when.window > 0 && rePeak.MatchString(b.text) && (b.dims == nil || b.in.count) && !b.explicit && !reWhich.MatchString(b.text) && !b.in.graph:
			b.dims = nil
			return b.peak(b.fold(e, b.m.c.Agg))
		}
	}
	if strings.Contains(b.text, "leak") || strings.Contains(b.text, "growing") || strings.Contains(b.text, "grow ") {
		if v, ok := e.(*parser.VectorSelector); ok {
			e = over("deriv", v, b.window(defaultTrend))
			if b.dims == nil {
				return e
			}
		}
	} else if v, ok := e.(*parser.VectorSelector); ok && b.when.window > 0 && !b.in.graph && !b.when.compare {
		fn := "avg_over_time"
		if b.in.agg == "max" || b.in.rank > 0 {
			fn = "max_over_time"
		} else if b.in.agg == "min" {
			fn = "min_over_time"
		}
		e = over(fn, v, b.when.window)
	}
	return b.fold(e, b.m.c.Agg)
}

var (
	// reGrew asks by how much a value changed in a time; how fast it changes is another question.
	reGrew = regexp.MustCompile(`\b(?:by )?how (?:much|many)\b.*\b(?:grow|grew|grown|increase|increased|rise|risen|rose|change|changed|drop|dropped|shrink|shrunk|shrank|fall|fell|decrease|decreased|gain|gained)\b|\b(?:growth|increase|change|difference) (?:of|in)\b|\bgr(?:ew|own?) (?:by|the most|most|fastest)\b|\bgained? the most\b`)
	rePeak = regexp.MustCompile(`\b(?:highest|peak|maximum|max|most|record|lowest|minimum|min|fewest)\b`)
)

// reStale asks for what has not happened in a time.
var reStale = regexp.MustCompile(`\b(?:not|no|never|without|stale|missing|missed|failed to|nothing)\b`)

var (
	// rePlainRate asks how many in a second, not which part.
	rePlainRate = regexp.MustCompile(`\bper second\b|\ba second\b|/s\b|\brps\b|\bqps\b`)
	// reShort asks for what has fewer of something than there should be.
	reShort   = regexp.MustCompile(`\b(?:fewer|less|lower)\b.*\bthan (?:they|it|there|the|are|is)?.*\b(?:should|expected|desired|wanted|total|supposed|configured|planned|needed|required)\b|\bnot all\b|\bshort of\b`)
	reThatDid = regexp.MustCompile(`\b(?:that|which|who|whose)\b`)
	// reEventful finds gauges that count events.
	reEventful = regexp.MustCompile(`(?i)restart|failure|failed|error|retr(?:y|ies)|crash|abort|timeout|reject`)
)

// reWhich asks for things, not for a number.
var reWhich = regexp.MustCompile(`\b(?:which|who|what [a-z]+s|whose|top \d+|list)\b`)

// isRate reports whether a gauge tells a rate already.
func isRate(metric string) bool {
	return strings.Contains(metric, "per_sec") || strings.Contains(metric, "_rate") || strings.Contains(metric, "qps") || strings.Contains(metric, "ops_per")
}

// peak takes the highest value that a sum had in the time asked for, or the lowest.
func (b *builder) peak(e parser.Expr) parser.Expr {
	fn := "max_over_time"
	if b.in.rank < 0 || b.in.agg == "min" {
		fn = "min_over_time"
	}
	b.in.rank = 0
	return call(fn, &parser.SubqueryExpr{Expr: e, Range: b.when.window, Step: max(time.Minute, (b.when.window / 1000).Round(time.Minute))})
}

// fold joins the series of a value by the wanted labels; without any, all into one
// when one value is asked for.
func (b *builder) fold(e parser.Expr, agg string) parser.Expr {
	if b.dims == nil && len(b.m.names) == 0 && !b.in.count && b.in.agg == "" && len(b.m.c.By) > 0 && !b.when.compare {
		b.dims = b.known(b.m.c.By)
	}
	if b.in.agg != "" && b.in.agg != "sum" || agg == "" && b.in.agg != "" {
		agg = b.in.agg
	}
	return aggregate(aggOp(agg), e, b.dims)
}

func (b *builder) counter(s string) parser.Expr {
	e := b.parse(s)
	v, ok := e.(*parser.VectorSelector)
	if !ok {
		b.err = fmt.Errorf("BUG: knowledge %q: want a plain selector", s)
		return e
	}
	if share, ok := b.share(v); ok {
		return share
	}
	return b.fold(b.rated(v), b.m.c.Agg)
}

// share builds what part of a counter's events a name makes up: "what percentage of
// the answers are SERVFAIL".
func (b *builder) share(v *parser.VectorSelector) (parser.Expr, bool) {
	if !reShare.MatchString(b.text) {
		return nil, false
	}
	all := &parser.VectorSelector{Name: v.Name}
	narrowed := false
	for _, m := range v.LabelMatchers {
		if outcome[m.Name] {
			narrowed = true
			continue
		}
		all.LabelMatchers = append(all.LabelMatchers, m)
	}
	if !narrowed {
		return nil, false
	}
	b.m.c = b.m.c.asRatio()
	w := b.window(defaultRate)
	return binary("/", aggregate(parser.SUM, over("rate", v, w), b.dims), aggregate(parser.SUM, over("rate", all, w), b.dims)), true
}

// ended are the labels that only say how something ended.
var ended = set("code status status_code response_code http_status http_status_code http_response_status_code rcode result outcome grpc_code grpc_status response decision verdict")

// outcome are the labels that say how something ended, or of which kind it was.
var outcome = set("response decision verdict code http_response_status_code http_status_code status status_code response_code http_status rcode result outcome reason state level severity success error type method verb")

var reShare = regexp.MustCompile(`\b(?:percent|percentage|share|fraction|proportion|portion|ratio|part|rate) of\b|\bwhat (?:percent|percentage|share|fraction|proportion|portion)\b|%|\b(?:approval|acceptance|rejection|decline|conversion|completion|abandonment|hit|drop) (?:rate|ratio)\b`)

// asRatio returns the concept with a ratio for its unit.
func (c *concept) asRatio() *concept {
	r := *c
	r.Unit = "ratio"
	return &r
}

// rated takes the increase or the rate of a counter, as the question wants it.
func (b *builder) rated(v *parser.VectorSelector) parser.Expr {
	if b.events() {
		return over("increase", v, b.window(defaultEvents))
	}
	return over("rate", v, b.window(defaultRate))
}

// events reports whether the number of events is asked for rather than their rate.
func (b *builder) events() bool {
	if b.in.graph && !b.m.c.Event {
		return false
	}
	if strings.Contains(b.text, "rate") || strings.Contains(b.text, "per second") || strings.Contains(b.text, "qps") || strings.Contains(b.text, "rps") ||
		strings.Contains(b.text, "/s") {
		return false
	}
	return b.m.c.Event || (b.in.count || b.m.c.unlisted && b.m.c.Unit == "") && b.when.window > 0 || b.m.c.unlisted && b.in.count
}

func (b *builder) ratio() parser.Expr {
	c := b.m.c
	if c.Plus != "" {
		return b.partOfTwo()
	}
	num, den := c.Gauge, c.Per
	if num == "" {
		num = c.Counter
	}
	l, r := b.parse(num), b.parse(den)
	if c.Counter != "" {
		lv, ok1 := l.(*parser.VectorSelector)
		rv, ok2 := r.(*parser.VectorSelector)
		if !ok1 || !ok2 {
			b.err = fmt.Errorf("BUG: knowledge %s: want plain selectors", c.Name)
			return l
		}
		b.dropOutcome(rv, den)
		l, r = over("rate", lv, b.window(defaultRate)), over("rate", rv, b.window(defaultRate))
	}
	// A name that only the numerator should have ("what share of X is Y").
	if b.dims == nil && len(b.m.names) == 0 && len(c.By) > 0 && b.in.agg != "avg" && b.in.agg != "sum" && !c.unlisted {
		b.dims = b.known(c.By)
	}
	if b.dims == nil && c.Rank {
		b.dims = b.known(c.By)
	}
	agg := aggOp(c.Agg)
	if c.Counter != "" && !c.unlisted && rePlainRate.MatchString(b.text) && !reShare.MatchString(b.text) && !strings.Contains(b.text, "ratio") {
		b.m.c = &concept{Name: c.Name, Counter: c.Counter, By: c.By, metrics: c.metrics}
		return aggregate(agg, l, b.dims)
	}
	if c.unlisted && reShort.MatchString(b.text) {
		return binary("<", aggregate(agg, l, b.known(c.By)), aggregate(agg, r, b.known(c.By)))
	}
	e := binary("/", aggregate(agg, l, b.dims), aggregate(agg, r, b.dims))
	if c.OneMinus {
		e = binary("-", number(1), e)
	}
	if b.in.agg == "avg" && b.explicit && len(c.By) > 0 && !slices.Equal(b.dims, b.known(c.By)) {
		dims := b.dims
		b.dims = b.known(c.By)
		e = binary("/", aggregate(agg, b.parse(num), b.dims), aggregate(agg, b.parse(den), b.dims))
		if c.OneMinus {
			e = binary("-", number(1), e)
		}
		b.dims = dims
		return aggregate(parser.AVG, e, dims)
	}
	return e
}

// dropOutcome takes the names that say how something ended off what is divided by: "what share of the
// requests ended in 5xx" is of all requests. What den says itself stays.
func (b *builder) dropOutcome(v *parser.VectorSelector, den string) {
	v.LabelMatchers = slices.DeleteFunc(v.LabelMatchers, func(m *labels.Matcher) bool {
		return ended[m.Name] && !strings.Contains(den, m.Value) && slices.ContainsFunc(b.m.names, func(n name) bool { return n.value == m.Value || n.regex == m.Value })
	})
}

// partOfTwo builds what part of the sum of two counters one of them is.
func (b *builder) partOfTwo() parser.Expr {
	c, fn := b.m.c, "rate"
	w := b.window(defaultRate)
	part := func(s string) parser.Expr {
		v, ok := b.parse(s).(*parser.VectorSelector)
		if !ok {
			b.err = fmt.Errorf("BUG: knowledge %q: want a plain selector", s)
			return number(0)
		}
		if c.Gauge != "" {
			return aggregate(parser.SUM, v, b.dims)
		}
		return aggregate(parser.SUM, over(fn, v, w), b.dims)
	}
	num := c.Counter + c.Gauge
	return binary("/", part(num), binary("+", part(num), part(c.Plus)))
}

// native builds a quantile, the average or the number of the observations of a native histogram.
func (b *builder) native() parser.Expr {
	v, ok := b.parse(b.m.c.Native).(*parser.VectorSelector)
	if !ok {
		b.err = fmt.Errorf("BUG: knowledge %q: want a plain selector", b.m.c.Native)
		return number(0)
	}
	w := b.window(defaultRate)
	switch {
	case b.in.quantile > 0:
		return call("histogram_quantile", number(b.in.quantile), aggregate(parser.SUM, over("rate", v, w), b.dims))
	case b.in.count:
		return call("histogram_count", aggregate(parser.SUM, over("increase", v, b.window(defaultEvents)), b.dims))
	case rePerSecond.MatchString(b.text):
		return call("histogram_count", aggregate(parser.SUM, over("rate", v, w), b.dims))
	case b.in.rank != 0 && b.in.agg == "":
		return call("histogram_quantile", number(0.99), aggregate(parser.SUM, over("rate", v, w), b.dims))
	}
	return call("histogram_avg", aggregate(parser.SUM, over("rate", v, w), b.dims))
}

// summary builds the average, or one of the quantiles that a summary has.
func (b *builder) summary() parser.Expr {
	c := b.m.c
	sel := func(name string) *parser.VectorSelector {
		v, ok := b.parse(name).(*parser.VectorSelector)
		if !ok {
			b.err = fmt.Errorf("BUG: knowledge %q: want a plain selector", name)
			return selector(name)
		}
		return v
	}
	if b.in.quantile > 0 && b.t.catalog.Has(c.Summary) {
		vals, err := b.t.catalog.ValuesOf(b.ctx, c.Summary, "quantile")
		if err != nil {
			b.err = err
		}
		q := strconv.FormatFloat(b.in.quantile, 'f', -1, 64)
		if _, ok := vals[q]; ok {
			v := sel(c.Summary)
			constrain(v, labels.MustNewMatcher(labels.MatchEqual, "quantile", q))
			return aggregate(parser.MAX, v, b.dims)
		}
	}
	w := b.window(defaultRate)
	if b.in.count || strings.Contains(b.text, "per second") || strings.Contains(b.text, "how often") {
		fn := "rate"
		if b.in.count {
			fn, w = "increase", b.window(defaultEvents)
		}
		return aggregate(parser.SUM, over(fn, sel(c.Summary+"_count"), w), b.dims)
	}
	return binary("/", aggregate(parser.SUM, over("rate", sel(c.Summary+"_sum"), w), b.dims), aggregate(parser.SUM, over("rate", sel(c.Summary+"_count"), w), b.dims))
}

// histogram builds a quantile, an average or the share below a bound.
func (b *builder) histogram() parser.Expr {
	c := b.m.c
	sel := func(suffix string) *parser.VectorSelector {
		v, _ := b.parse(c.Histogram + suffix).(*parser.VectorSelector)
		return v
	}
	w := b.window(defaultRate)
	dims := b.dims
	if b.in.threshold != nil && b.in.threshold.op[0] == '<' && b.in.quantile == 0 {
		if le := b.bucket(sel("_bucket")); le != "" {
			v := sel("_bucket")
			constrain(v, labels.MustNewMatcher(labels.MatchEqual, "le", le))
			b.in.threshold = nil
			return binary("/", aggregate(parser.SUM, over("rate", v, w), dims), aggregate(parser.SUM, over("rate", sel("_count"), w), dims))
		}
	}
	if dims == nil && len(b.m.names) == 0 {
		dims = b.known(c.By)
	}
	if b.in.quantile == 0 && (b.in.agg == "avg" || b.in.agg == "" && b.in.rank == 0) && b.t.catalog.Has(c.Histogram+"_sum") {
		return binary("/", aggregate(parser.SUM, over("rate", sel("_sum"), w), dims), aggregate(parser.SUM, over("rate", sel("_count"), w), dims))
	}
	q := b.in.quantile
	if q == 0 {
		q = 0.99
	}
	return call("histogram_quantile", number(q), aggregate(parser.SUM, over("rate", sel("_bucket"), w), append(slices.Clone(dims), "le")))
}

// bucket returns the le of the bucket that ends at the threshold.
func (b *builder) bucket(v *parser.VectorSelector) string {
	want := b.in.threshold.value
	if s, ok := scale(b.in.threshold.unit); ok && b.in.threshold.unit != "" {
		want /= s
	}
	vals, err := b.t.catalog.ValuesOf(b.ctx, v.Name, "le")
	if err != nil {
		b.err = err
		return ""
	}
	best, dist := "", 0.0
	for s := range vals {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			continue
		}
		if d := f - want; d >= -1e-9 && (best == "" || d < dist) {
			best, dist = s, d
		}
	}
	return best
}

// forecast builds when something runs out, or what will have run out by then.
func (b *builder) forecast() parser.Expr {
	c := b.m.c
	free, ok := b.parse(c.Free).(*parser.VectorSelector)
	if !ok {
		b.err = fmt.Errorf("BUG: knowledge %q: want a plain selector", c.Free)
		return number(0)
	}
	if b.when.ahead > 0 {
		b.in.threshold, b.in.rank = nil, 0
		return binary("<", call("predict_linear", &parser.MatrixSelector{VectorSelector: free, Range: b.window(defaultTrend)},
			number(b.when.ahead.Seconds())), number(0))
	}
	slope := call("deriv", &parser.MatrixSelector{VectorSelector: b.parse(c.Free), Range: b.window(defaultTrend)})
	return binary("/", free, &parser.UnaryExpr{Op: parser.SUB, Expr: slope})
}

// untilFull builds how long it takes until what is used reaches what there is, as it grows now.
func (b *builder) untilFull() parser.Expr {
	c := b.m.c
	used, ok := b.parse(c.Gauge).(*parser.VectorSelector)
	if !ok {
		b.err = fmt.Errorf("BUG: knowledge %q: want a plain selector", c.Gauge)
		return number(0)
	}
	left := binary("-", aggregate(parser.SUM, b.parse(c.Per), b.dims), aggregate(parser.SUM, used, b.dims))
	if c.OneMinus { // the gauge tells what is free
		slope := aggregate(parser.SUM, over("deriv", used, b.window(defaultTrend)), b.dims)
		return binary("/", aggregate(parser.SUM, b.parse(c.Gauge), b.dims), &parser.UnaryExpr{Op: parser.SUB, Expr: slope})
	}
	return binary("/", left, aggregate(parser.SUM, over("deriv", used, b.window(defaultTrend)), b.dims))
}

// state builds the things that are in a state, or how many.
func (b *builder) state() parser.Expr {
	c := b.m.c
	e := b.parse(c.State)
	is := c.Is
	if is == "" {
		is = "== 1"
	}
	op, val, _ := strings.Cut(is, " ")
	if b.in.threshold != nil && !b.in.threshold.percent {
		op, val = b.in.threshold.op, strconv.FormatFloat(b.in.threshold.value, 'g', -1, 64)
		b.in.threshold = nil
	}
	f, err := strconv.ParseFloat(val, 64)
	if err != nil {
		b.err = fmt.Errorf("BUG: knowledge %q: %w", is, err)
		return e
	}
	v, plain := e.(*parser.VectorSelector)
	past := b.when.window > 0 && plain
	if past && b.in.unit != "" && b.in.count { // how many minutes was it so
		s, _ := scale(b.in.unit)
		cond := binary(op, v, number(f))
		return binary("*", aggregate(parser.SUM, call("count_over_time", &parser.SubqueryExpr{Expr: group(cond), Range: b.when.window, Step: time.Minute}), b.dims), number(60*s))
	}
	if past {
		fn := "max_over_time"
		if (op[0] == '<' || op == "==" && f == 0) != reThroughout.MatchString(b.text) {
			fn = "min_over_time"
		}
		e = over(fn, v, b.when.window)
	}
	cond := binary(op, e, number(f))
	if len(b.m.joined) > 0 {
		info := selector(podInfo, b.m.joined...)
		var right parser.Expr = info
		if past {
			right = over("max_over_time", info, b.when.window)
		}
		on := b.known([]string{"cluster", "namespace", "pod"})
		cond = &parser.BinaryExpr{
			Op: parser.LAND, LHS: cond, RHS: right,
			VectorMatching: &parser.VectorMatching{Card: parser.CardManyToMany, MatchingLabels: on, On: true},
		}
	}
	if past && b.in.rank != 0 || b.in.count || b.explicit || b.in.rank != 0 {
		if b.in.rank == 0 || !past {
			return aggregate(parser.COUNT, cond, b.dims)
		}
		return aggregate(parser.COUNT, cond, b.dims)
	}
	return cond
}

// reThroughout says that something was so all the time.
var reThroughout = regexp.MustCompile(`\b(?:for|throughout) (?:all |the whole |at least |more than |over )?(?:the )?(?:last|past|entire|whole|previous)|\bfor (?:at least|more than|over|longer than)|\ball (?:the time|day|night)\b|\bthe (?:whole|entire) (?:time|day|night)\b|\b(?:constantly|continuously|permanently)\b`)

// finish puts threshold, ranking, comparison, offset and unit on a value.
func (b *builder) finish(e parser.Expr) parser.Expr {
	c := b.m.c
	shift(e, b.when.end)
	if b.when.compare && b.when.offset > 0 {
		before, err := parser.NewParser(parser.Options{}).ParseExpr(e.String())
		if err != nil {
			b.err = fmt.Errorf("BUG: own query %q: %w", e.String(), err)
			return e
		}
		shift(before, b.when.offset)
		e = binary("-", e, before)
	}
	ratio := c.Unit == "ratio" || c.Per != "" && c.Unit == ""
	th := b.in.threshold
	if th == nil && c.Above != 0 && (b.when.ahead == 0 || c.Free == "") && (b.in.list || c.Event && !b.in.count) && b.in.rank == 0 && !b.when.compare && !b.explicit {
		th = &threshold{op: ">", value: c.Above}
		if c.Until != "" {
			th.op = "<"
		}
	}
	if c.Until != "" && b.when.ahead > 0 {
		th = &threshold{op: "<", value: b.when.ahead.Seconds()}
	}
	if th == nil && (b.wantsSome() || b.onlySome()) {
		th = &threshold{op: ">"}
	}
	if c.Since != "" && b.when.window > 0 && th == nil {
		th = &threshold{op: "<", value: b.when.window.Seconds()}
		if reStale.MatchString(b.text) {
			th.op = ">"
		}
	}
	if th != nil && th.percent && !ratio && c.Unit != "percent" && c.Histogram == "" && c.State == "" {
		b.err = &Refusal{Reason: c.Name + " is no share of anything that is known here, and a percentage is asked for"}
		return e
	}
	if th != nil {
		v := th.value
		switch {
		case th.percent && ratio:
			v /= 100
		case th.unit != "":
			if s, ok := scale(th.unit); ok {
				v *= baseOf(c.Unit) / s
			}
		}
		e = binary(th.op, e, number(round(v)))
		if b.in.count && c.State == "" {
			e = aggregate(parser.COUNT, e, nil)
		}
		return e
	}
	if s, ok := scale(b.in.unit); ok && b.in.unit != "" && fits(b.in.unit, b.shownUnit()) && s != baseOf(c.Unit) && (!b.in.count || c.State == "" || b.when.window <= 0) {
		if b.in.unit == "percent" || b.in.unit == "percentage" || b.in.unit == "%" {
			if ratio {
				e = binary("*", number(100), e)
			}
		} else {
			e = scaled(e, s/baseOf(c.Unit))
		}
	}
	if c.Unit == "cents" && reMoney.MatchString(b.text) {
		e = binary("/", e, number(100))
	}
	b.rankAges()
	if b.in.rank != 0 || c.Rank && !b.explicit && len(b.m.names) == 0 {
		k := b.in.k
		switch {
		case k <= 0 && b.in.one:
			k = 1
		case k <= 0 || k > 1000:
			k = defaultTop
		}
		op := parser.ItemType(parser.TOPK)
		if b.in.rank < 0 {
			op = parser.BOTTOMK
		}
		e = topk(op, k, e)
	}
	return e
}

// reMoney asks for whole units of a currency.
var reMoney = regexp.MustCompile(`\b(?:euros?|dollars?|usd|eur|pounds?|gbp|francs?)\b`)

var (
	reOldest   = regexp.MustCompile(`\b(?:oldest|longest|earliest|least recent(?:ly)?|eldest|stalest)\b`)
	reYoungest = regexp.MustCompile(`\b(?:youngest|newest|latest|most recent(?:ly)?|freshest)\b`)
	reSoonest  = regexp.MustCompile(`\b(?:first|soonest|next|earliest|nearest|closest)\b`)
)

// rankAges orders ages and times that are left, as the words for them say.
func (b *builder) rankAges() {
	c := b.m.c
	before := b.in.rank
	switch {
	case c.Since != "" && reOldest.MatchString(b.text):
		b.in.rank = 1
	case c.Since != "" && reYoungest.MatchString(b.text), c.Until != "" && b.in.threshold == nil && reSoonest.MatchString(b.text):
		b.in.rank = -1
	}
	if before == 0 && b.in.rank != 0 && b.in.k == 0 {
		b.in.one = reSingle.MatchString(b.text)
	}
}

// reSingle finds a noun in the singular behind which or a superlative.
var reSingle = regexp.MustCompile(`\b(?:which|what|the|oldest|youngest|newest|latest|next)(?: [a-z]+)? (?:[a-rt-z]+|[a-z]*[a-rt-z])\b (?:is|was|expires|will|has|did|runs)\b|^(?:the )?(?:oldest|youngest|newest|latest) (?:[a-z]+ )?[a-z]*[a-rt-z]\b`)

// reSome asks who has any of something.
var reSome = regexp.MustCompile(`^(?:so |and |please )*(?:which|what|any|are there any|is there any|do any|does any|have any|has any|who|show|list|find)\b.*\b(?:with|have|has|having|report|reports|reporting|see|sees|seeing|show|shows|showing|get|getting|log|experience|experiencing|suffer|suffering|drop|drops|dropping|reject|rejects|rejecting)\b|` +
	`^(?:are|is) there (?:any|currently any|still any)\b|^any\b`)

// wantsSome reports whether a question for a plain number asks only who has any: "which servers report slow
// consumers".
func (b *builder) wantsSome() bool {
	c := b.m.c
	if !c.unlisted || b.in.rank != 0 || b.in.count || b.explicit || b.in.graph || b.when.compare || b.in.agg != "" || b.in.unit != "" {
		return false
	}
	return (c.Gauge != "" || c.Counter != "") && c.Per == "" && c.Unit == "" && reSome.MatchString(b.text)
}

// reOnlySome leaves out the things that have none of what is asked for.
var reOnlySome = regexp.MustCompile(`\bonly (?:those|the ones|ones|the [a-z]+s|[a-z]+s) (?:that|which|with|who|where)\b|\b(?:without|no|skip|skipping|hide|hiding|leave out|leaving out) (?:the )?zero(?:e?s)?\b`)

// onlySome reports whether a question for numbers wants those alone that are not nil.
func (b *builder) onlySome() bool {
	c := b.m.c
	return (c.Gauge != "" || c.Counter != "") && b.in.rank == 0 && !b.in.count && !b.when.compare && c.Than == "" && reOnlySome.MatchString(b.text)
}

// shownUnit is the unit that the values have before they are scaled.
func (b *builder) shownUnit() string {
	c := b.m.c
	if b.when.ahead == 0 && (c.Free != "" || c.runsOut() || c.Per != "" && c.unlisted) && reRunsOut.MatchString(b.text) {
		return "seconds"
	}
	return c.Unit
}

// fits reports whether values of a unit can be shown in another: bytes are no days. Of values without a unit anything may be
// wanted.
func fits(want, unit string) bool {
	w, ok := dimension[strings.TrimSuffix(unitName(want), "s")]
	u, known := dimension[strings.TrimSuffix(unitName(unit), "s")]
	return !ok || !known || w == u
}

// dimension is what units are units of.
var dimension = func() map[string]string {
	m := map[string]string{}
	for dim, list := range map[string]string{
		"time": "second sec minute min hour hr h day d week m millisecond us n", "data": "byte kb mb gb tb kib mib gib tib bit kbit mbit gbit", "share": "percent percentage % ratio", "heat": "celsiu", "cpu": "core",
	} {
		for _, u := range strings.Fields(list) {
			m[u] = dim
		}
	}
	return m
}()

// baseOf is what a metric's unit is to the base unit: 1000 milliseconds are a second.
func baseOf(unit string) float64 {
	switch unit {
	case "milliseconds", "ms", "mib", "mb", "kb", "kib", "gb", "gib", "MiB":
		s, _ := scale(strings.ToLower(unit))
		return s
	case "us":
		return 1e6
	case "ns":
		return 1e9
	case "percent":
		return 100
	}
	return 1
}

func scaled(e parser.Expr, s float64) parser.Expr {
	if s < 1 {
		return binary("/", e, number(round(1/s)))
	}
	return binary("*", e, number(s))
}

func round(v float64) float64 {
	f, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 12, 64), 64)
	if err != nil {
		return v
	}
	return f
}

func (b *builder) unit() string {
	if percent := b.in.unit == "percent" || b.in.unit == "percentage" || b.in.unit == "%"; b.in.unit != "" && (!percent || b.m.c.Unit == "ratio" || b.m.c.Per != "") {
		return b.in.unit
	}
	if b.m.c.Unit == "" && b.m.c.Per != "" {
		return "ratio"
	}
	return b.m.c.Unit
}

// explain says how the question was understood.
func (b *builder) explain() string {
	parts := []string{b.m.c.Name + " = " + strings.Join(b.m.c.metrics, ", ")}
	if len(b.dims) > 0 {
		parts = append(parts, "by "+strings.Join(b.dims, ", "))
	}
	for _, n := range b.m.names {
		v := n.value
		if v == "" {
			v = n.regex
		}
		if n.not {
			v = "not " + v
		}
		parts = append(parts, "only "+v)
	}
	if b.when.window > 0 {
		parts = append(parts, "over "+model.Duration(b.when.window).String())
	}
	return strings.Join(parts, "; ")
}
