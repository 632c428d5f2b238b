package triage_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/sqlstore"
	"github.com/portent-dev/portent/internal/triage"
)

// A runRig is a Runner over a real store, in virtual time.
type runRig struct {
	t     *testing.T
	w     *world // makes notifications
	store *sqlstore.Store
	r     *triage.Runner
	reg   *prometheus.Registry
	stop  func()
	start time.Time
}

func running(t *testing.T, edit func(*triage.RunnerOptions), f func(t *testing.T, r *runRig)) {
	t.Helper()
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "p.db")
	synctest.Test(t, func(t *testing.T) {
		r := &runRig{t: t, w: newWorld(t), start: time.Now()}
		var err error
		r.store, err = sqlstore.Open(t.Context(), sqlstore.Options{DSN: dsn, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
		require.NoError(t, err)
		r.begin(edit)
		f(t, r)
		r.stop()
		_, err = r.store.VerifyAudit(t.Context())
		require.NoError(t, err)
		require.NoError(t, r.store.Close())
	})
}

func (r *runRig) begin(edit func(*triage.RunnerOptions)) {
	r.reg = prometheus.NewRegistry()
	o := triage.RunnerOptions{
		Store: r.store, Policy: prompt(), Writer: words{}, Trackers: []string{"jira"},
		Logger: slog.New(slog.DiscardHandler), Registerer: r.reg,
	}
	if edit != nil {
		edit(&o)
	}
	var err error
	r.r, err = triage.NewRunner(o)
	require.NoError(r.t, err)
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = r.r.Run(ctx) }()
	r.stop = func() { cancel(); <-done }
}

// put stores a notification about alerts whose times are minutes from the start,
// and waits until it was judged. The clock of the bubble is the sender's.
func (r *runRig) put(clock bool, as ...al) {
	r.t.Helper()
	for i := range as { // from t0, which world counts from, to the start of the bubble
		as[i].start += r.start.Sub(t0).Minutes()
		if as[i].end != 0 {
			as[i].end += r.start.Sub(t0).Minutes()
		}
	}
	n := r.w.note(0, nil, as...)
	n.ReceivedAt, n.Clock = time.Now(), time.Time{}
	if clock {
		n.Clock = time.Now()
	}
	n.ID = 0
	require.NoError(r.t, r.store.Put(r.t.Context(), n))
	r.r.Wake()
	r.judged()
}

func (r *runRig) judged() {
	r.t.Helper()
	for range 1000 {
		n, err := r.store.Pending(r.t.Context())
		require.NoError(r.t, err)
		if n == 0 {
			return
		}
		pass(10 * time.Millisecond)
	}
	r.t.Fatal("notifications are not judged")
}

func (r *runRig) only() incident.Incident {
	r.t.Helper()
	is, _, err := r.store.List(r.t.Context(), incident.Query{})
	require.NoError(r.t, err)
	require.Len(r.t, is, 1)
	i, err := r.store.Get(r.t.Context(), is[0].ID)
	require.NoError(r.t, err)
	return i
}

func (r *runRig) kinds() string {
	r.t.Helper()
	ts, _, err := r.store.ListTasks(r.t.Context(), outbox.Query{})
	require.NoError(r.t, err)
	var out []string
	for i := len(ts) - 1; i >= 0; i-- {
		out = append(out, string(ts[i].Kind))
	}
	return strings.Join(out, " ")
}

