// Package ingesttest is a target for the tests of sources: it keeps what it is
// given, in memory, under rules that a reader can check by eye. It must not know
// any source.
package ingesttest

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/portent-dev/portent/internal/ingest"
)

// Target keeps every committed sample. The zero value is ready, takes any number
// of series and any time. Safe for concurrent use.
type Target struct {
	MaxSeries int   // 0 = no cap
	MaxTime   int64 // Unix milliseconds; later samples are too far ahead; 0 = none are

	mu        sync.Mutex
	series    map[string]*Series
	commits   int
	rollbacks int
}

// Series is what a Target keeps of one series.
type Series struct {
	Name    string // as {a="b"} with every label, in the order given
	Kind    ingest.Kind
	Samples []ingest.Sample
}

var _ ingest.Target = (*Target)(nil)

// Appender starts a batch. It panics when Append breaks the contract of
// ingest.Appender, so that a source that does so fails its tests.
func (t *Target) Appender() ingest.Appender { return &appender{target: t} }

// Names returns the series kept, sorted.
func (t *Target) Names() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Sorted(maps.Keys(t.series))
}

// Get returns a copy of one series by its name, as String writes it. ok is false
// when it was never given.
func (t *Target) Get(name string) (s Series, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.series[name]
	if !ok {
		return Series{}, false
	}
	s = *p
	s.Samples = slices.Clone(p.Samples)
	return s, true
}

// Batches returns how many batches were committed and how many rolled back.
func (t *Target) Batches() (commits, rollbacks int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.commits, t.rollbacks
}

// Dump writes every series on a line of its own, sorted:
//
//	{__name__="up", job="a"} gauge 1@1000 stale@2000
func (t *Target) Dump() string {
	var b strings.Builder
	for _, name := range t.Names() {
		s, _ := t.Get(name)
		b.WriteString(s.Name + " " + s.Kind.String())
		for _, p := range s.Samples {
			b.WriteString(" " + Value(p.V) + "@" + strconv.FormatInt(p.T, 10))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Value prints a value so that a stale marker can be told from a NaN.
func Value(v float64) string {
	if ingest.IsStale(v) {
		return "stale"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// String writes a label set as Dump does.
func String(labels []ingest.Label) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, l := range labels {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(l.Name + "=" + strconv.Quote(l.Value))
	}
	b.WriteByte('}')
	return b.String()
}

// take applies one sample under the target's lock.
func (t *Target) take(s *Series, p ingest.Sample, r *ingest.Result) {
	if t.MaxTime != 0 && p.T > t.MaxTime {
		r.TooFarAhead++
		return
	}
	if n := len(s.Samples); n > 0 {
		last := s.Samples[n-1]
		switch {
		case last.T == p.T && math.Float64bits(last.V) == math.Float64bits(p.V):
			r.Duplicate++
			return
		case last.T >= p.T:
			r.OutOfOrder++
			return
		}
	}
	s.Samples = append(s.Samples, p)
	r.Accepted++
}
