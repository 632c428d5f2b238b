package questions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
	"github.com/portent-dev/portent/internal/ask"
)

// Explained is a question with the query that answers it, or with why none does. It is what the resource explain
// answers and what stands in the metadata of the frames; src/types.ts has the same.
type Explained struct {
	query.Frozen
	Refusal

	Alternatives []Reading `json:"alternatives"`
	Warnings     []string  `json:"warnings,omitempty"`
	Answer       string    `json:"answer,omitempty"` // the result in a sentence; empty before it was run
	Stored       bool      `json:"stored"`           // the query is that of the panel, not one written just now
}

// Refusal is a question that cannot be answered.
type Refusal struct {
	Refused     bool     `json:"refused,omitempty"`
	Reason      string   `json:"reason,omitempty"`
	Suggestions []string `json:"suggestions,omitempty"`
}

// Reading is another way to understand a question.
type Reading struct {
	Query       string `json:"query"`
	Explanation string `json:"explanation"`
}

// Explain has a query written for the question of r and holds it to the gate. It does not run it.
func (s Servers) Explain(ctx context.Context, r Request) (Explained, error) {
	k, err := s.Know(ctx)
	if err != nil {
		return Explained{}, err
	}
	translator := k.Translator
	if r.Person && k.Model != nil {
		translator = k.Model
	}
	q := r.question()
	if k.Bundle != nil && q.Previous == "" {
		if e, ok, err := s.explainBundle(ctx, k, r, q); ok || err != nil {
			return e, err
		}
	}
	tr, err := translator.Translate(ctx, q)
	var refusal *ask.Refusal
	if errors.As(err, &refusal) {
		return refuse(r, refusal.Reason, refusal.Suggestions), nil
	}
	if err != nil {
		return Explained{}, fmt.Errorf("understand the question: %w", err)
	}
	e := Explained{Frozen: freeze(r.Query, tr, q.Now), Alternatives: []Reading{}}
	for _, a := range tr.Alternatives {
		e.Alternatives = append(e.Alternatives, Reading(a))
	}
	return s.check(ctx, k, r, e)
}

// question is that of the request, at the end of its range. Queries hold whole milliseconds.
func (r Request) question() ask.Question {
	loc, _ := query.Location(r.Query.Zone())
	return ask.Question{Text: r.Query.Question, Now: r.To.Truncate(time.Millisecond), Previous: r.Query.Previous, Location: loc}
}

// Check holds a query that a person wrote to the gate, with what exists.
func (s Servers) Check(ctx context.Context, r Request) (Explained, error) {
	k, err := s.Know(ctx)
	if err != nil {
		return Explained{}, err
	}
	return s.check(ctx, k, r, Explained{Frozen: *r.Query.Frozen, Alternatives: []Reading{}})
}

func (s Servers) check(ctx context.Context, k Knowledge, r Request, e Explained) (Explained, error) {
	if len(e.Parts) > 0 {
		return s.checkBundle(ctx, k, r, e)
	}
	p, err := r.plan(e.Frozen)
	if err != nil {
		return refuse(r, err.Error(), nil), nil
	}
	g := s.gate(r)
	g.Metrics, g.Logs = k.Metrics, k.Logs
	checked, err := g.Check(ctx, p.translation())
	var v *ask.Violation
	if errors.As(err, &v) {
		return refuse(r, "the query may not run: "+v.Reason, nil), nil
	}
	if err != nil {
		return Explained{}, fmt.Errorf("check the query: %w", err)
	}
	e.Warnings = checked.Warnings
	return e, nil
}

func refuse(r Request, reason string, suggestions []string) Explained {
	return Explained{Frozen: query.Frozen{Question: r.Query.Question}, Refusal: Refusal{Refused: true, Reason: reason, Suggestions: append([]string{}, suggestions...)}, Alternatives: []Reading{}}
}

// freeze keeps of a translation what a panel needs to run it again at another time. now is when it was asked.
func freeze(a query.Ask, tr ask.Translation, now time.Time) query.Frozen {
	f := query.Frozen{
		Question: a.Question, Text: tr.Text, Language: string(tr.Language), Query: tr.Query, Unit: tr.Unit, Concept: tr.Concept,
		Explanation: tr.Explanation, Translator: tr.Translator,
	}
	loc, _ := query.Location(a.Zone())
	if words := ask.CalendarWords(ask.Question{Text: tr.Text, Now: now, Location: loc}); words != "" {
		f.When, f.Zone, f.Asked = words, a.Zone(), now.UnixMilli()
	}
	if tr.Range == nil {
		return f
	}
	f.Graph = true
	if tr.Timed {
		f.Span, f.Ago = text(tr.Range.End.Sub(tr.Range.Start)), text(now.Sub(tr.Range.End))
	}
	if tr.Language == ask.LogQL {
		f.Step = text(tr.Range.Step)
	}
	return f
}

// text writes a duration as Prometheus does; 0 and less are empty.
func text(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return model.Duration(d).String()
}
