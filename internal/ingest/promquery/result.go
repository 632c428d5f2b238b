package promquery

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/promapi"
)

// result is an answer in our own nouns: series with their samples, sorted by key.
type result []series

type series struct {
	key     string // label set as text, to compare and sort by
	labels  []ingest.Label
	kind    ingest.Kind
	samples []ingest.Sample
}

// result reads an answer. Series come in the order of their labels, so that a cap
// takes the same ones each time.
func (q *query) result(v model.Value) (result, error) {
	var out result
	switch v := v.(type) {
	case model.Vector:
		for _, s := range v {
			t := int64(s.Timestamp)
			if h := s.Histogram; h != nil {
				out = q.histogram(out, s.Metric, []model.SampleHistogramPair{{Timestamp: s.Timestamp, Histogram: h}})
				continue
			}
			out = append(out, q.series(s.Metric, "", []ingest.Sample{{T: t, V: float64(s.Value)}}))
		}
	case *model.Scalar:
		out = append(out, q.series(nil, "", []ingest.Sample{{T: int64(v.Timestamp), V: float64(v.Value)}}))
	case model.Matrix:
		for _, s := range v {
			samples := make([]ingest.Sample, len(s.Values))
			for i, p := range s.Values {
				samples[i] = ingest.Sample{T: int64(p.Timestamp), V: float64(p.Value)}
			}
			if len(samples) > 0 {
				out = append(out, q.series(s.Metric, "", samples))
			}
			out = q.histogram(out, s.Metric, s.Histograms)
		}
	default:
		return nil, &promapi.Error{
			Reason: promapi.ReasonNotPrometheus, Downstream: true, Op: "query", Server: q.api.Server(),
			Err: fmt.Errorf("the result is a %T, want a vector or a scalar", v),
		}
	}
	slices.SortFunc(out, func(a, b series) int { return strings.Compare(a.key, b.key) })
	return out, nil
}

// histogram adds the two series that stand for native histograms, as remote write
// does.
func (q *query) histogram(out result, metric model.Metric, pairs []model.SampleHistogramPair) result {
	if len(pairs) == 0 {
		return out
	}
	count, sum := make([]ingest.Sample, len(pairs)), make([]ingest.Sample, len(pairs))
	for i, p := range pairs {
		count[i] = ingest.Sample{T: int64(p.Timestamp), V: float64(p.Histogram.Count)}
		sum[i] = ingest.Sample{T: int64(p.Timestamp), V: float64(p.Histogram.Sum)}
	}
	return append(out, q.series(metric, "_count", count), q.series(metric, "_sum", sum))
}

// series makes a series of a metric, named by the query when it has no name.
// suffix comes after the name.
func (q *query) series(metric model.Metric, suffix string, samples []ingest.Sample) series {
	name := string(metric[model.MetricNameLabel])
	named := name != ""
	if !named {
		name = q.Name
	}
	labels := make([]ingest.Label, 0, len(metric)+len(q.added)+1)
	labels = append(labels, ingest.Label{Name: ingest.MetricName, Value: name + suffix})
	for n, v := range metric {
		if n != model.MetricNameLabel && n != "" && v != "" {
			labels = append(labels, ingest.Label{Name: string(n), Value: string(v)})
		}
	}
	for n, v := range q.added {
		if metric[model.LabelName(n)] == "" {
			labels = append(labels, ingest.Label{Name: n, Value: v})
		}
	}
	slices.SortFunc(labels, func(a, b ingest.Label) int { return strings.Compare(a.Name, b.Name) })
	var key strings.Builder
	for _, l := range labels {
		key.WriteString(l.Name + "\xff" + l.Value + "\xff") // no UTF-8 text holds 0xff
	}
	return series{key.String(), labels, q.kind(name+suffix, named), samples}
}

// kind says how a series behaves. A result without a metric name of its own was
// computed, and what is computed is a gauge unless the configuration says otherwise.
func (q *query) kind(name string, named bool) ingest.Kind {
	switch {
	case q.Kind == KindCounter:
		return ingest.KindCounter
	case q.Kind == KindGauge, !named:
		return ingest.KindGauge
	}
	return ingest.KindOf(name)
}

// limit leaves out our own scores and what is beyond the cap, and counts both.
func (q *query) limit(r result) result {
	own, dropped := 0, 0
	kept := r[:0]
	for i := range r {
		s := &r[i]
		name := s.labels[slices.IndexFunc(s.labels, func(l ingest.Label) bool { return l.Name == ingest.MetricName })].Value
		switch {
		case ingest.OwnOutput(name):
			own += len(s.samples)
		case len(kept) > 0 && kept[len(kept)-1].key == s.key:
			// Two results differ in nothing but that one has the query's name itself.
			dropped += len(s.samples)
		case len(kept) == q.MaxSeries:
			dropped += len(s.samples)
		default:
			kept = append(kept, *s)
		}
	}
	q.counters.Reject(ingest.ReasonOwnOutput, own)
	q.counters.Reject(ingest.ReasonSourceLimit, dropped)
	q.metrics.dropped.Add(float64(dropped))
	return kept
}

// take hands a result on, and ends the series that were in the one before and are
// not in this one.
func (q *query) take(r result, at time.Time) {
	r = q.limit(r)
	app := q.target.Appender()
	present := make(map[string]series, len(r))
	for _, s := range r {
		app.Append(s.labels, s.kind, s.samples)
		s.samples = nil
		present[s.key] = s
		delete(q.present, s.key)
	}
	for _, s := range q.present {
		app.Append(s.labels, s.kind, []ingest.Sample{{T: at.UnixMilli(), V: ingest.StaleNaN()}})
	}
	q.present = present
	q.metrics.series.Set(float64(len(present)))
	q.counters.Add(app.Commit())
}
