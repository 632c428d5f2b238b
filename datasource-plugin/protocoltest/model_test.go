package protocoltest

import (
	"encoding/json"
	"testing"

	"github.com/grafana/grafana-plugin-sdk-go/genproto/pluginv2"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/datasource-plugin/prometheustest"
	"github.com/portent-dev/portent/internal/llm/openai/openaitest"
)

// A language model writes the query of a question that a person asks, through the same gate and scope as everybody, and
// not for panels that refresh. What it makes up is not run; the rules answer then.
func TestModelInThePlugin(t *testing.T) {
	p := start(t)
	double := openaitest.Start(t)
	query := `topk(2, sum by (pod) (container_memory_working_set_bytes))`
	double.Say = func(openaitest.Request) string {
		return mustJSON(t, map[string]any{"answerable": true, "reason": "", "language": "promql", "query": query, "graph": false, "unit": "bytes", "explanation": "memory of the two greatest"})
	}
	s := source{
		json: map[string]any{
			"prometheusUrl": realPrometheus(t), "modelUrl": double.URL, "modelName": "small",
			"connections": map[string]any{"model": map[string]any{"auth": "bearer"}},
			"scope":       []map[string]string{{"label": "namespace", "value": "shop"}},
		},
		secrets: map[string]string{"modelToken": openaitest.Key}, login: "ann",
	}
	type explained struct {
		Query, Translator, Explanation, Answer string
		Refused                                bool
	}
	body := map[string]any{"ask": map[string]any{"question": "memory by pod"}, "from": prometheustest.FleetStart.UnixMilli(), "to": prometheustest.FleetEnd.UnixMilli()}
	explain := func() explained {
		t.Helper()
		code, text := p.send(t, s, "POST", "explain", []byte(mustJSON(t, body)))
		require.Equal(t, 200, code, text)
		var e explained
		require.NoError(t, json.Unmarshal([]byte(text), &e))
		return e
	}
	e := explain()
	require.Equal(t, "model", e.Translator)
	require.Equal(t, `topk(2, sum by (pod) (container_memory_working_set_bytes{namespace="shop"}))`, e.Query)
	require.Equal(t, "memory of the two greatest", e.Explanation)
	asked := len(double.Asked())
	require.Positive(t, asked)
	for _, r := range double.Asked() {
		require.NotContains(t, r.User(), "ledger", "the model hears of nothing outside the scope")
	}

	messages := p.listen(t, s, "ask/0123456789abcdef", body)
	require.Equal(t, "answered", messages[len(messages)-1].stage)
	require.Contains(t, messages[len(messages)-1].result, `"translator":"model"`)
	require.NotContains(t, messages[len(messages)-1].result, "ledger")

	asked = len(double.Asked())
	got, err := p.query(t, s, askTarget(map[string]any{"question": "memory by pod"}))
	require.NoError(t, err)
	require.NoError(t, got["A"].Error)
	require.Len(t, double.Asked(), asked, "a panel that refreshes asks no model")

	for _, made := range []string{"sum(made_up_total)", `{__name__=~".+"}`, "DROP TABLE pods", `label_replace(up, "x", "$1", "y", "(.*)")`} {
		query = made
		e = explain()
		require.Equal(t, "rules", e.Translator, made)
		require.Contains(t, e.Query, "container_memory_working_set_bytes")
		require.Contains(t, e.Explanation, "Without the language model")
	}

	// Nobody there: the rules answer, in the time that a person waits.
	s.json["modelUrl"], s.version = down, 1
	e = explain()
	require.Equal(t, "rules", e.Translator)
	require.Equal(t, pluginv2.CheckHealthResponse_ERROR, p.health(t, s).Status)
}
