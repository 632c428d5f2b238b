package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
)

// double is a server of which some paths answer otherwise than a Prometheus does; the others are those of fakeServers.
func double(t *testing.T, base string, other map[string]http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := other[r.URL.Path]; h != nil {
			h(w, r)
			return
		}
		_ = r.ParseForm()
		req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, base+r.URL.Path+"?"+r.Form.Encode(), http.NoBody)
		if err == nil {
			var res *http.Response
			if res, err = http.DefaultClient.Do(req); err == nil {
				defer res.Body.Close()
				w.WriteHeader(res.StatusCode)
				_, _ = io.Copy(w, res.Body)
				return
			}
		}
		http.Error(w, err.Error(), http.StatusBadGateway)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

const twoPods = `[{"metric":{"namespace":"blue"},"value":[1,"1"]},{"metric":{"namespace":"red"},"value":[1,"2"]}]`

// TestAskOtherServers: what Thanos, Mimir and VictoriaMetrics add to answers, or leave out, changes nothing.
func TestAskOtherServers(t *testing.T) {
	prom, _ := fakeServers(t)
	for name, other := range map[string]map[string]http.HandlerFunc{
		"Thanos": {
			"/api/v1/metadata": says(http.StatusNotFound, `{"status":"error","errorType":"not_found","error":"no metadata"}`),
			"/api/v1/query":    says(http.StatusOK, `{"status":"success","warnings":["partial response: store 10.0.0.1 timed out"],"data":{"resultType":"vector","result":`+twoPods+`,"analysis":{"x":1}}}`),
			"/api/v1/labels":   says(http.StatusOK, `{"status":"success","warnings":["partial"],"data":["__name__","namespace","pod"]}`),
		},
		"VictoriaMetrics": {
			"/api/v1/metadata": says(http.StatusOK, `{"status":"success","isPartial":false,"data":{}}`),
			"/api/v1/query":    says(http.StatusOK, `{"status":"success","isPartial":true,"stats":{"seriesFetched":"2","executionTimeMsec":1},"data":{"resultType":"vector","result":`+twoPods+`}}`),
		},
		"Mimir": {
			"/api/v1/metadata": says(http.StatusUnprocessableEntity, `{"status":"error","errorType":"execution","error":"metadata is switched off"}`),
			"/api/v1/query":    says(http.StatusOK, `{"status":"success","infos":["metric might not be a counter"],"data":{"resultType":"vector","result":`+twoPods+`,"stats":null}}`),
		},
		"without metadata": {"/api/v1/metadata": says(http.StatusInternalServerError, `<html>oops</html>`)},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := runAsk(t, "--json", "--prometheus", double(t, prom, other), "pods by namespace")
			require.Zero(t, code, errs)
			var j struct{ Query, Answer string }
			require.NoError(t, json.Unmarshal([]byte(out), &j))
			require.Equal(t, "count by (namespace) (kube_pod_info == 1)", j.Query)
			require.Contains(t, j.Answer, "blue")
		})
	}
}

