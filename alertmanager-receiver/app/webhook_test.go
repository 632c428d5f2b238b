package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incidentapi"
	"github.com/portent-dev/portent/internal/spectest"
)

const hook = incidentapi.PathWebhook

// notice is a notification of one alert as Alertmanager writes it.
func notice(name string) string {
	return fmt.Sprintf(`{"receiver":"portent","status":"firing","alerts":[{"status":"firing","labels":{"alertname":%q,"namespace":"shop","severity":"critical"},
	  "annotations":{"summary":"it is broken"},"startsAt":"2026-11-22T03:00:00.25Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://p/graph?g0.expr=up","fingerprint":"a350557aa430340e"}],
	  "groupLabels":{},"commonLabels":{},"commonAnnotations":{},"externalURL":"http://am:9093","version":"4","groupKey":"{}:{}","truncatedAlerts":3}`, name)
}

func (ts *testServer) send(t testing.TB, method, path, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req := httptest.NewRequestWithContext(t.Context(), method, path, r)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	ts.mux.ServeHTTP(w, req)
	return w
}

// requireError checks the form that every error of the API has.
func requireError(t testing.TB, w *httptest.ResponseRecorder, status int, text string) incidentapi.ErrorBody {
	t.Helper()
	require.Equal(t, status, w.Code, w.Body.String())
	require.Contains(t, w.Header().Get("Content-Type"), "application/json")
	var e incidentapi.ErrorBody
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &e))
	require.Contains(t, e.Error, text)
	require.NotEmpty(t, e.Hint)
	return e
}

func (ts *testServer) outcome(name string) float64 {
	return testutil.ToFloat64(ts.metrics.notices.WithLabelValues(name))
}

func TestWebhookStoresBeforeItAnswers(t *testing.T) {
	ts := newTestServer(t, nil)
	woken := 0
	ts.wake = func() { woken++ }
	w := ts.send(t, "POST", hook, notice("A"))
	require.Equal(t, 200, w.Code, w.Body.String())
	require.JSONEq(t, `{"status":"stored","alerts":1}`, w.Body.String())
	require.Equal(t, 1, woken)
	got, err := ts.db.Next(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, notice("A"), string(got[0].Body), "the raw body is kept as it came")
	require.True(t, got[0].Clock.IsZero())
	require.InDelta(t, 1, ts.outcome(outcomeAccepted), 0)
	require.InDelta(t, 3, testutil.ToFloat64(ts.metrics.truncated), 0)

	require.Equal(t, 200, ts.send(t, "POST", hook, notice("A")).Code, "a resend is accepted")
	n, err := ts.db.Pending(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n, "and stored once")
}

func TestWebhookTakesWhatAlertmanagerSends(t *testing.T) {
	body, err := os.ReadFile(filepath.Join(spectest.Dir(t), "inbound", "sample-alertmanager-webhook.json"))
	require.NoError(t, err)
	ts := newTestServer(t, nil)
	require.Equal(t, 200, ts.send(t, "POST", hook, string(body)).Code)
}

func TestWebhookRefusesOnlyTheHopeless(t *testing.T) {
	ts := newTestServer(t, func(c *Config) { c.Webhook.MaxBodyBytes = 64 << 10 })
	tests := []struct {
		name, body string
		status     int
		text       string
		outcome    string
	}{
		{"nothing", "", 400, "empty", outcomeRefused},
		{"html", "<html>", 400, "HTML", outcomeRefused},
		{"cut", notice("A")[:100], 400, "", outcomeRefused},
		{"another version", strings.Replace(notice("A"), `"version":"4"`, `"version":"3"`, 1), 400, "version", outcomeRefused},
		{"a list of alerts", `[{"labels":{"alertname":"A"}}]`, 400, "list", outcomeRefused},
		{"too large", strings.Repeat(" ", 70<<10), 413, "webhook.max_body_bytes", outcomeTooLarge},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := ts.outcome(tt.outcome)
			e := requireError(t, ts.send(t, "POST", hook, tt.body), tt.status, tt.text)
			require.Contains(t, e.Hint, "/api/v1/aside")
			require.InDelta(t, before+1, ts.outcome(tt.outcome), 0)
			aside, err := ts.db.Aside(t.Context(), 100)
			require.NoError(t, err)
			require.Len(t, aside, i+1, "the body is kept for a person")
			require.True(t, strings.HasPrefix(tt.body, string(aside[0].Body)))
			require.LessOrEqual(t, len(aside[0].Body), keepOfRefused)
		})
	}
	n, err := ts.db.Pending(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	w := ts.send(t, "GET", "/api/v1/aside?limit=2", "")
	require.Equal(t, 200, w.Code)
	require.Contains(t, w.Body.String(), `"reason":`)
}

