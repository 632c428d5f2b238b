package detect

import (
	"math"

	"github.com/portent-dev/portent/internal/stat"
)

// local is the model of the last few samples: a level that follows within some ten
// of them, and how far values usually jump from it. It finds spikes, dips and the
// first samples of a step, and is useful half a minute after a series began.
type local struct {
	Level float64
	Scale float32 // mean absolute deviation, over a week
	Fast  float32 // the same over some fifty samples: a rough hour
	Run   int16   // deviations in a row beyond the limit, negative below
	Tail  stat.Tail
}

const (
	localFollow = 0.1  // of each deviation goes into the level: ten samples' memory
	fastFollow  = 0.02 // fifty
	fastShare   = 0.7  // of Fast counts as Scale: a rough hour is expected to stay so
	scaleMemory = 7 * day
	// scaleSamples bounds the memory of Scale in samples: what was constant and
	// became lively is understood after some hours however often it is sampled.
	scaleMost, scaleLeast = 20000, 300
	// tailMemory is how long magnitudes stay in the tail.
	tailMemory      = 60 * day
	tailLeastMemory = 1500
	// oneEvent is how close exceedances lie that count as one.
	oneEvent = 30 * 60 * 1000 // ms
	// localHabit is how often a day a local deviation may come and still be news;
	// what comes more often is the way the series is.
	localHabit = 3.5
	// flat is the spread, relative to the level, that a constant is granted: far
	// above the rounding of a float64, far below what a person would see.
	flat = 1e-6
	tiny = 1e-30
	// shiftRun and shiftTime are after how many deviations in a row beyond the limit
	// it doubles: a step of a thousand spreads is followed after some fifty samples,
	// and not within seconds where samples come every second.
	shiftRun  = 5
	shiftTime = 150 * 1000 // ms
)

// observe scores v against the level and learns from it.
func (m *local) observe(c *clock, limit float64, gap bool, v float64) (x evidence) {
	if c.N == 1 || gap {
		// After a gap the level of before says nothing; the spread still does.
		m.Level, m.Run = v, 0
		return x
	}
	scale := max(float64(m.Scale), fastShare*float64(m.Fast), flat*math.Abs(m.Level), tiny)
	r := v - m.Level
	z := math.Abs(r) / scale
	o := c.tailOptions(localHabit, 1.1)
	if c.N > warmUp && m.Tail.Ready() {
		reach := m.Tail.Quantile(limit) * scale
		x = evidence{
			ready: true, reason: ReasonLevel,
			score:    max(0, m.Tail.LogSurvival(z)/limit),
			expected: m.Level, lower: m.Level - reach, upper: m.Level + reach,
		}
	}
	if c.N > warmUp/2 {
		m.Tail.Observe(z, o)
	}
	m.learn(c, r, scale)
	return x
}

func (m *local) learn(c *clock, r, scale float64) {
	known := r // what the level learns
	wild := r  // what the spread learns
	if c.N > warmUp {
		bound := max(3, float64(m.Tail.Z2)) * scale
		m.Run = nextRun(m.Run, r, bound)
		known = stat.Huber(r, bound, math.Abs(float64(m.Run)), c.samples(shiftTime, shiftRun))
		wild = stat.Clamp(r, bound)
	}
	m.Level += stat.Gain(c.N-1, 1/localFollow) * known
	m.Fast += float32(stat.Gain(c.N-1, 1/fastFollow) * (math.Abs(known) - float64(m.Fast)))
	memory := min(scaleMost, c.samples(scaleMemory, scaleLeast))
	m.Scale += float32(stat.Gain(c.N-1, memory) * (math.Abs(wild) - float64(m.Scale)))
}

// nextRun counts the deviations in a row beyond bound on one side.
func nextRun(run int16, r, bound float64) int16 {
	switch {
	case r > bound:
		return min(max(run, 0)+1, 10000)
	case r < -bound:
		return max(min(run, 0)-1, -10000)
	}
	return 0
}

// tailOptions returns the options of a tail in which what comes more often than
// perDay is a habit.
func (c *clock) tailOptions(perDay, steep float64) stat.TailOptions {
	const rarest, commonest = 5e-5, 0.004
	return stat.TailOptions{
		Memory: c.samples(tailMemory, tailLeastMemory),
		Rare:   max(rarest, min(commonest, perDay*float64(c.Step)/day)),
		Hold:   c.samples(oneEvent, 1),
		Steep:  steep,
	}
}

func (m *local) whole() bool {
	return bounded(m.Level) && spread(m.Scale, m.Fast) && m.Tail.Whole()
}

// bounded reports whether x is a number that models of values up to maxMagnitude can
// come to.
func bounded(x float64) bool { return math.Abs(x) <= 10*maxMagnitude }

// spread reports whether all x can be mean deviations of such values.
func spread(all ...float32) bool {
	for _, x := range all {
		if !(x >= 0 && bounded(float64(x))) {
			return false
		}
	}
	return true
}
