package triage_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/triage"
)

// patient is a world with the holds of the default policy and no baseline.
func patient(t *testing.T) *world {
	return newWorld(t, func(p *triage.Policy) {
		*p = triage.DefaultPolicy()
		p.Baseline = 0
	})
}

func TestALoneWarningWaits(t *testing.T) {
	w := patient(t)
	w.send(1, al{slow, 0, 0})
	w.flush(119.9)
	require.Empty(t, w.tasks)
	w.flush(120)
	require.Equal(t, "create", w.kinds())

	w = patient(t)
	w.send(1, al{slow, 0, 0})
	w.send(120, al{slow, 0, 119})
	w.flush(200)
	require.Empty(t, w.tasks, "it did not last")
	require.Equal(t, incident.StatusResolved, w.only().Status)
}

func TestACriticalAlertDoesNotWait(t *testing.T) {
	w := patient(t)
	w.send(1, al{down, 0.5, 0})
	require.Equal(t, "create", w.kinds())
}

func TestTwoWarningsWaitLess(t *testing.T) {
	w := patient(t)
	w.send(2, al{slow, 0, 0}, al{"Errors cluster=c1 namespace=shop service=api severity=warning", 1, 0})
	w.flush(24.9)
	require.Empty(t, w.tasks)
	w.flush(25)
	require.Equal(t, "create", w.kinds())
}

// An alert that comes and goes is news in company, though it never lasts.
func TestWhatKeepsComingGetsATicket(t *testing.T) {
	const link, readiness = "LinkFlaps cluster=c1 node=n7 severity=warning", "NodeFlaps cluster=c1 node=n7 severity=warning"
	w := patient(t)
	for n := range 3 {
		at := float64(10 * n)
		w.send(at+1, al{link, at, 0}, al{readiness, 2, 0})
		w.send(at+5, al{link, at, at + 4})
		if n < 2 {
			require.Empty(t, w.tasks)
		}
	}
	require.Equal(t, "create", w.kinds())
}

// An exporter that moves gives a chronic alert another fingerprint, not another life.
func TestAMovedExporterIsNoNews(t *testing.T) {
	w := patient(t)
	old := "HpaMaxed cluster=c1 namespace=shop hpa=collector instance=10.0.0.1:8443 severity=warning"
	moved := "HpaMaxed cluster=c1 namespace=shop hpa=collector instance=10.0.0.9:8443 severity=warning"
	w.text = "HPA shop/collector runs at max replicas"
	w.send(1, al{old, 0, 0})
	w.flush(200)
	require.Equal(t, "create", w.kinds())
	w.send(700, al{moved, 699, 0})
	w.send(701, al{old, 0, 700})
	w.flush(1200)
	require.Equal(t, 1, strings.Count(w.kinds(), "create"), "the same alert, known for hours")
}

// What is held comes out the same whether time passes between or not.
func TestAHoldGoesByTheTimesOfAlerts(t *testing.T) {
	w := patient(t)
	w.send(160, al{slow, 0, 130})
	require.Equal(t, "create resolve", w.kinds())
}

func TestFlappingWarningsGetNoTicket(t *testing.T) {
	w := patient(t)
	for n := range 20 { // every half an hour for 20 minutes
		m := float64(30 * n)
		w.send(m+1, al{slow, m, 0})
		w.send(m+21, al{slow, m, m + 20})
	}
	require.Empty(t, w.tasks)
	w.send(601, al{slow, 600, 0}) // and now it stays
	w.flush(700)
	require.Empty(t, w.tasks, "nobody needs to be told that it fires")
}

func TestBaselineWarningsGetNoTicket(t *testing.T) {
	w := newWorld(t, func(p *triage.Policy) { *p = triage.DefaultPolicy() })
	w.send(1, al{slow, -3000, 0})
	w.flush(300)
	require.Empty(t, w.tasks)
	w.send(301, al{down, 300, 0})
	require.Equal(t, "create", w.kinds())
}

const throttled = "Throttled cluster=c1 namespace=shop service=api severity=info"

// Informational alerts open nothing, but join what they are a sign of.
func TestInformationBearsWitness(t *testing.T) {
	w := patient(t)
	w.send(1, al{throttled, 0, 0})
	require.Empty(t, w.incidents)
	w.send(2, al{slow, 1, 0})
	require.Equal(t, 2, w.only().Total)
	w.flush(26)
	require.Equal(t, "create", w.kinds(), "two signs that belong together")
	for _, a := range w.alerts {
		require.Equal(t, w.only().ID, a.IncidentID)
	}

	w = patient(t)
	w.send(1, al{throttled, 0, 0})
	w.send(2, al{throttled, 0, 1.5})
	w.send(500, al{"Other cluster=c1 severity=critical", 499, 0})
	require.Equal(t, 1, w.only().Total)
	for _, a := range w.alerts {
		if a.Name() == "Throttled" {
			require.Equal(t, "kept out by rule info: informational", a.Why)
		}
	}
}

func TestWhyAnAlertBelongs(t *testing.T) {
	w := newWorld(t)
	w.send(1, al{slow, 0, 0})
	w.send(2, al{down, 1.5, 0})
	for _, a := range w.only().Alerts {
		if a.Name() == "Down" {
			require.Contains(t, a.Why, "shares api with Slow")
			require.Contains(t, a.Why, "same namespace shop")
			require.Contains(t, a.Why, "began within 2 min of Slow")
		}
	}
}

// Whatever comes in whatever order: every alert is in one incident, and no
// incident with a ticket is merged away or left without alerts.
func FuzzRegroup(f *testing.F) {
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz"))
	f.Add([]byte{0, 1, 2, 3, 250, 251, 9, 9, 9, 30, 31, 200, 7})
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 60 {
			in = in[:60]
		}
		w := newWorld(t)
		clock := 1.0
		for i, b := range in {
			start := clock - float64(b%5)
			a := al{"Rule" + string(rune('A'+b%6)) + " cluster=c1 namespace=n" + string(rune('0'+b%3)) + " service=s" + string(rune('0'+b%4)), start, 0}
			if b%7 == 0 {
				a.end = clock
			}
			if b%2 == 0 {
				a.labels += " severity=critical"
			}
			w.send(clock, a)
			clock += float64(in[(i*3+1)%len(in)] % 40)
			if b%11 == 0 {
				w.flush(clock)
			}
		}
		for id, i := range w.incidents {
			if len(i.Trackers) > 0 {
				require.Empty(t, i.MergedInto)
				require.NotEmpty(t, w.get(id).Alerts, "%s", strings.Join(w.events[id], "\n"))
			}
		}
		for _, a := range w.alerts {
			require.NotEmpty(t, a.IncidentID)
			require.Empty(t, w.incidents[a.IncidentID].MergedInto)
		}
	})
}
