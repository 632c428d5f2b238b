package app

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
)

func newTestExposition(p published) (*exposition, *prometheus.Registry) {
	reg := prometheus.NewRegistry()
	return newExposition(reg, func() published { return p }, newExportMetrics(reg), slog.New(slog.DiscardHandler)), reg
}

func scrape(h http.Handler, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// parsed reads an answer as Prometheus does, into label sets and values.
func parsed(t *testing.T, contentType string, body []byte) map[string]float64 {
	t.Helper()
	p, err := textparse.New(body, contentType, labels.NewSymbolTable(), textparse.ParserOptions{})
	require.NoError(t, err)
	out := map[string]float64{}
	for {
		e, err := p.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		require.NoError(t, err)
		if e == textparse.EntrySeries {
			_, _, v := p.Series()
			var ls labels.Labels
			p.Labels(&ls)
			require.NotContains(t, out, ls.String(), "series twice")
			out[ls.String()] = v
		}
	}
}

func hostile() []testSeries {
	o := detect.Output{Score: 2, Expected: 1, Lower: 0, Upper: 1.5, Ready: true}
	return []testSeries{
		{labelsOf("__name__", "m", "job", "x"), o},
		{labelsOf("__name__", "m", "a", "x\"} 1\nanomaly_score{metric=\"forged\"} 9\n"), o},
		{labelsOf("__name__", "m", "a", "\\", "b", "\\n"), o},
		{labelsOf("__name__", "m.dotted metric\n", "http.status", "200"), o},
		{labelsOf("__name__", "m", "metric", "mine", "exported_metric", "too"), o},
		{labelsOf("__name__", "s", "quantile", "0.99"), o},
		{labelsOf("__name__", "h_bucket", "le", "+Inf"), o},
		{labelsOf("__name__", "m", "long", strings.Repeat("ü", 4000)), o},
	}
}

func TestExpositionReadsBackAsItWas(t *testing.T) {
	x, _ := newTestExposition(published{forEach: each(hostile()), maxSeries: 100, families: families[:]})
	for _, accept := range []string{
		"", "text/plain", "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8,text/plain;q=0.5",
		"text/plain;version=0.0.4;escaping=allow-utf-8", "application/vnd.google.protobuf", "*/*",
	} {
		w := scrape(x, "Accept", accept)
		require.Equal(t, 200, w.Code)
		got := parsed(t, w.Header().Get("Content-Type"), w.Body.Bytes())
		utf8 := strings.Contains(w.Header().Get("Content-Type"), "escaping=allow-utf-8")
		for _, name := range []string{"anomaly_score", "anomaly_expected", "anomaly_expected_lower", "anomaly_expected_upper"} {
			for _, pairs := range [][]string{
				{"metric", "m", "job", "x"},
				{"metric", "m", "a", "x\"} 1\nanomaly_score{metric=\"forged\"} 9\n"},
				{"metric", "m", "a", "\\", "b", "\\n"},
				{"metric", "m", "exported_exported_metric", "mine", "exported_metric", "too"},
				{"metric", "s", "quantile", "0.99"},
				{"metric", "h_bucket", "le", "+Inf"},
				{"metric", "m", "long", strings.Repeat("ü", 4000)},
			} {
				require.Contains(t, got, labels.FromStrings(append(pairs, "__name__", name)...).String(), accept)
			}
			dotted := "http_status"
			if utf8 {
				dotted = "http.status"
			}
			require.Contains(t, got, labels.FromStrings("__name__", name, "metric", "m.dotted metric\n", dotted, "200").String(), accept)
		}
	}
}

func TestExpositionIsCleanForPromlint(t *testing.T) {
	x, _ := newTestExposition(published{forEach: each(hostile()), maxSeries: 100, families: families[:]})
	problems, err := promlint.New(scrape(x).Body).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)
}

func TestExpositionSpeaksOfItself(t *testing.T) {
	series := numbered(0, 5)
	p := published{forEach: each(series), maxSeries: 3, families: families[:1]}
	x, _ := newTestExposition(p)
	body := scrape(x).Body.String()
	require.Contains(t, body, "portent_exporter_exported_series 3\n")
	require.Contains(t, body, "portent_exporter_export_left_out_series 2\n")
	require.Equal(t, 3, strings.Count(body, "\nanomaly_score{"))
	require.NotContains(t, body, "anomaly_expected")
	require.Contains(t, body, "# TYPE anomaly_score untyped\n")
	scrape(x)
	require.EqualValues(t, 4, x.metrics.dropped.Load())

	body = scrape(x, "Accept", "application/openmetrics-text;version=1.0.0").Body.String()
	require.Contains(t, body, "# TYPE anomaly_score unknown\n")
	require.True(t, strings.HasSuffix(body, "\n# EOF\n"))
}

