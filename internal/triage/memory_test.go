package triage

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
)

// In a storm that lasts, incidents that ended are forgotten before their time, the oldest first. Open ones never are.
func TestMemoryIsBounded(t *testing.T) {
	tr, err := New(DefaultPolicy(), nil, nil)
	require.NoError(t, err)
	tr.most = 100
	begin := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	for n := range 60 {
		at := begin.Add(time.Duration(n) * time.Second)
		i := incident.Incident{ID: fmt.Sprintf("i%02d", n), Status: incident.StatusResolved, UpdatedAt: at, EndedAt: at}
		a := incident.Alert{Status: incident.AlertResolved, StartsAt: at, EndsAt: at}
		if n%6 == 0 {
			i.Status, i.EndedAt, i.Firing, a.Status = incident.StatusOpen, time.Time{}, 3, incident.AlertFiring
		}
		for k := range 3 {
			a.Fingerprint = fmt.Sprintf("%d-%d", n, k)
			i.Alerts = append(i.Alerts, a)
		}
		tr.add(i)
	}
	require.Equal(t, 180, tr.stats.Alerts)
	tr.trim()
	require.LessOrEqual(t, tr.stats.Alerts, 90)
	require.Len(t, tr.alerts, tr.stats.Alerts)
	require.NotContains(t, tr.incidents, "i01")
	require.Contains(t, tr.incidents, "i59")
	for n := 0; n < 60; n += 6 {
		require.Contains(t, tr.incidents, fmt.Sprintf("i%02d", n))
	}
}

// When that is not enough, open incidents keep those that fire and how they began, and know how many there were.
func TestMemoryOfOpenIncidentsIsBounded(t *testing.T) {
	tr, err := New(DefaultPolicy(), nil, nil)
	require.NoError(t, err)
	tr.most = 100
	begin := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	for n := range 3 {
		i := incident.Incident{ID: fmt.Sprintf("i%d", n), Status: incident.StatusOpen, Firing: 5, Total: 60, UpdatedAt: begin.Add(time.Hour)}
		for k := range 60 {
			a := incident.Alert{Fingerprint: fmt.Sprintf("%d-%d", n, k), Status: incident.AlertResolved, StartsAt: begin, EndsAt: begin.Add(time.Duration(k) * time.Minute)}
			if k%12 == 11 {
				a.Status, a.EndsAt = incident.AlertFiring, time.Time{}
			}
			i.Alerts = append(i.Alerts, a)
		}
		tr.add(i)
	}
	tr.trim()
	require.LessOrEqual(t, tr.stats.Alerts, 90)
	require.Len(t, tr.alerts, tr.stats.Alerts)
	first, last := tr.incidents["i0"], tr.incidents["i2"]
	require.Equal(t, 60, first.size())
	require.Len(t, first.members, 15, "ten, and those that fire")
	require.Equal(t, 5, first.firing())
	require.Zero(t, first.gone.firing)
	require.Equal(t, begin.Add(58*time.Minute), first.lastEnd())
	require.Len(t, last.members, 60, "the youngest is needed most")
}
