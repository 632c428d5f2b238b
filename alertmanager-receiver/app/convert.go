package app

import (
	"time"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incidentapi"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/report"
	"github.com/portent-dev/portent/internal/ticket"
)

// maxEvidence bounds the evidence of one incident: different expressions, in the order of firing.
const maxEvidence = 10

// toAPI turns an incident into what the API says of it.
func toAPI(inc incident.Incident, links report.Links) incidentapi.Incident {
	out := incidentapi.Incident{
		ID: inc.ID, Status: string(inc.Status), Severity: string(inc.Severity), Title: inc.Title, Summary: inc.Summary,
		StartedAt: inc.StartedAt.UTC(), EndedAt: timeOrNull(inc.EndedAt), UpdatedAt: inc.UpdatedAt.UTC(),
		Tickets:  make([]incidentapi.Ticket, 0, len(inc.Tickets)),
		Alerts:   make([]incidentapi.Alert, 0, len(inc.Alerts)),
		Evidence: append(found(inc.Dossier), evidence(inc, links)...),
		Missing:  missing(inc.Dossier),
		Account:  accountToAPI(inc.Dossier),
		URL:      links.Incident(inc.ID),
	}
	if c := inc.RootCause; c.Entity != "" || c.Alertname != "" {
		out.RootCause = &incidentapi.RootCause{Entity: c.Entity, Alertname: c.Alertname, Confidence: c.Confidence}
	}
	out.Causes = make([]incidentapi.Cause, 0, len(inc.Causes))
	for _, c := range inc.Causes {
		out.Causes = append(out.Causes, incidentapi.Cause{RootCause: incidentapi.RootCause{Entity: c.Entity, Alertname: c.Alertname, Confidence: c.Confidence}, Why: c.Why})
	}
	for _, t := range inc.Tickets {
		out.Tickets = append(out.Tickets, incidentapi.Ticket{Tracker: t.Tracker, Key: t.Key, URL: t.URL, Status: t.Status})
	}
	for _, a := range inc.Alerts {
		out.Alerts = append(out.Alerts, alertToAPI(a))
	}
	for _, e := range inc.Timeline {
		out.Timeline = append(out.Timeline, incidentapi.Event{At: e.At.UTC(), Kind: e.Kind, Actor: e.Actor, Text: e.Text})
	}
	return out
}

func alertToAPI(a incident.Alert) incidentapi.Alert {
	lset := a.Labels
	if lset == nil {
		lset = map[string]string{}
	}
	return incidentapi.Alert{
		Fingerprint: a.Fingerprint, StartsAt: a.StartsAt.UTC(), EndsAt: timeOrNull(a.EndsAt), Status: string(a.Status),
		Labels: lset, Annotations: a.Annotations, GeneratorURL: a.GeneratorURL, Why: a.Why,
	}
}

// found lists what was looked for and found.
func found(d *incident.Dossier) []incidentapi.Evidence {
	out := []incidentapi.Evidence{}
	if d == nil {
		return out
	}
	for _, e := range d.Evidence {
		out = append(out, incidentapi.Evidence{ID: e.ID, Kind: string(e.Kind), Title: e.Title, Text: e.Text, Query: e.Query, URL: e.URL, At: timeOrNull(e.At), Source: e.Source})
	}
	return out
}

// accountToAPI is what happened, nil where there is nothing to tell.
func accountToAPI(d *incident.Dossier) *incidentapi.Account {
	if d == nil || len(d.Account.Sentences) == 0 {
		return nil
	}
	out := &incidentapi.Account{Model: d.Account.Model, Prompt: d.Account.Prompt, WithoutModel: d.Account.WithoutModel}
	for _, s := range d.Account.Sentences {
		out.Sentences = append(out.Sentences, incidentapi.Sentence{Text: s.Text, Rests: s.Rests})
	}
	return out
}

// missing lists what could not be looked at.
func missing(d *incident.Dossier) []incidentapi.Gap {
	if d == nil {
		return nil
	}
	var out []incidentapi.Gap
	for _, g := range d.Missing {
		out = append(out, incidentapi.Gap{Source: g.Source, Reason: g.Reason})
	}
	return out
}

// evidence lists the different expressions behind the alerts, with links to their graphs.
func evidence(inc incident.Incident, links report.Links) []incidentapi.Evidence {
	out := []incidentapi.Evidence{}
	seen := map[string]bool{}
	for _, a := range inc.Alerts {
		q := report.Expr(a)
		if q == "" || seen[q] {
			continue
		}
		if len(out) == maxEvidence {
			break
		}
		seen[q] = true
		out = append(out, incidentapi.Evidence{Kind: "query", Title: ticket.OneLine(a.Name(), 120), Query: q, URL: links.Graph(a, inc.StartedAt, lastOf(inc))})
	}
	return out
}

// lastOf is up to when the incident is known.
func lastOf(inc incident.Incident) time.Time {
	if !inc.EndedAt.IsZero() {
		return inc.EndedAt
	}
	if inc.UpdatedAt.After(inc.StartedAt) {
		return inc.UpdatedAt
	}
	return inc.StartedAt
}

func taskToAPI(t outbox.Task) incidentapi.Task {
	return incidentapi.Task{
		ID: t.ID, Incident: t.IncidentID, Tracker: t.Tracker, Key: t.Key, Kind: string(t.Kind), State: string(t.State),
		Attempts: t.Attempts, CreatedAt: t.CreatedAt.UTC(), FirstTried: timeOrNull(t.FirstTried), NotBefore: timeOrNull(t.NotBefore),
		Reason: t.Reason, LastError: t.LastError,
	}
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func cursorOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
