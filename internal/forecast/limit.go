package forecast

import "math"

// Crossing says when a series meets a limit. A zero time (0) means not within the
// forecast.
type Crossing struct {
	At       int64 // Unix ms at which the forecast meets the limit
	Earliest int64 // at which the nearer side of the interval does
	Latest   int64 // at which the farther side does
}

// TimeTo returns when the series meets limit, from whichever side it comes. A series that
// is at the limit has met it with its newest value. NaN is never met.
func (f Forecast) TimeTo(limit float64) Crossing {
	if f.Last == limit {
		return Crossing{f.LastT, f.LastT, f.LastT}
	}
	rising := f.Last < limit
	near, far := func(p Point) float64 { return p.Upper }, func(p Point) float64 { return p.Lower }
	if !rising {
		near, far = far, near
	}
	return Crossing{
		At:       f.meets(limit, rising, func(p Point) float64 { return p.Value }),
		Earliest: f.meets(limit, rising, near),
		Latest:   f.meets(limit, rising, far),
	}
}

// meets returns the time at which one line of the forecast meets limit, between two
// steps in proportion.
func (f Forecast) meets(limit float64, rising bool, line func(Point) float64) int64 {
	before, at := f.Last, f.LastT
	for _, p := range f.Points {
		v := line(p)
		if rising && v >= limit || !rising && v <= limit {
			share := (limit - before) / (v - before)
			if math.IsNaN(share) || share < 0 || share > 1 {
				share = 1
			}
			return at + int64(share*float64(p.T-at))
		}
		before, at = v, p.T
	}
	return 0
}
