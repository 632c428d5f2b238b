package questions

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/prometheus/common/model"
	"golang.org/x/sync/errgroup"

	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
	"github.com/portent-dev/portent/internal/ask"
)

// A question such as "what is wrong with checkout" takes several queries, which are stored, shown, held to the gate and
// run each by itself; one table says together what they found.

// partsAtOnce bounds how many queries of one question run at a time: a Prometheus runs 20 of all its users.
const partsAtOnce = 4

// explainBundle has the queries written for a question that takes several. ok is false of other questions.
func (s Servers) explainBundle(ctx context.Context, k Knowledge, r Request, q ask.Question) (e Explained, ok bool, err error) {
	b, ok, err := k.Bundle(ctx, q)
	var refusal *ask.Refusal
	switch {
	case errors.As(err, &refusal):
		return refuse(r, refusal.Reason, refusal.Suggestions), true, nil
	case err != nil:
		return Explained{}, true, fmt.Errorf("understand the question: %w", err)
	case !ok:
		return Explained{}, false, nil
	}
	e = Explained{Alternatives: []Reading{}}
	for _, p := range b.Parts {
		f := freeze(r.Query, p.Translation, q.Now)
		f.Question = ""
		e.Parts = append(e.Parts, query.FrozenPart{Frozen: f, Title: p.Title, Above: p.Above})
	}
	e, err = s.checkBundle(ctx, k, r, Explained{Frozen: query.Frozen{Concept: b.Subject, Parts: e.Parts, Translator: "rules"}, Alternatives: e.Alternatives})
	if err != nil || e.Refused {
		return e, true, err
	}
	first := e.Parts[0].Frozen
	e.Question, e.Text = r.Query.Question, strings.ToLower(strings.TrimSpace(r.Query.Question))
	e.Language, e.Query, e.Unit = first.Language, first.Query, first.Unit
	titles := make([]string, len(e.Parts))
	for i, p := range e.Parts {
		titles[i] = p.Title
	}
	e.Explanation = fmt.Sprintf("what is wrong with %s = %s", b.Subject, strings.Join(titles, ", "))
	return e, true, nil
}

// checkBundle holds each part to the gate. What may not run is left out of a question that is asked now, and said.
func (s Servers) checkBundle(ctx context.Context, k Knowledge, r Request, e Explained) (Explained, error) {
	var kept []query.FrozenPart
	var last Explained
	for _, p := range e.Parts {
		one, err := s.check(ctx, k, r.part(), Explained{Frozen: p.Frozen})
		if err != nil {
			return Explained{}, err
		}
		if one.Refused {
			last = one
			e.Warnings = append(e.Warnings, fmt.Sprintf("Left out: %s – %s.", p.Title, one.Reason))
			continue
		}
		kept = append(kept, p)
	}
	if len(kept) == 0 {
		return refuse(r, last.Reason, nil), nil
	}
	e.Parts = kept
	return e, nil
}

// part is the request for one of several queries: as it would be shown by itself.
func (r Request) part() Request {
	r.Query.View, r.Unattended = query.ViewAuto, false
	return r
}

// looked is what came of one part.
type looked struct {
	part   query.FrozenPart
	plan   plan
	result ask.Result
	err    error
	found  int // how many things are a finding
}

// runBundle runs the parts of a stored question and says together what they found. What could not be looked at is said
// to a person; an alert rule gets the error, because what it does not see it must not take for nothing.
func (s Servers) runBundle(ctx context.Context, r Request, e Explained) (Answer, error) {
	if r.Query.View == query.ViewVolume || r.Query.View == query.ViewLogs {
		return Answer{}, &query.Error{Text: fmt.Sprintf("view %q: this question is answered with findings, not with log lines", r.Query.View)}
	}
	if r.Query.View == query.ViewAnnotations {
		return s.annotateBundle(ctx, r, e)
	}
	numbers := r.Unattended || r.Query.View == query.ViewNumeric
	r.tell(Checking)
	all := make([]looked, len(e.Parts))
	var g errgroup.Group // no shared context: one failure cancels nothing
	g.SetLimit(partsAtOnce)
	r.tell(Running)
	for i, p := range e.Parts {
		g.Go(func() error {
			all[i] = s.look(ctx, r, p, numbers)
			return nil
		})
	}
	_ = g.Wait()
	results, failed := make([]*ask.Result, len(all)), error(nil)
	for i, l := range all {
		if l.err == nil {
			results[i] = &l.result
			continue
		}
		failed = l.err
		if r.Unattended || ctx.Err() != nil {
			return Answer{}, fmt.Errorf("%s: %w", l.part.Title, l.err)
		}
		e.Warnings = append(e.Warnings, fmt.Sprintf("Not looked at: %s – %v.", l.part.Title, l.err))
	}
	if failed != nil && !anyOf(results) {
		return Answer{}, failed
	}
	if !r.Unattended {
		e.Answer = bundleOf(e).Answer(ctx, results)
	}
	frames := s.findings(ctx, r, e, all, numbers)
	r.tell(Answered)
	return Answer{e, frames}, nil
}

func anyOf(results []*ask.Result) bool {
	for _, r := range results {
		if r != nil {
			return true
		}
	}
	return false
}

// look runs one part for the moment at the end of the range. numbers counts log lines rather than reading them.
func (s Servers) look(ctx context.Context, r Request, part query.FrozenPart, numbers bool) looked {
	r = r.part()
	switch {
	case numbers:
		r.Query.View = query.ViewNumeric
	case part.Language == query.PromQL:
		r.Query.View = query.ViewTable
	}
	l := looked{part: part}
	if l.plan, l.result, l.err = s.once(ctx, r, part.Frozen); l.err != nil {
		return l
	}
	l.found = found(askPart(part), l.result)
	if e, err := ask.ParseLogQL(part.Query); numbers && part.Language == query.LogQL && err == nil {
		if _, ok := e.(*ask.LogStreams); ok { // its lines were counted
			l.found = 0
			for _, sample := range l.result.Vector {
				l.found += int(sample.Value)
			}
		}
	}
	return l
}

// once plans, checks and runs one query.
func (s Servers) once(ctx context.Context, r Request, f query.Frozen) (plan, ask.Result, error) {
	p, err := r.plan(f)
	if err != nil {
		return p, ask.Result{}, err
	}
	checked, err := s.gate(r).Check(ctx, p.translation())
	if err != nil {
		return p, ask.Result{}, err
	}
	p.query = checked.Query
	res, _, err := s.run(ctx, p)
	return p, res, err
}

// found counts what is a finding of a part, each thing by itself.
func found(p ask.Part, res ask.Result) int {
	n := len(res.Lines)
	for _, sample := range res.Vector {
		if p.Found(ask.Result{Vector: model.Vector{sample}}) {
			n++
		}
	}
	for _, series := range res.Matrix {
		if p.Found(ask.Result{Matrix: model.Matrix{series}}) {
			n++
		}
	}
	return n
}

func bundleOf(e Explained) ask.Bundle {
	b := ask.Bundle{Subject: e.Concept}
	for _, p := range e.Parts {
		b.Parts = append(b.Parts, askPart(p))
	}
	return b
}

func askPart(p query.FrozenPart) ask.Part {
	return ask.Part{Title: p.Title, Above: p.Above, Translation: ask.Translation{
		Text: p.Text, Language: ask.Language(p.Language), Query: p.Query, Unit: p.Unit, Concept: p.Concept, Explanation: p.Explanation, Translator: p.Translator,
	}}
}
