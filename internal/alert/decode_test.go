package alert_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/alert"
	"github.com/portent-dev/portent/internal/spectest"
)

func file(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return b
}

func TestDecode(t *testing.T) {
	p, err := alert.Decode(file(t, "first.json"), alert.DefaultLimits())
	require.NoError(t, err)
	require.Equal(t, alert.Payload{
		Receiver: "ops.on-call+eu", Status: alert.Firing, GroupKey: `{}/{team="shop"}:{alertname="MemoryPressure"}`,
		ExternalURL: "http://am-0:9093", Reason: "first notification",
		GroupLabels: map[string]string{"alertname": "MemoryPressure"}, CommonLabels: map[string]string{"alertname": "MemoryPressure"},
		CommonAnnotations: map[string]string{}, RouteLabels: map[string]string{"team": "shop"},
		Alerts: []alert.Alert{{
			Status: alert.Firing,
			Labels: map[string]string{
				"alertname": "MemoryPressure", "cluster": "prod-us-east-1", "namespace": "frontend-api", "pod": "api-7d9f", "severity": "warning",
			},
			Annotations:  map[string]string{"description": "working set 93 % of the limit <pod> & growing", "runbook_url": "https://runbooks.example/memory"},
			StartsAt:     time.Date(2026, 11, 22, 8, 15, 30, 123456789, time.UTC),
			GeneratorURL: "http://prometheus:9090/graph?g0.expr=anomaly_score+%3E+1", Fingerprint: "0f6c3b1a5d2e4978",
		}},
	}, p)

	p, err = alert.Decode(file(t, "truncated.json"), alert.DefaultLimits())
	require.NoError(t, err)
	require.Equal(t, 17, p.TruncatedAlerts)
	require.Equal(t, time.Date(2026, 11, 22, 8, 15, 30, 0, time.UTC), p.Alerts[0].StartsAt, "in UTC")
	require.Equal(t, alert.Resolved, p.Alerts[1].Status)
	require.Equal(t, time.Date(2026, 11, 22, 8, 14, 0, 0, time.UTC), p.Alerts[1].EndsAt)
}

// The sample that Alertmanager's own code made, and the schema of its payload.
func TestDecodeAgainstTheSpecification(t *testing.T) {
	dir := filepath.Join(spectest.Dir(t), "inbound")
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(dir, "alertmanager-webhook-v4.schema.json"))
	require.NoError(t, err)
	for _, path := range []string{filepath.Join(dir, "sample-alertmanager-webhook.json"), "testdata/first.json", "testdata/truncated.json"} {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(b)))
		require.NoError(t, err)
		require.NoError(t, schema.Validate(v), path)
		p, err := alert.Decode(b, alert.DefaultLimits())
		require.NoError(t, err, path)
		require.NotEmpty(t, p.Alerts)
	}
}

// one returns a payload with one alert, to which edit was applied.
func one(t testing.TB, edit func(payload, a map[string]any)) []byte {
	t.Helper()
	a := map[string]any{
		"status": "firing", "labels": map[string]any{"alertname": "X"}, "annotations": map[string]any{},
		"startsAt": "2026-11-22T08:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": "a350557aa430340e",
	}
	p := map[string]any{"version": "4", "groupKey": "{}:{}", "status": "firing", "receiver": "r", "externalURL": "http://am", "alerts": []any{a}}
	edit(p, a)
	b, err := json.Marshal(p)
	require.NoError(t, err)
	return b
}

