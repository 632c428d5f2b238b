package anomalies

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/data"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
)

// queryLog gathers what was asked and what Prometheus warned of, for the query inspector.
type queryLog struct {
	mu       sync.Mutex
	asked    []string
	warnings []string
}

// maxNotices shown with one answer.
const maxNotices = 5

func (l *queryLog) add(name, expr string, warnings []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(l.asked, "# "+name+"\n"+expr)
	for _, w := range warnings {
		if !slices.Contains(l.warnings, w) && len(l.warnings) < maxNotices {
			l.warnings = append(l.warnings, w)
		}
	}
}

// executed returns the queries in the order of their names: they ran side by side.
func (l *queryLog) executed() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.asked)
	return strings.Join(l.asked, "\n\n")
}

// vector asks for the values at one time. NaN, which Prometheus may answer, is no value.
func (a *asker) vector(ctx context.Context, name string, e parser.Expr, at time.Time) (model.Vector, error) {
	v, warnings, err := a.prom.Query(ctx, e.String(), at)
	if err != nil {
		return nil, err
	}
	a.log.add(name, e.String(), warnings)
	vec, ok := v.(model.Vector)
	if !ok {
		return nil, fmt.Errorf("query for %s: got a %s, want a vector", name, kind(v))
	}
	return slices.DeleteFunc(vec, func(s *model.Sample) bool { return s == nil || s.Value != s.Value }), nil
}

// matrix asks for the values at each step.
func (a *asker) matrix(ctx context.Context, name string, e parser.Expr, g grid) (model.Matrix, error) {
	v, warnings, err := a.prom.QueryRange(ctx, e.String(), g.from, g.to, g.step)
	if err != nil {
		return nil, err
	}
	a.log.add(name, e.String(), warnings)
	m, ok := v.(model.Matrix)
	if !ok {
		return nil, fmt.Errorf("query for %s: got a %s, want a matrix", name, kind(v))
	}
	for _, s := range m {
		s.Values = slices.DeleteFunc(s.Values, func(p model.SamplePair) bool { return p.Value != p.Value })
	}
	return m, nil
}

func kind(v model.Value) string {
	if v == nil {
		return "nothing"
	}
	return v.Type().String()
}

// observedMatrix asks for the input series of the first maxObserved series and stores them under partObserved.
func (a *asker) observedMatrix(ctx context.Context, all []*series, g grid) (bool, error) {
	return a.observe(ctx, all, max(g.step, 4*a.Scrape), func(ctx context.Context, name string, e parser.Expr) (model.Matrix, error) {
		return a.matrix(ctx, name, e, g)
	})
}

// observedVector is the same at one time.
func (a *asker) observedVector(ctx context.Context, all []*series, at time.Time) (bool, error) {
	return a.observe(ctx, all, 4*a.Scrape, func(ctx context.Context, name string, e parser.Expr) (model.Matrix, error) {
		vec, err := a.vector(ctx, name, e, at)
		m := make(model.Matrix, 0, len(vec))
		for _, s := range vec {
			m = append(m, &model.SampleStream{Metric: s.Metric, Values: []model.SamplePair{{Timestamp: s.Timestamp, Value: s.Value}}})
		}
		return m, err
	})
}

// observe asks once for each metric and reports whether all series could be asked for.
func (a *asker) observe(ctx context.Context, all []*series, window time.Duration,
	ask func(context.Context, string, parser.Expr) (model.Matrix, error),
) (complete bool, err error) {
	byMetric, byInput, complete := inputs(all)
	g, ctx := group(ctx)
	for metric, ls := range byMetric {
		g.Go(func() error {
			m, err := ask(ctx, "observed "+metric, observed(metric, ls, window))
			if err != nil {
				return err
			}
			for _, got := range m {
				// Only this goroutine touches the series of this metric.
				if s := byInput[metric+"\xff"+newSeries(got.Metric).key]; s != nil {
					s.points[partObserved] = got.Values
				}
			}
			return nil
		})
	}
	return complete, g.Wait()
}

// inputs groups the labels of the input series by metric, within the bounds.
func inputs(all []*series) (byMetric map[string][]map[string]string, byInput map[string]*series, complete bool) {
	byMetric, byInput = map[string][]map[string]string{}, map[string]*series{}
	for i, s := range all {
		metric := s.metric()
		if metric == "" {
			continue
		}
		if i >= maxObserved || byMetric[metric] == nil && len(byMetric) >= maxObservedMetrics {
			return byMetric, byInput, false
		}
		in := s.input()
		byMetric[metric] = append(byMetric[metric], in)
		byInput[metric+"\xff"+key(in)] = s
	}
	return byMetric, byInput, true
}

// notices says what Prometheus warned of, and what else is worth knowing.
func (a *asker) notices(more ...string) []data.Notice {
	var out []data.Notice
	for _, text := range more {
		if text != "" {
			out = append(out, data.Notice{Severity: data.NoticeSeverityInfo, Text: text})
		}
	}
	a.log.mu.Lock()
	defer a.log.mu.Unlock()
	for _, text := range a.log.warnings {
		out = append(out, data.Notice{Severity: data.NoticeSeverityWarning, Text: "Prometheus: " + text})
	}
	return out
}

// whyEmpty tells "nothing is anomalous" apart from "there are no scores": both look the same in an answer.
func (a *asker) whyEmpty(ctx context.Context, at time.Time) (string, error) {
	all := a.build
	all.threshold = 0
	vec, err := a.vector(ctx, "series with a score", count(all.peaks(false)), at)
	switch {
	case err != nil:
		return "", err
	case len(vec) == 0 || vec[0].Value == 0:
		return "No " + MetricScore + " series fits this query in this time range. Does this Prometheus scrape the exporter, and do the metric and labels exist?", nil
	}
	return fmt.Sprintf("Nothing was anomalous: none of %d series had a score above %v.", int64(vec[0].Value), a.build.threshold), nil
}
