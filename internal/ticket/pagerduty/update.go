package pagerduty

import (
	"context"
	"errors"
	"time"

	"github.com/portent-dev/portent/internal/ticket"
)

// Update comments, resolves or opens again. It can be repeated after any error.
//
// With REST a comment is a note, written once by the mark in its last line.
// Without, it is an event with the key of the incident, which PagerDuty adds to
// the open alert; when a person has resolved it, that event opens a new incident,
// as every alert that goes on firing does in PagerDuty.
//
// Opening again always makes a new incident: PagerDuty has no other way.
func (t *Tracker) Update(ctx context.Context, r ticket.Ref, u ticket.Update) error {
	if err := u.Validate(); err != nil {
		return &ticket.Error{Reason: ticket.ReasonInvalid, Err: err}
	}
	if ticket.CheckKey(r.Key) != nil {
		return notFound("not a key of ours")
	}
	if t.api == nil {
		return t.updateByEvent(ctx, r.Key, u)
	}
	in, err := t.incidents(ctx, r.Key)
	if err != nil {
		return err
	}
	if len(in) == 0 {
		return t.updateUnseen(ctx, r.Key, u)
	}
	if err := t.comment(ctx, in, u); err != nil {
		return err
	}
	newest := in[0]
	switch {
	case u.State == ticket.Resolved && newest.state() == ticket.Resolved && t.fresh(r.Key):
		// What was opened again may not be shown yet. For one that is resolved the event
		// does nothing.
		return t.send(ctx, t.following(actionResolve, r.Key, u.Comment))
	case u.State == ticket.Unchanged || u.State == newest.state():
		return nil
	case u.State == ticket.Open:
		return t.reopen(ctx, r.Key, u.Comment)
	case newest.Alerts.All > 1:
		// Others' alerts were grouped or merged into the incident: the event ends ours
		// alone, and the incident with the last one.
		return t.send(ctx, t.following(actionResolve, r.Key, u.Comment))
	default:
		return t.resolveIncident(ctx, newest.ID)
	}
}

// comment writes the note of an update on the newest incident, once. The one
// before it is looked at too: the update may have been the one that opened a new
// incident.
func (t *Tracker) comment(ctx context.Context, in []pdIncident, u ticket.Update) error {
	if u.Comment.Empty() {
		return nil
	}
	done, err := t.hasNote(ctx, in[:min(len(in), 2)], u.Key)
	if err != nil || done {
		return err
	}
	return t.note(ctx, in[0].ID, u.Key, u.Comment)
}

func (t *Tracker) updateByEvent(ctx context.Context, key string, u ticket.Update) error {
	switch u.State {
	case ticket.Resolved:
		return t.send(ctx, t.following(actionResolve, key, u.Comment))
	case ticket.Open:
		return t.reopen(ctx, key, u.Comment)
	case ticket.Unchanged:
		if u.Comment.Empty() {
			return nil
		}
		return t.send(ctx, t.following(actionTrigger, key, u.Comment))
	default:
		return &ticket.Error{Reason: ticket.ReasonInvalid, Err: errors.New("pagerduty: unknown state")}
	}
}

// shownAfter is when to look again for an incident that REST does not show yet.
const shownAfter = 5 * time.Second

// updateUnseen updates an incident that REST does not show. A state can be sent
// as an event all the same: its key says which alert it is about.
func (t *Tracker) updateUnseen(ctx context.Context, key string, u ticket.Update) error {
	if t.fresh(key) {
		return &ticket.Error{
			Reason: ticket.ReasonUnavailable, Retry: true, RetryAfter: shownAfter,
			Err: errors.New("pagerduty: the incident is not shown yet"),
		}
	}
	if u.State == ticket.Unchanged {
		return notFound("no incident has the key " + key)
	}
	return t.updateByEvent(ctx, key, u)
}

// fresh reports whether an event of ours could still be on its way to REST.
func (t *Tracker) fresh(key string) bool {
	sent := t.recall(key).sent
	return !sent.IsZero() && t.now().Sub(sent) < time.Duration(t.cfg.SearchLag)
}

func (t *Tracker) reopen(ctx context.Context, key string, comment ticket.Doc) error {
	e := t.following(actionTrigger, key, comment)
	if err := t.send(ctx, e); err != nil {
		return err
	}
	t.remember(key, memory{title: e.Payload.Summary, severity: e.Payload.Severity, sent: t.now()})
	return nil
}

// memory is what this process knows of an incident that it opened: an Update does
// not repeat it. After a restart an update's first line stands for the title.
type memory struct {
	title, severity string
	sent            time.Time
}

// maxKnown bounds the keys that are remembered: enough for those of a storm, in
// about 2 MB.
const maxKnown = 512

// ring remembers the newest keys. The zero value is ready; Tracker.mu guards it.
type ring struct {
	byKey map[string]memory
	order []string
}

func (t *Tracker) remember(key string, m memory) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := &t.known
	if r.byKey == nil {
		r.byKey = map[string]memory{}
	}
	if _, ok := r.byKey[key]; !ok {
		r.order = append(r.order, key)
	}
	r.byKey[key] = m
	for len(r.order) > maxKnown {
		delete(r.byKey, r.order[0])
		r.order = r.order[1:]
	}
}

func (t *Tracker) recall(key string) memory {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known.byKey[key]
}
