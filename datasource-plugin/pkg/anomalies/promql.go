package anomalies

import (
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/parser/posrange"

	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
	"github.com/portent-dev/portent/internal/ingest"
)

// What the exporter writes.
const (
	MetricScore    = "anomaly_score"
	metricExpected = "anomaly_expected"
	metricLower    = "anomaly_expected_lower"
	metricUpper    = "anomaly_expected_upper"

	LabelMetric    = "metric"          // the name of the input metric
	exportedMetric = "exported_metric" // a label of the input that is called metric itself
)

// promql builds the queries of one request as syntax trees; String of a tree is the only way to text, so that
// no value can become part of the language.
type promql struct {
	matchers  []*labels.Matcher
	threshold float64
	limit     int
	window    time.Duration // the whole range, back from the time of evaluation
}

// Selector returns the matchers that select what a query asks for among the series of one of our metrics.
func Selector(name string, metric string, matchers []query.Matcher) ([]*labels.Matcher, error) {
	compiled, err := query.CompileAll(matchers)
	if err != nil {
		return nil, err
	}
	all := []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, name)}
	if metric != "" {
		all = append(all, labels.MustNewMatcher(labels.MatchEqual, LabelMetric, metric))
	}
	return append(all, compiled...), nil
}

func vector(matchers []*labels.Matcher) *parser.VectorSelector {
	sel := &parser.VectorSelector{LabelMatchers: matchers}
	// Only a name of ours stands before the braces: one from outside may hold what is no name there.
	if name := matchers[0]; name.Type == labels.MatchEqual && name.Value == MetricScore {
		sel.Name = MetricScore
	}
	return sel
}

func call(name string, args ...parser.Expr) parser.Expr {
	return &parser.Call{Func: parser.Functions[name], Args: args}
}

func binary(op parser.ItemType, lhs, rhs parser.Expr) parser.Expr {
	b := &parser.BinaryExpr{Op: op, LHS: lhs, RHS: rhs}
	if op.IsSetOperator() {
		b.VectorMatching = &parser.VectorMatching{Card: parser.CardManyToMany}
	}
	return b
}

func aggregate(op parser.ItemType, param, e parser.Expr) parser.Expr {
	return &parser.AggregateExpr{Op: op, Param: param, Expr: e}
}

func number(v float64) parser.Expr {
	return &parser.NumberLiteral{Val: v, PosRange: posrange.PositionRange{}}
}

// scores selects the scores asked for.
func (p *promql) scores() parser.Expr { return vector(p.matchers) }

// peaks is the greatest score of each series within the window, of those that were above the threshold. With
// end it is that of the window before the end of a range query, whatever the step.
func (p *promql) peaks(end bool) parser.Expr {
	sel := vector(p.matchers)
	if end {
		sel.StartOrEnd = parser.END
	}
	return p.above(call("max_over_time", &parser.MatrixSelector{VectorSelector: sel, Range: p.window}))
}

// above keeps what is greater than the threshold; 0 keeps all, also a score of 0.
func (p *promql) above(e parser.Expr) parser.Expr {
	if p.threshold <= 0 {
		return e
	}
	return binary(parser.GTR, e, number(p.threshold))
}

// top keeps the greatest.
func (p *promql) top(e parser.Expr) parser.Expr {
	return aggregate(parser.TOPK, number(float64(p.limit)), e)
}

// count of series in e.
func count(e parser.Expr) parser.Expr { return aggregate(parser.COUNT, nil, e) }

// scoreSteps is the score at each step of a range query, of the series with the greatest peaks. When a step
// spans several scrapes it is the greatest within the step: an anomaly shorter than a pixel must not vanish.
func (p *promql) scoreSteps(step, scrape time.Duration) parser.Expr {
	e := p.scores()
	if step >= 2*scrape {
		e = call("max_over_time", &parser.MatrixSelector{VectorSelector: vector(p.matchers), Range: step})
	}
	return binary(parser.LAND, e, p.top(p.peaks(true)))
}

// named selects several of our metrics, of the series that ranked selects. Set operators keep the name of the
// left side, so all of them come in one answer.
func (p *promql) named(ranked parser.Expr, metrics ...string) parser.Expr {
	sel := make([]*labels.Matcher, 0, len(p.matchers))
	sel = append(sel, labels.MustNewMatcher(labels.MatchRegexp, model.MetricNameLabel, strings.Join(metrics, "|")))
	sel = append(sel, p.matchers[1:]...) // the first one is the name
	return binary(parser.LAND, vector(sel), ranked)
}

// observed selects the input series themselves, all of one metric: a counter as the rate a second over window,
// as the detector sees it. The labels come from Prometheus and may hold anything.
func observed(metric string, series []map[string]string, window time.Duration) parser.Expr {
	var e parser.Expr
	for _, ls := range series {
		sel := []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, metric)}
		for _, name := range sortedKeys(ls) {
			sel = append(sel, labels.MustNewMatcher(labels.MatchEqual, name, ls[name]))
		}
		var one parser.Expr = vector(sel)
		if IsCounter(metric) {
			one = call("rate", &parser.MatrixSelector{VectorSelector: vector(sel), Range: window})
		}
		if e == nil {
			e = one
			continue
		}
		e = binary(parser.LOR, e, one)
	}
	return e
}

// IsCounter reports whether a metric is a counter by its name: its rate is what is watched.
func IsCounter(metric string) bool { return ingest.KindOf(metric) == ingest.KindCounter }

// SelectorText selects the scores that a metric and matchers leave, as the metadata endpoints of Prometheus
// take it.
func SelectorText(metric string, matchers []query.Matcher) (string, error) {
	sel, err := Selector(MetricScore, metric, matchers)
	if err != nil {
		return "", err
	}
	return vector(sel).String(), nil
}

// ScoreCount is a query for the number of series with a score.
func ScoreCount() string {
	name := labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, MetricScore)
	return count(vector([]*labels.Matcher{name})).String()
}
