package remotewrite_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/ingest/remotewrite"
)

// TestLabels sends each label set over both protocols: the rules are the same.
func TestLabels(t *testing.T) {
	const ok = ""
	for _, tc := range []struct {
		name   string
		labels labels
		want   string // part of the message; ok = written
		stored string
	}{
		{"sorted", labels{"__name__", "up", "instance", "a", "job", "b"}, ok, `{__name__="up", instance="a", job="b"}`},
		{"unsorted", labels{"job", "b", "__name__", "up", "instance", "a"}, ok, `{__name__="up", instance="a", job="b"}`},
		{"before the name", labels{"__name__", "up", "Zone", "1"}, ok, `{Zone="1", __name__="up"}`},
		{"newlines and quotes", labels{"__name__", "up", "job", "a\n\"b\"\\"}, ok, `{__name__="up", job="a\n\"b\"\\"}`},
		{"dots", labels{"__name__", "resource.cpu.usage", "job.name", "x"}, ok, `{__name__="resource.cpu.usage", job.name="x"}`},
		{"spaces", labels{"__name__", "resource cpu", "job name", "x"}, ok, `{__name__="resource cpu", job name="x"}`},
		{"unicode", labels{"__name__", "température", "région", "🌍"}, ok, `{__name__="température", région="🌍"}`},
		{"no labels", nil, "no __name__ label", ""},
		{"no name", labels{"job", "a"}, "no __name__ label", ""},
		{"empty name", labels{"__name__", ""}, "a label has an empty value", ""},
		{"empty label value", labels{"__name__", "up", "job", ""}, "a label has an empty value", ""},
		{"empty label name", labels{"__name__", "up", "", "a"}, "a label has an empty name", ""},
		{"twice", labels{"__name__", "up", "job", "a", "job", "b"}, `label "job" comes twice`, ""},
		{"twice, apart", labels{"job", "a", "__name__", "up", "job", "a"}, `label "job" comes twice`, ""},
		{"two names", labels{"__name__", "up", "__name__", "down"}, `label "__name__" comes twice`, ""},
		{"value not UTF-8", labels{"__name__", "up", "job", "\xff\xfe"}, "not valid UTF-8", ""},
		{"name not UTF-8", labels{"__name__", "up", "\xff", "a"}, "not valid UTF-8", ""},
		{"metric name not UTF-8", labels{"__name__", "\xc3\x28"}, "not valid UTF-8", ""},
		{"name of the longest length", labels{"__name__", "up", strings.Repeat("n", 20), "x"}, ok, `{__name__="up", nnnnnnnnnnnnnnnnnnnn="x"}`},
		{"name too long", labels{"__name__", "up", strings.Repeat("n", 21), "x"}, "a label name has 21 bytes, more than 20", ""},
		{"value too long", labels{"__name__", "up", "x", strings.Repeat("v", 31)}, `the value of label "x" has 31 bytes, more than 30`, ""},
		{"metric name too long", labels{"__name__", strings.Repeat("v", 31)}, `the value of label "__name__" has 31 bytes`, ""},
		{"as many labels as may be", labels{"__name__", "up", "a", "1", "b", "1", "c", "1"}, ok, `{__name__="up", a="1", b="1", c="1"}`},
		{"too many labels", labels{"__name__", "up", "a", "1", "b", "1", "c", "1", "d", "1"}, "too many labels", ""},
	} {
		config := remotewrite.Config{MaxLabels: 4, MaxLabelNameBytes: 20, MaxLabelValueBytes: 30}
		check := func(t *testing.T, a answer, r *receiver) {
			t.Helper()
			// The good series beside it is written in any case.
			stored := []string{`{__name__="good"}`}
			if tc.want == ok {
				require.Equal(t, 204, a.status, a.message)
				stored = append(stored, tc.stored)
			} else {
				require.Equal(t, 400, a.status)
				require.Contains(t, a.message, tc.want)
				require.Contains(t, a.message, "not written: 1 of 2 samples")
				require.Contains(t, a.message, "series 1 ")
			}
			require.ElementsMatch(t, stored, r.target.Names())
		}
		t.Run("1.0 "+tc.name, func(t *testing.T) {
			r := newReceiver(t, config)
			check(t, r.postV1(t, &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{
				v1Series(labels{"__name__", "good"}, prompb.Sample{Timestamp: 1, Value: 1}),
				v1Series(tc.labels, prompb.Sample{Timestamp: 1, Value: 1}),
			}}), r)
		})
		t.Run("2.0 "+tc.name, func(t *testing.T) {
			r := newReceiver(t, config)
			a := r.postV2(t, newV2().sample(labels{"__name__", "good"}, 1, 1).sample(tc.labels, 1, 1).request())
			check(t, a, r)
			want := "2/0/0"
			if tc.want != ok {
				want = "1/0/0"
			}
			require.Equal(t, want, a.written)
		})
	}
}

