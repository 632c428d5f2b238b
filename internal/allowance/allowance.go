// Package allowance says how much more than usual a series may do before it is called
// anomalous, and why: people have dismissed or confirmed its anomalies, a maintenance window
// is open, its workload is being rolled out.
//
// A Book keeps all three. It is pure: no clock, no file, no network. Time comes with the
// calls. What it keeps is bounded, and can be written as JSON and read again.
package allowance

import (
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/portent-dev/portent/internal/ingest"
)

// Kind says what raises or lowers a bar. It serves as a metric label.
type Kind string

// The kinds.
const (
	KindFeedback    Kind = "feedback"
	KindMaintenance Kind = "maintenance"
	KindRollout     Kind = "rollout"
)

// Kinds lists them.
func Kinds() []Kind { return []Kind{KindFeedback, KindMaintenance, KindRollout} }

// Options bound a Book. The zero value is not useful: start from Defaults.
type Options struct {
	// Step is by what factor one dismissal raises the bar of a class of series; a
	// confirmation lowers it by the root of that.
	Step float64
	// Most and Least bound what feedback does to a bar.
	Most, Least float64
	// HalfLifeMs is the time in which the effect of a verdict falls to half.
	HalfLifeMs int64
	// Maintenance and Rollout are the bars while a window is open and after a rollout.
	Maintenance, Rollout float64
	// RolloutMs is for how long a rollout explains what its workload does.
	RolloutMs int64
}

// Defaults returns options by which three dismissals double the bar, and half of that is forgotten
// in a month.
func Defaults() Options {
	return Options{
		Step: 1.3, Most: 2.5, Least: 0.75, HalfLifeMs: 30 * 24 * 3_600_000,
		Maintenance: 4, Rollout: 2, RolloutMs: 15 * 60_000,
	}
}

// Allowance is what a series is allowed: its score is to be divided by Factor. The zero
// value is that of a series of which nothing is known; its factor counts as 1.
type Allowance struct {
	Factor float64
	Why    []Reason
}

// Reason is one of the things that made a factor.
type Reason struct {
	Kind   Kind    `json:"kind"`
	Factor float64 `json:"factor"`
	Text   string  `json:"text"`
}

// Book keeps feedback, windows and rollouts. It is safe for concurrent use.
type Book struct {
	mu      sync.RWMutex
	opts    Options
	classes map[string]*class // by classKey
	metrics map[string]int    // classes of each metric, so that most series need no key
	byID    map[string]*class // of verdicts
	planned []Window          // of the configuration
	open    []Window          // declared by a call
	markers map[Workload]marker
	seen    map[Workload]generation
	changed uint64
}

// New makes an empty book.
func New(o Options) *Book {
	return &Book{
		opts: o, classes: map[string]*class{}, metrics: map[string]int{}, byID: map[string]*class{},
		markers: map[Workload]marker{}, seen: map[Workload]generation{},
	}
}

// SetOptions replaces the options.
func (b *Book) SetOptions(o Options) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.opts = o
}

// Judge is a view of the book at one time, for a pass over many series. It must not be used
// after the pass, and is not safe for concurrent use.
type Judge struct {
	book    *Book
	now     int64
	windows []Window
	markers bool
	class   []ingest.Label // scratch
	key     []byte         // scratch
}

// At returns the judge of a time (Unix ms), nil if nothing is allowed to anybody: a nil
// judge finds the zero Allowance. Its methods take the book's lock for reading.
func (b *Book) At(now int64) *Judge {
	b.mu.RLock()
	defer b.mu.RUnlock()
	j := &Judge{book: b, now: now}
	for _, list := range [...][]Window{b.planned, b.open} {
		for _, w := range list {
			if w.openAt(now) {
				j.windows = append(j.windows, w)
			}
		}
	}
	for _, m := range b.markers {
		j.markers = j.markers || m.covers(now)
	}
	if len(j.windows) == 0 && !j.markers && len(b.classes) == 0 {
		return nil
	}
	return j
}

