package forecast

import "slices"

const (
	// maxSeasons bounds how many seasons are modelled: the day and the week.
	maxSeasons = 2
	// maxFreeSeason is the longest season that is looked for besides those of the
	// calendar, in steps: the search costs its square.
	maxFreeSeason = 800
	// leastCorrelation is how alike two cycles must be. M4's Naive2 takes 1.645/√n,
	// which in long series takes chance for a season.
	leastCorrelation = 0.3
	// moreCorrelation is how alike the longer cycles must be once the shorter season
	// is taken out.
	moreCorrelation = 0.15
)

// findSeasons returns the lengths of at most maxSeasons seasons in steps, shortest
// first. Those of the calendar (hour, day, week) are tried first, and if there is none,
// any other that the autocorrelation shows.
func findSeasons(y []float64, stepMs int64) []int {
	const hour = 3600_000
	var found []int
	y = clip(y, 5) // one huge value would hide every season
	rest := y
	for _, long := range []int64{hour, 24 * hour, 7 * 24 * hour} {
		m := int(long / stepMs)
		if long%stepMs != 0 || m < 4 || len(y) < 2*m+m/2 || len(found) == maxSeasons {
			continue
		}
		least := leastCorrelation
		if len(found) > 0 {
			least = moreCorrelation
		}
		if cycles(rest, m) < least {
			continue
		}
		found = append(found, m)
		rest = adjusted(rest, m)
	}
	if len(found) > 0 {
		return found
	}
	if m := free(y); m > 0 {
		found = append(found, m)
	}
	return found
}

// adjusted returns y without the season of length m.
func adjusted(y []float64, m int) []float64 {
	p := profile(y, m, len(y))
	out := make([]float64, len(y))
	for i, v := range y {
		out[i] = v - p[i%m]
	}
	return out
}

// cycles returns the correlation of y with itself one cycle before, its level taken
// out. Ranges are limited, so that one incident decides nothing.
func cycles(y []float64, m int) float64 {
	return correlation(level(y, m), m)
}

// level returns y without its centred moving mean over m steps, limited to four
// spreads.
func level(y []float64, m int) []float64 {
	trend := movingMean(y, m)
	d := subtract(y, trend)
	limit := 4 * 1.4826 * medianAbs(d)
	if limit == 0 {
		return d
	}
	for i := range d {
		d[i] = max(-limit, min(limit, d[i]))
	}
	return d
}

func correlation(d []float64, lag int) float64 {
	var both, all float64
	mid := mean(d)
	for i := range d {
		all += (d[i] - mid) * (d[i] - mid)
		if i >= lag {
			both += (d[i] - mid) * (d[i-lag] - mid)
		}
	}
	if all <= 0 {
		return 0
	}
	// Fewer products than squares: without this a short series has no season.
	return both / all * float64(len(d)) / float64(len(d)-lag)
}

// free looks for a season of any length: the highest local maximum of the
// autocorrelation of the newest values, 0 if there is none.
func free(y []float64) int {
	y = y[max(0, len(y)-4*maxFreeSeason):]
	longest := min(maxFreeSeason, len(y)*2/5)
	if longest < 4 {
		return 0
	}
	d := level(y, longest)
	r := make([]float64, longest+2)
	for lag := 1; lag < len(r); lag++ {
		r[lag] = correlation(d, lag)
	}
	best, at := leastCorrelation, 0
	fallen := false // a smooth series is like itself a step before: that is no season
	for lag := 2; lag <= longest; lag++ {
		fallen = fallen || r[lag] < 0.1
		// A multiple of the season is about as like: the shortest wins.
		if fallen && r[lag] > best*1.05 && r[lag] >= r[lag-1] && r[lag] >= r[lag+1] {
			best, at = r[lag], lag
		}
	}
	if at > 0 && cycles(y, at) < leastCorrelation {
		return 0
	}
	return at
}

// movingMean returns the centred mean over m steps; at the ends over what there is.
func movingMean(y []float64, m int) []float64 {
	sums := make([]float64, len(y)+1)
	for i, v := range y {
		sums[i+1] = sums[i] + v
	}
	out := make([]float64, len(y))
	for i := range y {
		from, to := i-m/2, i+(m+1)/2
		if from < 0 { // whole cycles at the ends, or the season leaks into the level
			from, to = 0, min(m, len(y))
		}
		if to > len(y) {
			from, to = max(0, len(y)-m), len(y)
		}
		out[i] = (sums[to] - sums[from]) / float64(to-from)
	}
	return out
}

// profile returns the usual deviation from the level at each of m positions of a
// season, looking at y[:end] only: the median of the newest cycles, its mean 0.
func profile(y []float64, m, end int) []float64 {
	const cyclesUsed = 9
	y = y[:end]
	d := subtract(y, movingMean(y, m))
	out := make([]float64, m)
	values := make([]float64, 0, cyclesUsed)
	for j := range out {
		values = values[:0]
		for i := end - 1 - mod(end-1-j, m); i >= 0 && len(values) < cyclesUsed; i -= m {
			values = append(values, d[i])
		}
		out[j] = trimmed(values)
	}
	mid := mean(out)
	for j := range out {
		out[j] -= mid
	}
	return out
}

// trimmed returns the mean of values without the lowest and the highest of them when
// there are at least five: nearly as robust as the median and less rough.
func trimmed(values []float64) float64 {
	if len(values) >= 5 {
		slices.Sort(values)
		values = values[1 : len(values)-1]
	}
	return mean(values)
}

func mod(a, m int) int {
	if a %= m; a < 0 {
		a += m
	}
	return a
}

// longest returns the length of the longest season, 1 if there is none.
func longest(seasons []int) int {
	if len(seasons) == 0 {
		return 1
	}
	return seasons[len(seasons)-1]
}
