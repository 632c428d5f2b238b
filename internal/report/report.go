// Package report writes the words: titles, summaries, ticket descriptions and comments about incidents.
//
// Plain is the deterministic writer: the same incident gives the same words, without a clock, a file, a
// network or a model. It decides nothing: severity, grouping and cause are given to it.
//
// Every text that comes from an alert is hostile. It is put into ticket.Doc as text, never as markup, cut
// by runes, and into a command only when it is a plain name. Links are kept only when they are http(s).
package report

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
)

// Bounds of what one document shows. A ticket is read on a phone: what does not fit is counted and linked.
const (
	maxTitle    = 200  // runes; Jira takes 255, PagerDuty 1024, and 200 is one line and a half on a desktop
	maxSummary  = 600  // runes
	maxValue    = 120  // runes of one label value
	maxText     = 1000 // runes of one annotation
	maxRows     = 20   // alerts in the table
	maxTimeline = 15   // lines
	maxNames    = 5    // values in one list of names
	maxJoined   = 10   // alerts in a comment
)

// Options of a Plain. All are optional.
type Options struct {
	ExternalURL   string // the receiver's address as people reach it
	PrometheusURL string // replaces scheme, host and path of links to graphs, which alerts carry as their sender sees them
	Alertmanager  string // address of Alertmanager for people; empty: what the alerts carry
	Templates     TemplatesConfig
}

// Plain writes without a model. It is safe for concurrent use.
type Plain struct {
	links     Links
	templates *templates
}

// New returns a writer. An address in o that is not http or https is an error, as is a template that cannot be executed.
func New(o Options) (*Plain, error) {
	l, err := NewLinks(o)
	if err != nil {
		return nil, err
	}
	t, err := newTemplates(o.Templates)
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	return &Plain{links: l, templates: t}, nil
}

// Title returns one line of at most 200 runes that says what happens where:
// "[Auto] Memory pressure - frontend-api namespace (Cluster: prod-us-east-1)". The label metric, where all
// alerts share one, follows the name: "[Auto] Series far out: shop_queue_length - shop service".
func (p *Plain) Title(inc incident.Incident) string {
	a := affectedBy(inc)
	what := "Alerts"
	if n := leadName(inc); n != "" {
		what = humanize(n)
		if m := shared(inc, "metric"); m != "" { // alerts on anomalies say which series by it
			what += ": " + m
		}
	}
	return ticket.Cut("[Auto] "+what+a.where()+a.clusterSuffix(), maxTitle)
}

// Summary returns one to three sentences of plain text.
func (p *Plain) Summary(inc incident.Incident) string {
	a := affectedBy(inc)
	var b strings.Builder
	total, firing := counts(inc)
	fmt.Fprintf(&b, "%s", plural(total, "alert", "alerts"))
	switch {
	case firing == 0 && total > 0:
		b.WriteString(", all over,")
	case firing < total:
		fmt.Fprintf(&b, " (%d still firing)", firing)
	}
	b.WriteString(a.sentence())
	if !inc.StartedAt.IsZero() {
		b.WriteString(" since " + stamp(inc.StartedAt))
	}
	b.WriteString(".")
	if lead, ok := leadAlert(inc); ok {
		if s := describe(lead); s != "" {
			b.WriteString(" " + name(lead) + ": " + sentence(s))
		}
	}
	if c := inc.RootCause; c.Entity != "" && c.Confidence > 0 {
		fmt.Fprintf(&b, " Probable cause: %s (%s).", value(c.Entity), percent(c.Confidence))
	}
	return ticket.Cut(b.String(), maxSummary)
}

// Draft returns the ticket to be filed for the incident under key.
func (p *Plain) Draft(key string, inc incident.Incident) ticket.Draft {
	d := ticket.Draft{
		Key:         key,
		Title:       p.Title(inc),
		Summary:     p.Summary(inc),
		Body:        p.body(key, inc),
		Severity:    string(inc.Severity),
		Team:        p.team(inc),
		Labels:      labels(inc),
		IncidentURL: p.links.Incident(inc.ID),
		StartedAt:   inc.StartedAt,
	}
	p.templates.override(&d, inc)
	return d
}

// Comment returns what a ticket is told later: text (may be empty) is what happened in one sentence, joined
// are the alerts that came in and ended those that are over since the ticket last heard.
func (p *Plain) Comment(inc incident.Incident, joined, ended []incident.Alert, text string) ticket.Doc {
	var d ticket.Doc
	if t := ticket.Cut(ticket.Clean(text), maxText); t != "" {
		d = append(d, ticket.Paragraph(ticket.Text(t)))
	}
	d = appendAlerts(d, "New in this incident", joined, func(a incident.Alert) time.Time { return a.StartsAt })
	d = appendAlerts(d, "Over", ended, func(a incident.Alert) time.Time { return a.EndsAt })
	total, firing := counts(inc)
	state := []ticket.Span{ticket.Text(fmt.Sprintf("Now: %s, severity %s, %d of %s firing.", inc.Status, inc.Severity, firing, plural(total, "alert", "alerts")))}
	if u := p.links.Incident(inc.ID); u != "" {
		state = append(state, ticket.Text(" "), ticket.Link("Open the incident", u))
	}
	return append(d, ticket.Paragraph(state...))
}

func appendAlerts(d ticket.Doc, head string, alerts []incident.Alert, at func(incident.Alert) time.Time) ticket.Doc {
	if len(alerts) == 0 {
		return d
	}
	var items [][]ticket.Span
	for i, a := range alerts {
		if i == maxJoined {
			items = append(items, []ticket.Span{ticket.Italic(fmt.Sprintf("and %d more", len(alerts)-maxJoined))})
			break
		}
		line := []ticket.Span{ticket.Bold(name(a))}
		if s := Subject(a); s != "" {
			line = append(line, ticket.Text(" on "), ticket.Mono(s))
		}
		if t := at(a); !t.IsZero() {
			line = append(line, ticket.Text(", "+stamp(t)))
		}
		if s := describe(a); s != "" {
			line = append(line, ticket.Text(": "+s))
		}
		items = append(items, line)
	}
	return append(d, ticket.Paragraph(ticket.Bold(head)), ticket.List(items...))
}

// maxAlertLabels bounds the labels that name alerts.
const maxAlertLabels = 4

// labels are the ticket's labels besides its key: what its alerts are called, the leading one first. None may look like a key
// ("portent-…"), by which duplicates are found.
func labels(inc incident.Incident) []string {
	out := []string{"auto-generated"}
	names := []string{leadName(inc)}
	for _, a := range byStart(inc.Alerts) {
		names = append(names, a.Name())
	}
	for _, n := range names {
		k := kebab(n)
		if strings.HasPrefix(k, "portent") {
			k = "alert-" + k
		}
		if k != "" && len(out) <= maxAlertLabels && !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

func counts(inc incident.Incident) (total, firing int) {
	total, firing = inc.Total, inc.Firing
	if len(inc.Alerts) > 0 && total < len(inc.Alerts) {
		total, firing = len(inc.Alerts), 0
		for _, a := range inc.Alerts {
			if a.Status == incident.AlertFiring {
				firing++
			}
		}
	}
	return total, firing
}

// stamp writes a time for people: to the minute would hide the order of alerts in a storm.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func percent(v float64) string { return fmt.Sprintf("confidence %.0f %%", 100*v) }

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func httpURL(s string) (*url.URL, bool) {
	if s == "" || len(s) > maxURLIn {
		return nil, false
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, false
	}
	u.User = nil
	return u, true
}
