package sqlstore_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incident/incidenttest"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/sqlstore"
)

var t0 = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)

// draft stores an incident with a held create and returns the task.
func draft(t *testing.T, s *sqlstore.Store, n int, gate incident.Gate, follow ...incident.TaskKind) outbox.Task {
	t.Helper()
	i := incidenttest.NewIncident(n)
	i.Trackers = []string{"jira"}
	create := incidenttest.NewTask(i.ID, "jira", incident.TaskCreate)
	create.Payload, create.Gate = json.RawMessage(`{"title":"a"}`), gate
	c := incident.Change{Incidents: []incident.Incident{i}, Tasks: []incident.Task{create}}
	for _, k := range follow {
		c.Tasks = append(c.Tasks, incidenttest.NewTask(i.ID, "jira", k))
	}
	require.NoError(t, s.Apply(t.Context(), c))
	ts := tasksOf(t, s, i.ID)
	return ts[len(ts)-1]
}

func tasksOf(t *testing.T, s *sqlstore.Store, id string) []outbox.Task {
	t.Helper()
	ts, _, err := s.ListTasks(t.Context(), outbox.Query{IncidentID: id})
	require.NoError(t, err)
	return ts
}

func due(t *testing.T, s *sqlstore.Store) []outbox.Task {
	t.Helper()
	ts, err := s.Claim(t.Context(), outbox.Claim{Now: time.Now().Add(time.Hour), Lease: time.Minute, Tracker: "jira", Limit: 10, Actor: "test"})
	require.NoError(t, err)
	return ts
}

var held = incident.Gate{
	Outcome: incident.GateHold, Phase: "draft", Rule: "r", Policy: "v1", Why: []string{"because"}, Approvals: 1, Expires: t0.Add(time.Hour), DecidedAt: t0,
}

func approval(t outbox.Task, actor string) outbox.Approval {
	return outbox.Approval{TaskID: t.ID, Actor: actor, Reason: "looks right", Hash: t.Hash, At: t0}
}

func TestADraftIsSentAsItWasApproved(t *testing.T) {
	both(t, func(t *testing.T, dsn func(testing.TB) string) {
		s := open(t, dsn(t))
		d := draft(t, s, 1, held, incident.TaskUpdate)
		require.Equal(t, outbox.StateHeld, d.State)
		require.Equal(t, incident.PayloadHash(d.Payload), d.Hash)
		require.Empty(t, d.Authorized)
		want := held
		want.Outcome = "" // what becomes of it is its state now
		require.Equal(t, want, d.Gate)
		require.Empty(t, due(t, s), "nobody approved it")
		st, err := s.Stats(t.Context())
		require.NoError(t, err)
		require.Empty(t, st.Todo, "what waits for a person is not what is to be done")

		a := approval(d, "ann")
		a.Hash = incident.PayloadHash(json.RawMessage(`{"title":"b"}`))
		_, _, err = s.Approve(t.Context(), a, incident.Feedback{})
		require.ErrorIs(t, err, outbox.ErrStale)
		require.ErrorIs(t, err, incident.ErrConflict)

		f := incident.Feedback{IncidentID: d.IncidentID, Cluster: "prod", Class: "DiskFull", Verdict: incident.VerdictConfirmed, Actor: "ann", At: t0}
		got, more, err := s.Approve(t.Context(), approval(d, "ann"), f)
		require.NoError(t, err)
		require.Zero(t, more)
		require.Equal(t, d.Hash, got.Authorized)
		ts := due(t, s)
		require.Len(t, ts, 1, "the comment waits for the ticket")
		require.Equal(t, d.Hash, ts[0].Authorized)
		require.True(t, ts[0].ByPerson)

		_, _, err = s.Approve(t.Context(), approval(d, "ann"), f)
		require.NoError(t, err, "a second click, when it is on its way")
		_, _, err = s.Approve(t.Context(), approval(d, "bob"), f)
		require.ErrorIs(t, err, outbox.ErrNotHeld, "somebody else came too late")
		as, err := s.ApprovalsOf(t.Context(), d.IncidentID)
		require.NoError(t, err)
		require.Len(t, as, 1)
		vs, err := s.Verdicts(t.Context(), "prod", "DiskFull", 10)
		require.NoError(t, err)
		require.Equal(t, []incident.Feedback{f}, vs)

		require.NoError(t, s.Finish(t.Context(), ts[0], outbox.Outcome{At: t0, Ticket: incident.Ticket{Tracker: "jira", Key: "OPS-1"}}))
		require.Len(t, due(t, s), 1, "the comment follows")
		var actions []string
		for _, r := range auditRecords(t, s) {
			actions = append(actions, r.Action)
		}
		require.Equal(t, []string{"ticket.approved", "ticket.create.before", "ticket.update.before"}, actions)
	})
}

