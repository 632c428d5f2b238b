package detect_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/detect/detecttest"
	"github.com/portent-dev/portent/internal/ingest"
)

// Values that are no numbers, or hardly any: counted, and the score is back with the
// next ordinary value.
func TestNoNumbers(t *testing.T) {
	e := newEngine(t, detect.Options{})
	l := labels("__name__=m")
	r := rand.New(rand.NewPCG(1, 1))
	at := int64(start)
	for range 200 {
		at += 15_000
		send(e, l, ingest.KindGauge, ingest.Sample{T: at, V: 50 + r.NormFloat64()})
	}
	bad := []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Float64frombits(0x7ff8000000000001)}
	for _, v := range bad {
		at += 15_000
		require.Equal(t, 1, send(e, l, ingest.KindGauge, ingest.Sample{T: at, V: v}).Accepted)
		o := only(t, e)
		require.False(t, o.Ready)
		require.Zero(t, o.Score)
	}
	require.Equal(t, uint64(len(bad)), e.Stats().NotFinite)
	for range 30 {
		at += 15_000
		send(e, l, ingest.KindGauge, ingest.Sample{T: at, V: 50 + r.NormFloat64()})
	}
	require.True(t, only(t, e).Ready)
	require.LessOrEqual(t, only(t, e).Score, 1.0)

	for i, v := range []float64{5e-324, -5e-324, math.MaxFloat64, -math.MaxFloat64, math.Copysign(0, -1), 1e-310} {
		at += 15_000
		send(e, l, ingest.KindGauge, ingest.Sample{T: at, V: v})
		require.NoError(t, detecttest.Check(only(t, e)), "value %d", i)
	}
	for range 2000 {
		at += 15_000
		send(e, l, ingest.KindGauge, ingest.Sample{T: at, V: 50 + r.NormFloat64()})
	}
	require.LessOrEqual(t, only(t, e).Score, 1.0, "not stuck")
	require.InDelta(t, 50, only(t, e).Expected, 20)
}

// One sample in a year: no score, no growth, and dropped in between.
func TestOneSampleAYear(t *testing.T) {
	e := newEngine(t, detect.Options{})
	at := int64(start)
	for range 20 {
		e.SetNow(at)
		require.Equal(t, 1, send(e, labels("__name__=leap"), ingest.KindGauge, ingest.Sample{T: at, V: 1}).Accepted)
		require.LessOrEqual(t, only(t, e).Score, 1.0)
		at += 365 * 86400_000
		e.SetNow(at)
		require.Empty(t, dump(e))
		require.Equal(t, 1, e.Expire(at))
	}
	require.Equal(t, uint64(20), e.Stats().SeriesExpired)
	require.Zero(t, e.Stats().Series)
}

// A million new series in a minute fill the room there is, and no more; who was there
// first goes on.
func TestMillionNewSeries(t *testing.T) {
	const room, n = 5_000, 1_000_000
	e := newEngine(t, detect.Options{MaxSeries: room})
	known := labels("__name__=known")
	send(e, known, ingest.KindGauge, ingest.Sample{T: start, V: 1})
	ls := labels("__name__=churn", "pod=x")
	buf := make([]byte, 0, 16)
	after := int64(0)
	dropped := 0
	for from := 0; from < n; from += 10_000 {
		a := e.Appender()
		for i := range 10_000 {
			buf = strconv.AppendInt(buf[:0], int64(from+i), 36)
			ls[1].Value = alias(buf)
			a.Append(ls, ingest.KindGauge, []ingest.Sample{{T: start + int64(from/10_000)*600, V: 1}})
		}
		dropped += a.Commit().Dropped
		if from == 20_000 {
			after = e.Stats().Bytes
		}
	}
	s := e.Stats()
	require.Equal(t, room, s.Series)
	require.Equal(t, n-room+1, dropped)
	require.Equal(t, uint64(dropped), s.SeriesRefused)
	require.Equal(t, after, s.Bytes, "what is refused leaves nothing behind")
	require.Equal(t, 1, send(e, known, ingest.KindGauge, ingest.Sample{T: start + 1, V: 1}).Accepted)
}

