package protocoltest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/e2e/servertest"
)

// logLine is a line that a Loki keeps.
type logLine struct {
	at   time.Time
	app  string
	text string
}

// logNoon is when the lines of the goldens begin.
var logNoon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// shopLines is an hour of a shop in which a disk runs full at half past, and the hour before.
func shopLines(noon time.Time) []logLine {
	var out []logLine
	for i := range 480 {
		out = append(out, logLine{noon.Add(time.Duration(i-240) * 15 * time.Second), "web", fmt.Sprintf(`level=info msg="GET /items/%d" status=200 took=%dms`, i, i%40)})
	}
	for i := range 20 {
		at := noon.Add(30*time.Minute + time.Duration(i)*20*time.Second)
		out = append(out,
			logLine{at, "db", fmt.Sprintf(`level=error msg="write base/%d: No space left on device" trace_id=4bf92f3577b34da6a3ce929d0e0e%04x`, i, i)},
			logLine{at.Add(time.Second), "web", fmt.Sprintf(`level=error msg="POST /checkout %d: timeout waiting for db" trace_id=4bf92f3577b34da6a3ce929d0e0e%04x`, i, i)})
	}
	for i := range 12 {
		out = append(out, logLine{noon.Add(time.Duration(i-13) * time.Minute), "db", fmt.Sprintf("checkpoint %d complete <ok>", i)})
	}
	return out
}

