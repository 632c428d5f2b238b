package detect

import "math"

// clock is how far a series' model has come.
type clock struct {
	N     uint32  // samples seen
	Begin int64   // Unix ms of the first
	Last  int64   // Unix ms of the newest
	Step  float32 // typical time between samples, ms
}

const (
	day  = 24 * 3600e3 // ms
	hour = 3600e3      // ms
	// warmUp is how many samples a local baseline takes: fewer leave the spread a guess.
	warmUp = 30
	// gapSteps missed samples in a row make a gap, after which the level of before
	// says nothing about the next sample.
	longGapSteps = 30
)

// tick takes the time of a sample and reports whether it comes after a gap.
func (c *clock) tick(t int64) (gap bool) {
	if c.N == 0 {
		c.Begin, c.Last, c.N = t, t, 1
		return false
	}
	dt := float32(t - c.Last)
	c.Last = t
	if c.N < math.MaxUint32 {
		c.N++
	}
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

// age returns for how long the series is known, ms.
func (c *clock) age() float64 { return float64(c.Last - c.Begin) }

// samples returns how many samples there are in a stretch of time, at least least.
func (c *clock) samples(ms, least float64) float64 {
	return max(least, ms/max(1, float64(c.Step)))
}

// limit returns the logarithm of the chance at which the score is 1: that of one
// sample in the period of the sensitivity. It is never so large that an ordinary
// value could reach it, however rare the samples are.
func (c *clock) limit(e *env) float64 {
	const mostChance = 1e-3
	return math.Log(min(mostChance, max(1, float64(c.Step))/e.periodMs))
}

func (c *clock) whole() bool {
	return c.Step >= 0 && c.Begin <= c.Last && c.Begin >= 0 && c.Last <= latestMs
}
