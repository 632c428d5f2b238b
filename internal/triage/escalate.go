package triage

import (
	"context"
	"slices"
	"time"

	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
)

// Escalate hands an open incident on, by the decision of a person: it becomes
// critical, its tickets are told, and it gets a ticket in each tracker of its
// route as a critical one and of also, whatever the policy says. Errors as of
// Dismiss.
func (r *Runner) Escalate(ctx context.Context, id, by, reason string, also []string) (incident.Incident, error) {
	return r.act(ctx, id, action{
		name: incident.EventEscalated, by: by, reason: reason,
		applies: func(s incident.Status) bool { return s == incident.StatusOpen },
		change:  func(i *incident.Incident, _ time.Time) { i.Severity = incident.SeverityCritical },
		kind:    incident.TaskUpdate, state: ticket.Unchanged, comment: "Escalated by " + by, verdict: incident.VerdictConfirmed, teaches: true,
		also: func(i incident.Incident, c *incident.Change) error {
			inc := &c.Incidents[0]
			for _, tracker := range slices.Concat(r.triage.route(i), also) {
				if slices.Contains(inc.Trackers, tracker) {
					continue
				}
				payload, err := encode(r.o.Writer.Draft(tracker, i.TicketKey(), i))
				if err != nil {
					return err
				}
				detail, err := encode(map[string]any{"tracker": tracker, "key": i.TicketKey(), "reason": reason, "policy": r.triage.policy.version, "payloadSha256": incident.PayloadHash(payload)})
				if err != nil {
					return err
				}
				c.Records = append(c.Records, audit.Entry{At: c.Records[0].At, Actor: by, Action: "ticket.requested", Subject: i.ID, Detail: detail})
				inc.Trackers = append(slices.Clip(inc.Trackers), tracker)
				c.Tasks = append(c.Tasks, incident.Task{
					IncidentID: i.ID, Tracker: tracker, Key: i.TicketKey(), Kind: incident.TaskCreate, Payload: payload,
					Gate: incident.Gate{Phase: incident.PhasePerson, Rule: "escalated", Why: []string{by + " escalated it"}},
				})
			}
			return nil
		},
	})
}