func TestDecodeTolerates(t *testing.T) {
	decode := func(edit func(p, a map[string]any)) alert.Payload {
		t.Helper()
		p, err := alert.Decode(one(t, edit), alert.DefaultLimits())
		require.NoError(t, err)
		return p
	}
	p := decode(func(p, a map[string]any) { p["tomorrow"] = []int{1}; a["x"] = nil; delete(p, "groupKey") })
	require.Len(t, p.Alerts, 1, "unknown and missing keys")

	p = decode(func(_, a map[string]any) { delete(a, "fingerprint") })
	require.Equal(t, model.LabelSet{"alertname": "X"}.Fingerprint().String(), p.Alerts[0].Fingerprint)

	p = decode(func(_, a map[string]any) { a["endsAt"] = "2026-11-22T08:05:00Z" })
	require.True(t, p.Alerts[0].EndsAt.IsZero(), "a firing alert has not ended")

	p = decode(func(_, a map[string]any) { a["status"] = "resolved"; a["endsAt"] = "2026-11-22T07:00:00Z" })
	require.Equal(t, p.Alerts[0].StartsAt, p.Alerts[0].EndsAt, "an end before the start is the start")

	p = decode(func(_, a map[string]any) { a["status"] = "resolved" })
	require.True(t, p.Alerts[0].EndsAt.IsZero(), "resolved without a time")

	p = decode(func(_, a map[string]any) { a["startsAt"] = "2099-01-01T00:00:00Z" })
	require.Equal(t, 2099, p.Alerts[0].StartsAt.Year(), "clocks differ: the future is not hopeless")

	p = decode(func(p, _ map[string]any) { p["truncatedAlerts"] = -3 })
	require.Zero(t, p.TruncatedAlerts)

	p = decode(func(p, _ map[string]any) { p["alerts"] = []any{} })
	require.Empty(t, p.Alerts)

	raw := strings.Replace(string(one(t, func(_, _ map[string]any) {})), `"X"`, "\"a\xff\xfeb\"", 1)
	q, err := alert.Decode([]byte(raw), alert.DefaultLimits())
	require.NoError(t, err)
	require.Equal(t, "a\uFFFD\uFFFDb", q.Alerts[0].Labels["alertname"], "invalid UTF-8 is repaired")
}

func TestDecodeRefuses(t *testing.T) {
	edit := func(f func(p, a map[string]any)) string { return string(one(t, f)) }
	tests := []struct {
		name, body string
		reason     alert.Reason
		text       string // in the error
	}{
		{"empty", "", alert.ReasonEmpty, "an empty body"},
		{"blank", " \n\t", alert.ReasonEmpty, "an empty body"},
		{"HTML", "<html><body>502</body></html>", alert.ReasonNotJSON, "HTML"},
		{"text", "hello", alert.ReasonNotJSON, "line 1, column 1"},
		{"cut off", `{"version":"4",` + "\n" + `"alerts":[{"sta`, alert.ReasonNotJSON, "line 2, column 15"},
		{"two values", `{"version":"4","alerts":[]}{}`, alert.ReasonNotJSON, "line 1"},
		{"number", "7", alert.ReasonBadType, "a JSON number, want an object"},
		{"API v2 list", `[{"labels":{}}]`, alert.ReasonBadType, "a list"},
		{"custom payload", `{"text":"X is firing"}`, alert.ReasonVersion, "version: got nothing"},
		{"Grafana", `{"version":"1","alerts":[]}`, alert.ReasonVersion, `version "\"1\""`},
		{"future version", `{"version":"5","alerts":{}}`, alert.ReasonVersion, `want "4"`},
		{"numeric version", `{"version":4}`, alert.ReasonVersion, `want "4"`},
		{"huge version", `{"version":"` + strings.Repeat("x", 5000) + `"}`, alert.ReasonVersion, `…`},
		{"no alerts", `{"version":"4"}`, alert.ReasonMissing, "alerts: got nothing"},
		{"alerts is an object", `{"version":"4","alerts":{}}`, alert.ReasonBadType, "alerts: got a JSON object, want a list"},
		{"alert is a number", `{"version":"4","alerts":[1]}`, alert.ReasonBadType, "want an object"},
		{"fraction of alerts", `{"version":"4","alerts":[],"truncatedAlerts":1.5}`, alert.ReasonBadType, "truncatedAlerts: got a JSON number 1.5, want a whole number"},
		{"label is a number", edit(func(_, a map[string]any) { a["labels"] = map[string]any{"n": 1} }), alert.ReasonBadType, "alerts.labels: got a JSON number, want text"},
		{"status", edit(func(_, a map[string]any) { a["status"] = "pending" }), alert.ReasonBadValue, `alerts[0].status: got "pending"`},
		{"no labels", edit(func(_, a map[string]any) { a["labels"] = nil }), alert.ReasonMissing, "alerts[0].labels"},
		{"fingerprint", edit(func(_, a map[string]any) { a["fingerprint"] = "A350557AA430340E" }), alert.ReasonBadValue, "16 lower-case hex digits"},
		{"short fingerprint", edit(func(_, a map[string]any) { a["fingerprint"] = "a3" }), alert.ReasonBadValue, "16 lower-case hex digits"},
		{"no start", edit(func(_, a map[string]any) { delete(a, "startsAt") }), alert.ReasonMissing, "alerts[0].startsAt"},
		{"zero start", edit(func(_, a map[string]any) { a["startsAt"] = "0001-01-01T00:00:00Z" }), alert.ReasonMissing, "alerts[0].startsAt"},
		{"bad start", edit(func(_, a map[string]any) { a["startsAt"] = "yesterday" }), alert.ReasonBadValue, `got "yesterday", want an RFC 3339 time`},
		{"bad end", edit(func(_, a map[string]any) { a["endsAt"] = "1969-01-01T00:00:00Z" }), alert.ReasonBadValue, "alerts[0].endsAt"},
		{"year 9999", edit(func(_, a map[string]any) { a["startsAt"] = "9999-01-01T00:00:00Z" }), alert.ReasonBadValue, "between 1970 and 2262"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := alert.Decode([]byte(tt.body), alert.DefaultLimits())
			var e *alert.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, tt.reason, e.Reason)
			require.Contains(t, e.Error(), tt.text)
			require.NotEmpty(t, e.Hint())
			require.Less(t, len(e.Error()), 500, "hostile text is cut")
			require.Contains(t, alert.Reasons(), e.Reason)
		})
	}
}

