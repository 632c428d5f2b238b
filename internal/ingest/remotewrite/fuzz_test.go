package remotewrite

import (
	"bytes"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/golang/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ingest/ingesttest"
)

// seeds adds requests of real encoders, whole and cut.
func seeds(f *testing.F, which func(*prompb.WriteRequest, *writev2.Request) ([]byte, error)) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for n := 0; n < 8; {
		message, err := which(randomRequests(rnd))
		require.NoError(f, err)
		if len(message) > 1024 {
			continue // the fuzzer is slow on large inputs
		}
		n++
		f.Add(message)
		f.Add(message[:len(message)/2])
	}
	f.Add([]byte{})
}

// fuzzLimits are small, so that the fuzzer reaches them.
func fuzzDecoder() *decoder { return &decoder{maxLabels: 8, maxItems: 100} }

// FuzzDecodeV1 holds the decoder to Prometheus's own: what that takes, we take or
// refuse by a limit, and yield the same of it; what it refuses, we never crash on.
func FuzzDecodeV1(f *testing.F) {
	seeds(f, func(one *prompb.WriteRequest, _ *writev2.Request) ([]byte, error) { return one.Marshal() })
	f.Fuzz(func(t *testing.T, message []byte) {
		d := fuzzDecoder()
		var got int
		err := d.v1(message, func(s *series) {
			checkYield(t, s)
			got += len(s.samples)
		})
		var reference prompb.WriteRequest
		if err != nil || reference.Unmarshal(message) != nil {
			return
		}
		want := 0
		for _, ts := range reference.Timeseries {
			want += len(ts.Samples)
		}
		require.Equal(t, want, got)
	})
}

// FuzzDecodeV2 is the same for 2.0, and compares label sets too.
func FuzzDecodeV2(f *testing.F) {
	seeds(f, func(_ *prompb.WriteRequest, two *writev2.Request) ([]byte, error) { return two.Marshal() })
	f.Fuzz(func(t *testing.T, message []byte) {
		d := fuzzDecoder()
		var got strings.Builder
		err := d.v2(message, func(s *series) {
			if s.labelErr == nil {
				for _, l := range s.labels {
					got.WriteString(l.Name + "\x00" + l.Value + "\x00")
				}
			}
			got.WriteString("\n")
			checkYield(t, s) // sorts the labels
		})
		var reference writev2.Request
		if err != nil || reference.Unmarshal(message) != nil {
			return
		}
		require.Equal(t, referenceLabels(&reference, d.maxLabels), got.String())
	})
}

func referenceLabels(req *writev2.Request, maxLabels int) string {
	var b strings.Builder
	for _, ts := range req.Timeseries {
		n := len(req.Symbols)
		var text strings.Builder
		good := len(ts.LabelsRefs)%2 == 0 && len(ts.LabelsRefs) <= 2*maxLabels &&
			int(ts.Metadata.HelpRef) < n && int(ts.Metadata.UnitRef) < n
		for _, ref := range ts.LabelsRefs {
			if int(ref) >= n || !utf8.ValidString(req.Symbols[ref]) {
				good = false
				break
			}
			text.WriteString(req.Symbols[ref] + "\x00")
		}
		if good {
			b.WriteString(text.String())
		}
		b.WriteString("\n")
	}
	return b.String()
}

// checkYield holds a decoded series to what its users rely on.
func checkYield(t *testing.T, s *series) {
	t.Helper()
	if len(s.labels) > 8 {
		t.Fatalf("%d labels, more than the limit", len(s.labels))
	}
	if s.labelErr != nil {
		return
	}
	for _, l := range s.labels {
		if !utf8.ValidString(l.Name) || !utf8.ValidString(l.Value) {
			t.Fatalf("label %q is not UTF-8, and nobody says so", l)
		}
	}
	sortLabels(s.labels)
	for i := 1; i < len(s.labels); i++ {
		if s.labels[i-1].Name > s.labels[i].Name {
			t.Fatal("not sorted")
		}
	}
}

// FuzzHistogram holds our rules for native histograms to Prometheus's: what we
// take, it takes.
func FuzzHistogram(f *testing.F) {
	rnd := rand.New(rand.NewPCG(7, 8))
	for range 8 {
		_, h := randomHistograms(rnd)
		message, err := h.Marshal()
		require.NoError(f, err)
		f.Add(message)
	}
	custom := writev2.Histogram{Schema: schemaCustom, Count: &writev2.Histogram_CountInt{CountInt: 1}, CustomValues: []float64{1, 2}, PositiveSpans: []writev2.BucketSpan{{Offset: 2, Length: 1}}, PositiveDeltas: []int64{1}}
	message, err := custom.Marshal()
	require.NoError(f, err)
	f.Add(message)
	f.Fuzz(func(t *testing.T, message []byte) {
		var h histogram
		if err := h.decode(message); err != nil {
			return
		}
		ours := h.check()
		var reference writev2.Histogram
		if reference.Unmarshal(message) != nil {
			return
		}
		var theirs error
		if reference.IsFloatHistogram() {
			theirs = reference.ToFloatHistogram().Validate()
		} else {
			theirs = reference.ToIntHistogram().Validate()
		}
		if isStaleBits(h.sum) {
			return // Prometheus takes it for a histogram with a NaN observed
		}
		if ours == nil && theirs != nil {
			t.Fatalf("we take what Prometheus refuses: %v\n%+v", theirs, reference)
		}
	})
}

func isStaleBits(v float64) bool { return math.Float64bits(v) == 0x7ff0000000000002 }

// FuzzHandler sends anything as a request. Whatever it is, the answer is one of
// those documented, the target's contract is kept (ingesttest panics otherwise)
// and a refused request leaves no room taken.
func FuzzHandler(f *testing.F) {
	rnd := rand.New(rand.NewPCG(9, 10))
	for i := 0; i < 6; {
		one, two := randomRequests(rnd)
		message, err := one.Marshal()
		if i%2 == 0 {
			message, err = two.Marshal()
		}
		require.NoError(f, err)
		if len(message) < 1024 {
			f.Add(i%2 == 0, snappy.Encode(nil, message))
			i++
		}
	}
	f.Add(true, []byte{0})
	f.Add(false, []byte("not snappy"))
	f.Fuzz(func(t *testing.T, two bool, body []byte) {
		target := new(ingesttest.Target)
		target.MaxSeries = 5
		built, err := New(Options{
			Target: target, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
			Config: Config{MaxSamples: 100, MaxLabels: 8, MaxBodyBytes: 1 << 16, MaxDecompressedBytes: 1 << 20, MaxInFlightBytes: 2 << 20},
		})
		require.NoError(t, err)
		h := built.(*handler)
		req := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		if two {
			req.Header.Set("Content-Type", mediaType+";proto="+messageV2)
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		switch rec.Code {
		case http.StatusNoContent:
			require.Zero(t, rec.Body.Len())
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
			answer, err := io.ReadAll(rec.Body)
			require.NoError(t, err)
			require.True(t, utf8.Valid(answer))
			require.Less(t, len(answer), 4096)
		default:
			t.Fatalf("status %d: %s", rec.Code, rec.Body)
		}
		require.Equal(t, two, rec.Header().Get(headerSamples) != "")
		require.True(t, h.room.TryAcquire(h.config.MaxInFlightBytes), "room is left taken")
	})
}
