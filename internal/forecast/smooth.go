package forecast

import "math"

// smoothing is exponential smoothing with up to two seasons and first-order
// autocorrelated errors, in error-correction form without a trend:
//
//	ŷ(t)   = l(t-1) + d(t-m₁) + w(t-m₂) + φ·e(t-1)
//	e(t)   = y(t) - l(t-1) - d(t-m₁) - w(t-m₂),   ε(t) = y(t) - ŷ(t)
//	l(t)   = l(t-1) + α·ε(t),  d(t) = d(t-m₁) + δ·ε(t),  w(t) = w(t-m₂) + ω·ε(t)
//
// (Taylor, "Triple seasonal methods for short-term electricity demand forecasting",
// European J. of Operational Research 204, 2010; his HWT method.) Its four
// parameters are those with the least errors one step ahead over the whole series;
// large errors count linearly (Huber), so that an incident does not choose them.
type smoothing struct {
	seasons []int
	logs    bool // of the logarithm: seasons and errors are then shares of the level
}

// smoothingParameters are α, φ, δ and ω.
type smoothingParameters [4]float64

func (s smoothing) run(y []float64, origins []int, h int) [][]float64 {
	if s.logs {
		return inLogs(y, origins, h, smoothing{seasons: s.seasons}.run)
	}
	first := origins[0]
	fit := func(x []float64) float64 {
		cost, _ := s.pass(y, first, parametersOf(x), nil, 0)
		return cost
	}
	best := minimise(fit, [][]float64{{-2.5, 2, -1.5, -1.5}, {-0.5, 0, -2.5, -2.5}}, 90)
	_, out := s.pass(y, first, parametersOf(best), origins, h)
	return out
}

// parametersOf maps any four numbers into (0, 1).
func parametersOf(x []float64) (p smoothingParameters) {
	for i := range p {
		p[i] = 1 / (1 + math.Exp(-x[i]))
	}
	p[1] *= 0.995
	return p
}

// pass runs over y once. It returns the cost of the errors, and a forecast from each
// of the ascending origins. The states begin with the mean of what comes before
// first; its own errors then count little.
func (s smoothing) pass(y []float64, first int, p smoothingParameters, origins []int, h int) (cost float64, out [][]float64) {
	level, states := s.begin(y, first)
	spread := stepSpread(y, longest(s.seasons))
	e, at, n := 0.0, 0, 0
	warm := min(2*longest(s.seasons), len(y)/2)
	var base [2]float64
	for t := 0; ; t++ {
		for at < len(origins) && origins[at] == t {
			out = append(out, s.ahead(t, h, level, p[1]*e, p[1], states))
			at++
		}
		if t == len(y) {
			break
		}
		for k, m := range s.seasons {
			base[k] = states[k][t%m]
		}
		plain := y[t] - level - base[0] - base[1]
		eps := plain - p[1]*e
		e = plain
		if t >= warm {
			a := math.Abs(eps) / spread
			cost += min(a*a, 6*a-9)
			n++
		}
		// An error beyond ten spreads moves the states as ten spreads do: a step is
		// followed in a few values all the same.
		c := max(-10*spread, min(10*spread, eps))
		level += p[0] * c
		for k, m := range s.seasons {
			states[k][t%m] += p[2+k] * c //nolint:gosec // p has two values and one for each season
		}
	}
	return cost / float64(max(1, n)), out
}

// begin returns the first level and the first course of each season.
func (s smoothing) begin(y []float64, first int) (level float64, states [][]float64) {
	first = max(1, min(first, 3*longest(s.seasons)))
	if len(s.seasons) == 0 {
		first = min(first, 5)
	}
	rest := y[:first]
	for _, m := range s.seasons {
		if m > len(rest) {
			states = append(states, make([]float64, m))
			continue
		}
		p := profile(rest, m, len(rest))
		states = append(states, p)
		next := make([]float64, len(rest))
		for i, v := range rest {
			next[i] = v - p[i%m]
		}
		rest = next
	}
	return mean(rest[:min(len(rest), max(5, longest(s.seasons)))]), states
}

