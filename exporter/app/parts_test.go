package app

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// vectorServer answers each query with one series of the value 5, and matrices with one each minute.
func vectorServer(t *testing.T) (url string, instant, ranges *atomic.Int64) {
	t.Helper()
	instant, ranges = new(atomic.Int64), new(atomic.Int64)
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v1/query", func(w http.ResponseWriter, r *http.Request) {
		instant.Add(1)
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"job":"x"},"value":[%s,"5"]}]}}`, r.FormValue("time"))
	})
	mux.HandleFunc("/api/v1/query_range", func(w http.ResponseWriter, r *http.Request) {
		ranges.Add(1)
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"job":"x"},"values":[[%s,"4"],[%s,"5"]]}]}}`,
			r.FormValue("start"), r.FormValue("end"))
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL, instant, ranges
}

func promqlConfig(url, more string) string {
	return fmt.Sprintf("promql: {servers: [{url: '%s', queries: [{name: ratio, expr: a / b, interval: 1s, timeout: 1s, offset: 0s}]}]}\n%s", url, more)
}

func TestQueriesAreScored(t *testing.T) {
	server, instant, ranges := vectorServer(t)
	a := newApp(t, t.TempDir(), promqlConfig(server, "backfill: {window: 10m}"))
	url, stop := start(t, a.App)
	var body string
	require.Eventually(t, func() bool {
		_, body = httpGet(t, url+"/metrics")
		return strings.Contains(body, `anomaly_score{metric="ratio",job="x"} 0`+"\n") && instant.Load() > 1 && strings.Contains(body, "portent_exporter_backfill_running 0\n")
	}, 10*time.Second, 20*time.Millisecond)
	require.Positive(t, ranges.Load(), "the past was asked for as well")
	require.Contains(t, body, `portent_exporter_backfill_successful{source="promql"} 1`)
	require.Contains(t, body, `portent_exporter_samples_total{source="promql"}`)

	// What did not change goes on; what is gone ends, with its metrics.
	was := a.parts.Load().promql
	code, answer := a.reload(t, promqlConfig(server, "export: {outputs: [score]}"))
	require.Equal(t, 200, code, answer)
	require.Same(t, was, a.parts.Load().promql)
	code, answer = a.reload(t, "")
	require.Equal(t, 200, code, answer)
	n := instant.Load()
	_, body = httpGet(t, url+"/metrics")
	require.NotContains(t, body, "portent_exporter_promql_")
	require.NotContains(t, body, `source="promql",`)
	require.Never(t, func() bool { return instant.Load() != n }, 1500*time.Millisecond, 100*time.Millisecond)

	// And comes again.
	code, answer = a.reload(t, promqlConfig(server, ""))
	require.Equal(t, 200, code, answer)
	require.Eventually(t, func() bool { return instant.Load() > n }, 10*time.Second, 20*time.Millisecond)
	require.NoError(t, stop())
	n = instant.Load()
	code, answer = a.reload(t, promqlConfig(server, "export: {outputs: [score]}\ndetection: {drop: [x]}"))
	require.Equal(t, 200, code, answer)
	require.Equal(t, n, instant.Load(), "nothing starts after the end")
}

func TestFederationIsScored(t *testing.T) {
	now := time.Now().UnixMilli()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/federate" || r.FormValue("match[]") != "up" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprintf(w, "# TYPE up untyped\nup{instance=\"a\",job=\"x\"} 1 %d\n", now)
	}))
	t.Cleanup(server.Close)
	a := newApp(t, t.TempDir(), fmt.Sprintf("federate: {targets: [{url: '%s', match: [up], interval: 1s, timeout: 1s}]}", server.URL))
	url, stop := start(t, a.App)
	require.Eventually(t, func() bool {
		_, body := httpGet(t, url+"/metrics")
		return strings.Contains(body, `anomaly_score{metric="up",instance="a",job="x"} 0`+"\n")
	}, 10*time.Second, 20*time.Millisecond)
	require.NoError(t, stop())
}

func TestAServerThatIsDownStopsNothing(t *testing.T) {
	t.Parallel()
	a := newApp(t, t.TempDir(), promqlConfig("http://127.0.0.1:1", "backfill: {queries: false}"))
	url, stop := start(t, a.App)
	send(t, a.Handler(), point{labelsOf("__name__", "m"), time.Now().UnixMilli(), 1})
	require.Eventually(t, func() bool {
		_, body := httpGet(t, url+"/metrics")
		return strings.Contains(body, `portent_exporter_promql_failures_total{query="ratio",reason="down"} `) &&
			!strings.Contains(body, `portent_exporter_promql_failures_total{query="ratio",reason="down"} 0`) &&
			strings.Contains(body, `anomaly_score{metric="m"} 0`)
	}, 10*time.Second, 20*time.Millisecond)
	require.NoError(t, stop())
}
