package app

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ingest"
)

// What senders get wrong, by the way that they send it: remote write in, /metrics out. Each is answered, each reason is counted, no score
// is stuck or no number, and a healthy series beside it is scored as if nothing were.
func TestBadInput(t *testing.T) {
	type step struct {
		after time.Duration // since the sample before
		v     float64
		code  int // 0 = 204
	}
	every := func(n int, after time.Duration, v func(i int) float64) (out []step) {
		for i := range n {
			out = append(out, step{after: after, v: v(i)})
		}
		return out
	}
	constant := func(v float64) func(int) float64 { return func(int) float64 { return v } }
	cases := []struct {
		name   string
		metric string // "" = bad
		steps  []step
		want   []string // lines of /metrics
		score  float64  // most, in the end; 0 = it is no more than 0
	}{
		{
			name:  "NaN and infinities",
			steps: append(append(every(1, 15*time.Second, constant(math.NaN())), every(1, 15*time.Second, constant(math.Inf(1)))...), every(1, 15*time.Second, constant(math.Inf(-1)))...),
			want:  []string{"portent_exporter_samples_not_finite_total 3"},
		},
		{
			name: "denormals and the ends of a float",
			steps: append(every(40, 15*time.Second, func(i int) float64 { return []float64{5e-324, -5e-324, 1.7e308, -1.7e308, 0}[i%5] }),
				every(200, 15*time.Second, func(i int) float64 { return 100 + float64(i*7919%13) })...),
			score: 1,
		},
		{
			name:  "a time that repeats with another value",
			steps: []step{{after: 0, v: 7, code: 400}},
			want:  []string{`portent_exporter_samples_rejected_total{reason="out_of_order",source="remote_write"} 1`},
			score: 1,
		},
		{
			name:  "a time that jumps back",
			steps: []step{{after: -time.Hour, v: 7, code: 400}, {after: -24 * 365 * time.Hour, v: 7, code: 400}},
			want:  []string{`portent_exporter_samples_rejected_total{reason="out_of_order",source="remote_write"} 2`},
			score: 1,
		},
		{
			name:  "a time of the future",
			steps: []step{{after: 24 * time.Hour, v: 7, code: 400}, {after: 100 * 365 * 24 * time.Hour, v: 7, code: 400}, {after: -100*365*24*time.Hour - 24*time.Hour + 15*time.Second, v: 100}},
			want:  []string{`portent_exporter_samples_rejected_total{reason="too_far_ahead",source="remote_write"} 2`},
			score: 1,
		},
		{
			name:   "one sample in a year",
			metric: "rare",
			steps:  []step{{after: -365 * 24 * time.Hour, v: 1}, {after: 365*24*time.Hour + 15*time.Second, v: 1e9}},
		},
		{
			name:  "an interval that changes",
			steps: append(every(60, time.Second, func(i int) float64 { return 100 + float64(i%7) }), every(5, 5*time.Minute-20*time.Second, func(i int) float64 { return 100 + float64(i%7) })...),
			score: 1,
		},
		{
			name:   "a counter that is reset by each scrape",
			metric: "bad_total",
			steps:  every(100, 15*time.Second, func(i int) float64 { return float64(1000 - i) }),
			want:   []string{"portent_exporter_input_resets_total 99"},
			score:  1,
		},
		{
			name:   "a counter that is none",
			metric: "bad_total",
			steps:  every(10, 15*time.Second, func(i int) float64 { return float64(-i - 1) }),
			want:   []string{"portent_exporter_samples_not_finite_total 10"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := newApp(t, t.TempDir(), "")
			h, name := a.Handler(), c.metric
			if name == "" {
				name = "bad"
			}
			total := time.Duration(0)
			for _, s := range c.steps {
				total += max(0, min(s.after, time.Hour))
			}
			end := time.Now()
			at := end.Add(-total)
			if c.metric == "" { // it has a past
				for i := range 200 {
					send(t, h, point{labelsOf("__name__", "bad"), at.Add(time.Duration(i-199) * 15 * time.Second).UnixMilli(), 100 + float64(i*7919%13)})
				}
			}
			for _, s := range c.steps {
				at = at.Add(s.after)
				w := httptest.NewRecorder()
				h.ServeHTTP(w, newWrite("/api/v1/write", requestV1(point{labelsOf("__name__", name), at.UnixMilli(), s.v}), false))
				want := s.code
				if want == 0 {
					want = http.StatusNoContent
				}
				require.Equal(t, want, w.Code, "%s", w.Body)
				if s.code != 0 && s.after <= 0 {
					at = at.Add(-s.after) // the series is where it was
				}
			}
			healthy(t, h, end)
			_, body := get(t, h, "/metrics")
			for _, line := range c.want {
				require.Contains(t, body, "\n"+line+"\n")
			}
			require.NotContains(t, body, " NaN\n")
			require.NotContains(t, strings.ReplaceAll(body, `le="+Inf"`, ""), "Inf\n")
			score := scoreOf(t, body, name)
			require.LessOrEqual(t, score, c.score)
			require.GreaterOrEqual(t, score, 0.0)
		})
	}
}

