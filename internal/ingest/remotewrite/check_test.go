package remotewrite_test

import (
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/ingest/remotewrite"
)

// floatHistogram is intHistogram with float counts.
func floatHistogram() writev2.Histogram {
	return writev2.Histogram{
		Count:          &writev2.Histogram_CountFloat{CountFloat: 6},
		ZeroCount:      &writev2.Histogram_ZeroCountFloat{ZeroCountFloat: 1},
		Sum:            10,
		PositiveSpans:  []writev2.BucketSpan{{Offset: 0, Length: 2}, {Offset: 1, Length: 1}},
		PositiveCounts: []float64{1, 2, 1},
		NegativeSpans:  []writev2.BucketSpan{{Offset: -3, Length: 1}},
		NegativeCounts: []float64{1},
		Timestamp:      1,
	}
}

// customHistogram has four bounds and so five buckets; the last is used.
func customHistogram() writev2.Histogram {
	return writev2.Histogram{
		Schema:         -53,
		Count:          &writev2.Histogram_CountInt{CountInt: 9},
		Sum:            10,
		PositiveSpans:  []writev2.BucketSpan{{Offset: 1, Length: 2}, {Offset: 1, Length: 1}},
		PositiveDeltas: []int64{2, 1, 1}, // 2, 3, 4
		CustomValues:   []float64{-1, 0.5, 1, 2.5},
		Timestamp:      1,
	}
}

