package app

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ingest"
)

// point is a sample of a series, as tests write them.
type point struct {
	labels []ingest.Label
	t      int64
	v      float64
}

// requestV1 encodes a remote-write 1.0 request.
func requestV1(points ...point) []byte {
	var w prompb.WriteRequest
	for _, p := range points {
		ts := prompb.TimeSeries{Samples: []prompb.Sample{{Timestamp: p.t, Value: p.v}}}
		for _, l := range p.labels {
			ts.Labels = append(ts.Labels, prompb.Label{Name: l.Name, Value: l.Value})
		}
		w.Timeseries = append(w.Timeseries, ts)
	}
	b, err := w.Marshal()
	if err != nil {
		panic(err)
	}
	return snappy.Encode(nil, b)
}

// requestV2 encodes a remote-write 2.0 request of gauges.
func requestV2(points ...point) []byte {
	w := writev2.Request{Symbols: []string{""}}
	symbol := func(s string) uint32 {
		i := slices.Index(w.Symbols, s)
		if i < 0 {
			i = len(w.Symbols)
			w.Symbols = append(w.Symbols, s)
		}
		return uint32(i)
	}
	for _, p := range points {
		ts := writev2.TimeSeries{
			Samples:  []writev2.Sample{{Timestamp: p.t, Value: p.v}},
			Metadata: writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_GAUGE},
		}
		for _, l := range p.labels {
			ts.LabelsRefs = append(ts.LabelsRefs, symbol(l.Name), symbol(l.Value))
		}
		w.Timeseries = append(w.Timeseries, ts)
	}
	b, err := w.Marshal()
	if err != nil {
		panic(err)
	}
	return snappy.Encode(nil, b)
}

func newWrite(url string, body []byte, v2 bool) *http.Request {
	r, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Content-Encoding", "snappy")
	r.Header.Set("Content-Type", "application/x-protobuf")
	r.Header.Set("X-Prometheus-Remote-Write-Version", "0.1.0")
	if v2 {
		r.Header.Set("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request")
		r.Header.Set("X-Prometheus-Remote-Write-Version", "2.0.0")
	}
	return r
}

func send(t testing.TB, h http.Handler, points ...point) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, newWrite("/api/v1/write", requestV2(points...), true))
	require.Equal(t, http.StatusNoContent, w.Code, "%s", w.Body)
}

func get(t testing.TB, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

// start runs an exporter and returns its address and a function that ends it and returns the error of Run.
func start(t testing.TB, a *App) (url string, stop func() error) {
	t.Helper()
	require.NoError(t, a.server.Listen())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(cancel)
	return "http://" + a.server.Addrs()[0].String(), func() error {
		cancel()
		return <-done
	}
}

func httpGet(t testing.TB, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

// wave is a day's course with a deterministic ripple, one value every 15 s.
func wave(i int) float64 { return 100 + 10*float64(i%40)/40 + float64(i*7919%13) }

// teach writes n samples of a wave that end at end.
func teach(t testing.TB, h http.Handler, labels []ingest.Label, n int, end time.Time) {
	t.Helper()
	for i := range n {
		at := end.Add(-time.Duration(n-1-i) * 15 * time.Second)
		send(t, h, point{labels, at.UnixMilli(), wave(i)})
	}
}
