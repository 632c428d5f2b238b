package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
)

// body is the description of a ticket below its summary.
func (p *Plain) body(key string, inc incident.Incident) ticket.Doc {
	var d ticket.Doc
	if inc.Dossier != nil {
		d = append(d, account(inc.Dossier.Account)...)
	}
	facts := append([][][]ticket.Span{
		{{ticket.Text("Detail")}, {ticket.Text("Value")}},
		{{ticket.Text("Severity")}, {ticket.Text(string(inc.Severity))}},
		{{ticket.Text("Suggested priority")}, {ticket.Text(priority(inc))}},
		{{ticket.Text("Started")}, {ticket.Text(stamp(inc.StartedAt))}},
	}, affectedBy(inc).table()...)
	if who := p.team(inc); who != "" {
		facts = append(facts, [][]ticket.Span{{ticket.Text("Team")}, {ticket.Text(who)}})
	}
	d = append(d, ticket.Heading(3, ticket.Text("Affected")), ticket.Table(facts...))
	d = append(d, p.cause(inc)...)
	if inc.Dossier != nil {
		d = append(d, p.Evidence(*inc.Dossier)...)
	}
	d = append(d, p.templates.notes(newTemplateData(inc, p.links.Incident(inc.ID), "", ""))...)
	d = append(d, ticket.Heading(3, ticket.Text("First steps")), ticket.Numbered(p.steps(inc)...))
	d = append(d, alertTable(inc)...)
	d = append(d, timeline(inc)...)
	d = append(d, p.linkList(inc)...)
	return append(d, ticket.Rule(), ticket.Paragraph(ticket.Italic("Filed by Portent. Key: "), ticket.Mono(key)))
}

func (p *Plain) cause(inc incident.Incident) ticket.Doc {
	head := ticket.Heading(3, ticket.Text("Probable cause"))
	if c := inc.RootCause; c.Entity != "" || c.Alertname != "" {
		spans := []ticket.Span{ticket.Bold(value(c.Entity))}
		switch {
		case c.Entity == "":
			spans = []ticket.Span{ticket.Bold(value(c.Alertname))}
		case c.Alertname != "":
			spans = append(spans, ticket.Text(", seen as "), ticket.Bold(value(c.Alertname)))
		}
		return ticket.Doc{head, ticket.Paragraph(append(spans, ticket.Text(" ("+percent(c.Confidence)+")"))...)}
	}
	return ticket.Doc{head, ticket.Paragraph(ticket.Text("Not known. The alerts below stand in the order in which they fired; what fired first is where to look first."))}
}

// alertTable lists the alerts in the order of firing.
func alertTable(inc incident.Incident) ticket.Doc {
	if len(inc.Alerts) == 0 {
		return nil
	}
	rows := [][][]ticket.Span{{{ticket.Text("Alert")}, {ticket.Text("On")}, {ticket.Text("Severity")}, {ticket.Text("Since")}, {ticket.Text("State")}}}
	sorted := byStart(inc.Alerts)
	for _, a := range sorted[:min(len(sorted), maxRows)] {
		state := string(a.Status)
		if a.Status == incident.AlertResolved && !a.EndsAt.IsZero() {
			state = "over after " + length(a.EndsAt.Sub(a.StartsAt))
		}
		rows = append(rows, [][]ticket.Span{
			{ticket.Text(name(a))}, {ticket.Mono(Subject(a))}, {ticket.Text(value(a.Labels["severity"]))}, {ticket.Text(stamp(a.StartsAt))}, {ticket.Text(state)},
		})
	}
	d := ticket.Doc{ticket.Heading(3, ticket.Text("Alerts")), ticket.Table(rows...)}
	if more := max(len(sorted), inc.Total) - len(rows) + 1; more > 0 {
		d = append(d, ticket.Paragraph(ticket.Text(fmt.Sprintf("and %d more: see the incident.", more))))
	}
	return d
}

// timeline lists what happened: the incident's own events, or the starts and ends of its alerts when it has none yet.
func timeline(inc incident.Incident) ticket.Doc {
	events := slices.Clone(inc.Timeline)
	if len(events) == 0 {
		for _, a := range inc.Alerts {
			on := ""
			if s := Subject(a); s != "" {
				on = " on " + s
			}
			events = append(events, incident.Event{At: a.StartsAt, Text: name(a) + on + " fired"})
			if a.Status == incident.AlertResolved && !a.EndsAt.IsZero() {
				events = append(events, incident.Event{At: a.EndsAt, Text: name(a) + on + " was over"})
			}
		}
	}
	if len(events) == 0 {
		return nil
	}
	slices.SortStableFunc(events, func(a, b incident.Event) int {
		if c := a.At.Compare(b.At); c != 0 {
			return c
		}
		return strings.Compare(a.Text, b.Text)
	})
	var items [][]ticket.Span
	for _, e := range events[:min(len(events), maxTimeline)] {
		items = append(items, []ticket.Span{ticket.Mono(stamp(e.At)), ticket.Text(" " + ticket.OneLine(e.Text, maxText))})
	}
	if more := len(events) - maxTimeline; more > 0 {
		items = append(items, []ticket.Span{ticket.Italic(fmt.Sprintf("and %d more", more))})
	}
	return ticket.Doc{ticket.Heading(3, ticket.Text("Timeline")), ticket.List(items...)}
}

// linkList leads to other systems. The tracker itself adds the link to the incident (Draft.IncidentURL).
func (p *Plain) linkList(inc incident.Incident) ticket.Doc {
	var items [][]ticket.Span
	add := func(text, url string) {
		if url != "" {
			items = append(items, []ticket.Span{ticket.Link(text, url)})
		}
	}
	if lead, ok := leadAlert(inc); ok {
		add("Graph of "+name(lead)+" in Prometheus", p.links.Graph(lead, inc.StartedAt, latest(inc)))
		add("Alert in Alertmanager, to see or silence it", p.links.Alertmanager(lead))
		add("Runbook of "+name(lead), Runbook(lead))
	}
	if len(items) == 0 {
		return nil
	}
	return ticket.Doc{ticket.Heading(3, ticket.Text("Links")), ticket.List(items...)}
}

// latest is the greatest time the incident knows of: time comes with the data here.
func latest(inc incident.Incident) time.Time {
	t := inc.EndedAt
	for _, x := range []time.Time{inc.UpdatedAt, inc.StartedAt} {
		if x.After(t) {
			t = x
		}
	}
	for _, a := range inc.Alerts {
		if a.StartsAt.After(t) {
			t = a.StartsAt
		}
		if a.EndsAt.After(t) {
			t = a.EndsAt
		}
	}
	return t
}

func byStart(alerts []incident.Alert) []incident.Alert {
	out := slices.Clone(alerts)
	slices.SortStableFunc(out, func(a, b incident.Alert) int {
		if c := a.StartsAt.Compare(b.StartsAt); c != 0 {
			return c
		}
		return strings.Compare(a.Fingerprint, b.Fingerprint)
	})
	return out
}

// length writes a duration for people, to two units.
func length(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d < 0:
		return "0s"
	case d < time.Minute:
		return d.String()
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
	}
}
