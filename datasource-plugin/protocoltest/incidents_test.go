package protocoltest

import (
	"fmt"
	"net/url"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/datasource-plugin/prometheustest"
	"github.com/portent-dev/portent/internal/incidentapi"
)

func incidentsTarget(model map[string]any) target {
	return target{
		refID: "A", model: map[string]any{"queryType": "incidents", "incidents": model},
		from: prometheustest.FleetStart, to: prometheustest.FleetEnd,
	}
}

func TestIncidents(t *testing.T) {
	p := start(t)
	receiver := serveReceiver(t, incidents()...)
	receiver.token = "tok"
	s := source{json: map[string]any{
		"receiverUrl": receiver.url, "connections": map[string]any{"receiver": map[string]any{"auth": "bearer"}},
	}, secrets: map[string]string{"receiverToken": "tok"}}

	for _, q := range []struct {
		name  string
		model map[string]any
	}{
		{"incidents-table", map[string]any{}},
		{"incidents-table-open-critical", map[string]any{"status": "open", "severity": []string{"critical"}}},
		{"incidents-table-by-label", map[string]any{"matchers": matchers("namespace", "=~", "shop|batch")}},
		{"incidents-table-without-label", map[string]any{"matchers": matchers("namespace", "=", "")}},
		{"incidents-table-none", map[string]any{"matchers": matchers("namespace", "=", "none")}},
		{"incidents-table-limit", map[string]any{"limit": 1}},
		{"incidents-numeric", map[string]any{"view": "numeric", "limit": 1}},
		{"incidents-annotations", map[string]any{"view": "annotations"}},
	} {
		t.Run(q.name, func(t *testing.T) {
			got, err := p.query(t, s, incidentsTarget(q.model))
			require.NoError(t, err)
			require.NoError(t, got["A"].Error)
			requireContract(t, got["A"])
			requireGolden(t, q.name, got["A"], receiver.url, "http://receiver")
		})
	}
}

// An address that the administrator gave for browsers wins over that which the receiver has of itself.
func TestIncidentLinks(t *testing.T) {
	p := start(t)
	receiver := serveReceiver(t, incidents()...)
	s := source{json: map[string]any{"receiverUrl": receiver.url, "receiverLinkUrl": "https://gate.example.org/portent/"}}
	got, err := p.query(t, s, incidentsTarget(nil))
	require.NoError(t, err)
	require.NoError(t, got["A"].Error)
	pages, _ := got["A"].Frames[0].FieldByName("Incident page")
	require.Equal(t, "https://gate.example.org/portent/incidents/01J6", pages.At(0))
	require.Equal(t, "https://gate.example.org/portent/incidents/a%2F..%2Fb%3Fc", pages.At(1))
}

// Pages are read until the limit is full, and no further than maxScanned.
func TestIncidentPages(t *testing.T) {
	many := make([]incidentapi.Incident, 0, 7000)
	for i := range cap(many) {
		one := incidents()[1]
		one.ID = fmt.Sprintf("id-%d", i)
		one.Severity = []string{"critical", "info"}[i%2]
		many = append(many, one)
	}
	p := start(t)
	receiver := serveReceiver(t, many...)
	s := source{json: map[string]any{"receiverUrl": receiver.url}}
	ask := func(model map[string]any) (int, string, int) {
		receiver.asked = nil
		got, err := p.query(t, s, incidentsTarget(model))
		require.NoError(t, err)
		require.NoError(t, got["A"].Error)
		notice := ""
		if n := got["A"].Frames[0].Meta.Notices; len(n) > 0 {
			notice = n[0].Text
		}
		return got["A"].Frames[0].Rows(), notice, len(receiver.asked)
	}
	rows, notice, calls := ask(map[string]any{"limit": 500})
	require.Equal(t, []any{500, 3}, []any{rows, calls})
	require.Contains(t, notice, "The newest 500 incidents are shown")
	rows, notice, calls = ask(map[string]any{"limit": 1000, "severity": []string{"info"}})
	require.Equal(t, []any{1000, 11}, []any{rows, calls})
	require.Contains(t, notice, "The newest 1000")
	rows, notice, calls = ask(map[string]any{"severity": []string{"warning"}})
	require.Equal(t, []any{0, 25}, []any{rows, calls})
	require.Contains(t, notice, "Only the newest 5000 incidents were looked at")
	require.True(t, slices.ContainsFunc(receiver.asked, func(q url.Values) bool { return q.Get("cursor") == "4800" }))
}
