package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
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
	sum := out.Other
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
	require.NoError(t, l.openMemory(dir), "without a file")
	take(t, l, "web", "request 1 served", "worker alpha finished the job")
	require.True(t, answer(t, l, "").Learning)
	*now = now.Add(2 * time.Hour)
	take(t, l, "web", "request 2 served", "disk sda is full, password=hunter2")
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
	full := byTemplate["disk sda is full, password=<*>"]
	require.True(t, full.New)
	require.Equal(t, "2026-11-22T14:00:00Z", full.FirstSeen)
	require.NotContains(t, full.Example, "hunter2")
	require.Equal(t, map[string]string{"app": "web"}, full.Labels)
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP portent_exporter_log_patterns_new_total Patterns seen for the first time after logs.learning.
# TYPE portent_exporter_log_patterns_new_total counter
portent_exporter_log_patterns_new_total 1
`), "portent_exporter_log_patterns_new_total"))

	require.NoError(t, l.saveMemory(dir))
	again, reg, later := testLogs(t, nil)
	*later = now.Add(30 * time.Minute)
	require.NoError(t, again.openMemory(dir))
	take(t, again, "web", "disk sda is full, password=x1", "request 3 served", "never seen before today")
	for _, p := range answer(t, again, "").Patterns {
		require.Equal(t, p.Template != "request <*> served", p.New, p.Template)
	}
	take(t, again, "web", "worker theta finished the job")
	*later = later.Add(time.Minute)
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP portent_exporter_log_patterns_new_total Patterns seen for the first time after logs.learning.
# TYPE portent_exporter_log_patterns_new_total counter
portent_exporter_log_patterns_new_total 1
`), "portent_exporter_log_patterns_new_total"), "a worker is known, by the template that says less")
	*later = later.Add(2 * time.Hour)
	for _, p := range answer(t, again, "").Patterns {
		require.False(t, p.New, "an hour later nothing is new")
	}
}

func TestMemoryIsChecked(t *testing.T) {
	dir := t.TempDir()
	l, _, _ := testLogs(t, nil)
	take(t, l, "web", "a b c")
	require.NoError(t, l.saveMemory(dir))
	path := filepath.Join(dir, memoryName)
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, bad := range []string{"", "x", strings.Replace(string(good), "portent-patterns 1", "portent-patterns 2", 1), string(good[:len(good)-1]), string(good) + "x"} {
		require.NoError(t, os.WriteFile(path, []byte(bad), 0o600))
		fresh, _, _ := testLogs(t, nil)
		require.ErrorIs(t, fresh.openMemory(dir), errMemory)
		require.Empty(t, fresh.memory.seen)
		require.NoFileExists(t, path)
		require.FileExists(t, path+badSuffix)
	}
	require.NoError(t, os.WriteFile(path, good, 0o600))
	fresh, _, _ := testLogs(t, nil)
	require.NoError(t, fresh.openMemory(dir))
	require.Len(t, fresh.memory.seen, 1)
}

func TestMemoryIsBounded(t *testing.T) {
	m := newMemory(time.Unix(0, 0))
	for i := range maxRemembered + 10 {
		m.see(strconv.Itoa(i), strconv.Itoa(i), time.Unix(int64(i), 0), 0)
	}
	require.LessOrEqual(t, len(m.seen), maxRemembered)
	require.Positive(t, m.forgotten)
	require.Contains(t, m.seen, strconv.Itoa(maxRemembered+9))
	require.NotContains(t, m.seen, "0")
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
	require.FileExists(t, filepath.Join(a.dir, "state", memoryName))
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
