package app

import (
	"math"
	"slices"
)

// lineWindows are the latest minutes over which a straight course is looked for, the shortest first: a forecast that knows four hours of
// rest believes in a rise only after an hour of it.
var lineWindows = [...]int{15, 30, 60}

// lineSteady is by how many times the spread around it a line must rise over its window to be one.
const lineSteady = 6

// lineTo returns after how many steps from the last value a limit is met by the straight course of the latest values, at the
// earliest and at the latest, which are by the quartiles of the slopes. The slope is the median of those between any two values
// (Theil, Proc. Kon. Ned. Akad. v. Wetensch. 53, 1950; Sen, J. Amer. Statist. Assoc. 63, 1968). ok is false where there is no such
// course. All are 0 where it leads away from the limit, latest also where it is not foreseen.
func lineTo(values []float64, limit float64) (at, earliest, latest float64, ok bool) {
	for _, window := range lineWindows {
		if len(values) < window {
			return 0, 0, 0, false
		}
		v := values[len(values)-window:]
		low, slope, high, spread := slopes(v)
		if math.IsNaN(slope) || math.Abs(slope)*float64(window) <= lineSteady*spread || slope == 0 {
			continue
		}
		last := median(slices.Clone(v[window-3:]))
		left := limit - last
		if math.IsNaN(left) {
			return 0, 0, 0, false
		}
		if left*slope <= 0 {
			return 0, 0, 0, true
		}
		if slope < 0 {
			low, high = high, low
		}
		at, earliest = left/slope, left/high
		if low*slope > 0 {
			latest = left / low
		}
		return at, earliest, latest, true
	}
	return 0, 0, 0, false
}

// slopes returns the quartiles of the slopes between any two values, and the median distance of values from the median slope's line.
// Values that are NaN are left out.
func slopes(v []float64) (low, mid, high, spread float64) {
	var all []float64
	for i := range v {
		for j := i + 1; j < len(v); j++ {
			if s := (v[j] - v[i]) / float64(j-i); !math.IsNaN(s) && !math.IsInf(s, 0) {
				all = append(all, s)
			}
		}
	}
	if len(all) < len(v) {
		return math.NaN(), math.NaN(), math.NaN(), 0
	}
	slices.Sort(all)
	low, mid, high = all[len(all)/4], all[len(all)/2], all[3*len(all)/4]
	var rest []float64
	for i, x := range v {
		if !math.IsNaN(x) {
			rest = append(rest, x-mid*float64(i))
		}
	}
	level := median(slices.Clone(rest))
	for i := range rest {
		rest[i] = math.Abs(rest[i] - level)
	}
	return low, mid, high, median(rest)
}

// median sorts v.
func median(v []float64) float64 {
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
