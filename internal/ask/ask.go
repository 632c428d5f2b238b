// Package ask turns a question in plain English into a PromQL or LogQL query that
// the servers accept, and says how it was understood. It needs no language model.
//
// A question goes through these steps, each a file of its own: words.go cuts it and
// mends typing mistakes; when.go takes out the time it speaks of, compare.go the
// thresholds and rankings; entities.go finds the names in it that the server knows;
// match.go finds the concept that the rest is about, among those of the files in
// knowledge/ whose metrics exist; build.go makes a syntax tree of all that.
//
// Every query is built as a syntax tree and printed by the parser's own printer.
// Text of a question, a label or a help string never becomes part of a query but as
// a label value. It must not know Grafana, and nothing here decides what may run:
// that is Check's business, for people, rules and models alike.
package ask

import (
	"context"
	"time"
)

// Language is what a query is written in.
type Language string

// The languages.
const (
	PromQL Language = "promql"
	LogQL  Language = "logql"
)

// Question is what somebody asks. Text is required.
type Question struct {
	Text string
	// Now is the time that "now" means; the zero time is not allowed.
	Now time.Time
	// Previous is the Text of the Translation before, for follow-ups: "and by pod?"
	// "" is none.
	Previous string
	// Location is where the asker's midnight is. nil is UTC.
	Location *time.Location
}

// Range is a stretch of time with a resolution.
type Range struct {
	Start, End time.Time
	Step       time.Duration
}

// Translation is a query and how the question was understood.
type Translation struct {
	// Text is the question as a whole, in lower case: of a follow-up, with what it
	// follows.
	Text     string
	Language Language
	Query    string
	// Time is when an instant query is evaluated.
	Time time.Time
	// Range is set where the question is about a graph or about log lines.
	Range *Range
	// Timed reports whether the question names a time. If it does not, whoever shows a
	// Range may show another one.
	Timed bool
	// Unit of the values: bytes, percent, ratio, seconds, …; "" if they have none.
	Unit string
	// Explanation says what the words of the question were taken for.
	Explanation string
	// Concept is the name of the row of the knowledge that answers.
	Concept string
	// Confidence is how sure the reading is, 0 to 1; 0 of a model's query that the rules do not make too: a model
	// does not know how sure it is.
	Confidence float64
	// Alternatives are other readings, the likeliest first.
	Alternatives []Reading
	// Translator is "rules" or "model".
	Translator string
}

// Reading is another way to understand a question.
type Reading struct{ Query, Explanation string }

// Refusal is the error of a question that cannot be answered.
type Refusal struct { //nolint:errname // reads as what it is
	Reason      string
	Suggestions []string // nearest things that can be answered
}

// Error returns the reason.
func (r *Refusal) Error() string { return r.Reason }

// Translator makes a query of a question. It returns a *Refusal where the data
// cannot answer, any other error where the servers failed. It is safe for
// concurrent use.
type Translator interface {
	Translate(ctx context.Context, q Question) (Translation, error)
}
