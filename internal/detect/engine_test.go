package detect_test

import (
	"bytes"
	"fmt"
	"math"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
)

const start = 1_700_000_000_000

func newEngine(t testing.TB, o detect.Options) *detect.Engine {
	t.Helper()
	e, err := detect.NewEngine(o)
	require.NoError(t, err)
	return e
}

// labels makes a sorted label set of name=value pairs.
func labels(pairs ...string) []ingest.Label {
	var l []ingest.Label
	for _, p := range pairs {
		name, value, _ := strings.Cut(p, "=")
		l = append(l, ingest.Label{Name: name, Value: value})
	}
	sort.Slice(l, func(i, j int) bool { return l[i].Name < l[j].Name })
	return l
}

func send(e *detect.Engine, l []ingest.Label, kind ingest.Kind, samples ...ingest.Sample) ingest.Result {
	a := e.Appender()
	a.Append(l, kind, samples)
	return a.Commit()
}

// dump returns what ForEach shows, as text by label set.
func dump(e *detect.Engine) map[string]detect.Output {
	all := map[string]detect.Output{}
	e.ForEach(func(l []ingest.Label, o detect.Output) bool {
		var b strings.Builder
		for _, x := range l {
			fmt.Fprintf(&b, "%s=%q ", x.Name, x.Value)
		}
		all[b.String()] = o
		return true
	})
	return all
}

// only returns the output of the one series there is.
func only(t *testing.T, e *detect.Engine) detect.Output {
	t.Helper()
	all := dump(e)
	require.Len(t, all, 1)
	for _, o := range all {
		return o
	}
	panic("unreachable")
}

func TestOptions(t *testing.T) {
	f := func(o detect.Options, want string) {
		t.Helper()
		_, err := detect.NewEngine(o)
		require.ErrorContains(t, err, want)
	}
	f(detect.Options{Detector: "crystal"}, `unknown detector "crystal": want one of `+detect.Builtin[0].Name)
	f(detect.Options{Sensitivity: "extreme"}, `unknown sensitivity "extreme": want one of ["low" "medium" "high"]`)
	f(detect.Options{MaxSeries: -1}, "max series -1")
	f(detect.Options{Shards: 1025}, "1025 shards: want 1 to 1024")
	f(detect.Options{Shards: -1}, "-1 shards")
	f(detect.Options{ExpireAfter: -time.Second}, "expire after -1s")
	for _, r := range detect.Builtin {
		newEngine(t, detect.Options{Detector: r.Name, Shards: 3})
	}
}

func TestSeriesAreKeptApart(t *testing.T) {
	e := newEngine(t, detect.Options{})
	sets := [][]ingest.Label{
		labels("__name__=a", "x=1"), labels("__name__=a", "x=2"), labels("__name__=a"),
		labels("__name__=a", "x1=1"), labels("__name__=ax", "x=1"),
		{{Name: "__name__x", Value: "a1"}},
		{},
	}
	a := e.Appender()
	for i, l := range sets {
		a.Append(l, ingest.KindGauge, []ingest.Sample{{T: start, V: float64(i)}})
	}
	require.Empty(t, dump(e), "nothing is visible before Commit")
	require.Equal(t, ingest.Result{Accepted: len(sets)}, a.Commit())
	all := dump(e)
	require.Len(t, all, len(sets))
	require.InDelta(t, 1.0, all[`__name__="a" x="2" `].Value, 0)
	require.InDelta(t, 6.0, all[``].Value, 0)

	a = e.Appender()
	a.Append(labels("__name__=never"), ingest.KindGauge, []ingest.Sample{{T: start, V: 1}})
	a.Rollback()
	require.Equal(t, all, dump(e), "a rolled back batch leaves nothing")
}

// Labels and samples may be overwritten as soon as Append returns.
func TestNothingIsKeptOfTheCaller(t *testing.T) {
	e := newEngine(t, detect.Options{})
	buf := []byte("cpu")
	l := []ingest.Label{{Name: "__name__", Value: alias(buf)}}
	samples := []ingest.Sample{{T: start, V: 7}}
	a := e.Appender()
	a.Append(l, ingest.KindGauge, samples)
	copy(buf, "xxx")
	samples[0] = ingest.Sample{T: 1, V: 1}
	a.Commit()
	require.Equal(t, map[string]detect.Output{`__name__="cpu" `: {T: start, Value: 7}}, dump(e))
}

