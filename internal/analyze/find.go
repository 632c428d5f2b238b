package analyze

import "math"

// spike finds at most maxSpike values that leave their neighbours and come back (or
// end the series), several times as far as all but the two next largest.
func spike(p *prepared, l limits) (hit, bool) {
	const around, maxSpike = 8, 3
	n := len(p.flat)
	d, level := make([]float64, n), make([]float64, n)
	window := make([]float64, 0, 2*around)
	for i := range p.flat {
		window = append(window[:0], p.flat[max(0, i-around):i]...)
		window = append(window, p.flat[i+1:min(n, i+1+around)]...)
		level[i] = median(window)
		d[i] = p.flat[i] - level[i]
	}
	spread := max(spreadOf(d), quantile(d, 0.97)/3)
	var best hit
	for i := 0; i < n; {
		if l.score(d[i], spread, level[i]) <= 1 {
			i++
			continue
		}
		end, top := i, i
		for ; end < n && d[end]*d[i] > 0 && l.score(d[end], spread, level[end]) > 0.5; end++ {
			if math.Abs(d[end]) > math.Abs(d[top]) {
				top = end
			}
		}
		end = max(end, i+1)
		s := l.score(d[top], spread, level[top])
		if third := thirdLargest(d, i, end); third > 0 {
			s = min(s, math.Abs(d[top])/(l.steeper*third))
		}
		if d[top] > 0 && s > best.score {
			s = min(s, inLogs(p.flat, p.flat[top], level[top])/(shiftSpreads*l.spreads))
		}
		if end-i <= maxSpike && s > best.score {
			best = hit{score: s, since: p.t[i], observed: p.v[top], expected: p.v[top] - d[top]}
		}
		i = end
	}
	return best, best.score > 1
}

// inLogs returns how many spreads of the logarithms lie between x and level: a series
// whose values differ by factors now and then has no spikes by such a factor. Infinite
// where there are no logarithms or they do not differ.
func inLogs(v []float64, x, level float64) float64 {
	logs := make([]float64, len(v))
	for i, y := range v {
		if y <= 0 {
			return math.Inf(1)
		}
		logs[i] = math.Log(y)
	}
	spread := spreadFrom(logs, median(append([]float64(nil), logs...)))
	if spread == 0 || level <= 0 {
		return math.Inf(1)
	}
	return math.Log(x/level) / spread
}

// thirdLargest returns the third largest |d| outside from..to.
func thirdLargest(d []float64, from, to int) float64 {
	var top [3]float64
	for i, v := range d {
		if i >= from && i < to {
			continue
		}
		for k, v := 0, math.Abs(v); k < len(top); k++ {
			if v > top[k] {
				top[k], v = v, top[k]
			}
		}
	}
	return top[2]
}

// levelShift finds the one step that splits the series best and lasts to its end: by
// the largest difference of means that a split in two gives (binary segmentation's
// first step; Scott and Knott, Biometrics 30, 1974), judged by medians. A drift is no
// step: most of the difference must lie at the split.
func levelShift(p *prepared, l limits) (hit, bool) {
	n := len(p.flat)
	least := max(5, n/40)
	if n < 3*least {
		return hit{}, false
	}
	mid := median(append([]float64(nil), p.flat...))
	room := 10 * max(spreadFrom(p.flat, mid), quantile(shifted(p.flat, mid), 0.9)/3)
	sums := make([]float64, n+1)
	for i, v := range p.flat {
		sums[i+1] = sums[i] + max(-room, min(room, v-mid))
	}
	at, most := 0, 0.0
	for k := 2 * least; k <= n-least; k++ {
		before, after := sums[k]/float64(k), (sums[n]-sums[k])/float64(n-k)
		if d := math.Abs(after-before) * math.Sqrt(float64(k)*float64(n-k)); d > most {
			at, most = k, d
		}
	}
	if at == 0 {
		return hit{}, false
	}
	before, after := mediansAround(p.flat, at, n)
	nearBefore, nearAfter := mediansAround(p.flat[max(0, at-least):], min(at, least), min(n, at+least)-max(0, at-least))
	change := after - before
	if (nearAfter-nearBefore)/change < 0.6 {
		return hit{}, false
	}
	rest := append(shifted(p.flat[:at], before), shifted(p.flat[at:], after)...)
	s := l.score(change, max(spreadOf(rest), quantile(rest, 0.9)/3)*shiftSpreads, expectedAt(p, n-1, before))
	return hit{score: s, since: p.t[at], observed: p.v[n-1], expected: expectedAt(p, n-1, before)}, s > 1
}

// shiftSpreads is how much less of a step is needed than of one value: many values
// agree on it.
const shiftSpreads = 0.6

// expectedAt returns what level of the flat series means at i, the course of the day
// put back.
func expectedAt(p *prepared, i int, level float64) float64 { return level + p.v[i] - p.flat[i] }

func mediansAround(v []float64, at, end int) (before, after float64) {
	return median(append([]float64(nil), v[:at]...)), median(append([]float64(nil), v[at:end]...))
}

func shifted(v []float64, by float64) []float64 {
	out := make([]float64, len(v))
	for i := range v {
		out[i] = v[i] - by
	}
	return out
}

func spreadFrom(v []float64, mid float64) float64 { return spreadOf(shifted(v, mid)) }

// seasonal finds newest values that are not what this time of the day usually shows.
func seasonal(p *prepared, l limits) (hit, bool) {
	const newest = 3
	n := len(p.v)
	if p.usual == nil {
		return hit{}, false
	}
	d := make([]float64, n)
	for i := range d {
		d[i] = p.v[i] - p.usual[i]
	}
	spread := max(spreadOf(d), quantile(d, 0.9)/3)
	change := median(append([]float64(nil), d[n-newest:]...))
	s := l.score(change, spread, p.usual[n-1])
	from, missed := n-1, 0
	for i := n - 1; i >= 0 && missed < 2; i-- {
		if d[i]*change > 0 && l.score(d[i], spread, p.usual[i]) > 0.7 {
			from, missed = i, 0
		} else {
			missed++
		}
	}
	return hit{score: s, since: p.t[from], observed: p.v[n-1], expected: p.usual[n-1]}, s > 1
}