// brokenInbox fails as a store may.
type brokenInbox struct {
	*testServer
	err error
}

func (b brokenInbox) Put(context.Context, ...incident.Notification) error { return b.err }
func (b brokenInbox) Refuse(context.Context, incident.Notification, string) error {
	return b.err
}

func (b brokenInbox) Aside(context.Context, int) ([]incident.AsideNotification, error) {
	return nil, b.err
}
func (b brokenInbox) Pending(context.Context) (int, error) { return 0, b.err }

func TestWebhookAnswers5xxWhenItCannotStore(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
		hint   string
	}{
		{fmt.Errorf("write: %w", incident.ErrFull), 503, "make room"},
		{incident.ErrLocked, 503, "another process"},
		{incident.ErrDamaged, 503, "backup"},
		{incident.ErrClosed, 503, "moment"},
		{context.DeadlineExceeded, 503, "moment"},
		{incident.ErrNotFound, 500, ""}, // would be a 4xx anywhere else
		{incident.ErrConflict, 500, ""},
		{errors.New("disk on fire"), 500, "log"},
	} {
		t.Run(tt.err.Error(), func(t *testing.T) {
			ts := newTestServer(t, nil)
			ts.inbox = brokenInbox{ts, tt.err}
			w := ts.send(t, "POST", hook, notice("A"))
			e := requireError(t, w, tt.status, "store the notification")
			require.Contains(t, e.Hint, tt.hint)
			require.NotEmpty(t, w.Header().Get("Retry-After"))
			require.InDelta(t, 1, ts.outcome(outcomeUnavailable), 0)

			// A body that is hopeless but cannot be kept is worth another try.
			require.GreaterOrEqual(t, ts.send(t, "POST", hook, "<html>").Code, 500)
		})
	}
}

func TestWebhookIsBusy(t *testing.T) {
	ts := newTestServer(t, func(c *Config) {
		c.Webhook.MaxBodyBytes, c.Webhook.MaxInFlightBytes, c.Ready.MaxPending = 64<<10, 64<<10, 2
	})
	release, ok := ts.busy.acquire(-1, 64<<10, 64<<10)
	require.True(t, ok)
	w := ts.send(t, "POST", hook, notice("A"))
	requireError(t, w, 503, "busy")
	require.Equal(t, "2", w.Header().Get("Retry-After"))
	release()

	for i := range 3 {
		require.Equal(t, 200, ts.send(t, "POST", hook, notice(fmt.Sprint("A", i))).Code)
	}
	require.NoError(t, ts.ready())
	ts.clock = ts.clock.Add(2 * time.Second) // the count is looked at anew
	requireError(t, ts.send(t, "POST", hook, notice("B")), 503, "3 notifications wait")
	require.ErrorContains(t, ts.ready(), "3 notifications wait to be processed, at most 2 may")
	require.InDelta(t, 2, ts.outcome(outcomeBusy), 0)
}

