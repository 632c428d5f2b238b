// Package forecasts answers where series of Prometheus go and when they meet a limit: it reads their history, lets
// internal/forecast continue it, and makes frames that continue the series. It must not know Grafana's plugin
// protocol, addresses or credentials.
package forecasts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/data"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"golang.org/x/sync/errgroup"

	"github.com/portent-dev/portent/datasource-plugin/pkg/anomalies"
	"github.com/portent-dev/portent/datasource-plugin/pkg/dataplane"
	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
	"github.com/portent-dev/portent/internal/ask"
	"github.com/portent-dev/portent/internal/forecast"
)

// Prometheus answers a query along a range; the strings are warnings for the user.
type Prometheus interface {
	QueryRange(ctx context.Context, expr string, from, to time.Time, step time.Duration) (model.Value, []string, error)
}

// Request is one query with what Grafana sends around it.
type Request struct {
	Query     query.Forecast
	From, To  time.Time
	Now       time.Time // history ends here where the range goes on
	Interval  time.Duration
	MaxPoints int64
	Scrape    time.Duration
	Gate      ask.Gate // holds the query; its forced matchers cannot be left
}

// Bounds.
const (
	// maxHistory points are fitted: a week of ten minutes. More cost time and change little.
	maxHistory = 1008
	// minHistory is how many times the horizon is looked back at least.
	minHistory = 3
	// fewPoints is too little to see more than a line in.
	fewPoints = 60
	// atOnce is how many series are forecast side by side: each takes a processor.
	atOnce = 2
)

// QueryError is a query that Prometheus does not understand.
type QueryError struct{ Err error }

func (e *QueryError) Error() string { return e.Err.Error() }

func (e *QueryError) Unwrap() error { return e.Err }

// future is one series with where it goes.
type future struct {
	metric  model.Metric
	times   []time.Time
	values  []*float64
	next    forecast.Forecast
	meets   forecast.Crossing
	refused error // why there is no forecast
}

// Run answers one request. The frames follow the data plane contract; ExecutedQueryString holds the PromQL.
func Run(ctx context.Context, p Prometheus, r Request) (data.Frames, error) {
	end := r.To
	if !r.Now.IsZero() && r.Now.Before(end) {
		end = r.Now
	}
	compiled, err := query.CompileAll(r.Query.Matchers)
	if err != nil {
		return nil, err
	}
	r.Gate.Forced = append(slices.Clip(r.Gate.Forced), compiled...)
	g := r.grid(end, r.history(end))
	h, err := r.read(ctx, p, g)
	if err != nil {
		return nil, err
	}
	// A server that has not been there for so long has few samples at so coarse a step: look closer at what it has.
	if first, most := h.reach(); most < fewPoints {
		span := 2 * g.Step // younger than a step
		if most > 0 {
			span = g.To.Sub(first) + g.Step
		}
		if 2*span < g.To.Sub(g.From) {
			g = r.grid(end, span)
			if h, err = r.read(ctx, p, g); err != nil {
				return nil, err
			}
		}
	}
	all, left := newest(h.matrix, r.Query.Limit)
	if err := r.futures(ctx, all, g); err != nil {
		return nil, err
	}
	notices := r.notices(all, left, h.warnings)
	return dataplane.Finish(r.frames(all, g), h.query, notices), nil
}

// history is what was read of the past.
type history struct {
	matrix   model.Matrix
	query    string
	warnings []string
}

// read asks for the series on a grid, through the gate.
func (r Request) read(ctx context.Context, p Prometheus, g dataplane.Grid) (history, error) {
	checked, err := r.Gate.Check(ctx, ask.Translation{
		Language: ask.PromQL, Query: r.expr(g), Time: g.To, Range: &ask.Range{Start: g.From, End: g.To, Step: g.Step},
	})
	if err != nil {
		return history{}, err
	}
	v, warnings, err := p.QueryRange(ctx, checked.Query, g.From, g.To, g.Step)
	if err != nil {
		return history{}, &QueryError{err}
	}
	m, ok := v.(model.Matrix)
	if !ok {
		return history{}, fmt.Errorf("query for the history: got a %s, want a matrix", v.Type())
	}
	return history{m, checked.Query, append(checked.Warnings, warnings...)}, nil
}

// reach returns when the oldest series begins, and how many values the longest has.
func (h history) reach() (first time.Time, most int) {
	for _, s := range h.matrix {
		if len(s.Values) == 0 {
			continue
		}
		if at := s.Values[0].Timestamp.Time().UTC(); first.IsZero() || at.Before(first) {
			first = at
		}
		most = max(most, len(s.Values))
	}
	return first, most
}

// history is how far back is looked: as long as is asked for or shown, at least minHistory times the horizon.
func (r Request) history(end time.Time) time.Duration {
	if span := r.Query.HistoryOf(); span > 0 {
		return span
	}
	return max(end.Sub(r.From), minHistory*r.Query.HorizonOf())
}

// grid is the steps of the history, as fine as the panel and the forecast allow.
func (r Request) grid(end time.Time, span time.Duration) dataplane.Grid {
	points := r.MaxPoints
	if points <= 0 || points > maxHistory {
		points = maxHistory
	}
	least := r.Query.HorizonOf() / (forecast.MaxHorizon / 2)
	return dataplane.Span{From: end.Add(-span), To: end, Points: points, MaxPoints: maxHistory, Interval: max(r.Interval, least), Scrape: r.Scrape}.Steps()
}

