package detect

import "math"

// clock is how far a series' model has come.
type clock struct {
	N     uint32  // samples seen
	Begin uint32  // Unix minutes of the first
	Step  float32 // typical time between samples, ms
}

const (
	minute = 60e3 // ms
	hour   = 60 * minute
	day    = 24 * hour
	// warmUp is how many samples a local baseline takes: fewer leave the spread a guess.
	warmUp = 30
	// longGapSteps missed samples in a row make a gap, after which the level of
	// before says nothing about the next sample.
	longGapSteps = 30
)

// tick takes the time of a sample and of the one before (0 = none), and reports
// whether there is a gap between them.
func (c *clock) tick(before, t int64) (gap bool) {
	if c.N < math.MaxUint32 {
		c.N++
	}
	if c.N == 1 || before == 0 {
		c.Begin = uint32(max(0, t) / minute)
		return false
	}
	dt := float32(t - before)
	if c.Step == 0 {
		c.Step = dt
		return false
	}
	gap = dt > longGapSteps*c.Step && dt > gapMs
	// Quickly down, slowly up: gaps hardly count, and a changed interval is known
	// after some ten samples.
	c.Step += max(-c.Step/2, min(c.Step/8, dt-c.Step))
	return gap
}

// age returns for how long the series is known at t, ms.
func (c *clock) age(t int64) float64 { return float64(t) - float64(c.Begin)*minute }

// samples returns how many samples there are in a stretch of time, at least least.
func (c *clock) samples(ms, least float64) float64 {
	return max(least, ms/max(1, float64(c.Step)))
}

// limit returns the logarithm of the chance at which the score is 1: that of one
// sample in the period of the sensitivity. It is never so large that an ordinary
// value could reach it, however rare the samples are. A raised bar asks for more.
func (c *clock) limit(e *env) float64 {
	const mostChance = 1e-3
	// About once in a period leaves room: this share of the logarithm makes it half as
	// often again, and finds what hardly misses.
	const slack = 0.96
	// Tails are rather too heavy the further they are extrapolated, so that what is to
	// come rarely came more rarely still: by so much of the logarithm of the period.
	const ease = 0.06
	step := float64(c.Step)
	if step == 0 {
		step = e.class.stepMs
	}
	return e.bar * (slack*math.Log(min(mostChance, max(1, step)/e.periodMs)) + ease*math.Log(e.periodMs/(7*day)))
}

func (c *clock) whole() bool { return c.Step >= 0 && c.Step <= latestMs }
