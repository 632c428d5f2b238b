package stat_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/stat"
)

var options = stat.TailOptions{Memory: 60000, Rare: 2e-3, Hold: 1, Steep: 1.1}

// What was seen 30,000 times is extrapolated to one in 300,000: the chance that is
// told for the true quantile is right within the factor given.
func TestTailExtrapolates(t *testing.T) {
	const p = 1.0 / 300_000
	f := func(name string, draw func(*rand.Rand) float64, quantile, factor float64) {
		t.Helper()
		worst := 1.0
		for seed := range uint64(10) {
			r := rand.New(rand.NewPCG(seed, 1))
			var tail stat.Tail
			for range 30_000 {
				tail.Observe(draw(r), options)
			}
			require.True(t, tail.Ready())
			require.True(t, tail.Whole())
			told := math.Exp(tail.LogSurvival(quantile))
			worst = max(worst, told/p, p/told)
			require.InEpsilon(t, 12, -tail.LogSurvival(tail.Quantile(-12)), 0.01, "Quantile is the inverse")
			require.InEpsilon(t, 4, -tail.LogSurvival(tail.Quantile(-4)), 0.01, "in the body too")
			require.InEpsilon(t, 1, -tail.LogSurvival(tail.Quantile(-1)), 0.01, "and below it")
		}
		require.Less(t, worst, factor, name)
	}
	// Quantiles of the magnitude: the solution of P(|x| > q) = 1/300,000.
	f("normal", func(r *rand.Rand) float64 { return math.Abs(r.NormFloat64()) }, 4.6487, 10)
	f("exponential", func(r *rand.Rand) float64 { return r.ExpFloat64() }, math.Log(1/p), 5)
	f("lognormal", func(r *rand.Rand) float64 { return math.Exp(r.NormFloat64()) }, math.Exp(4.5063), 15)
	f("pareto", func(r *rand.Rand) float64 { return math.Pow(r.Float64(), -0.5) }, math.Sqrt(1/p), 8)
}

// Values that stay beyond a threshold for long are few events: a smooth series must
// not look as if its tail were short.
func TestTailOfASmoothSeries(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var tail stat.Tail
	x, events, values, last := 0.0, 0, 0, -1000
	const a = 0.06
	smooth := options
	smooth.Hold = 60
	sd := math.Sqrt(a / (2 - a))
	for i := range 2_000_000 {
		x += a * (r.NormFloat64() - x)
		z := math.Abs(x) / sd
		if i < 60_000 {
			tail.Observe(z, smooth)
			continue
		}
		values++
		if z > tail.Quantile(math.Log(1.0/20_000)) {
			if i-last > int(smooth.Hold) { // crossings that lie closer are one event
				events++
			}
			last = i
		}
	}
	want := float64(values) / 20_000
	require.Less(t, float64(events), 1.6*want, "events beyond the level of one in 20,000")
	require.Greater(t, float64(events), want/5, "the same")
}

// Incidents that are rarer than Rare leave the tail as it is, what comes more often
// becomes usual.
func TestTailIgnoresTheRare(t *testing.T) {
	f := func(every int) float64 {
		r := rand.New(rand.NewPCG(3, 4))
		var tail stat.Tail
		for i := range 30_000 {
			x := math.Abs(r.NormFloat64())
			if i%every == 0 {
				x = 40
			}
			tail.Observe(x, options)
		}
		return tail.LogSurvival(40)
	}
	require.Less(t, f(1000), -50.0, "a tenth of a percent: far beyond all")
	require.Greater(t, f(200), -9.0, "half a percent: usual")
}

func TestTailMostlyZero(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var tail stat.Tail
	for range 30_000 {
		x := 0.0
		if r.Float64() < 0.01 {
			x = 100 * r.ExpFloat64()
		}
		tail.Observe(x, options)
	}
	require.Greater(t, tail.LogSurvival(50), math.Log(1e-3))
	require.Less(t, tail.LogSurvival(1500), math.Log(1e-5), "e^-15 of a hundredth")
	var constant stat.Tail
	for range 1000 {
		constant.Observe(0, options)
	}
	require.Less(t, constant.LogSurvival(10), -20.0, "a constant that moves")
}

func TestTailForgets(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	var tail stat.Tail
	o := options
	o.Memory = 4000
	for range 20_000 {
		tail.Observe(10*r.ExpFloat64(), o)
	}
	wide := tail.Quantile(-10)
	for range 20_000 {
		tail.Observe(r.ExpFloat64(), o)
	}
	require.InEpsilon(t, wide/10, tail.Quantile(-10), 0.5)
	require.True(t, tail.Whole())
}

func TestTailIsMonotone(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for range 50 {
		var tail stat.Tail
		shape := math.Exp(r.NormFloat64())
		for range 100 + r.IntN(5000) {
			tail.Observe(math.Pow(r.ExpFloat64(), shape), options)
		}
		last := math.Inf(1)
		for x := 0.0; x < 1e6; x = x*1.05 + 0.01 {
			s := tail.LogSurvival(x)
			require.LessOrEqual(t, s, last+1e-9)
			require.False(t, math.IsNaN(s))
			last = s
		}
	}
}

func TestHuber(t *testing.T) {
	require.InDelta(t, 2.0, stat.Huber(2, 3, 0, 5), 0)
	require.InDelta(t, 3.0, stat.Huber(100, 3, 0, 5), 0)
	require.InDelta(t, -3.0, stat.Huber(-100, 3, 0, 5), 0)
	require.InDelta(t, 12.0, stat.Huber(100, 3, 10, 5), 0, "ten in a row: the limit has doubled twice")
	require.InDelta(t, 100.0, stat.Huber(100, 3, 1e9, 5), 0, "however long it lasts, no overflow")
}

func TestGain(t *testing.T) {
	require.InDelta(t, 1.0, stat.Gain(1, 100), 0)
	require.InDelta(t, 0.5, stat.Gain(3, 100), 0)
	require.InDelta(t, 0.01, stat.Gain(1e6, 100), 0)
}

func BenchmarkTailObserve(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	xs := make([]float64, 1<<14)
	for i := range xs {
		xs[i] = math.Abs(r.NormFloat64())
	}
	var tail stat.Tail
	for i := 0; b.Loop(); i++ {
		tail.Observe(xs[i&(1<<14-1)], options)
	}
}

func BenchmarkTailLogSurvival(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	var tail stat.Tail
	for range 10_000 {
		tail.Observe(math.Abs(r.NormFloat64()), options)
	}
	for i := 0; b.Loop(); i++ {
		tail.LogSurvival(float64(i&63) / 8)
	}
}