func TestDecodeLimits(t *testing.T) {
	body := one(t, func(p, a map[string]any) { p["alerts"] = []any{a, a, a} })
	for _, lim := range []alert.Limits{
		{MaxBytes: len(body) - 1, MaxAlerts: 3, MaxLabels: 1},
		{MaxBytes: len(body), MaxAlerts: 2, MaxLabels: 1},
		{MaxBytes: len(body), MaxAlerts: 3, MaxLabels: 0},
	} {
		_, err := alert.Decode(body, lim)
		var e *alert.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, alert.ReasonTooLarge, e.Reason)
	}
	_, err := alert.Decode(body, alert.Limits{MaxBytes: len(body), MaxAlerts: 3, MaxLabels: 1})
	require.NoError(t, err)
}

func TestReceiverName(t *testing.T) {
	f := func(wire, want string) {
		t.Helper()
		p, err := alert.Decode(one(t, func(p, _ map[string]any) { p["receiver"] = wire }), alert.DefaultLimits())
		require.NoError(t, err)
		require.Equal(t, want, p.Receiver)
	}
	f(`plain`, `plain`)
	f(`a\.b-c`, `a.b-c`)
	f(`team/\(eu\)\+\\x`, `team/(eu)+\x`)
	f(`not.quoted\d`, `not.quoted\d`)
	f(`ends\`, `ends\`)
}

func FuzzDecode(f *testing.F) {
	f.Add(file(f, "first.json"))
	f.Add(file(f, "truncated.json"))
	f.Add([]byte(`{"version":"4","alerts":[{"status":"resolved","labels":{"":"\u0000"},"startsAt":"1970-01-01T00:00:01Z"}]}`))
	f.Add([]byte(`{"version":"1"}`))
	f.Add([]byte(`[`))
	lim := alert.Limits{MaxBytes: 1 << 20, MaxAlerts: 100, MaxLabels: 20}
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := alert.Decode(body, lim)
		if err != nil {
			var e *alert.Error
			require.ErrorAs(t, err, &e)
			require.NotEmpty(t, e.Reason)
			require.Less(t, len(e.Error()), 1000)
			return
		}
		require.LessOrEqual(t, len(p.Alerts), lim.MaxAlerts)
		for _, a := range p.Alerts {
			require.Len(t, a.Fingerprint, 16)
			require.NotEmpty(t, a.Labels)
			require.Equal(t, a.StartsAt.UnixNano(), time.Unix(0, a.StartsAt.UnixNano()).UnixNano())
			require.True(t, a.StartsAt.After(time.Unix(0, 0)))
			require.False(t, a.Status == alert.Firing && !a.EndsAt.IsZero())
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{1, 20} {
		b.Run(fmt.Sprintf("alerts=%d", n), func(b *testing.B) {
			var p map[string]any
			require.NoError(b, json.Unmarshal(file(b, "first.json"), &p))
			a := p["alerts"].([]any)[0]
			p["alerts"] = nil
			var as []any
			for range n {
				as = append(as, a)
			}
			p["alerts"] = as
			body, err := json.Marshal(p)
			require.NoError(b, err)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := alert.Decode(body, alert.DefaultLimits()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/alert")
		})
	}
}
