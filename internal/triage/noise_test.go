package triage_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/noise"
	"github.com/portent-dev/portent/internal/triage"
)

// What is kept out while people work on it is listed with the reason; ends still pass,
// and what outlives the work is an incident.
func TestMaintenance(t *testing.T) {
	w := newWorld(t, func(p *triage.Policy) {
		*p = prompt()
		p.Maintenance = []triage.Window{{Name: "db-upgrade", Matchers: []string{`cluster="c1"`, `namespace="shop"`}, Starts: at(10), Ends: at(60), Reason: "upgrade of the database"}}
	})
	const before, during = "Down cluster=c1 namespace=shop service=api severity=critical", "Errors cluster=c1 namespace=shop service=api severity=critical"
	w.send(1, al{before, 0, 0})
	w.send(20, al{during, 19, 0}, al{other, 18, 0})
	require.Len(t, w.incidents, 2, "what does not match is not kept out")
	kept := func() string {
		for _, a := range w.alerts {
			if a.Name() == "Errors" && a.IncidentID == "" {
				return a.Why
			}
		}
		return ""
	}
	require.Equal(t, "kept out by rule db-upgrade: maintenance: upgrade of the database", kept())
	w.send(30, al{before, 0, 29})
	w.flush(40)
	for _, i := range w.incidents {
		if i.Labels["namespace"] == "shop" && i.Labels["cluster"] == "c1" {
			require.Equal(t, incident.StatusResolved, i.Status, "ends pass")
		}
	}
	w.send(50, al{during, 19, 0})
	require.NotEmpty(t, kept())
	w.send(61, al{during, 19, 0})
	require.Empty(t, kept(), "it outlived the work")
}

func TestMaintenanceIsValidated(t *testing.T) {
	p := triage.DefaultPolicy()
	p.Maintenance = []triage.Window{{Name: "info", Matchers: []string{`a="b"`}, Starts: at(2), Ends: at(1)}, {Name: "x", Starts: at(1), Ends: at(2)}}
	err := p.Validate()
	require.ErrorContains(t, err, "maintenance[0].name")
	require.ErrorContains(t, err, "maintenance[0].ends")
	require.ErrorContains(t, err, "maintenance[1].matchers")
}

// What came is counted by rule and team with what became of it.
func TestNoiseIsCounted(t *testing.T) {
	w := newWorld(t)
	const chatty = "Chatty cluster=c1 namespace=shop severity=none team=shop"
	var cs []noise.Count
	send := func(m float64, as ...al) {
		n := w.note(m, nil, as...)
		c, err := w.tr.Process([]incident.Notification{n}, w)
		require.NoError(t, err)
		w.store(c)
		cs = append(cs, c.Noise...)
	}
	send(1, al{down, 0, 0}, al{chatty, 0, 0})
	send(2, al{down, 0, 0}, al{chatty, 0, 0})
	r := noise.Summarize(cs)
	require.EqualValues(t, 2, r.Notifications)
	require.Equal(t, []noise.Row{
		{Name: "Chatty", Figures: noise.Figures{Notices: 2, Alerts: 1, KeptOut: 1}},
		{Name: "Down", Figures: noise.Figures{Notices: 2, Alerts: 1, Incidents: 1, Tickets: 1}},
	}, r.Rules)
	require.Equal(t, []noise.Row{{Name: "none", Figures: noise.Figures{Notices: 2, Alerts: 1, KeptOut: 1}}}, r.Kept)
	require.Equal(t, at(0).Truncate(24*time.Hour), cs[0].Day)
}

// A label that changes with each alert does not fill the store.
func TestRulesOfADayAreBounded(t *testing.T) {
	w := newWorld(t)
	rules := map[string]bool{}
	for n := range 30 {
		var as []al
		for i := range 100 {
			as = append(as, al{"R" + string(rune('a'+n)) + string(rune('a'+i/26)) + string(rune('a'+i%26)) + " cluster=c1 severity=none", 0, 0})
		}
		c, err := w.tr.Process([]incident.Notification{w.note(1, nil, as...)}, w)
		require.NoError(t, err)
		w.store(c)
		for _, x := range c.Noise {
			rules[x.Rule] = true
		}
	}
	require.Len(t, rules, 2001)
	require.True(t, rules[noise.Others])
}