// TestAskServersRefuse: what a server says when it refuses is passed on in words, without its address' password, and a script sees
// that it failed.
func TestAskServersRefuse(t *testing.T) {
	prom, loki := fakeServers(t)
	const limit = "the query hit the max number of series limit (limit: 500 series)"
	for _, c := range []struct {
		name, path, question string
		status               int
		body, want           string
	}{
		{"series limit", "/api/v1/query", "pods by namespace", http.StatusUnprocessableEntity, `{"status":"error","errorType":"execution","error":"` + limit + `"}`, limit},
		{"too many", "/api/v1/query", "pods by namespace", http.StatusTooManyRequests, `{"status":"error","errorType":"too_many_requests","error":"too many outstanding requests"}`, "429"},
		{"no JSON", "/api/v1/query", "pods by namespace", http.StatusOK, `<html>login</html>`, "HTML page"},
		{"cut off", "/api/v1/query", "pods by namespace", http.StatusOK, `{"status":"success","data":{"resultType":"vector","resu`, ""},
		{"parse", "/loki/api/v1/query_range", "error logs of grinder", http.StatusBadRequest, `parse error at line 1, col 2: syntax error`, "syntax error"},
		{"busy", "/loki/api/v1/query_range", "error logs of grinder", http.StatusTooManyRequests, `too many outstanding requests`, "too many outstanding requests"},
		{"limits", "/loki/api/v1/query_range", "error logs of grinder", http.StatusUnprocessableEntity, `maximum of series (500) reached for a single query`, "maximum of series"},
	} {
		t.Run(c.name, func(t *testing.T) {
			other := map[string]http.HandlerFunc{c.path: says(c.status, c.body)}
			base, flag := prom, "--prometheus"
			if strings.HasPrefix(c.path, "/loki") {
				base, flag = loki, "--loki"
			}
			address := strings.Replace(double(t, base, other), "http://", "http://reader:hunter2secret@", 1)
			code, out, errs := runAsk(t, "--json", flag, address, c.question)
			require.NotZero(t, code, out)
			require.Contains(t, out+errs, c.want)
			require.NotContains(t, out+errs, "hunter2secret")
			require.NotContains(t, out+errs, "goroutine")
		})
	}
}

// TestAskHostileNames: label values and help texts that are queries, quotes, braces and control characters stay values.
func TestAskHostileNames(t *testing.T) {
	prom, _ := fakeServers(t)
	values := []string{`blue"} or vector(1) #`, "red\n\"}) by (evil", `{{template}}`, "\x1b[2Jgone", strings.Repeat("x", 1<<16), `a\b`, "`tick`", "{", ""}
	list, err := json.Marshal(values)
	require.NoError(t, err)
	help, err := json.Marshal(map[string]any{"kube_pod_info": []any{map[string]string{"type": "gauge", "help": strings.Repeat("0 = \"}) or ( ", 1<<17), "unit": "\"}"}}})
	require.NoError(t, err)
	result := []any{}
	for _, v := range values {
		result = append(result, map[string]any{"metric": map[string]string{"namespace": v}, "value": []any{1, "1"}})
	}
	rows, err := json.Marshal(result)
	require.NoError(t, err)
	server := double(t, prom, map[string]http.HandlerFunc{
		"/api/v1/label/namespace/values": says(http.StatusOK, `{"status":"success","data":`+string(list)+`}`),
		"/api/v1/metadata":               says(http.StatusOK, `{"status":"success","data":`+string(help)+`}`),
		"/api/v1/query":                  says(http.StatusOK, `{"status":"success","data":{"resultType":"vector","result":`+string(rows)+`}}`),
	})
	for _, q := range []string{"pods by namespace", `pods in namespace blue"} or vector(1) #`, "pods in {{template}}", "pods in the namespace `tick`", `how many pods in a\b`, "pods of { per namespace"} {
		code, out, errs := runAsk(t, "--json", "--prometheus", server, q)
		require.NotContains(t, out+errs, "\x1b", q)
		if code == 0 {
			var j struct {
				Query   string
				Refused bool
			}
			require.NoError(t, json.Unmarshal([]byte(out), &j), q)
			if j.Refused {
				require.Empty(t, j.Query, q)
				continue
			}
			e, err := parser.NewParser(parser.Options{}).ParseExpr(j.Query)
			require.NoError(t, err, j.Query)
			parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
				if v, ok := n.(*parser.VectorSelector); ok {
					require.Equal(t, "kube_pod_info", v.Name, j.Query)
				}
				_, injected := n.(*parser.Call)
				require.False(t, injected, j.Query)
				return nil
			})
		}
		require.NotContains(t, out+errs, "\x1b", q)
		_, out, errs = runAsk(t, "--prometheus", server, q)
		require.NotContains(t, out+errs, "\x1b", q)
		require.Less(t, len(out)+len(errs), 1<<20, q)
	}
}
