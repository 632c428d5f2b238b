package prometheustest

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql/parser"
)

// lookback is how old a sample may be that a selector still returns, as in Prometheus.
const lookback = 5 * time.Minute

// engine evaluates the part of PromQL that the data source writes; anything else is an error. The protocol
// tests hold it to a real Prometheus with the same data.
type engine struct {
	series []stored
	end    time.Time // of the range query, for @ end()

	// pinned keeps the aggregations over @ end(), which are the same at every step.
	pinned map[parser.Expr][]sample
}

type stored struct {
	labels  labels.Labels
	samples []model.SamplePair
}

type sample struct {
	labels labels.Labels
	value  float64
}

func (e *engine) eval(expr parser.Expr, at time.Time) ([]sample, error) {
	switch x := expr.(type) {
	case *parser.ParenExpr:
		return e.eval(x.Expr, at)
	case *parser.StepInvariantExpr:
		return e.eval(x.Expr, at)
	case *parser.VectorSelector:
		return e.instant(x, at)
	case *parser.Call:
		return e.call(x, at)
	case *parser.AggregateExpr:
		return e.aggregate(x, at)
	case *parser.BinaryExpr:
		return e.binary(x, at)
	}
	return nil, fmt.Errorf("prometheustest does not know %T: %s", expr, expr)
}

func (e *engine) instant(sel *parser.VectorSelector, at time.Time) ([]sample, error) {
	var out []sample
	for _, s := range e.find(sel) {
		in := window(s.samples, e.at(sel, at), lookback)
		if len(in) == 0 || value.IsStaleNaN(float64(in[len(in)-1].Value)) {
			continue
		}
		out = append(out, sample{s.labels, float64(in[len(in)-1].Value)})
	}
	return out, nil
}

func (e *engine) find(sel *parser.VectorSelector) []stored {
	var out []stored
	for _, s := range e.series {
		if !slices.ContainsFunc(sel.LabelMatchers, func(m *labels.Matcher) bool { return !m.Matches(s.labels.Get(m.Name)) }) {
			out = append(out, s)
		}
	}
	return out
}

func (e *engine) at(sel *parser.VectorSelector, at time.Time) time.Time {
	if sel.StartOrEnd == parser.END {
		return e.end
	}
	return at
}

// window returns the samples in (at-size, at].
func window(all []model.SamplePair, at time.Time, size time.Duration) []model.SamplePair {
	after := func(t time.Time) int {
		return sort.Search(len(all), func(i int) bool { return all[i].Timestamp.Time().After(t) })
	}
	return all[after(at.Add(-size)):after(at)]
}

func (e *engine) call(c *parser.Call, at time.Time) ([]sample, error) {
	if c.Func.Name == "vector" {
		return []sample{{labels.EmptyLabels(), c.Args[0].(*parser.NumberLiteral).Val}}, nil
	}
	m, ok := c.Args[0].(*parser.MatrixSelector)
	if !ok {
		return nil, fmt.Errorf("prometheustest does not know %s", c)
	}
	sel := m.VectorSelector.(*parser.VectorSelector)
	end := e.at(sel, at)
	var out []sample
	for _, s := range e.find(sel) {
		in := slices.DeleteFunc(slices.Clone(window(s.samples, end, m.Range)), func(p model.SamplePair) bool { return value.IsStaleNaN(float64(p.Value)) })
		var v float64
		var ok bool
		switch c.Func.Name {
		case "max_over_time":
			v, ok = maxOf(in)
		case "rate":
			v, ok = rate(in, end.Add(-m.Range), end)
		default:
			return nil, fmt.Errorf("prometheustest does not know the function %s", c.Func.Name)
		}
		if ok {
			out = append(out, sample{s.labels.DropReserved(func(n string) bool { return n == model.MetricNameLabel }), v})
		}
	}
	return out, nil
}

func maxOf(in []model.SamplePair) (float64, bool) {
	best := math.Inf(-1)
	for _, p := range in {
		best = max(best, float64(p.Value))
	}
	return best, len(in) > 0
}

