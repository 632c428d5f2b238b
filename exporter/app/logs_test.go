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

	"github.com/golang/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/loghistory"
	"github.com/portent-dev/portent/internal/logwatch"
)

// testLogs is a component whose clock a test moves.
func testLogs(t *testing.T, change func(*Logs)) (l *logs, reg *prometheus.Registry, now *time.Time) {
	t.Helper()
	c := defaultLogs()
	c.GroupBy = []string{"app"}
	if change != nil {
		change(&c)
	}
	require.NoError(t, c.validate())
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	reg = prometheus.NewRegistry()
	return newLogs(c, reg, func() time.Time { return at }), reg, &at
}

func take(t *testing.T, l *logs, app string, texts ...string) {
	t.Helper()
	var lines []ingest.Line
	for _, s := range texts {
		lines = append(lines, ingest.Line{Labels: []ingest.Label{{Name: "app", Value: app}}, T: l.now().UnixMilli(), Text: s})
	}
	require.NoError(t, l.TakeLines(lines))
}

func answer(t *testing.T, h http.Handler, query string) patternsAnswer {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/patterns"+query, nil))
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	var out patternsAnswer
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &out))
	sum := out.Other + out.Ignored
	for _, p := range out.Patterns {
		sum += p.Count
	}
	require.Equal(t, out.Lines, sum, "counts add up")
	return out
}

// TestNewPatterns: what comes during the learning is known, what comes after it is
// new for an hour, what grew more general is not new, and a restart forgets none of it.
func TestNewPatterns(t *testing.T) {
	dir := t.TempDir()
	l, reg, now := testLogs(t, nil)
	require.NoError(t, l.openHistory(dir), "without a file")
	take(t, l, "web", "request 1 served", "worker alpha finished the job")
	require.True(t, answer(t, l, "").Learning)
	*now = now.Add(2 * time.Hour)
	take(t, l, "web", "request 2 served", "ERROR disk sda is full, password=hunter2")
	for _, w := range []string{"beta", "gamma", "delta", "epsilon", "zeta", "eta"} {
		take(t, l, "web", "worker "+w+" finished the job")
	}
	got := answer(t, l, "")
	require.False(t, got.Learning)
	byTemplate := map[string]patternJSON{}
	for _, p := range got.Patterns {
		byTemplate[p.Template] = p
	}
	require.Len(t, byTemplate, 3, "%v", byTemplate)
	require.False(t, byTemplate["request <*> served"].New)
	require.Equal(t, "2026-11-22T12:00:00Z", byTemplate["request <*> served"].FirstSeen)
	require.False(t, byTemplate["worker <*> finished the job"].New, "its lines were there before, under a template that said more")
	require.Equal(t, [7]int64{6: 7}, byTemplate["worker <*> finished the job"].Week)
	full := byTemplate["ERROR disk sda is full, password=<*>"]
	require.True(t, full.New)
	require.Equal(t, "2026-11-22T14:00:00Z", full.FirstSeen)
	require.NotContains(t, full.Example, "hunter2")
	require.Equal(t, map[string]string{"app": "web"}, full.Labels)
	require.Equal(t, logwatch.KindNew, full.Findings[0].Kind)
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP portent_exporter_log_patterns_new_total Patterns seen for the first time after the learning of their stream, told or not.
# TYPE portent_exporter_log_patterns_new_total counter
portent_exporter_log_patterns_new_total 1
# HELP log_pattern_finding 1 for each finding about a log pattern that is active: it is new, or its rate has grown or shrunk.
# TYPE log_pattern_finding gauge
log_pattern_finding{app="web",kind="new",pattern="`+full.Pattern+`",severity="error"} 1
`), "portent_exporter_log_patterns_new_total", "log_pattern_finding"))

	alerts, err := l.step()
	require.NoError(t, err)
	require.Len(t, alerts, 1)
	require.Equal(t, map[string]string{"alertname": "LogPatternNew", "app": "web", "pattern": full.Pattern, "severity": "warning"}, alerts[0].Labels)
	require.Equal(t, `{app="web"} |= "ERROR disk sda is full, password="`, alerts[0].Annotations["query"])
	require.NotContains(t, fmt.Sprint(alerts), "hunter2")

	// Killed: no snapshot was written, the journal has the first sights.
	require.NoError(t, l.closeHistory())
	killed, _, later := testLogs(t, nil)
	*later = now.Add(10 * time.Minute)
	require.NoError(t, killed.openHistory(dir))
	take(t, killed, "web", "ERROR disk sda is full, password=x1")
	require.Equal(t, full.FirstSeen, answer(t, killed, "").Patterns[0].FirstSeen)
	alerts, err = killed.step()
	require.NoError(t, err)
	require.Empty(t, alerts, "it was told before")
	require.NoError(t, killed.closeHistory())

	// Ended: the snapshot has the week and the finding too.
	require.NoError(t, l.openHistory(dir))
	require.NoError(t, l.saveHistory())
	require.NoError(t, l.closeHistory())
	again, reg, later := testLogs(t, nil)
	*later = now.Add(30 * time.Minute)
	require.NoError(t, again.openHistory(dir))
	alerts, err = again.step()
	require.NoError(t, err)
	require.Len(t, alerts, 1, "what was active is sent again before a line comes")
	require.Zero(t, alerts[0].EndsAt)
	take(t, again, "web", "ERROR disk sda is full, password=x1", "request 3 served")
	*later = later.Add(time.Minute)
	for _, p := range answer(t, again, "").Patterns {
		require.Equal(t, p.Template != "request <*> served", p.New, p.Template)
		require.NotEqual(t, int64(1), p.Week[6], "the day before the restart is known")
	}
	take(t, again, "web", "worker theta finished the job")
	*later = later.Add(time.Minute)
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP portent_exporter_log_patterns_new_total Patterns seen for the first time after the learning of their stream, told or not.
# TYPE portent_exporter_log_patterns_new_total counter
portent_exporter_log_patterns_new_total 0
`), "portent_exporter_log_patterns_new_total"), "a worker is known, by the template that says less")
	*later = later.Add(30 * time.Minute)
	alerts, err = again.step()
	require.NoError(t, err)
	require.NotZero(t, alerts[0].EndsAt, "an hour later it has ended")
	for _, p := range answer(t, again, "").Patterns {
		require.False(t, p.New)
	}
}

