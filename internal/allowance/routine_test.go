package allowance_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/allowance"
)

const minute = int64(60_000)

// runs notes an anomaly of 40 minutes each so many days, seen every 15 s, and returns when it would next start.
func runs(b *allowance.Book, times int, everyDays int64, deviation float64, jitter ...int64) (next int64) {
	start := now
	series := labels("__name__", "cpu", "pod", "batch")
	for i := range times {
		at := start
		if i < len(jitter) {
			at += jitter[i] * minute
		}
		for s := range 160 {
			b.Anomalous(series, at+int64(s)*15_000, deviation)
		}
		start += everyDays * day
	}
	return start
}

func TestRoutine(t *testing.T) {
	series, other := labels("__name__", "cpu", "pod", "batch"), labels("__name__", "cpu", "pod", "other")
	f := func(name string, times int, every int64, want bool, jitter ...int64) {
		t.Run(name, func(t *testing.T) {
			b := allowance.New(allowance.Defaults())
			next := runs(b, times, every, 300, jitter...)
			for _, at := range []int64{next, next + 30*minute, next - 15*minute} {
				require.Equal(t, want, b.At(at).Routine(series, at, 320))
			}
			at := next
			require.False(t, b.At(at).Routine(other, at, 320), "another series")
			require.False(t, b.At(at).Routine(series, at, -320), "the other side")
			require.False(t, b.At(at).Routine(series, at, 1000), "much farther")
			require.False(t, b.At(at).Routine(series, at+5*60*minute, 320), "another time of the day")
			require.False(t, b.At(at+60*day).Routine(series, at+60*day, 320), "long ago")
		})
	}
	f("two nights", 2, 1, false)
	f("three nights", 3, 1, true)
	f("three nights, not at the minute", 3, 1, true, -5, 4, 3)
	f("every second night", 4, 2, true)
	f("two Tuesdays", 2, 7, false)
	f("three Tuesdays", 3, 7, true)
	f("every fifth day", 6, 5, false)
	f("a month of nights", 30, 1, true)
}

// A job at its local time is routine over a change of the clocks; in UTC it comes an hour early.
func TestRoutineFollowsLocalTime(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	series := labels("__name__", "cpu", "pod", "batch")
	o := allowance.Defaults()
	for _, zone := range []*time.Location{nil, berlin} {
		o.Location = zone
		b := allowance.New(o)
		for d := 24; d < 29; d++ { // the clocks change on 29 March 2026
			at := time.Date(2026, 3, d, 3, 30, 0, 0, berlin).UnixMilli()
			for s := range 20 {
				b.Anomalous(series, at+int64(s)*minute, 300)
			}
		}
		next := time.Date(2026, 3, 30, 3, 35, 0, 0, berlin).UnixMilli()
		require.Equal(t, zone != nil, b.At(next).Routine(series, next, 300))
	}
}

func TestRoutinesAreBounded(t *testing.T) {
	b := allowance.New(allowance.Defaults())
	for i := range 25_000 {
		b.Anomalous(labels("__name__", "x", "i", strconv.Itoa(i)), now, 1)
	}
	for i := range int64(1000) { // one that swings
		b.Anomalous(labels("__name__", "x", "i", "0"), now+(i+1)*60*minute, float64(1-2*(i%2)))
	}
	data, _, err := b.Save()
	require.NoError(t, err)
	require.Less(t, len(data), 2_000_000)
	c := allowance.New(allowance.Defaults())
	require.NoError(t, c.Load(data))
}

func TestRoutinesAreKept(t *testing.T) {
	b := allowance.New(allowance.Defaults())
	next := runs(b, 3, 1, 300)
	data, _, err := b.Save()
	require.NoError(t, err)
	c := allowance.New(allowance.Defaults())
	require.NoError(t, c.Load(data))
	require.True(t, c.At(next).Routine(labels("__name__", "cpu", "pod", "batch"), next, 300))
	for _, bad := range []string{`{"version":1,"routines":{"x":[]}}`, `{"version":1,"routines":{"zz":[{"start":1}]}}`} {
		require.ErrorIs(t, allowance.New(allowance.Defaults()).Load([]byte(bad)), allowance.ErrState)
	}
}
