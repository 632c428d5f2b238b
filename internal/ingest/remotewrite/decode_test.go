package remotewrite

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ingest"
)

func newDecoder() *decoder { return &decoder{maxLabels: 64, maxItems: 1_000_000} }

// printSeries writes what a decoder yields, so that two ways to the same can be compared.
func printSeries(b *strings.Builder) func(*series) {
	return func(s *series) {
		fmt.Fprintf(b, "%d %q %v meta=%d exemplars=%d/%d err=%v\n", s.index, s.labels, bitsOf(s.samples), s.metadata, s.exemplars, s.badExemplars, s.labelErr)
		for _, h := range s.histograms {
			fmt.Fprintf(b, "  %d %g %g %v %v\n", h.t, h.count, h.sum, h.gauge, h.err)
		}
	}
}

func bitsOf(samples []ingest.Sample) string {
	var out strings.Builder
	for _, s := range samples {
		fmt.Fprintf(&out, "%x@%d ", math.Float64bits(s.V), s.T)
	}
	return out.String()
}

// TestAgainstRealEncoders encodes random requests with Prometheus's own code and
// compares what we decode with what its own decoder says.
func TestAgainstRealEncoders(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	d := newDecoder()
	for range 200 {
		req1, req2 := randomRequests(rnd)

		message, err := req1.Marshal()
		require.NoError(t, err)
		var got strings.Builder
		require.NoError(t, d.v1(message, printSeries(&got)))
		var back prompb.WriteRequest
		require.NoError(t, back.Unmarshal(message))
		require.Equal(t, expectV1(&back), got.String())

		message, err = req2.Marshal()
		require.NoError(t, err)
		got.Reset()
		require.NoError(t, d.v2(message, printSeries(&got)))
		var back2 writev2.Request
		require.NoError(t, back2.Unmarshal(message))
		require.Equal(t, expectV2(&back2), got.String())
	}
}

func expectV1(req *prompb.WriteRequest) string {
	var b strings.Builder
	for i, ts := range req.Timeseries {
		s := series{index: i, exemplars: len(ts.Exemplars)}
		for _, l := range ts.Labels {
			s.labels = append(s.labels, ingest.Label{Name: l.Name, Value: l.Value})
		}
		for _, p := range ts.Samples {
			s.samples = append(s.samples, ingest.Sample{T: p.Timestamp, V: p.Value})
		}
		for _, h := range ts.Histograms {
			hs := histogramSample{t: h.Timestamp, sum: h.Sum, gauge: h.ResetHint == prompb.Histogram_GAUGE}
			if h.IsFloatHistogram() {
				hs.count = h.GetCountFloat()
			} else {
				hs.count = float64(h.GetCountInt())
			}
			s.histograms = append(s.histograms, hs)
		}
		printSeries(&b)(&s)
	}
	return b.String()
}

func expectV2(req *writev2.Request) string {
	var b strings.Builder
	for i, ts := range req.Timeseries {
		s := series{index: i, exemplars: len(ts.Exemplars), metadata: metadata(ts.Metadata.Type)}
		for j := 0; j < len(ts.LabelsRefs); j += 2 {
			s.labels = append(s.labels, ingest.Label{Name: req.Symbols[ts.LabelsRefs[j]], Value: req.Symbols[ts.LabelsRefs[j+1]]})
		}
		for _, p := range ts.Samples {
			s.samples = append(s.samples, ingest.Sample{T: p.Timestamp, V: p.Value, Start: p.StartTimestamp})
		}
		for _, h := range ts.Histograms {
			hs := histogramSample{t: h.Timestamp, start: h.StartTimestamp, sum: h.Sum, gauge: h.ResetHint == writev2.Histogram_RESET_HINT_GAUGE}
			if h.IsFloatHistogram() {
				hs.count = h.GetCountFloat()
			} else {
				hs.count = float64(h.GetCountInt())
			}
			s.histograms = append(s.histograms, hs)
		}
		printSeries(&b)(&s)
	}
	return b.String()
}

