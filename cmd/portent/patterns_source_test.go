package main

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

	"github.com/portent-dev/portent/internal/elasticapi/elastictest"
)

func decodePatterns(t *testing.T, out string) (all []patternJSON) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(out))
	for dec.More() {
		var p patternJSON
		require.NoError(t, dec.Decode(&p))
		all = append(all, p)
	}
	return all
}

// TestPatternsOfWindows: files count by their own times, several files are one answer,
// and two windows are compared.
func TestPatternsOfWindows(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, lines ...string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
		return path
	}
	var old, fresh []string
	for i := range 60 {
		old = append(old, fmt.Sprintf("2026-11-22T11:%02d:00Z INFO step %d done", i, i))
		fresh = append(fresh, fmt.Sprintf("2026-11-22T12:%02d:00Z INFO step %d done", i, i), fmt.Sprintf("2026-11-22T12:%02d:30Z ERROR no space left on %d", i, i))
	}
	a, b := write("a.log", old...), write("b.log", fresh...)

	_, out, errs := runPatterns(t, "", "--json", a, b)
	require.Empty(t, errs)
	all := decodePatterns(t, out)
	require.Len(t, all, 2)
	require.EqualValues(t, 120, all[0].Count)
	require.NotNil(t, all[0].Series)

	code, out, errs := runPatterns(t, "", "--json", "--from=2026-11-22T12:00:00Z", "--to=2026-11-22T13:00:00Z", "--compare=previous", a, b)
	require.Equal(t, exitOK, code, errs)
	all = decodePatterns(t, out)
	require.Len(t, all, 2)
	byTemplate := map[string]patternJSON{}
	for _, p := range all {
		byTemplate[p.Template] = p
	}
	p := byTemplate["no space left on <*>"]
	require.Equal(t, "new", p.Change)
	require.EqualValues(t, 60, p.Count)
	require.EqualValues(t, 0, *p.Before)
	require.Less(t, *p.P, 0.001)
	require.Equal(t, 1, p.Cause.Rank)
	require.Equal(t, "same", byTemplate["step <*> done"].Change)

	_, out, _ = runPatterns(t, "", "--table", "--from=2026-11-22T12:00:00Z", "--to=2026-11-22T13:00:00Z", "--compare=1h", a, b)
	require.Contains(t, out, "CHANGE")
	require.Contains(t, out, "120 lines, 2 patterns")
	_, out, _ = runPatterns(t, "", "--summary", "--from=2026-11-22T12:00:00Z", "--to=2026-11-22T13:00:00Z", "--compare=1h", a, b)
	require.Contains(t, out, "120 lines say 2 different things")
	require.Contains(t, out, "the most probable cause is “no space left on <*>”")
	require.Contains(t, out, "cause 1")

	_, out, errs = runPatterns(t, "", "--json", "--max-lines=10", a)
	require.Contains(t, errs, "reading stopped at 10 lines")
	require.EqualValues(t, 10, decodePatterns(t, out)[0].Count)
	_, out, _ = runPatterns(t, strings.Join(fresh, "\n"), "--json", "--severity=error", "-")
	all = decodePatterns(t, out)
	require.Equal(t, []string{"no space left on <*>", ""}, []string{all[0].Template, all[1].Template})
	require.EqualValues(t, 60, all[1].Count, "the others are counted")
}

func TestPatternsOfElasticsearch(t *testing.T) {
	s := elastictest.New(t, false)
	s.Auth = "ApiKey a2V5"
	key := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(key, []byte("a2V5\n"), 0o600))
	now := time.Now()
	for i := range 50 {
		s.Add(elastictest.Doc{Time: now.Add(time.Duration(i-60) * time.Second), Source: map[string]any{"message": fmt.Sprintf("took %d ms", i)}})
	}
	code, out, errs := runPatterns(t, "", "--json", "--elasticsearch", s.URL, "--index=logs-*", "--api-key-file", key, "--kibana=http://kibana:5601", "--data-view=logs", "--query=message:took")
	require.Equal(t, exitOK, code, errs)
	all := decodePatterns(t, out)
	require.Len(t, all, 1)
	require.EqualValues(t, 50, all[0].Count)
	require.Equal(t, `(message:took) AND message:"took" AND message:"ms"`, all[0].Query.Text)
	require.True(t, strings.HasPrefix(all[0].Link, "http://kibana:5601/app/discover#/?_g="), all[0].Link)
}

