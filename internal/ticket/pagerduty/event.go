package pagerduty

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticketrest"
)

// The bodies of the Events API v2.

type event struct {
	RoutingKey string  `json:"routing_key"`
	Action     string  `json:"event_action"`
	DedupKey   string  `json:"dedup_key"`
	Payload    payload `json:"payload"`
	Links      []link  `json:"links,omitempty"`
	Client     string  `json:"client,omitempty"`
	ClientURL  string  `json:"client_url,omitempty"`
}

type payload struct {
	Summary   string         `json:"summary"`
	Source    string         `json:"source"`
	Severity  string         `json:"severity"`
	Timestamp string         `json:"timestamp,omitempty"`
	Component string         `json:"component,omitempty"`
	Group     string         `json:"group,omitempty"`
	Class     string         `json:"class,omitempty"`
	Details   map[string]any `json:"custom_details,omitempty"`
}

type link struct {
	Href string `json:"href"`
	Text string `json:"text,omitempty"`
}

// The actions. Portent never acknowledges: that is a person's word.
const (
	actionTrigger = "trigger"
	actionResolve = "resolve"
)

// Bounds of an event, in runes or entries. PagerDuty takes 1024 characters of a
// summary and 512 KB of everything: at four bytes a rune, or two for an escaped
// one, what follows stays below 400 KB.
const (
	maxSummary = 1024
	maxBody    = ticket.MaxText
	maxDetail  = 1000
	maxDetails = 20
	maxLabels  = 50
	maxLabel   = 100
	maxLinks   = 20
	maxLink    = 100
)

// ourDetails are the custom details that Portent sets.
var ourDetails = []string{"summary", "description", "update", "severity", "labels", "incident"}

// newEvent is what all events of a ticket have.
func (t *Tracker) newEvent(action, key, summary, severity string) event {
	details := map[string]any{"incident": key}
	for k, v := range t.cfg.Details {
		details[k] = v
	}
	return event{
		RoutingKey: t.routingKey, Action: action, DedupKey: key,
		Payload: payload{
			Summary: summary, Source: t.cfg.Source, Severity: severity,
			Component: t.cfg.Component, Group: t.cfg.Group, Class: t.cfg.Class, Details: details,
		},
	}
}

// opening is the event that makes the incident of a draft.
func (t *Tracker) opening(d ticket.Draft) event {
	e := t.newEvent(actionTrigger, d.Key, ticket.OneLine(d.Title, maxSummary), t.severity(d))
	e.Client = "Portent"
	if u, ok := ticket.SafeURL(d.IncidentURL); ok {
		e.ClientURL = u
		e.Links = append(e.Links, link{Href: u, Text: "Open the incident in Portent"})
	}
	e.Links = collectLinks(e.Links, d.Body)
	if !d.StartedAt.IsZero() {
		e.Payload.Timestamp = d.StartedAt.UTC().Format(time.RFC3339Nano)
	}
	set := func(name, text string) {
		if text != "" {
			e.Payload.Details[name] = text
		}
	}
	set("summary", ticket.Cut(strings.TrimSpace(ticket.Clean(d.Summary)), maxBody/4))
	set("description", fit(d.Body, maxBody))
	set("severity", ticket.OneLine(d.Severity, maxLabel))
	if e.Payload.Details["team"] == nil { // what the configuration says stays
		set("team", ticket.OneLine(d.Team, maxLabel))
	}
	var labels []string
	for _, l := range d.Labels {
		if l = ticket.OneLine(l, maxLabel); l != "" && len(labels) < maxLabels {
			labels = append(labels, l)
		}
	}
	if len(labels) > 0 {
		e.Payload.Details["labels"] = labels
	}
	return e
}

// following is an event about an incident that was opened earlier.
func (t *Tracker) following(action, key string, comment ticket.Doc) event {
	known := t.recall(key)
	text := fit(comment, maxBody)
	summary := known.title
	if summary == "" {
		summary = ticket.OneLine(firstLine(text), maxSummary)
	}
	if summary == "" {
		summary = key
	}
	severity := known.severity
	if severity == "" {
		severity = "warning"
	}
	e := t.newEvent(action, key, summary, severity)
	if text != "" {
		e.Payload.Details["update"] = text
	}
	e.Links = collectLinks(nil, comment)
	return e
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func (t *Tracker) severity(d ticket.Draft) string {
	for _, s := range []string{d.Priority, t.cfg.Severities[d.Severity]} {
		if slices.Contains(severities, s) {
			return s
		}
	}
	return "warning"
}

// fit renders d as text of at most room runes. What is cut is said at the end.
func fit(d ticket.Doc, room int) string {
	const between = 2 // the empty line
	text := ticket.Fit(d, room, ticket.Paragraph(ticket.Text("… (cut: the rest is in Portent)")), func(b ticket.Block) int {
		return utf8.RuneCountInString(ticket.Doc{b}.Text()) + between
	}).Text()
	return ticket.Cut(strings.TrimSpace(text), room)
}

// collectLinks appends the links of a document, each once.
func collectLinks(out []link, d ticket.Doc) []link {
	add := func(spans []ticket.Span) {
		for _, s := range spans {
			u, ok := ticket.SafeURL(s.Link)
			if !ok || len(out) >= maxLinks || slices.ContainsFunc(out, func(l link) bool { return l.Href == u }) {
				continue
			}
			out = append(out, link{Href: u, Text: ticket.OneLine(s.Text, maxLink)})
		}
	}
	for _, b := range d {
		add(b.Spans)
		for _, item := range b.Items {
			add(item)
		}
		for _, row := range b.Rows {
			for _, cell := range row {
				add(cell)
			}
		}
	}
	return out
}

// send sends an event. PagerDuty answers 202 when it has taken the event, which is
// before it has made anything of it.
func (t *Tracker) send(ctx context.Context, e event) error {
	var answer struct {
		Status string `json:"status"`
	}
	return t.events.Do(ctx, ticketrest.Call{
		Op: e.Action, Method: http.MethodPost, Path: "/v2/enqueue", Body: e, Want: []int{http.StatusAccepted}, Effect: true,
	}, &answer)
}
