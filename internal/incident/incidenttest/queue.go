package incidenttest

import (
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/outbox"
)

const lease = time.Hour

func claim(t *testing.T, s Stores, tracker string, now, limit int) []outbox.Task {
	t.Helper()
	ts, err := s.Queue.Claim(t.Context(), outbox.Claim{Now: minute(now), Lease: lease, Tracker: tracker, Limit: limit, Actor: "portent/outbox"})
	require.NoError(t, err)
	return ts
}

func outcome(now int) outbox.Outcome {
	return outbox.Outcome{At: minute(now), Records: []audit.Entry{{At: minute(now), Actor: "portent/outbox", Action: "ticket.create.after"}}}
}

func queueLife(t *testing.T, s Stores) {
	i := NewIncident(1)
	create := NewTask(i.ID, "jira", incident.TaskCreate)
	apply(t, s, incident.Change{Incidents: []incident.Incident{i}, Tasks: []incident.Task{create}})
	require.Empty(t, claim(t, s, "local", 0, 10), "of another tracker")

	ts := claim(t, s, "jira", 0, 10)
	require.Len(t, ts, 1)
	got := ts[0]
	require.Equal(t, create, got.Task)
	require.Equal(t, outbox.StateInflight, got.State)
	require.Equal(t, 1, got.Attempts)
	require.Equal(t, minute(0), got.FirstTried)
	require.True(t, got.Uncertain.IsZero())
	require.Zero(t, got.Ticket)
	require.Empty(t, claim(t, s, "jira", 0, 10), "it is taken")

	rs := s.Audit()
	require.Len(t, rs, 1)
	require.Equal(t, "ticket.create.before", rs[0].Action)
	require.Equal(t, i.ID, rs[0].Subject)
	var detail struct{ PayloadSha256 string }
	require.NoError(t, json.Unmarshal(rs[0].Detail, &detail))
	require.Len(t, detail.PayloadSha256, 64)

	o := outcome(1)
	o.Ticket = incident.Ticket{Tracker: "jira", Key: "OPS-1", ID: "10001", URL: "https://jira/OPS-1", Status: "To Do"}
	o.Events = []incident.Event{{IncidentID: i.ID, At: minute(1), Kind: incident.EventTicket, Actor: "portent", Text: "OPS-1"}}
	require.NoError(t, s.Queue.Finish(t.Context(), got, o))
	require.ErrorIs(t, s.Queue.Finish(t.Context(), got, o), incident.ErrConflict, "once")
	require.ErrorIs(t, s.Queue.Retry(t.Context(), got, o), incident.ErrConflict)
	require.Empty(t, claim(t, s, "jira", 99, 10), "done")
	inc := get(t, s, i.ID)
	require.Equal(t, []incident.Ticket{o.Ticket}, inc.Tickets)
	require.Equal(t, int64(1), inc.Version, "the outbox is in nobody's way")
	require.Len(t, inc.Timeline, 1)

	apply(t, s, incident.Change{Tasks: []incident.Task{NewTask(i.ID, "jira", incident.TaskResolve)}})
	ts = claim(t, s, "jira", 2, 10)
	require.Equal(t, o.Ticket, ts[0].Ticket, "later tasks know the ticket")
	o = outcome(3)
	o.Ticket = ts[0].Ticket
	o.Ticket.Status = "Done"
	require.NoError(t, s.Queue.Finish(t.Context(), ts[0], o))
	require.Equal(t, "Done", get(t, s, i.ID).Tickets[0].Status)
}

func kinds(ts []outbox.Task) []string {
	out := []string{}
	for _, t := range ts {
		out = append(out, t.IncidentID+" "+string(t.Kind))
	}
	return out
}

func queueOrder(t *testing.T, s Stores) {
	apply(t, s, incident.Change{Tasks: []incident.Task{
		NewTask("a", "jira", incident.TaskCreate), NewTask("a", "jira", incident.TaskResolve), NewTask("b", "jira", incident.TaskCreate),
		NewTask("a", "local", incident.TaskCreate), NewTask("a", "jira", incident.TaskReopen),
	}})
	ts := claim(t, s, "jira", 0, 1)
	require.Equal(t, []string{"a create"}, kinds(ts), "limit")
	more := claim(t, s, "jira", 0, 10)
	require.Equal(t, []string{"b create"}, kinds(more), "of one incident in one tracker one at a time")
	require.Equal(t, []string{"a create"}, kinds(claim(t, s, "local", 0, 10)), "trackers do not wait for each other")

	o := outcome(1)
	o.NotBefore = minute(5)
	require.NoError(t, s.Queue.Retry(t.Context(), ts[0], o))
	require.Empty(t, claim(t, s, "jira", 1, 10), "the later ones wait for one that waits")
	ts = claim(t, s, "jira", 5, 10)
	require.Equal(t, []string{"a create"}, kinds(ts))
	require.NoError(t, s.Queue.Finish(t.Context(), ts[0], outcome(5)))
	ts = claim(t, s, "jira", 5, 10)
	require.Equal(t, []string{"a resolve"}, kinds(ts))
	require.NoError(t, s.Queue.Bury(t.Context(), ts[0], outcome(5)))
	require.Equal(t, []string{"a reopen"}, kinds(claim(t, s, "jira", 5, 10)), "a dead update is in nobody's way")
}

