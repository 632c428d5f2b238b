package detect_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// nightly lives some days of noise with a job of five minutes after three in the
// night, at a slightly different minute each day, and returns on which days it was told.
func nightly(l *life, days int, height func(day int) float64) (told []int) {
	const perDay = 24 * 12
	for day := range days {
		job := 3*12 + l.rand.IntN(5)
		value := func(i int) float64 {
			v := 10 + 0.3*l.rand.NormFloat64()
			if i == job {
				v += height(day) * (1 + 0.03*l.rand.NormFloat64())
			}
			return v
		}
		if first := l.see(perDay, value); first > 0 {
			require.Equal(l.t, job+1, first, "day %d: nothing else is told", day)
			told = append(told, day)
		}
	}
	return told
}

// What comes every night at about the same time is told two or three times, not every
// night; once it is another size, or another hour, it is news.
func TestNightlyJobIsRoutine(t *testing.T) {
	for seed := range uint64(5) {
		l := newLife(t, "combined", 5*time.Minute, seed)
		require.LessOrEqual(t, len(nightly(l, 14, func(int) float64 { return 8 })), 3, "seed %d", seed)
		require.Equal(t, []int{0}, nightly(l, 1, func(int) float64 { return 40 }), "seed %d: five times as high", seed)
	}
	for seed := range uint64(5) {
		l := newLife(t, "combined", 5*time.Minute, seed)
		nightly(l, 7, func(int) float64 { return 8 })
		noon := l.see(24*12, func(i int) float64 {
			if i == 12*12 {
				return 18
			}
			return 10 + 0.3*l.rand.NormFloat64()
		})
		require.Equal(t, 12*12+1, noon, "seed %d: the same at noon", seed)
	}
}

// A routine that ends is forgotten: what comes at its hour a week later is news.
func TestRoutineFades(t *testing.T) {
	l := newLife(t, "combined", 5*time.Minute, 1)
	nightly(l, 3, func(int) float64 { return 8 })
	require.Empty(t, nightly(l, 6, func(int) float64 { return 0 }))
	require.Equal(t, []int{0}, nightly(l, 1, func(int) float64 { return 8 }))
}

// A job of half an hour in minutes is many jumps, which near follows: they are one routine. Every night it is told for a few nights and
// then no more, its end included; one that is far larger is news again.
func TestLongNightlyJobIsRoutine(t *testing.T) {
	for seed := range uint64(3) {
		l := newLife(t, "combined", time.Minute, seed)
		night := func(height float64) (first int) {
			start := 120 + l.rand.IntN(20)
			return l.see(1440, func(i int) float64 {
				v := 100 + 5*l.rand.NormFloat64()
				if i >= start && i < start+30 {
					v += height * (1 + 0.05*l.rand.NormFloat64())
				}
				return v
			})
		}
		var told []int
		for day := range 10 {
			if night(300) > 0 {
				told = append(told, day)
			}
		}
		require.NotEmpty(t, told, "seed %d", seed)
		require.Less(t, told[len(told)-1], 6, "seed %d: %v", seed, told)
		require.Positive(t, night(900), "seed %d: three times as high", seed)
	}
}
