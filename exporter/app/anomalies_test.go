package app

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
)

func TestWorst(t *testing.T) {
	since := time.Date(2026, 11, 22, 13, 5, 0, 0, time.UTC)
	var series []testSeries
	for i := range 100 {
		o := detect.Output{T: since.UnixMilli(), Since: since.UnixMilli(), Value: 3, Score: float64(i%50) / 10, Ready: true, Reason: detect.ReasonLevel}
		if i == 49 {
			o.Ready = false // its score says nothing
		}
		series = append(series, testSeries{labelsOf("__name__", "m", "i", strconv.Itoa(i)), o})
	}
	all, err := newSelection(nil, nil)
	require.NoError(t, err)
	f := func(match *selection, limit, total int, want ...string) {
		t.Helper()
		got := worst(each(series), match, limit, "combined")
		require.Equal(t, total, got.Total)
		var ids []string
		for _, a := range got.Anomalies {
			ids = append(ids, a.Labels["i"])
		}
		require.Equal(t, want, ids)
	}
	f(all, 5, 2*39-1, "99", "48", "98", "47", "97") // scores 4.9, 4.8, 4.8, 4.7, 4.7; ties in the order of the labels
	f(all, 1, 2*39-1, "99")
	some, err := newSelection([]string{`{i=~"1|2|60|61|62"}`}, nil)
	require.NoError(t, err)
	f(some, 10, 2, "62", "61") // 1.2 and 1.1; exactly 1 is normal
	require.Len(t, worst(each(series), all, 1000, "combined").Anomalies, 77)

	a := worst(each(series), all, 1, "combined").Anomalies[0]
	require.Equal(t, since, a.Since)
	require.Equal(t, "level", a.Reason)
}

func TestExplain(t *testing.T) {
	since := time.Date(2026, 11, 22, 13, 5, 0, 0, time.UTC).UnixMilli()
	f := func(name string, o detect.Output, want string) {
		t.Helper()
		o.Since = since
		require.Equal(t, want, explain(labelsOf("__name__", name, "job", "x"), o))
	}
	f("queue_length", detect.Output{Value: 512.3456, Expected: 100, Lower: 90.5, Upper: 1.1e2, Reason: detect.ReasonLevel},
		"queue_length is 512.3 where 100 was expected (normal is 90.5 to 110): far above what this time of day usually shows, since 2026-11-22 13:05:00 UTC.")
	f("requests_total", detect.Output{Value: 0, Expected: 12, Lower: 8, Upper: 16, Reason: detect.ReasonSilence},
		"requests_total is 0 per second where 12 was expected (normal is 8 to 16): it fell silent or froze where there was life, or the reverse, since 2026-11-22 13:05:00 UTC.")
	f("free_bytes", detect.Output{Value: 1234567890, Expected: 9.87e9, Lower: 9e9, Upper: 1e10, Reason: detect.ReasonLevel},
		"free_bytes is 1234567890 where 9870000000 was expected (normal is 9000000000 to 10000000000): far below what this time of day usually shows, since 2026-11-22 13:05:00 UTC.")
	f("up", detect.Output{Value: 1, Expected: 1.8e-23, Lower: -3e-24, Upper: 3e-23},
		"up is 1 where 0 was expected (normal is 0 to 0): it does not fit its own history, since 2026-11-22 13:05:00 UTC.")
	f(strings.Repeat("ü", 500), detect.Output{Value: 1, Expected: 2, Lower: 1.5, Upper: 2.5, Reason: detect.ReasonTrend},
		strings.Repeat("ü", 120)+"… is 1 where 2 was expected (normal is 1.5 to 2.5): it keeps rising or falling against its own history, since 2026-11-22 13:05:00 UTC.")
	require.True(t, strings.HasPrefix(explain(nil, detect.Output{}), "the series is 0"))

	seen := map[string]bool{}
	for r := detect.ReasonNone; !strings.HasPrefix(r.String(), "reason("); r++ {
		words := reasonWords(r, true)
		require.False(t, seen[words], "reason %s has words of its own", r)
		seen[words] = true
	}
}
