package triage_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/triage"
)

func TestPreview(t *testing.T) {
	p := triage.DefaultPolicy()
	p.Suppress = append(p.Suppress, triage.SuppressRule{Name: "typo", Matchers: []string{`namspace="shop"`}}, triage.SuppressRule{Name: "batch", Matchers: []string{`namespace=~"batch.*"`}})
	p.Maintenance = []triage.Window{{Name: "upgrade", Matchers: []string{`namespace="shop"`}, Starts: at(10), Ends: at(20), Reason: "upgrade"}}
	alert := func(name, namespace, severity string, minute float64) incident.Alert {
		return incident.Alert{StartsAt: at(minute), Labels: map[string]string{"alertname": name, "namespace": namespace, "severity": severity}}
	}
	got, err := triage.Preview(p, []incident.Alert{
		alert("A", "batch-1", "warning", 0), alert("B", "batch", "warning", 0), alert("B", "batch", "warning", 1),
		alert("C", "shop", "warning", 9), alert("C", "shop", "warning", 10), alert("Watchdog", "", "none", 0),
	})
	require.NoError(t, err)
	by := map[string]triage.RuleMatch{}
	for _, m := range got {
		by[m.Rule] = m
	}
	require.Len(t, got, len(p.Suppress)+1)
	require.Equal(t, triage.RuleMatch{Rule: "batch", Matches: 3, Examples: []string{"A", "B"}}, by["batch"])
	require.Equal(t, triage.RuleMatch{Rule: "upgrade", Matches: 1, Examples: []string{"C"}}, by["upgrade"])
	require.Equal(t, 1, by["heartbeat"].Matches, "the first that matches counts")
	require.Zero(t, by["none"].Matches)
	require.Zero(t, by["typo"].Matches)

	p.Suppress[0].Matchers = nil
	_, err = triage.Preview(p, nil)
	require.ErrorContains(t, err, "suppress[0].matchers")
}
