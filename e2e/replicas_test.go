package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/e2e/replicas"
	"github.com/portent-dev/portent/internal/incidentapi"
	"github.com/portent-dev/portent/internal/ticket/jira/jiratest"
)

const replicasConfig = `
trackers:
  - name: jira
    type: jira
    jira: {url: "%s", email: "%s", token: "%s", project: OPS, search_lag: 5s}
outbox: {call_timeout: 5s}
triage: {baseline: 0s, hold_critical: 0s, hold_many: 0s, hold_together: 0s, hold_alone: 0s}
`

// Three receivers share a PostgreSQL, and one of them is killed again and again: the one that leads, sooner or later. Two senders
// post until they are answered with 200, as Alertmanagers do. No alert is lost, each failure has one incident and one ticket.
func TestReplicasKilledInTurn(t *testing.T) {
	t.Parallel()
	jira, address := jiratest.Start(t, jiratest.Options{SearchLag: 2 * time.Second})
	dir := t.TempDir()
	config, err := replicas.WriteConfig(dir, fmt.Sprintf(replicasConfig, address, jiratest.Email, jiratest.Token))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	set, err := replicas.Start(ctx, replicas.Options{Receiver: program(t, "portent-receiver"), Config: config, Dir: dir, Count: 3})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, set.Close())
		if t.Failed() {
			t.Log(set.Log())
		}
	})
	front := httptest.NewServer(set)
	t.Cleanup(front.Close)

	const failures, kills = 24, 5
	var refused atomic.Int64
	killed := make(chan struct{})
	var senders sync.WaitGroup
	for sender := range 2 {
		senders.Go(func() {
			pace := time.NewTicker(kills * 2 * time.Second / failures) // through all the kills
			defer pace.Stop()
			for n := range failures {
				select {
				case <-pace.C:
				case <-killed:
				}
				for !posted(ctx, front.URL, failure(sender, n)) {
					refused.Add(1)
					if ctx.Err() != nil {
						t.Error("a sender was not answered in time")
						return
					}
				}
			}
		})
	}
	for range kills {
		require.NoError(t, set.Kill(ctx, time.Second))
	}
	close(killed)
	senders.Wait()
	t.Logf("%d requests had no good answer and were sent again", refused.Load())

	eventually(t, "an issue for each failure, and nothing to do", func() string {
		if n := len(jira.Issues()); n != failures {
			return fmt.Sprintf("%d of %d issues", n, failures)
		}
		if left := metric(read(t, front.URL+"/metrics"), "portent_outbox_pending"); left != "0" {
			return left + " to be done"
		}
		return ""
	})
	always(t, "one issue for each failure", 3*time.Second, func() string {
		if n := len(jira.Issues()); n != failures {
			return fmt.Sprintf("%d of %d issues", n, failures)
		}
		return ""
	})
	require.Equal(t, failures, distinct(t, front.URL))
}

// failure is what one of two Alertmanagers tells of a failure in a cluster of its own.
func failure(sender, n int) []byte {
	start := time.Now().Add(-time.Minute).Truncate(time.Hour).Add(time.Duration(n) * time.Second).UTC().Format(time.RFC3339)
	return fmt.Appendf(nil, `{"version":"4","groupKey":"{}:{cluster=\"c%d\"}","status":"firing","receiver":"portent","externalURL":"http://am-%d:9093","truncatedAlerts":0,
		"groupLabels":{"cluster":"c%d"},"commonLabels":{},"commonAnnotations":{},"alerts":[{"status":"firing","labels":{"alertname":"DiskFull","severity":"critical","cluster":"c%d","instance":"db-1"},
		"annotations":{"summary":"The disk is full"},"startsAt":%q,"endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus/graph","fingerprint":"%016x"}]}`, n, sender, n, n, start, n+1)
}

// posted reports whether a notification was answered with 200.
func posted(ctx context.Context, url string, body []byte) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/v1/webhook/alertmanager", bytes.NewReader(body))
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode == http.StatusOK
}

// distinct is the number of alerts in incidents; one that is in two fails the test, and so does a second ticket.
func distinct(t testing.TB, url string) int {
	t.Helper()
	c, err := incidentapi.New(incidentapi.Options{URL: url})
	require.NoError(t, err)
	page, err := c.List(t.Context(), incidentapi.ListOptions{Limit: 200})
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, i := range page.Incidents {
		require.Len(t, i.Tickets, 1, "%+v", i)
		for _, a := range i.Alerts {
			require.False(t, seen[a.Fingerprint], "alert %s is in two incidents", a.Fingerprint)
			seen[a.Fingerprint] = true
		}
	}
	return len(seen)
}