// healthy sends a series that is well until now and requires that it is scored.
func healthy(t *testing.T, h http.Handler, now time.Time) {
	t.Helper()
	for i := range 100 {
		send(t, h, point{labelsOf("__name__", "well"), now.Add(time.Duration(i-99) * 15 * time.Second).UnixMilli(), 10 + float64(i*7919%13)})
	}
	_, body := get(t, h, "/metrics")
	require.Contains(t, body, `anomaly_expected{metric="well"}`)
}

// scoreOf returns the score of a metric in an answer of /metrics, 0 if it shows none.
func scoreOf(t *testing.T, body, metric string) (score float64) {
	t.Helper()
	_, after, found := strings.Cut(body, fmt.Sprintf("\nanomaly_score{metric=%q} ", metric))
	if found {
		_, err := fmt.Sscanf(after, "%g", &score)
		require.NoError(t, err)
	}
	return score
}

// A native histogram whose buckets change in every sample, and one whose buckets make no sense, by remote write 2.0: the first is taken as
// its count and sum, the second is refused and counted, and a classic one whose bounds change leaves its buckets out by default.
func TestHistogramsWithChangedBuckets(t *testing.T) {
	a := newApp(t, t.TempDir(), "")
	h := a.Handler()
	now := time.Now().Add(-100 * 15 * time.Second)
	write := func(ts writev2.TimeSeries, symbols ...string) int {
		w := writev2.Request{Symbols: append([]string{""}, symbols...), Timeseries: []writev2.TimeSeries{ts}}
		b, err := w.Marshal()
		require.NoError(t, err)
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, newWrite("/api/v1/write", snappy.Encode(nil, b), true))
		return rec.Code
	}
	for i := range 100 {
		n := 1 + i%5
		hist := writev2.Histogram{
			Count: &writev2.Histogram_CountInt{CountInt: uint64(10 * (i + 1) * n)}, Sum: float64(i), Schema: int32(i%9) - 1, Timestamp: now.Add(time.Duration(i) * 15 * time.Second).UnixMilli(),
			PositiveSpans: []writev2.BucketSpan{{Offset: int32(i % 3), Length: uint32(n)}}, PositiveDeltas: make([]int64, n),
		}
		hist.PositiveDeltas[0] = int64(10 * (i + 1))
		require.Equal(t, http.StatusNoContent, write(writev2.TimeSeries{LabelsRefs: []uint32{1, 2}, Histograms: []writev2.Histogram{hist}}, "__name__", "latency"), i)
	}
	bad := writev2.Histogram{
		Count: &writev2.Histogram_CountInt{CountInt: 3}, Timestamp: now.UnixMilli(), PositiveSpans: []writev2.BucketSpan{{Length: 5}}, PositiveDeltas: []int64{1},
	}
	require.Equal(t, http.StatusBadRequest, write(writev2.TimeSeries{LabelsRefs: []uint32{1, 2}, Histograms: []writev2.Histogram{bad}}, "__name__", "broken"))
	for i := range 50 {
		send(t, h, point{[]ingest.Label{{Name: "__name__", Value: "old_bucket"}, {Name: "le", Value: strconv.Itoa(i)}}, now.UnixMilli(), 1})
	}
	healthy(t, h, now.Add(100*15*time.Second))
	_, body := get(t, h, "/metrics")
	require.Contains(t, body, `anomaly_score{metric="latency_count"}`)
	require.Contains(t, body, `anomaly_score{metric="latency_sum"}`)
	require.NotContains(t, body, `metric="broken`)
	require.NotContains(t, body, `metric="old_bucket"`)
	require.Contains(t, body, `portent_exporter_samples_rejected_total{reason="invalid_histogram",source="remote_write"} 1`)
	require.Contains(t, body, "portent_exporter_samples_unselected_total 50\n")
	require.NotContains(t, body, " NaN\n")
}
