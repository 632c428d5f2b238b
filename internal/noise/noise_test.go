package noise_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/noise"
)

func TestSummarize(t *testing.T) {
	monday, sunday := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	r := noise.Summarize([]noise.Count{
		{Day: sunday, Notices: 7},
		{Day: sunday, Rule: "Slow", Team: "shop", Notices: 9, Alerts: 4, Incidents: 2, Tickets: 1},
		{Day: monday, Rule: "Slow", Team: "shop", Notices: 1, Alerts: 1},
		{Day: monday, Rule: "Chatty", Kept: "info", Notices: 30, Alerts: 20},
		{Day: monday, Notices: 12},
	})
	require.EqualValues(t, 19, r.Notifications)
	require.Equal(t, noise.Figures{Notices: 40, Alerts: 25, KeptOut: 20, Incidents: 2, Tickets: 1}, r.Total)
	require.Equal(t, []noise.Row{
		{Name: "Chatty", Figures: noise.Figures{Notices: 30, Alerts: 20, KeptOut: 20}},
		{Name: "Slow", Figures: noise.Figures{Notices: 10, Alerts: 5, Incidents: 2, Tickets: 1}},
	}, r.Rules, "the most alerts first")
	require.Equal(t, "shop", r.Teams[1].Name)
	require.Equal(t, []noise.Row{{Name: "info", Figures: noise.Figures{Notices: 30, Alerts: 20, KeptOut: 20}}}, r.Kept)
	require.Equal(t, "2026-W47", r.Weeks[0].Name)
	require.Equal(t, "2026-W48", r.Weeks[1].Name)
	require.Equal(t, "2020-W53", noise.Summarize([]noise.Count{{Day: time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC), Rule: "a"}}).Weeks[0].Name, "the year of the week")
}