// An interval that changes is learnt: neither missing samples nor a stuck score.
func TestChangingInterval(t *testing.T) {
	e := newEngine(t, detect.Options{})
	r := rand.New(rand.NewPCG(2, 2))
	at := int64(start)
	other := int64(start)
	for _, step := range []time.Duration{15 * time.Second, time.Second, 2 * time.Minute, 15 * time.Second} {
		quiet := 0
		for i := range 1500 {
			at += step.Milliseconds()
			for ; other < at; other += 15_000 { // so that the source is never silent
				e.SetNow(max(at, other))
				send(e, labels("__name__=other"), ingest.KindGauge, ingest.Sample{T: other, V: r.NormFloat64()})
			}
			e.SetNow(max(at, other))
			send(e, labels("__name__=m"), ingest.KindGauge, ingest.Sample{T: at, V: 50 + r.NormFloat64()})
			o := dump(e)[`__name__="m" `]
			if i > 60 {
				require.False(t, o.Missing, "%s, sample %d", step, i)
				if o.Score > 1 {
					quiet++
				}
			}
		}
		require.LessOrEqual(t, quiet, 8, "%s: samples above 1", step)
	}
}

// A counter that is reset at every scrape has a rate, and no anomaly.
func TestResetsAtEveryScrape(t *testing.T) {
	e := newEngine(t, detect.Options{})
	r := rand.New(rand.NewPCG(3, 3))
	above := 0
	for i := range int64(3000) {
		send(e, labels("__name__=c_total"), ingest.KindCounter, ingest.Sample{T: start + i*15_000, V: float64(1_000_000-i*10) + 50*r.Float64()})
		if i > 0 && only(t, e).Score > 1 {
			above++
		}
	}
	require.Greater(t, e.Stats().CounterResets, uint64(2000))
	require.LessOrEqual(t, above, 8)
}

// Buckets that a histogram no longer has end without a word, and memory follows.
func TestChangedBuckets(t *testing.T) {
	e := newEngine(t, detect.Options{ExpireAfter: time.Hour})
	at := int64(start)
	bytes := map[int]int64{}
	for version := range 12 {
		for i := range 300 {
			at += 15_000
			e.SetNow(at)
			a := e.Appender()
			for b := range 20 {
				le := fmt.Sprintf("le=%g", float64(b+1)*(1+float64(version)/10))
				a.Append(labels("__name__=h_bucket", "instance=a", le), ingest.KindCounter, []ingest.Sample{{T: at, V: float64(i * b)}})
			}
			a.Commit()
			require.Empty(t, missing(t, e), "version %d, scrape %d", version, i)
		}
		e.Expire(at)
		bytes[version] = e.Stats().Bytes
	}
	require.InEpsilon(t, bytes[3], bytes[11], 0.05)
}

// What lies in the future is refused until it comes; a series that was led there by a
// wrong clock is not lost.
func TestTimesOfAllKinds(t *testing.T) {
	for _, row := range detect.Builtin {
		e := newEngine(t, detect.Options{Detector: row.Name})
		e.SetNow(start)
		r := rand.New(rand.NewPCG(4, 4))
		sent := 0
		for range 5000 {
			at := start + r.Int64N(3600_000) - 1800_000
			if r.IntN(50) == 0 {
				at = []int64{math.MinInt64, math.MaxInt64, 0, -1, 1, start + 86400_000}[r.IntN(6)]
			}
			sent += send(e, labels("__name__=m"), ingest.KindGauge, ingest.Sample{T: at, V: r.NormFloat64()}).Samples()
			e.ForEach(func(_ []ingest.Label, o detect.Output) bool {
				require.NoError(t, detecttest.Check(o))
				return true
			})
		}
		s := e.Stats()
		require.Equal(t, 5000, sent)
		require.Equal(t, uint64(sent), s.Accepted+s.Duplicate+s.OutOfOrder+s.TooFarAhead+s.Dropped, row.Name)
		require.Positive(t, s.TooFarAhead)
		require.Positive(t, s.OutOfOrder)
	}
}
