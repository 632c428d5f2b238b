package protocoltest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/datasource-plugin/prometheustest"
)

func TestResources(t *testing.T) {
	p := start(t)
	prom := prometheustest.Serve(t, prometheustest.Fleet()...)
	receiver := serveReceiver(t, incidents()...)
	s := source{json: map[string]any{"prometheusUrl": prom.URL, "receiverUrl": receiver.url}}
	hour := fmt.Sprintf("from=%d&to=%d", prometheustest.FleetStart.UnixMilli(), prometheustest.FleetEnd.UnixMilli())
	enc := url.QueryEscape

	f := func(path, want string) {
		t.Helper()
		code, body := p.call(t, s, "GET", path)
		require.Equal(t, 200, code, body)
		require.JSONEq(t, want, body, path)
	}
	f("metrics?"+hour, `{"truncated":false,"values":["custom_gauge","http_requests_total","job_duration_seconds","node_load1","node_memory_MemAvailable_bytes"]}`)
	f("metrics?q=NODE&"+hour, `{"truncated":false,"values":["node_load1","node_memory_MemAvailable_bytes"]}`)
	f("metrics?limit=1&q=o&"+hour, `{"truncated":true,"values":["custom_gauge"]}`)
	f("metrics?limit=1&q=n&"+hour, `{"truncated":true,"values":["node_load1"]}`) // what begins with the text comes first
	f("metrics?from=0&to=1000", `{"truncated":false,"values":[]}`)
	f("labels?"+hour, `{"truncated":false,"values":["exported_metric","instance","job","path"]}`)
	f("labels?metric=node_load1&"+hour, `{"truncated":false,"values":["instance","job"]}`)
	f("label-values?label=instance&"+hour, `{"truncated":false,"values":["db-1:9100","web-1:9100","web-2:9100"]}`)
	f("label-values?label=instance&metric=node_load1&matchers="+enc(`[{"label":"instance","op":"!=","value":"web-1:9100"}]`)+"&"+hour, `{"truncated":false,"values":["web-2:9100"]}`)
	f("label-values?label=job&matchers="+enc(mustJSON(t, matchers("path", "=", prometheustest.HostileValue)))+"&"+hour, `{"truncated":false,"values":["shop"]}`)
	f("label-values?label=no_such_label&"+hour, `{"truncated":false,"values":[]}`)
	f("labels?for=incidents&"+hour, `{"truncated":false,"values":["alertname","instance","namespace"]}`)
	f("label-values?for=incidents&label=namespace&"+hour, `{"truncated":false,"values":["batch","pay","shop"]}`)

	bad := func(method, path string, status int, text string) {
		t.Helper()
		code, body := p.call(t, s, method, path)
		require.Equal(t, status, code, body)
		var e struct{ Error, Hint string }
		require.NoError(t, json.Unmarshal([]byte(body), &e))
		require.Contains(t, e.Error+" "+e.Hint, text)
	}
	bad("GET", "label-values", 400, "label is missing")
	bad("GET", "metrics?limit=0", 400, "want 1 to 5000")
	bad("GET", "metrics?limit=x", 400, "want 1 to 5000")
	bad("GET", "metrics?from=yesterday", 400, "want Unix milliseconds")
	bad("GET", "metrics?from=2000&to=1000", 400, "from is after to")
	bad("GET", "metrics?for=oracle", 400, "want one of")
	bad("GET", "labels?matchers=x", 400, "want a JSON list")
	bad("GET", "labels?matchers="+enc(`[{"label":"a","op":"=~","value":"("}]`), 400, "not a regular expression")
	bad("GET", "labels?matchers="+enc(`[{"label":"__name__","op":"=","value":"up"}]`), 400, "cannot be matched")
	bad("GET", "nothing", 404, "known: GET /metrics")
	bad("POST", "metrics", 404, "no resource POST")

	s = source{json: map[string]any{"prometheusUrl": down}, version: 1}
	bad("GET", "metrics", 502, "connection refused")
	bad("GET", "labels?for=incidents", 400, "needs the address of Portent receiver")
}

// A matcher and a metric are values: what they hold never selects more than the scores.
func TestResourcesCannotLeaveTheScores(t *testing.T) {
	p := start(t)
	prom := prometheustest.Serve(t, prometheustest.Fleet()...)
	s := source{json: map[string]any{"prometheusUrl": prom.URL}}
	for _, hostile := range []string{`"} or up{a="`, "x\"}\n#", `\`, "\x00", `{__name__=~".+"}`} {
		code, body := p.call(t, s, "GET", "label-values?label=job&metric="+url.QueryEscape(hostile))
		require.Equal(t, 200, code, body)
		require.JSONEq(t, `{"truncated":false,"values":[]}`, body)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	require.NoError(t, err)
	return string(raw)
}
