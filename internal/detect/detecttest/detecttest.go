// Package detecttest is the suite that every row of the table of detectors passes,
// and the unchanged series that a score is calibrated against. It knows a detector
// by its Bank only.
package detecttest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
)

// Run holds a row to the contract of Bank and Output.
func Run(t *testing.T, row detect.Row) {
	for _, c := range []struct {
		name string
		test func(*testing.T, detect.Row)
	}{
		{"score contract", testContract},
		{"allocates nothing", testAllocations},
		{"deterministic", testDeterministic},
		{"slots are apart", testSlots},
		{"state round trip", testRoundTrip},
		{"refuses damaged state", testDamage},
		{"no baseline at first", testWarmUp},
		{"what is not later is ignored", testNotLater},
		{"no number is no value", testNotFinite},
		{"comes back to normal", testRecovers},
		{"rare samples", testRare},
		{"size", testSize},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, row) })
	}
}

// Start is the time of the first sample of all series made here: a Tuesday.
const Start = 1_700_000_000_000

// Check returns what is wrong with an output by its own contract, or nil.
func Check(o detect.Output) error {
	switch {
	case !(o.Score >= 0 && o.Score <= detect.MaxScore):
		return fmt.Errorf("score %g: want 0 to %g", o.Score, float64(detect.MaxScore))
	case !o.Ready && (o.Score != 0 || o.Expected != 0 || o.Lower != 0 || o.Upper != 0 || o.Since != 0):
		return fmt.Errorf("not ready, but %+v", o)
	case !(o.Lower <= o.Expected && o.Expected <= o.Upper) || math.IsInf(o.Lower, 0) || math.IsInf(o.Upper, 0):
		return fmt.Errorf("expected %g not within %g..%g", o.Expected, o.Lower, o.Upper)
	case (o.Score > 1) != (o.Since != 0):
		return fmt.Errorf("score %g since %d", o.Score, o.Since)
	case (o.Score > 1) != (o.Reason != detect.ReasonNone):
		return fmt.Errorf("score %g for the reason %s", o.Score, o.Reason)
	case o.Since > o.T:
		return fmt.Errorf("since %d, after %d", o.Since, o.T)
	case o.Ready && o.Score <= 1 && (o.Value < o.Lower || o.Value > o.Upper):
		return fmt.Errorf("score %g, but %g lies outside %g..%g", o.Score, o.Value, o.Lower, o.Upper)
	case o.Score > 1 && o.Value != o.Expected && o.Value >= o.Lower && o.Value <= o.Upper:
		return fmt.Errorf("score %g, but %g lies within %g..%g", o.Score, o.Value, o.Lower, o.Upper)
	}
	return nil
}

// sample is one step of a hostile series.
type sample struct {
	t int64
	v float64
}

// hostile makes a series of everything that is ordinary input: gaps, repeated and
// earlier times, changing intervals, numbers of all sizes, none at all.
func hostile(seed uint64, n int) []sample {
	r := rand.New(rand.NewPCG(seed, 1))
	t, step, level := int64(Start), int64(15_000), 100.0
	var all []sample
	for range n {
		switch r.IntN(60) {
		case 0:
			t += r.Int64N(72 * 3600_000) // a gap
		case 1:
			step = []int64{1, 1000, 15_000, 300_000, 86400_000}[r.IntN(5)]
		case 2:
			level = []float64{0, 1, -5e8, 1e-300, 1e300, math.MaxFloat64, 5e-324}[r.IntN(7)]
		}
		v := level * (1 + 0.01*r.NormFloat64())
		switch r.IntN(40) {
		case 0:
			v = math.NaN()
		case 1:
			v = math.Inf(1 - 2*r.IntN(2))
		case 2:
			v = 0
		case 3:
			v = -v * 1000
		}
		t += step
		all = append(all, sample{t, v})
		if r.IntN(20) == 0 {
			all = append(all, sample{t, v}, sample{t - r.Int64N(100_000), v + 1})
		}
	}
	return all
}

