package app

import (
	"hash/maphash"
	"math"
	"sync"
	"time"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/forecast"
	"github.com/portent-dev/portent/internal/ingest"
)

// Bounds of what is remembered to say when a limit is met.
const (
	limitStep   = int64(60_000) // ms between two values
	limitValues = 240           // four hours
	limitLeast  = 30            // half an hour says where a series goes
	mostLimited = 20_000        // series; 2 kB each
	// limitAhead is how far is looked: six times as far as back.
	limitAhead = 6 * limitValues
)

// limits remembers the last hours of the series whose limit is known, a value a minute, to say when it will be met. It is safe
// for concurrent use.
type limits struct {
	seed maphash.Seed

	mu     sync.Mutex
	series map[uint64]*limited
	pass   uint64
}

type limited struct {
	values [limitValues]float32
	first  int64 // index of the oldest value: its time in steps
	n      int
	pass   uint64
}

func newLimits() *limits { return &limits{seed: maphash.MakeSeed(), series: map[uint64]*limited{}} }

// look takes what series with a limit show now, and forgets those that show nothing any more.
func (l *limits) look(each forEach, hasLimit func([]ingest.Label, detect.Output) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pass++
	var key []byte
	each(func(labels []ingest.Label, o detect.Output) bool {
		if o.Class == 0 || o.Missing || math.IsNaN(o.Value) || math.IsInf(o.Value, 0) {
			return true
		}
		if !hasLimit(labels, o) {
			return true
		}
		key = appendIdentity(key[:0], labels)
		hash := maphash.Bytes(l.seed, key)
		s := l.series[hash]
		if s == nil {
			if len(l.series) >= mostLimited {
				return true
			}
			s = &limited{first: o.T / limitStep}
			l.series[hash] = s
		}
		s.pass = l.pass
		s.add(o.T/limitStep, float32(o.Value))
		return true
	})
	for hash, s := range l.series {
		if s.pass != l.pass {
			delete(l.series, hash)
		}
	}
}

// add keeps a value at its minute; minutes left out are gaps.
func (s *limited) add(at int64, v float32) {
	if at < s.first {
		return
	}
	if at-s.first >= 2*limitValues { // nothing that is kept is near
		s.first, s.n = at, 0
	}
	for int64(s.n) <= at-s.first {
		if s.n == limitValues {
			copy(s.values[:], s.values[1:])
			s.first++
			s.n--
		}
		s.values[s.n] = float32(math.NaN())
		s.n++
	}
	s.values[at-s.first] = v
}

// meets returns when a series meets a limit, zero times where it does not within the next day or nothing is known of it. What rises
// straight lately is taken to go on so, all else is forecast.
func (l *limits) meets(labels []ingest.Label, limit float64) (at, earliest, latest time.Time) {
	values, first := l.of(labels)
	if in, soonest, last, ok := lineTo(values, limit); ok {
		now := first + int64(len(values)) - 1
		stamp := func(steps float64) time.Time {
			if !(steps > 0 && steps <= limitAhead) {
				return time.Time{}
			}
			return time.UnixMilli((now + int64(math.Ceil(steps))) * limitStep).UTC()
		}
		return stamp(in), stamp(soonest), stamp(last)
	}
	if len(values) < limitLeast {
		return at, earliest, latest
	}
	f, err := forecast.Next(forecast.Series{Start: first * limitStep, Step: limitStep, Values: values}, forecast.Options{Horizon: limitAhead})
	if err != nil { // too few values
		return at, earliest, latest
	}
	c := f.TimeTo(limit)
	stamp := func(ms int64) time.Time {
		if ms == 0 {
			return time.Time{}
		}
		return time.UnixMilli(ms).UTC()
	}
	return stamp(c.At), stamp(c.Earliest), stamp(c.Latest)
}

func (l *limits) of(labels []ingest.Label) (values []float64, first int64) {
	hash := maphash.Bytes(l.seed, appendIdentity(nil, labels))
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.series[hash]
	if s == nil {
		return nil, 0
	}
	values = make([]float64, s.n)
	for i := range values {
		values[i] = float64(s.values[i])
	}
	return values, s.first
}
