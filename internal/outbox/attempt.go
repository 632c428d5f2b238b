package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
)

// An attempt is one try of one claimed task.
type attempt struct {
	Task
	target ticket.Target
	config Config
	random float64
	actor  string
}

// An ending is what came of it.
type ending struct {
	Outcome
	state State
	// result says it in a word for metric and audit when it did not fail.
	result string
	// pause is until when the tracker shall be left alone.
	pause time.Time
}

// Results of attempts that did not fail.
const (
	resultDone      = "ok"
	resultFound     = "found"     // the ticket was there already
	resultSearching = "searching" // it was not found, but may show up yet
)

func (e ending) reason() string {
	if e.result != "" {
		return e.result
	}
	return e.Reason
}

// maxRetryAfter bounds what a tracker may ask for; an hourly quota is the
// longest known.
const maxRetryAfter = time.Hour

// run makes the attempt. Whatever happens, it returns an ending.
func (a attempt) run(ctx context.Context) (end ending) {
	defer func() {
		if p := recover(); p != nil {
			// The call may have been made: a replay looks the ticket up first.
			end = a.fail(&ticket.Error{Reason: ticket.ReasonBadAnswer, Ambiguous: a.Kind == incident.TaskCreate, Err: fmt.Errorf("BUG: tracker panicked: %v", p)})
			end.state = StateDead
		}
		// An attempt that we broke off ourselves does not count.
		end.Uncounted = end.Uncounted || ctx.Err() != nil && end.state == StatePending
		a.describe(&end)
	}()
	if err := a.unauthorized(); err != nil {
		end = ending{state: StateDead, Outcome: Outcome{Error: err.Error(), Reason: ReasonUnapproved, Uncertain: a.Uncertain}}
		return end
	}
	switch a.Kind {
	case incident.TaskCreate:
		return a.create(ctx)
	case incident.TaskUpdate, incident.TaskResolve, incident.TaskReopen:
		return a.update(ctx)
	case incident.TaskSweep:
		return a.sweep(ctx)
	default:
		return a.fail(&ticket.Error{Reason: ticket.ReasonInvalid, Err: fmt.Errorf("unknown kind of task %q", a.Kind)})
	}
}

// create makes the ticket, unless an earlier attempt of unknown fate made it.
func (a attempt) create(ctx context.Context) ending {
	if a.Ticket.Key != "" {
		return a.done(resultFound, a.Ticket)
	}
	var draft ticket.Draft
	if err := json.Unmarshal(a.Payload, &draft); err != nil {
		return a.fail(&ticket.Error{Reason: ticket.ReasonInvalid, Err: fmt.Errorf("read payload: %w", err)})
	}
	if !a.Uncertain.IsZero() {
		end, found := a.search(ctx)
		if found {
			return end
		}
	}
	var made ticket.Ticket
	err := a.call(ctx, func(ctx context.Context) (err error) {
		made, err = a.target.Create(ctx, draft)
		return err
	})
	if err != nil {
		return a.fail(err)
	}
	return a.created(resultDone, made)
}

// search looks for the ticket of an earlier attempt. It returns false when it is
// certain that there is none: nothing was found after the search lag was over.
func (a attempt) search(ctx context.Context) (ending, bool) {
	var got ticket.Ticket
	err := a.call(ctx, func(ctx context.Context) (err error) {
		got, err = a.target.Find(ctx, a.Key)
		return err
	})
	now := time.Now()
	visible := a.Uncertain.Add(a.target.SearchLag)
	switch {
	case err == nil:
		return a.created(resultFound, got), true
	case !errors.Is(err, ticket.ErrNotFound):
		end := a.fail(err)
		end.Uncertain = a.Uncertain // a failed search changes nothing
		return end, true
	case now.Before(visible):
		// Looking costs an attempt nothing: it ends by itself.
		wait := min(max(a.target.SearchLag/8, time.Second), 30*time.Second)
		next := now.Add(wait)
		if next.After(visible) {
			next = visible
		}
		return ending{state: StatePending, result: resultSearching, Outcome: Outcome{
			NotBefore: next, Uncertain: a.Uncertain, Uncounted: true, Reason: a.Reason, Error: a.LastError,
		}}, true
	}
	return ending{}, false
}

// created ends a create. After one of unknown fate the ticket may show up twice:
// a later sweep lets the tracker close the younger.
func (a attempt) created(result string, t ticket.Ticket) ending {
	end := a.done(result, incident.Ticket{Tracker: a.Tracker, Key: t.Key, ID: t.ID, URL: t.URL, Status: status(t)})
	if !a.Uncertain.IsZero() && a.target.SearchLag > 0 {
		end.Sweep = time.Now().Add(2 * a.target.SearchLag)
	}
	return end
}