// rate is Prometheus's extrapolatedRate for a counter: the increase between the first and the last sample,
// stretched to the window's ends where they are at most 1.1 sample intervals away, half an interval otherwise,
// and not beyond where the counter would be 0.
func rate(in []model.SamplePair, from, to time.Time) (float64, bool) {
	if len(in) < 2 {
		return 0, false
	}
	first, last := in[0], in[len(in)-1]
	increase := float64(last.Value - first.Value)
	for i := 1; i < len(in); i++ {
		if in[i].Value < in[i-1].Value {
			increase += float64(in[i-1].Value)
		}
	}
	toStart, toEnd := first.Timestamp.Time().Sub(from).Seconds(), to.Sub(last.Timestamp.Time()).Seconds()
	sampled := last.Timestamp.Time().Sub(first.Timestamp.Time()).Seconds()
	between := sampled / float64(len(in)-1)
	if toStart >= between*1.1 {
		toStart = between / 2
	}
	if increase > 0 && first.Value >= 0 {
		toStart = min(toStart, sampled*float64(first.Value)/increase)
	}
	if toEnd >= between*1.1 {
		toEnd = between / 2
	}
	// In the order of Prometheus's own arithmetic, so that the last digit is the same.
	return increase * ((sampled + toStart + toEnd) / sampled / to.Sub(from).Seconds()), true
}

func (e *engine) aggregate(a *parser.AggregateExpr, at time.Time) ([]sample, error) {
	if got, ok := e.pinned[a]; ok {
		return slices.Clone(got), nil
	}
	out, err := e.aggregated(a, at)
	if err == nil && e.pinned != nil && strings.Contains(a.String(), "@ end()") {
		e.pinned[a] = slices.Clone(out)
	}
	return out, err
}

func (e *engine) aggregated(a *parser.AggregateExpr, at time.Time) ([]sample, error) {
	in, err := e.eval(a.Expr, at)
	if err != nil || len(in) == 0 {
		return nil, err
	}
	switch a.Op {
	case parser.COUNT:
		return []sample{{labels.EmptyLabels(), float64(len(in))}}, nil
	case parser.TOPK:
		slices.SortStableFunc(in, func(x, y sample) int { return cmp.Compare(y.value, x.value) })
		return in[:min(len(in), int(a.Param.(*parser.NumberLiteral).Val))], nil
	}
	return nil, fmt.Errorf("prometheustest does not know the aggregation %s", a.Op)
}

func (e *engine) binary(b *parser.BinaryExpr, at time.Time) ([]sample, error) {
	left, err := e.eval(b.LHS, at)
	if err != nil {
		return nil, err
	}
	if n, ok := b.RHS.(*parser.NumberLiteral); ok && b.Op == parser.GTR {
		return slices.DeleteFunc(left, func(s sample) bool { return s.value <= n.Val }), nil
	}
	right, err := e.eval(b.RHS, at)
	if err != nil {
		return nil, err
	}
	in := func(set []sample) func(sample) bool {
		known := map[string]bool{}
		for _, s := range set {
			known[identity(s.labels)] = true
		}
		return func(s sample) bool { return known[identity(s.labels)] }
	}
	switch b.Op {
	case parser.LAND:
		has := in(right)
		return slices.DeleteFunc(left, func(s sample) bool { return !has(s) }), nil
	case parser.LOR:
		return append(left, slices.DeleteFunc(right, in(left))...), nil
	}
	return nil, fmt.Errorf("prometheustest does not know the operator %s", b.Op)
}

// identity is the labels without the name, by which set operators match.
func identity(ls labels.Labels) string {
	var b strings.Builder
	ls.Range(func(l labels.Label) {
		if l.Name != model.MetricNameLabel {
			fmt.Fprintf(&b, "%s=%q,", l.Name, l.Value)
		}
	})
	return b.String()
}

// matrix evaluates each step and puts the values of one series together.
func (e *engine) matrix(expr parser.Expr, start, end time.Time, step time.Duration) (model.Matrix, error) {
	e.end, e.pinned = end, map[parser.Expr][]sample{}
	streams := map[string]*model.SampleStream{}
	for at := start; !at.After(end); at = at.Add(step) {
		v, err := e.eval(expr, at)
		if err != nil {
			return nil, err
		}
		for _, s := range v {
			key := s.labels.String()
			if streams[key] == nil {
				streams[key] = &model.SampleStream{Metric: metric(s.labels)}
			}
			streams[key].Values = append(streams[key].Values, model.SamplePair{Timestamp: model.TimeFromUnixNano(at.UnixNano()), Value: model.SampleValue(s.value)})
		}
	}
	out := model.Matrix{}
	for _, s := range streams {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *model.SampleStream) int { return strings.Compare(a.Metric.String(), b.Metric.String()) })
	return out, nil
}