func TestExpositionCompresses(t *testing.T) {
	x, _ := newTestExposition(published{forEach: each(numbered(0, 2000)), maxSeries: 5000, families: families[:]})
	plain := scrape(x).Body.String()
	for range 2 { // the second takes its buffers from the pool
		w := scrape(x, "Accept-Encoding", "br, gzip;q=1.0")
		require.Equal(t, "gzip", w.Header().Get("Content-Encoding"))
		z, err := gzip.NewReader(w.Body)
		require.NoError(t, err)
		got, err := io.ReadAll(z)
		require.NoError(t, err)
		require.Equal(t, plain, string(got))
	}
	for _, no := range []string{"", "br", "gzip;q=0", "x-gzip"} {
		require.Empty(t, scrape(x, "Accept-Encoding", no).Header().Get("Content-Encoding"), no)
	}
}

func TestExpositionBoundsScrapes(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	stuck := func(func([]ingest.Label, detect.Output) bool) { began <- struct{}{}; <-finish }
	x, _ := newTestExposition(published{forEach: stuck, maxSeries: 1})
	var wg sync.WaitGroup
	for range maxScrapes {
		wg.Go(func() { scrape(x) })
	}
	<-began // one is inside; the others wait for it with their slots taken
	require.Eventually(t, func() bool { return len(x.slots) == maxScrapes }, 5e9, 1e6)
	w := scrape(x)
	require.Equal(t, 503, w.Code)
	require.Equal(t, "5", w.Header().Get("Retry-After"))
	go func() {
		for range maxScrapes - 1 {
			<-began
		}
	}()
	close(finish)
	wg.Wait()
	require.Empty(t, x.slots)
}

// failing is a connection that breaks.
type failing struct{ http.ResponseWriter }

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestExpositionCutsTheConnectionWhenItBreaks(t *testing.T) {
	x, _ := newTestExposition(published{forEach: each(numbered(0, 5000)), maxSeries: 5000, families: families[:]})
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	require.PanicsWithError(t, http.ErrAbortHandler.Error(), func() { x.ServeHTTP(failing{httptest.NewRecorder()}, r) })
	require.Equal(t, 200, scrape(x).Code) // and the next is whole
	require.Empty(t, x.slots)
}

// benchSeries are like those of a cluster: eight labels, some 150 bytes.
func benchSeries(n int) []testSeries {
	out := make([]testSeries, n)
	for i := range out {
		out[i] = testSeries{
			labels: labelsOf("__name__", "container_memory_working_set_bytes", "cluster", "production-eu-1", "namespace", fmt.Sprintf("team-%d", i%40),
				"pod", fmt.Sprintf("checkout-service-7c9f8d6b5-%05d", i), "container", "checkout", "instance", fmt.Sprintf("10.0.%d.%d:10250", i/250%250, i%250),
				"job", "kubelet", "node", fmt.Sprintf("worker-%d", i%100)),
			out: detect.Output{Score: float64(i%97) / 101, Expected: float64(i) * 1234.567, Lower: float64(i) * 1000.1, Upper: float64(i) * 1500.9, Ready: true},
		}
	}
	return out
}

// BenchmarkMetrics answers a scrape of 20,000 series with four outputs each, compressed as Prometheus asks for it.
func BenchmarkMetrics(b *testing.B) {
	series := benchSeries(20_000)
	for _, encoding := range []string{"identity", "gzip"} {
		b.Run(encoding, func(b *testing.B) {
			x, _ := newTestExposition(published{forEach: each(series), maxSeries: 20_000, families: families[:]})
			for b.Loop() {
				w := scrape(x, "Accept-Encoding", encoding)
				b.SetBytes(int64(w.Body.Len()))
			}
		})
	}
}

// BenchmarkMetricsByRegistry is what BenchmarkMetrics replaces: the same through client_golang.
func BenchmarkMetricsByRegistry(b *testing.B) {
	reg := prometheus.NewRegistry()
	reg.MustRegister(plainCollector(benchSeries(20_000)))
	h := promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
	for b.Loop() {
		scrape(h, "Accept-Encoding", "gzip")
	}
}

type plainCollector []testSeries

func (plainCollector) Describe(chan<- *prometheus.Desc) {}

func (c plainCollector) Collect(ch chan<- prometheus.Metric) {
	for _, f := range families {
		for i := range c {
			var names, values []string
			for _, l := range c[i].labels {
				if l.Name == model.MetricNameLabel {
					l.Name = metricLabel
				}
				names, values = append(names, l.Name), append(values, l.Value)
			}
			ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(f.name, f.help, names, nil), prometheus.GaugeValue, f.value(&c[i].out), values...)
		}
	}
}
