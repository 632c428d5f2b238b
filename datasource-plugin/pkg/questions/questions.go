// Package questions answers questions in plain English as panels, Explore, alert rules and the editor ask them:
// it lets internal/ask write a query, or takes the one that a panel has stored, holds it to the gate, runs it and
// makes frames of the result. It must not know Grafana's plugin protocol, addresses or credentials.
package questions

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/data"
	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
	"github.com/portent-dev/portent/internal/ask"
	"github.com/portent-dev/portent/internal/lokiapi"
)

// Prometheus answers PromQL; the strings are warnings for the user. It is called concurrently.
type Prometheus interface {
	Query(ctx context.Context, expr string, at time.Time) (model.Value, []string, error)
	QueryRange(ctx context.Context, expr string, from, to time.Time, step time.Duration) (model.Value, []string, error)
}

// Loki answers LogQL. It is called concurrently.
type Loki interface {
	Query(ctx context.Context, expr string, at time.Time) (lokiapi.Answer, error)
	QueryRange(ctx context.Context, expr string, start, end time.Time, step time.Duration, limit int) (lokiapi.Answer, error)
}

// Knowledge is what the servers have, as far as a question needs it.
type Knowledge struct {
	Translator ask.Translator                                                               // by rules: the same for the same question
	Model      ask.Translator                                                               // by a language model, which falls back on the rules; nil without one
	Bundle     func(ctx context.Context, q ask.Question) (b ask.Bundle, ok bool, err error) // nil: no question takes several queries
	Suggest    func(text string, limit int) []string
	Metrics    *ask.Catalog
	Logs       *ask.Logs
	Source     ask.Source // tells why an answer is empty; nil without a Prometheus
}

// Servers answers questions. Prometheus or Loki may be nil, not both.
type Servers struct {
	Prometheus Prometheus
	Loki       Loki
	// Gate holds every query: its forced matchers are those of the administrator and cannot be left.
	Gate ask.Gate
	// Know reads what the servers have, from memory where it was read before.
	Know func(ctx context.Context) (Knowledge, error)
}

// Request is one query with what Grafana sends around it.
type Request struct {
	Query     query.Ask
	From, To  time.Time
	Interval  time.Duration // what fits a pixel; 0: not known
	MaxPoints int64         // points a series; 0: not known
	Scrape    time.Duration // interval of the scrapes: no step is finer
	// Unattended says that nobody is there to read how a question was understood: an alert rule, a public
	// dashboard. Only a stored query runs then.
	Unattended bool
	// Person says that somebody waits for this answer and will look at the query: only then a language model is asked,
	// not by each refresh of a panel.
	Person bool
	// Progress is told each stage as it begins; nil for nobody.
	Progress func(Stage)
}

// Stage is a step on the way to an answer.
type Stage string

// The stages, in order.
const (
	Translating Stage = "translating"
	Checking    Stage = "checking"
	Running     Stage = "running"
	Answered    Stage = "answered"
)

// NotStoredError is a question without a stored query where only a stored one may run.
type NotStoredError struct{ Question string }

func (e *NotStoredError) Error() string {
	return fmt.Sprintf("the question %.80q has no stored query, and an alert rule, an annotation or a public dashboard runs nothing else: open the query in the editor, ask, and save", e.Question)
}

// QueryError is a query that passed the gate and that the server does not understand.
type QueryError struct {
	Query  string
	Person bool // wrote it; else we did
	Err    error
}

func (e *QueryError) Error() string { return e.Err.Error() }

func (e *QueryError) Unwrap() error { return e.Err }

// Answer is what came of a question.
type Answer struct {
	Explained

	Frames data.Frames
}

// Run answers one request. A question that cannot be answered gives a frame that says so; an error is a query that
// may not run, or a server that failed. The frames follow the data plane contract.
func Run(ctx context.Context, s Servers, r Request) (Answer, error) {
	r.tell(Translating)
	if !r.To.After(r.From) {
		r.From = r.To.Add(-time.Minute)
	}
	e, err := s.choose(ctx, r)
	if err != nil {
		return Answer{}, err
	}
	if e.Refused {
		r.tell(Answered)
		return Answer{e, data.Frames{refused(r, e)}}, nil
	}
	if len(e.Parts) > 0 {
		return s.runBundle(ctx, r, e)
	}
	p, err := r.plan(e.Frozen)
	if err != nil {
		return Answer{}, err
	}
	r.tell(Checking)
	checked, err := s.gate(r).Check(ctx, p.translation())
	if err != nil {
		return Answer{}, err
	}
	p.query = checked.Query
	r.tell(Running)
	res, warnings, err := s.run(ctx, p)
	if err != nil {
		return Answer{}, err
	}
	e.Warnings = append(e.Warnings, append(checked.Warnings, warnings...)...)
	if !r.Unattended {
		e.Answer = ask.Answer(ctx, p.translation(), res, s.source(ctx, res, p))
	}
	frames := p.frames(r, e, res)
	r.tell(Answered)
	return Answer{e, frames}, nil
}

