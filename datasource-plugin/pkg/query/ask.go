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
	MaxParts         = 20       // queries that answer one question; internal/ask writes up to 14
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
	// Timezone is the asker's by its IANA name, which knows when clocks change; empty, or one that is not known, for UTCOffset.
	Timezone string  `json:"timezone,omitempty"`
	Frozen   *Frozen `json:"frozen"` // null until the question was answered
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

	// When are the words of the question that name a time by the clock or the calendar: "since midnight". What they
	// name is worked out anew each time the query runs, in the Zone of whoever asked. Asked is when that was, in Unix
	// ms: the query has the lengths that they had then. All are empty where the question names no such time.
	When  string `json:"when,omitempty"`
	Zone  string `json:"zone,omitempty"` // an IANA name, or an offset such as +02:00
	Asked int64  `json:"asked,omitempty"`

	// Parts are the queries of a question that takes several: "what is wrong with checkout". The query above is the
	// first of them then, and Concept is what they are about.
	Parts []FrozenPart `json:"parts,omitempty"`
}

// FrozenPart is one of several queries that answer a question together.
type FrozenPart struct {
	Frozen

	Title string  `json:"title"`
	Above float64 `json:"above"` // the value that is a finding
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
	if err := oneOf("ask.view", a.View, ViewAuto, ViewTimeSeries, ViewNumeric, ViewTable, ViewLogs, ViewVolume, ViewAnnotations); err != nil {
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
	case len(a.Timezone) > MaxValueBytes:
		return errorf("ask.timezone has %d bytes, at most %d", len(a.Timezone), MaxValueBytes)
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
	if len(f.Parts) > MaxParts {
		return errorf("ask.frozen.parts: %d parts, at most %d", len(f.Parts), MaxParts)
	}
	if len(f.Parts) == 0 {
		f.Parts = nil
	}
	for i := range f.Parts {
		p := &f.Parts[i]
		if len(p.Parts) == 0 {
			p.Parts = nil
		}
		if len(p.Parts) > 0 {
			return errorf("ask.frozen.parts[%d] has parts of its own", i)
		}
		if p.Title == "" || len(p.Title) > MaxValueBytes {
			return errorf("ask.frozen.parts[%d].title: want 1 to %d bytes", i, MaxValueBytes)
		}
		if err := p.one(); err != nil {
			return errorf("ask.frozen.parts[%d]: %s", i, err)
		}
	}
	return f.one()
}

// one validates what is not in parts.
func (f *Frozen) one() error {
	if f.Query == "" {
		return errorf("ask.frozen.query is empty: ask again")
	}
	if err := oneOf("ask.frozen.language", f.Language, PromQL, LogQL); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"question": f.Question, "text": f.Text, "query": f.Query, "explanation": f.Explanation, "concept": f.Concept, "unit": f.Unit, "translator": f.Translator,
		"when": f.When, "zone": f.Zone,
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
	if _, ok := Location(f.Zone); f.When != "" && (!ok || f.Asked <= 0) {
		return errorf("ask.frozen.when %q needs a zone such as Europe/Berlin or +02:00 and the time at which it was asked, got %q and %d", clip(f.When), clip(f.Zone), f.Asked)
	}
	return nil
}

// Location is a zone by its IANA name or as an offset such as +02:00. ok is false of one that is not known.
func Location(zone string) (loc *time.Location, ok bool) {
	if zone == "" || zone == "Local" { // that of the server, which nobody means
		return time.UTC, false
	}
	if t, err := time.Parse("-07:00", zone); err == nil {
		_, seconds := t.Zone()
		return time.FixedZone(zone, seconds), true
	}
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return time.UTC, false
	}
	return loc, true
}

// Zone is where the asker's midnight is, for Location.
func (a *Ask) Zone() string {
	if _, ok := Location(a.Timezone); ok {
		return a.Timezone
	}
	return time.Time{}.In(time.FixedZone("", a.UTCOffset*60)).Format("-07:00")
}

// duration reads a Prometheus duration; empty is 0.
func duration(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := model.ParseDuration(text)
	return time.Duration(d), err
}

// NowIs returns the clock of whoever asked the question, at t.
func (f *Frozen) NowIs(t time.Time) time.Time {
	loc, _ := Location(f.Zone)
	return t.In(loc)
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
