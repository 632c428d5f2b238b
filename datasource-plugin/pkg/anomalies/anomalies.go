// Package anomalies answers which series are anomalous and how far they are from what was expected, from the
// anomaly_score series that the exporter writes to Prometheus. It knows PromQL and frames; it must not know
// Grafana's plugin protocol, addresses or credentials.
package anomalies

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/data"
	"github.com/prometheus/common/model"
	"golang.org/x/sync/errgroup"

	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
)

// Prometheus answers queries. Both methods are called concurrently; the strings are warnings for the user.
type Prometheus interface {
	Query(ctx context.Context, expr string, at time.Time) (model.Value, []string, error)
	QueryRange(ctx context.Context, expr string, from, to time.Time, step time.Duration) (model.Value, []string, error)
}

// Request is one query with what Grafana sends around it.
type Request struct {
	Query     query.Anomalies
	From, To  time.Time
	Interval  time.Duration // what fits a pixel; 0: not known
	MaxPoints int64         // points a series; 0: not known
	Scrape    time.Duration // interval at which the scores are scraped
	UID       string        // of the data source, for links to it
}

// Bounds.
const (
	// maxPoints of a series. Prometheus refuses more than 11,000 points in a range query.
	maxPoints = 10_000
	// defaultPoints when the panel does not say how many it can draw, and of tables and annotations, which draw none.
	defaultPoints = 1000
	// maxObserved series are looked up by all their labels in as few queries as there are metrics, at most
	// maxObservedMetrics. 100 series of 20 labels make a query of some 50 KiB.
	maxObserved        = 100
	maxObservedMetrics = 20
	// concurrency within one query; the data source bounds all queries together.
	concurrency = 4
)

// Run answers one request. The frames follow the data plane contract; ExecutedQueryString holds the PromQL.
func Run(ctx context.Context, p Prometheus, r Request) (data.Frames, error) {
	sel, err := Selector(MetricScore, r.Query.Metric, r.Query.Matchers)
	if err != nil {
		return nil, err
	}
	if !r.To.After(r.From) {
		r.From = r.To.Add(-time.Minute)
	}
	a := &asker{Request: r, prom: p, build: promql{matchers: sel, threshold: *r.Query.Threshold, limit: r.Query.Limit}}
	switch r.Query.View {
	case query.ViewTable:
		return a.table(ctx)
	case query.ViewTimeSeries:
		return a.timeSeries(ctx)
	case query.ViewNumeric:
		return a.numeric(ctx)
	case query.ViewAnnotations:
		return a.annotations(ctx)
	default:
		return nil, fmt.Errorf("BUG: view %q", r.Query.View)
	}
}

// asker holds one request on its way.
type asker struct {
	Request
	prom  Prometheus
	build promql
	log   queryLog
}

// grid is the steps of a range query.
type grid struct {
	from, to time.Time
	step     time.Duration
}

// steps returns at most points steps that end at the end of the range, no finer than the scrapes. aligned puts
// them on multiples of the step, so that a graph does not dance when it is refreshed.
func (a *asker) steps(points int64, aligned bool) grid {
	if points <= 0 || points > maxPoints {
		points = min(max(points, defaultPoints), maxPoints)
	}
	span := a.To.Sub(a.From)
	step := max(a.Scrape, time.Duration(math.Ceil(float64(span)/float64(points))), time.Second)
	if aligned {
		step = max(step, a.Interval)
	}
	step = (step + time.Second - 1).Truncate(time.Second)
	from, to := a.From, a.To
	if aligned {
		to, from = align(to, step), align(from, step)
	} else {
		from = to.Add(-span.Truncate(step))
	}
	if from.Equal(to) {
		from = to.Add(-step)
	}
	return grid{from, to, step}
}

// align returns the greatest multiple of step since the epoch that is not after t. Time.Truncate counts from
// the year 1, which is no multiple of most steps away.
func align(t time.Time, step time.Duration) time.Time {
	return time.UnixMilli(t.UnixMilli() - t.UnixMilli()%step.Milliseconds()).UTC()
}

// series is one input series with what we know of it.
type series struct {
	labels map[string]string // without __name__, with the label metric
	key    string            // labels in order, to tell series apart
	peak   float64           // greatest score in the range
	points map[string][]model.SamplePair
}

func (s *series) metric() string { return s.labels[LabelMetric] }

// input returns the labels of the input series.
func (s *series) input() map[string]string {
	in := maps.Clone(s.labels)
	delete(in, LabelMetric)
	if own, ok := in[exportedMetric]; ok {
		delete(in, exportedMetric)
		in[LabelMetric] = own
	}
	return in
}

func newSeries(m model.Metric) *series {
	s := &series{labels: make(map[string]string, len(m)), peak: math.Inf(-1), points: map[string][]model.SamplePair{}}
	for n, v := range m {
		if n != model.MetricNameLabel {
			s.labels[string(n)] = string(v)
		}
	}
	s.key = key(s.labels)
	return s
}

func key(ls map[string]string) string {
	var b strings.Builder
	for _, n := range sortedKeys(ls) {
		fmt.Fprintf(&b, "%q=%q,", n, ls[n])
	}
	return b.String()
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// ranked sorts by the greatest score, and by labels where that is equal.
func ranked(byKey map[string]*series) []*series {
	return slices.SortedFunc(maps.Values(byKey), func(a, b *series) int {
		return cmp.Or(cmp.Compare(b.peak, a.peak), strings.Compare(a.key, b.key))
	})
}

// group runs the parts of one query side by side.
func group(ctx context.Context) (*errgroup.Group, context.Context) {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(concurrency)
	return g, ctx
}