// expr is the PromQL as it was written, or that of a metric: a counter as its rate.
func (r Request) expr(g dataplane.Grid) string {
	rate := max(g.Step+r.Scrape, 4*r.Scrape)
	if r.Query.Expr != "" {
		text := r.Query.Expr
		for _, m := range [...]struct {
			name string
			d    time.Duration
		}{{"rate_interval", rate}, {"interval", g.Step}, {"range", g.To.Sub(g.From)}} {
			value := model.Duration(m.d.Truncate(time.Second)).String()
			text = strings.ReplaceAll(strings.ReplaceAll(text, "${__"+m.name+"}", value), "$__"+m.name, value)
		}
		return text
	}
	sel := &parser.VectorSelector{LabelMatchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, r.Query.Metric)}}
	if model.LegacyValidation.IsValidMetricName(r.Query.Metric) {
		sel.Name = r.Query.Metric // else it may hold what is no name there
	}
	if !anomalies.IsCounter(r.Query.Metric) {
		return sel.String()
	}
	return (&parser.Call{Func: parser.Functions["rate"], Args: parser.Expressions{&parser.MatrixSelector{VectorSelector: sel, Range: rate}}}).String()
}

// newest keeps the series with the greatest newest values.
func newest(m model.Matrix, limit int) (kept []*future, left int) {
	last := func(s *model.SampleStream) float64 {
		for _, v := range slices.Backward(s.Values) {
			if !math.IsNaN(float64(v.Value)) {
				return float64(v.Value)
			}
		}
		return math.Inf(-1)
	}
	slices.SortStableFunc(m, func(a, b *model.SampleStream) int {
		return cmp.Or(cmp.Compare(last(b), last(a)), strings.Compare(a.Metric.String(), b.Metric.String()))
	})
	for _, s := range m[:min(len(m), limit)] {
		f := &future{metric: s.Metric}
		for _, v := range s.Values {
			value := float64(v.Value)
			f.times, f.values = append(f.times, v.Timestamp.Time().UTC()), append(f.values, &value)
		}
		kept = append(kept, f)
	}
	return kept, len(m) - len(kept)
}

// futures forecasts each series.
func (r Request) futures(ctx context.Context, all []*future, g dataplane.Grid) error {
	steps := int((r.Query.HorizonOf() + g.Step - 1) / g.Step)
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, f := range all {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			next, err := forecast.Next(series(f, g), forecast.Options{Horizon: steps, Level: r.Query.Level})
			if errors.Is(err, forecast.ErrTooShort) {
				f.refused = err
				return nil
			}
			if err != nil {
				return fmt.Errorf("forecast %s: %w", f.metric, err)
			}
			f.next = next
			if r.Query.Until != nil {
				f.meets = next.TimeTo(*r.Query.Until)
			}
			return nil
		})
	}
	return group.Wait()
}

// series puts the samples on the grid; what is missing is a gap, up to the end: what is not there now has passed.
func series(f *future, g dataplane.Grid) forecast.Series {
	s := forecast.Series{Start: g.From.UnixMilli(), Step: g.Step.Milliseconds(), Values: make([]float64, int(g.To.Sub(g.From)/g.Step)+1)}
	for i := range s.Values {
		s.Values[i] = math.NaN()
	}
	for i, t := range f.times {
		if at := (t.UnixMilli() - s.Start) / s.Step; at >= 0 && at < int64(len(s.Values)) {
			s.Values[at] = *f.values[i]
		}
	}
	return s
}

// notices says what is left out, when the limit is met, and what Prometheus warned of.
func (r Request) notices(all []*future, left int, warnings []string) []data.Notice {
	var out []data.Notice
	info := func(format string, args ...any) {
		out = append(out, data.Notice{Severity: data.NoticeSeverityInfo, Text: fmt.Sprintf(format, args...)})
	}
	short, level := 0, 100*r.Query.Level
	for _, f := range all {
		if f.refused != nil {
			short++
		}
	}
	if len(all) > short {
		info("The band holds %s %% of the future values, if what is to come is like what was.", number(level))
	}
	if r.Query.Until != nil && len(all) > short {
		info("%s", r.meeting(all))
	}
	if short > 0 {
		info("%d of %d series have too few values for a forecast.", short, len(all))
	}
	if left > 0 {
		info("%d of %d series are shown: those with the greatest newest values.", len(all), len(all)+left)
	}
	if len(all) == 0 {
		info("No series fits this query in this time range.")
	}
	for _, w := range warnings {
		out = append(out, data.Notice{Severity: data.NoticeSeverityWarning, Text: "Prometheus: " + w})
	}
	return out
}

// meeting names the series that meets the limit first.
func (r Request) meeting(all []*future) string {
	var first *future
	for _, f := range all {
		if f.refused == nil && f.meets.At != 0 && (first == nil || f.meets.At < first.meets.At) {
			first = f
		}
	}
	limit := number(*r.Query.Until)
	if first == nil {
		return fmt.Sprintf("No series meets %s within %s.", limit, r.Query.Horizon)
	}
	text := fmt.Sprintf("%s meets %s at %s", r.name(first, all), limit, clock(first.meets.At))
	switch {
	case first.meets.Earliest != 0 && first.meets.Latest != 0:
		text += fmt.Sprintf(", between %s and %s", clock(first.meets.Earliest), clock(first.meets.Latest))
	case first.meets.Earliest != 0:
		text += fmt.Sprintf(", at %s at the earliest", clock(first.meets.Earliest))
	}
	return text + "."
}

func clock(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04 MST") }

// number writes at most six digits, without those that say nothing.
func number(v float64) string { return fmt.Sprintf("%.6g", v) }
