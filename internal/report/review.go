package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
)

// Review returns the draft of a post-incident review: what is known, in the order of the usual
// templates (Google, "Site Reliability Engineering", 2016, appendix D), and what only people know as
// questions to them. The incident must have its alerts and timeline.
func (p *Plain) Review(inc incident.Incident) ticket.Doc {
	d := ticket.Doc{
		ticket.Heading(1, ticket.Text(strings.TrimPrefix(p.Title(inc), "[Auto] "))),
		ticket.Paragraph(ticket.Italic("Draft by Portent from what it recorded. What it cannot know is asked for in brackets.")),
		ticket.Table(p.facts(inc)...),
		ticket.Heading(2, ticket.Text("Summary")),
		ticket.Paragraph(ticket.Text(p.Summary(inc))),
	}
	if inc.Dossier != nil {
		d = append(d, account(inc.Dossier.Account)...)
	}
	d = append(d,
		ticket.Heading(2, ticket.Text("Impact")),
		ticket.Paragraph(ticket.Text("[Who noticed what, for how long? Requests failed, money, promises broken.]")))
	d = append(d, p.cause(inc)...)
	d = append(d, ticket.Paragraph(ticket.Text("[Is that the cause? What let it happen, and what kept it from being seen earlier?]")))
	if inc.Dossier != nil {
		d = append(d, p.Evidence(*inc.Dossier)...)
	}
	d = append(d, reviewTimeline(inc)...)
	d = append(d, alertTable(inc)...)
	d = append(d, p.linkList(inc)...)
	return append(d,
		ticket.Heading(2, ticket.Text("What went well, what went badly, where we were lucky")),
		ticket.List(
			[]ticket.Span{ticket.Text("Went well: [ ]")}, []ticket.Span{ticket.Text("Went badly: [ ]")}, []ticket.Span{ticket.Text("Were lucky: [ ]")}),
		ticket.Heading(2, ticket.Text("Action items")),
		ticket.Table(
			[][]ticket.Span{{ticket.Text("Action")}, {ticket.Text("Kind")}, {ticket.Text("Owner")}, {ticket.Text("Ticket")}},
			[][]ticket.Span{{ticket.Text("[ ]")}, {ticket.Text("prevent")}, {ticket.Text("[ ]")}, {ticket.Text("[ ]")}},
			[][]ticket.Span{{ticket.Text("[ ]")}, {ticket.Text("see earlier")}, {ticket.Text("[ ]")}, {ticket.Text("[ ]")}}))
}

// facts are the head of a review.
func (p *Plain) facts(inc incident.Incident) [][][]ticket.Span {
	row := func(head string, value ...ticket.Span) [][]ticket.Span {
		return [][]ticket.Span{{ticket.Text(head)}, value}
	}
	rows := [][][]ticket.Span{row("Detail", ticket.Text("Value"))}
	if u := p.links.Incident(inc.ID); u != "" {
		rows = append(rows, row("Incident", ticket.Link(inc.ID, u)))
	} else {
		rows = append(rows, row("Incident", ticket.Mono(inc.ID)))
	}
	rows = append(rows, row("Status", ticket.Text(string(inc.Status))), row("Severity", ticket.Text(string(inc.Severity))), row("Began", ticket.Text(stamp(inc.StartedAt))))
	if inc.EndedAt.IsZero() {
		rows = append(rows, row("Ended", ticket.Text("not yet")))
	} else {
		rows = append(rows, row("Ended", ticket.Text(stamp(inc.EndedAt))), row("Lasted", ticket.Text(length(inc.EndedAt.Sub(inc.StartedAt)))))
	}
	if first := firstTold(inc); first > 0 {
		rows = append(rows, row("First alert to ticket", ticket.Text(length(first))))
	}
	for _, t := range inc.Tickets {
		if t.Key == "" {
			continue
		}
		key := ticket.Text(t.Key)
		if u, ok := ticket.SafeURL(t.URL); ok {
			key = ticket.Link(t.Key, u)
		}
		rows = append(rows, row("Ticket in "+value(t.Tracker), key, ticket.Text(" "+value(t.Status))))
	}
	return append(rows, affectedBy(inc).table()...)
}

// firstTold is how long after the first alert the first ticket was there, 0 when that is not known.
func firstTold(inc incident.Incident) time.Duration {
	for _, e := range inc.Timeline {
		if e.Kind == incident.EventTicket {
			return e.At.Sub(inc.StartedAt)
		}
	}
	return 0
}

// maxReview bounds the timeline of a review: it is for reading in peace.
const maxReview = 200

// reviewTimeline is a table of everything recorded, in order.
func reviewTimeline(inc incident.Incident) ticket.Doc {
	events := inc.Timeline
	if len(events) == 0 {
		return timeline(inc)
	}
	rows := [][][]ticket.Span{{{ticket.Text("Time")}, {ticket.Text("Who")}, {ticket.Text("What")}}}
	for _, e := range events[:min(len(events), maxReview)] {
		rows = append(rows, [][]ticket.Span{{ticket.Mono(stamp(e.At))}, {ticket.Text(value(e.Actor))}, {ticket.Text(ticket.OneLine(e.Text, maxText))}})
	}
	d := ticket.Doc{ticket.Heading(2, ticket.Text("Timeline")), ticket.Table(rows...)}
	if more := len(events) - maxReview; more > 0 {
		d = append(d, ticket.Paragraph(ticket.Italic(fmt.Sprintf("and %d more: see the incident.", more))))
	}
	return d
}
