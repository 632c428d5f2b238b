package local

import (
	"unicode/utf8"

	"github.com/portent-dev/portent/internal/ticket"
)

// Bounds of what is stored, in runes: those of Jira, so that a ticket reads the
// same in both.
const (
	MaxTitle   = 255
	MaxText    = ticket.MaxText
	maxLabels  = 20
	maxSummary = 2000
)

// Title is the ticket's title in one line.
func (t Ticket) Title() string { return t.Draft.Title }

// Body is the ticket's description: the summary, then the body.
func (t Ticket) Body() ticket.Doc {
	if t.Draft.Summary == "" {
		return t.Draft.Body
	}
	return append(ticket.Doc{ticket.Paragraph(ticket.Text(t.Draft.Summary))}, t.Draft.Body...)
}

// bounded is the draft as it is stored.
func bounded(d ticket.Draft) ticket.Draft {
	d.Title = ticket.OneLine(d.Title, MaxTitle)
	d.Summary = ticket.Cut(ticket.Clean(d.Summary), maxSummary)
	d.Body = boundedDoc(d.Body)
	d.Severity, d.Priority = ticket.OneLine(d.Severity, 60), ticket.OneLine(d.Priority, 60)
	d.IncidentURL, _ = ticket.SafeURL(d.IncidentURL)
	var labels []string
	for _, l := range d.Labels {
		if l = ticket.OneLine(l, MaxTitle); l != "" && len(labels) < maxLabels {
			labels = append(labels, l)
		}
	}
	d.Labels = labels
	return d
}

func boundedDoc(d ticket.Doc) ticket.Doc {
	notice := ticket.Paragraph(ticket.Italic("Shortened."))
	// Each block counts something of its own, so that a million empty ones do not
	// fit.
	return ticket.Fit(d, MaxText, notice, func(b ticket.Block) int { return 20 + utf8.RuneCountInString(ticket.Doc{b}.Text()) })
}