func TestTwoPersons(t *testing.T) {
	both(t, func(t *testing.T, dsn func(testing.TB) string) {
		s := open(t, dsn(t))
		two := held
		two.Approvals = 2
		d := draft(t, s, 1, two)
		for range 2 {
			_, more, err := s.Approve(t.Context(), approval(d, "ann"), incident.Feedback{})
			require.NoError(t, err)
			require.Equal(t, 1, more, "the same person twice is one")
		}
		require.Empty(t, due(t, s))
		edited, err := s.Edit(t.Context(), outbox.Edit{TaskID: d.ID, Actor: "bob", Hash: d.Hash, Payload: json.RawMessage(`{"title":"c"}`), At: t0})
		require.NoError(t, err)
		require.NotEqual(t, d.Hash, edited.Hash)
		_, err = s.Edit(t.Context(), outbox.Edit{TaskID: d.ID, Actor: "cid", Hash: d.Hash, Payload: json.RawMessage(`{"title":"d"}`), At: t0})
		require.ErrorIs(t, err, outbox.ErrStale, "of a stale page")
		_, more, err := s.Approve(t.Context(), approval(edited, "bob"), incident.Feedback{})
		require.NoError(t, err)
		require.Equal(t, 1, more, "what ann approved was something else")
		_, more, err = s.Approve(t.Context(), approval(edited, "ann"), incident.Feedback{})
		require.NoError(t, err)
		require.Zero(t, more)
		ts := due(t, s)
		require.Len(t, ts, 1)
		require.JSONEq(t, `{"title":"c"}`, string(ts[0].Payload))
	})
}

func TestManyApproveAtOnce(t *testing.T) {
	both(t, func(t *testing.T, dsn func(testing.TB) string) {
		s := open(t, dsn(t))
		d := draft(t, s, 1, held)
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() { _, _, errs[i] = s.Approve(t.Context(), approval(d, fmt.Sprint("p", i)), incident.Feedback{}) })
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else {
				require.ErrorIs(t, err, incident.ErrConflict)
			}
		}
		require.Equal(t, 1, won)
		require.Len(t, due(t, s), 1)
	})
}

func TestDraftsThatNobodyWants(t *testing.T) {
	both(t, func(t *testing.T, dsn func(testing.TB) string) {
		s := open(t, dsn(t))
		d := draft(t, s, 1, held, incident.TaskUpdate)
		n, err := s.Lapse(t.Context(), t0.Add(time.Hour-1))
		require.NoError(t, err)
		require.Zero(t, n)
		n, err = s.Lapse(t.Context(), t0.Add(time.Hour))
		require.NoError(t, err)
		require.Equal(t, 1, n)
		_, _, err = s.Approve(t.Context(), approval(d, "ann"), incident.Feedback{})
		require.ErrorIs(t, err, outbox.ErrNotHeld, "it lapsed")
		for _, x := range tasksOf(t, s, d.IncidentID) {
			require.Equal(t, outbox.StateDropped, x.State)
		}

		d = draft(t, s, 2, held)
		inc, err := s.Get(t.Context(), d.IncidentID)
		require.NoError(t, err)
		inc.Status = incident.StatusDismissed
		require.NoError(t, s.Apply(t.Context(), incident.Change{Incidents: []incident.Incident{inc}, Tasks: []incident.Task{incidenttest.NewTask(inc.ID, "jira", incident.TaskResolve)}}))
		for _, x := range tasksOf(t, s, d.IncidentID) {
			require.Equal(t, outbox.StateDropped, x.State)
		}
		inc.Version++
		inc.Status = incident.StatusOpen
		require.NoError(t, s.Apply(t.Context(), incident.Change{Incidents: []incident.Incident{inc}}))
		_, _, err = s.Approve(t.Context(), approval(d, "ann"), incident.Feedback{})
		require.NoError(t, err, "it was reopened")
		require.Len(t, due(t, s), 1)
	})
}