func TestOrderOfSamples(t *testing.T) {
	e := newEngine(t, detect.Options{})
	e.SetNow(start)
	l := labels("__name__=m")
	f := func(s ingest.Sample, want ingest.Result) {
		t.Helper()
		require.Equal(t, want, send(e, l, ingest.KindGauge, s))
	}
	f(ingest.Sample{T: start, V: 1}, ingest.Result{Accepted: 1})
	f(ingest.Sample{T: start, V: 1}, ingest.Result{Duplicate: 1})
	f(ingest.Sample{T: start, V: 2}, ingest.Result{OutOfOrder: 1})
	f(ingest.Sample{T: start - 1, V: 1}, ingest.Result{OutOfOrder: 1})
	f(ingest.Sample{T: start + 600_000, V: 3}, ingest.Result{Accepted: 1})
	f(ingest.Sample{T: start + 600_001, V: 3}, ingest.Result{TooFarAhead: 1})
	f(ingest.Sample{T: math.MaxInt64, V: 3}, ingest.Result{TooFarAhead: 1})
	f(ingest.Sample{T: math.MinInt64, V: 3}, ingest.Result{OutOfOrder: 1})
	f(ingest.Sample{T: 0, V: 3}, ingest.Result{OutOfOrder: 1})
	f(ingest.Sample{T: start + 600_000, V: math.NaN()}, ingest.Result{OutOfOrder: 1})
	s := e.Stats()
	require.Equal(t, []uint64{2, 1, 5, 2}, []uint64{s.Accepted, s.Duplicate, s.OutOfOrder, s.TooFarAhead})

	many := labels("__name__=many")
	for i := range 2000 {
		many = append(many, ingest.Label{Name: fmt.Sprintf("l%04d", i), Value: "x"})
	}
	require.Equal(t, ingest.Result{Dropped: 1}, send(e, many, ingest.KindGauge, ingest.Sample{T: start, V: 1}))
	require.Equal(t, uint64(1), e.Stats().Dropped)
}

// A clock that ran ahead must not silence the series until the future comes.
func TestClockThatJumpedBack(t *testing.T) {
	e := newEngine(t, detect.Options{})
	l := labels("__name__=m")
	e.SetNow(start + 86400_000)
	send(e, l, ingest.KindGauge, ingest.Sample{T: start + 86400_000, V: 1})
	e.SetNow(start)
	require.Equal(t, ingest.Result{Accepted: 1}, send(e, l, ingest.KindGauge, ingest.Sample{T: start, V: 2}))
	require.Equal(t, int64(start), only(t, e).T)

	e.SetNow(start + 86400_000)
	send(e, l, ingest.KindGauge, ingest.Sample{T: start + 86400_000, V: 1})
	require.Equal(t, 1, e.Expire(start), "a series of the future is dropped")
}

func TestStaleMarkerEndsTheScore(t *testing.T) {
	e := newEngine(t, detect.Options{})
	l := labels("__name__=m")
	send(e, l, ingest.KindGauge, ingest.Sample{T: start, V: 1})
	require.Len(t, dump(e), 1)
	require.Equal(t, ingest.Result{Accepted: 1}, send(e, l, ingest.KindGauge, ingest.Sample{T: start + 1000, V: ingest.StaleNaN()}))
	require.Empty(t, dump(e))
	require.Equal(t, ingest.Result{Duplicate: 1}, send(e, l, ingest.KindGauge, ingest.Sample{T: start + 1000, V: ingest.StaleNaN()}))
	require.Equal(t, uint64(1), e.Stats().SeriesStale)
	require.Equal(t, 1, e.Stats().Series, "the model waits for the series to come back")
	send(e, l, ingest.KindGauge, ingest.Sample{T: start + 2000, V: 1})
	require.Len(t, dump(e), 1)
}

func TestSilenceEndsTheScore(t *testing.T) {
	e := newEngine(t, detect.Options{StaleAfter: time.Minute, ExpireAfter: 2 * time.Hour})
	fast, slow := labels("__name__=fast"), labels("__name__=slow")
	for i := range int64(10) {
		send(e, fast, ingest.KindGauge, ingest.Sample{T: start + i*5_000, V: 1})
		send(e, slow, ingest.KindGauge, ingest.Sample{T: start + i*600_000, V: 1})
	}
	f := func(now int64, want ...string) {
		t.Helper()
		e.SetNow(now)
		var got []string
		for k := range dump(e) {
			got = append(got, k)
		}
		require.ElementsMatch(t, want, got)
	}
	const fastEnd, slowEnd = start + 45_000, start + 9*600_000
	f(fastEnd+60_000, `__name__="fast" `, `__name__="slow" `)
	f(fastEnd+60_001, `__name__="slow" `)
	f(slowEnd+1_500_000, `__name__="slow" `)
	f(slowEnd + 1_500_001)
	require.Equal(t, 2, e.Stats().Series)
	require.Equal(t, 1, e.Expire(fastEnd+7200_001))
	require.Equal(t, 1, e.Stats().Series)
	require.Equal(t, 1, e.Expire(slowEnd+7200_001))
	require.Equal(t, uint64(2), e.Stats().SeriesExpired)
}

