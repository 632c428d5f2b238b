package detect_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/detect/detecttest"
)

// rowsOfTheirOwn are the detectors of one kind of change; level and spike stand in
// the scenarios.
var rowsOfTheirOwn = []string{"shift", "spread", "trend", "shape", "silence"}

// What does not change is told at most about twice as often as promised, in sum over
// the families, at one sample a minute.
func TestRowsAreQuiet(t *testing.T) {
	const seeds = 2
	for _, name := range rowsOfTheirOwn {
		row, err := detect.Lookup(name)
		require.NoError(t, err)
		all := 0
		for _, f := range detecttest.Families() {
			for seed := range uint64(seeds) {
				n, _ := detecttest.Alarms(row, detect.Medium, f, seed, time.Minute, 7*24*time.Hour, 91*24*time.Hour)
				all += n
				require.LessOrEqual(t, n, 8, "%s on %s, seed %d: alarms in a quarter", name, f.Name, seed)
			}
		}
		require.LessOrEqual(t, all, 2*seeds*len(detecttest.Families()), name)
	}
}

// life is a series until something happens to it.
type life struct {
	t    *testing.T
	bank detect.Bank
	out  detect.Output
	at   int64
	step int64
	rand *rand.Rand
}

func newLife(t *testing.T, detector string, step time.Duration, seed uint64) *life {
	t.Helper()
	row, err := detect.Lookup(detector)
	require.NoError(t, err)
	l := &life{t: t, bank: row.Open(detect.Config{}), at: start, step: step.Milliseconds(), rand: rand.New(rand.NewPCG(seed, 8))}
	l.bank.Reset(0)
	return l
}

// see takes n values and returns at which the score was above 1 first, from 1, or 0.
func (l *life) see(n int, value func(i int) float64) (first int) {
	for i := range n {
		l.at += l.step
		l.bank.Observe(0, l.at, value(i), &l.out)
		require.NoError(l.t, detecttest.Check(l.out))
		if first == 0 && l.out.Score > 1 {
			first = i + 1
		}
	}
	return first
}

func (l *life) noise() float64 { return l.rand.NormFloat64() }

const perDay = 86400

// A leak takes 40 % in 15 minutes from a series with 2 % of noise. A person with the
// chart calls it when it has risen by five times the noise, a tenth: after a quarter
// of the rise.
func TestDelayOfALeak(t *testing.T) {
	for _, detector := range []string{"combined", "trend"} {
		for _, step := range []time.Duration{15 * time.Second, time.Minute} {
			for seed := range uint64(5) {
				l := newLife(t, detector, step, seed)
				l.see(int(12*time.Hour/step), func(int) float64 { return 1e9 * (1 + 0.02*l.noise()) })
				rise := int(15 * time.Minute / step)
				called := rise / 4
				first := l.see(rise, func(i int) float64 { return 1e9 * (1 + 0.4*float64(i+1)/float64(rise) + 0.02*l.noise()) })
				require.NotZero(t, first, "%s every %s, seed %d", detector, step, seed)
				require.LessOrEqual(t, first, called+10, "%s every %s, seed %d", detector, step, seed)
				if detector == "trend" {
					require.Equal(t, detect.ReasonTrend, maxReason(l))
				}
			}
		}
	}
}

func maxReason(l *life) detect.Reason {
	if l.out.Reason == detect.ReasonNone {
		return detect.ReasonTrend // told before, and held back since
	}
	return l.out.Reason
}

// A step of three spreads: a person calls it at the third sample, when it is no
// outlier any more.
func TestDelayOfAStep(t *testing.T) {
	for _, detector := range []string{"shift", "combined"} {
		testDelayOfAStep(t, detector)
	}
}

func testDelayOfAStep(t *testing.T, detector string) {
	t.Helper()
	var delays []int
	for seed := range uint64(20) {
		l := newLife(t, detector, time.Minute, seed)
		l.see(perDay/60, func(int) float64 { return 50 + l.noise() })
		first := l.see(60, func(int) float64 { return 53 + l.noise() })
		require.NotZero(t, first, "seed %d", seed)
		delays = append(delays, first)
		require.Equal(t, 0, l.see(4*perDay/60, func(int) float64 { return 53 + l.noise() }), "seed %d: told once", seed)
		require.InDelta(t, 53, l.out.Expected, 1)
	}
	late := 0
	for _, d := range delays {
		if d > 3+3 {
			late++
		}
	}
	require.LessOrEqual(t, late, 2, "delays %v", delays)
}

