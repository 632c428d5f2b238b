package forecasts_test

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/datasource-plugin/pkg/forecasts"
	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
)

// young is a server that was started a while ago and whose only series falls by one a minute.
type young struct {
	since time.Time
	steps []time.Duration
}

func (y *young) QueryRange(_ context.Context, _ string, from, to time.Time, step time.Duration) (model.Value, []string, error) {
	y.steps = append(y.steps, step)
	s := &model.SampleStream{Metric: model.Metric{"disk": "a"}}
	for at := from; !at.After(to); at = at.Add(step) {
		if !at.Before(y.since) {
			s.Values = append(s.Values, model.SamplePair{Timestamp: model.TimeFromUnixNano(at.UnixNano()), Value: model.SampleValue(1000 - at.Sub(y.since).Minutes())})
		}
	}
	if len(s.Values) == 0 {
		return model.Matrix{}, nil, nil
	}
	return model.Matrix{s}, nil, nil
}

// A server that is an hour old is asked again at a finer step, once; one that has all the history is not.
func TestYoungServer(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	run := func(age time.Duration) (*young, []string) {
		t.Helper()
		y := &young{since: now.Add(-age)}
		frames, err := forecasts.Run(t.Context(), y, forecasts.Request{
			Query: query.Forecast{View: query.ViewNumeric, Metric: "disk_free", Horizon: "4d", Level: 0.95, Limit: 5, Until: new(0.0)},
			From:  now.Add(-time.Hour), To: now, Now: now, Scrape: 15 * time.Second,
		})
		require.NoError(t, err)
		var notices []string
		for _, n := range frames[0].Meta.Notices {
			notices = append(notices, n.Text)
		}
		return y, notices
	}
	y, notices := run(time.Hour)
	require.Len(t, y.steps, 2)
	require.Less(t, y.steps[1], 5*time.Minute)
	require.Contains(t, notices[1], "meets 0 at 2026-11-23", "after 1000 minutes")

	y, _ = run(30 * 24 * time.Hour)
	require.Len(t, y.steps, 1)

	y, notices = run(time.Minute)
	require.Len(t, y.steps, 2)
	require.Equal(t, []string{"1 of 1 series have too few values for a forecast."}, notices)

	_, notices = run(-time.Hour)
	require.Equal(t, []string{"No series fits this query in this time range."}, notices)
}
