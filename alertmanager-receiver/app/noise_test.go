package app

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incidentapi"
	"github.com/portent-dev/portent/internal/noise"
)

func TestNoiseReport(t *testing.T) {
	ts := newTestServer(t, nil)
	day := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	require.NoError(t, ts.db.Apply(t.Context(), incident.Change{Noise: []noise.Count{
		{Day: day, Notices: 9},
		{Day: day, Rule: "Slow", Team: "shop", Notices: 12, Alerts: 4, Incidents: 2, Tickets: 1},
		{Day: day.AddDate(0, 0, -9), Rule: "Info", Kept: "info", Notices: 3, Alerts: 3},
	}}))
	var all, late incidentapi.NoiseReport
	w := ts.send(t, "GET", "/api/v1/noise", "")
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &all))
	require.Equal(t, incidentapi.Noise{Notices: 15, Alerts: 7, KeptOut: 3, Incidents: 2, Tickets: 1}, all.Total)
	require.EqualValues(t, 9, all.Notifications)
	require.Nil(t, all.Since)
	require.Equal(t, []incidentapi.Noise{{Name: "info", Notices: 3, Alerts: 3, KeptOut: 3}}, all.KeptOut)
	require.Equal(t, "2026-W46", all.Weeks[0].Name)

	w = ts.send(t, "GET", "/api/v1/noise?since=2026-11-22", "")
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &late))
	require.Equal(t, []incidentapi.Noise{{Name: "Slow", Notices: 12, Alerts: 4, Incidents: 2, Tickets: 1}}, late.Rules)
	requireError(t, ts.send(t, "GET", "/api/v1/noise?since=yesterday", ""), http.StatusBadRequest, "want a time")
}