func TestValues(t *testing.T) {
	stale := ingest.StaleNaN()
	for _, v := range []float64{1, 0, -1, math.NaN(), stale, math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64} {
		r := newReceiver(t, remotewrite.Config{})
		require.Equal(t, 204, r.postV2(t, newV2().sample(labels{"__name__", "two"}, 1, v).request()).status)
		require.Equal(t, 204, r.postV1(t, &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{v1Series(labels{"__name__", "one"}, prompb.Sample{Timestamp: 1, Value: v})}}).status)
		for _, name := range []string{`{__name__="one"}`, `{__name__="two"}`} {
			s, ok := r.target.Get(name)
			require.True(t, ok)
			require.Equal(t, math.Float64bits(v), math.Float64bits(s.Samples[0].V), "%v", v)
			require.Equal(t, v != v && math.Float64bits(v) == math.Float64bits(stale), ingest.IsStale(s.Samples[0].V))
		}
	}
}

func TestTimes(t *testing.T) {
	r := newReceiver(t, remotewrite.Config{})
	for i, ms := range []int64{math.MinInt64, -1, 0, 1, 1_790_000_000_000, math.MaxInt64} {
		require.Equal(t, 204, r.postV2(t, newV2().sample(labels{"__name__", "up"}, ms, float64(i)).request()).status, ms)
	}
	s, _ := r.target.Get(`{__name__="up"}`)
	require.Len(t, s.Samples, 6)
}

func TestOrder(t *testing.T) {
	up := labels{"__name__", "up"}
	r := newReceiver(t, remotewrite.Config{})
	send := func(samples ...writev2.Sample) answer {
		return r.postV2(t, newV2().series(up, func(ts *writev2.TimeSeries) { ts.Samples = samples }).request())
	}
	a := send(writev2.Sample{Timestamp: 1000, Value: 1}, writev2.Sample{Timestamp: 2000, Value: 2})
	require.Equal(t, 204, a.status)

	// A sender that heard no answer sends the same again.
	a = send(writev2.Sample{Timestamp: 1000, Value: 1}, writev2.Sample{Timestamp: 2000, Value: 2})
	require.Equal(t, 400, a.status) // 1000 is older than 2000
	require.Equal(t, "1/0/0", a.written)
	a = send(writev2.Sample{Timestamp: 2000, Value: 2})
	require.Equal(t, 204, a.status, "the same time and value is no fault")
	require.Equal(t, "1/0/0", a.written)

	a = send(writev2.Sample{Timestamp: 2000, Value: 3})
	require.Equal(t, 400, a.status, "the same time and another value is")
	require.Equal(t, "0/0/0", a.written)
	require.Contains(t, a.message, "not written: 1 of 1 samples")
	require.Contains(t, a.message, "out_of_order 1")

	a = send(writev2.Sample{Timestamp: 1500, Value: 3}, writev2.Sample{Timestamp: 3000, Value: 3})
	require.Equal(t, 400, a.status)
	require.Equal(t, "1/0/0", a.written, "the good part is written")
	require.Equal(t, "{__name__=\"up\"} unknown 1@1000 2@2000 3@3000\n", r.target.Dump())
}

func TestSeriesLimitAndFuture(t *testing.T) {
	r := newReceiver(t, remotewrite.Config{})
	r.target.MaxSeries, r.target.MaxTime = 1, 5000
	a := r.postV2(t, newV2().sample(labels{"__name__", "a"}, 1, 1).sample(labels{"__name__", "b"}, 1, 1).sample(labels{"__name__", "a"}, 5001, 1).request())
	require.Equal(t, 400, a.status)
	require.Equal(t, "1/0/0", a.written)
	require.Contains(t, a.message, "series_limit 1, too_far_ahead 1")
}

