package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// analyzeBody asks about a queue that goes from 100 to 300 in the middle of two hours.
func analyzeBody() string {
	var points []string
	for i := range 120 {
		v := 100 + i*7%5
		if i >= 60 {
			v += 200
		}
		points = append(points, fmt.Sprintf(`[%d,"%d"]`, 1772452800+60*i, v))
	}
	return `{"cluster_id":"prod","analysis_type":"level_shift","threshold_sensitivity":"medium","metric_series":[` +
		`{"metric":{"__name__":"queue_length","pod":"worker-1"},"values":[` + strings.Join(points, ",") + `]}]}`
}

func postAnalyze(h http.Handler, body string) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/analyze/metrics", strings.NewReader(body)))
	return w.Code, w.Body.String()
}

func TestAnalyze(t *testing.T) {
	dir := t.TempDir()
	a := newApp(t, dir, "")
	code, body := postAnalyze(a.Handler(), analyzeBody())
	require.Equal(t, 200, code, body)
	var got struct {
		Anomalies []map[string]any `json:"anomalies"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &got))
	require.Len(t, got.Anomalies, 1)
	x := got.Anomalies[0]
	for _, key := range []string{"series", "score", "severity", "since", "observed", "expected", "change_percent", "explanation", "suggested_actions"} {
		require.Contains(t, x, key)
	}
	require.Equal(t, "2026-03-02T13:00:00Z", x["since"])
	require.Contains(t, x["explanation"], "queue length of worker-1 is 197 % above the level before, since 13:00 UTC (303 instead of 102)")
	require.Equal(t, []any{"Look for a release, a change of configuration or of scale at that time"}, x["suggested_actions"])

	// Nothing unusual is an empty list, not null.
	code, body = postAnalyze(a.Handler(), `{"cluster_id":"prod","metric_series":[]}`)
	require.Equal(t, 200, code)
	require.JSONEq(t, `{"anomalies":[]}`, body)

	_, metrics := get(t, a.Handler(), "/metrics")
	require.Contains(t, metrics, `portent_exporter_analysis_requests_total{outcome="done"} 2`)
	require.Contains(t, metrics, `portent_exporter_analysis_anomalies_total{severity="`+x["severity"].(string)+`"} 1`)

	// A table of one's own, relative to the configuration, from a reload on.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "actions.yml"), []byte("rules: [{metric: queue_.*, subject: the queue, actions: [Call Ann]}]"), 0o600))
	code, body = a.reload(t, "analysis: {actions_file: actions.yml}")
	require.Equal(t, 200, code, body)
	_, body = postAnalyze(a.Handler(), analyzeBody())
	require.Contains(t, body, `"the queue of worker-1 is`)
	require.Contains(t, body, `"Call Ann"`)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "actions.yml"), []byte("rules: [{subject: x, action: y}]"), 0o600))
	code, body = a.reload(t, "analysis: {actions_file: actions.yml}")
	require.Equal(t, 500, code)
	require.Contains(t, body, "analysis.actions_file: ")
	require.Contains(t, body, "field action not found")
	_, body = postAnalyze(a.Handler(), analyzeBody())
	require.Contains(t, body, `"Call Ann"`, "the old table stays")
}

func TestAnalyzeRefuses(t *testing.T) {
	a := newApp(t, t.TempDir(), "analysis: {max_body_bytes: 2000, max_series: 1, max_points: 10}")
	f := func(body string, status int, wantError, wantHint string) {
		t.Helper()
		code, text := postAnalyze(a.Handler(), body)
		require.Equal(t, status, code, text)
		var e struct{ Error, Hint string }
		require.NoError(t, json.Unmarshal([]byte(text), &e))
		require.Contains(t, e.Error, wantError)
		require.Contains(t, e.Hint, wantHint)
	}
	f("{", 400, "body: is no JSON", "want a JSON object with cluster_id")
	f(`{"cluster_id":"c","analysis_type":"x","metric_series":[]}`, 400, `analysis_type: "x" is unknown`, "analysis_type: want one of trend_anomaly, spike")
	f(`{"cluster_id":"c","metric_series":[{},{}]}`, 400, "metric_series: holds 2 series", "at most 1")
	f(strings.Repeat(" ", 3000), 413, "the body is larger than 2000 bytes", "analysis.max_body_bytes")
	_, metrics := get(t, a.Handler(), "/metrics")
	require.Contains(t, metrics, `portent_exporter_analysis_requests_total{outcome="refused"} 3`)
	require.Contains(t, metrics, `portent_exporter_analysis_requests_total{outcome="too_large"} 1`)

	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/analyze/metrics", nil))
	require.Equal(t, 405, w.Code)

	// No room, and no time.
	slow := a.parts.Load().analysis
	slow.config.Timeout = 1
	f(`{"cluster_id":"c","metric_series":[{"values":[]}]}`, 503, "deadline exceeded", "analysis.timeout")
	for range cap(slow.slots) {
		slow.slots <- struct{}{}
	}
	f(`{}`, 503, "too many analyses at one time", "analysis.max_concurrent")
}
