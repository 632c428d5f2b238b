package forecast_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/forecast"
)

const hour = 3600_000

// series returns n hours of f.
func series(n int, f func(t float64) float64) forecast.Series {
	s := forecast.Series{Start: 1_700_000_000_000, Step: hour, Values: make([]float64, n)}
	for i := range s.Values {
		s.Values[i] = f(float64(i))
	}
	return s
}

func day(t float64) float64  { return math.Sin(2 * math.Pi * t / 24) }
func week(t float64) float64 { return 1 - 0.5*float64(int(t/24)%7/5) } // weekends are half as busy

func noise(sigma float64) func() float64 {
	r := rand.New(rand.NewPCG(1, 2))
	return func() float64 { return sigma * r.NormFloat64() }
}

// requireNear checks that the forecast stays within tolerance of what comes.
func requireNear(t *testing.T, s forecast.Series, h int, truth func(t float64) float64, tolerance float64) forecast.Forecast {
	t.Helper()
	f, err := forecast.Next(s, forecast.Options{Horizon: h})
	require.NoError(t, err)
	require.Len(t, f.Points, h)
	for i, p := range f.Points {
		at := float64(len(s.Values) + i)
		require.InDelta(t, truth(at), p.Value, tolerance, "step %d", i)
		require.LessOrEqual(t, p.Lower, p.Value)
		require.GreaterOrEqual(t, p.Upper, p.Value)
		require.Equal(t, s.Start+int64(at)*s.Step, p.T)
	}
	return f
}

func TestSeasons(t *testing.T) {
	e := noise(2)
	truth := func(t float64) float64 { return 100 + 50*day(t)*week(t) }
	s := series(5*168, func(t float64) float64 { return truth(t) + e() })
	f := requireNear(t, s, 168, truth, 8)
	require.Equal(t, []int{24, 168}, f.Seasons)

	daily := func(t float64) float64 { return 10 + 5*day(t) }
	f = requireNear(t, series(10*24, daily), 48, daily, 0.5)
	require.Equal(t, []int{24}, f.Seasons)

	// A season that no calendar has: 17 minutes.
	odd := func(t float64) float64 { return 3 * math.Sin(2*math.Pi*t/17) }
	s = series(400, func(t float64) float64 { return odd(t) + e()/10 })
	s.Step = 60_000
	f = requireNear(t, s, 34, odd, 1.2)
	require.Equal(t, []int{17}, f.Seasons)
}

func TestNoiseHasNoSeason(t *testing.T) {
	e := noise(1)
	for range 20 {
		f, err := forecast.Next(series(300, func(float64) float64 { return e() }), forecast.Options{Horizon: 1})
		require.NoError(t, err)
		require.Empty(t, f.Seasons)
	}
}

func TestOutliersAndGaps(t *testing.T) {
	e := noise(1)
	truth := func(t float64) float64 { return 100 + 20*day(t) }
	s := series(20*24, func(t float64) float64 { return truth(t) + e() })
	for i := 37; i < len(s.Values)-10; i += 61 {
		s.Values[i] *= 20
	}
	for i := 100; i < 130; i++ {
		s.Values[i] = math.NaN()
	}
	s.Values[len(s.Values)-1] = math.Inf(1)
	requireNear(t, s, 48, truth, 8) // the outliers are 2000
}

// The newest level counts, once it has lasted a few hours.
func TestLevelShiftAtTheEnd(t *testing.T) {
	e := noise(1)
	truth := func(t float64) float64 {
		v := 100 + 10*day(t)
		if t >= 460 {
			v += 80
		}
		return v
	}
	requireNear(t, series(480, func(t float64) float64 { return truth(t) + e() }), 12, truth, 25)
}

func TestPlainSeries(t *testing.T) {
	f := func(name string, n, h int, truth func(float64) float64, tolerance float64) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			requireNear(t, series(n, truth), h, truth, tolerance)
		})
	}
	f("constant", 100, 50, func(float64) float64 { return 7 }, 0)
	f("zeros", 100, 50, func(float64) float64 { return 0 }, 0)
	f("negative", 200, 24, func(t float64) float64 { return -50 + 5*day(t) }, 0.5)
	f("line", 100, 50, func(t float64) float64 { return 3 * t }, 12)
	f("three values", 3, 3, func(t float64) float64 { return t }, 3)
	f("huge", 100, 5, func(float64) float64 { return 1e300 }, 0)
	f("tiny", 100, 5, func(float64) float64 { return 5e-320 }, 0)
	f("counter of minutes", 2000, 100, func(t float64) float64 { return 1e9 + t }, 2)
}

func TestNeverBelowZeroWhereHistoryIsNot(t *testing.T) {
	f, err := forecast.Next(series(100, func(t float64) float64 { return 1000 - 10*t }), forecast.Options{Horizon: 60})
	require.NoError(t, err)
	for _, p := range f.Points {
		require.GreaterOrEqual(t, p.Lower, 0.0)
		require.GreaterOrEqual(t, p.Value, 0.0)
	}
	require.Zero(t, f.Points[59].Value)
}