func TestSeriesCap(t *testing.T) {
	e := newEngine(t, detect.Options{MaxSeries: 3})
	for i := range 5 {
		want := ingest.Result{Accepted: 2}
		if i >= 3 {
			want = ingest.Result{Dropped: 2}
		}
		got := send(e, labels("__name__=m", fmt.Sprint("i=", i)), ingest.KindGauge, ingest.Sample{T: start, V: 1}, ingest.Sample{T: start + 1, V: 1})
		require.Equal(t, want, got)
	}
	s := e.Stats()
	require.Equal(t, []uint64{3, 2, 4}, []uint64{s.SeriesAdded, s.SeriesRefused, s.Dropped})
	require.Equal(t, 3, e.Expire(start+10*3600_000))
	require.Equal(t, ingest.Result{Accepted: 1}, send(e, labels("__name__=new"), ingest.KindGauge, ingest.Sample{T: start, V: 1}))
}

// Pods come and go for weeks; memory follows the living.
func TestMemoryIsFlatUnderChurn(t *testing.T) {
	e := newEngine(t, detect.Options{ExpireAfter: time.Minute})
	sizes := map[int]int64{}
	for round := range 60 {
		now := int64(start + round*61_000)
		a := e.Appender()
		for i := range 500 {
			l := labels("__name__=m", fmt.Sprintf("pod=web-%d-%d-%s", round, i, strings.Repeat("x", i%50)), fmt.Sprint("n=", i))
			if i%2 == 0 {
				l = l[:2]
			}
			a.Append(l, ingest.KindGauge, []ingest.Sample{{T: now, V: 1}})
		}
		require.Equal(t, 500, a.Commit().Accepted)
		e.Expire(now)
		require.Equal(t, 500, e.Stats().Series)
		sizes[round] = e.Stats().Bytes
	}
	require.InEpsilon(t, sizes[10], sizes[59], 0.05, "after 10 and 60 rounds of churn")
	require.Equal(t, 500, e.Expire(start+10*24*3600_000))
	require.Empty(t, dump(e))
}

func TestConcurrentUse(t *testing.T) {
	e := newEngine(t, detect.Options{Shards: 4})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range int64(50) {
				a := e.Appender()
				for k := range 40 {
					a.Append(labels("__name__=m", fmt.Sprint("k=", k), fmt.Sprint("w=", w)), ingest.KindGauge, []ingest.Sample{{T: start + i*1000, V: float64(k)}})
				}
				if r := a.Commit(); r.Accepted != 40 {
					t.Errorf("accepted %d of 40", r.Accepted)
				}
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			e.ForEach(func([]ingest.Label, detect.Output) bool { return true })
			var b bytes.Buffer
			if err := e.Snapshot(&b); err != nil {
				t.Error(err)
			}
			e.Stats()
			e.Expire(start)
		}
	})
	wg.Wait()
	require.Len(t, dump(e), 160)
}

// A gauge whose type the source learns late keeps its model.
func TestLateTypeKeepsTheModel(t *testing.T) {
	e := newEngine(t, detect.Options{})
	l := labels("__name__=temperature")
	for i := range 60 {
		send(e, l, ingest.KindUnknown, ingest.Sample{T: start + int64(i)*5000, V: float64(20 + i%3)})
	}
	require.True(t, only(t, e).Ready)
	send(e, l, ingest.KindGauge, ingest.Sample{T: start + 60*5000, V: 20})
	require.True(t, only(t, e).Ready, "a gauge is modelled as it is, like a series of unknown kind")
}

// The end of a series that the engine never saw makes no series.
func TestEndOfTheUnknown(t *testing.T) {
	e := newEngine(t, detect.Options{})
	a := e.Appender()
	a.Append(labels("__name__=gone"), ingest.KindUnknown, []ingest.Sample{{T: start, V: math.Float64frombits(0x7ff0000000000002)}})
	require.Equal(t, ingest.Result{Accepted: 1}, a.Commit())
	require.Zero(t, e.Stats().Series)
}
