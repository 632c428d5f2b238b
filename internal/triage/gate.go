package triage

import (
	"encoding/json"
	"net/url"
	"time"

	"github.com/portent-dev/portent/internal/incident"
)

// A Gate says what becomes of a ticket that triage asks for: whether it is filed,
// waits for somebody, or is only recorded. It is asked once for each incident and
// tracker, with the time that correlation has reached, and must not block for
// long: nothing else is judged meanwhile.
type Gate func(now time.Time, inc incident.Incident, tracker string) incident.Gate

// open lets everything go.
func open(time.Time, incident.Incident, string) incident.Gate { return incident.Gate{} }

// create asks for a ticket. What the gate says of it, and what it was judged by,
// goes to the audit chain with the hash of what would be sent.
func (t *Triage) create(g *group, inc incident.Incident, tracker string) {
	gate := t.gate(t.now, inc, tracker)
	draft := t.writer.Draft(tracker, g.TicketKey(), inc)
	t.task(g, tracker, incident.TaskCreate, draft)
	task := &t.batch.change.Tasks[len(t.batch.change.Tasks)-1]
	task.Gate = gate
	detail := map[string]any{
		"tracker": tracker, "outcome": string(gate.Outcome), "phase": gate.Phase, "rule": gate.Rule, "ticketPolicy": gate.Policy, "why": gate.Why,
		"severity": g.Severity, "cause": g.RootCause, "payloadSha256": incident.PayloadHash(task.Payload), "evidence": evidence(inc.Alerts),
	}
	if draft.Origin != nil && len(draft.Origin.Evidence) > 0 {
		detail["found"] = draft.Origin.Evidence
	}
	t.record(g, "policy.decided", detail)
	switch gate.Outcome {
	case incident.GateHold:
		t.event(g, incident.EventTicket, tracker+": a ticket is drafted and waits for somebody to approve it")
	case incident.GateRecord:
		t.event(g, incident.EventTicket, tracker+": a ticket would have been filed")
	case incident.GateSend:
	}
}

// maxEvidence bounds the alerts in one record: a storm has thousands.
const maxEvidence = 20

// evidence names the alerts that a judgement rests on, with their queries.
func evidence(as []incident.Alert) []map[string]string {
	out := make([]map[string]string, 0, min(len(as), maxEvidence))
	for _, a := range as[:min(len(as), maxEvidence)] {
		e := map[string]string{"fingerprint": a.Fingerprint, "alertname": a.Name(), "startsAt": a.StartsAt.Format(time.RFC3339Nano)}
		if q := query(a.GeneratorURL); q != "" {
			e["query"] = q
		}
		out = append(out, e)
	}
	return out
}

// query is the expression behind an alert, as Prometheus writes it into the
// address of its graph.
func query(generatorURL string) string {
	u, err := url.Parse(generatorURL)
	if err != nil {
		return ""
	}
	const most = 2000
	q := u.Query().Get("g0.expr")
	if len(q) > most {
		q = q[:most]
	}
	return q
}

// encode is the payload of a task.
func encode(payload any) (json.RawMessage, error) { return json.Marshal(payload) }
