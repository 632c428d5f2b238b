package analyze

import (
	"math"
	"slices"
)

// prepared is a series as the finders see it.
type prepared struct {
	labels map[string]string
	rate   bool
	t      []int64
	v      []float64
	usual  []float64 // what the same time on other days showed; nil if there are too few days or it says nothing
	flat   []float64 // v without the course of the day
	step   int64     // ms, the median
}

// maxValues is how many of the newest values of a series are looked at: two weeks of
// minutes. The finders sort, some of them dozens of times.
const maxValues = 20_160

func prepare(s Series) *prepared {
	p := &prepared{labels: s.Labels, rate: s.Counter, t: s.T, v: s.V}
	if n := len(s.T) - maxValues; n > 0 {
		p.t, p.v = s.T[n:], s.V[n:]
	}
	if s.Counter {
		p.t, p.v = rates(p.t, p.v)
	}
	p.step = medianStep(p.t)
	p.flat = p.v
	if p.usual = usualOfDay(p.t, p.v, p.step); p.usual != nil {
		mid := median(slices.Clone(p.v))
		p.flat = make([]float64, len(p.v))
		for i := range p.v {
			p.flat[i] = p.v[i] - p.usual[i] + mid
		}
	}
	return p
}

// rates turns a counter into its increase per second. One that fell was reset and has
// counted up from zero since, as Prometheus assumes.
func rates(t []int64, v []float64) ([]int64, []float64) {
	if len(t) < 2 {
		return nil, nil
	}
	outT, outV := make([]int64, 0, len(t)-1), make([]float64, 0, len(t)-1)
	for i := 1; i < len(t); i++ {
		growth := v[i] - v[i-1]
		if growth < 0 {
			growth = v[i]
		}
		if r := growth * 1000 / float64(t[i]-t[i-1]); !math.IsInf(r, 0) {
			outT, outV = append(outT, t[i]), append(outV, r)
		}
	}
	return outT, outV
}

func medianStep(t []int64) int64 {
	if len(t) < 2 {
		return 1
	}
	d := make([]int64, len(t)-1)
	for i := range d {
		d[i] = t[i+1] - t[i]
	}
	slices.Sort(d)
	return max(1, d[len(d)/2])
}

const (
	dayMs = 24 * 3600 * 1000
	// minDays is how many other days a usual value needs.
	minDays = 2
	// maxSlot is how many values the same time of the day may have.
	maxSlot = 400
	// dayExplains is the part of the spread that the course of the day must take
	// away to be believed.
	dayExplains = 0.3
)

// usualOfDay returns the median of what the same time showed on the other days, nil when
// there are too few days or the day explains too little.
func usualOfDay(t []int64, v []float64, step int64) []float64 {
	if len(t) < 3 || t[len(t)-1]-t[0] < minDays*dayMs || step > dayMs/4 {
		return nil
	}
	slots := map[int64][]int{}
	for i, at := range t {
		if slots[at%dayMs/step] = append(slots[at%dayMs/step], i); len(slots[at%dayMs/step]) > maxSlot {
			return nil // crowded by uneven times: no day to compare with, and a cost that grows with its square
		}
	}
	out, rest, raw := make([]float64, len(v)), make([]float64, len(v)), make([]float64, len(v))
	mid := median(slices.Clone(v))
	var others []float64
	for i, at := range t {
		others = others[:0]
		for _, j := range slots[at%dayMs/step] {
			if j != i {
				others = append(others, v[j])
			}
		}
		if len(others) < minDays {
			return nil
		}
		out[i] = median(others)
		rest[i], raw[i] = v[i]-out[i], v[i]-mid
	}
	if spreadOf(rest) > (1-dayExplains)*spreadOf(raw) {
		return nil
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
	return values[m-1]/2 + values[m]/2
}

// spreadOf returns the scaled median distance of deviations from 0.
func spreadOf(d []float64) float64 {
	a := make([]float64, len(d))
	for i, v := range d {
		a[i] = math.Abs(v)
	}
	return 1.4826 * median(a)
}

// quantile returns the value below which the share q of |d| lies.
func quantile(d []float64, q float64) float64 {
	if len(d) == 0 {
		return 0
	}
	a := make([]float64, len(d))
	for i, v := range d {
		a[i] = math.Abs(v)
	}
	slices.Sort(a)
	return a[min(len(a)-1, int(q*float64(len(a))))]
}

// constantMoved is the highest score of a series that was constant before: there is no
// spread to measure the change by.
const constantMoved = 3

// score returns how far a change is beyond the limits: 1 is just at one of them, and both
// must be passed.
func (l limits) score(change, spread, expected float64) float64 {
	if change == 0 {
		return 0
	}
	change = math.Abs(change)
	s := float64(constantMoved)
	if spread > 1e-9*math.Abs(expected) {
		s = change / (l.spreads * spread)
	}
	if expected != 0 {
		s = min(s, change/(l.share*math.Abs(expected)))
	}
	return min(100, s)
}