func (s smoothing) ahead(t, h int, level, miss, phi float64, states [][]float64) []float64 {
	out := make([]float64, h)
	for i := range out {
		out[i] = level + miss
		miss *= phi
		for k, m := range s.seasons {
			out[i] += states[k][(t+i)%m]
		}
	}
	return out
}

// stepSpread returns the usual change from one cycle to the next, above 0.
func stepSpread(y []float64, m int) float64 {
	if len(y) <= m {
		m = 1
	}
	d := make([]float64, 0, len(y))
	var sum float64
	for i := m; i < len(y); i++ {
		d = append(d, y[i]-y[i-m])
		sum += math.Abs(y[i] - y[i-m])
	}
	if s := medianAbs(d); s > 0 {
		return s
	}
	if sum > 0 {
		return sum / float64(len(d))
	}
	return 1
}

// inLogs runs a model on the logarithm of y, which is above 0.
func inLogs(y []float64, origins []int, h int, run func([]float64, []int, int) [][]float64) [][]float64 {
	logs := make([]float64, len(y))
	lowest, highest := math.Inf(1), math.Inf(-1)
	for i, v := range y {
		logs[i] = math.Log(v)
		lowest, highest = min(lowest, logs[i]), max(highest, logs[i])
	}
	out := run(logs, origins, h)
	// A slope of logarithms explodes: nothing leaves the range seen by more than itself.
	room := highest - lowest
	for _, f := range out {
		for i, v := range f {
			f[i] = math.Exp(max(lowest-room, min(highest+room, v)))
		}
	}
	return out
}

// minimise returns the best point that Nelder and Mead's simplex finds from each of the
// starts ("A simplex method for function minimization", Computer J. 7, 1965) in so
// many steps. NaN counts as the worst.
func minimise(f func([]float64) float64, starts [][]float64, steps int) []float64 {
	var best []float64
	least := math.Inf(1)
	for _, start := range starts {
		x, v := simplex(f, start, steps)
		if best == nil || v < least {
			best, least = x, v
		}
	}
	return best
}

func simplex(f func([]float64) float64, start []float64, steps int) ([]float64, float64) {
	n := len(start)
	xs := make([][]float64, n+1)
	vs := make([]float64, n+1)
	value := func(x []float64) float64 {
		if v := f(x); !math.IsNaN(v) {
			return v
		}
		return math.Inf(1)
	}
	for i := range xs {
		xs[i] = append([]float64(nil), start...)
		if i > 0 {
			xs[i][i-1]++
		}
		vs[i] = value(xs[i])
	}
	mixed := func(centre, x []float64, by float64) []float64 {
		out := make([]float64, n)
		for j := range out {
			// Within ±8: beyond, 1/(1+exp) does not change any more.
			out[j] = max(-8, min(8, centre[j]+by*(x[j]-centre[j])))
		}
		return out
	}
	for range steps {
		lo, hi, next := 0, 0, -1
		for i, v := range vs {
			if v < vs[lo] {
				lo = i
			}
			if v > vs[hi] {
				hi = i
			}
		}
		for i, v := range vs {
			if i != hi && (next < 0 || v > vs[next]) {
				next = i
			}
		}
		if vs[hi]-vs[lo] <= 1e-7*math.Abs(vs[lo]) {
			break
		}
		centre := make([]float64, n)
		for i, x := range xs {
			if i == hi {
				continue
			}
			for j := range x {
				centre[j] += x[j] / float64(n)
			}
		}
		x := mixed(centre, xs[hi], -1)
		v := value(x)
		switch {
		case v < vs[lo]:
			if far := mixed(centre, xs[hi], -2); value(far) < v {
				x, v = far, value(far)
			}
		case v >= vs[next]:
			x = mixed(centre, xs[hi], 0.5)
			v = value(x)
		}
		if v < vs[hi] {
			xs[hi], vs[hi] = x, v
			continue
		}
		for i := range xs {
			if i != lo {
				xs[i] = mixed(xs[lo], xs[i], 0.5)
				vs[i] = value(xs[i])
			}
		}
	}
	lo := 0
	for i, v := range vs {
		if v < vs[lo] {
			lo = i
		}
	}
	return xs[lo], vs[lo]
}
