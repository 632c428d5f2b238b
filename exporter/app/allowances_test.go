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
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/allowance"
	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
)

// callAPI calls the exporter as a client would, and returns the status and the answer.
func callAPI(t *testing.T, h http.Handler, method, path, body string, header ...string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// disturbed makes an exporter with a series that has just left its course, and returns its labels as an alert has them.
func disturbed(t *testing.T, dir, config string) (*testApp, string) {
	t.Helper()
	a := newApp(t, dir, config)
	labels := labelsOf("__name__", "memory_bytes", "namespace", "shop", "pod", "checkout-6c5b8d7f9-x7k2p")
	now := time.Now().Truncate(time.Second)
	teach(t, a.Handler(), labels, 400, now.Add(-15*time.Second))
	send(t, a.Handler(), point{labels, now.UnixMilli(), 160})
	return a, `{"alertname":"SeriesAnomalous","severity":"warning","metric":"memory_bytes","namespace":"shop","pod":"checkout-6c5b8d7f9-x7k2p"}`
}

func anomaliesOf(t *testing.T, h http.Handler, query string) (out anomalies) {
	t.Helper()
	code, body := get(t, h, "/api/v1/anomalies"+query)
	require.Equal(t, http.StatusOK, code, body)
	require.NoError(t, json.Unmarshal([]byte(body), &out))
	return out
}

// A dismissal raises the bar of what it is about and of its siblings, everywhere that scores are seen, over a restart, until it is
// taken back.
func TestFeedbackShiftsTheBar(t *testing.T) {
	dir := t.TempDir()
	a, labels := disturbed(t, dir, "")
	h := a.Handler()
	before := anomaliesOf(t, h, "")
	require.Equal(t, 1, before.Total)
	score := before.Anomalies[0].Score

	code, body := callAPI(t, h, http.MethodPost, "/api/v1/feedback", `{"id":"inc-1","labels":`+labels+`,"verdict":"dismissed","reason":"nightly import","by":"ann"}`)
	require.Equal(t, http.StatusOK, code, body)
	require.JSONEq(t, `{"workload":"checkout","namespace":"shop","__name__":"memory_bytes"}`, string(fieldOf(t, body, "labels")))
	require.InDelta(t, score/1.3, anomaliesOf(t, h, "").Anomalies[0].Score, 1e-6)
	code, body = callAPI(t, h, http.MethodPost, "/api/v1/feedback", `{"id":"inc-1","labels":`+labels+`,"verdict":"dismissed"}`)
	require.Equal(t, http.StatusOK, code, body)
	require.InDelta(t, score/1.3, anomaliesOf(t, h, "").Anomalies[0].Score, 1e-6, "the same verdict again is no news")

	for i := range 10 {
		code, body = callAPI(t, h, http.MethodPost, "/api/v1/feedback", fmt.Sprintf(`{"id":"more-%d","labels":%s,"verdict":"dismissed"}`, i, labels))
		require.Equal(t, http.StatusOK, code, body)
	}
	after := anomaliesOf(t, h, "")
	if score > 2.5 { // bounded: what is far out is never silenced
		require.Equal(t, 1, after.Total)
		require.InDelta(t, score/2.5, after.Anomalies[0].Score, 1e-4)
		require.Contains(t, after.Anomalies[0].Allowance.Why[0].Text, "dismissed (nightly import)")
	}
	_, metrics := get(t, h, "/metrics")
	require.Contains(t, metrics, "portent_exporter_feedback_total{verdict=\"dismissed\"} 12\n")
	require.Contains(t, metrics, "portent_exporter_feedback_classes{bar=\"raised\"} 1\n")
	require.Contains(t, a.log.String(), `"feedback taken"`)
	require.Contains(t, a.log.String(), `by=ann reason="nightly import"`)

	require.NoError(t, a.closeState())
	b := newApp(t, dir, "")
	_, body = get(t, b.Handler(), "/api/v1/feedback")
	require.Contains(t, body, `"nightly import"`, "kept over a restart")
	for _, id := range []string{"inc-1", "more-0", "more-1", "more-2", "more-3", "more-4", "more-5", "more-6", "more-7", "more-8", "more-9"} {
		code, body = callAPI(t, b.Handler(), http.MethodDelete, "/api/v1/feedback/"+id, "")
		require.Equal(t, http.StatusOK, code, body)
	}
	_, body = get(t, b.Handler(), "/api/v1/feedback")
	require.JSONEq(t, `{"classes":[]}`, body)
	code, _ = callAPI(t, b.Handler(), http.MethodDelete, "/api/v1/feedback/inc-1", "")
	require.Equal(t, http.StatusNotFound, code)
}

func fieldOf(t *testing.T, body, name string) json.RawMessage {
	t.Helper()
	var m map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(body), &m))
	return m[name]
}