func TestWebhookCutConnectionIsWorthAnotherTry(t *testing.T) {
	ts := newTestServer(t, nil)
	req := httptest.NewRequest(http.MethodPost, hook, io.MultiReader(strings.NewReader(notice("A")[:50]), failingReader{}))
	w := httptest.NewRecorder()
	ts.mux.ServeHTTP(w, req)
	requireError(t, w, 503, "read the body")
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestWebhookToken(t *testing.T) {
	const token, admin, viewer = "0123456789abcdef", "admin-admin-admin-", "viewer-viewer-viewer"
	ts := newTestServer(t, func(c *Config) {
		c.Webhook.Token = token
		c.Access = []AccessConfig{{Name: "root", Role: RoleAdmin, Token: admin}, {Name: "eye", Role: RoleViewer, Token: viewer}}
	})
	for header, want := range map[string]int{"Bearer " + token: 200, "bearer " + admin: 200, "Bearer " + viewer: 401, "": 401, "Bearer ": 401, "Bearer x": 401} {
		w := ts.send(t, "POST", hook, notice("A"), "Authorization", header)
		require.Equal(t, want, w.Code, header)
	}
	require.InDelta(t, 4, ts.outcome(outcomeDenied), 0)
	req := httptest.NewRequest(http.MethodPost, hook, strings.NewReader(notice("A")))
	req.SetBasicAuth("alertmanager", token)
	w := httptest.NewRecorder()
	ts.mux.ServeHTTP(w, req)
	require.Equal(t, 200, w.Code, "as password too")
}

func TestReplayClock(t *testing.T) {
	ts := newTestServer(t, nil)
	require.Equal(t, 200, ts.send(t, "POST", hook, notice("A"), "X-Virtual-Time", "2020-01-01T00:00:00Z").Code)
	ts.clockHeader = "X-Virtual-Time"
	require.Equal(t, 200, ts.send(t, "POST", hook, notice("B"), "X-Virtual-Time", "2026-01-02T03:04:05.5+01:00").Code)
	require.Equal(t, 200, ts.send(t, "POST", hook, notice("C")).Code)
	requireError(t, ts.send(t, "POST", hook, notice("D"), "X-Virtual-Time", "yesterday"), 400, "X-Virtual-Time")
	got, err := ts.db.Next(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, got, 3)
	require.True(t, got[0].Clock.IsZero(), "the header counts only where it is configured")
	require.Equal(t, time.Date(2026, 1, 2, 2, 4, 5, 5e8, time.UTC), got[1].Clock)
	require.True(t, got[2].Clock.IsZero())
}

func TestRepeatLog(t *testing.T) {
	now := t0
	l := &repeatLog{now: func() time.Time { return now }}
	n, ok := l.next("a")
	require.True(t, ok)
	require.Equal(t, 1, n)
	_, ok = l.next("a")
	require.False(t, ok)
	_, ok = l.next("b")
	require.True(t, ok, "another kind is told at once")
	now = now.Add(time.Minute)
	n, ok = l.next("a")
	require.True(t, ok)
	require.Equal(t, 2, n, "how often since the last line")
}

// Whatever is posted, the answer is one that Alertmanager understands: 200, 400, or 5xx.
func FuzzWebhook(f *testing.F) {
	f.Add([]byte(notice("A")))
	f.Add([]byte(`{"version":"4","alerts":[]}`))
	f.Add([]byte(`{"version":4}`))
	f.Add(bytes.Repeat([]byte("["), 20000))
	f.Add([]byte("\xff\xfe{\x00}"))
	ts := newTestServer(f, nil)
	ts.inbox = brokenInbox{ts, nil} // takes everything at once: a disk would only slow this down
	f.Fuzz(func(t *testing.T, body []byte) {
		w := httptest.NewRecorder()
		ts.mux.ServeHTTP(w, httptest.NewRequest(http.MethodPost, hook, bytes.NewReader(body)))
		require.Contains(t, []int{http.StatusOK, http.StatusBadRequest}, w.Code, w.Body.String())
		require.True(t, json.Valid(w.Body.Bytes()))
	})
}
