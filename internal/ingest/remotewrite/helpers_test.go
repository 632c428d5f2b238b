package remotewrite_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/golang/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/ingest/ingesttest"
	"github.com/portent-dev/portent/internal/ingest/remotewrite"
)

const (
	typeV1 = "application/x-protobuf"
	typeV2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
)

// receiver is a handler with the target behind it.
type receiver struct {
	http.Handler
	target *ingesttest.Target
	reg    *prometheus.Registry
}

func newReceiver(t testing.TB, config remotewrite.Config) *receiver {
	t.Helper()
	r := &receiver{target: new(ingesttest.Target), reg: prometheus.NewPedanticRegistry()}
	r.Handler = newHandler(t, r.target, config, r.reg)
	return r
}

func newHandler(t testing.TB, target ingest.Target, config remotewrite.Config, reg prometheus.Registerer) http.Handler {
	t.Helper()
	h, err := remotewrite.New(remotewrite.Options{
		Target: target, Config: config, Registerer: reg, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	return h
}

// answer is what a test looks at in a response.
type answer struct {
	status  int
	written string // samples/histograms/exemplars as the headers say, "" without headers
	message string // of the error
	header  http.Header
}

func (r *receiver) post(t testing.TB, contentType string, body []byte) answer {
	t.Helper()
	req := httptest.NewRequest(http.MethodPost, "/api/v1/write", bytes.NewReader(body))
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Content-Encoding", "snappy")
	return r.do(t, req)
}

func (r *receiver) do(t testing.TB, req *http.Request) answer {
	t.Helper()
	rec := httptest.NewRecorder()
	r.ServeHTTP(rec, req)
	return read(t, rec.Result())
}

// read checks what holds for every answer, and takes the rest apart.
func read(t testing.TB, resp *http.Response) answer {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	a := answer{status: resp.StatusCode, header: resp.Header}
	if s := resp.Header.Get("X-Prometheus-Remote-Write-Samples-Written"); s != "" {
		a.written = s + "/" + resp.Header.Get("X-Prometheus-Remote-Write-Histograms-Written") +
			"/" + resp.Header.Get("X-Prometheus-Remote-Write-Exemplars-Written")
	}
	if resp.StatusCode == http.StatusNoContent {
		require.Empty(t, body)
		return a
	}
	require.Equal(t, "application/json", resp.Header.Get("Content-Type"))
	var e struct {
		Error string `json:"error"`
		Hint  string `json:"hint"`
	}
	require.NoError(t, json.Unmarshal(body, &e), "%q", body)
	require.NotEmpty(t, e.Error)
	a.message = e.Error
	return a
}

func (r *receiver) postV1(t testing.TB, req *prompb.WriteRequest) answer {
	t.Helper()
	return r.post(t, typeV1, encodeV1(t, req))
}

func (r *receiver) postV2(t testing.TB, req *writev2.Request) answer {
	t.Helper()
	return r.post(t, typeV2, encodeV2(t, req))
}

func encodeV1(t testing.TB, req *prompb.WriteRequest) []byte {
	t.Helper()
	message, err := req.Marshal()
	require.NoError(t, err)
	return snappy.Encode(nil, message)
}

func encodeV2(t testing.TB, req *writev2.Request) []byte {
	t.Helper()
	message, err := req.Marshal()
	require.NoError(t, err)
	return snappy.Encode(nil, message)
}

// labels are a label set as a test writes it: name, value, name, value.
type labels []string

// v2 builds a 2.0 request as real senders do.
type v2 struct {
	symbols writev2.SymbolsTable
	req     writev2.Request
}

func newV2() *v2 { return &v2{symbols: writev2.NewSymbolTable()} }

func (b *v2) refs(ls labels) []uint32 {
	var refs []uint32
	for _, s := range ls {
		refs = append(refs, b.symbols.Symbolize(s))
	}
	return refs
}

func (b *v2) series(ls labels, edit func(*writev2.TimeSeries)) *v2 {
	ts := writev2.TimeSeries{LabelsRefs: b.refs(ls)}
	edit(&ts)
	b.req.Timeseries = append(b.req.Timeseries, ts)
	return b
}

func (b *v2) sample(ls labels, t int64, v float64) *v2 {
	return b.series(ls, func(ts *writev2.TimeSeries) {
		ts.Samples = []writev2.Sample{{Timestamp: t, Value: v}}
	})
}

func (b *v2) histogram(ls labels, h writev2.Histogram) *v2 {
	return b.series(ls, func(ts *writev2.TimeSeries) { ts.Histograms = []writev2.Histogram{h} })
}

func (b *v2) request() *writev2.Request {
	b.req.Symbols = b.symbols.Symbols()
	return &b.req
}

func v1Series(ls labels, samples ...prompb.Sample) prompb.TimeSeries {
	ts := prompb.TimeSeries{Samples: samples}
	for i := 0; i < len(ls); i += 2 {
		ts.Labels = append(ts.Labels, prompb.Label{Name: ls[i], Value: ls[i+1]})
	}
	return ts
}

func itoa(n int) string { return strconv.Itoa(n) }

func stale(v float64) bool { return ingest.IsStale(v) }

func snappyEncode(message []byte) []byte { return snappy.Encode(nil, message) }

// intHistogram is a good integer histogram: 6 observations that sum to 10.
func intHistogram(ms int64) writev2.Histogram {
	return writev2.Histogram{
		Count:          &writev2.Histogram_CountInt{CountInt: 6},
		ZeroCount:      &writev2.Histogram_ZeroCountInt{ZeroCountInt: 1},
		Sum:            10,
		ZeroThreshold:  1e-128,
		PositiveSpans:  []writev2.BucketSpan{{Offset: 0, Length: 2}, {Offset: 1, Length: 1}},
		PositiveDeltas: []int64{1, 1, -1}, // 1, 2, 1
		NegativeSpans:  []writev2.BucketSpan{{Offset: -3, Length: 1}},
		NegativeDeltas: []int64{1},
		Timestamp:      ms,
	}
}
