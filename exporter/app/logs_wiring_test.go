package app

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/portent-dev/portent/e2e/servertest"
	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/ingest/ingesttest"
	"github.com/portent-dev/portent/internal/logmine"
)

func push(t *testing.T, a *testApp, app string, lines ...string) {
	t.Helper()
	var values []string
	for _, l := range lines {
		values = append(values, fmt.Sprintf(`["%d",%q]`, time.Now().UnixNano(), l))
	}
	r := httptest.NewRequest(http.MethodPost, "/loki/api/v1/push", strings.NewReader(
		fmt.Sprintf(`{"streams":[{"stream":{"app":%q,"job":"j"},"values":[%s]}]}`, app, strings.Join(values, ","))))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	require.Equal(t, 204, w.Code, w.Body)
}

// TestLogsFromKafka: the topics are read, mined, and left with a reload.
func TestLogsFromKafka(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "logs"))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	p, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic("logs"))
	require.NoError(t, err)
	defer p.Close()
	require.NoError(t, p.ProduceSync(t.Context(), kgo.StringRecord(`{"level":"warn","msg":"queue 7 is long"}`)).FirstErr())
	a := newApp(t, t.TempDir(), "logs: {group_by: [topic], kafka: {start: beginning, topics: [logs], brokers: ['"+strings.Join(c.ListenAddrs(), "','")+"']}}\n")
	start(t, a.App)
	require.Eventually(t, func() bool {
		a.logs.mu.Lock()
		a.logs.looked = time.Time{}
		a.logs.mu.Unlock()
		return answer(t, a.Handler(), "").Lines == 1
	}, 30*time.Second, 50*time.Millisecond)
	got := answer(t, a.Handler(), "").Patterns[0]
	require.Equal(t, "queue <*> is long", got.Template)
	require.Equal(t, map[string]string{"topic": "logs"}, got.Labels)
	_, body := get(t, a.Handler(), "/metrics")
	require.Contains(t, body, "portent_exporter_kafka_lines_total 1\n")
	code, text := a.reload(t, "")
	require.Equal(t, 200, code, text)
	_, body = get(t, a.Handler(), "/metrics")
	require.NotContains(t, body, "portent_exporter_kafka_")
}

// TestRulesFile: what users say wins, also over a reload, and is strict.
func TestRulesFile(t *testing.T) {
	dir := t.TempDir()
	rules := filepath.Join(dir, "rules.yml")
	write := func(content string) { require.NoError(t, os.WriteFile(rules, []byte(content), 0o600)) }
	write("patterns:\n  - {template: disk is full, name: disk-full, merge: [" + logmine.IDOf("no space left") + "]}\n  - {template: all is well, ignore: true}\n")
	a := newApp(t, dir, "logs: {group_by: [app], rules_file: rules.yml}\n")
	push(t, a, "web", "disk is full", "no space left", "all is well", "all is well", "layout begin")
	got := answer(t, a.Handler(), "")
	require.EqualValues(t, 5, got.Lines)
	require.EqualValues(t, 2, got.Ignored)
	byTemplate := map[string]patternJSON{}
	for _, p := range got.Patterns {
		byTemplate[p.Template] = p
	}
	full := byTemplate["disk is full"]
	require.Equal(t, "disk-full", full.Name)
	require.EqualValues(t, 2, full.Count)
	require.Equal(t, []string{logmine.IDOf("no space left")}, full.Merged)
	_, body := get(t, a.Handler(), "/metrics")
	require.Contains(t, body, `log_pattern_info{app="web",name="disk-full",pattern="`+full.Pattern+`"} 1`)
	require.Contains(t, body, `log_pattern_lines_total{app="web",pattern="ignored",severity="unknown"} 2`)
	require.Contains(t, body, "portent_exporter_log_patterns_rules_unmatched 0\n")

	write("patterns:\n  - {template: 'layout <*>', pin: true, name: layout}\n")
	code, text := a.reload(t, "logs: {group_by: [app], rules_file: rules.yml}")
	require.Equal(t, 200, code, text)
	push(t, a, "web", "layout end")
	got = answer(t, a.Handler(), "")
	require.EqualValues(t, 6, got.Lines)
	for _, p := range got.Patterns {
		if p.Name == "layout" {
			require.True(t, p.Pinned)
			require.EqualValues(t, 2, p.Count, "what was there before is the pin's too")
		}
	}
	write("patterns:\n  - {template: layout, colour: red}\n")
	code, text = a.reload(t, "logs: {group_by: [app], rules_file: rules.yml}")
	require.Equal(t, 500, code)
	require.Contains(t, text, "rules.yml")
	require.Contains(t, text, "colour")
	require.Contains(t, text, "the old configuration stays in use")

	// Other labels to group by: mining begins anew, and /metrics goes on.
	code, text = a.reload(t, "logs: {group_by: [job, app], max_series: 100}")
	require.Equal(t, 200, code, text)
	push(t, a, "web", "layout end")
	require.EqualValues(t, 1, answer(t, a.Handler(), "").Lines)
	status, body := get(t, a.Handler(), "/metrics")
	require.Equal(t, 200, status)
	require.Contains(t, body, `log_pattern_lines_total{app="web",job="j",pattern="`)
}

