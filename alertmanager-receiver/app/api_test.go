package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incidentapi"
)

// client is the real client against the real handlers.
func (ts *testServer) client(t testing.TB, token string) *incidentapi.Client {
	t.Helper()
	srv := httptest.NewServer(ts.mux)
	t.Cleanup(srv.Close)
	c, err := incidentapi.New(incidentapi.Options{URL: srv.URL, Token: token})
	require.NoError(t, err)
	return c
}

// reasonOf returns why the client failed.
func reasonOf(t testing.TB, err error) incidentapi.Reason {
	t.Helper()
	var e *incidentapi.Error
	require.ErrorAs(t, err, &e)
	return e.Reason
}

func TestIncidentsThroughTheClient(t *testing.T) {
	ts := newTestServer(t, nil)
	fill(t, ts)
	c := ts.client(t, "")
	ctx := t.Context()

	var ids []string
	cursor, pages := "", 0
	for {
		page, err := c.List(ctx, incidentapi.ListOptions{Limit: 4, Cursor: cursor})
		require.NoError(t, err)
		for _, inc := range page.Incidents {
			ids = append(ids, inc.ID)
			require.NotEmpty(t, inc.Alerts)
			require.Empty(t, inc.Timeline)
		}
		pages++
		if page.Next == nil {
			break
		}
		cursor = *page.Next
	}
	require.Len(t, ids, 6)
	require.Equal(t, 2, pages)

	open, err := c.List(ctx, incidentapi.ListOptions{Status: "open"})
	require.NoError(t, err)
	require.Len(t, open.Incidents, 3)

	inc, err := c.Get(ctx, idMemory)
	require.NoError(t, err)
	require.Len(t, inc.Timeline, 4)
	require.Equal(t, []incidentapi.Ticket{{Tracker: "local", Key: "LOCAL-1", URL: "/tickets/LOCAL-1", Status: inc.Tickets[0].Status}}, inc.Tickets)
	require.Equal(t, "http://127.0.0.1:9751/incidents/"+idMemory, inc.URL)
	require.Equal(t, &incidentapi.RootCause{Entity: "web-7d9f8c6b54-x2xkq", Alertname: "MemoryPressure", Confidence: 0.8}, inc.RootCause)
	require.Nil(t, inc.EndedAt)
	require.Len(t, inc.Evidence, 1, "equal expressions once")
	require.Contains(t, inc.Evidence[0].URL, "g0.range_input=")

	kept, err := c.Alerts(ctx, incidentapi.AlertOptions{Suppressed: true})
	require.NoError(t, err)
	require.Len(t, kept.Alerts, 2)
	require.NotEmpty(t, kept.Alerts[0].Why)
	in, err := c.Alerts(ctx, incidentapi.AlertOptions{})
	require.NoError(t, err)
	require.Len(t, in.Alerts, 8)
	require.NoError(t, c.Probe(ctx))
}

func TestTheRawJSONIsTheContract(t *testing.T) {
	ts := newTestServer(t, nil)
	w := ts.send(t, "GET", "/api/v1/incidents", "")
	require.JSONEq(t, `{"incidents":[],"next":null}`, w.Body.String())
	require.JSONEq(t, `{"alerts":[],"next":null}`, ts.send(t, "GET", "/api/v1/alerts?suppressed=true&limit=1000", "").Body.String())
	a := testAlert("A", time.Hour, 0, "severity", "critical")
	a.StartsAt = t0.Add(123456789)
	ts.add(t, seed{id: "01J", status: incident.StatusOpen, severity: "critical", title: "t", alerts: []incident.Alert{a}})
	body := ts.send(t, "GET", "/api/v1/incidents?limit=200", "").Body.String()
	require.Contains(t, body, `"startsAt":"2026-11-22T03:04:05.123456789Z"`, "as received, to the nanosecond")
	require.Contains(t, body, `"tickets":[]`)
	require.Contains(t, body, `"rootCause":null`)
}

