package app

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incidentapi"
)

func TestAlertmanagerEventsInNoise(t *testing.T) {
	ts := newTestServer(t, nil)
	const path = "/api/v1/webhook/alertmanager-events"
	event := `{"@timestamp":"` + t0.UTC().Format("2006-01-02") + `T03:00:02Z","data":{"silenceMutedAlert":{"silence":{"id":"s1","createdBy":"ann","comment":"disk <swap>"},"mutedAlert":{"labels":{"labels":[{"key":"alertname","value":"DiskFull"}]},"fingerprint":"255"}}}}`
	for range 2 { // sent again: the answer was lost
		require.Equal(t, http.StatusOK, ts.send(t, "POST", path, "["+event+","+event+"]").Code)
	}
	requireError(t, ts.send(t, "POST", path, `{"alerts":[]}`), http.StatusBadRequest, "no event")
	var r incidentapi.NoiseReport
	require.NoError(t, json.Unmarshal(ts.send(t, "GET", "/api/v1/noise", "").Body.Bytes(), &r))
	require.NotNil(t, r.Alertmanager)
	require.Equal(t, incidentapi.Before{Silenced: 1}, r.Alertmanager.Total)
	require.Equal(t, []incidentapi.Before{{Name: "DiskFull", Silenced: 1}}, r.Alertmanager.Rules)
	require.Equal(t, []incidentapi.Before{{Name: "disk <swap> (ann)", Silenced: 1}}, r.Alertmanager.Silences)
	page := ts.send(t, "GET", "/noise?span=all", "").Body.String()
	require.Contains(t, page, "disk &lt;swap&gt; (ann): 1")
}
