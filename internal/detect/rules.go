package detect

import "math"

// classRules is a Class in the form that the hot path needs.
type classRules struct {
	direction           int8 // 1 = only what lies above is news, -1 below, 0 both
	quietAtBounds       bool
	season              Season
	off                 uint16 // bit n: evidence with Reason n does not count
	minAbs, minRel      float64
	low, high           float64 // bounds of what can be
	warmUpMs, stepMs    float64
	delayMs             int64
	vanishes, staysSeen bool // Ends: never news, always
}

func newClassRules(c *Class) classRules {
	k := classRules{
		quietAtBounds: c.QuietAtBounds, season: c.Season,
		minAbs: c.MinAbsolute, minRel: c.MinRelative,
		warmUpMs: float64(c.WarmUp.Milliseconds()), stepMs: float64(c.Interval.Milliseconds()),
		delayMs:  c.Delay.Milliseconds(),
		vanishes: c.Ends == EndsUnseen, staysSeen: c.Ends == EndsSeen,
	}
	k.low, k.high = c.bounds()
	switch c.Direction {
	case Up:
		k.direction = 1
	case Down:
		k.direction = -1
	case Both:
	}
	for _, name := range c.Off {
		for r, known := range reasonNames {
			if name == known {
				k.off |= 1 << r
			}
		}
	}
	return k
}

// impossible reports whether v lies outside the bounds, and which of them it broke.
func (k *classRules) impossible(v float64) (bound float64, is bool) {
	switch {
	case v < k.low:
		return k.low, true
	case v > k.high:
		return k.high, true
	}
	return 0, false
}

// filter takes out of x what does not matter, and widens its band by that: what
// joins several pieces of evidence sees those that count.
func (k *classRules) filter(v float64, x *evidence) {
	if k.off>>x.reason&1 != 0 {
		x.score, x.lower, x.upper = 0, math.Inf(-1), math.Inf(1)
		return
	}
	d := k.least(x)
	x.lower, x.upper = min(x.lower, x.expected-d), max(x.upper, x.expected+d)
	if x.score > 1 && !k.passes(v, x) {
		x.score = held
	}
}

// least is the smallest deviation from what x expects that matters.
func (k *classRules) least(x *evidence) float64 {
	return max(k.minAbs, k.minRel*math.Abs(x.expected))
}

// passes reports whether the deviation that x speaks of matters.
func (k *classRules) passes(v float64, x *evidence) bool {
	if x.still {
		return true
	}
	if k.quietAtBounds && (v == k.low || v == k.high) {
		return false
	}
	by := x.by
	if by == 0 {
		by = v - x.expected
	}
	return float64(k.direction)*by >= 0 && math.Abs(by) >= k.least(x)
}
