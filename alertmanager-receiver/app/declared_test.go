package app

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/ticket"
)

// TestAChangedDeclarationVoidsApprovals: the draft is made anew, so that its hash is another one and nobody has approved it.
func TestAChangedDeclarationVoidsApprovals(t *testing.T) {
	ts := newTestServer(t, nil)
	does, declaration := "restart shop/deployment/cart", "aaaa"
	ts.gater.declared = func(tracker string) (string, string) {
		if tracker == "local" {
			return does, declaration
		}
		return "", ""
	}
	inc := ts.addDraft(t, idDraft, 2)
	before := ts.heldDraft(t, inc)
	require.NoError(t, ts.voidDrafts(t.Context()), "no reload, nothing to do")
	ts.redeclare.Store(true)
	require.NoError(t, ts.tendDrafts(t.Context())) // what the fixture drafted names no declaration
	first := ts.heldDraft(t, inc)
	require.NotEqual(t, before.Hash, first.Hash)

	_, _, err := ts.ledger.Approve(t.Context(), outbox.Approval{TaskID: first.ID, IncidentID: inc.ID, Actor: "ann", Reason: "yes", Hash: first.Hash, At: t0},
		incident.Feedback{IncidentID: inc.ID, Verdict: incident.VerdictConfirmed, Actor: "ann", Reason: "yes", At: t0})
	require.NoError(t, err)
	does, declaration = "scale shop/deployment/cart", "bbbb"
	ts.redeclare.Store(true)
	require.NoError(t, ts.tendDrafts(t.Context()))
	now := ts.heldDraft(t, inc)
	require.NotEqual(t, first.Hash, now.Hash)
	var d ticket.Draft
	require.NoError(t, json.Unmarshal(now.Payload, &d))
	require.Equal(t, "bbbb", d.Declaration)
	require.Equal(t, "scale shop/deployment/cart", d.Does)
	_, _, err = ts.ledger.Approve(t.Context(), outbox.Approval{TaskID: first.ID, IncidentID: inc.ID, Actor: "bob", Reason: "yes", Hash: first.Hash, At: t0},
		incident.Feedback{IncidentID: inc.ID, Verdict: incident.VerdictConfirmed, Actor: "bob", Reason: "yes", At: t0})
	require.ErrorIs(t, err, outbox.ErrStale, "what was approved is not what would be done")
	got, err := ts.store.Get(t.Context(), inc.ID)
	require.NoError(t, err)
	require.Contains(t, got.Timeline[len(got.Timeline)-1].Text, "approvals of before are void")
	n := len(got.Timeline)
	ts.redeclare.Store(true)
	require.NoError(t, ts.tendDrafts(t.Context()))
	got, err = ts.store.Get(t.Context(), inc.ID)
	require.NoError(t, err)
	require.Len(t, got.Timeline, n, "once")
}

// heldDraft is the one draft that waits.
func (ts *testServer) heldDraft(t *testing.T, inc incident.Incident) outbox.Task {
	t.Helper()
	held, _, err := ts.tasks.ListTasks(t.Context(), outbox.Query{State: outbox.StateHeld, IncidentID: inc.ID, Limit: 10})
	require.NoError(t, err)
	require.Len(t, held, 1)
	return held[0]
}
