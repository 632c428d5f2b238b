package app

import (
	"slices"
	"strings"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/report"
	"github.com/portent-dev/portent/internal/ticket"
)

// evidenceView is what was found of one kind.
type evidenceView struct {
	Kind  string
	Items []evidenceItem
}

type evidenceItem struct {
	ID                       string
	Title, Text, Query, Href string
	At                       stamp
}

// evidenceHeads are the headings of the kinds.
var evidenceHeads = map[incident.EvidenceKind]string{
	incident.EvidenceAnomaly: "Unusual series", incident.EvidenceLog: "Log patterns", incident.EvidenceEvent: "Kubernetes events", incident.EvidenceChange: "Changes",
	incident.EvidenceSimilar: "Similar incidents", incident.EvidenceRunbook: "Runbook", incident.EvidenceLink: "Look at",
}

// accountView is what happened, in sentences that lead to what they rest on.
type accountView struct {
	Sentences []sentenceView
	Byline    string
}

type sentenceView struct {
	Text  string
	Rests []sectionLink
}

// sectionLink leads to a part of the page.
type sectionLink struct{ Text, Href string }

// addAccount shows what happened. Its words are as hostile as what they tell of, and are shown as text alone.
func (v *incidentView) addAccount(a incident.Account) {
	if len(a.Sentences) == 0 {
		return
	}
	view := &accountView{Byline: report.Byline(a)}
	for _, s := range a.Sentences {
		line := sentenceView{Text: ticket.OneLine(s.Text, 300)}
		for _, r := range s.Rests {
			link := sectionLink{Text: r, Href: "#" + r}
			switch {
			case r == incident.RestsOnCause:
				link = sectionLink{Text: "causes", Href: "#causes"}
			case strings.HasPrefix(r, incident.RestsOnAlert):
				link = sectionLink{Text: "alerts", Href: "#alerts"}
			}
			if !slices.Contains(line.Rests, link) {
				line.Rests = append(line.Rests, link)
			}
		}
		view.Sentences = append(view.Sentences, line)
	}
	v.Account = view
}

// addEvidence shows what was found, by kind; its texts come from telemetry and are shown as text alone.
func (v *incidentView) addEvidence(d *incident.Dossier) {
	if d == nil {
		return
	}
	v.addAccount(d.Account)
	for _, kind := range incident.EvidenceKinds() {
		view := evidenceView{Kind: evidenceHeads[kind]}
		for _, e := range d.Evidence {
			if e.Kind != kind {
				continue
			}
			item := evidenceItem{ID: e.ID, Title: ticket.OneLine(e.Title, 300), Text: ticket.Cut(ticket.Clean(e.Text), 1000), Query: ticket.Clean(e.Query), At: exactly(e.At)}
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
