package remotewrite

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/golang/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ingest/ingesttest"
)

// shapes are requests as Prometheus makes them: one sample of each of 2,000
// series while it keeps up, several of fewer when it catches up.
var shapes = []struct{ series, samples int }{{2000, 1}, {500, 10}}

// benchLabels are those of a series in Kubernetes.
func benchLabels(i int) []string {
	return []string{
		"__name__", fmt.Sprintf("container_network_receive_bytes_total_%d", i%40),
		"cluster", "production-eu-1", "container", "server", "endpoint", "http-metrics",
		"instance", fmt.Sprintf("10.42.%d.%d:9100", i/250, i%250), "job", "kubelet",
		"namespace", fmt.Sprintf("team-%d", i%17), "pod", fmt.Sprintf("server-7d9c5b8f6c-%05x", i),
		"service", "kubelet",
	}
}

func benchMessages(b *testing.B, nSeries, nSamples int) (one, two []byte) {
	b.Helper()
	var req1 prompb.WriteRequest
	symbols := writev2.NewSymbolTable()
	var req2 writev2.Request
	for i := range nSeries {
		var ts1 prompb.TimeSeries
		var ts2 writev2.TimeSeries
		ls := benchLabels(i)
		for j := 0; j < len(ls); j += 2 {
			ts1.Labels = append(ts1.Labels, prompb.Label{Name: ls[j], Value: ls[j+1]})
			ts2.LabelsRefs = append(ts2.LabelsRefs, symbols.Symbolize(ls[j]), symbols.Symbolize(ls[j+1]))
		}
		for k := range nSamples {
			t, v := int64(1_790_000_000_000+15_000*k), float64(i*1000+k)*1.5
			ts1.Samples = append(ts1.Samples, prompb.Sample{Timestamp: t, Value: v})
			ts2.Samples = append(ts2.Samples, writev2.Sample{Timestamp: t, Value: v, StartTimestamp: 1_780_000_000_000})
		}
		ts2.Metadata = writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_COUNTER, HelpRef: symbols.Symbolize(fmt.Sprintf("Cumulative count of bytes received, %d.", i%40))}
		req1.Timeseries, req2.Timeseries = append(req1.Timeseries, ts1), append(req2.Timeseries, ts2)
	}
	req2.Symbols = symbols.Symbols()
	one, err := req1.Marshal()
	require.NoError(b, err)
	two, err = req2.Marshal()
	require.NoError(b, err)
	return one, two
}

// BenchmarkDecode measures the decoders alone, from decompressed bytes to sorted
// and checked labels. The reference is Prometheus's own generated code.
func BenchmarkDecode(b *testing.B) {
	config := DefaultConfig()
	for _, shape := range shapes {
		one, two := benchMessages(b, shape.series, shape.samples)
		d := newDecoder()
		yield := func(s *series) {
			sortLabels(s.labels)
			if _, _, err := config.checkLabels(s.labels); err != nil {
				b.Fatal(err)
			}
		}
		run := func(name string, message []byte, f func() error) {
			b.Run(fmt.Sprintf("%s/series=%d/samples=%d", name, shape.series, shape.samples), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(message)))
				for b.Loop() {
					if err := f(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.N*shape.series*shape.samples)/b.Elapsed().Seconds(), "samples/s")
			})
		}
		run("v1", one, func() error { return d.v1(one, yield) })
		run("v2", two, func() error { return d.v2(two, yield) })
		run("reference-v1", one, func() error { var req prompb.WriteRequest; return req.Unmarshal(one) })
		run("reference-v2", two, func() error { var req writev2.Request; return req.Unmarshal(two) })
	}
}

// BenchmarkHandler measures a whole request, snappy included, into a target that
// keeps nothing.
func BenchmarkHandler(b *testing.B) {
	for _, shape := range shapes {
		one, two := benchMessages(b, shape.series, shape.samples)
		for _, c := range []struct {
			name, contentType string
			message           []byte
		}{
			{"v1", mediaType, one},
			{"v2", mediaType + ";proto=" + messageV2, two},
		} {
			b.Run(fmt.Sprintf("%s/series=%d/samples=%d", c.name, shape.series, shape.samples), func(b *testing.B) {
				h, err := New(Options{Target: ingesttest.Null{}, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)})
				require.NoError(b, err)
				body := snappy.Encode(nil, c.message)
				reader := bytes.NewReader(body)
				req := httptest.NewRequest(http.MethodPost, "/", reader)
				req.Header.Set("Content-Type", c.contentType)
				req.ContentLength = int64(len(body))
				b.ReportAllocs()
				b.SetBytes(int64(len(c.message)))
				for b.Loop() {
					reader.Reset(body)
					req.Body = io.NopCloser(reader)
					rec := httptest.NewRecorder()
					h.ServeHTTP(rec, req)
					if rec.Code != http.StatusNoContent {
						b.Fatal(rec.Code, rec.Body)
					}
				}
				b.ReportMetric(float64(b.N*shape.series*shape.samples)/b.Elapsed().Seconds(), "samples/s")
			})
		}
	}
}