// TestKubernetesEvents become lines, counts, and series that are scored.
func TestKubernetesEvents(t *testing.T) {
	a := newApp(t, t.TempDir(), "")
	post := func(body string) int {
		r := httptest.NewRequest(http.MethodPost, "/ingest/kubernetes", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, r)
		return w.Code
	}
	require.Equal(t, 200, post(`{"metadata":{"uid":"u"},"reason":"BackOff","type":"Warning","message":"Back-off restarting","involvedObject":{"kind":"Pod","namespace":"shop","name":"web-1"}}`))
	require.Equal(t, 400, post(`{"my":"layout"}`))
	p := answer(t, a.Handler(), "").Patterns[0]
	require.Equal(t, "BackOff: Back-off restarting", p.Template)
	require.Equal(t, map[string]string{"job": "kubernetes-events", "namespace": "shop"}, p.Labels)
	require.Equal(t, "warning", p.Severity)
	_, body := get(t, a.Handler(), "/metrics")
	require.Contains(t, body, `kubernetes_events_total{cluster="",kind="Pod",namespace="shop",reason="BackOff",type="Warning"} 1`)
	var target ingesttest.Target
	a.logs.rates(&target, func(func([]ingest.Label, detect.Output) bool) {})
	require.Contains(t, target.Dump(), "kubernetes_events_total")
}

// TestRatesAreScored: patterns that come often are series of the engine.
func TestRatesAreScored(t *testing.T) {
	l, _, now := testLogs(t, nil)
	for range 130 {
		*now = now.Add(time.Minute)
		var lines []string
		for range 10 {
			lines = append(lines, "request 7 served")
		}
		take(t, l, "web", append(lines, "rare thing")...)
		l.look()
	}
	*now = now.Add(time.Minute)
	e, err := detect.NewEngine(detect.Options{})
	require.NoError(t, err)
	l.rates(e, e.ForEach)
	n := 0
	e.ForEach(func(labels []ingest.Label, o detect.Output) bool {
		n++
		id, stream, ok := rateSeries(labels)
		require.True(t, ok)
		require.Equal(t, logmine.IDOf("request <*> served"), id)
		require.Equal(t, map[string]string{"app": "web"}, groupLabels(stream))
		require.InDelta(t, 10, o.Value, 0)
		return true
	})
	require.Equal(t, 1, n, "the rare one is judged by its count")
}

// TestPlantedErrorReachesAlertmanager through the running exporter and a real
// Alertmanager, also after the exporter was killed.
func TestPlantedErrorReachesAlertmanager(t *testing.T) {
	am := servertest.Alertmanager(t, servertest.Config{})
	a := newApp(t, t.TempDir(), "logs: {group_by: [app], learning: 0s}\nalerting: {alertmanagers: [{url: '"+am.URL+"'}], external_labels: {cluster: c1}}\n")
	url, stop := start(t, a.App)
	resp, err := http.Post(url+"/loki/api/v1/push", "application/json", strings.NewReader(`{"streams":[{"stream":{"app":"web"},"values":[["1","ERROR disk sda1 is full, token=abcdefghijklmnop1234"]]}]}`))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	var body string
	require.Eventually(t, func() bool {
		_, body = httpGet(t, am.URL+"/api/v2/alerts")
		return strings.Contains(body, "LogPatternNew")
	}, 30*time.Second, 100*time.Millisecond)
	for _, want := range []string{`"cluster":"c1"`, `"app":"web"`, `"severity":"warning"`, `ERROR disk sda1 is full`, `"query":"{app=\"web\"} |= `} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, "abcdefghijklmnop1234")
	stop()
}

var _ prometheus.Collector = (*patternSeries)(nil)
