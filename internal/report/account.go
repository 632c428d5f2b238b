package report

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
)

// A Teller tells what happened. It decides nothing: cause, severity and evidence are given to it.
type Teller interface {
	// Tell returns the account of an incident that has its alerts and its dossier. It has no sentences
	// where nothing was found that the alerts do not say themselves.
	Tell(ctx context.Context, inc incident.Incident) incident.Account
}

var _, _ Teller = (*Plain)(nil), (*Model)(nil)

// Bounds of an account: what fits above the fold of a phone.
const (
	maxSentences = 6
	maxSentence  = 300 // runes
)

// told are the kinds of evidence that an account can be made of, with the words in front of each: all but
// runbooks and links, which are to be opened, not told.
var told = map[incident.EvidenceKind]string{
	incident.EvidenceAnomaly: "unusual: ", incident.EvidenceLog: "in the logs: ", incident.EvidenceEvent: "Kubernetes reported: ", incident.EvidenceChange: "a change: ",
}

// Tell implements Teller: the first of each kind of evidence and the first alert, in order of time, then the
// cause and what was like it before.
func (p *Plain) Tell(_ context.Context, inc incident.Incident) incident.Account {
	if !tellable(inc) {
		return incident.Account{}
	}
	type event struct {
		at time.Time
		incident.Sentence
	}
	var events []event
	firsts := map[incident.EvidenceKind]incident.Evidence{}
	for _, e := range inc.Dossier.Evidence {
		if first, ok := firsts[e.Kind]; told[e.Kind] != "" && e.ID != "" && !e.At.IsZero() && (!ok || e.At.Before(first.At)) {
			firsts[e.Kind] = e
		}
	}
	for _, kind := range incident.EvidenceKinds() {
		if e, ok := firsts[kind]; ok {
			events = append(events, event{e.At, incident.Sentence{Text: stamp(e.At) + ", " + told[kind] + sentence(e.Title), Rests: []string{e.ID}}})
		}
	}
	if sorted := byStart(inc.Alerts); len(sorted) > 0 {
		a := sorted[0]
		text := stamp(a.StartsAt) + ", the first alert: " + name(a)
		if s := Subject(a); s != "" {
			text += " on " + s
		}
		events = append(events, event{a.StartsAt, incident.Sentence{Text: text + ".", Rests: []string{incident.RestsOnAlert + a.Fingerprint}}})
	}
	slices.SortStableFunc(events, func(a, b event) int { return a.at.Compare(b.at) })
	var out incident.Account
	for _, e := range events {
		out.Sentences = append(out.Sentences, e.Sentence)
	}
	if c := inc.RootCause; cmp.Or(c.Entity, c.Alertname) != "" {
		text := fmt.Sprintf("Probable cause: %s (%s).", value(cmp.Or(c.Entity, c.Alertname)), percent(c.Confidence))
		out.Sentences = append(out.Sentences, incident.Sentence{Text: text, Rests: []string{incident.RestsOnCause}})
	}
	if i := slices.IndexFunc(inc.Dossier.Evidence, func(e incident.Evidence) bool { return e.Kind == incident.EvidenceSimilar && e.ID != "" }); i >= 0 {
		e := inc.Dossier.Evidence[i]
		out.Sentences = append(out.Sentences, incident.Sentence{Text: strings.TrimSpace("Seen before: " + sentence(e.Title) + " " + e.Text), Rests: []string{e.ID}})
	}
	for i := range out.Sentences {
		out.Sentences[i].Text = ticket.OneLine(out.Sentences[i].Text, maxSentence)
	}
	out.Sentences = out.Sentences[:min(len(out.Sentences), maxSentences)]
	out.At = inc.Dossier.At
	return out
}

// tellable reports whether there is more to tell than the alerts say themselves.
func tellable(inc incident.Incident) bool {
	return inc.Dossier != nil && slices.ContainsFunc(inc.Dossier.Evidence, func(e incident.Evidence) bool {
		return e.ID != "" && (told[e.Kind] != "" || e.Kind == incident.EvidenceSimilar)
	})
}

// account is the section of a ticket that tells what happened.
func account(a incident.Account) ticket.Doc {
	if len(a.Sentences) == 0 {
		return nil
	}
	items := make([][]ticket.Span, 0, len(a.Sentences))
	for _, s := range a.Sentences {
		line := []ticket.Span{ticket.Text(s.Text)}
		if names := evidenceOf(s.Rests); len(names) > 0 {
			line = append(line, ticket.Text(" "), ticket.Italic("("+strings.Join(names, ", ")+")"))
		}
		items = append(items, line)
	}
	d := ticket.Doc{ticket.Heading(3, ticket.Text("What happened")), ticket.List(items...)}
	if by := Byline(a); by != "" {
		d = append(d, ticket.Paragraph(ticket.Italic(by)))
	}
	return d
}

// evidenceOf are the ids of evidence among what a sentence rests on: alerts and cause have sections of their own.
func evidenceOf(rests []string) []string {
	return slices.DeleteFunc(slices.Clone(rests), func(r string) bool {
		return r == incident.RestsOnCause || strings.HasPrefix(r, incident.RestsOnAlert)
	})
}

// Byline says who found the words of an account, empty where that is nobody in particular.
func Byline(a incident.Account) string {
	switch {
	case a.Model != "":
		return "In the words of the language model " + value(a.Model) + ", from the evidence that each sentence names. It decided nothing."
	case a.WithoutModel != "":
		return "Without the language model: " + value(a.WithoutModel) + "."
	default:
		return ""
	}
}
