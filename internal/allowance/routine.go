package allowance

import (
	"fmt"
	"hash/fnv"
	"math"
	"time"

	"github.com/portent-dev/portent/internal/ingest"
)

// KindRoutine is an anomaly that comes at its time: a nightly job, a weekly report.
const KindRoutine Kind = "routine"

// episode is a time in which a series was anomalous.
type episode struct {
	Start int64   `json:"start"` // Unix ms
	End   int64   `json:"end"`
	Peak  float64 `json:"peak"` // the farthest from what was expected, signed
}

// routine is what a series has done before, oldest first.
type routine struct{ episodes []episode }

// Bounds and meaning of routines.
const (
	maxRoutines = 20_000
	maxEpisodes = 60
	// aroundMs is by how much a job may start earlier or end later than before.
	aroundMs = 20 * 60_000
	// joinMs joins what stops for a moment.
	joinMs = 10 * 60_000
	// sameTimes is how often it must have been seen: of the last 8 days, or on the same day of
	// the last 5 weeks.
	sameTimes = 3
	routineMs = 36 * dayMs
	dayMs     = 24 * 3_600_000
	// asFar is how much farther than before it may go.
	asFar = 1.5
)

// Anomalous notes that a series is anomalous at now (Unix ms), by what it lies from what was
// expected, whatever is allowed to it. It is to be called every few seconds while that lasts.
func (b *Book) Anomalous(labels []ingest.Label, now int64, deviation float64) {
	if deviation == 0 || math.IsNaN(deviation) || math.IsInf(deviation, 0) {
		return
	}
	key := routineKey(labels)
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.routines[key]
	if r == nil {
		if len(b.routines) >= maxRoutines {
			b.forgetRoutines(now)
			if len(b.routines) >= maxRoutines {
				return
			}
		}
		r = &routine{}
		b.routines[key] = r
	}
	if n := len(r.episodes); n > 0 {
		last := &r.episodes[n-1]
		if now <= last.End {
			return
		}
		if now-last.End <= joinMs && (last.Peak > 0) == (deviation > 0) {
			last.End = now
			if math.Abs(deviation) > math.Abs(last.Peak) {
				last.Peak = deviation
			}
			return
		}
	}
	if len(r.episodes) == maxEpisodes {
		r.episodes = append(r.episodes[:0], r.episodes[1:]...)
	}
	r.episodes = append(r.episodes, episode{now, now, deviation})
	b.changed++
}

// forgetRoutines makes room, at most every ten minutes: it looks at all of them.
func (b *Book) forgetRoutines(now int64) {
	if now-b.forgot < joinMs {
		return
	}
	b.forgot = now
	for key, r := range b.routines {
		if now-r.episodes[len(r.episodes)-1].End > routineMs {
			delete(b.routines, key)
		}
	}
}

// Routine reports whether a deviation at now is one that the series has shown at this time
// before, on three of the last eight days, or on this day of three of the last five weeks:
// to the same side, and about as far. Days are those of Options.Location: a job of three in the
// morning stays one when the clocks change.
func (j *Judge) Routine(labels []ingest.Label, now int64, deviation float64) bool {
	if j == nil {
		return false
	}
	j.book.mu.RLock()
	defer j.book.mu.RUnlock()
	if len(j.book.routines) == 0 {
		return false
	}
	r := j.book.routines[routineKey(labels)]
	if r == nil {
		return false
	}
	var days, weeks uint64 // ago, as bits
	for i := range r.episodes {
		e := &r.episodes[i]
		if (e.Peak > 0) != (deviation > 0) || math.Abs(deviation) > asFar*math.Abs(e.Peak) {
			continue
		}
		ago := (now - e.Start + dayMs/2) / dayMs // whole days, to the nearest
		if ago < 1 || ago > 40 {
			continue
		}
		// The same time of that day lies within the episode, or near.
		if then := j.book.opts.daysBefore(now, int(ago)); then < e.Start-aroundMs || then > e.End+aroundMs {
			continue
		}
		if ago <= 8 {
			days |= 1 << ago
		}
		if ago%7 == 0 {
			weeks |= 1 << (ago / 7)
		}
	}
	return ones(days) >= sameTimes || ones(weeks) >= sameTimes
}

// daysBefore returns the same time of the day so many days before.
func (o *Options) daysBefore(now int64, days int) int64 {
	if o.Location == nil {
		return now - int64(days)*dayMs
	}
	return time.UnixMilli(now).In(o.Location).AddDate(0, 0, -days).UnixMilli()
}

func ones(bits uint64) (n int) {
	for ; bits != 0; bits &= bits - 1 {
		n++
	}
	return n
}

// RoutineReason is what Routine means, for people.
func RoutineReason() Reason {
	return Reason{KindRoutine, 1, fmt.Sprintf("it did the same at this time on at least %d of the last 8 days, or weeks", sameTimes)}
}

// routineKey names a series over restarts. Two that share one share their routines, which
// is harmless and rare: 64 bits.
func routineKey(labels []ingest.Label) uint64 {
	h := fnv.New64a()
	for _, l := range labels {
		_, _ = h.Write([]byte(l.Name)) // a hash never fails
		_, _ = h.Write([]byte{0xff})
		_, _ = h.Write([]byte(l.Value))
		_, _ = h.Write([]byte{0xff})
	}
	return h.Sum64()
}