func open(row detect.Row) detect.Bank {
	b := row.Open(detect.Config{})
	b.Reset(0)
	return b
}

func testContract(t *testing.T, row detect.Row) {
	for seed := range uint64(20) {
		b := open(row)
		var out detect.Output
		for i, s := range hostile(seed, 2000) {
			b.Observe(0, s.t, s.v, &out)
			require.NoError(t, Check(out), "seed %d, sample %d", seed, i)
		}
	}
	for _, f := range Families() {
		for _, step := range []time.Duration{5 * time.Second, time.Minute, 10 * time.Minute} {
			b, next := open(row), f.New(1, step)
			var out detect.Output
			for i := range int64(3000) {
				b.Observe(0, Start+i*step.Milliseconds(), next(), &out)
				require.NoError(t, Check(out), "%s every %s, sample %d", f.Name, step, i)
			}
		}
	}
}

func testAllocations(t *testing.T, row detect.Row) {
	b, series := open(row), hostile(1, 5000)
	var out detect.Output
	i := 0
	require.Zero(t, testing.AllocsPerRun(len(series)-1, func() {
		b.Observe(0, series[i].t, series[i].v, &out)
		i++
	}))
}

func testDeterministic(t *testing.T, row detect.Row) {
	a, b := open(row), open(row)
	var x, y detect.Output
	for _, s := range hostile(2, 3000) {
		a.Observe(0, s.t, s.v, &x)
		b.Observe(0, s.t, s.v, &y)
		require.Equal(t, bits(x), bits(y))
	}
	require.Equal(t, a.AppendState(0, nil), b.AppendState(0, nil))
}

// bits makes outputs comparable although a value may be NaN.
func bits(o detect.Output) string { return fmt.Sprintf("%+v", o) }

func testSlots(t *testing.T, row detect.Row) {
	const slots = 300
	together := row.Open(detect.Config{})
	outs := make([]detect.Output, slots)
	for s := range slots {
		together.Reset(s)
	}
	all := make([][]sample, slots)
	for s := range slots {
		all[s] = hostile(uint64(s), 200)
	}
	for i := range 200 {
		for s := range slots {
			together.Observe(s, all[s][i].t, all[s][i].v, &outs[s])
		}
	}
	for s := 0; s < slots; s += 37 {
		alone := open(row)
		var out detect.Output
		for _, x := range all[s][:200] {
			alone.Observe(0, x.t, x.v, &out)
		}
		require.Equal(t, bits(out), bits(outs[s]), "slot %d", s)
	}
	// A slot that is used again knows nothing of its last life.
	together.Reset(7)
	require.Equal(t, open(row).AppendState(0, nil), together.AppendState(7, nil))
}

func testRoundTrip(t *testing.T, row detect.Row) {
	series := hostile(3, 6000)
	for _, cut := range []int{0, 1, 17, 40, 500, 3000} {
		old, fresh := open(row), row.Open(detect.Config{})
		var x detect.Output
		for _, s := range series[:cut] {
			old.Observe(0, s.t, s.v, &x)
		}
		state := old.AppendState(0, []byte("before"))
		require.Len(t, state, len("before")+old.StateLen())
		require.NoError(t, fresh.LoadState(0, state[len("before"):]))
		y := x
		for _, s := range series[cut:] {
			old.Observe(0, s.t, s.v, &x)
			fresh.Observe(0, s.t, s.v, &y)
			require.Equal(t, bits(x), bits(y), "cut at %d", cut)
		}
	}
}

