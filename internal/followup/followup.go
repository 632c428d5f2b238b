// Package followup keeps incidents in step with their tickets: a ticket that a person
// closed closes its incident, and one that a person opened again opens it. What a ticket did that did not help is undone
// where that is declared.
//
// Tickets are asked for by polling. A webhook of a tracker is never believed: it only
// says which ticket to ask for now, so a forged one does no more than cost a call.
package followup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/ticket"
)

// A Store is what is needed of one.
type Store interface {
	Get(ctx context.Context, id string) (incident.Incident, error)
	List(ctx context.Context, q incident.Query) (incidents []incident.Incident, next string, err error)
	ListTasks(ctx context.Context, q outbox.Query) (tasks []outbox.Task, next string, err error)
	// SetTicketStatus notes the tracker's own word for a ticket's state.
	SetTicketStatus(ctx context.Context, incidentID, tracker, status string) error
	// Apply writes what was undone: records and lines of the timeline only.
	Apply(ctx context.Context, c incident.Change) error
}

// Actions carry out what a person decided in a tracker. Both return incident.ErrConflict
// when the incident is in that state already.
type Actions interface {
	Dismiss(ctx context.Context, id, actor, reason string) (incident.Incident, error)
	Reopen(ctx context.Context, id, actor, reason string) (incident.Incident, error)
}

const (
	// roundMax bounds the incidents of one round: at a call each and 5 calls a second this is well below a minute.
	roundMax = 200
	// reopenWithin is for how long tickets of incidents that ended are still asked for: who opens one again later has
	// another trouble.
	reopenWithin = 24 * time.Hour
	// MinInterval between two rounds.
	MinInterval = 10 * time.Second
	callTimeout = 15 * time.Second
)

// Options of a Watch. All are needed.
type Options struct {
	Store   Store
	Actions Actions
	// Trackers are those in use, by name. It is called for each round, so that a reload counts.
	Trackers   func() map[string]ticket.Target
	Interval   func() time.Duration
	Now        func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// A Watch asks for tickets. It is safe for concurrent use.
type Watch struct {
	o       Options
	hints   chan string // ids of incidents to look at now
	checks  *prometheus.CounterVec
	changes *prometheus.CounterVec

	mu      sync.Mutex        // one check of an incident at a time
	refused map[string]string // why something was not undone, by incident and tracker
}

// Outcomes of a check, and what followed from it.
const (
	outcomeSame   = "same"
	outcomeFailed = "failed"
	outcomeGone   = "gone"

	changeClosed   = "closed"
	changeReopened = "reopened"
)

// maxHints bounds the hints that wait; what is beyond is found by polling.
const maxHints = 256

// New returns a Watch. It does nothing until Run.
func New(o Options) *Watch {
	w := &Watch{
		o: o, hints: make(chan string, maxHints), refused: map[string]string{},
		checks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "portent_receiver_ticket_checks_total", Help: "Tickets that were asked for, by what was found.",
		}, []string{"outcome"}),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "portent_receiver_ticket_changes_total", Help: "Incidents that were closed or opened again because a person did so with their ticket.",
		}, []string{"change"}),
	}
	for _, s := range []string{outcomeSame, outcomeFailed, outcomeGone, "changed"} {
		w.checks.WithLabelValues(s)
	}
	for _, s := range []string{changeClosed, changeReopened} {
		w.changes.WithLabelValues(s)
	}
	o.Registerer.MustRegister(w.checks, w.changes)
	return w
}

// Hint says that the tickets of an incident should be asked for now. It never waits.
func (w *Watch) Hint(incidentID string) {
	select {
	case w.hints <- incidentID:
	default:
	}
}

// Run works until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	next := time.After(max(MinInterval, w.o.Interval()))
	for {
		select {
		case <-ctx.Done():
			return nil
		case id := <-w.hints:
			if err := w.Check(ctx, id); err != nil && ctx.Err() == nil && !errors.Is(err, incident.ErrNotFound) {
				w.o.Logger.Warn("ticket_check_failed", "incident", id, "err", err)
			}
		case <-next:
			if err := w.Round(ctx); err != nil && ctx.Err() == nil {
				w.o.Logger.Warn("ticket_round_failed", "err", err)
			}
			next = time.After(max(MinInterval, w.o.Interval()))
		}
	}
}

