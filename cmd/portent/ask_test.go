package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakeServers answer as a Prometheus with two pods and a Loki with one program do.
func fakeServers(t *testing.T) (prometheus, loki string) {
	t.Helper()
	answer := func(w http.ResponseWriter, data string) {
		_, _ = w.Write([]byte(`{"status":"success","data":` + data + `}`))
	}
	p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		switch path := r.URL.Path; {
		case path == "/api/v1/label/__name__/values":
			answer(w, `["kube_pod_info"]`)
		case path == "/api/v1/label/namespace/values":
			answer(w, `["blue","red"]`)
		case strings.HasPrefix(path, "/api/v1/label/"):
			answer(w, `["a"]`)
		case path == "/api/v1/labels":
			answer(w, `["__name__","namespace","pod"]`)
		case path == "/api/v1/metadata":
			http.Error(w, "not found", http.StatusNotFound)
		case path == "/api/v1/series":
			answer(w, `[{"__name__":"kube_pod_info"}]`)
		case path == "/api/v1/query" && strings.Contains(r.Form.Get("query"), "red"):
			answer(w, `{"resultType":"vector","result":[]}`)
		case path == "/api/v1/query":
			answer(w, `{"resultType":"vector","result":[{"metric":{"namespace":"blue"},"value":[1,"1"]},{"metric":{"namespace":"\u001b[2Jevil"},"value":[1,"2"]}]}`)
		default:
			http.Error(w, "not found", http.StatusNotFound)
		}
	}))
	t.Cleanup(p.Close)
	l := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/loki/api/v1/labels":
			answer(w, `["app"]`)
		case "/loki/api/v1/label/app/values":
			answer(w, `["grinder"]`)
		case "/loki/api/v1/query_range":
			answer(w, `{"resultType":"streams","result":[{"stream":{"app":"grinder","detected_level":"error"},"values":[["1500000000000000000","level=error msg=stuck"]]}]}`)
		case "/loki/api/v1/index/stats":
			_, _ = w.Write([]byte(`{"streams":1,"chunks":1,"bytes":99999999999,"entries":5}`))
		default:
			http.Error(w, "not found", http.StatusNotFound)
		}
	}))
	t.Cleanup(l.Close)
	return p.URL, l.URL
}

func runAsk(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(append([]string{"ask", "--time", "2026-06-02T15:30:00Z"}, args...), stdio{strings.NewReader(""), &o, &e})
	return code, o.String(), e.String()
}

func TestAskJSON(t *testing.T) {
	prom, loki := fakeServers(t)
	code, out, errs := runAsk(t, "--prometheus", prom, "--json", "pods per namespace")
	require.Zero(t, code, errs)
	var got askJSON
	require.NoError(t, json.Unmarshal([]byte(out), &got))
	require.Equal(t, `count by (namespace) (kube_pod_info == 1)`, got.Query)
	require.Equal(t, "rules", got.Translator)
	require.Contains(t, got.Answer, "2 results")
	require.Len(t, got.Result, 2)
	require.NotNil(t, got.Alternatives)

	code, out, errs = runAsk(t, "--prometheus", prom, "--loki", loki, "--json", "--cost", "warn", "error logs of grinder")
	require.Zero(t, code, errs)
	got = askJSON{}
	require.NoError(t, json.Unmarshal([]byte(out), &got))
	require.Equal(t, `{app="grinder"} | detected_level=~"error|critical|fatal"`, got.Query)
	require.Equal(t, "1m", got.Range.Step)
	require.Equal(t, "1 line, from 02:40:00 to 02:40:00 UTC.", got.Answer)
	require.Len(t, got.Warnings, 1)
}

func TestAskRefuses(t *testing.T) {
	prom, loki := fakeServers(t)
	f := func(reason string, args ...string) {
		t.Helper()
		code, out, errs := runAsk(t, append(args, "--json")...)
		require.Zero(t, code, errs)
		var got refusedJSON
		require.NoError(t, json.Unmarshal([]byte(out), &got))
		require.True(t, got.Refused)
		require.NotNil(t, got.Suggestions)
		require.Contains(t, got.Reason, reason)
	}
	f("no Loki", "--prometheus", prom, "error logs of grinder")
	f("may not run: it reads 93.13 GiB", "--loki", loki, "error logs of grinder")
	f("no metric", "--prometheus", prom, "gpu temperature")
	f("no label", "--loki", loki, "--scope", "tenant=x", "error logs of grinder")
}

// TestAskForPeople: a table, the query, and nothing that moves the cursor.
func TestAskForPeople(t *testing.T) {
	prom, _ := fakeServers(t)
	code, out, errs := runAsk(t, "--prometheus", prom, "pods per namespace")
	require.Zero(t, code, errs)
	require.Contains(t, out, "namespace=blue")
	require.Contains(t, out, "promql: count by (namespace)")
	require.NotContains(t, out, "\x1b")
	code, out, errs = runAsk(t, "--prometheus", prom, "--scope", "namespace=red", "pods per namespace")
	require.Zero(t, code, errs)
	require.Contains(t, out, `kube_pod_info{namespace="red"}`)
	require.Contains(t, out, "None: the series are there")
}

// TestAskWhatIsWrong: the first finding is the query, and the rest are parts.
func TestAskWhatIsWrong(t *testing.T) {
	prom, loki := fakeServers(t)
	args := []string{"--prometheus", prom, "--loki", loki, "--cost", "warn", "what is wrong with grinder?"}
	code, out, errs := runAsk(t, append([]string{"--json"}, args...)...)
	require.Zero(t, code, errs)
	var got askJSON
	require.NoError(t, json.Unmarshal([]byte(out), &got))
	require.Equal(t, "Grinder: 1 finding. Error logs – 1 line, from 02:40:00 to 02:40:00 UTC.", got.Answer)
	require.Len(t, got.Parts, 1)
	require.True(t, *got.Parts[0].Found)
	require.Equal(t, `{app="grinder"} | detected_level=~"error|critical|fatal"`, got.Query)
	require.Equal(t, got.Query, got.Parts[0].Query)
	require.Len(t, got.Result, 1)

	code, out, errs = runAsk(t, args...)
	require.Zero(t, code, errs)
	require.Contains(t, out, "! error logs: logql: {")

	code, out, errs = runAsk(t, "--prometheus", prom, "--loki", loki, "--json", "what is wrong with grinder?") // enforced: it reads too much
	require.Zero(t, code, errs)
	require.Contains(t, out, `"refused":true`)
	require.Contains(t, out, "error logs: the query may not run")

	code, out, errs = runAsk(t, "--prometheus", prom, "--json", "what is wrong with frobnicator?")
	require.Zero(t, code, errs)
	require.Contains(t, out, "nothing here is known about")
}

func TestAskExitCodes(t *testing.T) {
	prom, _ := fakeServers(t)
	f := func(want int, args ...string) {
		t.Helper()
		code, _, errs := runAsk(t, args...)
		require.Equal(t, want, code, errs)
	}
	f(exitUsage, "--prometheus", "not a url", "x")
	f(exitUsage, "--prometheus", prom, "--time", "yesterday", "x")
	f(exitUsage, "--prometheus", prom, "--scope", "namespace", "x")
	f(exitUsage, "--prometheus", prom, "--cost", "maybe", "x")
	f(exitUsage)
	f(exitFailure, "--prometheus", "http://127.0.0.1:1", "x")
	f(exitFailure, "--loki", "http://127.0.0.1:1", "x")
}
