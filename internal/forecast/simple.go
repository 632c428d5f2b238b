package forecast

import "math"

// naive repeats the last cycle, or the last value.
type naive struct{ season int }

func (n naive) run(y []float64, origins []int, h int) [][]float64 {
	var out [][]float64
	for _, origin := range origins {
		m := min(n.season, origin)
		f := make([]float64, h)
		for i := range f {
			f[i] = y[origin-m+i%m]
		}
		out = append(out, f)
	}
	return out
}

// theta is the Theta method (Assimakopoulos and Nikolopoulos, Int. J. Forecasting 16,
// 2000): simple exponential smoothing plus half of the slope of a straight line
// through the series (Hyndman and Billah, 2003), on values without their seasons. The
// slope here is the median of slopes over a third of the series (Theil and Sen), which
// an outlier does not turn.
type theta struct{ seasons []int }

func (th theta) run(y []float64, origins []int, h int) [][]float64 {
	return eachAdjusted(y, th.seasons, origins, h, func(z []float64, h int) []float64 {
		best, least, level := 0.0, math.Inf(1), 0.0
		for _, alpha := range [...]float64{0.03, 0.06, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9} {
			l, cost := z[0], 0.0
			for _, v := range z[1:] {
				cost += math.Abs(v - l)
				l += alpha * (v - l)
			}
			if cost < least {
				best, least, level = alpha, cost, l
			}
		}
		slope := medianSlope(z) / 2
		out := make([]float64, h)
		rest := (1 - math.Pow(1-best, float64(len(z)))) / best
		for i := range out {
			out[i] = level + slope*(float64(i)+rest)
		}
		return out
	})
}

// medianSlope returns the median rise a step between values a third of the series apart.
func medianSlope(z []float64) float64 {
	apart := max(1, len(z)/3)
	slopes := make([]float64, 0, len(z))
	for i := apart; i < len(z); i++ {
		slopes = append(slopes, (z[i]-z[i-apart])/float64(apart))
	}
	return median(slopes)
}

// line goes on from the end of a straight line through the newest part of the series:
// what fills a disk at an even pace.
type line struct{ seasons []int }

func (l line) run(y []float64, origins []int, h int) [][]float64 {
	return eachAdjusted(y, l.seasons, origins, h, func(z []float64, h int) []float64 {
		part := z[len(z)/3:]
		slope := medianSlope(part)
		ends := make([]float64, 0, len(part))
		newest := part[len(part)*2/3:]
		for i, v := range newest {
			ends = append(ends, v+slope*float64(len(newest)-1-i))
		}
		from := median(ends)
		out := make([]float64, h)
		for i := range out {
			out[i] = from + slope*float64(i+1)
		}
		return out
	})
}

// damped is exponential smoothing with a trend that wears off (Gardner and McKenzie,
// Management Science 31, 1985), on values without their seasons:
//
//	l(t) = l(t-1) + φ·b(t-1) + α·e(t),  b(t) = φ·b(t-1) + α·β·e(t)
type damped struct{ seasons []int }

func (d damped) run(y []float64, origins []int, h int) [][]float64 {
	var alpha, beta, phi float64
	// The newest origin is fitted first and its parameters serve the earlier ones.
	fit := func(z []float64) {
		least := math.Inf(1)
		for _, a := range [...]float64{0.1, 0.3, 0.6, 0.9} {
			for _, b := range [...]float64{0.02, 0.1, 0.3} {
				for _, p := range [...]float64{0.9, 0.98, 1} {
					if _, _, cost := holt(z, a, b, p); cost < least {
						alpha, beta, phi, least = a, b, p, cost
					}
				}
			}
		}
	}
	fit(seasonless(y, d.seasons, len(y)))
	return eachAdjusted(y, d.seasons, origins, h, func(z []float64, h int) []float64 {
		level, slope, _ := holt(z, alpha, beta, phi)
		out := make([]float64, h)
		for i := range out {
			slope *= phi
			level += slope
			out[i] = level
		}
		return out
	})
}

func holt(z []float64, alpha, beta, phi float64) (level, slope, cost float64) {
	level = z[0]
	if k := min(len(z)-1, 10); k > 0 {
		slope = (z[k] - z[0]) / float64(k)
	}
	for _, v := range z[1:] {
		slope *= phi
		level += slope
		e := v - level
		cost += math.Abs(e)
		level += alpha * e
		slope += alpha * beta * e
	}
	return level, slope, cost
}

// seasonless returns y[:end] without its seasons, as far as they are known by then.
func seasonless(y []float64, seasons []int, end int) []float64 {
	z := append([]float64(nil), y[:end]...)
	for _, m := range seasons {
		if end < 2*m {
			continue
		}
		p := profile(z, m, end)
		for i := range z {
			z[i] -= p[i%m]
		}
	}
	return z
}

// eachAdjusted takes the seasons out of what is known at each origin, lets next
// forecast, and puts the seasons back.
func eachAdjusted(y []float64, seasons []int, origins []int, h int, next func(z []float64, h int) []float64) [][]float64 {
	var out [][]float64
	for _, origin := range origins {
		z := seasonless(y, seasons, origin)
		f := next(z, h)
		for i := range f {
			if i < len(f) && longest(seasons) > 1 {
				back := origin - longest(seasons) + i%longest(seasons)
				if back >= 0 && back < origin {
					f[i] += y[back] - z[back]
				}
			}
		}
		out = append(out, f)
	}
	return out
}
