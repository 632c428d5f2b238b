// Package forecast says where a series goes and when it meets a limit.
//
// It is pure: no clock, no random numbers, no goroutine, no input or output. The same
// series gives the same forecast. It must not know where a series comes from.
package forecast

import (
	"errors"
	"fmt"
	"math"
)

// Bounds. They keep one call below about a second and 100 MB.
const (
	// MaxPoints is the longest series that is taken.
	MaxPoints = 1_000_000
	// MaxHorizon is the most steps ahead.
	MaxHorizon = 20_000
	// MinPoints is the fewest values that say anything.
	MinPoints = 3
	// maxFit is how many of the newest values are looked at: three weeks of minutes.
	maxFit = 30_240
)

// ErrTooShort says that a series has fewer than MinPoints values.
var ErrTooShort = errors.New("too few values")

// Series is an evenly spaced series. NaN and ±Inf are gaps.
type Series struct {
	Start  int64 // Unix ms of Values[0]
	Step   int64 // ms between two values, above 0
	Values []float64
}

// Options says what to forecast.
type Options struct {
	Horizon int     // steps ahead, 1 to MaxHorizon
	Level   float64 // share of future values that Lower..Upper is to hold, above 0 and below 1; 0 = 0.95
}

// Point is one future step. Lower ≤ Value ≤ Upper.
type Point struct {
	T                   int64 // Unix ms
	Value, Lower, Upper float64
}

// Forecast is what Next returns.
type Forecast struct {
	Points  []Point
	Seasons []int   // lengths of the seasons found, in steps, shortest first
	Last    float64 // newest value of the series, gaps filled
	LastT   int64   // Unix ms of it
	Step    int64   // ms
}

// Next forecasts s. Gaps, outliers, constants, negative values and short series are
// ordinary input. Where the history is never negative the forecast is not either.
//
// Several simple models forecast, each is judged by what it would have said at
// earlier times of the same series (rolling origins), and their mean weighted by that
// is the forecast: combinations of simple models were the best purely statistical
// entries of the M4 competition (Makridakis, Spiliotis, Assimakopoulos, Int. J.
// Forecasting 36, 2020). The interval comes from the errors that the same
// combination made at those times, horizon by horizon.
func Next(s Series, o Options) (Forecast, error) {
	if o.Level == 0 {
		o.Level = 0.95
	}
	if err := o.validate(); err != nil {
		return Forecast{}, err
	}
	if s.Step <= 0 {
		return Forecast{}, fmt.Errorf("step %d ms: want more than 0", s.Step)
	}
	if len(s.Values) > MaxPoints {
		return Forecast{}, fmt.Errorf("%d values: want at most %d", len(s.Values), MaxPoints)
	}
	end := s.Start + int64(len(s.Values))*s.Step
	values := newest(s.Values)
	if count(values) < MinPoints {
		return Forecast{}, fmt.Errorf("%w: %d, want at least %d", ErrTooShort, count(values), MinPoints)
	}
	unit := scaleOf(values)
	y := make([]float64, len(values))
	least := math.Inf(1)
	for i, v := range values {
		y[i] = v / unit
		if finite(v) {
			least = min(least, y[i])
		}
	}
	y = fillLinear(y)
	seasons := findSeasons(y, s.Step)
	y = fillGaps(values, y, seasons, unit)
	last := y[len(y)-1]
	y = tame(y, seasons)
	mid, low, high := combine(y, seasons, o, least >= 0)
	f := Forecast{Points: make([]Point, o.Horizon), Seasons: seasons, Last: last * unit, LastT: end - s.Step, Step: s.Step}
	for i := range f.Points {
		f.Points[i] = Point{T: end + int64(i)*s.Step, Value: bounded(mid[i], unit), Lower: bounded(low[i], unit), Upper: bounded(high[i], unit)}
	}
	return f, nil
}

func (o *Options) validate() error {
	if o.Horizon < 1 || o.Horizon > MaxHorizon {
		return fmt.Errorf("horizon %d steps: want 1 to %d", o.Horizon, MaxHorizon)
	}
	if !(o.Level > 0 && o.Level < 1) {
		return fmt.Errorf("level %v: want more than 0 and less than 1, such as 0.95", o.Level)
	}
	return nil
}

// newest returns the part of values that is looked at, without gaps at its ends but
// for those at the newest end: what is missing there still passed.
func newest(values []float64) []float64 {
	values = values[max(0, len(values)-maxFit):]
	for len(values) > 0 && !finite(values[0]) {
		values = values[1:]
	}
	return values
}

func count(values []float64) (n int) {
	for _, v := range values {
		if finite(v) {
			n++
		}
	}
	return n
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// scaleOf returns what values are divided by, so that squares and sums of the
// largest and the smallest numbers stay finite.
func scaleOf(values []float64) float64 {
	most := 0.0
	for _, v := range values {
		if finite(v) {
			most = max(most, math.Abs(v))
		}
	}
	if most > 1e100 || most > 0 && most < 1e-100 {
		return max(most, 1e-300)
	}
	return 1
}

// bounded undoes the division by unit, and stays a number.
func bounded(v, unit float64) float64 {
	return max(-math.MaxFloat64, min(math.MaxFloat64, v*unit))
}
