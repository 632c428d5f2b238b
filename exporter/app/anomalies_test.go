package app

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/analyze"
	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
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
		got := viewOf(series).worst(match, limit)
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
	require.Len(t, viewOf(series).worst(all, 1000).Anomalies, 77)

	a := viewOf(series).worst(all, 1).Anomalies[0]
	require.Equal(t, since, a.Since)
	require.Equal(t, "level", a.Reason)
	require.Contains(t, a.Explanation, `m{i="99"} is 3 in place of 0 that this hour usually shows, since 13:05 UTC.`)
}

func viewOf(series []testSeries) *anomaliesView {
	actions, err := analyze.ParseActions(analyze.DefaultActionsFile)
	if err != nil {
		panic(err)
	}
	l := newLoads()
	l.during(each(series))(func([]ingest.Label, detect.Output) bool { return true })
	return &anomaliesView{
		each: each(series), detector: "combined", actions: actions, limits: newLimits(), loads: l,
		limitOf: func([]ingest.Label, detect.Output) (float64, bool) { return 0, false },
		class:   func(detect.Output) detect.Class { return detect.Class{} },
	}
}