func TestPatternsOfLoki(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("abc\n"), 0o600))
	status, body := 0, ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer abc" || r.Header.Get("X-Scope-OrgID") != "blue" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if status != 0 {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
			return
		}
		switch {
		case !strings.Contains(r.URL.Query().Get("query"), "count_over_time"):
			fmt.Fprintf(w, `{"data":{"resultType":"streams","result":[{"stream":{"app":"a"},"values":[["%d","took 7 ms"],["%d","took 8 ms"]]}]}}`,
				time.Now().Add(-time.Minute).UnixNano(), time.Now().Add(-time.Minute).UnixNano())
		case strings.HasSuffix(r.URL.Path, "/query"):
			fmt.Fprint(w, `{"data":{"resultType":"vector","result":[]}}`)
		default:
			fmt.Fprint(w, `{"data":{"resultType":"matrix","result":[]}}`)
		}
	}))
	t.Cleanup(s.Close)
	args := []string{"--json", "--loki", s.URL, "--tenant=blue", "--token-file", token, `--query={app="a"}`, "--grafana=http://grafana:3000/", "--loki-uid=u"}
	code, out, errs := runPatterns(t, "", args...)
	require.Equal(t, exitOK, code, errs)
	all := decodePatterns(t, out)
	require.Len(t, all, 1)
	require.Equal(t, `{app="a"} |> "took <_> ms"`, all[0].Query.Text)
	require.True(t, all[0].Query.Exact)
	require.True(t, strings.HasPrefix(all[0].Link, "http://grafana:3000/explore?panes="), all[0].Link)

	status, body = 400, "parse error at line 1"
	code, _, errs = runPatterns(t, "", args...)
	require.Equal(t, exitFailure, code)
	require.Contains(t, errs, "parse error at line 1")
	require.NotContains(t, errs, "abc")
}

func TestPatternsServerUsage(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		code, out, errs := runPatterns(t, "", args...)
		require.Equal(t, exitUsage, code, errs)
		require.Empty(t, out)
		require.Contains(t, errs, want)
	}
	f("exclude each other", "--loki=http://x", "--elasticsearch=http://y", "--query=x")
	f("--loki needs --query", "--loki=http://x")
	f("--elasticsearch needs --index", "--elasticsearch=http://x")
	f("--query needs", "--query=x")
	f("a server or files", "--loki=http://x", "--query={a=\"b\"}", "file")
	f("goes with no server", "--assign", "--loki=http://x", "--query={a=\"b\"}")
	f("--compare needs", "--compare=previous", "file")
	f("--since and --from", "--since=1h", "--from=2026-11-22T12:00:00Z")
	f("want RFC 3339", "--from=yesterday")
	f("want a duration", "--since=soon")
	f("want previous or a duration", "--since=1h", "--compare=soon")
	f("is empty", "--from=2026-11-22T12:00:00Z", "--to=2026-11-22T12:00:00Z")
	f("--grafana and --loki-uid", "--grafana=http://x")
	f("--kibana and --data-view", "--kibana=http://x")
	f("not several", "--user=a", "--token-file=b")
	f("LogQL", "--loki=http://x", "--query=rate({a=\"b\"}[5m])")
	f("index", "--elasticsearch=http://x", "--index=../x")
	f("want http", "--loki=x", "--query={a=\"b\"}")
	f("--max-lines", "--max-lines=-1")
	code, _, errs := runPatterns(t, "x", "--since=1h", "--compare=previous", "-")
	require.Equal(t, exitFailure, code)
	require.Contains(t, errs, "a pipe can be read once")
}