// TestManyLabelValues is a sender that puts an id into a label: each series is
// new, and all but the cap are left out, counted and said.
func TestManyLabelValues(t *testing.T) {
	const n = 50_000
	r := newReceiver(t, remotewrite.Config{})
	r.target.MaxSeries = 100
	b := newV2()
	for i := range n {
		b.sample(labels{"__name__", "requests", "id", itoa(i)}, 1, 1)
	}
	a := r.postV2(t, b.request())
	require.Equal(t, 400, a.status)
	require.Equal(t, "100/0/0", a.written)
	require.Contains(t, a.message, "series_limit 49900")
}

func TestReferences(t *testing.T) {
	up := func(edit func(*writev2.TimeSeries)) *writev2.Request {
		ts := writev2.TimeSeries{LabelsRefs: []uint32{1, 2}, Samples: []writev2.Sample{{Timestamp: 1, Value: 1}}}
		edit(&ts)
		good := writev2.TimeSeries{LabelsRefs: []uint32{1, 3}, Samples: []writev2.Sample{{Timestamp: 1, Value: 1}}}
		return &writev2.Request{Symbols: []string{"", "__name__", "up", "good"}, Timeseries: []writev2.TimeSeries{ts, good}}
	}
	f := func(name, want string, edit func(*writev2.TimeSeries)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t, remotewrite.Config{})
			a := r.postV2(t, up(edit))
			require.Equal(t, 400, a.status)
			require.Contains(t, a.message, want)
			require.Equal(t, "1/0/0", a.written)
			require.Equal(t, []string{`{__name__="good"}`}, r.target.Names())
		})
	}
	f("odd", "odd number", func(ts *writev2.TimeSeries) { ts.LabelsRefs = []uint32{1, 2, 3} })
	f("out of range", "beyond the symbols", func(ts *writev2.TimeSeries) { ts.LabelsRefs = []uint32{1, 4} })
	f("far out of range", "beyond the symbols", func(ts *writev2.TimeSeries) { ts.LabelsRefs = []uint32{1, math.MaxUint32} })
	f("help out of range", "beyond the symbols", func(ts *writev2.TimeSeries) { ts.Metadata.HelpRef = 4 })
	f("unit out of range", "beyond the symbols", func(ts *writev2.TimeSeries) { ts.Metadata.UnitRef = 4 })
	f("empty by reference", "empty value", func(ts *writev2.TimeSeries) { ts.LabelsRefs = []uint32{1, 0} })
}

func TestSeriesContent(t *testing.T) {
	up := labels{"__name__", "up"}
	t.Run("both samples and histograms", func(t *testing.T) {
		r := newReceiver(t, remotewrite.Config{})
		a := r.postV2(t, newV2().series(up, func(ts *writev2.TimeSeries) {
			ts.Samples = []writev2.Sample{{Timestamp: 1, Value: 1}}
			ts.Histograms = []writev2.Histogram{intHistogram(1)}
		}).request())
		require.Equal(t, 400, a.status)
		require.Equal(t, "0/0/0", a.written)
		require.Contains(t, a.message, "samples and histograms in one series")
		require.Contains(t, a.message, "1 of 1 samples, 1 of 1 histograms")
		require.Contains(t, a.message, "mixed_series 2")
	})
	t.Run("neither", func(t *testing.T) {
		r := newReceiver(t, remotewrite.Config{})
		a := r.postV2(t, newV2().series(up, func(*writev2.TimeSeries) {}).request())
		require.Equal(t, 400, a.status)
		require.Contains(t, a.message, "neither samples nor histograms")
	})
	t.Run("metadata alone", func(t *testing.T) {
		r := newReceiver(t, remotewrite.Config{})
		a := r.postV2(t, newV2().series(up, func(ts *writev2.TimeSeries) { ts.Metadata.Type = writev2.Metadata_METRIC_TYPE_COUNTER }).request())
		require.Equal(t, 400, a.status)
	})
	t.Run("exemplars alone, as Prometheus sends them", func(t *testing.T) {
		r := newReceiver(t, remotewrite.Config{})
		b := newV2()
		a := r.postV2(t, b.series(up, func(ts *writev2.TimeSeries) {
			ts.Exemplars = []writev2.Exemplar{{LabelsRefs: b.refs(labels{"trace_id", "x"}), Value: 1, Timestamp: 1}}
		}).request())
		require.Equal(t, 204, a.status, a.message)
		require.Equal(t, "0/0/1", a.written)
	})
	t.Run("1.0 series without samples", func(t *testing.T) {
		r := newReceiver(t, remotewrite.Config{})
		require.Equal(t, 204, r.postV1(t, &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{v1Series(up)}}).status)
		require.Empty(t, r.target.Dump())
	})
	t.Run("1.0 metadata alone", func(t *testing.T) {
		r := newReceiver(t, remotewrite.Config{})
		require.Equal(t, 204, r.postV1(t, &prompb.WriteRequest{Metadata: []prompb.MetricMetadata{{Type: prompb.MetricMetadata_COUNTER, MetricFamilyName: "up", Help: "x"}}}).status)
	})
}

