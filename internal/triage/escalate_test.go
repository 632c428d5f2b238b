package triage_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/triage"
)

func TestAHeldTicketWaitsAndWhatFollowsToo(t *testing.T) {
	running(t, func(o *triage.RunnerOptions) {
		o.Gate = func(now time.Time, inc incident.Incident, tracker string) incident.Gate {
			return incident.Gate{Outcome: incident.GateHold, Phase: "draft", Rule: "r", Policy: "p", Why: []string{"why"}, Approvals: 1, DecidedAt: now}
		}
	}, func(t *testing.T, r *runRig) {
		r.put(false, al{labels: "DiskFull namespace=a severity=critical"})
		inc := r.only()
		require.Equal(t, []string{"jira"}, inc.Trackers)
		ts, _, err := r.store.ListTasks(t.Context(), outbox.Query{})
		require.NoError(t, err)
		require.Len(t, ts, 1)
		require.Equal(t, outbox.StateHeld, ts[0].State)

		_, err = r.r.Escalate(t.Context(), inc.ID, "ann", "customers call", []string{"pager", "jira"})
		require.NoError(t, err)
		ts, _, err = r.store.ListTasks(t.Context(), outbox.Query{})
		require.NoError(t, err)
		got := map[string]outbox.State{}
		for _, x := range ts {
			got[x.Tracker+" "+string(x.Kind)] = x.State
		}
		require.Equal(t, map[string]outbox.State{"jira create": outbox.StateHeld, "jira update": outbox.StateHeld, "pager create": outbox.StatePending}, got)
		f, err := r.store.VerdictOn(t.Context(), inc.ID)
		require.NoError(t, err)
		require.Equal(t, incident.VerdictConfirmed, f.Verdict)
		require.Equal(t, "DiskFull", f.Class)

		_, err = r.r.Dismiss(t.Context(), inc.ID, "ann", "a test")
		require.NoError(t, err)
		_, err = r.r.Escalate(t.Context(), inc.ID, "ann", "again", nil)
		require.ErrorIs(t, err, incident.ErrConflict, "it is over")
		inc = r.only()
		var lines []string
		for _, e := range inc.Timeline {
			lines = append(lines, e.Text)
		}
		require.Contains(t, strings.Join(lines, "\n"), "a ticket is drafted and waits for somebody to approve it")
		require.Contains(t, strings.Join(lines, "\n"), "Escalated by ann: customers call")
	})
}