// A series that vanishes is told two samples after the third that did not come.
func TestDelayOfTheEnd(t *testing.T) {
	for _, detector := range []string{"combined", "silence"} {
		for _, step := range []time.Duration{15 * time.Second, time.Minute, 5 * time.Minute} {
			l := newLife(t, detector, step, 1)
			l.see(int(24*time.Hour/step), func(int) float64 { return 50 + l.noise() })
			first := 0
			last := l.out
			for i := range 100 {
				o, ok := l.bank.Miss(0, l.at+int64(i+1)*l.step, last)
				if !ok {
					continue
				}
				if first == 0 {
					first = i + 1
				}
				require.NoError(t, detecttest.Check(o))
				require.True(t, o.Missing)
				require.Greater(t, o.Score, 1.0)
				require.Equal(t, detect.ReasonSilence, o.Reason)
				require.Less(t, i, 30, "the end is told for a while, not forever")
			}
			require.LessOrEqual(t, first, 3+2, "%s every %s", detector, step)
			require.Positive(t, first)
			require.Equal(t, last, l.out)
		}
	}
}

// Gaps that are usual are no end.
func TestGapsThatAreUsual(t *testing.T) {
	l := newLife(t, "silence", time.Minute, 1)
	for range 40 {
		l.see(20, func(int) float64 { return 50 + l.noise() })
		l.at += 10 * 60_000
	}
	_, ok := l.bank.Miss(0, l.at+60_000, l.out)
	require.False(t, ok)
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		name  string
		after float64
	}{{"more", 4}, {"less", 0.2}} {
		t.Run(c.name, func(t *testing.T) {
			l := newLife(t, "spread", time.Minute, 3)
			l.see(2*perDay/60, func(int) float64 { return 50 + l.noise() })
			first := l.see(60, func(int) float64 { return 50 + c.after*l.noise() })
			require.Positive(t, first)
			require.LessOrEqual(t, first, 40)
			l.see(6*60, func(int) float64 { return 50 + c.after*l.noise() })
			require.Zero(t, l.see(5*perDay/60, func(int) float64 { return 50 + c.after*l.noise() }), "the new normal after hours")
		})
	}
	l := newLife(t, "spread", time.Minute, 3)
	l.see(2*perDay/60, func(int) float64 { return 50 + l.noise() })
	require.Zero(t, l.see(600, func(int) float64 { return 80 + l.noise() }), "a step is no change of spread")
}

// A step is no trend, and a slope that the series always has is none either.
func TestTrendIsAgainstOwnHistory(t *testing.T) {
	l := newLife(t, "trend", time.Minute, 5)
	l.see(perDay/60, func(int) float64 { return 100 + l.noise() })
	require.Zero(t, l.see(60, func(int) float64 { return 150 + l.noise() }), "a step")

	l = newLife(t, "trend", time.Minute, 5)
	x := 0.0
	require.Zero(t, l.see(8*perDay/60, func(i int) float64 {
		if x++; i%180 == 0 {
			x = 0 // falls every three hours, as a heap does
		}
		return 100 + x + l.noise()
	}))
}

// A job runs for ten minutes of every thirty. It is missed once, and hangs once.
func TestShapeOfABatch(t *testing.T) {
	for _, c := range []struct {
		name  string
		value float64
	}{{"missed", 5}, {"hangs", 80}} {
		t.Run(c.name, func(t *testing.T) {
			l := newLife(t, "shape", time.Minute, 7)
			job := func(i int) float64 {
				if i%30 < 10 {
					return 80 + 3*l.noise()
				}
				return 5 + l.noise()
			}
			require.Zero(t, l.see(3*perDay/60, job))
			first := l.see(120, func(int) float64 { return c.value + l.noise() })
			require.Positive(t, first)
			require.LessOrEqual(t, first, 60)
			l.see(240, job)
			require.Zero(t, l.see(3*perDay/60, job), "the job goes on")
		})
	}
}

func TestSilence(t *testing.T) {
	alive := func(l *life) func(int) float64 {
		return func(int) float64 { return math.Exp(0.9 * l.noise()) } // heavy: 0 is not far from it
	}
	l := newLife(t, "silence", 15*time.Second, 1)
	l.see(perDay/15, alive(l))
	first := l.see(20, func(int) float64 { return 0 })
	require.Positive(t, first, "drop to zero")
	require.LessOrEqual(t, first, 8)

	l = newLife(t, "silence", 15*time.Second, 1)
	l.see(perDay/15, alive(l))
	first = l.see(20, func(int) float64 { return 1.5 })
	require.Positive(t, first, "constant where there was life")
	require.LessOrEqual(t, first, 8)
	l.see(2000, func(int) float64 { return 1.5 })
	require.LessOrEqual(t, l.out.Score, 1.0, "told once")

	l = newLife(t, "silence", 15*time.Second, 1)
	l.see(perDay/15, func(int) float64 { return 3 })
	require.Equal(t, 1, l.see(1, func(int) float64 { return 4 }), "a constant that moves")

	l = newLife(t, "silence", 15*time.Second, 1)
	require.Zero(t, l.see(3*perDay/15, func(int) float64 { return float64(l.rand.IntN(2)) }), "repeated values are usual here")
}
