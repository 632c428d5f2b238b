package federate_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/e2e/servertest"
	"github.com/portent-dev/portent/internal/ingest/federate"
	"github.com/portent-dev/portent/internal/ingest/ingesttest"
)

// TestRealPrometheus federates from a real server that scrapes a target with
// native histograms and names beyond the old alphabet, and sees the target go.
func TestRealPrometheus(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Prometheus")
	}
	exposed := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "requests_total", Help: "Requests."})
	native := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "latency_seconds", Help: "Latency.", NativeHistogramBucketFactor: 1.1})
	utf8 := prometheus.NewGauge(prometheus.GaugeOpts{Name: "queue.length", Help: "Queue.", ConstLabels: prometheus.Labels{"data center": "köln"}})
	exposed.MustRegister(counter, native, utf8)
	counter.Add(41)
	native.Observe(1)
	utf8.Set(7)
	scraped := httptest.NewServer(promhttp.HandlerFor(exposed, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	defer scraped.Close()
	host := strings.TrimPrefix(scraped.URL, "http://")

	prom := servertest.Prometheus(t, servertest.Config{YAML: fmt.Sprintf(`
global: {scrape_interval: 1s, external_labels: {cluster: c1}, scrape_protocols: [PrometheusProto]}
scrape_configs:
- {job_name: target, scrape_native_histograms: true, static_configs: [{targets: [%q]}]}
# Prometheus asks for names beyond the old alphabet in text alone.
- {job_name: text, scrape_protocols: [OpenMetricsText1.0.0], static_configs: [{targets: [%q]}]}
`, host, host)})

	c := federate.DefaultTarget()
	c.Name, c.URL, c.Match, c.Interval, c.Timeout = "prom", prom.URL, []string{`{job="target"}`, `{"queue.length"}`}, model.Duration(time.Second), model.Duration(time.Second)
	c.Labels = map[string]string{"cluster": "never taken: theirs is there", "via": "federation"}
	target := new(ingesttest.Target)
	config := federate.Config{Targets: []federate.Target{c}}
	source, err := federate.New(federate.Options{Config: config, Target: target, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- source.Run(ctx) }()

	rest := fmt.Sprintf(`, cluster="c1", instance=%q, job="target", via="federation"}`, host)
	queue := fmt.Sprintf(`{__name__="queue.length", cluster="c1", data center="köln", instance=%q, job="text", via="federation"}`, host)
	want := map[string]string{
		`{__name__="requests_total"` + rest:        "counter 41@",
		`{__name__="latency_seconds_count"` + rest: "counter 1@",
		`{__name__="latency_seconds_sum"` + rest:   "counter 1@",
		`{__name__="up"` + rest:                    "unknown 1@",
		queue:                                      "unknown 7@",
	}
	await(t, target, func() bool {
		dump := target.Dump()
		for name, value := range want {
			if s, ok := target.Get(name); !ok || len(s.Samples) < 2 || !strings.Contains(dump, name+" "+value) {
				return false
			}
		}
		return true
	})

	scraped.Close()
	await(t, target, func() bool {
		s, _ := target.Get(queue)
		return ingesttest.Value(s.Samples[len(s.Samples)-1].V) == "stale"
	})
	cancel()
	require.NoError(t, <-done)
}

// await waits for a state of real processes, which have no clock of ours.
func await(t *testing.T, target *ingesttest.Target, ready func() bool) {
	t.Helper()
	require.Eventually(t, ready, 30*time.Second, 100*time.Millisecond, "%s", dumped{target})
}

// dumped prints a target as it is when the test has failed.
type dumped struct{ *ingesttest.Target }

func (d dumped) String() string { return d.Dump() }