func TestActionsThroughTheClient(t *testing.T) {
	ts := newTestServer(t, nil)
	fill(t, ts)
	woken := 0
	ts.wakeOutbox = func() { woken++ }
	c := ts.client(t, "")
	ctx := t.Context()

	inc, err := c.Dismiss(ctx, idMemory, "known: the load test")
	require.NoError(t, err)
	require.Equal(t, "dismissed", inc.Status)
	require.Equal(t, "known: the load test", inc.Timeline[len(inc.Timeline)-1].Text)
	_, err = c.Dismiss(ctx, idMemory, "again")
	require.Equal(t, incidentapi.ReasonConflict, reasonOf(t, err))
	inc, err = c.Reopen(ctx, idMemory, "it is back")
	require.NoError(t, err)
	require.Equal(t, "open", inc.Status)
	require.Equal(t, []string{"local", "local"}, ts.decide.actors)
	require.Equal(t, 2, woken)
	require.InDelta(t, 1, testutil.ToFloat64(ts.metrics.decisions.WithLabelValues(actionDismiss)), 0)

	for _, reason := range []string{"", " \n\t", strings.Repeat("x", 501)} {
		_, err = c.Dismiss(ctx, idMemory, reason)
		require.Equal(t, incidentapi.ReasonBadRequest, reasonOf(t, err))
	}
	_, err = c.Dismiss(ctx, "nope", "x")
	require.Equal(t, incidentapi.ReasonNotFound, reasonOf(t, err))

	audit, err := c.Audit(ctx, time.Time{}, 1000, "")
	require.NoError(t, err)
	last := audit.Records[len(audit.Records)-1]
	require.Equal(t, "incident.reopened", last.Action)
	require.Equal(t, idMemory, last.Subject)
	require.Equal(t, audit.Records[len(audit.Records)-2].Hash, last.Prev)
	require.Nil(t, audit.Next)
}

// Whoever reads the chain through the API can check it without the database.
func TestAuditChainHoldsOverTheWire(t *testing.T) {
	ts := newTestServer(t, nil)
	fill(t, ts)
	for i := range 7 {
		require.NoError(t, ts.db.Apply(t.Context(), incident.Change{Records: []audit.Entry{{
			At: t0.Add(time.Duration(i) * 1234567 * time.Nanosecond), Actor: "O'Neil <\u2028&>", Action: "incident.dismissed", Subject: "01J",
			Detail: json.RawMessage(`{"z":1.50,"a":"<b> & \"c\" \u00e9","n":12345678901234567890,"o":{"y":null,"b":[true]}}`),
		}}}))
	}
	c := ts.client(t, "")
	var head audit.Head
	for cursor := ""; ; {
		page, err := c.Audit(t.Context(), time.Time{}, 3, cursor)
		require.NoError(t, err)
		next := audit.Head{}
		head, err = audit.Verify(head, func(yield func(audit.Record, error) bool) {
			for _, r := range page.Records {
				rec := audit.Record{Seq: r.Seq, Entry: audit.Entry{At: r.At, Actor: r.Actor, Action: r.Action, Subject: r.Subject, Detail: r.Detail}, Prev: r.Prev, Hash: r.Hash}
				next = rec.Head()
				if !yield(rec, nil) {
					return
				}
			}
		}, audit.Head{Seq: page.Records[len(page.Records)-1].Seq, Hash: page.Records[len(page.Records)-1].Hash})
		require.NoError(t, err)
		require.Equal(t, next, head)
		if page.Next == nil {
			break
		}
		cursor = *page.Next
	}
	require.GreaterOrEqual(t, head.Seq, int64(8))
}

func TestOutboxThroughTheClient(t *testing.T) {
	ts := newTestServer(t, nil)
	fill(t, ts)
	c := ts.client(t, "")
	ctx := t.Context()
	dead, err := c.DeadLetters(ctx, 10, "")
	require.NoError(t, err)
	require.Len(t, dead.Tasks, 1)
	require.Equal(t, idCheckout, dead.Tasks[0].Incident)
	require.Contains(t, dead.Tasks[0].LastError, "You do not have permission")
	require.NoError(t, c.Replay(ctx, dead.Tasks[0].ID))
	err = c.Replay(ctx, dead.Tasks[0].ID)
	require.Equal(t, incidentapi.ReasonNotFound, reasonOf(t, err), "it is not dead any more")
	dead, err = c.DeadLetters(ctx, 10, "")
	require.NoError(t, err)
	require.Empty(t, dead.Tasks)
	requireError(t, ts.send(t, "POST", "/api/v1/outbox/x/replay", "{}"), 404, "task")
}