func TestRunnerFromNoticeToTasks(t *testing.T) {
	var woken atomic.Int32
	running(t, func(o *triage.RunnerOptions) { o.Wrote = func() { woken.Add(1) } }, func(t *testing.T, r *runRig) {
		r.put(false, al{slow, 0, 0}, al{"Watchdog severity=none", 0, 0})
		require.Equal(t, incident.StatusOpen, r.only().Status)
		require.Equal(t, int32(1), woken.Load())
		pass(5 * time.Minute)
		r.put(false, al{slow, 0, 4.5})
		require.Equal(t, incident.StatusOpen, r.only().Status)
		pass(3 * time.Minute) // nothing comes, but time goes on
		require.Equal(t, incident.StatusResolved, r.only().Status)
		require.Equal(t, "create resolve", r.kinds())
		require.NoError(t, testutil.GatherAndCompare(r.reg, strings.NewReader(`
# HELP portent_receiver_triage_alerts_total Alerts in notifications, by what they meant.
# TYPE portent_receiver_triage_alerts_total counter
portent_receiver_triage_alerts_total{outcome="expired"} 0
portent_receiver_triage_alerts_total{outcome="late"} 0
portent_receiver_triage_alerts_total{outcome="new"} 1
portent_receiver_triage_alerts_total{outcome="refired"} 0
portent_receiver_triage_alerts_total{outcome="repeated"} 0
portent_receiver_triage_alerts_total{outcome="resolved"} 1
portent_receiver_triage_alerts_total{outcome="suppressed"} 1
# HELP portent_receiver_triage_incidents_total Incidents that opened, resolved and opened again.
# TYPE portent_receiver_triage_incidents_total counter
portent_receiver_triage_incidents_total{event="opened"} 1
portent_receiver_triage_incidents_total{event="reopened"} 0
portent_receiver_triage_incidents_total{event="resolved"} 1
# HELP portent_receiver_triage_rule_matches_total New alerts that a rule kept out of incidents.
# TYPE portent_receiver_triage_rule_matches_total counter
portent_receiver_triage_rule_matches_total{rule="heartbeat"} 1
portent_receiver_triage_rule_matches_total{rule="inhibitor"} 0
portent_receiver_triage_rule_matches_total{rule="info"} 0
portent_receiver_triage_rule_matches_total{rule="none"} 0
`), "portent_receiver_triage_alerts_total", "portent_receiver_triage_incidents_total", "portent_receiver_triage_rule_matches_total"))
	})
}

// shortLife lets alerts expire after ten minutes.
func shortLife(o *triage.RunnerOptions) { o.Policy.AlertTTL = model.Duration(10 * time.Minute) }

// Alertmanager restarts and forgets: nobody ever tells the end.
func TestRunnerEndsWhatIsNeverHeardOfAgain(t *testing.T) {
	running(t, shortLife, func(t *testing.T, r *runRig) {
		r.put(false, al{slow, 0, 0})
		pass(9 * time.Minute)
		require.Equal(t, incident.StatusOpen, r.only().Status)
		pass(2 * time.Minute)
		require.Equal(t, incident.StatusResolved, r.only().Status)
	})
}

func TestRunnerAfterARestart(t *testing.T) {
	running(t, shortLife, func(t *testing.T, r *runRig) {
		r.put(false, al{slow, 0, 0})
		r.stop()
		pass(24 * time.Hour) // the time that we were down says nothing about alerts
		r.begin(shortLife)
		pass(9 * time.Minute)
		require.Equal(t, incident.StatusOpen, r.only().Status)
		r.put(false, al{slow, 0, 25 * 60}, al{slow, 25*60 + 1, 0}, al{down, 25*60 + 1, 0})
		require.Equal(t, 3, r.only().Total)
		require.Equal(t, "create update", r.kinds())
	})
}

// A store that fails for a while: nothing is lost and nothing done twice.
type flaky struct {
	*sqlstore.Store
	fail atomic.Int32
}

func (f *flaky) Apply(ctx context.Context, c incident.Change) error {
	if f.fail.Add(-1) >= 0 {
		return fmt.Errorf("write: %w", incident.ErrFull)
	}
	return f.Store.Apply(ctx, c)
}

