// Package ingest holds the nouns that every source of samples speaks: a label, a
// sample, and the target that takes them. The sources themselves are its
// subpackages (remotewrite, promquery, federate).
//
// It must not know who takes the samples: it imports nothing of ours, and the
// engine, the wiring and the sources all meet in the two interfaces below.
package ingest

import (
	"math"

	"github.com/prometheus/prometheus/model/value"
)

// Label is one name and value of a series. The zero value is the empty label,
// which no target accepts.
//
// On the hot path both strings may alias a buffer that is used again: they are
// dead as soon as the call that was given the label returns. Keep a copy
// (strings.Clone), never the label.
type Label struct{ Name, Value string }

// MetricName is the label that carries the name of the metric.
const MetricName = "__name__"

// Sample is one value of a series at one time.
type Sample struct {
	T int64   // Unix milliseconds
	V float64 // any bit pattern; see IsStale
	// Start is when the counter began to count from zero, Unix milliseconds; 0 = not
	// known. Of values that are no counts it says nothing.
	Start int64
}

// Result counts what became of the samples of one committed Appender. Each
// sample given to Append is counted in exactly one field.
type Result struct {
	Accepted    int // taken, stale markers included
	Duplicate   int // same time and value as one taken before: harmless
	OutOfOrder  int // older than what the series has, or same time and another value
	TooFarAhead int // further in the future than the target tolerates
	Dropped     int // of a series for which there was no room (series cap)
}

// Samples returns how many samples the result speaks of.
func (r Result) Samples() int {
	return r.Accepted + r.Duplicate + r.OutOfOrder + r.TooFarAhead + r.Dropped
}

// Add adds the counts of o to r.
func (r *Result) Add(o Result) {
	r.Accepted += o.Accepted
	r.Duplicate += o.Duplicate
	r.OutOfOrder += o.OutOfOrder
	r.TooFarAhead += o.TooFarAhead
	r.Dropped += o.Dropped
}

// Target is what takes samples in. It is safe for concurrent use; the appenders
// it gives are not.
type Target interface {
	// Appender starts a batch. The caller ends it with exactly one call of Commit
	// or Rollback, after which the appender is dead.
	Appender() Appender
}

// Appender takes the series of one batch (one request, one scrape, one
// evaluation). It is not safe for concurrent use. Nothing it is given is kept
// after the call returns unless it is copied.
type Appender interface {
	// Append adds samples to the series named by labels, in the order they came:
	// what is older than its predecessor is counted as out of order by Commit.
	// Labels are sorted by name, names are unique, no name or value is empty, and
	// all are valid UTF-8. The same series may be given several times.
	// kind says how the values behave; KindUnknown lets the target decide. Sources
	// that know no better give KindOf of the name.
	Append(labels []Label, kind Kind, samples []Sample)
	// Commit makes the batch visible and says what became of its samples. What is
	// out of order, too early or without room is counted, never an error.
	Commit() Result
	// Rollback discards the batch.
	Rollback()
}

// IsStale reports whether v is Prometheus's staleness marker, the one NaN
// (0x7ff0000000000002) that says "this series ends here". It is never a value.
func IsStale(v float64) bool { return math.Float64bits(v) == value.StaleNaN }

// StaleNaN returns the staleness marker.
func StaleNaN() float64 { return math.Float64frombits(value.StaleNaN) }
