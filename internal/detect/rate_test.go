package detect_test

import (
	"math"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
)

// alias returns a string that shares the memory of b.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func TestCountersBecomeRates(t *testing.T) {
	e := newEngine(t, detect.Options{})
	l := labels("__name__=requests_total")
	at := int64(start)
	f := func(dt int64, v, want float64) {
		t.Helper()
		at += dt
		require.Equal(t, ingest.Result{Accepted: 1}, send(e, l, ingest.KindUnknown, ingest.Sample{T: at, V: v}))
		o := only(t, e)
		require.Equal(t, at, o.T)
		require.InDelta(t, want, o.Value, 0)
	}
	// The first sample is the start of the first rate: nothing to show yet.
	send(e, l, ingest.KindUnknown, ingest.Sample{T: at, V: 1000})
	require.Empty(t, dump(e))

	f(10_000, 1100, 10)
	f(10_000, 1100, 0)
	f(5_000, 1200, 20)
	f(10_000, 50, 5) // reset: 50 counted since, at least
	require.Equal(t, uint64(1), e.Stats().CounterResets)

	// After a pause of which nothing is known, the counter starts anew.
	at += 3600_000
	send(e, l, ingest.KindUnknown, ingest.Sample{T: at, V: 99999})
	require.Empty(t, dump(e), "and has no value meanwhile")
	f(10_000, 100099, 10)

	// So it does after its end.
	at += 1000
	send(e, l, ingest.KindUnknown, ingest.Sample{T: at, V: ingest.StaleNaN()})
	at += 1000
	send(e, l, ingest.KindUnknown, ingest.Sample{T: at, V: 5})
	f(10_000, 15, 1)
	require.Equal(t, uint64(1), e.Stats().CounterResets)

	// What is no count is no rate, and not the start of one.
	for _, v := range []float64{math.NaN(), math.Inf(1), -1} {
		at += 10_000
		send(e, l, ingest.KindUnknown, ingest.Sample{T: at, V: v})
		o := only(t, e)
		require.True(t, math.IsNaN(o.Value), v)
		require.False(t, o.Ready)
	}
	at += 10_000
	send(e, l, ingest.KindUnknown, ingest.Sample{T: at, V: 20})
	f(10_000, 30, 1)
	require.Equal(t, uint64(3), e.Stats().NotFinite)
}

// A counter that is reset at each scrape still gives its growth since.
func TestCounterThatResetsEachTime(t *testing.T) {
	e := newEngine(t, detect.Options{})
	for i := range int64(50) {
		send(e, labels("__name__=c"), ingest.KindCounter, ingest.Sample{T: start + i*10_000, V: float64(100 - i)})
	}
	require.InDelta(t, 5.1, only(t, e).Value, 0)
	require.Equal(t, uint64(49), e.Stats().CounterResets)
}

// A start after the last sample tells a reset that the value hides; one that is of before, of the future, or of no counter, nothing.
func TestStartTellsOfAReset(t *testing.T) {
	e := newEngine(t, detect.Options{})
	l := labels("__name__=c_total")
	f := func(at int64, v float64, from int64, rate float64, resets uint64) {
		t.Helper()
		send(e, l, ingest.KindCounter, ingest.Sample{T: start + at, V: v, Start: from})
		require.InDelta(t, rate, only(t, e).Value, 1e-9)
		require.Equal(t, resets, e.Stats().CounterResets)
	}
	send(e, l, ingest.KindCounter, ingest.Sample{T: start, V: 100, Start: start - 5000})
	f(10_000, 150, start-5000, 5, 0)
	f(20_000, 200, start+15_000, 20, 1) // 200 counted since the start between both
	f(30_000, 250, start+15_000, 5, 1)  // the same start is no news
	f(40_000, 300, start+99_000, 5, 1)  // of the future: nonsense
	f(50_000, 350, 0, 5, 1)
	f(60_000, 10, start+55_000, 1, 2) // both say it: once
	g := labels("__name__=g")
	send(e, g, ingest.KindGauge, ingest.Sample{T: start, V: 5}, ingest.Sample{T: start + 1000, V: 6, Start: start + 500})
	require.Equal(t, uint64(2), e.Stats().CounterResets)
}

// What the source says about a series beats its name, and a source that changes its
// mind starts the model anew.
func TestKindOfTheSourceWins(t *testing.T) {
	e := newEngine(t, detect.Options{})
	l := labels("__name__=x_total")
	send(e, l, ingest.KindGauge, ingest.Sample{T: start, V: 5})
	require.InDelta(t, 5.0, only(t, e).Value, 0)
	send(e, l, ingest.KindUnknown, ingest.Sample{T: start + 1000, V: 6})
	require.InDelta(t, 6.0, only(t, e).Value, 0)
	send(e, l, ingest.KindCounter, ingest.Sample{T: start + 2000, V: 7}, ingest.Sample{T: start + 3000, V: 9})
	require.InDelta(t, 2.0, only(t, e).Value, 0)
}
