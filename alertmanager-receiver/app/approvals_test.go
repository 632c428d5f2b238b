package app

import (
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incidentapi"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/policy"
	"github.com/portent-dev/portent/internal/ticket/slack"
	"github.com/portent-dev/portent/internal/ticket/slack/slacktest"
)

// approveAs approves a draft in the name of somebody, by hash.
func (ts *testServer) approveAs(t *testing.T, name, hash string) error {
	t.Helper()
	_, err := ts.carryOut(t.Context(), principal{name: name, role: RoleApprover}, decision{Incident: idDraft, Do: actionApprove, Action: incidentapi.Action{Reason: "yes", Hash: hash}})
	return err
}

func (ts *testServer) draft(t *testing.T) outbox.Task {
	t.Helper()
	ds, err := ts.draftsOf(t.Context(), idDraft)
	require.NoError(t, err)
	require.Len(t, ds, 1)
	return ds[0]
}

// Ten people approve at once, each of them five times: two of them count, and the ticket goes once.
func TestManyApproveAtOnce(t *testing.T) {
	ts := newTestServer(t, withPeople)
	ts.addDraft(t, idDraft, 2)
	hash := ts.draft(t).Hash
	var wg sync.WaitGroup
	errs := make(chan error, 50)
	for i := range 50 {
		wg.Go(func() { errs <- ts.approveAs(t, "person-"+strconv.Itoa(i%10), hash) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			require.ErrorIs(t, err, outbox.ErrNotHeld, "too late")
		}
	}
	as, err := ts.ledger.ApprovalsOf(t.Context(), idDraft)
	require.NoError(t, err)
	require.Len(t, as, 2)
	require.NotEqual(t, as[0].Actor, as[1].Actor)
	tasks := ts.due(t)
	require.Len(t, tasks, 1)
	require.Equal(t, hash, incident.PayloadHash(tasks[0].Payload))
	require.Len(t, ts.auditOf(t, "ticket.approved"), 2)
	tally, err := ts.gater.tally(t.Context(), mustGet(t, ts))
	require.NoError(t, err)
	require.Equal(t, policy.Tally{Confirmed: 1}, tally, "one ticket is one verdict")
}

func mustGet(t *testing.T, ts *testServer) incident.Incident {
	t.Helper()
	inc, err := ts.db.Get(t.Context(), idDraft)
	require.NoError(t, err)
	return inc
}

// What somebody approved is not what it became by an edit, whoever edited it, also not back again.
func TestAnEditTakesApprovalsAway(t *testing.T) {
	ts := newTestServer(t, withPeople)
	ts.addDraft(t, idDraft, 2)
	first := ts.draft(t)
	require.NoError(t, ts.approveAs(t, "ann", first.Hash))
	edit := func(title string) {
		_, err := ts.carryOut(t.Context(), principal{name: "ann", role: RoleApprover}, decision{Incident: idDraft, Do: actionEdit, Action: incidentapi.Action{Reason: "better", Title: &title}})
		require.NoError(t, err)
	}
	edit("Another title")
	require.ErrorIs(t, ts.approveAs(t, "bob", first.Hash), outbox.ErrStale)
	second := ts.draft(t)
	require.NoError(t, ts.approveAs(t, "bob", second.Hash))
	require.Empty(t, ts.due(t), "ann approved something else")
	require.NoError(t, ts.approveAs(t, "ann", second.Hash))
	tasks := ts.due(t)
	require.Len(t, tasks, 1)
	require.Equal(t, second.Hash, tasks[0].Authorized)
	title := "Too late"
	_, err := ts.carryOut(t.Context(), principal{name: "ann", role: RoleApprover}, decision{Incident: idDraft, Do: actionEdit, Action: incidentapi.Action{Reason: "x", Title: &title, Hash: second.Hash}})
	require.ErrorIs(t, err, outbox.ErrNotHeld, "what was approved is not changed any more")
}

// One person with a token, another token, a session, a sign-in at a provider and a button is one person.
func TestOnePersonWithSeveralWaysInIsOne(t *testing.T) {
	p := newProvider(t)
	ts := newTestServer(t, func(c *Config) {
		withProvider(p)(c)
		c.Access[2].As, c.Access[3].As = "oidc:ann", "oidc:ann"
		c.OIDC.Rules[0].Role = RoleApprover
	})
	ts.addDraft(t, idDraft, 2)
	hash := ts.draft(t).Hash
	for name, token := range map[string]string{"token": approverToken, "another token": adminToken, "provider": p.token(map[string]any{"groups": []string{"sre"}})} {
		_, err := ts.client(t, token).Approve(t.Context(), idDraft, hash, name)
		require.NoError(t, err, name)
	}
	b := ts.signedIn(t, approverToken)
	_, body := b.get("/incidents/" + idDraft)
	csrf := csrfField.FindStringSubmatch(body)[1]
	code, _ := b.post("/incidents/"+idDraft+"/approve", url.Values{"reason": {"session"}, "hash": {hash}, "csrf": {csrf}})
	require.Equal(t, 200, code)
	as, err := ts.ledger.ApprovalsOf(t.Context(), idDraft)
	require.NoError(t, err)
	require.Len(t, as, 1)
	require.Equal(t, "oidc:ann", as[0].Actor)
	require.Empty(t, ts.due(t))
	require.NoError(t, ts.approveAs(t, "bob", hash))
	require.Len(t, ts.due(t), 1)
}

// A press that was caught and sent again does nothing, also when what it decided was undone since.
func TestAReplayedPressDoesNothing(t *testing.T) {
	r := newSlackRig(t)
	r.held(t, 2)
	r.asker.round(t.Context())
	v := value(t, r.site.Messages()[0])
	require.Equal(t, 200, r.post(t, pressBody(ann, slacktest.Channel, slack.ActionDismiss, v), t0, callbackSecret).Code)
	forms := r.site.Forms()
	require.Len(t, forms, 1)
	body := formBody(ann, forms[0].Meta, "noise")
	require.Equal(t, 200, r.post(t, body, t0, callbackSecret).Code)
	require.Equal(t, incident.StatusDismissed, mustGet(t, r.testServer).Status)
	_, err := r.carryOut(t.Context(), principal{name: "cat", role: RoleAnalyst}, decision{Incident: idDraft, Do: actionReopen, Action: incidentapi.Action{Reason: "it is not over"}})
	require.NoError(t, err)
	for _, after := range []time.Duration{0, time.Minute, slackSkew} {
		r.clock = t0.Add(after)
		require.Equal(t, http.StatusConflict, r.post(t, body, t0, callbackSecret).Code)
	}
	r.clock = t0.Add(slackSkew + time.Second)
	require.Equal(t, http.StatusUnauthorized, r.post(t, body, t0, callbackSecret).Code, "its signature is too old by now")
	require.Equal(t, incident.StatusOpen, mustGet(t, r.testServer).Status)
}

// A reload that wants more people wants them of what waits; one that wants fewer does not.
func TestAReloadWhileADraftWaits(t *testing.T) {
	for _, x := range []struct{ drafted, now int }{{1, 2}, {2, 1}} {
		ts := newTestServer(t, withPeople)
		ts.addDraft(t, idDraft, x.drafted)
		c := policy.DefaultConfig()
		c.Approvals = x.now
		rules, err := policy.New(c)
		require.NoError(t, err)
		ts.gater.replace(rules)
		hash := ts.draft(t).Hash
		inc, err := ts.client(t, approverToken).Get(t.Context(), idDraft)
		require.NoError(t, err)
		require.Equal(t, 2, inc.Drafts[0].Needs)
		require.NoError(t, ts.approveAs(t, "ann", hash))
		require.Empty(t, ts.due(t))
		require.NoError(t, ts.approveAs(t, "bob", hash))
		require.Len(t, ts.due(t), 1)
	}
}

// Whoever lost the role between opening the page and pressing the button, lost it.
func TestARoleThatWasLostApprovesNothing(t *testing.T) {
	ts := newTestServer(t, withPeople)
	ts.addDraft(t, idDraft, 1)
	b := ts.signedIn(t, approverToken)
	_, body := b.get("/incidents/" + idDraft)
	form := url.Values{"reason": {"yes"}, "hash": {ts.draft(t).Hash}, "csrf": {csrfField.FindStringSubmatch(body)[1]}}
	ts.reload(t, func(c *Config) { c.Access[2].Role = RoleAnalyst })
	code, _ := b.post("/incidents/"+idDraft+"/approve", form)
	require.Equal(t, 401, code)
	require.Empty(t, ts.due(t))
}

// The clock jumps ahead: what lapsed by it is not approved, though nobody has dropped it yet; it jumps back: what waits, waits.
func TestTheClockJumpsWhileADraftWaits(t *testing.T) {
	ts := newTestServer(t, withPeople)
	ts.addDraft(t, idDraft, 1)
	hash := ts.draft(t).Hash
	ts.clock = t0.Add(time.Hour)
	err := ts.approveAs(t, "ann", hash)
	require.ErrorIs(t, err, outbox.ErrNotHeld)
	require.ErrorContains(t, err, "lapsed")
	require.Empty(t, ts.auditOf(t, "ticket.approved"))
	ts.clock = t0.Add(-100 * time.Hour)
	require.NoError(t, ts.tendDrafts(t.Context()))
	require.Equal(t, outbox.StateHeld, ts.draft(t).State)
	require.NoError(t, ts.approveAs(t, "ann", hash))
	require.Len(t, ts.due(t), 1)
}

// Dismissed and open again, a draft waits as it did, with the approvals that it had and no more.
func TestADraftThatComesBack(t *testing.T) {
	ts := newTestServer(t, withPeople)
	ts.addDraft(t, idDraft, 2)
	hash := ts.draft(t).Hash
	require.NoError(t, ts.approveAs(t, "ann", hash))
	decide := func(what string) {
		_, err := ts.carryOut(t.Context(), principal{name: "cat", role: RoleAnalyst}, decision{Incident: idDraft, Do: what, Action: incidentapi.Action{Reason: "x"}})
		require.NoError(t, err)
	}
	decide(actionDismiss)
	require.ErrorIs(t, ts.approveAs(t, "bob", hash), outbox.ErrNotHeld)
	decide(actionReopen)
	require.NoError(t, ts.approveAs(t, "ann", hash))
	require.Empty(t, ts.due(t), "ann again is ann")
	require.NoError(t, ts.approveAs(t, "bob", hash))
	require.Len(t, ts.due(t), 1)
}