// Round asks for the tickets of open incidents, the newest first, and of those that ended lately. A tracker that fails is
// let alone for the rest of the round.
func (w *Watch) Round(ctx context.Context) error {
	failed := map[string]bool{}
	var errs []error
	for _, q := range []incident.Query{
		{Status: incident.StatusOpen, Limit: roundMax, Brief: true},
		{Since: w.o.Now().Add(-reopenWithin), Limit: roundMax, Brief: true},
	} {
		found, _, err := w.o.Store.List(ctx, q)
		if err != nil {
			return err
		}
		for _, inc := range found {
			if q.Status == "" && inc.Status == incident.StatusOpen {
				continue // was in the first list
			}
			errs = append(errs, w.check(ctx, inc, failed))
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	return errors.Join(errs...)
}

// Check asks for the tickets of one incident.
func (w *Watch) Check(ctx context.Context, id string) error {
	inc, err := w.o.Store.Get(ctx, id)
	if err != nil {
		return err
	}
	return w.check(ctx, inc, map[string]bool{})
}

func (w *Watch) check(ctx context.Context, inc incident.Incident, failed map[string]bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	trackers := w.o.Trackers()
	for _, t := range inc.Tickets {
		target, ok := trackers[t.Tracker]
		if t.Key == "" || !ok || failed[t.Tracker] {
			continue
		}
		now, err := w.ask(ctx, target, t)
		if err == nil && now.Failed {
			if err = w.undo(ctx, inc, t, target); err == nil {
				now, err = w.ask(ctx, target, t)
			}
		}
		switch {
		case errors.Is(err, ticket.ErrNotFound):
			w.checks.WithLabelValues(outcomeGone).Inc()
			continue
		case err != nil:
			failed[t.Tracker] = true
			w.checks.WithLabelValues(outcomeFailed).Inc()
			return fmt.Errorf("ticket %s in %s: %w", t.Key, t.Tracker, err)
		}
		if err := w.follow(ctx, inc, t, now); err != nil {
			return fmt.Errorf("incident %s after ticket %s in %s: %w", inc.ID, t.Key, t.Tracker, err)
		}
	}
	return nil
}

func (w *Watch) ask(ctx context.Context, target ticket.Target, t incident.Ticket) (ticket.Ticket, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return target.Get(ctx, ticket.Ref{Key: t.Key, ID: t.ID, URL: t.URL})
}

// follow does to the incident what was done to its ticket. A status that is as we left it was not changed by a
// person; while something of ours is on its way to the ticket, nothing can be told.
func (w *Watch) follow(ctx context.Context, inc incident.Incident, was incident.Ticket, now ticket.Ticket) error {
	status := now.Status
	if status == "" {
		status = string(now.State)
	}
	if status == was.Status {
		w.checks.WithLabelValues(outcomeSame).Inc()
		return nil
	}
	busy, givenUp, err := w.ours(ctx, inc.ID, was.Tracker)
	if err != nil || busy {
		return err
	}
	inc, err = w.o.Store.Get(ctx, inc.ID) // it may have changed while we asked
	if err != nil {
		return err
	}
	w.checks.WithLabelValues("changed").Inc()
	if now.Failed {
		if err := w.failed(ctx, inc.ID, was, status); err != nil {
			return err
		}
	}
	actor, why := was.Tracker, fmt.Sprintf("ticket %s is %s", was.Key, ticket.OneLine(status, 60))
	switch {
	case inc.Status == incident.StatusOpen && now.State == ticket.Resolved:
		_, err = w.o.Actions.Dismiss(ctx, inc.ID, actor, why)
		w.count(changeClosed, err)
	case inc.Status != incident.StatusOpen && now.State == ticket.Open && !givenUp:
		_, err = w.o.Actions.Reopen(ctx, inc.ID, actor, why)
		w.count(changeReopened, err)
	}
	if err != nil && !errors.Is(err, incident.ErrConflict) {
		return err
	}
	return w.o.Store.SetTicketStatus(ctx, inc.ID, was.Tracker, status)
}

func (w *Watch) count(change string, err error) {
	if err == nil {
		w.changes.WithLabelValues(change).Inc()
	}
}

// ours reports whether something of ours is on its way to the ticket, and whether something was given up: the ticket of an
// incident that ended may then never have been closed, so that it is open tells nothing.
func (w *Watch) ours(ctx context.Context, id, tracker string) (busy, givenUp bool, err error) {
	tasks, _, err := w.o.Store.ListTasks(ctx, outbox.Query{IncidentID: id, Limit: incident.MaxLimit})
	if err != nil {
		return false, false, err
	}
	for _, t := range tasks {
		if t.Tracker == tracker {
			busy = busy || t.State == outbox.StatePending || t.State == outbox.StateInflight
			givenUp = givenUp || t.State == outbox.StateDead
		}
	}
	return busy, givenUp, nil
}
