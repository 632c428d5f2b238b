package app

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incidentapi"
)

// The whole receiver, phase by phase: what is filed, what waits, and what a person makes of it.
func TestPhasesOfTheWholeReceiver(t *testing.T) {
	for _, x := range []struct {
		phase, state string
	}{{"observe", "recorded"}, {"suggest", "recorded"}, {"draft", "held"}} {
		t.Run(x.phase, func(t *testing.T) {
			o, _ := options(t, "policy: {phase: "+x.phase+"}\n")
			_, url := running(t, o)
			code, body := post(t, url+hook, notice("PaymentsDown"))
			require.Equal(t, 200, code, body)
			c, err := incidentapi.New(incidentapi.Options{URL: url})
			require.NoError(t, err)
			var inc incidentapi.Incident
			require.Eventually(t, func() bool {
				page, err := c.List(t.Context(), incidentapi.ListOptions{})
				if err != nil || len(page.Incidents) != 1 {
					return false
				}
				inc, err = c.Get(t.Context(), page.Incidents[0].ID)
				return err == nil && len(inc.Drafts) == 1
			}, 10*time.Second, 10*time.Millisecond)
			d := inc.Drafts[0]
			require.Equal(t, x.state, d.State)
			require.Equal(t, x.phase, d.Phase)
			require.Empty(t, inc.Tickets)
			require.Eventually(t, func() bool {
				_, body := get(t, url+"/metrics")
				return strings.Contains(body, "\nportent_outbox_pending 0\n")
			}, 10*time.Second, 10*time.Millisecond, "what waits for a person is not what is to be done")
			_, records := get(t, url+"/api/v1/audit")
			require.Contains(t, records, `"action":"policy.decided"`)
			require.Contains(t, records, d.Hash)
			require.Contains(t, records, `"query":"`, "the query it rests on")

			_, err = c.Approve(t.Context(), inc.ID, d.Hash, "file it")
			require.NoError(t, err)
			require.Eventually(t, func() bool {
				inc, err = c.Get(t.Context(), inc.ID)
				return err == nil && len(inc.Tickets) == 1 && inc.Tickets[0].Key == "LOCAL-1"
			}, 10*time.Second, 10*time.Millisecond)
			require.Equal(t, "done", inc.Drafts[0].State)
			_, records = get(t, url+"/api/v1/audit")
			require.Equal(t, 1, strings.Count(records, `"action":"ticket.create.before"`))
			require.Contains(t, records, `"payloadSha256":"`+d.Hash)
		})
	}
}

// The kill switch holds what is under way, and lets it go when it is let go.
func TestTheKillSwitchOfTheWholeReceiver(t *testing.T) {
	o, _ := options(t, "")
	_, url := running(t, o)
	pull := func(engaged string) {
		code, body := post(t, url+incidentapi.PathKillSwitch, `{"engaged":`+engaged+`,"reason":"a drill"}`, "Content-Type", "application/json")
		require.Equal(t, 200, code, body)
	}
	pull("true")
	code, _ := post(t, url+hook, notice("PaymentsDown"))
	require.Equal(t, 200, code)
	c, err := incidentapi.New(incidentapi.Options{URL: url})
	require.NoError(t, err)
	var inc incidentapi.Incident
	require.Eventually(t, func() bool {
		page, err := c.List(t.Context(), incidentapi.ListOptions{})
		if err != nil || len(page.Incidents) != 1 {
			return false
		}
		inc, err = c.Get(t.Context(), page.Incidents[0].ID)
		return err == nil && len(inc.Drafts) == 1
	}, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, "held", inc.Drafts[0].State)
	require.Contains(t, strings.Join(inc.Drafts[0].Why, "; "), "kill switch")
	_, err = c.Dismiss(t.Context(), inc.ID, "a drill")
	require.NoError(t, err)
	inc, err = c.Get(t.Context(), inc.ID)
	require.NoError(t, err)
	require.Equal(t, "dropped", inc.Drafts[0].State)
	pull("false")
	_, body := get(t, url+"/policy")
	require.Contains(t, body, "Kill switch: off")
}
