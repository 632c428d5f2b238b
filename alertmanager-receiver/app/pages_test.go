package app

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
)

func countingHandler(n *int) http.Handler {
	return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { *n++ })
}

func brokenReady(context.Context) error { return incident.ErrFull }

func TestPagesCarryTheirProtection(t *testing.T) {
	ts := newTestServer(t, nil)
	for _, path := range []string{"/", "/incidents/nope", "/suppressed", "/outbox", "/tickets/x", "/assets/portent.css", "/assets/nope"} {
		h := ts.send(t, "GET", path, "").Header()
		require.Contains(t, h.Get("Content-Security-Policy"), "default-src 'none'", path)
		require.Contains(t, h.Get("Content-Security-Policy"), "frame-ancestors 'none'", path)
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), path)
	}
	require.Equal(t, "no-store", ts.send(t, "GET", "/", "").Header().Get("Cache-Control"))
	css := ts.send(t, "GET", "/assets/portent.css?v="+ts.pages.assets["portent.css"].tag, "")
	require.Contains(t, css.Header().Get("Cache-Control"), "immutable")
	require.Equal(t, 304, ts.send(t, "GET", "/assets/portent.css", "", "If-None-Match", css.Header().Get("ETag")).Code)
}

func TestPagesOfWhatIsNotThere(t *testing.T) {
	ts := newTestServer(t, nil)
	for path, want := range map[string]int{
		"/incidents/nope": 404, "/tickets/LOCAL-99": 404, "/tickets/OPS-1": 404, "/assets/nope": 404, "/?status=closed": 400, "/?severity=x": 400, "/?cursor=x": 400,
		"/outbox?state=x": 400, "/suppressed?cursor=x": 400,
	} {
		w := ts.send(t, "GET", path, "")
		require.Equal(t, want, w.Code, path)
		require.Contains(t, w.Header().Get("Content-Type"), "text/html", path)
		require.Contains(t, w.Body.String(), "All incidents", path)
	}
}

func TestListSaysWhatIsWrong(t *testing.T) {
	ts := newTestServer(t, nil)
	require.Contains(t, ts.send(t, "GET", "/", "").Body.String(), "http://127.0.0.1:9751/api/v1/webhook/alertmanager", "an empty list says what to do")
	fill(t, ts)
	require.Contains(t, ts.send(t, "GET", "/", "").Body.String(), "1 ticket action given up")
	ts.backlog = &backlog{count: brokenInbox{err: nil}.Pending, now: ts.now}
	ts.backlog.n, ts.backlog.at = 700, ts.now()
	require.Contains(t, ts.send(t, "GET", "/", "").Body.String(), "700 notifications wait to be processed")
	ts.readiness = &readiness{check: brokenReady, now: ts.now}
	require.Contains(t, ts.send(t, "GET", "/", "").Body.String(), "does not take notifications now")
}

func TestPagingOfTheList(t *testing.T) {
	ts := newTestServer(t, nil)
	for i := range pageSize + 1 {
		ts.add(t, seed{id: "01J" + string(rune('A'+i/26)) + string(rune('A'+i%26)), title: "x", status: incident.StatusOpen, severity: "info", alerts: []incident.Alert{testAlert("A", time.Duration(i)*time.Second, 0)}})
	}
	first := ts.send(t, "GET", "/", "").Body.String()
	require.Contains(t, first, ">Older<")
	require.NotContains(t, first, ">Newest<")
	require.Contains(t, first, `Open <span class="n">51</span>`)
}

func TestTimesForPeople(t *testing.T) {
	f := func(d time.Duration, want string) {
		t.Helper()
		require.Equal(t, want, span(d))
	}
	f(-time.Second, "0 s")
	f(59*time.Second, "59 s")
	f(61*time.Second, "1 min 1 s")
	f(11*time.Minute+30*time.Second, "11 min")
	f(time.Hour, "1 h")
	f(25*time.Hour, "1 d 1 h")
	f(48*time.Hour, "2 d")
	require.Equal(t, "just now", ago(t0, t0.Add(30*time.Second)), "clocks differ a bit")
	require.Equal(t, "in 2 min", ago(t0, t0.Add(2*time.Minute)))
	require.Equal(t, "3 h ago", ago(t0, t0.Add(-3*time.Hour)))
	require.Equal(t, "lasted 1 h, over 2 h ago", age(t0, incident.Incident{Status: incident.StatusResolved, StartedAt: t0.Add(-3 * time.Hour), EndedAt: t0.Add(-2 * time.Hour)}))
}

func TestBarsStayInside(t *testing.T) {
	at := func(m int) time.Time { return t0.Add(time.Duration(m) * time.Minute) }
	f := func(start, end, wantX, wantW int) {
		t.Helper()
		x, w := bar(at(0), at(100), at(start), at(end))
		require.Equal(t, []int{wantX, wantW}, []int{x, w})
	}
	f(0, 100, 0, 1000)
	f(50, 75, 500, 250)
	f(10, 10, 100, 6)
	f(100, 100, 994, 6)
	f(-50, 200, 0, 1000)
	x, w := bar(at(0), at(0), at(0), at(0))
	require.Equal(t, []int{0, 1000}, []int{x, w})
}
