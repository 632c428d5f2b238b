package sqlstore_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/noise"
)

func TestNoiseAddsUp(t *testing.T) {
	for name, dsn := range map[string]func(testing.TB) string{"sqlite": sqliteDSN, "postgres": postgresDSN} {
		t.Run(name, func(t *testing.T) {
			s := open(t, dsn(t))
			day := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
			a := noise.Count{Day: day, Rule: "Slow", Team: "shop", Notices: 3, Alerts: 2, Incidents: 1, Tickets: 1}
			old := noise.Count{Day: day.AddDate(0, 0, -1), Rule: "Slow\x00", Kept: "info", Notices: 1}
			require.NoError(t, s.Apply(t.Context(), incident.Change{Noise: []noise.Count{a, old}}))
			require.NoError(t, s.Apply(t.Context(), incident.Change{Noise: []noise.Count{a}}))
			a.Notices, a.Alerts, a.Incidents, a.Tickets, old.Rule = 6, 4, 2, 2, "Slow\uFFFD"
			got, err := s.Noise(t.Context(), time.Time{})
			require.NoError(t, err)
			require.Equal(t, []noise.Count{old, a}, got)
			got, err = s.Noise(t.Context(), day.Add(13*time.Hour))
			require.NoError(t, err)
			require.Equal(t, []noise.Count{a}, got, "days are whole")
			require.NoError(t, s.Maintain(t.Context(), day.AddDate(2, 0, 0)))
			got, err = s.Noise(t.Context(), time.Time{})
			require.NoError(t, err)
			require.Empty(t, got)
		})
	}
}
