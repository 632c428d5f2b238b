package app

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
)

func newEngine(t testing.TB, o detect.Options) *detect.Engine {
	t.Helper()
	e, err := detect.NewEngine(o)
	require.NoError(t, err)
	return e
}

// write gives samples one ms apart from t0 on to a series.
func write(target ingest.Target, name string, t0 int64, values ...float64) ingest.Result {
	a := target.Appender()
	var ss []ingest.Sample
	for i, v := range values {
		ss = append(ss, ingest.Sample{T: t0 + int64(i), V: v})
	}
	a.Append(labelsOf("__name__", name), ingest.KindGauge, ss)
	return a.Commit()
}

// newest returns the time of the newest sample of each series, by metric.
func newest(e *detect.Engine) map[string]int64 {
	out := map[string]int64{}
	e.ForEach(func(ls []ingest.Label, o detect.Output) bool {
		out[ls[0].Value] = o.T
		return true
	})
	return out
}

func TestGatePasses(t *testing.T) {
	g := newGate(newEngine(t, detect.Options{}))
	require.Equal(t, ingest.Result{Accepted: 2}, write(g, "a", 10, 1, 2))
	require.Equal(t, ingest.Result{OutOfOrder: 1}, write(g, "a", 5, 1))
	a := g.Appender()
	a.Append(labelsOf("__name__", "b"), ingest.KindGauge, []ingest.Sample{{T: 1, V: 1}})
	a.Rollback()
	require.Equal(t, map[string]int64{"a": 11}, newest(g.engine.Load()))
	require.Zero(t, g.open)
}

func TestGateHoldsLiveSamplesBehindTheHistory(t *testing.T) {
	g := newGate(newEngine(t, detect.Options{}))
	g.hold()
	require.Equal(t, ingest.Result{Accepted: 2}, write(g, "a", 1000, 1, 2))
	require.Equal(t, ingest.Result{Accepted: 1}, write(g, "a", 1002, 3))
	require.Equal(t, ingest.Result{Accepted: 1}, write(g, "b", 1000, 3))
	require.Empty(t, newest(g.engine.Load()))
	require.Positive(t, g.bytes.Load())

	require.Equal(t, ingest.Result{Accepted: 3}, write(direct{g}, "a", 10, 1, 2, 3)) // the history
	open := g.Appender()                                                             // a batch that is open over the release
	open.Append(labelsOf("__name__", "b"), ingest.KindGauge, []ingest.Sample{{T: 1001, V: 1}})
	g.release()
	require.Equal(t, map[string]int64{"a": 1002, "b": 1000}, newest(g.engine.Load()))
	require.EqualValues(t, 3+3+1, g.engine.Load().Stats().Accepted)
	require.Zero(t, g.bytes.Load())

	require.Equal(t, ingest.Result{Accepted: 1}, open.Commit())
	require.Equal(t, ingest.Result{Accepted: 1}, write(g, "a", 2000, 1))
	require.Equal(t, map[string]int64{"a": 2000, "b": 1001}, newest(g.engine.Load()))
}

func TestGateKnowsWhatTheHistoryTold(t *testing.T) {
	g := newGate(newEngine(t, detect.Options{}))
	write(direct{g}, "a", 10, 1, 2, 3)
	require.Equal(t, ingest.Result{OutOfOrder: 2}, write(g, "a", 10, 1, 2))
	g.learnt.Store(12)
	require.Equal(t, ingest.Result{Duplicate: 2}, write(g, "a", 10, 1, 2), "the backlog of a sender")
	require.Equal(t, ingest.Result{Accepted: 2}, write(g, "new", 10, 1, 2), "what the history did not have is taken")
	require.Equal(t, ingest.Result{Accepted: 1}, write(g, "a", 20, 1))
	require.Equal(t, ingest.Result{OutOfOrder: 1}, write(g, "a", 13, 1), "later than the history, and really out of order")
}

func TestGateCopiesWhatItHolds(t *testing.T) {
	g := newGate(newEngine(t, detect.Options{}))
	g.hold()
	name := []byte("metric_name")
	samples := []ingest.Sample{{T: 5, V: 1}}
	a := g.Appender()
	a.Append([]ingest.Label{{Name: "__name__", Value: aliasing(name)}}, ingest.KindGauge, samples)
	copy(name, "overwritten")
	samples[0].T = 99
	a.Commit()
	g.release()
	require.Equal(t, map[string]int64{"metric_name": 5}, newest(g.engine.Load()))
}