// A window that is open holds back what it explains, says so, and ends.
func TestMaintenanceHoldsBack(t *testing.T) {
	a, _ := disturbed(t, t.TempDir(), "maintenance: {factor: 100}")
	h := a.Handler()
	code, body := callAPI(t, h, http.MethodPost, "/api/v1/maintenance", `{"id":"m1","match":["{namespace=\"shop\"}"],"duration":"2h","reason":"database upgrade","by":"bob"}`)
	require.Equal(t, http.StatusOK, code, body)
	now := anomaliesOf(t, h, "")
	require.Zero(t, now.Total)
	require.Equal(t, 1, now.HeldBack)
	held := anomaliesOf(t, h, "?held_back=true").Anomalies
	require.Len(t, held, 1)
	require.Greater(t, held[0].Score, 1.0)
	require.Contains(t, held[0].Allowance.Why[0].Text, "maintenance: database upgrade, until ")
	get(t, h, "/metrics")
	_, metrics := get(t, h, "/metrics") // the pass before counted
	require.Contains(t, metrics, "portent_exporter_series_held_back{reason=\"maintenance\"} 1\n")
	require.Contains(t, metrics, "portent_exporter_maintenance_windows_open 1\n")
	_, body = get(t, h, "/api/v1/maintenance")
	require.Contains(t, body, `"open":true`)
	code, _ = callAPI(t, h, http.MethodDelete, "/api/v1/maintenance/m1", "")
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, 1, anomaliesOf(t, h, "").Total)

	for _, bad := range []string{
		``, `{}`, `[]`, `{"match":["up"]}`, `{"match":["sum(up)"],"duration":"1h"}`, `{"match":["up"],"duration":"1h","end":"2026-01-01T00:00:00Z"}`,
		`{"match":["up"],"duration":"90d"}`, `{"match":["up"],"at":"02:00","duration":"1h"}`, `{"match":["up"],"duration":"1h"}x`, `{"matchers":["up"],"duration":"1h"}`,
	} {
		code, body = callAPI(t, h, http.MethodPost, "/api/v1/maintenance", bad)
		require.Equal(t, http.StatusBadRequest, code, bad)
		require.Contains(t, body, `"hint"`)
	}
}

// A rollout is seen in the telemetry itself, though its metric is not scored, and told by a call.
func TestRolloutsExplain(t *testing.T) {
	a, _ := disturbed(t, t.TempDir(), "detection: {drop: ['{__name__=~\"kube_.*\"}']}\nrollouts: {factor: 100}")
	h := a.Handler()
	generation := labelsOf("__name__", "kube_deployment_status_observed_generation", "namespace", "shop", "deployment", "checkout")
	now := time.Now()
	send(t, h, point{generation, now.Add(-time.Minute).UnixMilli(), 7})
	require.Equal(t, 1, anomaliesOf(t, h, "").Total)
	send(t, h, point{generation, now.Add(-time.Second).UnixMilli(), 8})
	require.Zero(t, anomaliesOf(t, h, "").Total)
	require.Contains(t, anomaliesOf(t, h, "?held_back=true").Anomalies[0].Allowance.Why[0].Text, "shop/checkout was rolled out at ")
	_, metrics := get(t, h, "/metrics")
	require.Contains(t, metrics, "portent_exporter_rollouts_total 1\n")

	code, body := callAPI(t, h, http.MethodPost, "/api/v1/rollouts", `{"labels":{"namespace":"shop","statefulset":"cart"},"reason":"v2"}`)
	require.Equal(t, http.StatusOK, code, body)
	require.Contains(t, body, `"workload":"shop/cart"`)
	code, _ = callAPI(t, h, http.MethodPost, "/api/v1/rollouts", `{"labels":{"namespace":"shop"}}`)
	require.Equal(t, http.StatusBadRequest, code)
}