func TestHistograms(t *testing.T) {
	for _, tc := range []struct {
		name string
		from func() writev2.Histogram
		edit func(*writev2.Histogram)
		want string // "" = accepted
		// stricter says that Prometheus itself would take it.
		stricter bool
	}{
		{"int", func() writev2.Histogram { return intHistogram(1) }, func(*writev2.Histogram) {}, "", false},
		{"float", floatHistogram, func(*writev2.Histogram) {}, "", false},
		{"custom", customHistogram, func(*writev2.Histogram) {}, "", false},
		{"gauge", floatHistogram, func(h *writev2.Histogram) { h.ResetHint = writev2.Histogram_RESET_HINT_GAUGE }, "", false},
		{"after a reset", floatHistogram, func(h *writev2.Histogram) { h.ResetHint = writev2.Histogram_RESET_HINT_YES }, "", false},
		{"empty", emptyHistogram, func(*writev2.Histogram) {}, "", false},
		{"no counts at all", emptyHistogram, func(h *writev2.Histogram) { h.Count = nil }, "", false},
		{"stale", emptyHistogram, func(h *writev2.Histogram) { h.Sum = ingest.StaleNaN() }, "", false},
		{"stale float", floatHistogram, func(h *writev2.Histogram) {
			*h = writev2.Histogram{Count: &writev2.Histogram_CountFloat{}, Sum: ingest.StaleNaN()}
		}, "", false},
		{"finest schema", emptyHistogram, func(h *writev2.Histogram) { h.Schema = 8 }, "", false},
		{"coarsest schema", emptyHistogram, func(h *writev2.Histogram) { h.Schema = -4 }, "", false},
		{"custom without bounds", customHistogram, func(h *writev2.Histogram) {
			h.CustomValues, h.PositiveSpans, h.PositiveDeltas = nil, []writev2.BucketSpan{{Length: 1}}, []int64{9}
		}, "", false},
		{"custom float", customHistogram, func(h *writev2.Histogram) {
			h.Count = &writev2.Histogram_CountFloat{CountFloat: 9}
			h.PositiveDeltas, h.PositiveCounts = nil, []float64{2, 3, 4}
		}, "", false},

		{"count too small", func() writev2.Histogram { return intHistogram(1) }, func(h *writev2.Histogram) { h.Count = &writev2.Histogram_CountInt{CountInt: 5} }, "the count is 5, but the buckets add up to 6", false},
		{"count too large", func() writev2.Histogram { return intHistogram(1) }, func(h *writev2.Histogram) { h.Count = &writev2.Histogram_CountInt{CountInt: 99} }, "the count is 99, but the buckets add up to 6", false},
		{"count without buckets", emptyHistogram, func(h *writev2.Histogram) { h.Count = &writev2.Histogram_CountInt{CountInt: 1} }, "add up to 0", false},
		{"zero bucket left out of the count", func() writev2.Histogram { return intHistogram(1) }, func(h *writev2.Histogram) { h.ZeroCount = nil }, "add up to 5", false},
		{"count with NaN observed", func() writev2.Histogram { return intHistogram(1) }, func(h *writev2.Histogram) {
			h.Sum, h.Count = math.NaN(), &writev2.Histogram_CountInt{CountInt: 9}
		}, "", false},
		{"NaN observed, count too small", func() writev2.Histogram { return intHistogram(1) }, func(h *writev2.Histogram) {
			h.Sum, h.Count = math.NaN(), &writev2.Histogram_CountInt{CountInt: 5}
		}, "add up to 6", false},
		{"custom count", customHistogram, func(h *writev2.Histogram) { h.Count = &writev2.Histogram_CountInt{CountInt: 8} }, "add up to 9", false},
		{"float count", floatHistogram, func(h *writev2.Histogram) { h.Count = &writev2.Histogram_CountFloat{CountFloat: 7} }, "add up to 6", true},
		{"float count, rounded", floatHistogram, func(h *writev2.Histogram) { h.Count = &writev2.Histogram_CountFloat{CountFloat: 6 + 1e-12} }, "", false},
		{"float count with NaN observed", floatHistogram, func(h *writev2.Histogram) {
			h.Sum, h.Count = math.NaN(), &writev2.Histogram_CountFloat{CountFloat: 7}
		}, "", false},
		{"float count, too small with NaN observed", floatHistogram, func(h *writev2.Histogram) {
			h.Sum, h.Count = math.NaN(), &writev2.Histogram_CountFloat{CountFloat: 5}
		}, "add up to 6", true},
		{"float counts that PromQL made NaN", floatHistogram, func(h *writev2.Histogram) {
			h.Count = &writev2.Histogram_CountFloat{CountFloat: math.NaN()}
			h.PositiveCounts[0] = math.NaN()
		}, "", false},

		{"negative bucket", func() writev2.Histogram { return intHistogram(1) }, func(h *writev2.Histogram) { h.PositiveDeltas[0] = -1 }, "negative count", false},
		{"negative bucket on the negative side", func() writev2.Histogram { return intHistogram(1) }, func(h *writev2.Histogram) { h.NegativeDeltas[0] = -1 }, "negative count", false},
		{"negative float bucket", floatHistogram, func(h *writev2.Histogram) { h.PositiveCounts[0] = -1 }, "negative count", false},
		{"negative float count", emptyHistogram, func(h *writev2.Histogram) { h.Count = &writev2.Histogram_CountFloat{CountFloat: -1} }, "observations is negative", false},
		{"negative zero bucket", floatHistogram, func(h *writev2.Histogram) {
			h.ZeroCount = &writev2.Histogram_ZeroCountFloat{ZeroCountFloat: -1}
		}, "zero bucket", false},
		{"negative zero threshold", func() writev2.Histogram { return intHistogram(1) }, func(h *writev2.Histogram) { h.ZeroThreshold = -1 }, "zero bucket", true},
		{"overflow of a bucket", func() writev2.Histogram { return intHistogram(1) }, func(h *writev2.Histogram) { h.PositiveDeltas = []int64{math.MaxInt64, 1, 0} }, "overflow", false},
		{"overflow of the total", func() writev2.Histogram { return intHistogram(1) }, func(h *writev2.Histogram) { h.PositiveDeltas = []int64{math.MaxInt64, 0, 0} }, "overflow", false},

		{"more buckets than spans", func() writev2.Histogram { return intHistogram(1) }, func(h *writev2.Histogram) { h.PositiveSpans[0].Length = 1 }, "positive side: the spans", false},
		{"fewer buckets than spans", func() writev2.Histogram { return intHistogram(1) }, func(h *writev2.Histogram) { h.PositiveSpans[0].Length = math.MaxUint32 }, "positive side: the spans", false},
		{"no spans", func() writev2.Histogram { return intHistogram(1) }, func(h *writev2.Histogram) { h.NegativeSpans = nil }, "negative side: the spans", false},
		{"overlapping spans", func() writev2.Histogram { return intHistogram(1) }, func(h *writev2.Histogram) { h.PositiveSpans[1].Offset = -1 }, "negative offset", false},
		{"schema too fine", emptyHistogram, func(h *writev2.Histogram) { h.Schema = 9 }, "schema 9 is not known", false},
		{"schema too coarse", emptyHistogram, func(h *writev2.Histogram) { h.Schema = -5 }, "schema -5 is not known", false},
		{"schema of nothing", emptyHistogram, func(h *writev2.Histogram) { h.Schema = math.MinInt32 }, "not known", false},
		{"bounds without schema -53", func() writev2.Histogram { return intHistogram(1) }, func(h *writev2.Histogram) { h.CustomValues = []float64{1} }, "may have bounds", false},
		{"int with float buckets", func() writev2.Histogram { return intHistogram(1) }, func(h *writev2.Histogram) { h.PositiveCounts = []float64{1} }, "mixed", true},
		{"float with int buckets", floatHistogram, func(h *writev2.Histogram) { h.PositiveDeltas = []int64{1} }, "mixed", true},
		{"int with float zero bucket", emptyHistogram, func(h *writev2.Histogram) {
			h.ZeroCount = &writev2.Histogram_ZeroCountFloat{ZeroCountFloat: 1}
		}, "mixed", true},

		{"custom with zero bucket", customHistogram, func(h *writev2.Histogram) { h.ZeroCount = &writev2.Histogram_ZeroCountInt{ZeroCountInt: 1} }, "no zero bucket", false},
		{"custom with zero threshold", customHistogram, func(h *writev2.Histogram) { h.ZeroThreshold = 1 }, "no zero bucket", false},
		{"custom with negative side", customHistogram, func(h *writev2.Histogram) {
			h.NegativeSpans, h.NegativeDeltas = []writev2.BucketSpan{{Length: 1}}, []int64{1}
		}, "no negative side", false},
		{"custom, bounds fall", customHistogram, func(h *writev2.Histogram) { h.CustomValues[1] = -2 }, "do not rise", false},
		{"custom, bound twice", customHistogram, func(h *writev2.Histogram) { h.CustomValues[1] = h.CustomValues[0] }, "do not rise", false},
		{"custom, bound NaN", customHistogram, func(h *writev2.Histogram) { h.CustomValues[1] = math.NaN() }, "not finite", false},
		{"custom, bound +Inf", customHistogram, func(h *writev2.Histogram) { h.CustomValues[3] = math.Inf(1) }, "not finite", false},
		{"custom, bound -Inf", customHistogram, func(h *writev2.Histogram) { h.CustomValues[0] = math.Inf(-1) }, "not finite", true},
		{"custom, span beyond the bounds", customHistogram, func(h *writev2.Histogram) { h.PositiveSpans[1].Offset = 2 }, "beyond the bounds", false},
		{"custom, span before the bounds", customHistogram, func(h *writev2.Histogram) { h.PositiveSpans[0].Offset = -1 }, "negative offset", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := tc.from()
			tc.edit(&h)
			h.Timestamp = 7
			r := newReceiver(t, remotewrite.Config{})
			a := r.postV2(t, newV2().histogram(labels{"__name__", "h"}, h).histogram(labels{"__name__", "good"}, intHistogram(1)).request())
			if tc.want == "" {
				require.Equal(t, 204, a.status, a.message)
				require.Equal(t, "0/2/0", a.written)
			} else {
				require.Equal(t, 400, a.status)
				require.Equal(t, "0/1/0", a.written)
				require.Contains(t, a.message, tc.want)
				require.Contains(t, a.message, "1 of 2 histograms")
				require.Contains(t, a.message, "invalid_histogram 1")
			}
			require.Equal(t, tc.want != "" && !tc.stricter, prometheusRefuses(h), "what Prometheus does with it")
		})
	}
}