func TestRunnerWithAStoreThatFails(t *testing.T) {
	var f flaky
	running(t, func(o *triage.RunnerOptions) {
		f.Store = o.Store.(*sqlstore.Store)
		o.Store = &f
	}, func(t *testing.T, r *runRig) {
		f.fail.Store(3)
		r.put(false, al{slow, 0, 0})
		f.fail.Store(2)
		r.put(false, al{down, 0, 0}, al{slow, 0, 0})
		i := r.only()
		require.Equal(t, []int{2, 2}, []int{i.Firing, i.Total})
		require.Equal(t, "create update", r.kinds())
		require.InDelta(t, 5, value(t, r.reg, "portent_receiver_triage_failures_total"), 0)
	})
}

func value(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	ms, err := reg.Gather()
	require.NoError(t, err)
	for _, m := range ms {
		if m.GetName() == name {
			return m.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// brittle is a Writer with a mistake.
type brittle struct{ words }

func (brittle) Title(i incident.Incident) string {
	for _, a := range i.Alerts {
		if a.Name() == "Poison" {
			panic("index out of range")
		}
	}
	return words{}.Title(i)
}

func TestRunnerSetsAsideWhatMakesItPanic(t *testing.T) {
	running(t, func(o *triage.RunnerOptions) { o.Writer = brittle{} }, func(t *testing.T, r *runRig) {
		r.stop()
		var ns []incident.Notification
		for _, labels := range []string{slow, "Poison cluster=c1 namespace=shop service=api", down} {
			n := r.w.note(0, nil, al{labels, 0, 0})
			n.ReceivedAt, n.Clock = time.Now(), time.Time{}
			ns = append(ns, n)
		}
		require.NoError(t, r.store.Put(t.Context(), ns...)) // one batch
		r.begin(func(o *triage.RunnerOptions) { o.Writer = brittle{} })
		r.judged()
		require.Equal(t, 2, r.only().Total)
		aside, err := r.store.Aside(t.Context(), 10)
		require.NoError(t, err)
		require.Len(t, aside, 1)
		require.Contains(t, aside[0].Reason, "index out of range")
		require.Contains(t, string(aside[0].Body), "Poison")
	})
}

// A batch that the store refuses for a reason of its own holds nothing up.
type picky struct{ *sqlstore.Store }

func (p picky) Apply(ctx context.Context, c incident.Change) error {
	for _, a := range c.Alerts {
		if a.Name() == "Poison" {
			return errors.New("write change: value out of range")
		}
	}
	return p.Store.Apply(ctx, c)
}

func TestRunnerSetsAsideWhatTheStoreRefuses(t *testing.T) {
	choosy := func(o *triage.RunnerOptions) { o.Store = picky{o.Store.(*sqlstore.Store)} }
	running(t, choosy, func(t *testing.T, r *runRig) {
		r.stop()
		var ns []incident.Notification
		for _, labels := range []string{slow, "Poison cluster=c1", down} {
			n := r.w.note(0, nil, al{labels, 0, 0})
			n.ReceivedAt, n.Clock = time.Now(), time.Time{}
			ns = append(ns, n)
		}
		require.NoError(t, r.store.Put(t.Context(), ns...)) // one batch
		r.begin(choosy)
		r.judged()
		require.Equal(t, 2, r.only().Total)
		aside, err := r.store.Aside(t.Context(), 10)
		require.NoError(t, err)
		require.Len(t, aside, 1)
		require.Contains(t, aside[0].Reason, "value out of range")
	})
}

func TestRunnerReplay(t *testing.T) {
	running(t, func(o *triage.RunnerOptions) { shortLife(o); o.Replay = true }, func(t *testing.T, r *runRig) {
		r.put(true, al{slow, -10, 0})
		r.put(true, al{slow, -10, -1})
		pass(time.Second)
		require.Equal(t, incident.StatusOpen, r.only().Status, "the clock stands")
		pass(2 * time.Second)
		require.Equal(t, incident.StatusResolved, r.only().Status, "two quiet seconds: what waits is done")
		r.put(true, al{other, 0, 0})
		pass(15 * time.Minute)
		open, _, err := r.store.List(t.Context(), incident.Query{Status: incident.StatusOpen})
		require.NoError(t, err)
		require.Len(t, open, 1, "alerts do not expire by the wall clock")
	})
}

func TestDismissAndReopen(t *testing.T) {
	running(t, nil, func(t *testing.T, r *runRig) {
		_, err := r.r.Dismiss(t.Context(), "01none", "ada", "")
		require.ErrorIs(t, err, incident.ErrNotFound)

		r.put(false, al{slow, 0, 0})
		id := r.only().ID
		_, err = r.r.Reopen(t.Context(), id, "ada", "")
		require.ErrorIs(t, err, incident.ErrConflict, "it is open")
		got, err := r.r.Dismiss(t.Context(), id, "ada", "known")
		require.NoError(t, err)
		require.Equal(t, incident.StatusDismissed, got.Status)
		require.False(t, got.EndedAt.IsZero())
		_, err = r.r.Dismiss(t.Context(), id, "ada", "")
		require.ErrorIs(t, err, incident.ErrConflict)
		require.Equal(t, "create resolve", r.kinds())
		last := got.Timeline[len(got.Timeline)-1]
		require.Equal(t, "dismissed ada Dismissed by ada: known", last.Kind+" "+last.Actor+" "+last.Text)

		r.put(false, al{slow, 0, 0}, al{slow + " pod=b", 0, 0}) // more of the same stays dismissed
		require.Equal(t, incident.StatusDismissed, r.only().Status)
		require.Equal(t, "create resolve", r.kinds())

		got, err = r.r.Reopen(t.Context(), id, "bob", "not so")
		require.NoError(t, err)
		require.Equal(t, incident.StatusOpen, got.Status)
		require.False(t, got.Pinned, "its alerts fire: it goes by them")
		require.Equal(t, "create resolve reopen", r.kinds())
		r.put(false, al{slow, 0, 1}, al{slow + " pod=b", 0, 1})
		pass(5 * time.Minute)
		require.Equal(t, incident.StatusResolved, r.only().Status)

		got, err = r.r.Reopen(t.Context(), id, "bob", "still broken")
		require.NoError(t, err)
		require.True(t, got.Pinned)
		pass(10 * time.Minute)
		require.Equal(t, incident.StatusOpen, r.only().Status, "a person wants it open")
		_, err = r.r.Dismiss(t.Context(), id, "bob", "done")
		require.NoError(t, err)
		require.Equal(t, "create resolve reopen resolve reopen resolve", r.kinds())
	})
}

func TestANewProblemOpensBesideADismissedOne(t *testing.T) {
	running(t, nil, func(t *testing.T, r *runRig) {
		r.put(false, al{slow, 0, 0})
		id := r.only().ID
		_, err := r.r.Dismiss(t.Context(), id, "ada", "known")
		require.NoError(t, err)
		r.put(false, al{down, 0, 0})
		is, _, err := r.store.List(t.Context(), incident.Query{Status: incident.StatusOpen})
		require.NoError(t, err)
		require.Len(t, is, 1)
		require.NotEqual(t, id, is[0].ID)
		_, err = r.r.Reopen(t.Context(), id, "ada", "")
		require.NoError(t, err, "both may be open")
	})
}

func TestReconfigure(t *testing.T) {
	running(t, nil, func(t *testing.T, r *runRig) {
		p := prompt()
		p.AlertTTL = 0
		require.ErrorContains(t, r.r.Reconfigure(p, nil), "alert_ttl")
		p = prompt()
		p.Suppress = []triage.SuppressRule{{Name: "slow", Matchers: []string{`alertname="Slow"`}, Reason: "test"}}
		require.NoError(t, r.r.Reconfigure(p, func(incident.Incident) []string { return []string{"local"} }))
		r.put(false, al{slow, 0, 0}, al{down, 0, 0})
		i := r.only()
		require.Equal(t, 1, i.Total)
		require.Equal(t, []string{"local"}, i.Trackers)
	})
}