func queueLease(t *testing.T, s Stores) {
	apply(t, s, incident.Change{Tasks: []incident.Task{NewTask("a", "jira", incident.TaskCreate)}})
	ts := claim(t, s, "jira", 0, 10)
	require.Len(t, ts, 1)
	require.Empty(t, claim(t, s, "jira", 59, 10))
	again := claim(t, s, "jira", 60, 10) // the lease is over: the worker died
	require.Len(t, again, 1)
	require.Equal(t, ts[0].ID, again[0].ID)
	require.Equal(t, 2, again[0].Attempts)
	require.Equal(t, minute(0), again[0].FirstTried)
	require.Equal(t, minute(60), again[0].Uncertain, "it may have had its effect up to now")
	require.ErrorIs(t, s.Queue.Retry(t.Context(), ts[0], outcome(1)), incident.ErrConflict, "the first worker lives after all, but it is not its any more")
	require.NoError(t, s.Queue.Finish(t.Context(), again[0], outcome(1)))
}

func queueRetry(t *testing.T, s Stores) {
	apply(t, s, incident.Change{Tasks: []incident.Task{NewTask("a", "jira", incident.TaskCreate)}})
	first := claim(t, s, "jira", 0, 1)[0]
	o := outcome(0)
	o.NotBefore, o.Uncertain, o.Error, o.Reason = minute(3), minute(0), "no answer\x00", "timeout"
	require.NoError(t, s.Queue.Retry(t.Context(), first, o))
	require.Empty(t, claim(t, s, "jira", 2, 1))
	got := claim(t, s, "jira", 3, 1)[0]
	require.Equal(t, 2, got.Attempts)
	require.Equal(t, minute(0), got.Uncertain)
	require.Equal(t, "timeout", got.Reason)
	require.Equal(t, "no answer\uFFFD", got.LastError)

	o = outcome(3)
	o.Uncounted = true
	require.NoError(t, s.Queue.Retry(t.Context(), got, o))
	got = claim(t, s, "jira", 3, 1)[0]
	require.Equal(t, 2, got.Attempts, "the last one did not count")
	require.True(t, got.Uncertain.IsZero())
}

func queueDead(t *testing.T, s Stores) {
	apply(t, s, incident.Change{Tasks: []incident.Task{
		NewTask("a", "jira", incident.TaskCreate), NewTask("a", "jira", incident.TaskResolve),
		NewTask("a", "local", incident.TaskCreate), NewTask("b", "jira", incident.TaskCreate),
	}})
	first := claim(t, s, "jira", 0, 1)[0]
	id := first.ID
	o := outcome(0)
	o.Error, o.Reason = "no such project", "not_found"
	require.NoError(t, s.Queue.Bury(t.Context(), first, o))
	apply(t, s, incident.Change{Tasks: []incident.Task{NewTask("a", "jira", incident.TaskReopen)}})
	require.Equal(t, []string{"b create"}, kinds(claim(t, s, "jira", 1, 10)))
	require.Len(t, claim(t, s, "local", 1, 10), 1)

	dead, _, err := s.Queue.ListTasks(t.Context(), outbox.Query{State: outbox.StateDead})
	require.NoError(t, err)
	require.Equal(t, []string{"a reopen", "a resolve", "a create"}, kinds(dead), "what waits for it is dead too")
	require.Equal(t, []string{"blocked", "blocked", "not_found"}, []string{dead[0].Reason, dead[1].Reason, dead[2].Reason})

	require.ErrorIs(t, s.Queue.Replay(t.Context(), 1<<40, "ada", minute(2)), incident.ErrNotFound)
	require.ErrorIs(t, s.Queue.Replay(t.Context(), dead[0].ID, "ada", minute(2)), incident.ErrConflict, "the create comes first")
	require.NoError(t, s.Queue.Replay(t.Context(), id, "ada", minute(2)))
	require.ErrorIs(t, s.Queue.Replay(t.Context(), id, "ada", minute(2)), incident.ErrNotFound, "it lives")
	last := s.Audit()[len(s.Audit())-1]
	require.Equal(t, "outbox.replay", last.Action)
	require.Equal(t, "ada", last.Actor)

	for _, want := range []string{"a create", "a resolve", "a reopen"} {
		ts := claim(t, s, "jira", 2, 10)
		require.Equal(t, []string{want}, kinds(ts))
		require.Equal(t, 1, ts[0].Attempts)
		require.NoError(t, s.Queue.Finish(t.Context(), ts[0], outcome(2)))
	}
}

