package sqlstore_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incident/incidenttest"
)

// Of an incident without end the first and the latest alerts are read, of the others what is asked for.
func TestAlertsEach(t *testing.T) {
	both(t, func(t *testing.T, dsn func(testing.TB) string) {
		s := open(t, dsn(t))
		big, small := incidenttest.NewIncident(1), incidenttest.NewIncident(2)
		big.Total, small.Total = 300, 1
		c := incident.Change{Incidents: []incident.Incident{big, small}}
		for i := range 300 {
			a := incidenttest.NewAlert(i, big.ID)
			a.UpdatedAt = a.StartsAt
			c.Alerts = append(c.Alerts, a)
		}
		c.Alerts = append(c.Alerts, incidenttest.NewAlert(1000, small.ID))
		require.NoError(t, s.Apply(t.Context(), c))

		is, _, err := s.List(t.Context(), incident.Query{AlertsEach: 50})
		require.NoError(t, err)
		require.Len(t, is, 2)
		require.Len(t, is[0].Alerts, 1)
		var got, want []incident.AlertID
		for _, a := range is[1].Alerts {
			got = append(got, a.ID())
		}
		for i, a := range c.Alerts[:300] {
			if i < incident.FirstAlerts || i >= 250 {
				want = append(want, a.ID())
			}
		}
		require.Equal(t, want, got, "in the order they were stored")
		is, _, err = s.List(t.Context(), incident.Query{})
		require.NoError(t, err)
		require.Len(t, is[1].Alerts, 300)

		before := c.Alerts[7].UpdatedAt
		as, _, err := s.ListAlerts(t.Context(), incident.AlertQuery{HeardBefore: before})
		require.NoError(t, err)
		require.NotEmpty(t, as)
		for _, a := range as {
			require.True(t, a.UpdatedAt.Before(before))
		}
		as, _, err = s.ListAlerts(t.Context(), incident.AlertQuery{HeardBefore: before, Since: before.Add(-time.Nanosecond)})
		require.NoError(t, err)
		require.Empty(t, as)
	})
}
