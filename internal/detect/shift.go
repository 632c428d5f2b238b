package detect

import (
	"math"

	"github.com/portent-dev/portent/internal/stat"
)

// shift is the model of lasting steps: running means of the deviation from the level
// of before, over three spans, each against how large it usually is. It is a
// moving sum test (Page, "Continuous Inspection Schemes", Biometrika 41, 1954, by
// way of exponentially weighted means: Roberts, Technometrics 1, 1959) with several
// spans, since neither the size of a step nor its noise is known.
//
// A deviation counts as no more than shiftClip, so that a single one however large
// is no step.
type shift struct {
	Level float64
	Mean  [len(shiftSpans)]float32 // running means of the clipped deviation
	Size  [len(shiftSpans)]float32 // their mean magnitude
	Scale float32                  // mean magnitude of the deviation
	Bar   bar
	Run   int16 // deviations in a row on one side beyond bound
}

// shiftSpans are the samples that the means cover.
var shiftSpans = [...]float64{3, 8, 20}

const (
	shiftClip = 5 // in mean deviations
	// shiftMargin is for the three spans, and for means that are not quite normal.
	shiftMargin   = 1.15
	shiftMemory   = 1 * hour
	shiftSamples  = 100
	shiftLearning = 120 // samples until something is told
)

func (m *shift) observe(c *clock, limit float64, gap bool, x sample) (out evidence) {
	if c.N == 1 || gap {
		m.Level, m.Run, m.Mean = x.v, 0, [len(shiftSpans)]float32{}
		return out
	}
	r := x.v - m.Level
	scale := max(float64(m.Scale), flat*math.Abs(m.Level), tiny)
	clipped := r
	if c.N > warmUp {
		clipped = stat.Clamp(r, shiftClip*scale)
	}
	most := 0.0
	for i, span := range shiftSpans {
		mean := &m.Mean[i]
		*mean += float32(2 / (span + 1) * (clipped - float64(*mean)))
		size := max(float64(m.Size[i]), flat*math.Abs(m.Level), tiny)
		z := math.Abs(float64(*mean)) / size
		most = max(most, z)
		m.Size[i] += float32(stat.Gain(c.N-1, min(scaleMost, c.samples(scaleMemory, scaleLeast))) * (min(math.Abs(float64(*mean)), 4*size) - float64(m.Size[i])))
	}
	least := shiftMargin * normalReach(limit)
	learning := c.N <= shiftLearning
	if score := m.Bar.judge(most, least, float64(c.Step), float64(c.Step), learning); !learning {
		out = evidence{
			ready: true, score: score, reason: ReasonShift,
			expected: m.Level, lower: math.Inf(-1), upper: math.Inf(1),
			by: float64(m.Mean[0]),
		}
	}
	m.learn(c, r, clipped, scale)
	return out
}

func (m *shift) learn(c *clock, r, clipped, scale float64) {
	bound := 3 * scale
	known := r
	if c.N > warmUp {
		m.Run = nextRun(m.Run, r, bound)
		known = stat.Huber(r, bound, math.Abs(float64(m.Run)), c.samples(shiftTime, shiftRun))
	}
	m.Level += stat.Gain(c.N-1, min(1000, c.samples(shiftMemory, shiftSamples))) * known
	if m.Run > 20 || m.Run < -20 {
		// It has lasted: the new level is known by its own mean. What was said of the
		// step was said.
		m.Level += float64(m.Mean[2])
		m.Mean, m.Run = [len(shiftSpans)]float32{}, 0
	}
	m.Scale += float32(stat.Gain(c.N-1, min(scaleMost, c.samples(scaleMemory, scaleLeast))) * (min(math.Abs(clipped), 4*scale) - float64(m.Scale)))
}

func (m *shift) whole() bool {
	for _, x := range m.Mean {
		if !bounded(float64(x)) {
			return false
		}
	}
	return bounded(m.Level) && spread(m.Size[:]...) && spread(m.Scale) && m.Bar.whole()
}

// shifts is the detector of lasting steps alone.
type shifts struct {
	Clock clock
	Habit habit
	Shift shift
}

func (s *shifts) observe(e *env, x sample, out *Output) {
	gap := s.Clock.tick(x.before, x.t)
	found := s.Shift.observe(&s.Clock, s.Clock.limit(e), gap, x)
	judge(out, e, &s.Habit, &s.Clock, &found)
}

func (s *shifts) whole() bool { return s.Clock.whole() && s.Habit.whole() && s.Shift.whole() }
