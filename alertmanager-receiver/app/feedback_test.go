package app

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incidentapi"
)

func TestVerdictsGoToTheExporter(t *testing.T) {
	ts := newTestServer(t, nil)
	score := testAlert("AnomalyDetected", time.Hour, 0, "metric", "http_requests", "namespace", "shop")
	plain := testAlert("DiskFull", time.Hour, 0, "namespace", "shop")
	ts.add(t, seed{id: "01A", title: "a", status: "open", severity: "warning", cause: incident.RootCause{Alertname: "AnomalyDetected"}, alerts: []incident.Alert{score, plain}})
	ts.add(t, seed{id: "01B", title: "b", status: "open", severity: "warning", alerts: []incident.Alert{plain}})
	status := 200
	var got []string
	var bodies []map[string]any
	exporter := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Method+" "+r.URL.EscapedPath()+" "+r.Header.Get("Authorization"))
		b, _ := io.ReadAll(r.Body)
		var m map[string]any
		_ = json.Unmarshal(b, &m)
		bodies = append(bodies, m)
		w.WriteHeader(status)
	}))
	defer exporter.Close()
	clock := t0
	tell := &teller{
		store: ts.db, client: http.DefaultClient, log: slog.New(slog.DiscardHandler), now: func() time.Time { return clock },
		config: func() FeedbackConfig {
			return FeedbackConfig{ExporterURL: exporter.URL + "/", Token: "0123456789abcdef"}
		},
	}
	say := func(id, verdict string) {
		ts.clock = ts.clock.Add(time.Second)
		clock = clock.Add(time.Second)
		_, err := ts.carryOut(t.Context(), principal{name: "ann", role: RoleAdmin}, decision{Incident: id, Do: actionFeedback, Action: incidentapi.Action{Reason: "noise", Verdict: verdict}})
		require.NoError(t, err)
	}
	say("01A", incidentapi.VerdictDismissed)
	say("01B", incidentapi.VerdictDismissed)
	status = 503
	require.NoError(t, tell.round(t.Context()))
	require.Len(t, got, 1, "of alerts with a score only")
	require.Equal(t, "POST /api/v1/feedback Bearer 0123456789abcdef", got[0])
	require.Equal(t, "01A/"+score.Fingerprint, bodies[0]["id"])
	require.Equal(t, "dismissed", bodies[0]["verdict"])
	require.Equal(t, "http_requests", bodies[0]["labels"].(map[string]any)["metric"])

	require.NoError(t, tell.round(t.Context()))
	require.Len(t, got, 1, "not before its time")
	clock, status = clock.Add(time.Minute), 200
	require.NoError(t, tell.round(t.Context()))
	require.NoError(t, tell.round(t.Context()))
	require.Len(t, got, 2, "again, and once")

	say("01A", incidentapi.VerdictUndo)
	status = 404 // it has forgotten it already
	require.NoError(t, tell.round(t.Context()))
	require.Equal(t, "DELETE /api/v1/feedback/01A%2F"+score.Fingerprint+" Bearer 0123456789abcdef", got[2])
	say("01A", incidentapi.VerdictConfirmed)
	status = 400
	require.NoError(t, tell.round(t.Context()))
	require.NoError(t, tell.round(t.Context()))
	require.Len(t, got, 4, "what is wrong is not sent again")
}