// fakeLoki answers query_range and query over fixed lines. Filters it does not know.
func fakeLoki(t *testing.T, lines []logLine) string {
	t.Helper()
	stamp := func(v url.Values, key string) time.Time {
		n, err := strconv.ParseInt(v.Get(key), 10, 64)
		require.NoError(t, err)
		return time.Unix(0, n).UTC()
	}
	count := func(from, to time.Time) (n int) { // (from, to]
		for _, l := range lines {
			if l.at.After(from) && !l.at.After(to) {
				n++
			}
		}
		return n
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := r.URL.Query()
		query := v.Get("query")
		kind, result := "streams", []any{}
		switch {
		case strings.Contains(query, "count_over_time"):
			text := query[strings.LastIndexByte(query, '[')+1 : strings.LastIndexByte(query, ']')]
			d, err := time.ParseDuration(text)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			if strings.HasSuffix(r.URL.Path, "/query") {
				kind = "vector"
				at := stamp(v, "time")
				result = append(result, map[string]any{"metric": map[string]string{}, "value": []any{at.Unix(), strconv.Itoa(count(at.Add(-d), at))}})
				break
			}
			kind = "matrix"
			var values []any
			for at := stamp(v, "start"); !at.After(stamp(v, "end")); at = at.Add(d) {
				if n := count(at.Add(-d), at); n > 0 {
					values = append(values, []any{at.Unix(), strconv.Itoa(n)})
				}
			}
			result = append(result, map[string]any{"metric": map[string]string{}, "values": values})
		default:
			byApp := map[string][]any{}
			for _, l := range lines {
				if !l.at.Before(stamp(v, "start")) && l.at.Before(stamp(v, "end")) {
					byApp[l.app] = append(byApp[l.app], []any{strconv.FormatInt(l.at.UnixNano(), 10), l.text, map[string]any{}})
				}
			}
			for _, app := range []string{"db", "web"} {
				values := byApp[app]
				if v.Get("direction") == "backward" {
					slices.Reverse(values)
				}
				if values != nil {
					result = append(result, map[string]any{"stream": map[string]string{"app": app, "namespace": "shop"}, "values": values})
				}
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": kind, "result": result}})
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func patternsTarget(model map[string]any) target {
	full := map[string]any{"query": `{namespace="shop"}`}
	for k, v := range model {
		full[k] = v
	}
	return target{refID: "A", model: map[string]any{"queryType": "patterns", "patterns": full}, from: logNoon, to: logNoon.Add(time.Hour), interval: time.Minute, points: 12}
}

func TestPatterns(t *testing.T) {
	p := start(t)
	s := source{json: map[string]any{"lokiUrl": fakeLoki(t, shopLines(logNoon)), "lokiUid": "loki1"}}
	for name, model := range map[string]map[string]any{
		"patterns-table":              {},
		"patterns-table-compare":      {"compare": "previous", "limit": 3},
		"patterns-table-change":       {"compare": "1h", "change": []string{"gone"}},
		"patterns-table-severity":     {"severity": []string{"error"}, "limit": 1},
		"patterns-table-none":         {"severity": []string{"critical"}},
		"patterns-timeseries":         {"view": "timeseries", "limit": 2},
		"patterns-numeric":            {"view": "numeric"},
		"patterns-numeric-none":       {"view": "numeric", "pattern": "000000000000"},
		"patterns-volume":             {"view": "volume"},
		"patterns-causes":             {"view": "causes"},
		"patterns-logs":               {"view": "logs", "limit": 3},
		"patterns-logs-severity":      {"view": "logs", "limit": 2, "severity": []string{"error"}},
		"patterns-timeseries-nothing": {"view": "timeseries", "severity": []string{"critical"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := p.query(t, s, patternsTarget(model))
			require.NoError(t, err)
			require.NoError(t, got["A"].Error)
			requireGolden(t, name, got["A"])
		})
	}
}

// TestPatternsFaults: what a Loki or a person did wrong is not the plugin's fault, and says what to do.
func TestPatternsFaults(t *testing.T) {
	p := start(t)
	version := int64(100)
	f := func(loki string, model map[string]any, want string) {
		t.Helper()
		version++
		got, err := p.query(t, source{json: map[string]any{"lokiUrl": loki}, version: version}, patternsTarget(model))
		require.NoError(t, err)
		require.ErrorContains(t, got["A"].Error, want)
		require.Equal(t, "downstream", string(got["A"].ErrorSource))
		require.Less(t, len(got["A"].Error.Error()), 700)
	}
	good := fakeLoki(t, nil)
	f("", map[string]any{}, "needs the address of Loki")
	f(good, map[string]any{"query": `count_over_time({a="b"}[5m])`}, "patterns.query: LogQL: the query begins with")
	f(good, map[string]any{"query": `{a="b"`}, "is not closed")
	f(says(t, 400, "text/plain", "parse error at line 1, col 16: syntax error"), map[string]any{"query": `{a="b"} | nope`}, "syntax error")
	f(says(t, 401, "text/plain", "no org id"), map[string]any{}, "no org id")
	f(says(t, 200, "text/html", "<html>login</html>"), map[string]any{}, "not that of a Loki")
	f(says(t, 200, "application/json", `{"data":{"resultType":"stre`), map[string]any{}, "not that of a Loki")

	got, err := p.query(t, source{json: map[string]any{"lokiUrl": good}}, patternsTarget(map[string]any{}))
	require.NoError(t, err)
	require.NoError(t, got["A"].Error)
	require.Contains(t, got["A"].Frames[0].Meta.Notices[0].Text, "gives no lines")
}

// TestPatternsOfARealLoki: the lines behind a row are those that its query gives, and a scope holds.
func TestPatternsOfARealLoki(t *testing.T) {
	loki := servertest.Loki(t, servertest.Config{})
	from := time.Now().Add(-65 * time.Minute).Truncate(time.Minute) // what is older than three hours a fresh Loki does not show
	lines := shopLines(from)
	lines = append(lines, logLine{from.Add(time.Minute), "secret", "payroll run of ann"})
	var body struct {
		Streams []any `json:"streams"`
	}
	for _, l := range lines {
		namespace := "shop"
		if l.app == "secret" {
			namespace = "pay"
		}
		body.Streams = append(body.Streams, map[string]any{
			"stream": map[string]string{"app": l.app, "namespace": namespace}, "values": [][]string{{strconv.FormatInt(l.at.UnixNano(), 10), l.text}},
		})
	}
	raw, err := json.Marshal(body)
	require.NoError(t, err)
	resp, err := http.Post(loki.URL+"/loki/api/v1/push", "application/json", bytes.NewReader(raw))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusNoContent, resp.StatusCode)

	p := start(t)
	s := source{json: map[string]any{"lokiUrl": loki.URL, "scope": []map[string]string{{"label": "namespace", "value": "shop"}}}}
	run := func(model map[string]any) (out map[string][]any) {
		t.Helper()
		one := patternsTarget(model)
		one.from, one.to = from, from.Add(time.Hour)
		got, err := p.query(t, s, one)
		require.NoError(t, err)
		require.NoError(t, got["A"].Error)
		out = map[string][]any{}
		for _, f := range got["A"].Frames[0].Fields {
			for i := range f.Len() {
				out[f.Name] = append(out[f.Name], f.At(i))
			}
		}
		return out
	}
	table := run(map[string]any{"query": `{app=~".+"} | logfmt | __error__="" or took=""`, "compare": "previous"})
	require.Len(t, table["Count"], 4, "%v", table["Template"])
	for i, q := range table["Query"] {
		if table["Count"][i].(int64) == 0 {
			continue
		}
		require.Equal(t, "exactly its lines", table["Query gives"][i])
		require.Len(t, run(map[string]any{"view": "logs", "query": q})["body"], int(table["Count"][i].(int64)), q)
	}
	for _, tmpl := range table["Template"] {
		require.NotContains(t, tmpl, "payroll", "the scope holds")
	}
	causes := run(map[string]any{"view": "causes"})
	require.Contains(t, causes["Template"][0], "No space left on device")
}