func TestAMergedIncidentHasNoDraft(t *testing.T) {
	s := open(t, sqliteDSN(t))
	d := draft(t, s, 1, held)
	inc, err := s.Get(t.Context(), d.IncidentID)
	require.NoError(t, err)
	inc.MergedInto = "other"
	require.NoError(t, s.Apply(t.Context(), incident.Change{Incidents: []incident.Incident{inc}}))
	ts := tasksOf(t, s, d.IncidentID)
	require.Equal(t, outbox.StateDropped, ts[0].State)
	require.Equal(t, outbox.ReasonMerged, ts[0].Reason)
}

func TestWhatWouldHaveBeenDoneMayStillBe(t *testing.T) {
	both(t, func(t *testing.T, dsn func(testing.TB) string) {
		s := open(t, dsn(t))
		d := draft(t, s, 1, incident.Gate{Outcome: incident.GateRecord, Phase: "observe"}, incident.TaskUpdate, incident.TaskResolve)
		require.Equal(t, outbox.StateRecorded, d.State)
		require.Empty(t, due(t, s))
		_, _, err := s.Approve(t.Context(), approval(d, "ann"), incident.Feedback{})
		require.NoError(t, err)
		for _, want := range []incident.TaskKind{incident.TaskCreate, incident.TaskUpdate, incident.TaskResolve} {
			ts := due(t, s)
			require.Len(t, ts, 1)
			require.Equal(t, want, ts[0].Kind)
			require.NoError(t, s.Finish(t.Context(), ts[0], outbox.Outcome{At: t0, Ticket: incident.Ticket{Tracker: "jira", Key: "OPS-1"}}))
		}
	})
}

func TestARedraftTakesUpWhatWaited(t *testing.T) {
	both(t, func(t *testing.T, dsn func(testing.TB) string) {
		s := open(t, dsn(t))
		d := draft(t, s, 1, held, incident.TaskUpdate, incident.TaskResolve)
		old, err := s.Outdated(t.Context(), 10)
		require.NoError(t, err)
		require.Len(t, old, 1)
		e := outbox.Edit{TaskID: d.ID, Actor: "portent", Hash: d.Hash, Payload: json.RawMessage(`{"title":"more"}`), At: t0, Redraft: true}
		got, err := s.Edit(t.Context(), e)
		require.NoError(t, err)
		require.Empty(t, got.EditedBy)
		old, err = s.Outdated(t.Context(), 10)
		require.NoError(t, err)
		require.Empty(t, old)
		kinds := map[incident.TaskKind]outbox.State{}
		for _, x := range tasksOf(t, s, d.IncidentID) {
			kinds[x.Kind] = x.State
		}
		require.Equal(t, map[incident.TaskKind]outbox.State{"create": outbox.StateHeld, "update": outbox.StateDropped, "resolve": outbox.StateHeld}, kinds)

		e.Hash, e.Redraft, e.Actor = got.Hash, false, "ann"
		got, err = s.Edit(t.Context(), e)
		require.NoError(t, err)
		e.Hash, e.Redraft = got.Hash, true
		_, err = s.Edit(t.Context(), e)
		require.ErrorIs(t, err, outbox.ErrStale, "what a person wrote stays")
	})
}

func TestTheKillSwitch(t *testing.T) {
	both(t, func(t *testing.T, dsn func(testing.TB) string) {
		s := open(t, dsn(t))
		w, err := s.Switch(t.Context(), outbox.KillSwitch)
		require.NoError(t, err)
		require.False(t, w.Engaged)
		d := draft(t, s, 1, incident.Gate{Phase: "auto", Rule: "r", DecidedAt: t0})
		require.Equal(t, outbox.StatePending, d.State)
		w = outbox.Switch{Name: outbox.KillSwitch, Engaged: true, Actor: "ann", Reason: "wrong tickets", At: t0}
		require.NoError(t, s.SetSwitch(t.Context(), w))
		got, err := s.Switch(t.Context(), outbox.KillSwitch)
		require.NoError(t, err)
		require.Equal(t, w, got)
		require.Empty(t, due(t, s), "nothing goes out")
		e := draft(t, s, 2, held)
		_, _, err = s.Approve(t.Context(), approval(e, "ann"), incident.Feedback{})
		require.NoError(t, err)
		ts := due(t, s)
		require.Len(t, ts, 1, "but for what a person approved")
		require.Equal(t, e.ID, ts[0].ID)
		_, _, err = s.Approve(t.Context(), approval(d, "ann"), incident.Feedback{})
		require.NoError(t, err)
		require.Len(t, due(t, s), 1, "an automatic one that a person lets go")
		w.Engaged = false
		require.NoError(t, s.SetSwitch(t.Context(), w))

		filed, err := s.FiledBy(t.Context(), "r", t0, 10)
		require.NoError(t, err)
		require.Equal(t, map[string]time.Time{d.IncidentID + "/jira": t0}, filed)
	})
}