// Factor returns by what the score of a series is to be divided, and the kind that counts
// most. It allocates nothing. labels are sorted by name.
func (j *Judge) Factor(labels []ingest.Label) (factor float64, most Kind) {
	if j == nil {
		return 1, ""
	}
	factor = 1
	j.book.mu.RLock()
	defer j.book.mu.RUnlock()
	for i := range j.windows {
		if j.book.opts.Maintenance > factor && j.windows[i].matches(labels) {
			factor, most = j.book.opts.Maintenance, KindMaintenance
		}
	}
	if j.markers && j.book.opts.Rollout > factor {
		if m, ok := j.book.markers[WorkloadOf(labels)]; ok && m.covers(j.now) {
			factor, most = j.book.opts.Rollout, KindRollout
		}
	}
	if name := metricOf(labels); j.book.metrics[name] > 0 {
		j.class = classOf(j.class[:0], labels)
		j.key = appendKey(j.key[:0], j.class)
		if c, ok := j.book.classes[string(j.key)]; ok {
			f := c.factor(j.now, &j.book.opts)
			if most == "" && f != 1 {
				most = KindFeedback
			}
			factor *= f
		}
	}
	return factor, most
}

// Least returns the lowest factor that any series can have, at most 1: a score up to it stays at 1
// or below.
func (j *Judge) Least() float64 {
	if j == nil {
		return 1
	}
	j.book.mu.RLock()
	defer j.book.mu.RUnlock()
	if len(j.book.classes) == 0 {
		return 1
	}
	return min(1, j.book.opts.Least)
}

// Explain returns the allowance of a series with its reasons.
func (j *Judge) Explain(labels []ingest.Label) Allowance {
	factor, _ := j.Factor(labels)
	a := Allowance{Factor: factor}
	if j == nil {
		return a
	}
	j.book.mu.RLock()
	defer j.book.mu.RUnlock()
	o := &j.book.opts
	for i := range j.windows {
		if j.windows[i].matches(labels) {
			a.Why = append(a.Why, Reason{KindMaintenance, o.Maintenance, j.windows[i].text()})
		}
	}
	if m, ok := j.book.markers[WorkloadOf(labels)]; ok && m.covers(j.now) {
		a.Why = append(a.Why, Reason{KindRollout, o.Rollout, m.text(WorkloadOf(labels))})
	}
	if c, ok := j.book.classes[string(appendKey(nil, classOf(nil, labels)))]; ok {
		if f := c.factor(j.now, o); f != 1 {
			a.Why = append(a.Why, Reason{KindFeedback, f, c.text()})
		}
	}
	return a
}

// Changed grows with everything that is worth writing to disk.
func (b *Book) Changed() uint64 {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.changed
}

func metricOf(labels []ingest.Label) string {
	for i := range labels {
		if labels[i].Name == ingest.MetricName {
			return labels[i].Value
		}
	}
	return ""
}

// value returns a label's value, "" if there is none.
func value(labels []ingest.Label, name string) string {
	for i := range labels {
		if labels[i].Name == name {
			return labels[i].Value
		}
	}
	return ""
}

func clamp(v, least, most float64) float64 { return math.Max(least, math.Min(most, v)) }

// fromMap returns labels as series have them, sorted. The name may stand in `metric`, as
// published scores and their alerts have it; labels that only alerts have are left out.
func fromMap(m map[string]string) []ingest.Label {
	_, named := m[ingest.MetricName]
	var out []ingest.Label
	for name, v := range m {
		switch {
		case name == "alertname" || name == "severity" || name == "alertstate" || v == "":
			continue
		case name == "metric" && !named:
			name = ingest.MetricName
		case name == "exported_metric" && !named:
			name = "metric"
		}
		out = append(out, ingest.Label{Name: name, Value: v})
	}
	slices.SortFunc(out, func(a, b ingest.Label) int { return strings.Compare(a.Name, b.Name) })
	return out
}