func emptyHistogram() writev2.Histogram {
	return writev2.Histogram{Count: &writev2.Histogram_CountInt{}}
}

func prometheusRefuses(h writev2.Histogram) bool {
	if h.IsFloatHistogram() {
		return h.ToFloatHistogram().Validate() != nil
	}
	return h.ToIntHistogram().Validate() != nil
}

func TestHistogramBecomesTwoSeries(t *testing.T) {
	gauge, stale := floatHistogram(), emptyHistogram()
	gauge.ResetHint, gauge.Timestamp = writev2.Histogram_RESET_HINT_GAUGE, 1000
	stale.Sum, stale.Timestamp = ingest.StaleNaN(), 2000
	bad := intHistogram(1500)
	bad.Count = &writev2.Histogram_CountInt{CountInt: 1}

	r := newReceiver(t, remotewrite.Config{})
	a := r.postV2(t, newV2().
		series(labels{"zone", "z", "__name__", "latency_seconds", "Job", "a"}, func(ts *writev2.TimeSeries) {
			ts.Histograms = []writev2.Histogram{intHistogram(1000), bad, stale}
		}).
		histogram(labels{"__name__", "queue"}, gauge).request())
	require.Equal(t, 400, a.status)
	require.Equal(t, "0/3/0", a.written)
	require.Equal(t, `{Job="a", __name__="latency_seconds_count", zone="z"} counter 6@1000 stale@2000
{Job="a", __name__="latency_seconds_sum", zone="z"} counter 10@1000 stale@2000
{__name__="queue_count"} gauge 6@1000
{__name__="queue_sum"} gauge 10@1000
`, r.target.Dump())
}

