package detect

import (
	"math"

	"github.com/portent-dev/portent/internal/stat"
)

// swing is the model of how much a series moves from sample to sample: lately,
// against what is usual. It is an exponentially weighted test of dispersion
// (MacGregor and Harris, "The Exponentially Weighted Moving Variance", Journal of
// Quality Technology 25, 1993) on first differences instead of deviations from a
// mean, so that neither a step nor a trend looks like spread, and on their mean
// magnitude instead of their square, so that one outlier is not half of it.
type swing struct {
	Last float64
	Fast float32 // mean magnitude of differences, over a quarter of an hour
	Slow float32 // the same over a week
	Dev  float32 // mean magnitude of ln(Fast/Slow)
	Bar  bar
	Run  int16 // samples in a row with a ratio of two or more
}

const (
	swingFast     = 15 * 60 * 1000 // ms
	swingSamples  = 20             // at least, in Fast
	swingClip     = 4              // a difference counts as so many usual ones at most
	swingLearning = 3 * hour
	swingLeast    = 160 // samples
	// swingRatio is the smallest change of spread that is news.
	swingRatio = 2
	// swingDoubling is how long a new spread lasts until Slow follows it twice as fast.
	swingDoubling = 30 * 60 * 1000 // ms
)

func (m *swing) observe(c *clock, limit float64, gap bool, x sample) (out evidence) {
	r := math.Abs(x.v - m.Last)
	expected := m.Last
	m.Last = x.v
	if c.N == 1 || gap {
		return out
	}
	least := max(flat*math.Abs(expected), tiny)
	slow := max(float64(m.Slow), least)
	if c.N > warmUp {
		r = min(r, swingClip*max(slow, float64(m.Fast)))
	}
	window := c.samples(swingFast, swingSamples)
	m.Fast += float32(stat.Gain(c.N-1, window) * (r - float64(m.Fast)))
	u := math.Log(max(float64(m.Fast), least) / slow)
	dev := max(float64(m.Dev), 0.05)
	z := math.Abs(u) / dev
	learning := float64(c.N) <= max(swingLeast, min(1e5, c.samples(swingLearning, 0)))
	score := m.Bar.judge(z, normalReach(limit), float64(c.Step), float64(c.Step), learning)
	if !learning {
		out = evidence{
			ready: true, score: score, reason: ReasonSpread,
			expected: expected, lower: math.Inf(-1), upper: math.Inf(1),
			by: float64(m.Fast) - slow,
		}
		if math.Abs(u) < math.Log(swingRatio) {
			out.score = min(out.score, held)
		}
	}
	m.learn(c, u, dev, r)
	return out
}

func (m *swing) learn(c *clock, u, dev, r float64) {
	usual := min(scaleMost, c.samples(scaleMemory, scaleLeast))
	m.Dev += float32(stat.Gain(c.N-1, usual) * (min(math.Abs(u), 3*dev) - float64(m.Dev)))
	if math.Abs(u) >= math.Log(swingRatio) {
		m.Run = min(m.Run+1, 30000)
	} else {
		m.Run = 0
	}
	// A spread that stays is followed after a bounded time, however different it is.
	if m.Run > 0 {
		usual = max(c.samples(swingFast, swingSamples), usual/math.Exp2(min(60, float64(m.Run)/c.samples(swingDoubling, warmUp))))
	}
	m.Slow += float32(stat.Gain(c.N-1, usual) * (r - float64(m.Slow)))
}

func (m *swing) whole() bool {
	return bounded(m.Last) && spread(m.Fast, m.Slow, m.Dev) && m.Bar.whole() && m.Run >= 0
}

// swings is the detector of changes of spread alone.
type swings struct {
	Clock clock
	Habit habit
	Swing swing
}

func (s *swings) observe(e *env, x sample, out *Output) {
	gap := s.Clock.tick(x.before, x.t)
	found := s.Swing.observe(&s.Clock, s.Clock.limit(e), gap, x)
	judge(out, e, &s.Habit, &s.Clock, &found)
}

func (s *swings) whole() bool { return s.Clock.whole() && s.Habit.whole() && s.Swing.whole() }