// StoredOnly reports whether nothing but a stored query may run: where nobody reads how a question was understood, and
// for annotations, which are to say the same on every look at a dashboard.
func (r Request) StoredOnly() bool { return r.Unattended || r.Query.View == query.ViewAnnotations }

func (r Request) tell(s Stage) {
	if r.Progress != nil {
		r.Progress(s)
	}
}

// choose takes the stored query, or has one written.
func (s Servers) choose(ctx context.Context, r Request) (Explained, error) {
	f := r.Query.Frozen
	if f != nil && (r.StoredOnly() || r.Query.Answered()) {
		return Explained{Frozen: *f, Stored: true, Alternatives: []Reading{}}, nil
	}
	if r.StoredOnly() {
		return Explained{}, &NotStoredError{r.Query.Question}
	}
	if strings.TrimSpace(r.Query.Question) == "" {
		return refuse(r, "the question is empty", nil), nil
	}
	return s.Explain(ctx, r)
}

// gate is the administrator's, with the matchers of this request on top.
func (s Servers) gate(r Request) ask.Gate {
	g := s.Gate
	compiled, err := query.CompileAll(r.Query.Matchers)
	if err == nil { // a parsed query has none that fails
		g.Forced = append(g.Forced[:len(g.Forced):len(g.Forced)], compiled...)
	}
	return g
}

// source is needed only to tell why an answer is empty.
func (s Servers) source(ctx context.Context, res ask.Result, p plan) ask.Source {
	if !res.Empty() || p.f.Language != query.PromQL || s.Know == nil {
		return nil
	}
	k, err := s.Know(ctx)
	if err != nil {
		return nil // the answer says less then
	}
	return k.Source
}

// run asks the server of the query's language.
func (s Servers) run(ctx context.Context, p plan) (ask.Result, []string, error) {
	res, warnings, err := s.ask(ctx, p)
	if err != nil {
		return res, nil, &QueryError{Query: p.query, Person: p.f.Translator != "rules", Err: err}
	}
	return res, warnings, nil
}

// ErrNoPrometheus and ErrNoLoki say that the server of a stored query is not configured.
var (
	ErrNoPrometheus = errors.New("the stored query is PromQL, and the data source has no address of a Prometheus")
	ErrNoLoki       = errors.New("the stored query is LogQL, and the data source has no address of a Loki")
)

func (s Servers) ask(ctx context.Context, p plan) (ask.Result, []string, error) {
	if p.f.Language == query.LogQL {
		if s.Loki == nil {
			return ask.Result{}, nil, ErrNoLoki
		}
		res, err := s.askLoki(ctx, p)
		return res, nil, err
	}
	if s.Prometheus == nil {
		return ask.Result{}, nil, ErrNoPrometheus
	}
	var (
		v        model.Value
		warnings []string
		err      error
	)
	if p.grid != nil {
		v, warnings, err = s.Prometheus.QueryRange(ctx, p.query, p.grid.From, p.grid.To, p.grid.Step)
	} else {
		v, warnings, err = s.Prometheus.Query(ctx, p.query, p.end)
	}
	if err != nil {
		return ask.Result{}, nil, err
	}
	switch v := v.(type) {
	case model.Vector:
		return ask.Result{Vector: v}, warnings, nil
	case model.Matrix:
		return ask.Result{Matrix: v}, warnings, nil
	case *model.Scalar:
		return ask.Result{Vector: model.Vector{{Metric: model.Metric{}, Value: v.Value, Timestamp: v.Timestamp}}}, warnings, nil
	}
	return ask.Result{}, nil, fmt.Errorf("the answer is a %s, which no question asks for", v.Type())
}

func (s Servers) askLoki(ctx context.Context, p plan) (ask.Result, error) {
	var (
		res lokiapi.Answer
		err error
	)
	switch {
	case p.grid != nil:
		res, err = s.Loki.QueryRange(ctx, p.query, p.grid.From, p.grid.To, p.grid.Step, p.lines)
	case p.isLines:
		res, err = s.Loki.QueryRange(ctx, p.query, p.start, p.end, 0, p.lines)
	default:
		res, err = s.Loki.Query(ctx, p.query, p.end)
	}
	if err != nil {
		return ask.Result{}, err
	}
	out := ask.Result{Vector: res.Vector, Matrix: res.Matrix, Cut: len(res.Lines) >= p.lines}
	for _, l := range res.Lines {
		out.Lines = append(out.Lines, ask.Entry{Time: l.Time, Labels: l.Labels, Line: l.Text})
	}
	return out, nil
}