// An interval holds about the share of future values that it promises.
func TestCoverage(t *testing.T) {
	e := noise(3)
	level := 0.0
	walk := series(6000, func(t float64) float64 { level = 0.9*level + e(); return 100 + 10*day(t) + level })
	for _, want := range []float64{0.5, 0.8, 0.95} {
		inside, all := 0, 0
		for from := 0; from+500+24 <= len(walk.Values); from += 137 {
			s := walk
			s.Values = walk.Values[from : from+500]
			f, err := forecast.Next(s, forecast.Options{Horizon: 24, Level: want})
			require.NoError(t, err)
			for i, p := range f.Points {
				if v := walk.Values[from+500+i]; v >= p.Lower && v <= p.Upper {
					inside++
				}
				all++
			}
		}
		require.InDelta(t, want, float64(inside)/float64(all), 0.08)
	}
}

func TestIsDeterministicAndLeavesItsInputAlone(t *testing.T) {
	e := noise(2)
	s := series(500, func(t float64) float64 { return 10*day(t) + e() })
	before := append([]float64(nil), s.Values...)
	a, err := forecast.Next(s, forecast.Options{Horizon: 30})
	require.NoError(t, err)
	b, err := forecast.Next(s, forecast.Options{Horizon: 30})
	require.NoError(t, err)
	require.Equal(t, a, b)
	require.Equal(t, before, s.Values)
	wide, err := forecast.Next(s, forecast.Options{Horizon: 30, Level: 0.99})
	require.NoError(t, err)
	require.Greater(t, wide.Points[9].Upper, a.Points[9].Upper)
}

func TestBadInput(t *testing.T) {
	good := series(100, day)
	f := func(change func(*forecast.Series, *forecast.Options), want string) {
		t.Helper()
		s, o := good, forecast.Options{Horizon: 5}
		change(&s, &o)
		_, err := forecast.Next(s, o)
		require.ErrorContains(t, err, want)
	}
	f(func(_ *forecast.Series, o *forecast.Options) { o.Horizon = 0 }, "horizon 0 steps: want 1 to 20000")
	f(func(_ *forecast.Series, o *forecast.Options) { o.Level = 1 }, "level 1: want more than 0 and less than 1")
	f(func(_ *forecast.Series, o *forecast.Options) { o.Level = math.NaN() }, "level NaN")
	f(func(s *forecast.Series, _ *forecast.Options) { s.Step = 0 }, "step 0 ms")
	f(func(s *forecast.Series, _ *forecast.Options) { s.Values = nil }, "too few values: 0, want at least 3")
	f(func(s *forecast.Series, _ *forecast.Options) { s.Values = []float64{1, math.NaN(), 2} }, "too few values: 2")
	_, err := forecast.Next(forecast.Series{Step: 1}, forecast.Options{Horizon: 1})
	require.ErrorIs(t, err, forecast.ErrTooShort)
}

func TestTimeTo(t *testing.T) {
	e := noise(4)
	s := series(200, func(t float64) float64 { return 100 + 2*t + e() }) // 500 now, 2 an hour
	f, err := forecast.Next(s, forecast.Options{Horizon: 100})
	require.NoError(t, err)
	c := f.TimeTo(600)
	require.InDelta(t, 50, hoursTo(f, c.At), 8)
	require.Less(t, c.Earliest, c.At)
	require.Greater(t, c.Latest, c.At)
	require.Zero(t, f.TimeTo(1e6))
	require.Zero(t, f.TimeTo(math.NaN()))
	require.Zero(t, f.TimeTo(0), "it does not fall")
	require.Equal(t, f.LastT, f.TimeTo(f.Last).At)

	falling, err := forecast.Next(series(200, func(t float64) float64 { return 1000 - 4*t }), forecast.Options{Horizon: 100})
	require.NoError(t, err)
	require.InDelta(t, 51, hoursTo(falling, falling.TimeTo(0).At), 6)
}

func hoursTo(f forecast.Forecast, at int64) float64 { return float64(at-f.LastT) / hour }

// FuzzNext looks for series without an answer, or with one that is none.
func FuzzNext(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4}, uint8(3), uint8(1))
	f.Add([]byte{0, 0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 0, 0, 9}, uint8(20), uint8(255))
	f.Fuzz(func(t *testing.T, data []byte, h, scale uint8) {
		if len(data) > 400 {
			data = data[:400]
		}
		special := [...]float64{math.NaN(), math.Inf(1), math.MaxFloat64, -math.MaxFloat64, 5e-324, 0}
		s := forecast.Series{Step: hour}
		for _, b := range data {
			v := (float64(b) - 100) * math.Pow(10, float64(int(scale)-128)*2)
			if int(b) >= 250 {
				v = special[b-250]
			}
			s.Values = append(s.Values, v)
		}
		got, err := forecast.Next(s, forecast.Options{Horizon: 1 + int(h)})
		if err != nil {
			require.ErrorIs(t, err, forecast.ErrTooShort)
			return
		}
		for _, p := range got.Points {
			require.False(t, math.IsNaN(p.Value), "%+v", p)
			require.True(t, p.Lower <= p.Value && p.Value <= p.Upper, "%+v", p)
		}
	})
}

func BenchmarkNext(b *testing.B) {
	e := noise(2)
	for name, n := range map[string]int{"960 hours": 960, "14 days of minutes": 20160} {
		b.Run(name, func(b *testing.B) {
			s := series(n, func(t float64) float64 { return 100 + 10*day(t) + e() })
			if n > 10000 {
				s = series(n, func(t float64) float64 { return 100 + 10*day(t/60) + e() })
				s.Step = 60_000
			}
			for b.Loop() {
				if _, err := forecast.Next(s, forecast.Options{Horizon: 48}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
