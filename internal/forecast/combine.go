package forecast

import (
	"math"
	"slices"
)

// model forecasts h steps from each of the ascending origins (the number of values
// known then), the last of which is len(y).
type model interface {
	run(y []float64, origins []int, h int) [][]float64
}

const (
	// maxOrigins is at how many earlier times the models are judged.
	maxOrigins = 24
	// sharpness is the power of a model's error in its weight, and worst how many times
	// the error of the best model bars another from the mean. On M4's hourly series
	// (half of them, OWA): 2 and 2.0 .416, 4 and 1.6 .422, 8 and 1.6 .428, 4 and 1.3
	// .429: a mean of many beats a choice of few.
	sharpness = 2
	worst     = 2.0
)

// models returns those that a series can have.
func models(seasons []int, positive bool) []model {
	all := []model{naive{longest(seasons)}, theta{seasons}, damped{seasons}, line{seasons}, smoothing{seasons: seasons}, lags{seasons: seasons}}
	if positive {
		all = append(all, smoothing{seasons, true}, lags{seasons, true})
	}
	if len(seasons) > 1 {
		all = append(all, naive{seasons[0]}, smoothing{seasons: seasons[:1]})
	}
	return all
}

// combine returns the forecast and its interval.
func combine(y []float64, seasons []int, o Options, nonNegative bool) (mid, low, high []float64) {
	n := len(y)
	if slices.Min(y) == slices.Max(y) {
		mid = make([]float64, o.Horizon)
		for i := range mid {
			mid[i] = y[0]
		}
		return mid, mid, mid
	}
	origins, judged := rollingOrigins(n, o.Horizon, seasons)
	all := models(seasons, slices.Min(y) > 0)
	runs := make([][][]float64, len(all))
	errs := make([]float64, len(all))
	for i, m := range all {
		runs[i] = m.run(y, append(slices.Clone(origins), n), o.Horizon)
		errs[i] = score(y, origins, runs[i], judged)
	}
	weights := weigh(errs)
	mixed := make([][]float64, len(origins)+1)
	for k := range mixed {
		mixed[k] = make([]float64, o.Horizon)
		for i, w := range weights {
			if w == 0 {
				continue
			}
			for s, v := range runs[i][k] {
				mixed[k][s] += w * v
			}
		}
		if nonNegative {
			for s, v := range mixed[k] {
				mixed[k][s] = max(0, v)
			}
		}
	}
	mid = mixed[len(origins)]
	half := widths(y, origins, mixed, judged, o)
	low, high = make([]float64, o.Horizon), make([]float64, o.Horizon)
	for i, v := range mid {
		low[i], high[i] = v-half[i], v+half[i]
		if nonNegative {
			low[i] = max(0, low[i])
		}
	}
	return mid, low, high
}

// rollingOrigins returns the earlier times from which the models forecast, ascending,
// and how many steps of those forecasts can be judged. They lie whole cycles before
// the end, so that each horizon is judged at the hour of the day that it has now.
func rollingOrigins(n, h int, seasons []int) (origins []int, judged int) {
	judged = max(1, min(h, n/3))
	least := max(MinPoints-1, n/3)
	if m := longest(seasons); 2*m+m/8 < n-judged {
		least = max(min(n/2, 3*m), 2*m+m/8)
	}
	room := n - judged - least
	if room < 0 {
		least, room = n-judged, 0
	}
	stride := 1
	if len(seasons) > 0 {
		stride = seasons[0]
	}
	if room/stride < 6 {
		stride = max(1, room/12)
	}
	stride *= max(1, (room/stride+maxOrigins-1)/maxOrigins)
	for at := n - judged; at >= least; at -= stride {
		origins = append(origins, at)
	}
	slices.Reverse(origins)
	return origins, judged
}

// score returns the mean error of a model's forecasts, those of later origins
// counting more.
func score(y []float64, origins []int, run [][]float64, judged int) float64 {
	sum, weight := 0.0, 0.0
	for k, origin := range origins {
		w := math.Pow(0.95, float64(len(origins)-1-k))
		for s := range judged {
			if origin+s >= len(y) {
				break
			}
			sum += w * math.Abs(y[origin+s]-run[k][s])
			weight += w
		}
	}
	return sum / weight
}

func weigh(errs []float64) []float64 {
	best := slices.Min(errs)
	out := make([]float64, len(errs))
	sum := 0.0
	for i, e := range errs {
		switch {
		case e > worst*best || math.IsNaN(e):
			continue
		case best == 0:
			out[i] = 1
		default:
			out[i] = math.Pow(best/e, sharpness)
		}
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

// widths returns half the width of the interval at each step: the quantile of the errors
// made as far ahead at earlier times (as split conformal prediction takes it: Stankevičiūtė,
// Alaa, van der Schaar, NeurIPS 2021), averaged with what normal errors of the same
// mean square would give, which is less rough where there are few.
func widths(y []float64, origins []int, mixed [][]float64, judged int, o Options) []float64 {
	const near = 2 // steps to either side whose errors count too
	z := math.Sqrt2 * math.Erfinv(o.Level)
	out := make([]float64, o.Horizon)
	errs := make([]float64, 0, len(origins)*(2*near+1))
	for s := range judged {
		errs = errs[:0]
		squares := 0.0
		for k, origin := range origins {
			for at := max(0, s-near); at <= min(judged-1, s+near); at++ {
				e := math.Abs(y[origin+at] - mixed[k][at])
				errs = append(errs, e)
				squares += e * e
			}
		}
		slices.Sort(errs)
		normal := z * math.Sqrt(squares/float64(len(errs)))
		rank := min(len(errs)-1, int(math.Ceil(o.Level*float64(len(errs)+1)))-1)
		few := 1 + 2/float64(len(origins)) // what Student's t has over the normal
		out[s] = few * (errs[rank] + normal) / 2
	}
	for s := judged; s < o.Horizon; s++ { // as a random walk would, beyond what could be judged
		out[s] = out[judged-1] * math.Sqrt(float64(s+1)/float64(judged))
	}
	return out
}