// randomRequests makes the same data for both protocols.
func randomRequests(rnd *rand.Rand) (*prompb.WriteRequest, *writev2.Request) {
	one, two := &prompb.WriteRequest{}, &writev2.Request{}
	symbols := writev2.NewSymbolTable()
	for range rnd.IntN(20) {
		var ts1 prompb.TimeSeries
		var ts2 writev2.TimeSeries
		for range rnd.IntN(8) {
			name, value := randomText(rnd), randomText(rnd)
			ts1.Labels = append(ts1.Labels, prompb.Label{Name: name, Value: value})
			ts2.LabelsRefs = append(ts2.LabelsRefs, symbols.Symbolize(name), symbols.Symbolize(value))
		}
		for range rnd.IntN(5) {
			v, ms := randomFloat(rnd), rnd.Int64N(1<<42)-1<<41
			ts1.Samples = append(ts1.Samples, prompb.Sample{Value: v, Timestamp: ms})
			ts2.Samples = append(ts2.Samples, writev2.Sample{Value: v, Timestamp: ms, StartTimestamp: ms - rnd.Int64N(2)})
		}
		for range rnd.IntN(3) {
			h1, h2 := randomHistograms(rnd)
			ts1.Histograms = append(ts1.Histograms, h1)
			ts2.Histograms = append(ts2.Histograms, h2)
		}
		for range rnd.IntN(3) {
			ts1.Exemplars = append(ts1.Exemplars, prompb.Exemplar{Labels: []prompb.Label{{Name: "trace_id", Value: "x"}}, Value: 1, Timestamp: 1 + rnd.Int64N(9)})
			ts2.Exemplars = append(ts2.Exemplars, writev2.Exemplar{LabelsRefs: []uint32{symbols.Symbolize("trace_id"), symbols.Symbolize("x")}, Value: 1, Timestamp: 1 + rnd.Int64N(9)})
		}
		ts2.Metadata = writev2.Metadata{Type: writev2.Metadata_MetricType(rnd.IntN(8)), HelpRef: symbols.Symbolize("Help."), UnitRef: symbols.Symbolize("s")}
		one.Timeseries, two.Timeseries = append(one.Timeseries, ts1), append(two.Timeseries, ts2)
	}
	one.Metadata = []prompb.MetricMetadata{{Type: prompb.MetricMetadata_COUNTER, MetricFamilyName: "x", Help: "y"}}
	two.Symbols = symbols.Symbols()
	return one, two
}

func randomText(rnd *rand.Rand) string {
	const alphabet = "abcdef_é🌍\n\"\\ "
	runes := []rune(alphabet)
	n := rnd.IntN(12)
	if rnd.IntN(30) == 0 {
		n = 300 // a length of two bytes
	}
	out := make([]rune, n)
	for i := range out {
		out[i] = runes[rnd.IntN(len(runes))]
	}
	return string(out)
}

func randomFloat(rnd *rand.Rand) float64 {
	switch rnd.IntN(6) {
	case 0:
		return math.NaN()
	case 1:
		return ingest.StaleNaN()
	case 2:
		return math.Inf(1 - 2*rnd.IntN(2))
	case 3:
		return 0
	}
	return rnd.NormFloat64() * 1e6
}