func TestExemplars(t *testing.T) {
	f := func(name string, refs []uint32, ms int64, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t, remotewrite.Config{})
			a := r.postV2(t, &writev2.Request{
				Symbols: []string{"", "__name__", "up", "trace_id", "abc", "\xff"},
				Timeseries: []writev2.TimeSeries{{
					LabelsRefs: []uint32{1, 2}, Samples: []writev2.Sample{{Timestamp: 1, Value: 1}},
					Exemplars: []writev2.Exemplar{
						{LabelsRefs: []uint32{3, 4}, Value: 1, Timestamp: 1},
						{LabelsRefs: refs, Value: math.NaN(), Timestamp: ms},
					},
				}},
			})
			if want == "" {
				require.Equal(t, 204, a.status, a.message)
				require.Equal(t, "1/0/2", a.written)
				return
			}
			require.Equal(t, 400, a.status)
			require.Equal(t, "1/0/1", a.written, "the sample and the other exemplar are written")
			require.Contains(t, a.message, want)
			require.Contains(t, a.message, "1 of 2 exemplars")
		})
	}
	f("plain", []uint32{3, 4}, 1, "")
	f("no labels", nil, 1, "")
	f("several labels", []uint32{3, 4, 1, 2}, 1, "")
	f("negative time", []uint32{3, 4}, -5, "")
	f("no time", []uint32{3, 4}, 0, "no timestamp")
	f("odd references", []uint32{3}, 1, "odd number")
	f("bad reference", []uint32{3, 6}, 1, "beyond the symbols")
	f("not UTF-8", []uint32{3, 5}, 1, "not valid UTF-8")
	f("empty name", []uint32{0, 4}, 1, "empty label name")

	t.Run("of a series that is refused", func(t *testing.T) {
		r := newReceiver(t, remotewrite.Config{})
		a := r.postV2(t, newV2().series(labels{"job", "test"}, func(ts *writev2.TimeSeries) {
			ts.Samples = []writev2.Sample{{Timestamp: 1, Value: 1}}
			ts.Exemplars = []writev2.Exemplar{{Value: 1, Timestamp: 1}}
		}).request())
		require.Equal(t, 400, a.status)
		require.Equal(t, "0/0/0", a.written)
	})
	t.Run("1.0", func(t *testing.T) {
		r := newReceiver(t, remotewrite.Config{})
		ts := v1Series(labels{"__name__", "up"}, prompb.Sample{Timestamp: 1, Value: 1})
		ts.Exemplars = []prompb.Exemplar{{Labels: []prompb.Label{{Name: "trace_id", Value: "x"}}, Value: 1, Timestamp: 1}}
		require.Equal(t, 204, r.postV1(t, &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{ts}}).status)
		ts.Exemplars[0].Labels[0].Value = "\xff"
		a := r.postV1(t, &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{ts}})
		require.Equal(t, 400, a.status)
		require.Contains(t, a.message, "1 of 1 exemplars")
	})
}

