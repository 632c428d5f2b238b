// Package baseline proposes alert thresholds for a workload that is new: from a day or two
// of its metrics, with the reasoning in words.
//
// A threshold is a blunt tool beside anomaly scores: it knows no hour and no weekday. It is
// for the team that wants a first rule today, and sees why it is what it is.
//
// It is pure: no clock, no network, no file.
package baseline

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/finding"
)

// Spec says what to propose a threshold for.
type Spec struct {
	Name string // of the alert, in camel case: MemoryHigh
	Expr string // PromQL
	// Subject is what people call it, with labels as alert templates write them:
	// "memory of container {{ $labels.container }}".
	Subject   string
	Unit      string            // as package finding has them
	Direction finding.Direction // Above or Below: what is bad
	// Most bounds the values: 1 for a ratio. 0 = no bound.
	Most float64
	// Least is the smallest margin that means anything: one restart, 16 MiB.
	Least float64
}

// Series is one result of Spec.Expr, evenly spaced. NaN is a gap.
type Series struct {
	Start  int64 // Unix ms of Values[0]
	Step   int64 // ms
	Values []float64
}

// Options say how careful to be.
type Options struct {
	Sensitivity detect.Sensitivity // "" = medium
	LeastSpan   time.Duration      // of data, below which nothing is proposed; 0 = DefaultLeastSpan
}

// DefaultLeastSpan is a whole day: less has not seen the busiest hour.
const DefaultLeastSpan = 24 * time.Hour

// Proposal is a threshold, and what speaks for it.
type Proposal struct {
	Spec      Spec
	Threshold float64
	For       time.Duration
	Facts     Facts
}

// Facts are what the data showed.
type Facts struct {
	From, To       time.Time
	Span           time.Duration // covered by values
	Series, Values int
	Median         float64
	Q99            float64 // 99 of 100 values lie on this side of it: below for Above, above for Below
	Extreme        float64 // the worst value
	Held           float64 // the worst that was held for Proposal.For
	Spread         float64 // how much what is held varies
	Margin         float64 // between Held and the threshold
	DayLow         float64 // median of the quietest and the busiest hour of the day
	DayHigh        float64
	DayHighHour    int // UTC
	Fired          int // how often the rule would have fired in these data
	Short          int // crossings that were too short for it
	Weekend        bool
}

// TooLittleError says why nothing is proposed.
type TooLittleError struct{ Reason string }

func (e *TooLittleError) Error() string { return e.Reason }

// holds are what For is chosen from.
var holds = [...]time.Duration{5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour}

// shorterIsWorth is how much closer a threshold must come for a longer For to be chosen: a
// tenth of what is held.
const shorterIsWorth = 1.1

// Propose proposes a threshold. *TooLittleError says why there is none.
//
// The rule is `value > threshold for d`, so that what counts is the highest level that was
// held for d: the maximum of the rolling minimum. The shortest d is taken that no longer one
// beats by a tenth: spikes that are normal here make it longer. The threshold lies above what
// was held by a margin of so many robust spreads of it around its hour of the day, and at
// least a tenth of it.
func Propose(spec Spec, series []Series, o Options) (Proposal, error) {
	if o.LeastSpan == 0 {
		o.LeastSpan = DefaultLeastSpan
	}
	p := Proposal{Spec: spec}
	all, err := p.Facts.look(series, spec.Direction)
	if err != nil {
		return p, err
	}
	if p.Facts.Span < o.LeastSpan {
		return p, &TooLittleError{fmt.Sprintf("%s of data: want at least %s", words(p.Facts.Span), words(o.LeastSpan))}
	}
	sign := 1.0 // below is above, upside down
	if spec.Direction == finding.Below {
		sign = -1
	}
	held, hold, ok := chooseHold(series, sign)
	if !ok {
		return p, &TooLittleError{"no stretch of " + words(holds[0]) + " without a gap"}
	}
	p.For = hold
	f := &p.Facts
	f.Spread = spreadOfHeld(series, sign, hold)
	f.Held = sign * held
	f.Margin = max(spreads(o.Sensitivity)*f.Spread, math.Abs(held)/10, spec.Least)
	threshold := held + f.Margin
	if spec.Most > 0 && sign > 0 && threshold >= spec.Most {
		// Half of the room that is left still is a threshold; where there is hardly any, none is.
		if held > 0.95*spec.Most {
			return p, &TooLittleError{fmt.Sprintf("it holds %s already, and cannot be above %s", finding.Quantity(held, spec.Unit), finding.Quantity(spec.Most, spec.Unit))}
		}
		threshold = (held + spec.Most) / 2
	}
	if sign < 0 && -threshold <= 0 {
		return p, &TooLittleError{fmt.Sprintf("it comes down to %s by itself: no level below is unusual", finding.Quantity(f.Held, spec.Unit))}
	}
	p.Threshold = sign * roundUp(threshold)
	f.Margin = math.Abs(p.Threshold - f.Held)
	f.Fired, f.Short = count(series, sign, p.Threshold, hold)
	f.day(all)
	return p, nil
}

