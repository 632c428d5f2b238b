package app

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
)

// A rise that has begun after hours of rest is foreseen by its own slope from a quarter of an hour on, within a fifth of the time that is
// left; one that goes away from the limit, or that noise hides, is not.
func TestYoungRiseIsForeseen(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	start := time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)
	for _, flat := range []int{0, 60, 400} {
		l := newLimits()
		s := labelsOf("__name__", "x")
		for i := range flat + 90 {
			v := 500 + 2*r.NormFloat64()
			if i > flat {
				v += float64(i-flat) * 10
			}
			at := start.Add(time.Duration(i) * time.Minute)
			l.look(each([]testSeries{{s, detect.Output{T: at.UnixMilli(), Value: v, Class: 1, Ready: true}}}), func([]ingest.Label, detect.Output) bool { return true })
			if risen := i - flat; risen >= 16 {
				meets, earliest, _ := l.meets(s, 1500)
				left := float64(100 - risen)
				require.InDelta(t, left, meets.Sub(at).Minutes(), 0.2*left+2, "%d minutes after %d of rest", risen, flat)
				require.False(t, earliest.IsZero() || earliest.After(meets))
				away, _, _ := l.meets(s, 100)
				require.True(t, away.IsZero())
			}
		}
	}
}

func TestLineTo(t *testing.T) {
	up := make([]float64, 60)
	for i := range up {
		up[i] = float64(i)
	}
	at, earliest, latest, ok := lineTo(up, 68)
	require.True(t, ok)
	require.InDelta(t, 10, at, 0)
	require.InDelta(t, 10, earliest, 0)
	require.InDelta(t, 10, latest, 0)
	down := make([]float64, 60)
	for i := range down {
		down[i] = 100 - float64(i)
	}
	at, _, _, ok = lineTo(down, 32)
	require.True(t, ok)
	require.InDelta(t, 10, at, 0)
	at, _, _, ok = lineTo(down, 200)
	require.True(t, ok)
	require.Zero(t, at, "it goes away from it")
	for _, v := range [][]float64{nil, up[:14], make([]float64, 60), {math.NaN(), 1, math.Inf(1), math.MaxFloat64, -math.MaxFloat64, 1, 2, 3, 4, 5, 6, 7, 8, 9, math.NaN(), math.NaN()}} {
		a, b, c, _ := lineTo(v, 5)
		require.False(t, math.IsNaN(a+b+c))
	}
}
