package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incidentapi"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/policy"
	"github.com/portent-dev/portent/internal/ticket"
)

const idDraft = "01JDB3DRAFT"

// addDraft stores an incident whose ticket waits, as triage does.
func (ts *testServer) addDraft(t testing.TB, id string, approvals int) incident.Incident {
	t.Helper()
	ts.add(t, seed{
		id: id, title: "[Auto] Disk full - db (Cluster: prod-eu-1)", status: incident.StatusOpen, severity: incident.SeverityWarning, started: time.Hour,
		labels: map[string]string{"cluster": "prod-eu-1", "namespace": "shop"}, cause: incident.RootCause{Entity: "db-0", Alertname: "DiskFull", Confidence: 0.8},
		alerts: []incident.Alert{testAlert("DiskFull", time.Hour, 0, "namespace", "shop", "cluster", "prod-eu-1", "severity", "warning")},
	})
	inc, err := ts.db.Get(t.Context(), id)
	require.NoError(t, err)
	inc.Trackers = []string{"local"}
	payload, err := json.Marshal(ts.settings.Load().words.Draft(inc.TicketKey(), inc))
	require.NoError(t, err)
	gate := incident.Gate{
		Outcome: incident.GateHold, Phase: "draft", Rule: "disks", Policy: "v1", Why: []string{`rule "disks" says draft`}, Approvals: approvals,
		Expires: t0.Add(time.Hour), DecidedAt: t0,
	}
	require.NoError(t, ts.db.Apply(t.Context(), incident.Change{
		Incidents: []incident.Incident{inc},
		Tasks:     []incident.Task{{IncidentID: id, Tracker: "local", Key: inc.TicketKey(), Kind: incident.TaskCreate, Payload: payload, Gate: gate}},
	}))
	return inc
}

// due are the tasks that the outbox would send now.
func (ts *testServer) due(t testing.TB) []outbox.Task {
	t.Helper()
	out, err := ts.db.Claim(t.Context(), outbox.Claim{Now: time.Now().Add(time.Hour), Lease: time.Minute, Tracker: "local", Limit: 10, Actor: "test"})
	require.NoError(t, err)
	return out
}

func TestApprovingThroughTheAPI(t *testing.T) {
	ts := newTestServer(t, withPeople)
	ts.addDraft(t, idDraft, 1)
	c := ts.client(t, approverToken)
	inc, err := c.Get(t.Context(), idDraft)
	require.NoError(t, err)
	require.Len(t, inc.Drafts, 1)
	d := inc.Drafts[0]
	require.Equal(t, "held", d.State)
	require.Equal(t, "disks", d.Rule)
	require.Equal(t, 1, d.Needs)
	require.Equal(t, incident.PayloadHash(d.Payload), d.Hash)
	require.Equal(t, &incidentapi.Routing{Cluster: "prod-eu-1", Class: "DiskFull", Confidence: 0.8, Low: 0.473, High: 0.987}, inc.Routing)

	_, err = ts.client(t, analystToken).Approve(t.Context(), idDraft, d.Hash, "fine")
	require.Equal(t, incidentapi.ReasonUnauthorized, reasonOf(t, err), "an analyst may not approve")
	_, err = c.Approve(t.Context(), idDraft, strings.Repeat("0", 64), "fine")
	require.Equal(t, incidentapi.ReasonConflict, reasonOf(t, err), "of something else")
	_, err = c.Approve(t.Context(), idDraft, d.Hash, " ")
	require.Equal(t, incidentapi.ReasonBadRequest, reasonOf(t, err), "without a reason")
	require.Empty(t, ts.due(t))

	inc, err = c.Approve(t.Context(), idDraft, d.Hash, "fine")
	require.NoError(t, err)
	require.Equal(t, "pending", inc.Drafts[0].State)
	require.Equal(t, "approver", inc.Drafts[0].Approvals[0].Actor)
	require.Equal(t, 1, inc.Routing.Confirmed, "it taught something")
	require.Equal(t, "confirmed", inc.Routing.Verdict)
	_, err = c.Approve(t.Context(), idDraft, d.Hash, "fine")
	require.NoError(t, err, "a double click")
	_, err = c.Approve(t.Context(), idDraft, "", "fine")
	require.Equal(t, incidentapi.ReasonConflict, reasonOf(t, err), "nothing waits")
	tasks := ts.due(t)
	require.Len(t, tasks, 1)
	require.JSONEq(t, string(d.Payload), string(tasks[0].Payload), "what was approved is what is sent")
}