// spreads is how far the threshold lies from what was held.
func spreads(s detect.Sensitivity) float64 {
	switch s {
	case detect.Low:
		return 9
	case detect.High:
		return 4
	default:
		return 6
	}
}

type timed struct {
	t int64
	v float64
}

// look finds out what the data are, and returns all values.
func (f *Facts) look(series []Series, d finding.Direction) ([]timed, error) {
	var all []timed
	from, to, step := int64(math.MaxInt64), int64(math.MinInt64), int64(0)
	for _, s := range series {
		step = s.Step
		some := false
		for i, v := range s.Values {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				continue
			}
			t := s.Start + int64(i)*s.Step
			from, to, some = min(from, t), max(to, t), true
			all = append(all, timed{t, v})
		}
		if some {
			f.Series++
		}
	}
	if len(all) == 0 {
		return nil, &TooLittleError{"no data"}
	}
	f.From, f.To, f.Values = time.UnixMilli(from).UTC(), time.UnixMilli(to).UTC(), len(all)
	f.Span = f.To.Sub(f.From) + time.Duration(step)*time.Millisecond // a value stands for its step
	for t := f.From; !t.After(f.To); t = t.Add(time.Hour) {
		f.Weekend = f.Weekend || t.Weekday() == time.Saturday || t.Weekday() == time.Sunday
	}
	sorted := make([]float64, len(all))
	for i, x := range all {
		sorted[i] = x.v
	}
	slices.Sort(sorted)
	f.Median, f.Q99, f.Extreme = quantile(sorted, 0.5), quantile(sorted, 0.99), sorted[len(sorted)-1]
	if d == finding.Below {
		f.Q99, f.Extreme = quantile(sorted, 0.01), sorted[0]
	}
	return all, nil
}

// day finds the quietest and the busiest hour.
func (f *Facts) day(all []timed) {
	var hours [24][]float64
	for _, x := range all {
		h := x.t / 3_600_000 % 24
		hours[h] = append(hours[h], x.v)
	}
	f.DayLow, f.DayHigh = math.Inf(1), math.Inf(-1)
	for h, v := range hours {
		if len(v) == 0 {
			continue
		}
		slices.Sort(v)
		m := quantile(v, 0.5)
		f.DayLow = min(f.DayLow, m)
		if m > f.DayHigh {
			f.DayHigh, f.DayHighHour = m, h
		}
	}
}

func quantile(sorted []float64, q float64) float64 {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// roundUp keeps three digits, away from the data.
func roundUp(v float64) float64 {
	if v == 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-2)
	if r := math.Ceil(v/unit) * unit; !math.IsInf(r, 0) && !math.IsNaN(r) {
		return r
	}
	return v
}

// words writes a duration for a person.
func words(d time.Duration) string {
	switch {
	case d >= 72*time.Hour:
		return fmt.Sprintf("%.3g days", d.Hours()/24)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%.3g h", d.Hours())
	case d >= time.Minute:
		return fmt.Sprintf("%.3g min", d.Minutes())
	}
	return fmt.Sprintf("%.3g s", d.Seconds())
}