// update changes the ticket. It can be repeated after any error.
func (a attempt) update(ctx context.Context) ending {
	var u ticket.Update
	if err := json.Unmarshal(a.Payload, &u); err != nil {
		return a.fail(&ticket.Error{Reason: ticket.ReasonInvalid, Err: fmt.Errorf("read payload: %w", err)})
	}
	if a.Ticket.Key == "" {
		return a.fail(&ticket.Error{Reason: ticket.ReasonNotFound, Err: errors.New("the incident has no ticket in this tracker")})
	}
	ref := ticket.Ref{Key: a.Ticket.Key, ID: a.Ticket.ID, URL: a.Ticket.URL}
	err := a.call(ctx, func(ctx context.Context) error { return a.target.Update(ctx, ref, u) })
	if err != nil {
		return a.fail(err)
	}
	t := a.Ticket
	if u.State != ticket.Unchanged {
		// The tracker's own word for the new state; ours will do if it cannot say.
		t.Status = string(u.State)
		var now ticket.Ticket
		err := a.call(ctx, func(ctx context.Context) (err error) {
			now, err = a.target.Get(ctx, ref)
			return err
		})
		if err == nil { // of a duplicate that was closed it is the one that stays
			t = incident.Ticket{Tracker: a.Tracker, Key: now.Key, ID: now.ID, URL: now.URL, Status: status(now)}
		}
	}
	return a.done(resultDone, t)
}

// sweep makes the tracker close what was created twice, which its Find does.
func (a attempt) sweep(ctx context.Context) ending {
	err := a.call(ctx, func(ctx context.Context) error {
		_, err := a.target.Find(ctx, a.Key)
		return err
	})
	if err != nil && !errors.Is(err, ticket.ErrNotFound) {
		return a.fail(err)
	}
	return a.done(resultDone, incident.Ticket{})
}

func status(t ticket.Ticket) string {
	if t.Status != "" {
		return t.Status
	}
	return string(t.State)
}

func (a attempt) call(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(a.config.CallTimeout))
	defer cancel()
	return f(ctx)
}

func (a attempt) done(result string, t incident.Ticket) ending {
	return ending{state: StateDone, result: result, Outcome: Outcome{Ticket: t}}
}

// fail decides what follows from an error.
func (a attempt) fail(err error) ending {
	now := time.Now()
	e, typed := errors.AsType[*ticket.Error](err)
	switch {
	case typed:
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		// By its contract the tracker has sent nothing.
		e = &ticket.Error{Reason: ticket.ReasonCanceled, Retry: true, Err: err}
	default:
		e = ticket.AsError(err)
	}
	end := ending{state: StatePending, Outcome: Outcome{Error: e.Error(), Reason: string(e.Reason), Uncertain: a.Uncertain}}
	if e.Ambiguous && a.Kind == incident.TaskCreate {
		end.Uncertain = now
	}
	wait := max(a.config.backoff(a.Attempts, a.random), min(e.RetryAfter, maxRetryAfter))
	end.NotBefore = now.Add(wait)
	again := e.Retry || e.Ambiguous || e.Reason == ticket.ReasonCanceled
	if !again || a.Attempts >= a.config.MaxAttempts {
		end.state = StateDead
	}
	if e.Reason == ticket.ReasonRateLimited && end.state == StatePending {
		end.pause = now.Add(max(min(e.RetryAfter, maxRetryAfter), time.Duration(a.config.BackoffMin)))
	}
	return end
}

// describe adds what everybody shall be able to read later: the audit record of
// the attempt and, for an end, a line in the timeline.
func (a attempt) describe(end *ending) {
	end.At = time.Now()
	detail := map[string]any{
		"task": a.ID, "tracker": a.Tracker, "key": a.Key, "attempt": a.Attempts, "outcome": string(end.state), "result": end.reason(),
		"payloadSha256": incident.PayloadHash(a.Payload),
	}
	if end.Ticket.Key != "" {
		detail["ticket"] = end.Ticket.Key
	}
	if end.Error != "" && end.result == "" {
		detail["error"] = end.Error
	}
	b, err := json.Marshal(detail)
	if err != nil {
		panic("BUG: audit detail cannot be encoded: " + err.Error())
	}
	end.Records = []audit.Entry{{At: end.At, Actor: a.actor, Action: "ticket." + string(a.Kind) + ".after", Subject: a.IncidentID, Detail: b}}
	if line := a.line(*end); line != "" {
		end.Events = []incident.Event{{IncidentID: a.IncidentID, At: end.At, Kind: incident.EventTicket, Actor: "portent", Text: line}}
	}
}

func (a attempt) line(end ending) string {
	switch {
	case end.state == StateDead:
		return fmt.Sprintf("%s: %s of the ticket was given up after %d attempts: %s", a.Tracker, a.Kind, a.Attempts, end.Error)
	case end.state != StateDone:
		return ""
	case a.Kind == incident.TaskCreate && end.result == resultFound:
		return fmt.Sprintf("%s: ticket %s, made by an earlier attempt, was found", a.Tracker, end.Ticket.Key)
	case a.Kind == incident.TaskCreate:
		return fmt.Sprintf("%s: ticket %s created", a.Tracker, end.Ticket.Key)
	case a.Kind == incident.TaskUpdate:
		return fmt.Sprintf("%s: ticket %s commented", a.Tracker, end.Ticket.Key)
	case a.Kind == incident.TaskResolve:
		return fmt.Sprintf("%s: ticket %s resolved (%s)", a.Tracker, end.Ticket.Key, end.Ticket.Status)
	case a.Kind == incident.TaskReopen:
		return fmt.Sprintf("%s: ticket %s reopened (%s)", a.Tracker, end.Ticket.Key, end.Ticket.Status)
	}
	return ""
}
