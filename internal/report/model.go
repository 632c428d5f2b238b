package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/llm"
	"github.com/portent-dev/portent/internal/llm/prompt"
	"github.com/portent-dev/portent/internal/logmine"
	"github.com/portent-dev/portent/internal/ticket"
)

// Model tells with a language model what Plain tells without one. It sees redacted, bounded text with an id
// for each thing. A sentence of its is kept when it names what it rests on, that exists, every number in it stands there,
// and it holds no address; when none is left, when it fails, is slow or over its budget, Plain answers and
// the account says why. It is safe for concurrent use.
type Model struct {
	plain  *Plain
	client llm.Client
	prompt prompt.Template
	failed func(llm.Reason)
}

// NewModel returns a Teller over plain. failed is told why the model did not answer; nil is nobody.
func NewModel(plain *Plain, client llm.Client, failed func(llm.Reason)) (*Model, error) {
	p, err := prompt.Get("account", 0)
	if err != nil {
		return nil, fmt.Errorf("BUG: built-in prompt: %w", err)
	}
	if failed == nil {
		failed = func(llm.Reason) {}
	}
	return &Model{plain: plain, client: client, prompt: p, failed: failed}, nil
}

// Bounds of what a model sees of an incident.
const (
	aboutAlerts   = 15
	aboutEvidence = 25
	aboutText     = 300 // runes of one text
)

// aboutIncident fills the prompt in.
type aboutIncident struct {
	Title, Severity, Started string
	Firing, Total            int
	Cause                    *aboutThing
	Alerts, Evidence         []aboutThing
}

// aboutThing is something a sentence may rest on. Its texts are redacted.
type aboutThing struct {
	ID    string `json:"id"`
	Kind  string `json:"kind,omitempty"`
	At    string `json:"at,omitempty"`
	Title string `json:"title"`
	Text  string `json:"text,omitempty"`

	rest string // as a Sentence names it
}

// Tell implements Teller.
func (m *Model) Tell(ctx context.Context, inc incident.Incident) incident.Account {
	plain := m.plain.Tell(ctx, inc)
	if len(plain.Sentences) == 0 {
		return plain // nothing is known that words could be found for
	}
	about := m.about(inc)
	out, err := m.ask(ctx, about)
	if err != nil {
		reason := llm.ReasonOf(err)
		m.failed(reason)
		plain.WithoutModel = strings.ReplaceAll(string(reason), "_", " ")
		return plain
	}
	out.At = plain.At
	return out
}

// about is what the model may know of an incident.
func (m *Model) about(inc incident.Incident) aboutIncident {
	clip := func(s string) string { return ticket.OneLine(logmine.Redact(s), aboutText) }
	out := aboutIncident{Title: clip(m.plain.Title(inc)), Severity: string(inc.Severity), Started: at(inc.StartedAt)}
	out.Total, out.Firing = counts(inc)
	if c := inc.RootCause; c.Entity != "" || c.Alertname != "" {
		out.Cause = &aboutThing{ID: "C1", Kind: "probable cause", Title: clip(c.Entity + " " + c.Alertname), Text: percent(c.Confidence), rest: incident.RestsOnCause}
	}
	for i, a := range byStart(inc.Alerts) {
		if i == aboutAlerts {
			break
		}
		out.Alerts = append(out.Alerts, aboutThing{
			ID: fmt.Sprintf("A%d", i+1), At: at(a.StartsAt), Title: clip(name(a) + " on " + Subject(a)), Text: clip(describe(a)), rest: incident.RestsOnAlert + a.Fingerprint,
		})
	}
	for _, e := range inc.Dossier.Evidence {
		if e.ID == "" || e.Kind == incident.EvidenceLink || len(out.Evidence) == aboutEvidence {
			continue
		}
		out.Evidence = append(out.Evidence, aboutThing{ID: e.ID, Kind: string(e.Kind), At: at(e.At), Title: clip(e.Title), Text: clip(e.Text), rest: e.ID})
	}
	return out
}

func at(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateTime)
}

// ask puts an incident to the model once and keeps of the answer what holds.
func (m *Model) ask(ctx context.Context, about aboutIncident) (incident.Account, error) {
	p, err := m.prompt.Render(about)
	if err != nil {
		return incident.Account{}, &llm.Error{Reason: llm.ReasonPrompt, Err: err}
	}
	answer, err := m.client.Complete(ctx, p)
	if err != nil {
		return incident.Account{}, err
	}
	var said struct {
		Sentences []struct {
			Text string   `json:"text"`
			IDs  []string `json:"ids"`
		} `json:"sentences"`
	}
	// A model that was not held to JSON puts words or a fence around it.
	text := answer.Text
	if from, to := strings.IndexByte(text, '{'), strings.LastIndexByte(text, '}'); from >= 0 && to > from {
		text = text[from : to+1]
	}
	if err := json.Unmarshal([]byte(text), &said); err != nil {
		return incident.Account{}, &llm.Error{Reason: llm.ReasonBadAnswer, Err: errors.New("the answer is not the JSON that was asked for")}
	}
	out := incident.Account{Model: ticket.OneLine(answer.Model, maxValue), Prompt: fmt.Sprintf("%s@%d", p.Name, p.Version)}
	if out.Model == "" {
		out.Model = "without a name"
	}
	for _, s := range said.Sentences {
		kept, ok := about.admit(s.Text, s.IDs)
		if ok && len(out.Sentences) < maxSentences {
			out.Sentences = append(out.Sentences, kept)
		}
	}
	if len(out.Sentences) == 0 {
		return incident.Account{}, &llm.Error{Reason: llm.ReasonBadAnswer, Err: errors.New("no sentence rests on what it names")}
	}
	return out, nil
}

// numbers are what a sentence must not make up.
var numbers = regexp.MustCompile(`\d+(?:\.\d+)?`)

// admit returns a sentence of a model when it may be shown.
func (b aboutIncident) admit(text string, ids []string) (incident.Sentence, bool) {
	text = ticket.OneLine(ticket.Clean(text), maxSentence)
	s := incident.Sentence{Text: text}
	known := map[string]bool{}
	for _, id := range ids {
		i := slices.IndexFunc(b.things(), func(t aboutThing) bool { return t.ID == id })
		if i < 0 {
			return s, false
		}
		thing := b.things()[i]
		for _, n := range numbers.FindAllString(thing.At+" "+thing.Title+" "+thing.Text, -1) {
			known[n] = true
		}
		if !slices.Contains(s.Rests, thing.rest) {
			s.Rests = append(s.Rests, thing.rest)
		}
	}
	if text == "" || len(s.Rests) == 0 || strings.Contains(text, "://") {
		return s, false
	}
	for _, n := range numbers.FindAllString(text, -1) {
		if !known[n] {
			return s, false
		}
	}
	return s, true
}

// things are all that a sentence may rest on.
func (b aboutIncident) things() []aboutThing {
	out := slices.Concat(b.Alerts, b.Evidence)
	if b.Cause != nil {
		out = append(out, *b.Cause)
	}
	return out
}
