package followup_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/followup"
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/ticket"
)

// world is a store with one incident and a tracker with its ticket.
type world struct {
	ticket.Tracker
	inc    incident.Incident
	tasks  []outbox.Task
	ticket ticket.Ticket
	err    error // of the tracker
	gets   atomic.Int32
	said   []string // what was decided

	undo    string // what there is to undo
	undoErr error
	deaf    error // of writing
}

func newWorld() *world {
	return &world{
		inc: incident.Incident{
			ID: "01", Status: incident.StatusOpen, StartedAt: time.Now(),
			Tickets: []incident.Ticket{{Tracker: "jira", Key: "OPS-1", Status: "To Do"}},
		},
		ticket: ticket.Ticket{Ref: ticket.Ref{Key: "OPS-1"}, State: ticket.Open, Status: "To Do"},
	}
}

func (w *world) watch() *followup.Watch {
	return followup.New(followup.Options{
		Store: stored{w}, Actions: w, Trackers: func() map[string]ticket.Target { return map[string]ticket.Target{"jira": {Tracker: w, Name: "jira"}} },
		Interval: func() time.Duration { return time.Minute }, Now: time.Now, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
}

func (w *world) Get(context.Context, ticket.Ref) (ticket.Ticket, error) {
	w.gets.Add(1)
	return w.ticket, w.err
}

// stored is the store side of a world: both have a Get.
type stored struct{ *world }

func (w stored) Get(context.Context, string) (incident.Incident, error) { return w.inc, nil }

func (w stored) List(_ context.Context, q incident.Query) ([]incident.Incident, string, error) {
	if q.Status != "" && q.Status != w.inc.Status {
		return nil, "", nil
	}
	return []incident.Incident{w.inc}, "", nil
}

func (w stored) ListTasks(context.Context, outbox.Query) ([]outbox.Task, string, error) {
	return w.tasks, "", nil
}

func (w stored) SetTicketStatus(_ context.Context, _, tracker, status string) error {
	w.inc.Tickets[0].Status = status
	w.said = append(w.said, "noted "+tracker+" "+status)
	return nil
}

func (w stored) Apply(_ context.Context, c incident.Change) error {
	if w.deaf != nil {
		return w.deaf
	}
	for _, r := range c.Records {
		w.said = append(w.said, r.Action+" "+string(r.Detail))
	}
	for _, e := range c.Events {
		w.said = append(w.said, e.Text)
	}
	return nil
}

// Undo is what remedies have.
func (w *world) Undo(_ context.Context, _ ticket.Ref, about func(string) error) (string, error) {
	if w.undo == "" || w.undoErr != nil {
		return "", w.undoErr
	}
	if err := about(w.undo); err != nil {
		return "", err
	}
	did := w.undo
	w.undo, w.ticket.Status = "", "scale FAILED and undone"
	return did, nil
}

// TestWhatFailedIsUndoneAndRecorded: recorded before and after, and not done when it cannot be recorded.
func TestWhatFailedIsUndoneAndRecorded(t *testing.T) {
	w := newWorld()
	w.ticket.Status, w.ticket.State, w.ticket.Failed, w.undo = "scale FAILED", "", true, "scale back to 3"
	watch := w.watch()
	w.deaf = errors.New("the store is gone")
	require.ErrorContains(t, watch.Round(t.Context()), "the store is gone")
	require.NotEmpty(t, w.undo, "nothing was done")
	w.deaf = nil
	require.NoError(t, watch.Round(t.Context()))
	require.Equal(t, []string{
		`remedy.undo.before {"ticket":"OPS-1","tracker":"jira","what":"scale back to 3"}`,
		`remedy.undo.after {"ticket":"OPS-1","tracker":"jira","what":"scale back to 3"}`,
		"jira: undone: scale back to 3",
		`remedy.failed {"status":"scale FAILED and undone","ticket":"OPS-1","tracker":"jira"}`,
		"jira: scale FAILED and undone", "noted jira scale FAILED and undone",
	}, w.said)
	require.Equal(t, incident.StatusOpen, w.inc.Status)
	require.NoError(t, watch.Round(t.Context()))
	require.Len(t, w.said, 6, "once")
}

func TestAnUndoThatIsRefusedIsSaidOnce(t *testing.T) {
	w := newWorld()
	w.ticket.Status, w.ticket.State, w.ticket.Failed = "scale FAILED", "", true
	w.undoErr = &ticket.Error{Reason: ticket.ReasonInvalid, Err: errors.New("somebody changed the workload since")}
	watch := w.watch()
	for range 3 {
		require.NoError(t, watch.Round(t.Context()))
	}
	require.Equal(t, []string{
		`remedy.undo.after {"error":"invalid: somebody changed the workload since","ticket":"OPS-1","tracker":"jira","what":""}`,
		"jira: somebody changed the workload since",
		`remedy.failed {"status":"scale FAILED","ticket":"OPS-1","tracker":"jira"}`, "jira: scale FAILED", "noted jira scale FAILED",
	}, w.said)
	w.undoErr = &ticket.Error{Reason: ticket.ReasonNetwork, Retry: true, Err: errors.New("no connection")}
	require.ErrorContains(t, watch.Round(t.Context()), "no connection", "tried again in the next round")
}

func (w *world) Dismiss(_ context.Context, _, actor, reason string) (incident.Incident, error) {
	w.inc.Status = incident.StatusDismissed
	w.said = append(w.said, "dismissed by "+actor+": "+reason)
	return w.inc, nil
}

func (w *world) Reopen(_ context.Context, _, actor, reason string) (incident.Incident, error) {
	w.inc.Status = incident.StatusOpen
	w.said = append(w.said, "reopened by "+actor+": "+reason)
	return w.inc, nil
}

func TestAClosedTicketClosesItsIncident(t *testing.T) {
	w := newWorld()
	watch := w.watch()
	require.NoError(t, watch.Round(t.Context()))
	require.Empty(t, w.said, "nothing has changed")

	w.ticket.Status = "In Progress"
	require.NoError(t, watch.Round(t.Context()))
	require.Equal(t, []string{"noted jira In Progress"}, w.said)

	w.ticket.State, w.ticket.Status = ticket.Resolved, "Erledigt"
	require.NoError(t, watch.Round(t.Context()))
	require.Equal(t, []string{"noted jira In Progress", "dismissed by jira: ticket OPS-1 is Erledigt", "noted jira Erledigt"}, w.said)

	require.NoError(t, watch.Round(t.Context()))
	require.Len(t, w.said, 3, "once")
}

func TestAReopenedTicketOpensItsIncident(t *testing.T) {
	w := newWorld()
	w.inc.Status, w.inc.Tickets[0].Status = incident.StatusResolved, "Done"
	require.NoError(t, w.watch().Round(t.Context()))
	require.Equal(t, []string{"reopened by jira: ticket OPS-1 is To Do", "noted jira To Do"}, w.said)
}

func TestWhatIsOnItsWayIsNotAPersons(t *testing.T) {
	w := newWorld()
	// We opened the incident again; its ticket does not know yet.
	w.inc.Tickets[0].Status = "To Do"
	w.ticket.State, w.ticket.Status = ticket.Resolved, "Done"
	for _, state := range []outbox.State{outbox.StatePending, outbox.StateInflight} {
		w.tasks = []outbox.Task{{Task: incident.Task{Tracker: "jira"}, State: state}}
		require.NoError(t, w.watch().Round(t.Context()))
		require.Empty(t, w.said)
	}
	w.tasks[0].Tracker = "pagerduty"
	require.NoError(t, w.watch().Round(t.Context()))
	require.NotEmpty(t, w.said, "another tracker's does not matter")
}

// Somebody works on a ticket that we failed to close: that opens nothing.
func TestATicketThatWasNeverClosedOpensNothing(t *testing.T) {
	w := newWorld()
	w.inc.Status = incident.StatusResolved
	w.ticket.Status = "In Progress"
	w.tasks = []outbox.Task{{Task: incident.Task{Tracker: "jira", Kind: incident.TaskResolve}, State: outbox.StateDead}}
	require.NoError(t, w.watch().Round(t.Context()))
	require.Equal(t, []string{"noted jira In Progress"}, w.said)
}

func TestATrackerThatFailsIsLetAlone(t *testing.T) {
	w := newWorld()
	w.err = errors.New("502")
	require.ErrorContains(t, w.watch().Round(t.Context()), "ticket OPS-1 in jira: 502")
	require.EqualValues(t, 1, w.gets.Load())
	w.err = ticket.ErrNotFound
	require.NoError(t, w.watch().Round(t.Context()))
	require.Empty(t, w.said, "a ticket that was deleted says nothing about the incident")
	w.inc.Tickets[0].Tracker = "gone"
	require.NoError(t, w.watch().Round(t.Context()))
	w.inc.Tickets[0] = incident.Ticket{Tracker: "jira"} // not filed yet
	require.NoError(t, w.watch().Round(t.Context()))
	require.EqualValues(t, 2, w.gets.Load())
}

func TestHintsAndRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		watch := w.watch()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- watch.Run(ctx) }()
		watch.Hint("01")
		synctest.Wait()
		require.EqualValues(t, 1, w.gets.Load(), "at once")
		pass(time.Minute)
		synctest.Wait()
		require.EqualValues(t, 2, w.gets.Load())
		for range 1000 { // never waits, whatever a stranger sends
			watch.Hint("01")
		}
		cancel()
		require.NoError(t, <-done)
	})
}

// pass lets time go by in a bubble of synctest.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // the bubble's own time
}
