package protocoltest

import (
	"strings"
	"testing"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/datasource-plugin/prometheustest"
)

// What fails behind a question is told as whose fault it is, and what to do.
func TestQuestionFaults(t *testing.T) {
	p := start(t)
	prom := func(kind string) string {
		return says(t, 400, "application/json", strings.Replace(`{"status":"error","errorType":"%","error":"it says so"}`, "%", kind, 1))
	}
	rules, person := stored("promql", "up", nil), stored("promql", "up", map[string]any{"translator": "person"})
	logs := stored("logql", `{app="cart"}`, nil)
	for i, tt := range []struct {
		name   string
		json   map[string]any
		model  map[string]any
		status backend.Status
		source backend.ErrorSource
		text   string
	}{
		{"no address", map[string]any{}, map[string]any{"question": "memory by pod"}, 400, backend.ErrorSourceDownstream, "needs the address of Prometheus"},
		{"broken address", map[string]any{"prometheusUrl": "p:9090"}, map[string]any{"question": "memory by pod"}, 400, backend.ErrorSourceDownstream, "want http://host:port"},
		{"down", map[string]any{"prometheusUrl": down}, map[string]any{"question": "memory by pod"}, 502, backend.ErrorSourceDownstream, "connection refused"},
		{"no rights", map[string]any{"prometheusUrl": says(t, 403, "text/plain", "no"), "cost": "off"}, rules, 403, backend.ErrorSourceDownstream, "check its rights"},
		{"our query is not understood", map[string]any{"prometheusUrl": prom("bad_data"), "cost": "off"}, rules, 500, backend.ErrorSourcePlugin, "very old version"},
		{"a person's query is not understood", map[string]any{"prometheusUrl": prom("bad_data"), "cost": "off"}, person, 400, backend.ErrorSourceDownstream, "it says so"},
		{"the cost cannot be told", map[string]any{"prometheusUrl": says(t, 500, "text/plain", "no")}, rules, 400, backend.ErrorSourceDownstream, "what it costs cannot be told"},
		{"no loki", map[string]any{"prometheusUrl": down}, logs, 400, backend.ErrorSourceDownstream, "needs the address of Loki"},
		{"loki is down", map[string]any{"lokiUrl": down, "cost": "off"}, logs, 502, backend.ErrorSourceDownstream, "connection refused"},
		{"loki refuses", map[string]any{"lokiUrl": says(t, 400, "text/plain", "the query time range exceeds the limit"), "cost": "off"}, logs, 400, backend.ErrorSourceDownstream, "exceeds the limit"},
		{"loki is asked too often", map[string]any{"lokiUrl": says(t, 429, "text/plain", "slow down"), "cost": "off"}, logs, 429, backend.ErrorSourceDownstream, "slow down"},
		{"no login", map[string]any{"lokiUrl": says(t, 401, "text/plain", "no org id"), "cost": "off"}, logs, 401, backend.ErrorSourceDownstream, ""},
		{"a scope that lets all through", map[string]any{"prometheusUrl": down, "scope": []map[string]string{{"label": "a", "op": "=~", "value": ".*"}}}, rules, 400, backend.ErrorSourceDownstream, "lets through"},
		{"two lines", map[string]any{"prometheusUrl": down}, map[string]any{"question": "q", "view": "pie"}, 400, backend.ErrorSourceDownstream, "want one of"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := p.query(t, source{json: tt.json, login: "ann", version: int64(i)}, askTarget(tt.model))
			require.NoError(t, err)
			require.ErrorContains(t, got["A"].Error, tt.text)
			require.Equal(t, tt.status, got["A"].Status, "%v", got["A"].Error)
			require.Equal(t, tt.source, got["A"].ErrorSource, "%v", got["A"].Error)
		})
	}
}

// A range in the future, and one that ends before it begins, are answered: there is nothing.
func TestQuestionsAboutTheFuture(t *testing.T) {
	p := start(t)
	s := source{json: map[string]any{"prometheusUrl": realPrometheus(t)}, login: "ann"}
	later := prometheustest.FleetEnd.AddDate(50, 0, 0)
	for _, span := range [][2]time.Time{{later, later.Add(time.Hour)}, {later, later.Add(-time.Hour)}, {time.Unix(0, 0), time.Unix(1, 0)}} {
		for _, one := range []target{askTarget(map[string]any{"question": "memory by pod"}), askTarget(map[string]any{"question": "graph of memory by pod"})} {
			one.from, one.to = span[0], span[1]
			got, err := p.query(t, s, one)
			require.NoError(t, err)
			require.NoError(t, got["A"].Error)
			require.Empty(t, got["A"].Frames[0].Fields)
			require.NotEmpty(t, got["A"].Frames[0].Meta.Notices, "it says why there is nothing")
		}
	}
}