func TestStartTimestamps(t *testing.T) {
	r := newReceiver(t, remotewrite.Config{})
	h := intHistogram(1000)
	h.StartTimestamp = 500
	a := r.postV2(t, newV2().series(labels{"__name__", "x_total"}, func(ts *writev2.TimeSeries) {
		ts.Samples = []writev2.Sample{{Timestamp: 1000, Value: 7, StartTimestamp: 500}}
	}).histogram(labels{"__name__", "h"}, h).request())
	require.Equal(t, 204, a.status, a.message)

	// Before 2.0-rc.4 it was field 6 of the series: 6<<3|varint, 500.
	message, err := newV2().sample(labels{"__name__", "y_total"}, 1000, 7).request().Marshal()
	require.NoError(t, err)
	at := strings.Index(string(message), "\x2a") // the series, after the symbols
	length := message[at+1]
	old := append(append(message[:at:at], 0x2a, length+3), message[at+2:]...)
	old = append(old, 6<<3, 0xf4, 0x03)
	a = r.post(t, typeV2, snappyEncode(old))
	require.Equal(t, 204, a.status, a.message)
	require.Equal(t, `{__name__="h_count"} counter 6@1000
{__name__="h_sum"} counter 10@1000
{__name__="x_total"} counter 7@1000
{__name__="y_total"} counter 7@1000
`, r.target.Dump())
}

func TestKinds(t *testing.T) {
	f := func(metric string, typ writev2.Metadata_MetricType, want ingest.Kind) {
		t.Helper()
		r := newReceiver(t, remotewrite.Config{})
		b := newV2()
		a := r.postV2(t, b.series(labels{"__name__", metric}, func(ts *writev2.TimeSeries) {
			ts.Samples = []writev2.Sample{{Timestamp: 1, Value: 1}}
			ts.Metadata = writev2.Metadata{Type: typ, HelpRef: b.symbols.Symbolize("Help."), UnitRef: b.symbols.Symbolize("s")}
		}).request())
		require.Equal(t, 204, a.status, a.message)
		s, _ := r.target.Get(fmt.Sprintf("{__name__=%q}", metric))
		require.Equal(t, want.String(), s.Kind.String(), "%s %s", metric, typ)
	}
	f("requests", writev2.Metadata_METRIC_TYPE_COUNTER, ingest.KindCounter)
	f("requests_total", writev2.Metadata_METRIC_TYPE_GAUGE, ingest.KindGauge)
	f("requests_total", writev2.Metadata_METRIC_TYPE_UNSPECIFIED, ingest.KindCounter)
	f("requests_total", 99, ingest.KindCounter)
	f("temperature", writev2.Metadata_METRIC_TYPE_UNSPECIFIED, ingest.KindUnknown)
	f("h_bucket", writev2.Metadata_METRIC_TYPE_HISTOGRAM, ingest.KindCounter)
	f("h_sum", writev2.Metadata_METRIC_TYPE_HISTOGRAM, ingest.KindCounter)
	f("h_created", writev2.Metadata_METRIC_TYPE_HISTOGRAM, ingest.KindGauge)
	f("s", writev2.Metadata_METRIC_TYPE_SUMMARY, ingest.KindGauge)
	f("s_count", writev2.Metadata_METRIC_TYPE_SUMMARY, ingest.KindCounter)
	f("g_bucket", writev2.Metadata_METRIC_TYPE_GAUGEHISTOGRAM, ingest.KindGauge)
	f("build_info", writev2.Metadata_METRIC_TYPE_INFO, ingest.KindGauge)
	f("state", writev2.Metadata_METRIC_TYPE_STATESET, ingest.KindGauge)
}

func TestKindByTypeLabel(t *testing.T) {
	r := newReceiver(t, remotewrite.Config{})
	a := r.postV1(t, &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{
		v1Series(labels{"__name__", "jobs_done", "__type__", "counter"}, prompb.Sample{Timestamp: 1, Value: 1}),
		v1Series(labels{"__name__", "jobs_total", "__type__", "gauge"}, prompb.Sample{Timestamp: 1, Value: 1}),
		v1Series(labels{"__name__", "x_total", "__type__", "nonsense"}, prompb.Sample{Timestamp: 1, Value: 1}),
	}})
	require.Equal(t, 204, a.status, a.message)
	require.Equal(t, `{__name__="jobs_done", __type__="counter"} counter 1@1
{__name__="jobs_total", __type__="gauge"} gauge 1@1
{__name__="x_total", __type__="nonsense"} counter 1@1
`, r.target.Dump())
}

