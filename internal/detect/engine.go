package detect

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portent-dev/portent/internal/ingest"
)

var _ ingest.Target = (*Engine)(nil)

// Engine runs one detector per series. It is safe for concurrent use.
//
// Series are spread over shards by the hash of their labels; each shard has its own
// lock, index, label store and bank of states. A batch locks each shard that it
// touches once.
type Engine struct {
	opts     Options
	row      Row
	stateLen int // bytes of one state in a snapshot
	shards   []shard
	now      atomic.Int64  // Unix ms, 0 before the first SetNow
	series   atomic.Int64  // live, over all shards; guards MaxSeries
	unplaced atomic.Uint64 // samples that Append itself dropped
	newest   atomic.Int64  // time of the newest sample of all, Unix ms

	batches sync.Pool // of *batch
}

// shard pads its content to whole cache lines, and one more against the adjacent
// line prefetcher, so that two cores working on neighbours do not slow each other.
type shard struct {
	shardState
	_ [128]byte
}

// NewEngine makes an engine without series. A bad option is an error that says what
// is allowed.
func NewEngine(o Options) (*Engine, error) {
	row, err := o.complete()
	if err != nil {
		return nil, err
	}
	e := &Engine{opts: o, row: row, shards: make([]shard, o.Shards)}
	for i := range e.shards {
		e.shards[i].open(e)
	}
	e.stateLen = e.shards[0].bank.StateLen()
	return e, nil
}

// complete fills in the defaults and checks the rest.
func (o *Options) complete() (Row, error) {
	if o.Detector == "" {
		o.Detector = DefaultDetector
	}
	if o.Sensitivity == "" {
		o.Sensitivity = Medium
	}
	if o.Location == nil {
		o.Location = time.UTC
	}
	fill(&o.MaxSeries, DefaultMaxSeries)
	fill(&o.Shards, DefaultShards)
	fill(&o.ExpireAfter, DefaultExpireAfter)
	fill(&o.StaleAfter, DefaultStaleAfter)
	fill(&o.FutureTolerance, DefaultFutureTolerance)
	row, err := Lookup(o.Detector)
	if err != nil {
		return row, err
	}
	if _, err := o.Sensitivity.Period(); err != nil {
		return row, err
	}
	switch {
	case o.MaxSeries < 0:
		return row, fmt.Errorf("max series %d: want more than 0", o.MaxSeries)
	case o.Shards < 0 || o.Shards > maxShards:
		return row, fmt.Errorf("%d shards: want 1 to %d", o.Shards, maxShards)
	case o.ExpireAfter < 0, o.StaleAfter < 0, o.FutureTolerance < 0:
		return row, fmt.Errorf("expire after %s, stale after %s, future tolerance %s: want no negative one",
			o.ExpireAfter, o.StaleAfter, o.FutureTolerance)
	}
	if err := o.checkClasses(); err != nil {
		return row, err
	}
	o.Shards = 1 << bits.Len(uint(o.Shards-1))
	return row, nil
}

func (o *Options) checkClasses() error {
	if len(o.Classes) > MaxClasses {
		return fmt.Errorf("%d classes: want at most %d", len(o.Classes), MaxClasses)
	}
	var errs []error
	for i := range o.Classes {
		if err := o.Classes[i].Validate(); err != nil {
			errs = append(errs, fmt.Errorf("class %d (%s): %w", i, o.Classes[i].Name, err))
		}
	}
	return errors.Join(errs...)
}

// Class returns the class of the series that an output is of; the zero Class if it
// has none.
func (e *Engine) Class(o Output) Class {
	if o.Class == 0 || int(o.Class) > len(e.opts.Classes) {
		return Class{}
	}
	return e.opts.Classes[o.Class-1]
}

// Bounds of SetBar.
const (
	MinBar = 0.5
	MaxBar = 4
)

// SetBar raises (factor above 1) or lowers what it takes for the score 1 in a class,
// given as its place in Options.Classes, or -1 for series without: the logarithm of
// the chance that is asked for is multiplied. The factor is bounded by MinBar and
// MaxBar; the one in force is returned. It holds for the samples that follow, and
// is in no snapshot. A class that does not exist changes nothing.
func (e *Engine) SetBar(class int, factor float64) (inForce float64) {
	if class < -1 || class >= len(e.opts.Classes) || math.IsNaN(factor) {
		return 1
	}
	factor = max(MinBar, min(MaxBar, factor))
	for i := range e.shards {
		s := &e.shards[i]
		s.mu.Lock()
		s.bank.SetBar(uint16(class+1), factor)
		s.mu.Unlock()
	}
	return factor
}

// advance notes the time of a newest sample.
func (e *Engine) advance(t int64) {
	for {
		was := e.newest.Load()
		if t <= was || e.newest.CompareAndSwap(was, t) {
			return
		}
	}
}

// maxShards is what ten bits of the hash can tell apart.
const maxShards = 1 << 10

func fill[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

func (e *Engine) config() Config {
	return Config{Sensitivity: e.opts.Sensitivity, Location: e.opts.Location, Classes: e.opts.Classes}
}

func (e *Engine) shard(hash uint64) int { return int(hash) & (len(e.shards) - 1) }

// SetNow tells the time (Unix ms): what lies further ahead is refused, and what is
// older than Options.StaleAfter has no current score. Without it, time is not
// looked at: a replay sets the time of its data, or none.
func (e *Engine) SetNow(ms int64) { e.now.Store(ms) }

// Expire drops the series that brought no sample for Options.ExpireAfter up to
// nowMs, and those whose last sample lies in a future that is no more (a clock that
// was wrong). It returns how many.
func (e *Engine) Expire(nowMs int64) int {
	dropped := 0
	for i := range e.shards {
		dropped += e.shards[i].expire(nowMs)
	}
	return dropped
}

// Stats returns the counts now. It visits every series: a few ms a million.
func (e *Engine) Stats() Stats {
	s := Stats{Dropped: e.unplaced.Load()}
	for i := range e.shards {
		e.shards[i].addStats(&s, e.now.Load())
	}
	return s
}

// ForEach calls f with every series that has a current value, in a stable order
// (by shard, then by slot), until f returns false. labels are sorted by name and
// valid during the call; their strings may be kept. No lock is held during the
// call: f may be slow and may call the engine. What is added or dropped meanwhile
// may be missed or seen; each output is whole.
func (e *Engine) ForEach(f func(labels []ingest.Label, o Output) bool) {
	var v view
	for i := range e.shards {
		for next := 0; next >= 0; {
			next = e.shards[i].look(&v, next, e.now.Load())
			for j, o := range v.outputs {
				if !f(v.labelsOf(j), o) {
					return
				}
			}
		}
	}
}

// view is a copy of what a few series of a shard show.
type view struct {
	outputs []Output
	ends    []int // of the labels of each
	labels  []ingest.Label
}

// viewLen is how many series are copied under one hold of the lock: some 50 µs.
const viewLen = 256

func (v *view) reset() { v.outputs, v.ends, v.labels = v.outputs[:0], v.ends[:0], v.labels[:0] }

func (v *view) labelsOf(i int) []ingest.Label {
	from := 0
	if i > 0 {
		from = v.ends[i-1]
	}
	return v.labels[from:v.ends[i]:v.ends[i]]
}
