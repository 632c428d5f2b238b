package triage

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
)

// What a ticket told of and is over does not leave for an incident that nobody is told of.
func TestWhatATicketToldOfStaysWhereItWasTold(t *testing.T) {
	tr, err := New(DefaultPolicy(), nil, nil)
	require.NoError(t, err)
	told := &group{Incident: incident.Incident{Trackers: []string{"jira"}}}
	start := time.Unix(1_700_000_000, 0)
	over := func(name, severity string) *known {
		return &known{group: told, Alert: incident.Alert{
			Fingerprint: name, StartsAt: start, EndsAt: start.Add(3 * time.Minute), Status: incident.AlertResolved,
			Labels: map[string]string{"alertname": name, "severity": severity},
		}}
	}
	a, b := over("TapeSlow", "warning"), over("RobotStuck", "warning")
	require.True(t, tr.quiet([]*known{a, b}, nil))
	require.True(t, tr.quiet([]*known{a, b}, &group{}))
	require.False(t, tr.quiet([]*known{a, b}, &group{Incident: incident.Incident{Trackers: []string{"jira"}}}), "a ticket is there")
	require.False(t, tr.quiet([]*known{a, over("TapeBroken", "critical")}, nil), "it gets one of its own")
	b.Status = incident.AlertFiring
	require.False(t, tr.quiet([]*known{a, b}, nil), "it may get one yet")
	b.Status, b.joinUntold = incident.AlertResolved, true
	require.False(t, tr.quiet([]*known{a, b}, nil), "nobody was told of it")
}
