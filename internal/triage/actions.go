package triage

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
)

// Dismiss ends an incident by the decision of a person: its tickets are
// resolved, and alerts that it has may fire on without opening it. It returns
// incident.ErrNotFound, or incident.ErrConflict when it was dismissed or merged
// already or somebody else changes it at the same time.
func (r *Runner) Dismiss(ctx context.Context, id, by, reason string) (incident.Incident, error) {
	return r.act(ctx, id, action{
		name: incident.EventDismissed, by: by, reason: reason,
		applies: func(s incident.Status) bool { return s != incident.StatusDismissed },
		change: func(i *incident.Incident, now time.Time) {
			i.Status, i.Pinned = incident.StatusDismissed, false
			if i.EndedAt.IsZero() {
				i.EndedAt = now
			}
		},
		kind: incident.TaskResolve, state: ticket.Resolved, comment: "Dismissed by " + by, verdict: incident.VerdictDismissed, teaches: true,
	})
}

// Reopen opens an incident by the decision of a person. When none of its alerts
// fires it stays open until one has fired again and ended, or it is dismissed.
// Errors as of Dismiss.
func (r *Runner) Reopen(ctx context.Context, id, by, reason string) (incident.Incident, error) {
	return r.act(ctx, id, action{
		name: incident.EventReopened, by: by, reason: reason,
		applies: func(s incident.Status) bool { return s != incident.StatusOpen },
		change: func(i *incident.Incident, _ time.Time) {
			i.Status, i.EndedAt, i.Pinned = incident.StatusOpen, time.Time{}, i.Firing == 0
		},
		kind: incident.TaskReopen, state: ticket.Open, comment: "Reopened by " + by, verdict: incident.VerdictNone, teaches: true,
	})
}

// An action is what a person does to an incident.
type action struct {
	name, by, reason string
	applies          func(incident.Status) bool
	change           func(i *incident.Incident, now time.Time)
	kind             incident.TaskKind
	state            ticket.State
	comment          string
	// teaches: it says verdict of the incident's class.
	teaches bool
	verdict incident.Verdict
	// also adds to what the action changes; i is the incident as it will be.
	also func(i incident.Incident, c *incident.Change) error
}

func (r *Runner) act(ctx context.Context, id string, a action) (incident.Incident, error) {
	r.mu.Lock() // not in the middle of a batch of ours; the version guards against others
	defer r.mu.Unlock()
	i, err := r.o.Store.Get(ctx, id)
	if err != nil {
		return i, err
	}
	if i.MergedInto != "" {
		return i, fmt.Errorf("incident %s was merged into %s: %w", id, i.MergedInto, incident.ErrConflict)
	}
	if !a.applies(i.Status) {
		return i, fmt.Errorf("incident %s is %s: %w", id, i.Status, incident.ErrConflict)
	}
	now := time.Now()
	c, err := r.decide(i, a, now)
	if err != nil {
		return i, err
	}
	if err := r.o.Store.Apply(ctx, c); err != nil {
		return i, err
	}
	if len(c.Tasks) > 0 {
		r.o.Wrote()
	}
	got, err := r.o.Store.Get(ctx, id)
	if err != nil {
		r.loaded = false // memory is read again
		return i, err
	}
	if r.loaded {
		r.triage.Refresh(got)
	}
	return got, nil
}

// decide makes the change of an action: the incident, its timeline, its tickets
// and the audit record.
func (r *Runner) decide(i incident.Incident, a action, now time.Time) (incident.Change, error) {
	end := r.triage.Now() // the end of an incident is in the time of its alerts
	if end.Before(i.StartedAt) {
		end = now
	}
	from := i.Status
	a.change(&i, end)
	i.UpdatedAt, i.ToldAt = end, end
	text := a.comment
	if a.reason != "" {
		text += ": " + a.reason
	}
	u := ticket.Update{
		Key: fmt.Sprintf("%s-%d-%s", i.ID, i.Version+1, a.kind), State: a.state,
		Comment: r.o.Writer.Comment(i, nil, nil, text+"."),
	}
	payload, err := json.Marshal(u)
	if err != nil {
		return incident.Change{}, err
	}
	detail, err := json.Marshal(map[string]any{"from": from, "reason": a.reason, "policy": r.triage.policy.version, "payloadSha256": incident.PayloadHash(payload)})
	if err != nil {
		return incident.Change{}, err
	}
	c := incident.Change{
		Incidents: []incident.Incident{i},
		Events:    []incident.Event{{IncidentID: i.ID, At: now, Kind: a.name, Actor: a.by, Text: text}},
		Records:   []audit.Entry{{At: now, Actor: a.by, Action: "incident." + a.name, Subject: i.ID, Detail: detail}},
	}
	for _, tracker := range i.Trackers {
		c.Tasks = append(c.Tasks, incident.Task{
			IncidentID: i.ID, Tracker: tracker, Key: i.TicketKey(), Kind: a.kind, Payload: payload, Gate: incident.Gate{Phase: incident.PhasePerson},
		})
	}
	if a.teaches {
		cluster, class := i.Class()
		c.Feedback = []incident.Feedback{{IncidentID: i.ID, Cluster: cluster, Class: class, Verdict: a.verdict, Actor: a.by, Reason: a.reason, At: now}}
	}
	if a.also != nil {
		err = a.also(i, &c)
	}
	return c, err
}
