package query

import (
	"encoding/json"
	"time"

	"github.com/prometheus/common/model"
)

// Views of questions and of log patterns, beside those that all have.
const (
	ViewAuto   View = "auto"   // what suits the answer
	ViewLogs   View = "logs"   // log lines
	ViewVolume View = "volume" // how many log lines there were, by level
)

// Languages of a frozen query.
const (
	PromQL = "promql"
	LogQL  = "logql"
)

// Bounds of a question and of a query that was written by hand.
const (
	MaxQuestionBytes = 2000     // a long paragraph; as internal/ask has it
	MaxTextBytes     = 16 << 10 // of a frozen query and of the words about it
	MaxUTCOffset     = 14 * 60  // minutes: no clock is farther from UTC
)

// Defaults of a question.
const (
	DefaultAskSeries = 100  // more is not read in a panel
	DefaultAskLines  = 1000 // as Grafana's own Loki data source has it
)

// Ask is a question in plain English with the query that answers it.
type Ask struct {
	Question  string    `json:"question"`
	Previous  string    `json:"previous"`  // the question as a whole that this one follows up; empty for none
	View      View      `json:"view"`      // how the answer is shown
	Matchers  []Matcher `json:"matchers"`  // of every selector: ad hoc filters of the dashboard
	Limit     int       `json:"limit"`     // series or log lines; 0: as many as are read
	Legend    string    `json:"legend"`    // name of a line, with {{label}}; empty for the labels that tell them apart
	UTCOffset int       `json:"utcOffset"` // minutes that the asker's clock is ahead of UTC: where "midnight" is
	Frozen    *Frozen   `json:"frozen"`    // null until the question was answered
}

// Frozen is the query that a question was answered with. A panel runs it until somebody asks again.
type Frozen struct {
	Question    string `json:"question"`    // the question that it belongs to, before variables were replaced
	Text        string `json:"text"`        // the same as a whole: what a follow-up follows
	Language    string `json:"language"`    // promql or logql
	Query       string `json:"query"`       // with $__interval, $__rate_interval, $__range and $__auto
	Graph       bool   `json:"graph"`       // about a stretch of time rather than the moment at its end
	Span        string `json:"span"`        // the stretch that the question names; empty: the dashboard's range
	Ago         string `json:"ago"`         // how long before the end of the dashboard's range it ends
	Step        string `json:"step"`        // at which a graph of log lines counted; their windows follow the step of the panel
	Unit        string `json:"unit"`        // bytes, percent, ratio, seconds, …
	Concept     string `json:"concept"`     // what is asked for, in words
	Explanation string `json:"explanation"` // how the question was understood
	Translator  string `json:"translator"`  // rules, model, or person for one that was written by hand
}

// Answered reports whether the frozen query belongs to the question as it stands.
func (a *Ask) Answered() bool { return a.Frozen != nil && a.Frozen.Question == a.Question }

func readAsk(q *Query, raw json.RawMessage) error {
	a := Ask{}
	if err := strict("ask", raw, &a); err != nil {
		return err
	}
	if a.View == "" {
		a.View = ViewAuto
	}
	if err := oneOf("ask.view", a.View, ViewAuto, ViewTimeSeries, ViewNumeric, ViewTable, ViewLogs, ViewVolume); err != nil {
		return err
	}
	if a.Limit < 0 || a.Limit > MaxLimit {
		return errorf("ask.limit: got %d, want 0 to %d", a.Limit, MaxLimit)
	}
	switch {
	case len(a.Question) > MaxQuestionBytes:
		return errorf("ask.question has %d bytes, at most %d are read", len(a.Question), MaxQuestionBytes)
	case len(a.Previous) > MaxQuestionBytes:
		return errorf("ask.previous has %d bytes, at most %d are read", len(a.Previous), MaxQuestionBytes)
	case len(a.Legend) > MaxValueBytes:
		return errorf("ask.legend has %d bytes, at most %d", len(a.Legend), MaxValueBytes)
	case a.UTCOffset < -MaxUTCOffset || a.UTCOffset > MaxUTCOffset:
		return errorf("ask.utcOffset: got %d, want minutes from %d to %d", a.UTCOffset, -MaxUTCOffset, MaxUTCOffset)
	}
	if a.Matchers == nil {
		a.Matchers = []Matcher{}
	}
	if _, err := CompileAll(a.Matchers); err != nil {
		return err
	}
	if err := a.Frozen.validate(); err != nil {
		return err
	}
	q.Ask = &a
	return nil
}

func (f *Frozen) validate() error {
	if f == nil {
		return nil
	}
	if f.Query == "" {
		return errorf("ask.frozen.query is empty: ask again")
	}
	if err := oneOf("ask.frozen.language", f.Language, PromQL, LogQL); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"question": f.Question, "text": f.Text, "query": f.Query, "explanation": f.Explanation, "concept": f.Concept, "unit": f.Unit, "translator": f.Translator,
	} {
		if len(text) > MaxTextBytes {
			return errorf("ask.frozen.%s has %d bytes, at most %d", name, len(text), MaxTextBytes)
		}
	}
	for name, text := range map[string]string{"span": f.Span, "ago": f.Ago, "step": f.Step} {
		if _, err := duration(text); err != nil {
			return errorf("ask.frozen.%s: got %q, want a duration such as 6h", name, clip(text))
		}
	}
	return nil
}

// duration reads a Prometheus duration; empty is 0.
func duration(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := model.ParseDuration(text)
	return time.Duration(d), err
}

// SpanOf is the duration of Span, 0 where none is given.
func (f *Frozen) SpanOf() time.Duration { return known(f.Span) }

// AgoOf is the duration of Ago.
func (f *Frozen) AgoOf() time.Duration { return known(f.Ago) }

// StepOf is the duration of Step.
func (f *Frozen) StepOf() time.Duration { return known(f.Step) }

func known(text string) time.Duration {
	d, err := duration(text)
	if err != nil {
		return 0 // a query that was not parsed
	}
	return d
}
