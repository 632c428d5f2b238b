package detect_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
)

// two feeds node and pod, and other besides, for two hours, one sample each 15 s, and
// returns the time of the last.
func twoHours(t *testing.T, e *detect.Engine) int64 {
	t.Helper()
	at := int64(start)
	for i := range 480 {
		at = start + int64(i)*15_000
		e.SetNow(at)
		for _, name := range []string{"instance=node", "pod=web-1", "job=other"} {
			send(e, labels("__name__=m", name), ingest.KindGauge, ingest.Sample{T: at, V: float64(50 + i*7%5)})
		}
	}
	return at
}

// missing returns the series that are shown as missing.
func missing(t *testing.T, e *detect.Engine) (names []string) {
	t.Helper()
	for name, o := range dump(e) {
		if o.Missing {
			require.Greater(t, o.Score, 1.0)
			require.Equal(t, detect.ReasonSilence, o.Reason)
			names = append(names, name)
		}
	}
	return names
}

func TestSeriesThatVanishes(t *testing.T) {
	e := newEngine(t, detect.Options{})
	last := twoHours(t, e)
	seen := map[int]bool{}
	for i := 1; i <= 80; i++ {
		at := last + int64(i)*15_000
		e.SetNow(at)
		send(e, labels("__name__=m", "job=other"), ingest.KindGauge, ingest.Sample{T: at, V: float64(50 + i*7%5)})
		if m := missing(t, e); len(m) > 0 {
			require.Equal(t, []string{`__name__="m" instance="node" `}, m, "a pod may go")
			require.Equal(t, 1, e.Stats().Anomalous)
			seen[i] = true
		}
	}
	require.False(t, seen[3])
	require.True(t, seen[5], "two samples after the third that did not come")
	require.False(t, seen[40], "told, and gone")
	require.Len(t, dump(e), 1)

	at := last + 81*15_000
	send(e, labels("__name__=m", "instance=node"), ingest.KindGauge, ingest.Sample{T: at, V: 51})
	require.Empty(t, missing(t, e), "it is back")
}

// An end marker says that the series ended even if nothing else comes.
func TestMarkerOfTheEnd(t *testing.T) {
	e := newEngine(t, detect.Options{})
	last := twoHours(t, e)
	for _, name := range []string{"instance=node", "pod=web-1", "job=other"} {
		send(e, labels("__name__=m", name), ingest.KindGauge, ingest.Sample{T: last + 15_000, V: ingest.StaleNaN()})
	}
	e.SetNow(last + 15_000)
	require.Empty(t, dump(e))
	e.SetNow(last + 90_000)
	require.Len(t, missing(t, e), 2)
}

// When the source itself is silent, nothing is missing.
func TestSilentSource(t *testing.T) {
	e := newEngine(t, detect.Options{})
	last := twoHours(t, e)
	for i := int64(1); i < 100; i++ {
		e.SetNow(last + i*15_000)
		require.Empty(t, missing(t, e))
	}
}

func TestClassSaysWhatAnEndMeans(t *testing.T) {
	for ends, want := range map[detect.Ends]int{detect.EndsByLabels: 1, detect.EndsSeen: 2, detect.EndsUnseen: 0} {
		e := newEngine(t, detect.Options{
			Classes:  []detect.Class{{Ends: ends}},
			Classify: func([]ingest.Label) int { return 0 },
		})
		last := twoHours(t, e)
		at := last + 8*15_000
		e.SetNow(at)
		send(e, labels("__name__=m", "job=other"), ingest.KindGauge, ingest.Sample{T: at, V: 50})
		require.Len(t, missing(t, e), want, fmt.Sprint(ends))
	}
}

// Samples that come late by habit are missed later, and a series of which one sample
// came keeps its score for as long as the next is not due.
func TestDelayAndIntervalOfAClass(t *testing.T) {
	at := func(c detect.Class, steps int64) *detect.Engine {
		e := newEngine(t, detect.Options{Classes: []detect.Class{c}, Classify: func([]ingest.Label) int { return 0 }})
		last := twoHours(t, e)
		now := last + steps*15_000
		e.SetNow(now)
		send(e, labels("__name__=m", "job=other"), ingest.KindGauge, ingest.Sample{T: now, V: 50})
		return e
	}
	require.Len(t, missing(t, at(detect.Class{}, 8)), 1)
	require.Empty(t, missing(t, at(detect.Class{Delay: 3 * time.Minute}, 8)))
	require.Len(t, missing(t, at(detect.Class{Delay: 3 * time.Minute}, 20)), 1)

	hourly := []detect.Class{{Interval: time.Hour}}
	for _, o := range []detect.Options{{}, {Classes: hourly, Classify: func([]ingest.Label) int { return 0 }}} {
		e := newEngine(t, o)
		send(e, labels("__name__=m"), ingest.KindGauge, ingest.Sample{T: start, V: 1})
		e.SetNow(start + 45*60_000)
		require.Len(t, dump(e), len(o.Classes))
	}
}
