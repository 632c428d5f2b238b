package baseline

import (
	"math"
	"slices"
	"time"
)

// chooseHold returns the worst level that was held for the chosen time, as if above were bad.
func chooseHold(series []Series, sign float64) (held float64, hold time.Duration, ok bool) {
	var levels []float64
	for _, d := range holds {
		worst, ok := worstHeld(series, sign, d)
		if !ok {
			break // no series has so long a stretch
		}
		levels = append(levels, worst)
	}
	if len(levels) == 0 {
		return 0, 0, false
	}
	best := levels[len(levels)-1]
	for i, l := range levels {
		if l <= best+math.Abs(best)*(shorterIsWorth-1) {
			return l, holds[i], true
		}
	}
	return best, holds[len(levels)-1], true
}

func worstHeld(series []Series, sign float64, d time.Duration) (worst float64, ok bool) {
	worst = math.Inf(-1)
	for _, s := range series {
		rolling(s, sign, d, func(_ int64, least float64) { worst, ok = max(worst, least), true })
	}
	return worst, ok
}

// rolling calls f with the least of each window of length d that has no gap, and the time of
// its end. Windows overlap by all but one value; the cost is linear (a queue of minima, as in
// Lemire, "Streaming maximum-minimum filter", Nordic J. Computing 13, 2006).
func rolling(s Series, sign float64, d time.Duration, f func(t int64, least float64)) {
	window := int(d.Milliseconds()/s.Step) + 1 // a rule is pending from the first value on
	var queue []int
	run := 0
	for i, v := range s.Values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			queue, run = queue[:0], 0
			continue
		}
		run++
		for len(queue) > 0 && sign*s.Values[queue[len(queue)-1]] >= sign*v {
			queue = queue[:len(queue)-1]
		}
		queue = append(queue, i)
		if queue[0] <= i-window {
			queue = queue[1:]
		}
		if run >= window {
			f(s.Start+int64(i)*s.Step, sign*s.Values[queue[0]])
		}
	}
}

// spreadOfHeld returns the robust spread of what is held around the median of its hour of
// the day: the course of the day is not noise.
func spreadOfHeld(series []Series, sign float64, d time.Duration) float64 {
	var hours [24][]float64
	for _, s := range series {
		rolling(s, sign, d, func(t int64, least float64) {
			h := t / 3_600_000 % 24
			hours[h] = append(hours[h], least)
		})
	}
	var off []float64
	for _, v := range hours {
		if len(v) == 0 {
			continue
		}
		sorted := slices.Clone(v)
		slices.Sort(sorted)
		mid := quantile(sorted, 0.5)
		for _, x := range v {
			off = append(off, math.Abs(x-mid))
		}
	}
	if len(off) == 0 {
		return 0
	}
	slices.Sort(off)
	return 1.4826 * quantile(off, 0.5)
}

// count plays the rule on the data: how often it fires, and how many crossings are too short.
func count(series []Series, sign, threshold float64, hold time.Duration) (fired, short int) {
	for _, s := range series {
		since, told := int64(-1), false
		end := func() {
			if since >= 0 && !told {
				short++
			}
			since, told = -1, false
		}
		for i, v := range s.Values {
			t := s.Start + int64(i)*s.Step
			if !(sign*v > sign*threshold) { // a gap ends it, too
				end()
				continue
			}
			if since < 0 {
				since = t
			}
			if !told && t-since >= hold.Milliseconds() {
				told = true
				fired++
			}
		}
		end()
	}
	return fired, short
}
