package app

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ticket/pagerduty"
	"github.com/portent-dev/portent/internal/ticket/pagerduty/pagerdutytest"
	"github.com/portent-dev/portent/internal/ticket/servicenow"
	"github.com/portent-dev/portent/internal/ticket/servicenow/servicenowtest"
	"github.com/portent-dev/portent/internal/ticket/tickettest"
)

// TestRemoteTrackers: each type is built, asked, shown in metrics, and kept over a
// reload that does not change it.
func TestRemoteTrackers(t *testing.T) {
	t.Parallel()
	_, pdURL := pagerdutytest.Start(t, time.Now)
	_, snURL := servicenowtest.Start(t, time.Now)
	pd, sn := pagerduty.DefaultConfig(), servicenow.DefaultConfig()
	pd.URL, pd.APIURL, pd.RoutingKey, pd.APIToken, pd.From = pdURL, pdURL, pagerdutytest.RoutingKey, pagerdutytest.APIToken, pagerdutytest.From
	sn.URL, sn.Username, sn.Password = snURL, servicenowtest.User, servicenowtest.Secret
	configs := []TrackerConfig{
		{Name: "calls", Type: TrackerPagerDuty, PagerDuty: &pd},
		{Name: "desk", Type: TrackerServiceNow, ServiceNow: &sn},
	}
	require.NoError(t, validateTrackers(configs))
	for i := range configs {
		require.NoError(t, configs[i].check("trackers"))
	}
	reg := prometheus.NewRegistry()
	s := newTrackerSet(nil, slog.New(slog.DiscardHandler), reg)
	targets, swap, err := s.prepare(t.Context(), configs)
	require.NoError(t, err)
	swap()
	for _, name := range []string{"calls", "desk"} {
		require.Equal(t, name, targets[name].Name)
		require.Equal(t, 30*time.Second, targets[name].SearchLag)
		made, err := targets[name].Create(t.Context(), tickettest.Draft("portent-1"))
		require.NoError(t, err)
		require.NotEmpty(t, made.URL)
	}
	for _, name := range []string{"portent_receiver_pagerduty_requests_total", "portent_receiver_servicenow_requests_total"} {
		n, err := testutil.GatherAndCount(reg, name)
		require.NoError(t, err)
		require.Positive(t, n, name)
	}

	again, _, err := s.prepare(t.Context(), configs)
	require.NoError(t, err)
	require.Same(t, targets["desk"].Tracker, again["desk"].Tracker)
	require.Same(t, targets["calls"].Tracker, again["calls"].Tracker)

	// What the instance says is wrong ends the start; one that cannot be asked does not.
	other := sn
	other.CloseCode = "Gone"
	_, _, err = s.prepare(t.Context(), []TrackerConfig{{Name: "desk", Type: TrackerServiceNow, ServiceNow: &other}})
	require.ErrorContains(t, err, `trackers[0].servicenow: servicenow configuration does not fit the site: close_code: the instance has no resolution code "Gone"`)
	other.URL = "http://127.0.0.1:1"
	targets, _, err = s.prepare(t.Context(), []TrackerConfig{{Name: "desk", Type: TrackerServiceNow, ServiceNow: &other}})
	require.NoError(t, err)
	require.Contains(t, targets, "desk")
}
