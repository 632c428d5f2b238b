package forecast

import (
	"math"
	"slices"
)

// fillLinear returns y with its gaps filled by straight lines, and by the nearest
// value at the ends. At least one value is a number.
func fillLinear(y []float64) []float64 {
	y = slices.Clone(y)
	before := -1
	for i, v := range y {
		if !finite(v) {
			continue
		}
		for j := before + 1; j < i; j++ {
			if before < 0 {
				y[j] = v
				continue
			}
			y[j] = y[before] + (v-y[before])*float64(j-before)/float64(i-before)
		}
		before = i
	}
	for j := before + 1; j < len(y); j++ {
		y[j] = y[before]
	}
	return y
}

// fillGaps returns filled with the course of the season in place of straight lines
// where a gap lasts: the value one season before, moved so that both ends fit.
func fillGaps(raw, filled []float64, seasons []int, unit float64) []float64 {
	if len(seasons) == 0 {
		return filled
	}
	m := seasons[len(seasons)-1]
	for i := 0; i < len(raw); i++ {
		if finite(raw[i]) {
			continue
		}
		end := i
		for end < len(raw) && !finite(raw[end]) {
			end++
		}
		if i >= m && i > 0 {
			from := raw[i-1]/unit - filled[max(0, i-1-m)]
			if !finite(from) || i-1-m < 0 {
				from = 0
			}
			to := from
			if end < len(raw) {
				to = raw[end]/unit - filled[end-m]
			}
			for j := i; j < end; j++ {
				share := float64(j-i+1) / float64(end-i+1)
				filled[j] = filled[j-m] + from + (to-from)*share
			}
		}
		i = end
	}
	return filled
}

// outlierSpreads is how many spreads (scaled median absolute deviations) a value must
// be from its neighbours and its season before it is taken for an error of
// measurement or an incident, and not for how the series is.
// M4's hourly series have many true peaks: 8 costs 8 % of MSIS there.
const outlierSpreads = 16

// tame limits excursions of a few steps to outlierSpreads: what lasts longer is a new
// level and stays.
func tame(y []float64, seasons []int) []float64 {
	const lasting = 4
	n := len(y)
	if n < 12 {
		return y
	}
	season := make([]float64, n)
	for _, m := range seasons {
		p := profile(subtract(y, season), m, n)
		for i := range season {
			season[i] += p[i%m]
		}
	}
	rest := subtract(y, season)
	level := make([]float64, n)
	window := make([]float64, 0, 4*lasting+1)
	for i := range rest {
		window = append(window[:0], rest[max(0, i-2*lasting):min(n, i+2*lasting+1)]...)
		level[i] = median(window)
	}
	off := subtract(rest, level)
	spread := 1.4826 * medianAbs(off)
	if spread == 0 {
		return y // mostly constant: every movement may be what matters
	}
	out := slices.Clone(y)
	// The newest values may be the beginning of a new level: they are left alone.
	for i := 0; i < n-lasting; i++ {
		if limit := outlierSpreads * spread; math.Abs(off[i]) > limit {
			out[i] = season[i] + level[i] + math.Copysign(limit, off[i])
		}
	}
	return out
}

func subtract(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] - b[i]
	}
	return out
}

// median sorts values.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	m := len(values) / 2
	if len(values)%2 == 1 {
		return values[m]
	}
	return (values[m-1] + values[m]) / 2
}

func medianAbs(values []float64) float64 {
	a := make([]float64, len(values))
	for i, v := range values {
		a[i] = math.Abs(v)
	}
	return median(a)
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(max(1, len(values)))
}

// clip returns y within so many spreads of its median.
func clip(y []float64, spreads float64) []float64 {
	mid := median(slices.Clone(y))
	out := make([]float64, len(y))
	for i, v := range y {
		out[i] = v - mid
	}
	limit := spreads * 1.4826 * medianAbs(out)
	if limit == 0 {
		return y
	}
	for i, d := range out {
		out[i] = mid + max(-limit, min(limit, d))
	}
	return out
}
