// Package stat is streaming statistics: arithmetic only, no allocation, every state
// a small struct of fixed size whose zero value is empty. It knows nothing of
// series, time zones or scores.
package stat

import "math"

// Gain returns the weight of the nth value (from 1) in a running mean that forgets:
// at first the mean of all values with weights growing linearly, so that a wild
// start is soon forgotten, later an exponential one of the given memory (in values).
func Gain(n uint32, memory float64) float64 {
	return max(2/(float64(n)+1), 1/memory)
}

// Clamp returns x limited to -limit..limit.
func Clamp(x, limit float64) float64 { return max(-limit, min(limit, x)) }

// Huber returns what a robust mean learns from a deviation: all of it up to the
// limit, and no more than the limit beyond (Huber, "Robust Estimation of a Location
// Parameter", Ann. Math. Statist. 35, 1964). The limit grows with run, the number of
// deviations in a row that were beyond it on the same side, and doubles every
// doubling of them: an outlier moves nothing much, a lasting shift is followed
// after a bounded time however large it is.
func Huber(deviation, limit, run, doubling float64) float64 {
	if run > 0 {
		limit *= math.Exp2(min(run/doubling, 200))
	}
	return Clamp(deviation, limit)
}
