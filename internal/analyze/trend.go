package analyze

import "math"

// trend finds a rise or fall at the end of the series, steeper than what came before
// and steeper than the history ever was over the same time. The window that shows it
// best tells since when.
func trend(p *prepared, l limits) (hit, bool) {
	const least = 8
	n := len(p.flat)
	smooth := smoothed(p.flat)
	var best hit
	for w := least; w <= n/2; w += max(1, w/6) {
		before := p.flat[:n-w]
		if len(before) < max(least, w/2) {
			break
		}
		slope := slopeOf(p.flat[n-w:])
		earlier := before[max(0, len(before)-3*w):]
		usual := slopeOf(earlier)
		if math.Signbit(usual) != math.Signbit(slope) {
			usual = 0 // a fall before makes a rise no larger
		}
		rise := (slope - usual) * float64(w-1)
		if rise == 0 || math.Signbit(rise) != math.Signbit(slope) || !straight(p.flat[n-w:], slope) {
			continue
		}
		from := median(append([]float64(nil), before[len(before)-min(len(before), 5):]...))
		expected := expectedAt(p, n-1, from+usual*float64(w))
		spread := max(lineSpread(earlier, usual), lineSpread(p.flat[n-w:], slope))
		s := l.score(rise, spread*shiftSpreads, expected)
		if changes := changesOver(smooth[:n-w], w); len(changes) > 0 {
			if steep := l.steeper * quantile(changes, 0.9); steep > 0 {
				s = min(s, math.Abs(rise)/steep)
			}
		}
		if s > best.score {
			best = hit{score: s, since: p.t[n-w], observed: p.v[n-1], expected: expected}
		}
	}
	return best, best.score > 1
}

// slopeOf returns the median rise a step, between values half the window apart (Theil
// and Sen, restricted to distant pairs as Siegel's variants are).
func slopeOf(v []float64) float64 {
	apart := max(1, len(v)/2)
	if len(v) <= apart {
		return 0
	}
	slopes := make([]float64, 0, len(v))
	for i := apart; i < len(v); i++ {
		slopes = append(slopes, (v[i]-v[i-apart])/float64(apart))
	}
	return median(slopes)
}

// lineSpread returns the spread around a line of that slope.
func lineSpread(v []float64, slope float64) float64 {
	d := offLine(v, slope)
	return max(spreadOf(d), quantile(d, 0.9)/3)
}

func offLine(v []float64, slope float64) []float64 {
	d := make([]float64, len(v))
	for i := range v {
		d[i] = v[i] - slope*float64(i)
	}
	mid := median(append([]float64(nil), d...))
	return shifted(d, mid)
}

// straight reports whether a line describes the window, and better than one step does.
func straight(v []float64, slope float64) bool {
	line, total, sum := 0.0, 0.0, 0.0
	for _, d := range offLine(v, slope) {
		line += d * d
	}
	for _, x := range v {
		sum += x
	}
	mid := sum / float64(len(v))
	for _, x := range v {
		total += (x - mid) * (x - mid)
	}
	step, left := total, 0.0
	for k := 1; k < len(v); k++ {
		left += v[k-1] - mid
		n := float64(len(v))
		step = min(step, total-left*left*n/(float64(k)*(n-float64(k))))
	}
	return line < 0.4*total && line < step
}

// smoothed returns the median of each value and its neighbours.
func smoothed(v []float64) []float64 {
	out := make([]float64, len(v))
	window := make([]float64, 0, 5)
	for i := range v {
		window = append(window[:0], v[max(0, i-2):min(len(v), i+3)]...)
		out[i] = median(window)
	}
	return out
}

func changesOver(v []float64, w int) []float64 {
	var out []float64
	for i := w; i < len(v); i++ {
		out = append(out, v[i]-v[i-w])
	}
	return out
}
