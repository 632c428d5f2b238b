package report

import (
	"strings"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
)

// kindNames are the words for the kinds of evidence.
var kindNames = map[incident.EvidenceKind]string{
	incident.EvidenceAnomaly: "Anomaly", incident.EvidenceLog: "Log", incident.EvidenceEvent: "Event", incident.EvidenceChange: "Change",
	incident.EvidenceSimilar: "Seen before", incident.EvidenceRunbook: "Runbook", incident.EvidenceLink: "Look at",
}

// Found returns what was found about an incident as a comment for a ticket that was filed before it: what happened, and the
// evidence. It is empty when there is neither.
func (p *Plain) Found(d incident.Dossier) ticket.Doc {
	return append(account(d.Account), p.Evidence(d)...)
}

// Evidence returns what was found about an incident as a section of a ticket, and
// what could not be looked at. It is empty when there is neither.
func (p *Plain) Evidence(d incident.Dossier) ticket.Doc {
	var items [][]ticket.Span
	for _, e := range d.Evidence {
		items = append(items, evidenceLine(e))
	}
	if len(items) == 0 && len(d.Missing) == 0 {
		return nil
	}
	doc := ticket.Doc{ticket.Heading(3, ticket.Text("Evidence"))}
	if len(items) > 0 {
		doc = append(doc, ticket.List(items...))
	}
	if len(d.Missing) > 0 {
		var gaps []string
		for _, g := range d.Missing {
			gaps = append(gaps, g.Source+" ("+g.Reason+")")
		}
		doc = append(doc, ticket.Paragraph(ticket.Italic("Could not be looked at: "+ticket.OneLine(strings.Join(gaps, ", "), maxText)+".")))
	}
	return doc
}

// evidenceLine is one line: what kind, what, when, and more.
func evidenceLine(e incident.Evidence) []ticket.Span {
	line := []ticket.Span{ticket.Bold(strings.TrimSpace(e.ID + " " + kindNames[e.Kind])), ticket.Text(": ")}
	if e.URL != "" {
		line = append(line, ticket.Link(e.Title, e.URL))
	} else {
		line = append(line, ticket.Text(e.Title))
	}
	if !e.At.IsZero() {
		line = append(line, ticket.Text(", "+stamp(e.At)))
	}
	if e.Text != "" {
		line = append(line, ticket.Text(". "+ticket.OneLine(e.Text, maxText)))
	}
	if e.Query != "" {
		line = append(line, ticket.Text(" "), ticket.Mono(ticket.OneLine(e.Query, maxText)))
	}
	return line
}