func TestApprovingOnThePage(t *testing.T) {
	ts := newTestServer(t, withPeople)
	ts.addDraft(t, idDraft, 2)
	page := func(token string) string {
		return ts.send(t, "GET", "/incidents/"+idDraft, "", "Authorization", "Bearer "+token).Body.String()
	}
	require.NotContains(t, page(analystToken), "/approve", "a button only for those who may")
	body := page(approverToken)
	require.Contains(t, body, "Ticket for local waits for approval")
	inc, err := ts.client(t, approverToken).Get(t.Context(), idDraft)
	require.NoError(t, err)
	d := inc.Drafts[0]
	require.Contains(t, body, d.Hash)
	post := func(token, action string, v url.Values) int {
		return ts.send(t, "POST", "/incidents/"+idDraft+"/"+action, v.Encode(), "Authorization", "Bearer "+token, "Content-Type", "application/x-www-form-urlencoded").Code
	}
	form := func(hash string) url.Values {
		return url.Values{"reason": {"yes"}, "task": {strconv.FormatInt(d.Task, 10)}, "hash": {hash}}
	}
	require.Equal(t, http.StatusForbidden, post(analystToken, "approve", form(d.Hash)))
	require.Equal(t, http.StatusSeeOther, post(approverToken, "approve", form(d.Hash)))
	require.Contains(t, page(adminToken), "It takes 2 persons; 1 of them so far.")

	edit := form(d.Hash)
	edit.Set("title", "Disk of the order database is full")
	edit.Set("body", "Please\r\n\r\ngrow it")
	require.Equal(t, http.StatusSeeOther, post(adminToken, "edit", edit))
	require.Equal(t, http.StatusConflict, post(adminToken, "approve", form(d.Hash)), "the page was stale")
	inc, err = ts.client(t, approverToken).Get(t.Context(), idDraft)
	require.NoError(t, err)
	require.Empty(t, inc.Drafts[0].Approvals, "what was approved was something else")
	require.Equal(t, "admin", inc.Drafts[0].EditedBy)
	require.Equal(t, http.StatusSeeOther, post(adminToken, "approve", form(inc.Drafts[0].Hash)))
	require.Equal(t, http.StatusSeeOther, post(adminToken, "approve", form(inc.Drafts[0].Hash)))
	require.Empty(t, ts.due(t), "one person twice is one person")
	require.Equal(t, http.StatusSeeOther, post(approverToken, "approve", form(inc.Drafts[0].Hash)))
	tasks := ts.due(t)
	require.Len(t, tasks, 1)
	var sent ticket.Draft
	require.NoError(t, json.Unmarshal(tasks[0].Payload, &sent))
	require.Equal(t, "Disk of the order database is full", sent.Title)
	require.Equal(t, "Please\n\ngrow it", sent.Body.Text())
}

func TestTwoPeopleAtOnce(t *testing.T) {
	ts := newTestServer(t, withPeople)
	ts.addDraft(t, idDraft, 1)
	inc, err := ts.client(t, approverToken).Get(t.Context(), idDraft)
	require.NoError(t, err)
	hash, title := inc.Drafts[0].Hash, "Another title"
	var wg sync.WaitGroup
	var approved, edited error
	wg.Go(func() {
		_, approved = ts.server.carryOut(t.Context(), principal{name: "ann", role: RoleApprover}, decision{Incident: idDraft, Do: actionApprove, Action: incidentapi.Action{Reason: "yes", Hash: hash}})
	})
	wg.Go(func() {
		_, edited = ts.server.carryOut(t.Context(), principal{name: "bob", role: RoleApprover}, decision{Incident: idDraft, Do: actionEdit, Action: incidentapi.Action{Reason: "better", Hash: hash, Title: &title}})
	})
	wg.Wait()
	require.NotEqual(t, approved == nil, edited == nil, "exactly one of them: approved %v, edited %v", approved, edited)
	tasks := ts.due(t)
	if approved == nil {
		require.Len(t, tasks, 1)
		require.Equal(t, hash, incident.PayloadHash(tasks[0].Payload))
	} else {
		require.ErrorIs(t, approved, incident.ErrConflict)
		require.Empty(t, tasks)
	}
}

