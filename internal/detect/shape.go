package detect

import (
	"math"

	"github.com/portent-dev/portent/internal/stat"
)

// shape is the model of the course inside normal bounds, for series that go to and
// fro between a low and a high state: for how long they stay in each. A batch that
// was missed, a wave that lacks its middle, a job that never ends are stays that
// are much longer than stays were, at values that are all ordinary.
//
// The two states are the means of what lies below and above the middle between
// them (two-means clustering, MacQueen 1967, online). They count if they lie far
// apart, against how much the series moves from sample to sample. The logarithms of
// stays are taken for normal.
type shape struct {
	Low, High float64
	Last      float64
	Noise     float32 // mean magnitude of differences from sample to sample
	Run       uint32  // samples in the present state
	Stays     [2]stay // low, high
	Is        bool    // high
}

// stay is what is known of one state.
type stay struct {
	Mean float32 // of the logarithm of stays, in samples
	Dev  float32 // mean deviation from that
	Bar  bar     // of the longest
	N    uint16
}

const (
	// shapeStays is how many stays of each kind are seen before one can be too long.
	shapeStays = 6
	// shapeApart is the distance of the states in Noise.
	shapeApart = 4
	// shapeEdge is how far past the middle a value must lie to change the state, as a
	// part of the distance.
	shapeEdge   = 0.15
	leastStay   = 3 // samples: what is shorter is noise
	leastDev    = 0.06
	shapeFollow = 0.01
	// shapeForget is the score of a stay after which the two states are no more: it was
	// told, and what comes now is learnt anew.
	shapeForget = 1.5
)

func (m *shape) observe(c *clock, limit float64, gap bool, x sample) (out evidence) {
	if c.N == 1 {
		m.Low, m.High, m.Last = x.v, x.v, x.v
		return out
	}
	if gap {
		m.Run, m.Last = 0, x.v
		return out
	}
	m.follow(c, x.v)
	apart := m.High - m.Low
	m.Noise += float32(stat.Gain(c.N-1, 2000) * (min(math.Abs(x.v-m.Last), 2*apart) - float64(m.Noise)))
	m.Last = x.v
	edge := (m.Low + m.High) / 2
	if m.Is {
		edge -= shapeEdge * apart
	} else {
		edge += shapeEdge * apart
	}
	if apart > 0 && (x.v > edge) != m.Is {
		m.turn(limit, float64(c.Step))
		return m.evidence(c, 0)
	}
	m.Run = min(m.Run, math.MaxUint32-1) + 1
	s := &m.Stays[m.side()]
	if s.N < shapeStays || m.Stays[1-m.side()].N < shapeStays || apart < shapeApart*max(float64(m.Noise), flat*math.Abs(x.v)) {
		return m.evidence(c, 0)
	}
	score := s.excess(m.Run) / max(normalReach(limit), barMargin*float64(s.Bar.Usual))
	if score > shapeForget {
		*m = shape{Low: x.v, High: x.v, Last: x.v, Noise: m.Noise}
		return m.evidence(c, 0)
	}
	return m.evidence(c, score)
}

// evidence says, if the score is above 1, that the other state was expected by now.
func (m *shape) evidence(c *clock, score float64) evidence {
	x := evidence{
		ready: c.N > 4*warmUp, score: score, reason: ReasonShape,
		expected: m.Low, lower: math.Inf(-1), upper: math.Inf(1),
	}
	if m.Is != (score > 1) {
		x.expected = m.High
	}
	return x
}

func (m *shape) side() int {
	if m.Is {
		return 1
	}
	return 0
}

// follow moves the state that v is nearer to.
func (m *shape) follow(c *clock, v float64) {
	near := &m.Low
	if v > (m.Low+m.High)/2 {
		near = &m.High
	}
	switch {
	case c.N <= warmUp:
		m.Low, m.High = min(m.Low, v), max(m.High, v)
	default:
		*near += max(shapeFollow, 1/float64(c.N)) * (v - *near)
	}
}

// turn ends a stay and learns from it.
func (m *shape) turn(limit, stepMs float64) {
	s := &m.Stays[m.side()]
	if m.Run >= leastStay {
		l := math.Log(float64(m.Run))
		z := s.excess(m.Run)
		s.N = min(s.N, math.MaxUint16-1) + 1
		if s.N > 2 {
			s.Bar.judge(max(0, z), normalReach(limit), stepMs*float64(m.Run), barDoubling, s.N <= 2*shapeStays)
			s.Dev += float32(stat.Gain(uint32(s.N-2), 100) * (math.Abs(l-float64(s.Mean)) - float64(s.Dev)))
		}
		s.Mean += float32(stat.Gain(uint32(s.N), 50) * (l - float64(s.Mean)))
	}
	m.Is, m.Run = !m.Is, 0
}

// excess is by how many mean deviations a stay is longer than usual, at least 0.
func (s *stay) excess(run uint32) float64 {
	return max(0, math.Log(max(1, float64(run)))-float64(s.Mean)) / max(leastDev, float64(s.Dev))
}

func (m *shape) whole() bool {
	for _, s := range m.Stays {
		if !(s.Mean >= 0 && s.Mean < 30 && s.Dev >= 0 && s.Dev < 30) || !s.Bar.whole() {
			return false
		}
	}
	return bounded(m.Low) && bounded(m.Last) && bounded(m.High) && m.Low <= m.High && spread(m.Noise)
}

// shapes is the detector of stays that are too long alone.
type shapes struct {
	Clock clock
	Habit habit
	Shape shape
}

func (s *shapes) observe(e *env, x sample, out *Output) {
	gap := s.Clock.tick(x.before, x.t)
	found := s.Shape.observe(&s.Clock, s.Clock.limit(e), gap, x)
	judge(out, e, &s.Habit, &s.Clock, &found)
}

func (s *shapes) whole() bool { return s.Clock.whole() && s.Habit.whole() && s.Shape.whole() }