// Prometheus ends a native histogram with a float stale marker of its name.
func TestHistogramEnds(t *testing.T) {
	r := newReceiver(t, remotewrite.Config{})
	h := labels{"__name__", "h", "job", "a"}
	require.Equal(t, 204, r.postV2(t, newV2().histogram(h, intHistogram(1000)).sample(labels{"__name__", "other"}, 1000, 1).request()).status)
	a := r.postV2(t, newV2().sample(h, 2000, ingest.StaleNaN()).sample(labels{"__name__", "other"}, 2000, ingest.StaleNaN()).request())
	require.Equal(t, 204, a.status, a.message)
	require.Equal(t, "2/0/0", a.written, "what we add is not counted")
	a = r.postV2(t, newV2().sample(h, 1500, ingest.StaleNaN()).request())
	require.Equal(t, 400, a.status)
	require.Contains(t, a.message, "out_of_order 1", "nor is it reported")
	require.Equal(t, `{__name__="h", job="a"} unknown stale@2000
{__name__="h_count", job="a"} counter 6@1000 stale@2000
{__name__="h_sum", job="a"} counter 10@1000 stale@2000
{__name__="other"} unknown 1@1000 stale@2000
`, r.target.Dump())
}

func TestHistogramsV1(t *testing.T) {
	good := prompb.FromIntHistogram(1000, &histogram.Histogram{
		Count: 3, Sum: 5, ZeroCount: 1, PositiveSpans: []histogram.Span{{Offset: 2, Length: 2}}, PositiveBuckets: []int64{1, 0},
	})
	bad := good
	bad.Count = &prompb.Histogram_CountInt{CountInt: 4}
	float := prompb.FromFloatHistogram(1000, &histogram.FloatHistogram{Schema: 3, Count: 1.5, Sum: 2, ZeroCount: 1.5})
	series := func(name string, hs ...prompb.Histogram) prompb.TimeSeries {
		ts := v1Series(labels{"__name__", name})
		ts.Histograms = hs
		return ts
	}
	r := newReceiver(t, remotewrite.Config{})
	a := r.postV1(t, &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{series("a", good), series("b", bad), series("c", float)}})
	require.Equal(t, 400, a.status)
	require.Contains(t, a.message, "series 1 {__name__=\"b\"}: the count is 4, but the buckets add up to 3")
	require.Equal(t, `{__name__="a_count"} counter 3@1000
{__name__="a_sum"} counter 5@1000
{__name__="c_count"} counter 1.5@1000
{__name__="c_sum"} counter 2@1000
`, r.target.Dump())
}

// A histogram of a million one-byte buckets must not become eight megabytes.
func TestHistogramBuckets(t *testing.T) {
	h := intHistogram(1)
	h.PositiveDeltas = make([]int64, 1<<16+1)
	a := newReceiver(t, remotewrite.Config{}).postV2(t, newV2().histogram(labels{"__name__", "h"}, h).request())
	require.Equal(t, 400, a.status)
	require.Contains(t, a.message, "more than 65536 numbers")
}
