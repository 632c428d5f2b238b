package app

import (
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
)

// evidenceView is what was found of one kind.
type evidenceView struct {
	Kind  string
	Items []evidenceItem
}

type evidenceItem struct {
	Title, Text, Query, Href string
	At                       stamp
}

// evidenceHeads are the headings of the kinds.
var evidenceHeads = map[incident.EvidenceKind]string{
	incident.EvidenceAnomaly: "Unusual series", incident.EvidenceLog: "Log patterns", incident.EvidenceEvent: "Kubernetes events", incident.EvidenceChange: "Changes",
	incident.EvidenceSimilar: "Similar incidents", incident.EvidenceRunbook: "Runbook", incident.EvidenceLink: "Look at",
}

// addEvidence shows what was found, by kind; its texts come from telemetry and are shown as text alone.
func (v *incidentView) addEvidence(d *incident.Dossier) {
	if d == nil {
		return
	}
	for _, kind := range incident.EvidenceKinds() {
		view := evidenceView{Kind: evidenceHeads[kind]}
		for _, e := range d.Evidence {
			if e.Kind != kind {
				continue
			}
			item := evidenceItem{Title: ticket.OneLine(e.Title, 300), Text: ticket.Cut(ticket.Clean(e.Text), 1000), Query: ticket.Clean(e.Query), At: exactly(e.At)}
			if u, ok := ticket.SafeURL(e.URL); ok {
				item.Href = u
			}
			view.Items = append(view.Items, item)
		}
		if len(view.Items) > 0 {
			v.Evidence = append(v.Evidence, view)
		}
	}
	for _, m := range d.Missing {
		v.Missing = append(v.Missing, ticket.OneLine(m.Source+": "+m.Reason, 300))
	}
}
