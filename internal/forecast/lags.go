package forecast

import (
	"math"
	"slices"
)

// lags is an autoregression: the difference to one season before, regressed on values
// of the last steps and around one to a few seasons before, with a ridge that pulls
// towards the seasonal naive forecast (Hoerl and Kennard, Technometrics 12, 1970).
// Several steps ahead are forecast one by one.
//
// The sums behind the regression grow along the series, so that a fit at each origin,
// of what came before it alone, costs one small system of equations.
type lags struct {
	seasons []int
	logs    bool
}

// ridge is the penalty a value, on values divided by their spread.
const ridge = 0.002

func (l lags) run(y []float64, origins []int, h int) [][]float64 {
	if l.logs {
		return inLogs(y, origins, h, lags{seasons: l.seasons}.run)
	}
	offsets := l.offsets(origins[0])
	m := min(longest(l.seasons), offsets[len(offsets)-1])
	mid, spread := mean(y[:origins[0]]), deviation(y[:origins[0]])
	z := make([]float64, len(y))
	for i, v := range y {
		z[i] = (v - mid) / spread
	}
	most := offsets[len(offsets)-1]
	p := len(offsets) + 1
	gram, right := make([]float64, p*p), make([]float64, p)
	x := make([]float64, p)
	row := func(z []float64, t int) {
		x[0] = 1
		for j, o := range offsets {
			x[j+1] = z[t-o]
		}
	}
	var out [][]float64
	t := most
	for _, origin := range origins {
		for ; t < origin; t++ {
			row(z, t)
			target := z[t] - z[t-m]
			for i, a := range x {
				right[i] += a * target
				for j := 0; j <= i; j++ {
					gram[i*p+j] += a * x[j]
				}
			}
		}
		beta := solve(gram, right, ridge*float64(max(1, t-most))+0.1)
		out = append(out, l.ahead(z[:origin], h, m, beta, func(z []float64, t int) []float64 { row(z, t); return x }, mid, spread))
	}
	return out
}

// offsets returns how far back the regression looks, ascending, so that n values give
// at least twice as many rows as there are offsets.
func (l lags) offsets(n int) []int {
	seen := map[int]bool{}
	var out []int
	add := func(o int) {
		if o >= 1 && o <= n/2 && !seen[o] {
			seen[o] = true
			out = append(out, o)
		}
	}
	for o := 1; o <= 3; o++ {
		add(o)
	}
	for k, m := range l.seasons {
		most := 3
		if k+1 < len(l.seasons) {
			most = min(6, l.seasons[k+1]/m-1) // up to the next longer season
		}
		if k == len(l.seasons)-1 && len(l.seasons) > 1 {
			most = 2
		}
		for c := 1; c <= most; c++ {
			for near := -1; near <= 1; near++ {
				add(c*m + near)
			}
		}
	}
	slices.Sort(out)
	for len(out) > 1 && 3*len(out) > n-out[len(out)-1] {
		out = out[:len(out)-1]
	}
	return out
}

func (l lags) ahead(z []float64, h, m int, beta []float64, row func([]float64, int) []float64, mid, spread float64) []float64 {
	lowest, highest := z[0], z[0]
	for _, v := range z {
		lowest, highest = min(lowest, v), max(highest, v)
	}
	room := highest - lowest // an autoregression can explode: it stays near what was seen
	path := append(make([]float64, 0, len(z)+h), z...)
	for range h {
		t := len(path)
		v := path[t-m]
		for i, a := range row(path[:t], t) {
			v += beta[i] * a
		}
		path = append(path, max(lowest-room, min(highest+room, v)))
	}
	out := path[len(z):]
	for i := range out {
		out[i] = out[i]*spread + mid
	}
	return out
}

// deviation returns the standard deviation, above 0.
func deviation(y []float64) float64 {
	mid, sum := mean(y), 0.0
	for _, v := range y {
		sum += (v - mid) * (v - mid)
	}
	if s := math.Sqrt(sum / float64(len(y))); s > 1e-9*math.Abs(mid) && s > 0 {
		return s
	}
	return 1
}

// solve solves (gram + penalty·I)·b = right by Cholesky's decomposition; gram is
// symmetric and its lower half is read. The constant (row 0) is not penalised but for
// a trifle that keeps the system solvable.
func solve(gram, right []float64, penalty float64) []float64 {
	p := len(right)
	l := append([]float64(nil), gram...)
	b := append([]float64(nil), right...)
	for i := range p {
		if i == 0 {
			l[0] += 1e-6 + penalty*1e-3
		} else {
			l[i*p+i] += penalty
		}
	}
	for i := range p {
		for j := 0; j <= i; j++ {
			sum := l[i*p+j]
			for k := range j {
				sum -= l[i*p+k] * l[j*p+k]
			}
			if i == j {
				l[i*p+i] = math.Sqrt(max(sum, 1e-12))
			} else {
				l[i*p+j] = sum / l[j*p+j]
			}
		}
		for k := range i {
			b[i] -= l[i*p+k] * b[k]
		}
		b[i] /= l[i*p+i]
	}
	for i := p - 1; i >= 0; i-- {
		for k := i + 1; k < p; k++ {
			b[i] -= l[k*p+i] * b[k]
		}
		b[i] /= l[i*p+i]
	}
	return b
}