func TestSessions(t *testing.T) {
	both(t, func(t *testing.T, dsn func(testing.TB) string) {
		s := open(t, dsn(t))
		now := time.Now()
		require.NoError(t, s.PutSession(t.Context(), "h", json.RawMessage(`{"a":1}`), now, now.Add(time.Hour)))
		got, err := s.Session(t.Context(), "h", now)
		require.NoError(t, err)
		require.JSONEq(t, `{"a":1}`, string(got))
		_, err = s.Session(t.Context(), "h", now.Add(time.Hour))
		require.ErrorIs(t, err, incident.ErrNotFound)
		require.NoError(t, s.DropSession(t.Context(), "h"))
		_, err = s.Session(t.Context(), "h", now)
		require.ErrorIs(t, err, incident.ErrNotFound)
	})
}

func TestChangedFollowsIncidentsAndTimeline(t *testing.T) {
	both(t, func(t *testing.T, dsn func(testing.TB) string) {
		s := open(t, dsn(t))
		_, from, err := s.Changed(t.Context(), sqlstore.Activity{}, 10)
		require.NoError(t, err)
		i := incidenttest.NewIncident(1)
		require.NoError(t, s.Apply(t.Context(), incident.Change{Incidents: []incident.Incident{i}}))
		ids, from, err := s.Changed(t.Context(), from, 10)
		require.NoError(t, err)
		require.Equal(t, []string{i.ID}, ids)
		ids, from, err = s.Changed(t.Context(), from, 10)
		require.NoError(t, err)
		require.Empty(t, ids)
		require.NoError(t, s.Apply(t.Context(), incident.Change{Events: []incident.Event{{IncidentID: i.ID, At: t0, Kind: incident.EventNote, Actor: "x", Text: "y"}}}))
		ids, _, err = s.Changed(t.Context(), from, 10)
		require.NoError(t, err)
		require.Equal(t, []string{i.ID}, ids)
	})
}

func TestFeedbackIsSentOnceAndGivenUp(t *testing.T) {
	both(t, func(t *testing.T, dsn func(testing.TB) string) {
		s := open(t, dsn(t))
		f := incident.Feedback{IncidentID: "i1", Cluster: "c", Class: "A", Verdict: incident.VerdictDismissed, Actor: "ann", At: t0}
		put := func() { require.NoError(t, s.Apply(t.Context(), incident.Change{Feedback: []incident.Feedback{f}})) }
		unsent := func(now time.Time) int {
			fs, err := s.UnsentFeedback(t.Context(), now, 10)
			require.NoError(t, err)
			return len(fs)
		}
		put()
		require.Equal(t, 1, unsent(t0))
		require.NoError(t, s.FeedbackSent(t.Context(), f))
		require.Zero(t, unsent(t0))
		f.Verdict, f.At = incident.VerdictNone, t0.Add(time.Minute) // taken back
		put()
		require.Equal(t, 1, unsent(t0))
		vs, err := s.Verdicts(t.Context(), "c", "A", 10)
		require.NoError(t, err)
		require.Empty(t, vs)
		given, err := s.FeedbackFailed(t.Context(), f, t0.Add(time.Hour), 2)
		require.NoError(t, err)
		require.False(t, given)
		require.Zero(t, unsent(t0))
		require.Equal(t, 1, unsent(t0.Add(time.Hour)))
		given, err = s.FeedbackFailed(t.Context(), f, t0.Add(time.Hour), 2)
		require.NoError(t, err)
		require.True(t, given)
		require.Zero(t, unsent(t0.Add(2*time.Hour)))
		got, err := s.VerdictOn(t.Context(), "i1")
		require.NoError(t, err)
		require.Equal(t, f, got)
	})
}
