package detect

import (
	"math"

	"github.com/portent-dev/portent/internal/stat"
)

// trend is the model of sustained slopes: the means of the last six stretches of
// time. A rise is sustained if nearly all pairs of stretches rise (Mann,
// "Nonparametric Tests Against Trend", Econometrica 13, 1945) and no single stretch
// makes most of it, which would be a step. It is news if it is large against the rises
// that the series usually has in that time.
type trend struct {
	Base  float64              // the means are told from here, so that 32 bits hold them
	Means [slopeBlocks]float32 // of the last stretches, the newest last
	Sum   float32              // of the present one
	Usual float32              // mean magnitude of the rise over all
	Score float32              // of the last full stretch
	Rise  float32
	Bar   bar
	Count uint16 // samples in the present stretch
	Seen  uint16 // full stretches
	Begun bool   // Means hold something
}

// pace is how long the stretches of a trend are, and how many are seen before one is
// told.
type pace struct {
	ms       float64
	learning uint16
}

// The paces: a rise within minutes is told after two hours, one within hours after a
// day.
var (
	shortPace = pace{1 * minute, 120}
	longPace  = pace{15 * minute, 96}
)

const (
	slopeBlocks = 6
	slopeMemory = 1000 // stretches
	// leastBlock samples make a stretch: single ones rise by chance.
	leastBlock = 2
	// slopeConcord of the fifteen pairs must go the same way: by chance 1 in 100 does.
	slopeConcord = 13
	// slopeMargin is for rises that fall by a heavier law than the normal.
	slopeMargin = 1.2
	// slopeEvent is what an event raises the bar by, at least; see bar.
	slopeEvent = 35 * minute
	// slopeStep is the largest part of a rise that a single stretch may make.
	slopeStep = 0.45
)

func (m *trend) observe(e *env, c *clock, gap bool, x sample, p pace) (out evidence) {
	if c.N == 1 || gap {
		if c.N == 1 {
			m.Base = x.v
		}
		// What is usual stays known; over a gap there is no course.
		m.Sum, m.Count, m.Score, m.Rise, m.Begun = 0, 0, 0, 0, false
		return out
	}
	m.take(e, c, x.v, p)
	if m.Seen < p.learning {
		return out
	}
	return evidence{
		ready: true, score: float64(m.Score), reason: ReasonTrend,
		expected: m.Base + float64(m.Means[0]), lower: math.Inf(-1), upper: math.Inf(1),
		by: float64(m.Rise),
	}
}

// take adds a value to the present stretch, which lasts at least leastBlock samples.
func (m *trend) take(e *env, c *clock, v float64, p pace) {
	m.Sum += float32(v - m.Base)
	m.Count++
	step := max(1, float64(c.Step))
	n := max(leastBlock, math.Round(p.ms/step))
	if float64(m.Count) < min(n, math.MaxUint16) {
		return
	}
	mean := m.Sum / float32(m.Count)
	m.Sum, m.Count = 0, 0
	if !m.Begun {
		for i := range m.Means {
			m.Means[i] = mean
		}
		m.Begun = true
		return
	}
	copy(m.Means[:], m.Means[1:])
	m.Means[slopeBlocks-1] = mean
	if m.Seen < math.MaxUint16 {
		m.Seen++
	}
	m.judge(e, max(flat*math.Abs(m.Base), flat*math.Abs(v), tiny), n*step, p.learning)
}

// judge scores the course of the last stretches, and learns from it.
func (m *trend) judge(e *env, floor, blockMs float64, learning uint16) {
	rise, sustained := m.rise()
	usual := max(float64(m.Usual), floor)
	z := math.Abs(rise) / usual
	limit := e.bar * math.Log(min(1e-3, blockMs/e.periodMs))
	m.Rise = float32(rise)
	seen := m.Seen <= learning
	if !sustained {
		// What is no trend says nothing about how steep trends are.
		z = 0
	}
	covers := blockMs
	if m.Score <= 1 {
		covers = max(covers, slopeEvent) // the first stretch of an event counts as one
	}
	m.Score = 0
	if score := m.Bar.judge(z, slopeMargin*normalReach(limit), blockMs, covers, seen); !seen && sustained {
		m.Score = float32(min(score, MaxScore))
	}
	clipped := math.Abs(rise)
	if seen {
		clipped = min(clipped, mostUsual*floor)
	} else {
		clipped = min(clipped, 4*usual)
	}
	m.Usual += float32(stat.Gain(uint32(m.Seen), slopeMemory) * (clipped - float64(m.Usual)))
}

// rise returns by how much the line of least squares rises from the first stretch to
// the last, and whether the course is sustained.
func (m *trend) rise() (rise float64, sustained bool) {
	up, down, most := 0, 0, 0.0
	lo, hi := m.Means[0], m.Means[0]
	for i, a := range m.Means {
		rise += (float64(i) - (slopeBlocks-1)/2.0) * float64(a)
		for _, b := range m.Means[i+1:] {
			switch {
			case b > a:
				up++
			case b < a:
				down++
			}
		}
		lo, hi = min(lo, a), max(hi, a)
		if i > 0 {
			most = max(most, math.Abs(float64(a)-float64(m.Means[i-1])))
		}
	}
	const spread = slopeBlocks * (slopeBlocks*slopeBlocks - 1) / 12.0
	rise *= (slopeBlocks - 1) / spread
	return rise, max(up, down) >= slopeConcord && most <= slopeStep*float64(hi-lo)
}

func (m *trend) whole() bool {
	for _, x := range m.Means {
		if !bounded(float64(x)) {
			return false
		}
	}
	return bounded(m.Base) && bounded(float64(m.Sum)/math.MaxUint16) && bounded(float64(m.Rise)/100) &&
		m.Score >= 0 && m.Score <= MaxScore && spread(m.Usual) && m.Bar.whole()
}

// trends is the detector of sustained slopes alone: within minutes and within hours.
type trends struct {
	Clock clock
	Habit habit
	Short trend
	Long  trend
}

func (s *trends) observe(e *env, x sample, out *Output) {
	gap := s.Clock.tick(x.before, x.t)
	short, long := s.Short.observe(e, &s.Clock, gap, x, shortPace), s.Long.observe(e, &s.Clock, gap, x, longPace)
	if long.ready && long.score > max(1, short.score) {
		short = long
	}
	judge(out, e, &s.Habit, &s.Clock, &short)
}

func (s *trends) whole() bool {
	return s.Clock.whole() && s.Habit.whole() && s.Short.whole() && s.Long.whole()
}