func TestAStaleETagChangesNothing(t *testing.T) {
	ts := newTestServer(t, nil)
	ts.addDraft(t, idDraft, 1)
	const path = "/api/v1/incidents/" + idDraft
	tag := ts.send(t, "GET", path, "").Header().Get("ETag")
	require.NotEmpty(t, tag)
	require.Equal(t, 304, ts.send(t, "GET", path, "", "If-None-Match", tag).Code)
	send := func(tag string) int {
		return ts.send(t, "POST", path+"/escalate", `{"reason":"worse"}`, "Content-Type", "application/json", "If-Match", tag).Code
	}
	require.Equal(t, 200, send(tag))
	require.Equal(t, 412, send(tag), "it changed by the first")
	require.Equal(t, []string{"local"}, ts.decide.actors)
}

func TestFeedbackTeachesAndCanBeTakenBack(t *testing.T) {
	ts := newTestServer(t, withPeople)
	for i := range 9 {
		ts.addDraft(t, fmt.Sprintf("01JDB4%02d", i), 1)
	}
	c := ts.client(t, analystToken)
	var inc incidentapi.Incident
	var err error
	for i := range 9 {
		inc, err = c.Feedback(t.Context(), fmt.Sprintf("01JDB4%02d", i), incidentapi.VerdictDismissed, "noise")
		require.NoError(t, err)
	}
	require.InDelta(t, 4.0/14, inc.Routing.Confidence, 1e-3)
	got, err := ts.db.Get(t.Context(), "01JDB400")
	require.NoError(t, err)
	gate := ts.gater.gate(t0, got, "jira")
	require.Equal(t, incident.GateHold, gate.Outcome, "the class is not trusted any more: %v", gate.Why)
	require.Equal(t, "draft", gate.Phase)

	inc, err = c.Feedback(t.Context(), "01JDB408", incidentapi.VerdictUndo, "a mistake")
	require.NoError(t, err)
	require.Equal(t, 8, inc.Routing.Dismissed)
	require.Empty(t, inc.Routing.Verdict)
	require.Equal(t, incident.GateSend, ts.gater.gate(t0, got, "jira").Outcome)
	inc, err = c.Feedback(t.Context(), "01JDB408", "", "the rule was changed")
	require.NoError(t, err)
	require.Equal(t, 8, inc.Routing.Dismissed, "words alone teach nothing")
	_, err = c.Feedback(t.Context(), "01JDB408", "meh", "x")
	require.Equal(t, incidentapi.ReasonBadRequest, reasonOf(t, err))
	body := ts.send(t, "GET", "/policy", "", "Authorization", "Bearer "+viewerToken).Body.String()
	require.Contains(t, body, "0 confirmed, 8 dismissed")
}