func queueSweep(t *testing.T, s Stores) {
	apply(t, s, incident.Change{Tasks: []incident.Task{NewTask("a", "jira", incident.TaskCreate), NewTask("a", "jira", incident.TaskResolve)}})
	o := outcome(0)
	o.Sweep = minute(5)
	require.NoError(t, s.Queue.Finish(t.Context(), claim(t, s, "jira", 0, 1)[0], o))
	require.Equal(t, []string{"a resolve"}, kinds(claim(t, s, "jira", 1, 10)), "nothing waits for a sweep")
	require.Equal(t, []string{"a sweep"}, kinds(claim(t, s, "jira", 5, 1)))
}

func queueConcurrent(t *testing.T, s Stores) {
	const n = 60
	var tasks []incident.Task
	for i := range n {
		tasks = append(tasks, NewTask(NewIncident(i).ID, "jira", incident.TaskCreate))
	}
	apply(t, s, incident.Change{Tasks: tasks})
	var mu sync.Mutex
	seen := map[int64]int{}
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			for {
				ts, err := s.Queue.Claim(t.Context(), outbox.Claim{Now: minute(0), Lease: lease, Tracker: "jira", Limit: 5, Actor: "w"})
				if err != nil || len(ts) == 0 {
					mu.Lock()
					if err != nil {
						seen[-1]++
					}
					mu.Unlock()
					return
				}
				for _, x := range ts {
					err := s.Queue.Finish(t.Context(), x, outcome(0))
					mu.Lock()
					seen[x.ID]++
					if err != nil {
						seen[-1]++
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	require.Zero(t, seen[-1], "errors")
	for id, times := range seen {
		require.Equal(t, 1, times, "task %d", id)
	}
	require.Len(t, seen, n)
}

func queueStats(t *testing.T, s Stores) {
	st, err := s.Queue.Stats(t.Context())
	require.NoError(t, err)
	require.Empty(t, st.Todo)
	require.True(t, st.Oldest.IsZero())

	before := time.Now()
	apply(t, s, incident.Change{Tasks: []incident.Task{
		NewTask("a", "jira", incident.TaskCreate), NewTask("a", "jira", incident.TaskResolve), NewTask("b", "jira", incident.TaskCreate),
		NewTask("c", "jira", incident.TaskCreate), NewTask("c", "local", incident.TaskCreate),
	}})
	ts := claim(t, s, "jira", 0, 10)
	require.Len(t, ts, 3)
	require.NoError(t, s.Queue.Bury(t.Context(), ts[1], outcome(0)))
	require.NoError(t, s.Queue.Finish(t.Context(), ts[2], outcome(0)))
	st, err = s.Queue.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]int{"jira": 2, "local": 1}, st.Todo, "pending and in flight")
	require.Equal(t, map[string]int{"jira": 1}, st.Dead)
	require.WithinRange(t, st.Oldest, before, time.Now())

	for _, limit := range []int{1, 2, 100} {
		var got []outbox.Task
		q := outbox.Query{Limit: limit}
		for {
			ts, next, err := s.Queue.ListTasks(t.Context(), q)
			require.NoError(t, err)
			got = append(got, ts...)
			if next == "" {
				break
			}
			q.Cursor = next
		}
		require.Equal(t, []string{"c create", "c create", "b create", "a resolve", "a create"}, kinds(got))
	}
	ts, _, err = s.Queue.ListTasks(t.Context(), outbox.Query{IncidentID: "a", State: outbox.StatePending})
	require.NoError(t, err)
	require.Equal(t, []string{"a resolve"}, kinds(ts))
	_, _, err = s.Queue.ListTasks(t.Context(), outbox.Query{Cursor: "tt"})
	require.ErrorIs(t, err, incident.ErrBadCursor)
}

func auditChain(t *testing.T, s Stores) {
	var wg sync.WaitGroup
	for w := range 8 { // several writers, one chain
		wg.Go(func() {
			for i := range 10 {
				err := s.Store.Apply(t.Context(), incident.Change{Records: []audit.Entry{
					{At: minute(i), Actor: "a", Action: "x", Subject: NewIncident(w).ID, Detail: json.RawMessage(`{"b":1,"a":[2]}`)},
					{At: minute(i), Actor: "a", Action: "y"},
				}})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	rs := s.Audit()
	require.Len(t, rs, 160)
	canonical := `{"a":[2],"b":1}`
	require.Equal(t, canonical, string(rs[slices.IndexFunc(rs, func(r audit.Record) bool { return r.Action == "x" })].Detail))
}

// verify checks the audit chain that any test left behind.
func verify(t *testing.T, s Stores) {
	t.Helper()
	rs := s.Audit()
	_, err := audit.Verify(audit.Head{}, func(yield func(audit.Record, error) bool) {
		for _, r := range rs {
			if !yield(r, nil) {
				return
			}
		}
	}, audit.Head{})
	require.NoError(t, err)
}
