package detect

import (
	"math"

	"github.com/portent-dev/portent/internal/stat"
)

// silence is the model of what is no deviation but the end of life: a value that no
// longer changes, that is zero where zero is rare, that moves after it never did,
// or that no longer comes.
//
// A run of k samples that each have the chance p has the chance p^k; it is news where
// that is rarer than the limit, and clearly longer than the longest run lately.
type silence struct {
	Last     float64 // newest value
	Mean     float32 // of the values other than 0, over some hundred
	Repeats  float32 // share of samples that equal the one before
	Zeros    float32 // share of samples that are 0
	MostSame float32 // longest runs of each, lately, in samples
	MostZero float32
	Gap      float32 // longest time without sample, lately, in steps
	Same     uint16  // samples in a row that equal the one before them
	Zero     uint16  // samples in a row that are 0
}

const (
	// silenceLearning is what a person would want to have seen of a series before
	// calling it silent.
	silenceLearning = 60 // samples
	silenceAge      = 1 * hour
	// leastChance is of a repeated value, or a zero, in a series that has had none: by
	// it five samples in a row are news.
	leastChance = 0.08
	// runMemory is how long a run is remembered.
	runMemory = 90 * day
	runMargin = 1.5
	// still is how long a constant must have been one for its move to be news.
	stillTime    = 3 * hour
	stillSamples = 120
	// missed samples in a row are no accident of scraping.
	missed = 3
	// toldFor and toldSamples are how long a silence, or an end, is news.
	toldFor     = 5 * minute
	toldSamples = 5
)

func (m *silence) observe(c *clock, limit float64, gap bool, x sample) (out evidence) {
	if x.before != 0 && c.Step > 0 {
		m.Gap = decay(m.Gap, float32(c.Step))
		steps := min(float32(x.t-x.before)/c.Step, math.MaxUint16)
		if steps > m.Gap {
			// A single long gap is an outage, two are a habit.
			m.Gap = min(steps, max(2*m.Gap, missed))
		}
	}
	before := m.Last
	m.Last = x.v
	if c.N == 1 || gap {
		m.Same, m.Zero, m.Mean = 0, 0, float32(x.v)
		return out
	}
	ready := c.N > silenceLearning && c.age(x.t) >= silenceAge
	ended := m.Same
	m.count(c, x.v == before, x.v == 0)
	out = evidence{
		ready: ready, reason: ReasonSilence, still: true,
		expected: float64(m.Mean), lower: math.Inf(-1), upper: math.Inf(1),
	}
	switch {
	case !ready:
	case m.Same > 0:
		told := c.samples(toldFor, toldSamples)
		out.score = longRun(float64(m.Same), float64(m.Repeats), float64(m.MostSame), limit, told)
		if zero := longRun(float64(m.Zero), float64(m.Zeros), float64(m.MostZero), limit, told); x.v == 0 && zero > out.score {
			out.score, out.still, out.by = zero, false, -float64(m.Mean)
		}
	case ended > 0:
		out.score, out.still, out.expected, out.by = m.moved(c, float64(ended)), false, before, x.v-before
	}
	m.learn(c, x.v, ended, out.score > 1)
	return out
}

// count follows the runs.
func (m *silence) count(c *clock, same, zero bool) {
	follow := func(run *uint16, share *float32, is bool) {
		v := float32(0)
		if is {
			*run = min(*run, math.MaxUint16-1) + 1
			v = 1
		} else {
			*run = 0
		}
		*share += float32(stat.Gain(c.N-1, min(scaleMost, c.samples(scaleMemory, scaleLeast)))) * (v - *share)
	}
	follow(&m.Same, &m.Repeats, same)
	follow(&m.Zero, &m.Zeros, zero)
}

// longRun scores a run of n samples of a kind that has a share in all, and came to at
// most so many in a row lately. After told samples above 1 it is no news any more.
func longRun(n, share, most, limit, told float64) float64 {
	p := max(leastChance, min(share, 1-1e-5))
	least := max(limit/math.Log(p), runMargin*most+2)
	if n > least+told {
		return 0
	}
	return n / least
}

// moved scores the first change after a constant of n samples.
func (m *silence) moved(c *clock, n float64) float64 {
	least := c.samples(stillTime, stillSamples)
	if n < min(least, math.MaxUint16-2) {
		return 0
	}
	return min(2, n/max(least, 2*runMargin*float64(m.MostSame)))
}

func (m *silence) learn(c *clock, v float64, ended uint16, told bool) {
	m.MostSame, m.MostZero = decay(m.MostSame, float32(c.Step)), decay(m.MostZero, float32(c.Step))
	most := func(longest *float32, run uint16) {
		// What was told of is learnt by halves, so that it takes a few to be a habit.
		if f := float32(run); f > *longest {
			*longest = min(f, max(2**longest, 8))
		}
	}
	if m.Same == 0 {
		if c.N <= silenceLearning || !told {
			m.MostSame = max(m.MostSame, float32(ended))
		} else {
			most(&m.MostSame, ended)
		}
	}
	most(&m.MostZero, m.Zero)
	if v != 0 {
		m.Mean += 0.02 * (float32(v) - m.Mean)
	}
}

// decay forgets a longest run over runMemory.
func decay(most, stepMs float32) float32 {
	return most * max(0, 1-stepMs/runMemory)
}

// miss says what it means that no sample came after last, up to now.
func (m *silence) miss(e *env, c *clock, last, now int64) (out evidence) {
	if c.N <= silenceLearning || c.age(last) < max(silenceAge, e.class.warmUpMs) || c.Step <= 0 {
		return out
	}
	out = evidence{ready: true, reason: ReasonSilence, still: true, expected: m.Last, lower: m.Last, upper: m.Last}
	elapsed := float64(now-last-e.class.delayMs) / float64(c.Step)
	least := max(missed, runMargin*float64(m.Gap)+1) * e.bar
	out.score = elapsed / least
	if elapsed > least+c.samples(toldFor, toldSamples) {
		return evidence{} // it is gone, and that was told
	}
	return out
}

func (m *silence) whole() bool {
	return bounded(m.Last) && bounded(float64(m.Mean)) && m.Repeats >= 0 && m.Repeats <= 1 && m.Zeros >= 0 && m.Zeros <= 1 &&
		spread(m.MostSame, m.MostZero, m.Gap)
}

// silences is the detector of silence alone.
type silences struct {
	Clock   clock
	Habit   habit
	Silence silence
}

func (s *silences) observe(e *env, x sample, out *Output) {
	gap := s.Clock.tick(x.before, x.t)
	found := s.Silence.observe(&s.Clock, s.Clock.limit(e), gap, x)
	judge(out, e, &s.Habit, &s.Clock, &found)
}

func (s *silences) whole() bool { return s.Clock.whole() && s.Habit.whole() && s.Silence.whole() }

func (s *silences) miss(e *env, last, now int64) evidence {
	return s.Silence.miss(e, &s.Clock, last, now)
}