// randomHistograms makes a valid histogram in both encodings.
func randomHistograms(rnd *rand.Rand) (prompb.Histogram, writev2.Histogram) {
	var total int64
	var deltas []int64
	var counts []float64
	last := int64(0)
	n := 1 + rnd.IntN(200)
	for range n {
		c := rnd.Int64N(1000)
		deltas, counts = append(deltas, c-last), append(counts, float64(c))
		last = c
		total += c
	}
	gauge := rnd.IntN(2)
	h1 := prompb.Histogram{
		Schema: int32(rnd.IntN(13) - 4), Sum: rnd.NormFloat64(), ZeroThreshold: 1e-10, Timestamp: rnd.Int64N(1 << 41),
		PositiveSpans: []prompb.BucketSpan{{Offset: -int32(rnd.IntN(100)), Length: uint32(n)}},
		ResetHint:     prompb.Histogram_ResetHint(3 * gauge),
	}
	h2 := writev2.Histogram{
		Schema: h1.Schema, Sum: h1.Sum, ZeroThreshold: h1.ZeroThreshold, Timestamp: h1.Timestamp,
		PositiveSpans: []writev2.BucketSpan{{Offset: h1.PositiveSpans[0].Offset, Length: uint32(n)}},
		ResetHint:     writev2.Histogram_ResetHint(3 * gauge), StartTimestamp: 5,
	}
	if rnd.IntN(2) == 0 {
		h1.Count, h2.Count = &prompb.Histogram_CountInt{CountInt: uint64(total)}, &writev2.Histogram_CountInt{CountInt: uint64(total)}
		h1.PositiveDeltas, h2.PositiveDeltas = deltas, deltas
	} else {
		h1.Count, h2.Count = &prompb.Histogram_CountFloat{CountFloat: float64(total)}, &writev2.Histogram_CountFloat{CountFloat: float64(total)}
		h1.PositiveCounts, h2.PositiveCounts = counts, counts
	}
	return h1, h2
}

// TestFieldOrder holds the decoder to what protobuf allows and no sender does:
// symbols after the series, lists that are not packed, fields out of order, twice
// or unknown.
func TestFieldOrder(t *testing.T) {
	series := []byte{
		2<<3 | 2, 11, 2 << 3, 5, 1<<3 | 1, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, // sample: time first, then value 1
		15<<3 | 5, 1, 2, 3, 4, // unknown, 32-bit
		1 << 3, 1, 1 << 3, 2, // label references, one by one
		1<<3 | 2, 2, 3, 0, // and two more, packed
		14<<3 | 1, 1, 2, 3, 4, 5, 6, 7, 8, // unknown, 64-bit
	}
	message := append([]byte{5<<3 | 2, byte(len(series))}, series...)
	for _, s := range []string{"", "__name__", "up", "job"} {
		message = append(append(message, 4<<3|2, byte(len(s))), s...)
	}
	var got strings.Builder
	require.NoError(t, newDecoder().v2(message, printSeries(&got)))
	require.Equal(t, `0 [{"__name__" "up"} {"job" ""}] 3ff0000000000000@5  meta=0 exemplars=0/0 err=<nil>`+"\n", got.String())
}

func TestOneofLastWins(t *testing.T) {
	message := []byte{
		histCountFloat<<3 | type64, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, // 1.0
		histCountInt << 3, 0,
		histZeroCountFloat<<3 | type64, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f,
		histZeroCountInt << 3, 0,
	}
	var h histogram
	require.NoError(t, h.decode(message))
	require.False(t, h.float)
	require.NoError(t, h.check())
}

// TestNoAllocations is the promise of the package: once a decoder has seen a
// request of a size, another of it costs no memory, for samples, histograms and
// labels alike.
func TestNoAllocations(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var req1 *prompb.WriteRequest
	var req2 *writev2.Request
	for req1 == nil || len(req1.Timeseries) < 15 {
		req1, req2 = randomRequests(rnd)
	}
	message1, err := req1.Marshal()
	require.NoError(t, err)
	message2, err := req2.Marshal()
	require.NoError(t, err)
	d := newDecoder()
	n := 0
	yield := func(s *series) {
		sortLabels(s.labels)
		n += len(s.samples)
	}
	require.Zero(t, testing.AllocsPerRun(50, func() { require.NoError(t, d.v1(message1, yield)) }))
	require.Zero(t, testing.AllocsPerRun(50, func() { require.NoError(t, d.v2(message2, yield)) }))
	require.NotZero(t, n)
}
