// Package detect says how unusual each sample of many series is, given only what
// came before it. The Engine keeps one detector per series; the detectors are
// rows of the table Builtin.
//
// It is pure: no clock, no goroutine of its own, no log, no metric, no file and no
// network. Time comes with the data, so a replay of last Tuesday gives last
// Tuesday's scores. It must not know where samples come from or what is done with
// a score.
package detect

import (
	"errors"
	"fmt"
	"time"

	"github.com/portent-dev/portent/internal/ingest"
)

// Errors that callers branch on. Both come wrapped with what was read.
var (
	// ErrVersion says that a snapshot is whole but was written by another layout
	// of the file, another detector or another version of it.
	ErrVersion = errors.New("snapshot of another version")
	// ErrCorrupt says that a snapshot is damaged, cut short or not one at all.
	ErrCorrupt = errors.New("snapshot is damaged")
)

// Sensitivity says how rarely a series that has not changed may cross the score 1.
type Sensitivity string

// The sensitivities, from the quietest.
const (
	Low    Sensitivity = "low"    // about once a year
	Medium Sensitivity = "medium" // about once a quarter
	High   Sensitivity = "high"   // about once a week
)

// Sensitivities lists the known ones, quietest first.
func Sensitivities() []Sensitivity { return []Sensitivity{Low, Medium, High} }

// Period returns the time in which an unchanged series crosses 1 about once.
func (s Sensitivity) Period() (time.Duration, error) {
	const day = 24 * time.Hour
	switch s {
	case Low:
		return 365 * day, nil
	case Medium:
		return 91 * day, nil
	case High:
		return 7 * day, nil
	}
	return 0, fmt.Errorf("unknown sensitivity %q: want one of %q", string(s), Sensitivities())
}

// Options says how an Engine works. The zero value is valid: each field names its
// default.
type Options struct {
	Detector    string      // row of Builtin; "" = DefaultDetector
	Sensitivity Sensitivity // "" = Medium
	MaxSeries   int         // cap on live series; 0 = DefaultMaxSeries
	Shards      int         // rounded up to a power of two, at most 1024; 0 = DefaultShards
	// ExpireAfter drops a series that brought no sample for so long. 0 = DefaultExpireAfter.
	ExpireAfter time.Duration
	// StaleAfter ends the score of a series that brought no sample for so long, as
	// Prometheus does after its lookback delta. The model is kept until
	// ExpireAfter. 0 = DefaultStaleAfter.
	StaleAfter time.Duration
	// Location is where the people live whose days the series follow. nil = UTC.
	Location *time.Location
	// FutureTolerance is how far past the time of SetNow a sample may lie. Without
	// SetNow nothing is too far ahead. 0 = DefaultFutureTolerance.
	FutureTolerance time.Duration
	// Classes are the kinds of series that differ from the rest, at most MaxClasses.
	Classes []Class
	// Classify returns the place in Classes of the series with these labels, or -1. It
	// is called once when a series is made or restored, under a lock: it depends on
	// nothing but the labels, which are sorted and valid during the call, calls
	// nothing of the engine, and is safe for concurrent use. nil = always -1.
	Classify func(labels []ingest.Label) int
}

// Defaults of Options.
const (
	DefaultDetector        = "combined"
	DefaultMaxSeries       = 1_000_000
	DefaultShards          = 16
	DefaultExpireAfter     = 6 * time.Hour
	DefaultStaleAfter      = 5 * time.Minute
	DefaultFutureTolerance = 10 * time.Minute
)

// Output is what is known about a series after its newest sample.
type Output struct {
	T     int64   // time of the newest sample, Unix ms
	Value float64 // what was judged: the sample, or the per-second rate of a counter
	// Score is 0..1 while normal and above 1 when anomalous. Never NaN, never
	// negative, at most MaxScore. 0 while Ready is false.
	Score float64
	// Expected is the value that was expected; outside Lower..Upper the score is
	// above 1. All three are 0 while Ready is false.
	Expected, Lower, Upper float64
	Since                  int64  // Unix ms at which the current anomaly began, 0 if there is none
	Ready                  bool   // a baseline exists, and the newest sample was a number
	Reason                 Reason // what made the score
	// Class is 0, or one more than the place in Options.Classes.
	Class uint16
	// Missing says that the series ought to have brought samples and did not: T is when
	// that was looked at, the rest is of its newest sample, Since of its time.
	Missing bool
}

// MaxScore bounds a score, so that one absurd sample does not flatten every chart.
const MaxScore = 100

// Reason names the evidence that made a score. The zero value says that nothing
// stands out.
type Reason uint8

// The evidence that detectors give. The numbers stand in snapshots: append only.
const (
	ReasonNone    Reason = iota
	ReasonLevel          // the value is far from what this hour usually shows
	ReasonShift          // the level has moved and stays
	ReasonSpread         // the series moves much more, or much less, than it did
	ReasonTrend          // a sustained slope against the series' own history
	ReasonShape          // an unusual course inside normal bounds
	ReasonSilence        // zero or constant where there was life, or the reverse
)

var reasonNames = [...]string{"none", "level", "shift", "spread", "trend", "shape", "silence"}

// String returns the reason as findings spell it.
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason(%d)", uint8(r))
}

// Stats counts what the engine holds and what became of its input since it was
// made. Counts survive neither Snapshot nor Restore.
type Stats struct {
	Series    int   // live now, models without a current score included
	Ready     int   // of these, with a baseline and a current value
	Anomalous int   // of these, with a score above 1
	Bytes     int64 // memory for series: state, labels, index, outputs and free room

	SeriesAdded   uint64
	SeriesStale   uint64 // ended by a stale marker
	SeriesExpired uint64 // dropped by Expire
	SeriesRefused uint64 // times that a new series found no room (MaxSeries)

	Accepted, Duplicate, OutOfOrder, TooFarAhead, Dropped uint64 // samples, as ingest.Result
	NotFinite                                             uint64 // accepted, but NaN or ±Inf: gives no score
	CounterResets                                         uint64 // times that a counter fell
}