func TestGateBoundsWhatItHolds(t *testing.T) {
	g := newGate(newEngine(t, detect.Options{}))
	g.hold()
	g.mostBytes = 10_000
	n := 0
	for ; !g.full(); n++ {
		require.Equal(t, ingest.Result{Accepted: 1}, write(g, "a", int64(n+1), 1))
	}
	require.InDelta(t, 10_000/heldSampleBytes, n, heldSeriesBytes/heldSampleBytes+5)
	require.Equal(t, ingest.Result{Dropped: 2}, write(g, "a", int64(n+1), 1, 2))
	g.release()
	require.False(t, g.full())
	require.EqualValues(t, n, g.engine.Load().Stats().Accepted)
}

func TestGateExchangeLosesNothing(t *testing.T) {
	g := newGate(newEngine(t, detect.Options{Shards: 1}))
	var written atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "d"} {
		wg.Go(func() {
			for ts := int64(1); ; ts++ {
				select {
				case <-stop:
					return
				default:
				}
				// Two batches open at a time, as remote write has them for samples and histograms.
				x, y := g.Appender(), g.Appender()
				x.Append(labelsOf("__name__", name+"x"), ingest.KindGauge, []ingest.Sample{{T: ts, V: 1}})
				y.Append(labelsOf("__name__", name+"y"), ingest.KindGauge, []ingest.Sample{{T: ts, V: 1}})
				written.Add(int64(x.Commit().Accepted + y.Commit().Accepted))
			}
		})
	}
	var before uint64
	for i := range 10 {
		require.NoError(t, g.exchange(func(old *detect.Engine) (*detect.Engine, error) {
			e := newEngine(t, detect.Options{Shards: 1 + i%4})
			before += old.Stats().Accepted
			return e, transfer(old, e)
		}))
	}
	close(stop)
	wg.Wait()
	require.EqualValues(t, written.Load(), before+g.engine.Load().Stats().Accepted)
	require.Len(t, newest(g.engine.Load()), 8)
	require.Zero(t, g.open)
}

func TestGateKeepsTheEngineWhenTheExchangeFails(t *testing.T) {
	g := newGate(newEngine(t, detect.Options{}))
	old := g.engine.Load()
	boom := errors.New("boom")
	require.ErrorIs(t, g.exchange(func(*detect.Engine) (*detect.Engine, error) {
		require.Equal(t, ingest.Result{Accepted: 1}, write(g, "a", 5, 1))
		return nil, boom
	}), boom)
	require.Same(t, old, g.engine.Load())
	require.Equal(t, map[string]int64{"a": 5}, newest(old)) // what came meanwhile
}

func TestGateExchangeGivesUpOnABatchThatStaysOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(newEngine(t, detect.Options{}))
		open := g.Appender()
		err := g.exchange(func(*detect.Engine) (*detect.Engine, error) { panic("not reached") })
		require.ErrorContains(t, err, "still being taken in after 10s")
		require.Equal(t, ingest.Result{Accepted: 1}, write(g, "a", 5, 1)) // samples pass again
		open.Rollback()
		require.NoError(t, g.exchange(func(old *detect.Engine) (*detect.Engine, error) { return old, nil }))
	})
}

func TestGateReleaseAndExchangeAtOnce(t *testing.T) {
	g := newGate(newEngine(t, detect.Options{}))
	g.hold()
	const series = 30 * releaseBatch
	for i := range series {
		write(g, fmt.Sprint("m", i), 1000, 1)
	}
	var before uint64
	var wg sync.WaitGroup
	wg.Go(g.release)
	for g.bytes.Load() > 0 { // until it hands on
		runtime.Gosched()
	}
	wg.Go(func() {
		err := g.exchange(func(old *detect.Engine) (*detect.Engine, error) {
			e := newEngine(t, detect.Options{})
			before = old.Stats().Accepted
			return e, transfer(old, e)
		})
		if err != nil {
			panic(err)
		}
	})
	wg.Wait()
	require.EqualValues(t, series, before+g.engine.Load().Stats().Accepted)
	require.Len(t, newest(g.engine.Load()), series)
	require.Zero(t, g.holds)
	require.Zero(t, g.open)
}

func TestGateHoldsForTheHistoryOverAnExchange(t *testing.T) {
	g := newGate(newEngine(t, detect.Options{}))
	g.hold()
	write(g, "a", 1000, 1)
	require.NoError(t, g.exchange(func(old *detect.Engine) (*detect.Engine, error) {
		e := newEngine(t, detect.Options{})
		return e, transfer(old, e)
	}))
	require.Empty(t, newest(g.engine.Load()))
	write(direct{g}, "a", 10, 1)
	g.release()
	require.Equal(t, map[string]int64{"a": 1000}, newest(g.engine.Load()))
	require.EqualValues(t, 2, g.engine.Load().Stats().Accepted)
}

// aliasing makes a string that changes with b, as a decoder's does.
func aliasing(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