// Metadata of 1.0 comes in requests of its own and holds for what comes later, by
// either protocol.
func TestKindByFamily(t *testing.T) {
	r := newReceiver(t, remotewrite.Config{})
	send := func(ms int64) {
		t.Helper()
		require.Equal(t, 204, r.postV1(t, &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{
			v1Series(labels{"__name__", "jobs_done"}, prompb.Sample{Timestamp: ms, Value: 1}),
			v1Series(labels{"__name__", "free_count"}, prompb.Sample{Timestamp: ms, Value: 1}),
			v1Series(labels{"__name__", "size_bucket", "le", "1"}, prompb.Sample{Timestamp: ms, Value: 1}),
		}}).status)
	}
	kinds := func() string {
		var out []string
		for _, n := range []string{`{__name__="jobs_done"}`, `{__name__="free_count"}`, `{__name__="size_bucket", le="1"}`} {
			s, _ := r.target.Get(n)
			out = append(out, s.Kind.String())
		}
		return strings.Join(out, " ")
	}
	learn := func(types ...prompb.MetricMetadata) {
		t.Helper()
		require.Equal(t, 204, r.postV1(t, &prompb.WriteRequest{Metadata: types}).status)
	}
	send(1)
	require.Equal(t, "unknown counter counter", kinds())
	learn(
		prompb.MetricMetadata{MetricFamilyName: "jobs_done", Type: prompb.MetricMetadata_COUNTER, Help: "Jobs.", Unit: "1"},
		prompb.MetricMetadata{MetricFamilyName: "free_count", Type: prompb.MetricMetadata_GAUGE},
		prompb.MetricMetadata{MetricFamilyName: "size", Type: prompb.MetricMetadata_HISTOGRAM},
		prompb.MetricMetadata{MetricFamilyName: "other", Type: prompb.MetricMetadata_UNKNOWN},
		prompb.MetricMetadata{Type: prompb.MetricMetadata_COUNTER},
	)
	send(2)
	require.Equal(t, "counter gauge counter", kinds())
	require.Equal(t, 204, r.postV2(t, newV2().sample(labels{"__name__", "jobs_done"}, 3, 2).request()).status)
	require.Equal(t, "counter gauge counter", kinds())
	require.InDelta(t, 3, value(t, r.reg, "portent_exporter_remote_write_metadata_families"), 0)

	learn(prompb.MetricMetadata{MetricFamilyName: "jobs_done", Type: prompb.MetricMetadata_GAUGE})
	send(4)
	require.Equal(t, "gauge gauge counter", kinds())

	var many []prompb.MetricMetadata
	for i := range 50_001 {
		many = append(many, prompb.MetricMetadata{MetricFamilyName: "m" + itoa(i), Type: prompb.MetricMetadata_GAUGE})
	}
	learn(many...)
	require.InDelta(t, 50_000, value(t, r.reg, "portent_exporter_remote_write_metadata_families"), 0)
	require.InDelta(t, 4, value(t, r.reg, "portent_exporter_remote_write_metadata_families_dropped_total"), 0)
	send(5)
	require.Equal(t, "gauge gauge counter", kinds(), "what was known stays known")
}

func TestOwnOutput(t *testing.T) {
	r := newReceiver(t, remotewrite.Config{})
	a := r.postV2(t, newV2().
		sample(labels{"__name__", "anomaly_score", "metric", "up"}, 1, 1).
		sample(labels{"__name__", "anomaly_expected_upper", "metric", "up"}, 1, 1).
		histogram(labels{"__name__", "anomaly_h"}, intHistogram(1)).
		sample(labels{"__name__", "up"}, 1, 1).request())
	require.Equal(t, 204, a.status, a.message)
	require.Equal(t, "3/1/0", a.written)
	require.Equal(t, []string{`{__name__="up"}`}, r.target.Names())
}

func TestMessageIsShort(t *testing.T) {
	r := newReceiver(t, remotewrite.Config{})
	b := newV2()
	for i := range 100 {
		b.sample(labels{"job", strings.Repeat("x", 3000), "n", itoa(i)}, 1, 1)
	}
	a := r.postV2(t, b.request())
	require.Equal(t, 400, a.status)
	require.Contains(t, a.message, "not written: 100 of 100 samples")
	require.Contains(t, a.message, "invalid_labels 100")
	require.Contains(t, a.message, "; and 97 more")
	require.Less(t, len(a.message), 1024, "Prometheus logs no more")
}
