package detect

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// recordOf is a record of deviations that come every five minutes.
type recordOf struct {
	m record
	c clock
	t int64
}

func newRecordOf() *recordOf { return &recordOf{c: clock{Step: 5 * minute}, t: 1_700_000_000_000} }

// see takes a deviation of a series whose usual one is 1, and returns the score at
// medium sensitivity.
func (r *recordOf) see(x float64) float64 {
	r.t += 5 * minute
	r.c.N++
	e := newEnv(Config{}, &Class{})
	return r.m.observe(&r.c, r.c.limit(&e), r.t, x, 1, hour)
}

const fiveMinutesADay = 24 * 12

// What comes half as far again as ever is news after two weeks, and only the first
// time; what comes nearly as far is not.
func TestRecordTellsWhatWasNeverSeen(t *testing.T) {
	r := newRecordOf()
	rise := func(size float64) (most float64) {
		for range 12 {
			most = max(most, r.see(size))
		}
		for i := range fiveMinutesADay {
			if score := r.see(0); i > 12 {
				require.Less(t, score, 1.0)
			}
		}
		return most
	}
	for day := range 14 {
		if most := rise(10); day > 3 {
			require.Less(t, most, 1.0)
		}
	}
	require.Zero(t, rise(9.9))
	require.Greater(t, rise(15), 1.0)
	require.Less(t, rise(15), 1.0, "told already")
	require.Less(t, rise(-10), 5.0, "the other side is another record")
	require.Greater(t, rise(30), 1.0, "what is larger is news all the same")
	require.True(t, r.m.whole())
}

// Forgotten after two stretches at most, not before one.
func TestRecordForgets(t *testing.T) {
	r := newRecordOf()
	wait := func(days int) {
		for range days * fiveMinutesADay {
			r.see(0)
		}
	}
	wait(3)
	for range 24 {
		r.see(100)
	}
	wait(50)
	for range 24 {
		require.Less(t, r.see(90), 1.0)
	}
	wait(130)
	told := 0.0
	for range 24 {
		told = max(told, r.see(90))
	}
	require.Greater(t, told, 1.0)
}

// Of a series that does not change records become rare by themselves, whatever the
// distribution: in the second month there are fewer than three in a quarter of the worst.
func TestRecordsAreRare(t *testing.T) {
	const seeds, days = 30, 60
	draws := map[string]func(*rand.Rand) float64{
		"normal":      func(r *rand.Rand) float64 { return 1.25 * r.NormFloat64() },
		"exponential": func(r *rand.Rand) float64 { return 1.36 * (r.ExpFloat64() - 1) },
		"student":     func(r *rand.Rand) float64 { return student(r) },
	}
	for name, draw := range draws {
		told := 0
		for seed := range uint64(seeds) {
			r, random := newRecordOf(), rand.New(rand.NewPCG(seed, 3))
			last := 0 // an hour's samples are one record
			for i := range days * fiveMinutesADay {
				if r.see(draw(random)) > 1 && i > days/2*fiveMinutesADay && i-last > 12 {
					told, last = told+1, i
				}
			}
		}
		require.LessOrEqual(t, float64(told), 3.0*seeds*(days/2)/91, name)
	}
}

// student draws from Student's distribution with three degrees of freedom.
func student(r *rand.Rand) float64 {
	a, b, c := r.NormFloat64(), r.NormFloat64(), r.NormFloat64()
	return r.NormFloat64() / math.Sqrt((a*a+b*b+c*c)/3)
}

// Days between samples make no mean of an hour, and a jump of the clock no age.
func TestRecordOfRareSamples(t *testing.T) {
	r := newRecordOf()
	for range 300 {
		r.t += 3 * day
		r.c.Step = 3 * day
		require.Zero(t, r.see(1))
	}
	require.Zero(t, r.see(1000))
	require.True(t, r.m.whole())
	for _, bad := range []record{{Begin: 2, Turn: 1}, {Mean: float32(math.NaN())}, {Up: [2]float32{-1, 0}}, {Down: [2]float32{0, float32(math.Inf(1))}}} {
		require.False(t, bad.whole())
	}
}
