package e2e_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incidentapi"
)

// From a scraped sample to a score, a rule, an alert, an incident and a ticket, and back until the ticket is closed. In the
// middle the exporter is restarted: it must know what it knew, and nobody may notice.
func TestFromSampleToClosedTicket(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.Empty(t, query(t, w.prometheus, "anomaly_score"+selector+" > 1"), "nothing is anomalous before the disturbance")

	w.shop.disturbed.Store(true)
	var score float64
	eventually(t, "a score above 3 of the queue", func() string {
		score = scoreOf(t, w, "shop_queue_length")
		if score <= 3 {
			return fmt.Sprint("it is ", score)
		}
		return ""
	})
	require.LessOrEqual(t, scoreOf(t, w, "shop_requests_total"), 1.0, "the requests go on as before")

	var open incidentapi.Incident
	eventually(t, "an open incident with a ticket", func() string {
		all := incidents(t, w.receiver)
		if len(all) != 1 || all[0].Status != "open" || len(all[0].Tickets) != 1 || all[0].Tickets[0].Key == "" {
			return fmt.Sprintf("incidents: %+v", all)
		}
		open = all[0]
		return ""
	})
	require.NotEmpty(t, open.Title)
	require.Equal(t, "local", open.Tickets[0].Tracker)
	for _, a := range open.Alerts {
		require.Equal(t, "shop_queue_length", a.Labels["metric"])
		require.Equal(t, "shop-1", a.Labels["instance"])
		require.Contains(t, a.Annotations["runbook_url"], a.Labels["alertname"])
	}

	w.exporter.Restart()
	eventually(t, "a score after the restart", func() string {
		if n := len(query(t, w.prometheus, "anomaly_score"+selector)); n != 2 {
			return fmt.Sprintf("%d series", n)
		}
		return ""
	})
	require.Greater(t, scoreOf(t, w, "shop_queue_length"), 1.0, "the models were read back: what was anomalous still is")

	w.shop.disturbed.Store(false)
	var closed incidentapi.Incident
	eventually(t, "a resolved incident with a closed ticket", func() string {
		all := incidents(t, w.receiver)
		if len(all) != 1 || all[0].Status != "resolved" || len(all[0].Tickets) != 1 || all[0].Tickets[0].Status != "resolved" {
			return fmt.Sprintf("incidents: %+v", all)
		}
		closed = all[0]
		return ""
	})
	require.Equal(t, open.ID, closed.ID, "one incident for one disturbance")
	require.Equal(t, open.Tickets[0].Key, closed.Tickets[0].Key)
	require.NotNil(t, closed.EndedAt)
	for _, a := range closed.Alerts {
		require.Equal(t, "resolved", a.Status)
	}
	require.Equal(t, "0", metric(read(t, w.receiver.URL+"/metrics"), "portent_outbox_pending"))
}

// scoreOf is the score that Prometheus has of a series of the shop.
func scoreOf(t testing.TB, w *world, name string) float64 {
	t.Helper()
	v := query(t, w.prometheus, `anomaly_score{job="shop", metric="`+name+`"}`)
	require.LessOrEqual(t, len(v), 1)
	if len(v) == 0 {
		return 0
	}
	text, _ := v[0].Value[1].(string)
	score, err := strconv.ParseFloat(text, 64)
	require.NoError(t, err)
	return score
}
