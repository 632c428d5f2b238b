package app_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	toolkitweb "github.com/prometheus/exporter-toolkit/web"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/e2e/servertest"
	"github.com/portent-dev/portent/exporter/app"
	"github.com/portent-dev/portent/internal/promapi"
)

// target is something that a real Prometheus scrapes: series with the labels that usually go wrong.
type target struct {
	*httptest.Server
	ended atomic.Bool
}

func newTarget(t *testing.T) *target {
	t.Helper()
	tg := &target{}
	tg.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprintf(w, `# TYPE plain gauge
plain 1
plain_labels{job="mine",instance="mine",metric="mine",exported_metric="too"} 1
hostile{v="quote \" backslash \\ line \n end ü"} 1
# TYPE requests_total counter
requests_total{code="200"} %d
# TYPE latency summary
latency{quantile="0.99"} 1
latency_sum 1
latency_count 1
`, time.Now().Unix())
		if !tg.ended.Load() {
			_, _ = io.WriteString(w, "# TYPE short_lived gauge\nshort_lived 1\n")
		}
	}))
	t.Cleanup(tg.Close)
	return tg
}

// startExporter runs an exporter and returns its address.
func startExporter(t *testing.T, config string) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "exporter.yml")
	require.NoError(t, os.WriteFile(file, []byte(config+"\nstate: {directory: "+filepath.Join(dir, "state")+"}\n"), 0o600))
	none, addresses := "", []string{fmt.Sprintf("127.0.0.1:%d", servertest.FreePort(t))}
	a, err := app.New(app.Options{
		ConfigFile: file,
		WebConfig:  &toolkitweb.FlagConfig{WebListenAddresses: &addresses, WebConfigFile: &none},
		Logger:     slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return "http://" + addresses[0]
}

// named asks a Prometheus and returns the label sets of the answer.
func named(t *testing.T, prom *servertest.Server, expr string) []model.Metric {
	t.Helper()
	c, err := promapi.New(promapi.Options{URL: prom.URL})
	require.NoError(t, err)
	a, err := c.Query(t.Context(), expr, time.Time{}, 0)
	require.NoError(t, err)
	var out []model.Metric
	for _, s := range a.Value.(model.Vector) {
		out = append(out, s.Metric)
	}
	return out
}

// query is as named, without the metric's name.
func query(t *testing.T, prom *servertest.Server, expr string) []model.Metric {
	t.Helper()
	out := named(t, prom, expr)
	for _, m := range out {
		delete(m, model.MetricNameLabel)
	}
	return out
}

func TestPrometheusStoresExactlyTheLabelsOfTheInput(t *testing.T) {
	t.Parallel()
	for version, message := range map[string]string{"1.0": "prometheus.WriteRequest", "2.0": "io.prometheus.write.v2.Request"} {
		t.Run("remote write "+version, func(t *testing.T) {
			t.Parallel()
			tg := newTarget(t)
			exporter := startExporter(t, "")
			host := func(s string) string { u, err := url.Parse(s); require.NoError(t, err); return u.Host }
			// Two seconds, which are the timeout of a scrape too: on a busy machine one that takes longer ends all scores for a moment.
			prom := servertest.Prometheus(t, servertest.Config{YAML: fmt.Sprintf(`
global: {scrape_interval: 2s}
scrape_configs:
- job_name: demo
  static_configs: [{targets: [%q], labels: {env: test}}]
- job_name: portent-exporter
  honor_labels: true
  static_configs: [{targets: [%q]}]
remote_write:
- url: %s/api/v1/write
  protobuf_message: %s
  queue_config: {batch_send_deadline: 200ms}
`, host(tg.URL), host(exporter), exporter, message)})
			t.Cleanup(func() { tellScrapes(t, prom) })

			// Prometheus itself makes exported_… of what clashes with the target's labels; the exporter must keep all that. Both sides
			// are compared as they were asked for: asked for again, another scrape may lie between them, the first one above all.
			var input, scores []model.Metric
			require.Eventually(t, func() bool {
				input = named(t, prom, `{job="demo",__name__!~"anomaly_.*|scrape_.*"}`)
				scores = query(t, prom, `anomaly_score{job="demo",metric!~"scrape_.*"}`)
				return len(input) >= 9 && len(scores) == len(input)
			}, 60*time.Second, 200*time.Millisecond)
			for _, m := range input {
				name := m[model.MetricNameLabel]
				delete(m, model.MetricNameLabel)
				if v, ok := m["metric"]; ok {
					m["exported_exported_metric"] = v // exported_metric is the input's own
				}
				m["metric"] = name
			}
			require.ElementsMatch(t, input, scores)
			require.NotEmpty(t, query(t, prom, `anomaly_score{metric="plain_labels",exported_job="mine",exported_exported_metric="mine",exported_metric="too",env="test"}`))
			require.Empty(t, query(t, prom, `anomaly_score{metric=~"anomaly_.*"}`), "a score is never scored")

			// What ends at the target ends as a score too, and by a stale marker: at once, not after five minutes.
			require.Len(t, query(t, prom, `anomaly_score{metric="short_lived"}`), 1)
			tg.ended.Store(true)
			require.Eventually(t, func() bool { return len(query(t, prom, `anomaly_score{metric="short_lived"}`)) == 0 }, 30*time.Second, 200*time.Millisecond)
			require.Len(t, query(t, prom, `anomaly_score{metric="plain"}`), 1)

			promtoolCheck(t, exporter)
		})
	}
}

// tellScrapes logs, for a test that failed, what Prometheus has stored of its scrapes, time by time.
func tellScrapes(t *testing.T, prom *servertest.Server) {
	t.Helper()
	if !t.Failed() {
		return
	}
	for _, expr := range []string{`up`, `scrape_duration_seconds`, `scrape_samples_scraped`, `plain`, `anomaly_score{metric="plain"}`} {
		resp, err := http.Get(prom.URL + "/api/v1/query?query=" + url.QueryEscape(expr+"[1m]"))
		if err != nil {
			t.Log(expr, err)
			continue
		}
		body, err := io.ReadAll(resp.Body)
		t.Logf("%s %s %v %v", expr, body, err, resp.Body.Close())
	}
}

// promtoolCheck has promtool look at what is published.
func promtoolCheck(t *testing.T, exporter string) {
	t.Helper()
	resp, err := http.Get(exporter + "/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Contains(t, string(body), `quantile="0.99"`, "what a gauge could not carry is among it")
	cmd := exec.Command(servertest.Binary(t, "promtool"), "check", "metrics")
	cmd.Stdin = bytes.NewReader(body)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Empty(t, string(out))
}

func TestBackfillFromPrometheus(t *testing.T) {
	t.Parallel()
	tg := newTarget(t)
	prom := servertest.Prometheus(t, servertest.Config{YAML: fmt.Sprintf(`
global: {scrape_interval: 1s, external_labels: {cluster: eu}}
scrape_configs:
- job_name: demo
  static_configs: [{targets: [%q]}]
`, strings.TrimPrefix(tg.URL, "http://"))})
	require.Eventually(t, func() bool {
		m := query(t, prom, `count_over_time(requests_total[1m]) > 4`)
		return len(m) == 1
	}, 60*time.Second, 200*time.Millisecond)

	for _, config := range []string{
		"window: 1h", "window: 1h, step: 1s", `window: 1h, selectors: ['{job="demo",__name__!~"scrape_.*"}', up, 'plain{v=~"|[\"\\\\]"}']`,
	} {
		exporter := startExporter(t, fmt.Sprintf("backfill: {url: %s, %s}", prom.URL, config))
		var body string
		require.Eventually(t, func() bool {
			resp, err := http.Get(exporter + "/metrics")
			if err != nil {
				return false
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			body = string(b)
			return err == nil && strings.Contains(body, "portent_exporter_backfill_running 0\n") && strings.Contains(body, "\nportent_exporter_backfill_successful{source=\"backfill\"} 1\n")
		}, 60*time.Second, 50*time.Millisecond)
		require.Contains(t, body, `anomaly_score{metric="plain",cluster="eu",instance="`)
		require.Contains(t, body, `anomaly_score{metric="requests_total",cluster="eu",code="200",instance="`)
		require.Contains(t, body, `portent_exporter_samples_rejected_total{reason="out_of_order",source="backfill"} 0`)
		require.Contains(t, body, `portent_exporter_backfill_failed_queries_total 0`)
	}
}

// A real Prometheus takes the scores that are written to it, with the times of the input, and ends them when the input ends.
func TestScoresAreWrittenToPrometheus(t *testing.T) {
	t.Parallel()
	tg := newTarget(t)
	sink := servertest.Prometheus(t, servertest.Config{})
	exporter := startExporter(t, fmt.Sprintf("score_writer: {url: '%s/api/v1/write', interval: 1s, labels: {replica: a}}", sink.URL))
	servertest.Prometheus(t, servertest.Config{YAML: fmt.Sprintf(`
global: {scrape_interval: 1s}
scrape_configs:
- job_name: demo
  static_configs: [{targets: [%q]}]
remote_write:
- url: %s/api/v1/write
  queue_config: {batch_send_deadline: 200ms}
`, strings.TrimPrefix(tg.URL, "http://"), exporter)})

	require.Eventually(t, func() bool {
		return len(query(t, sink, `anomaly_score{job="demo",metric=~"plain|short_lived|requests_total|hostile",replica="a"}`)) == 4
	}, 60*time.Second, 200*time.Millisecond)
	require.Len(t, query(t, sink, `anomaly_score{metric="plain_labels",exported_job="mine",exported_exported_metric="mine",exported_metric="too",replica="a"}`), 1)
	tg.ended.Store(true)
	require.Eventually(t, func() bool { return len(query(t, sink, `anomaly_score{metric="short_lived"}`)) == 0 }, 30*time.Second, 200*time.Millisecond)
	require.Len(t, query(t, sink, `anomaly_score{metric="plain"}`), 1)

	resp, err := http.Get(exporter + "/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	for _, reason := range []string{"queue_full", "too_old", "refused"} {
		require.Contains(t, string(body), fmt.Sprintf("portent_exporter_score_writer_samples_dropped_total{reason=%q} 0\n", reason))
	}
}
