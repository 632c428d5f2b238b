package app

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
)

// stream reads the ids that a page is told, until ctx ends.
func (ts *testServer) stream(ctx context.Context, t *testing.T, token, query string) <-chan string {
	t.Helper()
	srv := httptest.NewServer(ts.mux)
	t.Cleanup(func() { ts.hub.close(); srv.Close() })
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+"/api/v1/events"+query, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req) //nolint:bodyclose // by the goroutine that reads it
	require.NoError(t, err)
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	in := bufio.NewScanner(resp.Body)
	out := make(chan string, 100)
	told := func() {
		data, ok := strings.CutPrefix(in.Text(), "data: ")
		var e struct{ ID string }
		if ok && json.Unmarshal([]byte(data), &e) == nil {
			out <- e.ID
		}
	}
	for in.Text() != ": news from here" {
		require.True(t, in.Scan(), "the stream ended before it began: %v", in.Err())
		told()
	}
	go func() {
		defer resp.Body.Close()
		defer close(out)
		for in.Scan() {
			told()
		}
	}()
	return out
}

func TestAPageIsToldWhatChangedAndItMaySee(t *testing.T) {
	ts := newTestServer(t, withPeople)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	all, shop := ts.stream(ctx, t, viewerToken, ""), ts.stream(ctx, t, shopToken, "")
	next := func(c <-chan string) string {
		select {
		case id := <-c:
			return id
		case <-ctx.Done():
			return "nothing"
		}
	}
	ts.add(t, seed{id: "01BANK", title: "b", status: "open", severity: "critical", alerts: []incident.Alert{testAlert("BankDown", time.Hour, 0, "namespace", "bank")}})
	ts.add(t, seed{id: "01SHOP", title: "s", status: "open", severity: "critical", alerts: []incident.Alert{testAlert("ShopDown", time.Hour, 0, "namespace", "shop")}})
	require.Equal(t, "01BANK", next(all))
	require.Equal(t, "01SHOP", next(all))
	require.Equal(t, "01SHOP", next(shop), "the other tenant's is not told")

	// What changed after a page was made and before its stream began is told too.
	made := "?since=" + url.QueryEscape(time.Now().Add(-time.Hour).UTC().Format(time.RFC3339Nano))
	require.Equal(t, "01SHOP", next(ts.stream(ctx, t, shopToken, made)))
	late := "?since=" + url.QueryEscape(time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano))
	require.Empty(t, ts.stream(ctx, t, viewerToken, late))
	require.Equal(t, 400, ts.send(t, "GET", "/api/v1/events?since=yesterday", "", "Authorization", "Bearer "+viewerToken).Code)
}

func TestWatchersAreBounded(t *testing.T) {
	h := newHub(nil, nil)
	h.looking, h.began = true, make(chan struct{}) // nobody looks in this test
	var first *watcher
	var stops []func()
	for i := range maxWatchers {
		w, stop, ok := h.watch()
		require.True(t, ok)
		if i == 0 {
			first = w
		}
		stops = append(stops, stop)
	}
	_, _, ok := h.watch()
	require.False(t, ok)
	stops[1]()
	_, _, ok = h.watch()
	require.True(t, ok)

	ids := make([]string, 3*watcherRoom)
	for i := range ids {
		ids[i] = "x"
	}
	h.tell(ids) // a page that does not read holds nobody up
	require.Len(t, first.changes, watcherRoom)
	last := ""
	for range watcherRoom {
		last = <-first.changes
	}
	require.Empty(t, last, "it is told to look anew")
}

func TestTooManyPages(t *testing.T) {
	ts := newTestServer(t, nil)
	ts.hub.looking = true
	for range maxWatchers {
		_, _, ok := ts.hub.watch()
		require.True(t, ok)
	}
	w := ts.send(t, "GET", "/api/v1/events", "")
	require.Equal(t, 503, w.Code)
	require.NotEmpty(t, w.Header().Get("Retry-After"))
}

func TestCharts(t *testing.T) {
	at := func(d time.Duration, sev incident.Severity) incident.Incident {
		return incident.Incident{StartedAt: t0.Add(-d), Severity: sev, Labels: map[string]string{"service": "web"}}
	}
	require.Nil(t, dayChart(t0, nil))
	require.Nil(t, dayChart(t0, []incident.Incident{at(25*time.Hour, "critical")}), "before it begins")
	c := dayChart(t0, []incident.Incident{at(time.Minute, "critical"), at(2*time.Minute, "warning"), at(5*time.Hour, "info"), at(-time.Hour, "info")})
	require.Equal(t, "3 incidents began in the last 24 hours, 1 critical", c.Words)
	require.Equal(t, 3, strings.Count(string(c.SVG), "<rect"))
	require.Equal(t, "2", c.Top)

	this := at(time.Hour, "critical")
	other := this
	other.Labels = map[string]string{"service": "db"}
	require.Nil(t, weekChart(t0, this, []incident.Incident{this, other}), "the only one of its service")
	require.NotNil(t, weekChart(t0, this, []incident.Incident{this, at(50*time.Hour, "info")}))

	inc := incident.Incident{Alerts: []incident.Alert{{StartsAt: t0}, {StartsAt: t0.Add(time.Minute), EndsAt: t0.Add(2 * time.Minute)}}}
	c = firingChart(inc, t0, t0.Add(4*time.Minute))
	require.Contains(t, c.Words, "Most alerts at once: 2, from 2026-11-22 03:05:05 UTC on; 1 at the end")
	require.Nil(t, firingChart(incident.Incident{}, t0, t0))
}
