package protocoltest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/portent-dev/portent/datasource-plugin/prometheustest"
	"github.com/portent-dev/portent/internal/incidentapi"
)

// fakeReceiver answers the list of incidents as the receiver does: newest first, by status, only what was open
// at or after since, page by page.
type fakeReceiver struct {
	url string
	all []incidentapi.Incident

	mu    sync.Mutex
	asked []url.Values
	token string // wanted, when not empty
}

func serveReceiver(t *testing.T, all ...incidentapi.Incident) *fakeReceiver {
	t.Helper()
	f := &fakeReceiver{all: all}
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	f.url = srv.URL
	return f
}

func (f *fakeReceiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f.mu.Lock()
	f.asked = append(f.asked, q)
	f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if f.token != "" && r.Header.Get("Authorization") != "Bearer "+f.token {
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(incidentapi.ErrorBody{Error: "no valid token", Hint: "send a bearer token"})
		return
	}
	if r.URL.Path != incidentapi.PathIncidents {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	since, _ := time.Parse(time.RFC3339Nano, q.Get("since"))
	limit, _ := strconv.Atoi(q.Get("limit"))
	start, _ := strconv.Atoi(q.Get("cursor"))
	kept := slices.DeleteFunc(slices.Clone(f.all), func(i incidentapi.Incident) bool {
		return q.Get("status") != "" && i.Status != q.Get("status") || i.EndedAt != nil && i.EndedAt.Before(since)
	})
	kept = kept[min(start, len(kept)):]
	page := incidentapi.IncidentPage{Incidents: kept[:min(limit, len(kept))]}
	if len(kept) > limit {
		next := strconv.Itoa(start + limit)
		page.Next = &next
	}
	_ = json.NewEncoder(w).Encode(page)
}

// incidents of the hour of the fleet, newest first.
func incidents() []incidentapi.Incident {
	at := func(minute int) time.Time { return prometheustest.FleetStart.Add(time.Duration(minute) * time.Minute) }
	end := func(minute int) *time.Time { t := at(minute); return &t }
	alert := func(status string, labels map[string]string) incidentapi.Alert {
		return incidentapi.Alert{Fingerprint: "f1", StartsAt: at(0), Status: status, Labels: labels, Why: "first"}
	}
	return []incidentapi.Incident{
		{ // started after the range
			ID: "01J7", Status: "open", Severity: "critical", Title: "later", StartedAt: at(61), UpdatedAt: at(61),
		},
		{
			ID: "01J6", Status: "open", Severity: "critical", Title: "Load of web-1", Summary: "Load is 9 times what was expected.",
			StartedAt: at(41), UpdatedAt: at(50), URL: "https://portent.example.org/incidents/01J6",
			RootCause: &incidentapi.RootCause{Entity: "web-1", Alertname: "LoadAnomalous", Confidence: 0.8},
			Tickets:   []incidentapi.Ticket{{Tracker: "local", Key: "LOCAL-1", URL: "/tickets/LOCAL-1", Status: "open"}, {Tracker: "jira", Key: "OPS-7", URL: "https://jira.example.org/browse/OPS-7", Status: "To Do"}},
			Alerts: []incidentapi.Alert{
				alert("firing", map[string]string{"alertname": "LoadAnomalous", "namespace": "shop", "instance": "web-1:9100"}),
				alert("resolved", map[string]string{"alertname": "Slow", "namespace": "shop"}),
			},
		},
		{ // everything hostile
			ID: "a/../b?c", Status: "open", Severity: "warning", Title: `<img src=x onerror=alert(1)>`, Summary: `"><script>alert(1)</script>`,
			StartedAt: at(30), UpdatedAt: at(30), URL: "javascript:alert(1)",
			Tickets: []incidentapi.Ticket{{Tracker: "x", Key: "X-1", URL: "javascript:alert(1)"}, {Tracker: "y", Key: ""}},
			Alerts:  []incidentapi.Alert{alert("firing", map[string]string{"namespace": "pay"})},
		},
		{
			ID: "01J4", Status: "resolved", Severity: "warning", Title: "Job took long", StartedAt: at(20), EndedAt: end(31), UpdatedAt: at(31),
			RootCause: &incidentapi.RootCause{Alertname: "JobSlow"},
			Alerts:    []incidentapi.Alert{alert("resolved", map[string]string{"namespace": "batch"})},
		},
		{
			ID: "01J3", Status: "dismissed", Severity: "info", Title: "Nothing", StartedAt: at(-50), EndedAt: end(5), UpdatedAt: at(5),
			RootCause: &incidentapi.RootCause{Entity: "db-1"},
			Alerts:    []incidentapi.Alert{alert("resolved", nil)},
		},
		{ // ended before the range
			ID: "01J2", Status: "resolved", Severity: "critical", Title: "earlier", StartedAt: at(-90), EndedAt: end(-1), UpdatedAt: at(-1),
		},
	}
}
