package remotewrite_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/e2e/servertest"
	"github.com/portent-dev/portent/internal/ingest/remotewrite"
)

// scraped is a target with one metric of each kind, served as a real exporter
// serves them.
func scraped(t *testing.T) *httptest.Server {
	t.Helper()
	reg := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "jobs_done", Help: "A counter whose name does not say so."})
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "queue_length", Help: "A gauge."})
	native := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "latency_seconds", Help: "A native histogram.", NativeHistogramBucketFactor: 1.1})
	classic := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "size_bytes", Help: "A classic histogram.", Buckets: []float64{10, 100}})
	reg.MustRegister(counter, gauge, native, classic)
	counter.(prometheus.ExemplarAdder).AddWithExemplar(41, prometheus.Labels{"trace_id": "abc"})
	gauge.Set(7)
	for i := range 10 {
		native.Observe(float64(i) / 10)
		classic.Observe(float64(i) * 20)
	}
	s := httptest.NewServer(promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	t.Cleanup(s.Close)
	return s
}

// recorder remembers every answer but 204.
type recorder struct {
	http.Handler
	mu     sync.Mutex
	others []string
	count  int
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	rec := httptest.NewRecorder()
	r.Handler.ServeHTTP(rec, req)
	r.mu.Lock()
	r.count++
	if rec.Code != http.StatusNoContent {
		r.others = append(r.others, fmt.Sprintf("%d %s", rec.Code, rec.Body))
	}
	r.mu.Unlock()
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

func (r *recorder) answers() (count int, others []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count, r.others
}

// TestRealPrometheus lets a Prometheus scrape a target and write it to us over
// both protocols, with histograms, exemplars and the end of the target.
func TestRealPrometheus(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Prometheus")
	}
	target := scraped(t)
	one, two := newReceiver(t, remotewrite.Config{}), newReceiver(t, remotewrite.Config{})
	rec1, rec2 := &recorder{Handler: one}, &recorder{Handler: two}
	server1, server2 := httptest.NewServer(rec1), httptest.NewServer(rec2)
	defer server1.Close()
	defer server2.Close()

	prom := servertest.Prometheus(t, servertest.Config{
		Args: []string{"--enable-feature=exemplar-storage"},
		YAML: fmt.Sprintf(`
global: {scrape_interval: 1s, scrape_protocols: [PrometheusProto, OpenMetricsText1.0.0]}
scrape_configs:
- job_name: target
  scrape_native_histograms: true
  static_configs: [{targets: [%q]}]
- job_name: text
  scrape_protocols: [OpenMetricsText1.0.0]
  static_configs: [{targets: [%q], labels: {zone: "ö \"quoted\""}}]
remote_write:
- {name: one, url: %q, send_exemplars: true, send_native_histograms: true, metadata_config: {send_interval: 1s}, queue_config: {batch_send_deadline: 500ms}}
- {name: two, url: %q, send_exemplars: true, send_native_histograms: true, protobuf_message: io.prometheus.write.v2.Request, queue_config: {batch_send_deadline: 500ms}}
`, host(target), host(target), server1.URL, server2.URL),
	})

	instance := fmt.Sprintf(`instance=%q`, host(target))
	// Series → kind by 1.0. By 2.0 Prometheus 3.15 sends no types: its flag
	// metadata-wal-records sets nothing in the TSDB (cmd/prometheus/main.go).
	want := map[string]string{
		`{__name__="jobs_done", ` + instance + `, job="target"}`:                                 "counter",
		`{__name__="queue_length", ` + instance + `, job="target"}`:                              "gauge",
		`{__name__="latency_seconds_count", ` + instance + `, job="target"}`:                     "counter",
		`{__name__="latency_seconds_sum", ` + instance + `, job="target"}`:                       "counter",
		`{__name__="size_bytes_bucket", ` + instance + `, job="target", le="10.0"}`:              "counter",
		`{__name__="queue_length", ` + instance + `, job="text", zone="ö \"quoted\""}`:           "gauge",
		`{__name__="up", ` + instance + `, job="target"}`:                                        "unknown",
		`{__name__="size_bytes_count", ` + instance + `, job="text", zone="ö \"quoted\""}`:       "counter",
		`{__name__="scrape_samples_scraped", ` + instance + `, job="text", zone="ö \"quoted\""}`: "unknown",
	}
	arrived := func() error {
		for name, kind := range want {
			if s, ok := two.target.Get(name); !ok || len(s.Samples) < 2 {
				return fmt.Errorf("2.0: %s has not come twice; there are %q", name, two.target.Names())
			}
			s, ok := one.target.Get(name)
			if !ok || len(s.Samples) < 2 {
				return fmt.Errorf("1.0: %s has not come twice", name)
			}
			if kind != s.Kind.String() {
				return fmt.Errorf("1.0: %s is a %s, want %s", name, s.Kind, kind)
			}
		}
		return nil
	}
	await(t, arrived)

	// The target goes: each of its series ends with a stale marker.
	target.Close()
	await(t, func() error {
		for name := range want {
			if strings.Contains(name, `"up"`) || strings.Contains(name, "scrape_") {
				continue // go on, with 0
			}
			for _, r := range []*receiver{one, two} {
				s, _ := r.target.Get(name)
				if !strings.Contains(r.target.Dump(), s.Name+" "+s.Kind.String()) || !stale(s.Samples[len(s.Samples)-1].V) {
					return fmt.Errorf("%s has not ended", name)
				}
			}
		}
		return nil
	})
	prom.Stop()

	for _, r := range []*recorder{rec1, rec2} {
		count, others := r.answers()
		require.NotZero(t, count)
		require.Empty(t, others, "every request is answered with 204")
	}
	require.InDelta(t, 10, lastNumber(t, two, `{__name__="latency_seconds_count", `+instance+`, job="target"}`), 0)
	require.InDelta(t, 41, lastNumber(t, one, `{__name__="jobs_done", `+instance+`, job="target"}`), 0)
	for _, r := range []*receiver{one, two} {
		require.Positive(t, value(t, r.reg, "portent_exporter_remote_write_exemplars_total"))
		require.Positive(t, value(t, r.reg, "portent_exporter_remote_write_histograms_total"))
	}
}

func host(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "http://") }

// await waits for a state of real processes, which have no clock of ours.
func await(t *testing.T, ready func() error) {
	t.Helper()
	var last lastError
	require.Eventually(t, func() bool {
		err := ready()
		last.Store(&err)
		return err == nil
	}, 60*time.Second, 100*time.Millisecond, "%s", &last)
}

// lastError prints why the state was not reached, when the test has failed.
type lastError struct{ atomic.Pointer[error] }

func (e *lastError) String() string {
	if err := e.Load(); err != nil {
		return fmt.Sprint(*err)
	}
	return "never asked"
}

func lastNumber(t *testing.T, r *receiver, name string) float64 {
	t.Helper()
	s, ok := r.target.Get(name)
	require.True(t, ok, name)
	for i := len(s.Samples) - 1; i >= 0; i-- {
		if !stale(s.Samples[i].V) {
			return s.Samples[i].V
		}
	}
	t.Fatalf("%s has no number", name)
	return 0
}
