package detect

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What nearly is an anomaly is told once, until it is clearly worse or forgotten, and
// never keeps an anomaly from being one.
func TestHabitOfNearAnomalies(t *testing.T) {
	var h habit
	c := clock{Step: minute}
	hold := func(score float64) (float64, bool) { return h.hold(1, score, rest, &c) }
	see := func(score, want float64, wantTold bool) {
		t.Helper()
		got, told := hold(score)
		require.InDelta(t, want, got, 0)
		require.Equal(t, wantTold, told)
	}
	see(0.88, 0.88, false)
	see(0.89, held, true)
	see(0.7, 0.7, false) // as it is: nothing that could be told again
	see(0.98, 0.98, false)
	see(0.99, held, true)
	see(1.2, 1.2, false)
	see(0.99, held, true)
	for range 300 {
		see(0.1, 0.1, false)
	}
	see(0.88, 0.88, false)
	require.True(t, h.whole())
}

// Evidence that is held back joins with no other: it was told.
func TestJudgeJoinsOnlyNews(t *testing.T) {
	e := newEnv(Config{}, &Class{})
	c := clock{Step: minute}
	var h habit
	score := func(a, b float64) float64 {
		out := Output{T: day}
		judge(&out, &e, &h, &c, &evidence{ready: true, score: a}, &evidence{ready: true, score: b})
		return out.Score
	}
	require.Greater(t, score(0.95, 0.95), 1.0, "two together")
	require.InDelta(t, held, score(0.95, 0.95), 0, "told")
	require.InDelta(t, held, score(0.95, 0.8), 0)
}