func testDamage(t *testing.T, row detect.Row) {
	b := open(row)
	var out detect.Output
	series := hostile(4, 3000)
	for _, s := range series[:1500] {
		b.Observe(0, s.t, s.v, &out)
	}
	good := b.AppendState(0, nil)
	for _, bad := range [][]byte{nil, good[:len(good)-1], append(append([]byte(nil), good...), 0)} {
		require.ErrorIs(t, b.LoadState(0, bad), detect.ErrCorrupt)
		require.Equal(t, good, b.AppendState(0, nil), "a refused state changes nothing")
	}
	// A state with any bytes turned is refused, or keeps the contract.
	r := rand.New(rand.NewPCG(5, 5))
	for range 300 {
		bad := append([]byte(nil), good...)
		for range 1 + r.IntN(8) {
			bad[r.IntN(len(bad))] = byte(r.Uint32())
		}
		if b.LoadState(0, bad) != nil {
			continue
		}
		o := out
		for _, s := range series[1500:] {
			b.Observe(0, s.t, s.v, &o)
			require.NoError(t, Check(o))
		}
	}
}

func testWarmUp(t *testing.T, row detect.Row) {
	b := open(row)
	var out detect.Output
	for i := range int64(10) {
		b.Observe(0, Start+i*1000, float64(i*i*i), &out)
		require.Equal(t, detect.Output{T: Start + i*1000, Value: float64(i * i * i)}, out)
	}
}

func testNotLater(t *testing.T, row detect.Row) {
	a, b := open(row), open(row)
	var x, y detect.Output
	for i, s := range hostile(6, 2000) {
		if s.t > x.T {
			a.Observe(0, s.t, s.v, &x)
		}
		b.Observe(0, s.t, s.v, &y)
		b.Observe(0, s.t, s.v+1, &y)
		b.Observe(0, s.t-int64(i), 0, &y)
		require.Equal(t, bits(x), bits(y))
	}
	require.Equal(t, a.AppendState(0, nil), b.AppendState(0, nil))
}

func testNotFinite(t *testing.T, row detect.Row) {
	b := open(row)
	var out detect.Output
	next := Families()[1].New(1, time.Minute)
	at := int64(Start)
	for range 5000 {
		at += 60_000
		b.Observe(0, at, next(), &out)
	}
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		state := b.AppendState(0, nil)
		at += 60_000
		b.Observe(0, at, v, &out)
		require.Equal(t, fmt.Sprintf("%+v", detect.Output{T: at, Value: v}), bits(out))
		require.Equal(t, state, b.AppendState(0, nil), "nothing is learnt of it")
	}
	at += 60_000
	b.Observe(0, at, next(), &out)
	require.True(t, out.Ready)
	require.Less(t, out.Score, 1.0)
}

// After an incident that ends, and after a shift that stays, the score is normal
// again within two days, and expects what it should.
func testRecovers(t *testing.T, row detect.Row) {
	for _, lasting := range []bool{false, true} {
		b, next := open(row), Families()[1].New(2, time.Minute)
		var out detect.Output
		for i := range int64(8 * 1440) {
			v := next()
			if i >= 5*1440 && (lasting || i < 5*1440+90) {
				v += 1000
			}
			b.Observe(0, Start+i*60_000, v, &out)
			if i > 7*1440 {
				require.LessOrEqual(t, out.Score, 1.0, "lasting %v, sample %d", lasting, i)
			}
		}
		want := 50.0
		if lasting {
			want = 1050
		}
		require.InDelta(t, want, out.Expected, 100, "lasting %v", lasting)
	}
}

// One sample in months is a series too.
func testRare(t *testing.T, row detect.Row) {
	b := open(row)
	var out detect.Output
	for i := range int64(200) {
		b.Observe(0, Start+i*90*86400_000, float64(i%7), &out)
		require.NoError(t, Check(out))
		require.LessOrEqual(t, out.Score, 1.0)
	}
}

func testSize(t *testing.T, row detect.Row) {
	b := open(row)
	require.LessOrEqual(t, row.Bytes, 880, "a million series are to fit into 1 GiB")
	require.LessOrEqual(t, b.StateLen(), row.Bytes)
	require.NotEmpty(t, row.Does)
	require.Positive(t, row.Version)
}
