package protocoltest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/grafana/grafana-plugin-sdk-go/data"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/datasource-plugin/prometheustest"
)

// "What is wrong with X" takes several queries: each is shown and stored, and one table says together what they found.
func bundles(t *testing.T, p *Plugin, s source) {
	ask := func(s source, query map[string]any, headers map[string]string) backend.DataResponse {
		t.Helper()
		req := request(t, s, askTarget(query))
		req.Headers = headers
		resp, err := p.data.QueryData(t.Context(), req)
		require.NoError(t, err)
		out, err := backend.FromProto().QueryDataResponse(resp)
		require.NoError(t, err)
		return out.Responses["A"]
	}
	frozen := explainBundle(t, p, s, "what is wrong with cart?")
	parts := frozen["parts"].([]any)
	require.GreaterOrEqual(t, len(parts), 3)
	require.Equal(t, parts[0].(map[string]any)["query"], frozen["query"])
	stored := func(view string) map[string]any {
		return map[string]any{"question": "what is wrong with cart?", "view": view, "frozen": frozen}
	}
	for _, view := range []string{"auto", "table", "timeseries", "numeric", "annotations"} {
		got := ask(s, stored(view), nil)
		require.NoError(t, got.Error, view)
		requireGolden(t, "ask-bundle-"+view, got)
		require.Equal(t, mustJSON(t, got), mustJSON(t, ask(s, stored(view), nil)), "the same each time")
		if view == "timeseries" || view == "numeric" {
			requireContract(t, got)
		}
	}
	asked := ask(s, map[string]any{"question": "what is wrong with cart?"}, nil)
	require.Equal(t, mustJSON(t, ask(s, stored("auto"), nil).Frames[0].Fields), mustJSON(t, asked.Frames[0].Fields), "what is stored is what was answered")

	// An alert rule compares how much each query found with 0.
	alert := ask(s, stored("auto"), map[string]string{"FromAlert": "true"})
	require.NoError(t, alert.Error)
	require.Len(t, alert.Frames, len(parts))
	for i, f := range alert.Frames {
		require.Equal(t, data.FrameTypeNumericMulti, f.Meta.Type)
		require.Equal(t, parts[i].(map[string]any)["title"], f.Fields[0].Labels["finding"])
	}
	broken := frozen["parts"].([]any)[1].(map[string]any)
	query := broken["query"]
	broken["query"] = "sum("
	failed := ask(s, stored("auto"), map[string]string{"FromAlert": "true"})
	require.ErrorContains(t, failed.Error, broken["title"].(string)+": ", "what is not seen is not nothing")
	require.Equal(t, backend.ErrorSourceDownstream, failed.ErrorSource)
	shown := ask(s, stored("auto"), nil)
	require.NoError(t, shown.Error)
	require.Contains(t, mustJSON(t, shown.Frames[0].Meta.Notices), "Not looked at: ")
	require.Contains(t, mustJSON(t, shown.Frames[0].Fields), `"not looked at"`)
	broken["query"] = query

	for _, view := range []string{"logs", "volume"} {
		require.ErrorContains(t, ask(s, stored(view), nil).Error, "findings, not with log lines")
	}
	// The scope of the data source holds each part.
	scoped := s
	scoped.json, scoped.version = map[string]any{"prometheusUrl": s.json["prometheusUrl"], "scope": []map[string]string{{"label": "namespace", "value": "pay"}}}, 7
	got := ask(scoped, stored("auto"), nil)
	require.NoError(t, got.Error)
	require.Contains(t, got.Frames[0].Meta.ExecutedQueryString, `namespace="pay"`)
	require.Len(t, got.Frames, 1, "cart is in another namespace: nothing is found")
	for i := range got.Frames[0].Rows() {
		require.Equal(t, "no sign", got.Frames[0].Fields[1].At(i))
	}

	require.Contains(t, mustJSON(t, ask(s, map[string]any{"question": "what is wrong with nosuchthing"}, nil).Frames[0].Meta), "nothing here is known")
}

func explainBundle(t *testing.T, p *Plugin, s source, question string) map[string]any {
	t.Helper()
	code, body := p.send(t, s, "POST", "explain", []byte(mustJSON(t, map[string]any{"ask": map[string]any{"question": question}, "from": prometheustest.FleetStart.UnixMilli(), "to": prometheustest.FleetEnd.UnixMilli()})))
	require.Equal(t, 200, code, body)
	var e map[string]any
	require.NoError(t, json.Unmarshal([]byte(body), &e))
	require.NotContains(t, e, "refused", body)
	for _, name := range []string{"alternatives", "stored", "answer", "warnings"} {
		delete(e, name)
	}
	return e
}

// What names a time by the clock is worked out when the stored query runs, in the zone of whoever asked.
func storedTimes(t *testing.T, p *Plugin, s source) {
	end := prometheustest.FleetEnd
	executed := func(f map[string]any, to time.Time) (string, *data.Frame) {
		t.Helper()
		one := askTarget(map[string]any{"question": f["question"], "frozen": f})
		one.from, one.to = to.Add(-time.Hour), to
		got, err := p.query(t, s, one)
		require.NoError(t, err)
		require.NoError(t, got["A"].Error)
		return got["A"].Frames[0].Meta.ExecutedQueryString, got["A"].Frames[0]
	}
	explain := func(question, zone string) map[string]any {
		t.Helper()
		code, body := p.send(t, s, "POST", "explain", []byte(mustJSON(t, map[string]any{"ask": map[string]any{"question": question, "timezone": zone, "utcOffset": 120}, "to": end.UnixMilli()})))
		require.Equal(t, 200, code, body)
		var e map[string]any
		require.NoError(t, json.Unmarshal([]byte(body), &e))
		require.NotContains(t, e, "refused", body)
		for _, name := range []string{"alternatives", "stored"} {
			delete(e, name)
		}
		return e
	}
	midnight := end.UTC().Truncate(24 * time.Hour)
	f := explain("restarts by pod since midnight", "UTC")
	require.Equal(t, "since midnight", f["when"])
	require.Equal(t, "UTC", f["zone"])
	require.InDelta(t, end.UnixMilli(), f["asked"], 0)
	then, _ := executed(f, end)
	require.Contains(t, then, "["+model.Duration(end.Sub(midnight)).String()+"]")
	next, _ := executed(f, midnight.Add(24*time.Hour+90*time.Minute))
	require.Contains(t, next, "[1h30m]", "as long as the day is old")
	require.Equal(t, next, first(executed(f, midnight.Add(24*time.Hour+90*time.Minute))))

	graph := explain("graph of memory of cart since midnight", "Europe/Berlin")
	_, frame := executed(graph, midnight.Add(25*time.Hour)) // two o'clock there
	require.Equal(t, "Europe/Berlin", graph["zone"])
	require.NotEmpty(t, frame.Meta.ExecutedQueryString)

	// A zone that nobody knows is its offset; the length of what names no clock stays.
	require.Equal(t, "+02:00", explain("restarts by pod since midnight", "Mars/Olympus")["zone"])
	require.NotContains(t, explain("restarts by pod in the last 3 hours", "UTC"), "when")
}

func first(text string, _ *data.Frame) string { return text }