// TestDamagedHistory is set aside, counted, and mining begins anew.
func TestDamagedHistory(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "log-patterns.snapshot"), []byte("portent"), 0o600))
	l, reg, _ := testLogs(t, nil)
	require.ErrorIs(t, l.openHistory(dir), loghistory.ErrCorrupt)
	take(t, l, "web", "a b c")
	require.NoError(t, l.saveHistory())
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP portent_exporter_log_patterns_history_refused_total Files of the history of patterns that could not be read at the start and were set aside as .bad.
# TYPE portent_exporter_log_patterns_history_refused_total counter
portent_exporter_log_patterns_history_refused_total 1
`), "portent_exporter_log_patterns_history_refused_total"))
}

// TestHistorySize: what does not fit is forgotten, and the file is written.
func TestHistorySize(t *testing.T) {
	dir := t.TempDir()
	l, _, now := testLogs(t, func(c *Logs) { c.History.MaxBytes, c.MaxPatterns = 64<<10, 20_000 })
	require.NoError(t, l.openHistory(dir))
	for i := range 40 {
		var lines []string
		for k := range 150 {
			lines = append(lines, fmt.Sprintf("%s %x of %x", strings.Repeat("(", i), (i*150+k)*2654435761, k*40503))
		}
		*now = now.Add(time.Minute)
		take(t, l, "web", strings.Join(lines, " "), fmt.Sprintf("{%s} %x", strings.Repeat("[", i), i))
		take(t, l, "web", lines...)
	}
	require.NoError(t, l.saveHistory())
	info, err := os.Stat(filepath.Join(dir, "log-patterns.snapshot"))
	require.NoError(t, err)
	require.LessOrEqual(t, info.Size(), int64(64<<10))
}

// TestTracesOverTwoPushes: a trace that is cut anywhere is the pattern that it is whole.
func TestTracesOverTwoPushes(t *testing.T) {
	trace := []string{
		"java.lang.IllegalStateException: cannot place order", "\tat com.acme.Shop.place(Shop.java:7)", "Caused by: java.io.IOException: disk full",
		"\tat com.acme.Disk.write(Disk.java:9)", "\t... 2 more",
	}
	const want = "IOException: disk full at Disk.write(Disk.java:<*>)"
	for at := 1; at < len(trace); at++ {
		l, _, now := testLogs(t, nil)
		take(t, l, "web", append([]string{"started"}, trace[:at]...)...)
		take(t, l, "api", "\tat something.else(X.java:1)")
		*now = now.Add(time.Second)
		take(t, l, "web", append(append([]string{}, trace[at:]...), "INFO on we go")...)
		got := answer(t, l, "")
		require.EqualValues(t, 8, got.Lines)
		counts := map[string]int64{}
		for _, p := range got.Patterns {
			counts[p.Template] += p.Count
		}
		found := false
		for template, n := range counts {
			if strings.HasSuffix(template, want) {
				found = true
				require.EqualValues(t, 5, n, counts)
			}
		}
		require.True(t, found, "cut at %d: %v", at, counts)
	}
	l, _, now := testLogs(t, nil)
	take(t, l, "web", trace[:2]...)
	*now = now.Add(time.Minute)
	take(t, l, "web", trace[2:]...)
	require.EqualValues(t, 5, answer(t, l, "").Lines, "too late to be one, but none is lost")
	for i := range 3 * maxOpen {
		take(t, l, fmt.Sprint("app", i), trace[:2]...)
	}
	require.LessOrEqual(t, len(l.open), maxOpen)
}

// TestPatternSeriesAddUp under caps of groups and series, and under hostile lines.
func TestPatternSeriesAddUp(t *testing.T) {
	l, reg, _ := testLogs(t, func(c *Logs) { c.MaxGroups, c.MaxSeries, c.MaxPatterns = 3, 12, 50 })
	n := 0
	for i := range 2000 {
		app := fmt.Sprintf("app%d", i%7)
		take(t, l, app, "", strings.Repeat("(", i%90)+"x"+string(rune('a'+i%26)), "bad \xff line", "user "+string(rune('a'+i%26))+"x came")
		n += 4
	}
	families, err := reg.Gather()
	require.NoError(t, err)
	series, sum, apps := 0, 0.0, map[string]bool{}
	for _, f := range families {
		if f.GetName() != "log_pattern_lines_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			series++
			sum += m.GetCounter().GetValue()
			for _, x := range m.GetLabel() {
				if x.GetName() == "app" {
					apps[x.GetValue()] = true
				}
			}
		}
	}
	require.LessOrEqual(t, series, 12)
	require.InDelta(t, n, sum, 0)
	require.Equal(t, map[string]bool{"app0": true, "app1": true, "app2": true, otherGroup: true}, apps)
	require.EqualValues(t, n, answer(t, l, "?limit=2").Lines)
}

func TestPatternsLimit(t *testing.T) {
	l, _, _ := testLogs(t, nil)
	for _, bad := range []string{"0", "x", "1000000"} {
		w := httptest.NewRecorder()
		l.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/?limit="+bad, nil))
		require.Equal(t, http.StatusBadRequest, w.Code)
	}
}

// TestLogsOverHTTP sends lines in all three protocols to the exporter itself.
func TestLogsOverHTTP(t *testing.T) {
	a := newApp(t, t.TempDir(), "logs: {group_by: [app, service_name]}\n")
	post := func(path, contentType string, body []byte) int {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(string(body)))
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, r)
		return w.Code
	}
	field := func(num protowire.Number, b []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), b)
	}
	stream := append(field(1, []byte(`{app="web"}`)), field(2, field(2, []byte("java.io.IOException: disk full\n\tat com.acme.Disk.write(Disk.java:7)")))...)
	require.Equal(t, 204, post("/loki/api/v1/push", "application/x-protobuf", snappy.Encode(nil, field(1, stream))))
	require.Equal(t, 204, post("/loki/api/v1/push", "application/json", []byte(`{"streams":[{"stream":{"app":"web"},"values":[["1795435200000000000","pod web-1 is gone",{"level":"error"}]]}]}`)))
	require.Equal(t, 200, post("/v1/logs", "application/json", []byte(
		`{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scopeLogs":[{"logRecords":[{"severityNumber":13,"body":{"stringValue":"slow answer from 10.0.0.7"}}]}]}]}`)))
	require.Equal(t, 204, post("/ingest/fluentbit", "application/json", []byte(`[{"date":1795435200.5,"log":"started 4 workers"}]`)))
	require.Equal(t, 400, post("/ingest/fluentbit", "application/json", []byte(`[`)))

	got := answer(t, a.Handler(), "")
	require.EqualValues(t, 4, got.Lines)
	byTemplate := map[string]patternJSON{}
	for _, p := range got.Patterns {
		byTemplate[p.Template] = p
	}
	trace := byTemplate["IOException: disk full at Disk.write(Disk.java:<*>)"]
	require.Equal(t, "error", trace.Severity)
	require.Equal(t, map[string]string{"app": "web"}, trace.Labels)
	gone := byTemplate["pod web-1 is gone"]
	if gone.Template == "" {
		gone = byTemplate["pod <*> is gone"]
	}
	require.Equal(t, "error", gone.Severity)
	require.Equal(t, []entityJSON{{"web-1", 1}}, gone.Entities["pod"])
	require.Equal(t, "2026-11-23T12:00:00Z", gone.First)
	slow := byTemplate["slow answer from <*>"]
	require.Equal(t, "warning", slow.Severity)
	require.Equal(t, map[string]string{"service_name": "shop"}, slow.Labels)

	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	require.Contains(t, w.Body.String(), `log_pattern_lines_total{app="",pattern="`+slow.Pattern+`",service_name="shop",severity="warning"} 1`)
	require.Contains(t, w.Body.String(), `portent_exporter_log_lines_total{source="loki_push"} 2`)
	require.NoError(t, a.save())
	require.FileExists(t, filepath.Join(a.dir, "state", "log-patterns.snapshot"))
}

func TestLogsValidate(t *testing.T) {
	c := defaultLogs()
	c.GroupBy = []string{"pattern", "a", "a", "b-c"}
	c.MaxGroups, c.MaxPatterns, c.MaxSeries, c.NewFor = 0, 0, -1, model.Duration(0)
	c.Intake.MaxLines = -1
	err := c.validate()
	for _, key := range []string{"group_by[0]", "group_by[2]", "group_by[3]", "max_groups", "max_patterns", "max_series", "new_for", "intake: max_lines"} {
		require.ErrorContains(t, err, key)
	}
}