func TestTheKillSwitchByAPIAndPage(t *testing.T) {
	ts := newTestServer(t, withPeople)
	inc := ts.addDraft(t, idDraft, 1)
	send := func(token, body string) int {
		return ts.send(t, "POST", incidentapi.PathKillSwitch, body, "Authorization", "Bearer "+token, "Content-Type", "application/json").Code
	}
	require.Equal(t, 200, send(approverToken, `{"engaged":true,"reason":"wrong tickets"}`))
	require.Equal(t, incident.GateHold, ts.gater.gate(t0, inc, "jira").Outcome)
	var p incidentapi.Policy
	require.NoError(t, json.Unmarshal(ts.send(t, "GET", incidentapi.PathPolicy, "", "Authorization", "Bearer "+viewerToken).Body.Bytes(), &p))
	require.True(t, p.KillSwitch.Engaged)
	require.Equal(t, "approver", p.KillSwitch.Actor)
	require.Equal(t, []incidentapi.PolicyCount{{Rule: "disks", Phase: "draft", Waiting: 1}}, p.Report)
	require.Equal(t, 403, send(approverToken, `{"engaged":false,"reason":"mended"}`), "letting go takes an admin")
	require.Equal(t, 403, send(shopToken, `{"engaged":true,"reason":"x"}`), "somebody who sees a part")
	require.Equal(t, 303, ts.send(t, "POST", "/policy/killswitch", "engaged=false&reason=mended", "Authorization", "Bearer "+adminToken, "Content-Type", "application/x-www-form-urlencoded").Code)
	require.Equal(t, incident.GateSend, ts.gater.gate(t0, inc, "jira").Outcome)
	rs, err := ts.db.VerifyAudit(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(2), rs)

	byConfig := newTestServer(t, func(c *Config) { c.Policy.KillSwitch = true })
	require.Equal(t, 409, byConfig.send(t, "POST", incidentapi.PathKillSwitch, `{"engaged":false,"reason":"x"}`).Code)
}

func TestRateLimitsCountWhatIsNotWrittenYet(t *testing.T) {
	ts := newTestServer(t, func(c *Config) { c.Policy.MaxPerHour = 2 })
	inc := func(id string) incident.Incident { return incident.Incident{ID: id, Labels: map[string]string{}} }
	require.Equal(t, incident.GateSend, ts.gater.gate(t0, inc("a"), "jira").Outcome)
	require.Equal(t, incident.GateSend, ts.gater.gate(t0, inc("b"), "jira").Outcome)
	require.Equal(t, incident.GateSend, ts.gater.gate(t0, inc("b"), "jira").Outcome, "the same again, when its batch was not written")
	require.Equal(t, incident.GateHold, ts.gater.gate(t0, inc("c"), "jira").Outcome)
	require.Equal(t, incident.GateSend, ts.gater.gate(t0.Add(61*time.Minute), inc("c"), "jira").Outcome)

	gate := ts.gater.gate(t0, inc("x"), "jira")
	require.Equal(t, policy.DefaultRule, gate.Rule)
	require.Len(t, gate.Policy, 12)
}

func TestDraftsFollowTheirIncident(t *testing.T) {
	ts := newTestServer(t, nil)
	ts.addDraft(t, idDraft, 1)
	inc, err := ts.db.Get(t.Context(), idDraft)
	require.NoError(t, err)
	inc.Severity = incident.SeverityCritical
	update, err := json.Marshal(ticket.Update{Key: "u"})
	require.NoError(t, err)
	require.NoError(t, ts.db.Apply(t.Context(), incident.Change{
		Incidents: []incident.Incident{inc},
		Tasks:     []incident.Task{{IncidentID: idDraft, Tracker: "local", Key: inc.TicketKey(), Kind: incident.TaskUpdate, Payload: update}},
	}))
	before, err := ts.draftsOf(t.Context(), idDraft)
	require.NoError(t, err)
	require.NoError(t, ts.tendDrafts(t.Context()))
	after, err := ts.draftsOf(t.Context(), idDraft)
	require.NoError(t, err)
	require.Contains(t, string(after[0].Payload), `"severity":"critical"`)
	_, err = ts.server.carryOut(t.Context(), principal{name: "ann", role: RoleAdmin}, decision{Incident: idDraft, Do: actionApprove, Action: incidentapi.Action{Reason: "yes", Hash: before[0].Hash}})
	require.ErrorIs(t, err, outbox.ErrStale)

	ts.clock = t0.Add(time.Hour)
	require.NoError(t, ts.tendDrafts(t.Context()))
	after, err = ts.draftsOf(t.Context(), idDraft)
	require.NoError(t, err)
	require.Equal(t, outbox.StateDropped, after[0].State, "nobody approved it in time")
}