func TestBadParametersAreNamed(t *testing.T) {
	ts := newTestServer(t, nil)
	for path, text := range map[string]string{
		"/api/v1/incidents?status=closed":   `status="closed": want open, resolved or dismissed`,
		"/api/v1/incidents?severity=page":   "want critical, warning or info",
		"/api/v1/incidents?since=yesterday": "want an RFC 3339 time or Unix seconds",
		"/api/v1/incidents?since=-5":        "want an RFC 3339 time",
		"/api/v1/incidents?limit=0":         "want a number from 1 to 1000",
		"/api/v1/incidents?limit=x":         "want a number",
		"/api/v1/incidents?cursor=x":        "bad cursor",
		"/api/v1/incidents?stauts=open":     `unknown parameter "stauts"; known are status`,
		"/api/v1/incidents?a;b":             "read the query",
		"/api/v1/alerts?suppressed=maybe":   "want true or false",
		"/api/v1/alerts?limit=-1":           "want a number",
		"/api/v1/audit?since=x":             "want an RFC 3339 time",
		"/api/v1/audit?limit=x":             "want a number",
		"/api/v1/outbox?state=lost":         "want pending, inflight, done, dead, held",
		"/api/v1/outbox?limit=x":            "want a number",
		"/api/v1/aside?limit=x":             "want a number",
	} {
		requireError(t, ts.send(t, "GET", path, ""), 400, text)
	}
	require.Equal(t, 200, ts.send(t, "GET", "/api/v1/incidents?limit=100000&since=1700000000.5", "").Code, "a greater limit is cut")
	requireError(t, ts.send(t, "GET", "/api/v1/incidents/nope", ""), 404, "nope")
	requireError(t, ts.send(t, "POST", "/api/v1/incidents/x/dismiss", `{"reason":"x"}`), 415, "application/json")
	requireError(t, ts.send(t, "POST", "/api/v1/incidents/x/dismiss", `{"reason":`, "Content-Type", "application/json"), 400, "read the body")
	requireError(t, ts.send(t, "POST", "/api/v1/incidents/x/dismiss", `{"reason":"`+strings.Repeat("x", 200000)+`"}`, "Content-Type", "application/json"), 400, "too large")
}

func TestSinceSelectsWhatWentOn(t *testing.T) {
	ts := newTestServer(t, nil)
	fill(t, ts)
	w := ts.send(t, "GET", "/api/v1/incidents?since="+url.QueryEscape(t0.Add(-29*time.Hour).Format(time.RFC3339)), "")
	var page incidentapi.IncidentPage
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &page))
	require.Len(t, page.Incidents, 5, "three that are open, and two that ended since")
}

func TestOtherSitesCannotAct(t *testing.T) {
	ts := newTestServer(t, nil)
	fill(t, ts)
	requireError(t, ts.send(t, "POST", "/api/v1/incidents/"+idMemory+"/dismiss", `{"reason":"x"}`, "Content-Type", "application/json", "Sec-Fetch-Site", "cross-site"), 403, "another site")
	w := ts.send(t, "POST", "/incidents/"+idMemory+"/dismiss", "reason=x", "Content-Type", "application/x-www-form-urlencoded", "Origin", "https://evil.example")
	require.Equal(t, 403, w.Code)
	require.Contains(t, w.Header().Get("Content-Type"), "text/html")
	w = ts.send(t, "POST", "/incidents/"+idMemory+"/dismiss", "reason=x", "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")
	require.Equal(t, 303, w.Code)
	require.Equal(t, "/incidents/"+idMemory, w.Header().Get("Location"))
	require.Equal(t, 400, ts.send(t, "POST", "/incidents/"+idMemory+"/reopen", "reason=", "Content-Type", "application/x-www-form-urlencoded").Code)
	require.Equal(t, 404, ts.send(t, "POST", "/incidents/"+idMemory+"/explode", "reason=x", "Content-Type", "application/x-www-form-urlencoded").Code)
}

func FuzzQuery(f *testing.F) {
	for _, q := range []string{"status=open&limit=1", "since=1e300", "cursor=%ff", "limit=99999999999999999999", "since=NaN", "since=2026-11-22T03:04:05Z&severity=info"} {
		f.Add(q)
	}
	ts := newTestServer(f, nil)
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range []string{"/api/v1/incidents", "/api/v1/alerts", "/api/v1/audit", "/api/v1/outbox", "/"} {
			req := httptest.NewRequest(http.MethodGet, path, nil)
			req.URL.RawQuery = query
			w := httptest.NewRecorder()
			ts.mux.ServeHTTP(w, req)
			require.Contains(t, []int{200, 400}, w.Code, fmt.Sprint(path, w.Body.String()))
		}
	})
}