// Who may change anything: a bearer with a token, whoever passed the toolkit's authentication, and the machine itself; nobody else.
func TestGuardOfCalls(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "token"), []byte("hunter2\n"), 0o600))
	users := filepath.Join(dir, "web.yml")
	require.NoError(t, os.WriteFile(users, []byte("basic_auth_users: {ann: $2y$10$x}\n"), 0o600))
	body := `{"labels":{"__name__":"up"},"verdict":"dismissed"}`
	f := func(config, address, web string, want int, header ...string) {
		t.Helper()
		a := newApp(t, t.TempDir(), config)
		*a.opts.WebConfig.WebListenAddresses = []string{address}
		*a.opts.WebConfig.WebConfigFile = web
		code, answer := callAPI(t, a.guard(a.takeFeedback), http.MethodPost, "/api/v1/feedback", body, header...)
		require.Equal(t, want, code, answer)
		require.NotContains(t, answer+a.log.String(), "hunter2")
	}
	token := "api: {token_file: " + filepath.Join(dir, "token") + "}"
	f("", "127.0.0.1:9750", "", http.StatusOK)
	f("", ":9750", "", http.StatusForbidden)
	f("", ":9750", users, http.StatusOK) // whoever gets here has passed it
	f("", ":9750", filepath.Join(dir, "none.yml"), http.StatusForbidden)
	f(token, "127.0.0.1:9750", "", http.StatusUnauthorized)
	f(token, ":9750", "", http.StatusUnauthorized, "Authorization", "Bearer hunter")
	f(token, ":9750", "", http.StatusOK, "Authorization", "Bearer hunter2")
	f(token, ":9750", users, http.StatusOK, "Authorization", "Basic eDp5")
	f("api: {token: hunter2}", ":9750", "", http.StatusOK, "Authorization", "Bearer hunter2")
	f("api: {token_file: /nonexistent}", "127.0.0.1:9750", "", http.StatusForbidden)
	f("", "127.0.0.1:9750", "", http.StatusUnsupportedMediaType, "Content-Type", "text/plain")
}

func TestFeedbackIsRefused(t *testing.T) {
	a := newApp(t, t.TempDir(), "")
	for _, bad := range []string{
		``, `{}`, `null`, `{"labels":{"job":"x"},"verdict":"dismissed"}`, `{"labels":{"__name__":"x"},"verdict":"no"}`, `{"labels":{"__name__":1}}`,
		`{"labels":{"__name__":"x"},"verdict":"dismissed","reason":"` + strings.Repeat("x", 2000) + `"}`, strings.Repeat("[", 1<<17),
	} {
		code, body := callAPI(t, a.Handler(), http.MethodPost, "/api/v1/feedback", bad)
		require.Equal(t, http.StatusBadRequest, code, body)
	}
}

// A file that cannot be read is set aside; the exporter starts without it and says so.
func TestDamagedAllowances(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "state"), 0o750))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "state", allowancesName), []byte("{"), 0o600))
	a := newApp(t, dir, "")
	require.Contains(t, a.log.String(), "feedback, windows and rollouts are not read")
	_, metrics := get(t, a.Handler(), "/metrics")
	require.Contains(t, metrics, "portent_exporter_allowances_errors_total 1\n")
	aside, err := filepath.Glob(filepath.Join(dir, "state", allowancesName+".*"+badSuffix))
	require.NoError(t, err)
	require.Len(t, aside, 1)
}

// 20,000 series cost a scrape some milliseconds more when something is allowed.
func BenchmarkAdjust(b *testing.B) {
	x := &allowances{book: allowance.New(allowance.Defaults()), metrics: &allowanceMetrics{}}
	_, err := x.book.Tell(allowance.Feedback{ID: "1", Verdict: allowance.Dismissed, Labels: map[string]string{"__name__": "m"}})
	require.NoError(b, err)
	series := each(benchSeries(20_000))
	b.ReportAllocs()
	for b.Loop() {
		x.adjust(series, time.Now().UnixMilli())(func(_ []ingest.Label, _ detect.Output) bool { return true })
	}
}

// A job that runs at its time each night is told for some nights and then no more, and anything else of the same series is told as before.
func TestNightlyJobBecomesRoutine(t *testing.T) {
	a := newApp(t, t.TempDir(), "")
	e := a.gate.engine.Load()
	labels := labelsOf("__name__", "cpu_seconds", "pod", "batch-0")
	start := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	told := map[int]bool{}
	for i := range 9 * 1440 {
		at := start.Add(time.Duration(i) * time.Minute)
		v := 100 + float64(i*7919%13)
		if m := i % 1440; m >= 120 && m < 160 {
			v += 300
		}
		if i >= 8*1440+600 && i < 8*1440+620 { // from ten on the last day
			v += 2000
		}
		app := e.Appender()
		app.Append(labels, 0, []ingest.Sample{{T: at.UnixMilli(), V: v}})
		app.Commit()
		e.SetNow(at.UnixMilli())
		a.allow.adjust(e.ForEach, at.UnixMilli())(func(_ []ingest.Label, o detect.Output) bool {
			if o.Score > 1 {
				told[i/1440*24+i%1440/60] = true
			}
			return true
		})
	}
	require.True(t, told[2], "the first night is news")
	for day := 6; day < 9; day++ {
		require.False(t, told[day*24+2], "night %d", day)
	}
	require.True(t, told[8*24+10], "another time is news")
}
