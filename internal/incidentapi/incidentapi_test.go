package incidentapi_test

import (
	"encoding/json"
	"io"
	"log"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incidentapi"
)

func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }

// The text below is the contract: a change here breaks users' scripts.
func TestJSONIsTheContract(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 32, 46, 253290152, time.UTC)
	end := at.Add(time.Minute)
	next := "c2"
	page := incidentapi.IncidentPage{Next: &next, Incidents: []incidentapi.Incident{{
		ID: "01J", Status: incidentapi.StatusOpen, Severity: "critical", Title: "t", Summary: "s", StartedAt: at, UpdatedAt: end,
		RootCause: &incidentapi.RootCause{Entity: "shop", Alertname: "HighLatency", Confidence: 0.5},
		Tickets:   []incidentapi.Ticket{{Tracker: "jira", Key: "OPS-1", URL: "https://x/OPS-1", Status: "To Do"}},
		Alerts: []incidentapi.Alert{
			{Fingerprint: "a350557aa430340e", StartsAt: at, Status: "firing", Labels: map[string]string{"alertname": "HighLatency"}, Why: "first"},
			{Fingerprint: "fa091c0d7e436796", StartsAt: at, EndsAt: &end, Status: "resolved", Labels: map[string]string{}, Why: "same namespace"},
		},
		Evidence: []incidentapi.Evidence{{Kind: "query", Title: "HighLatency", Query: "up", URL: "http://p/graph"}},
	}}}
	got, err := json.MarshalIndent(page, "", " ")
	require.NoError(t, err)
	require.JSONEq(t, `{"incidents":[{"id":"01J","status":"open","severity":"critical","title":"t","summary":"s",
	  "startedAt":"2026-11-22T10:32:46.253290152Z","endedAt":null,"updatedAt":"2026-11-22T10:33:46.253290152Z",
	  "rootCause":{"entity":"shop","alertname":"HighLatency","confidence":0.5},
	  "tickets":[{"tracker":"jira","key":"OPS-1","url":"https://x/OPS-1","status":"To Do"}],
	  "alerts":[{"fingerprint":"a350557aa430340e","startsAt":"2026-11-22T10:32:46.253290152Z","endsAt":null,"labels":{"alertname":"HighLatency"},"status":"firing","why":"first"},
	            {"fingerprint":"fa091c0d7e436796","startsAt":"2026-11-22T10:32:46.253290152Z","endsAt":"2026-11-22T10:33:46.253290152Z","labels":{},"status":"resolved","why":"same namespace"}],
	  "evidence":[{"kind":"query","title":"HighLatency","query":"up","url":"http://p/graph"}]}],"next":"c2"}`, string(got))

	last, err := json.Marshal(incidentapi.AlertPage{Alerts: []incidentapi.Alert{}})
	require.NoError(t, err)
	require.JSONEq(t, `{"alerts":[],"next":null}`, string(last), "next is null at the end, never absent")
}

// Whatever a server answers, decoding neither panics nor loses what it took.
func FuzzDecodeIncidentPage(f *testing.F) {
	f.Add([]byte(`{"incidents":[{"id":"1","startedAt":"2026-11-22T10:32:46.25Z","alerts":[{"startsAt":"2026-11-22T10:32:46Z","labels":{"a":"b"}}]}],"next":null}`))
	f.Add([]byte(`{"incidents":null,"next":"x"}`))
	f.Add([]byte(`{"incidents":[{"endedAt":"0001-01-01T00:00:00Z"}]}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var page, again incidentapi.IncidentPage
		if json.Unmarshal(data, &page) != nil {
			return
		}
		out, err := json.Marshal(page)
		if err != nil {
			return // a time beyond year 9999 has no RFC 3339 form
		}
		require.NoError(t, json.Unmarshal(out, &again))
		out2, err := json.Marshal(again)
		require.NoError(t, err)
		require.Equal(t, string(out), string(out2))
	})
}
