package app

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incidentapi"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/slack"
)

// tenant is one of two who share a receiver. secret stands in everything that is theirs.
type tenant struct{ name, token, secret, alert, own string }

var tenants = []tenant{
	{"shop", shopToken, "launch-of-the-new-shop", "ShopDown", "01SHOP"},
	{"bank", bankToken, "acquisition-of-example-inc", "BankDown", "01BANK"},
}

const (
	idShared = "01SHARED" // of both at once
	idParted = "01PARTED" // shop's by now; alerts of the bank were in it
)

// twoTenants fills a receiver with incidents of two tenants, of both, and of one that the other was part of; each with a
// draft, a ticket, evidence, a timeline and records.
func twoTenants(t *testing.T) *testServer {
	t.Helper()
	ts := newTestServer(t, withPeople)
	start := 2 * time.Hour
	alertOf := func(x tenant) incident.Alert {
		start += time.Second // another start of the same alert
		a := testAlert(x.alert, start, 0, "namespace", x.name, "severity", "critical", "job", x.secret, "@summary", x.secret)
		a.Why = "fires with " + x.secret
		return a
	}
	put := func(id, secret string, timeline []incident.Event, alerts ...incident.Alert) {
		ts.add(t, seed{
			id: id, title: secret, summary: secret, status: "open", severity: "critical", started: 2 * time.Hour, alerts: alerts,
			labels: map[string]string{"namespace": alerts[0].Labels["namespace"], "owner": secret}, cause: incident.RootCause{Entity: secret, Alertname: alerts[0].Name(), Confidence: 1},
			events: append(timeline, incident.Event{At: t0, Kind: incident.EventNote, Actor: secret, Text: secret}), tracker: TrackerLocal,
		})
		inc, err := ts.db.Get(t.Context(), id)
		require.NoError(t, err)
		inc.Causes = []incident.Cause{{RootCause: inc.RootCause, Why: secret}}
		inc.Dossier = &incident.Dossier{At: t0, Evidence: []incident.Evidence{{Kind: incident.EvidenceSimilar, Title: secret, Text: secret, Source: "past"}}}
		payload, err := json.Marshal(draftOf(ts.settings.Load().words, inc.TicketKey(), inc))
		require.NoError(t, err)
		require.Contains(t, string(payload), secret)
		require.NoError(t, ts.db.PutDossier(t.Context(), id, *inc.Dossier))
		inc.Dossier = nil
		require.NoError(t, ts.db.Apply(t.Context(), incident.Change{
			Incidents: []incident.Incident{inc},
			Tasks: []incident.Task{{
				IncidentID: id, Tracker: "jira", Key: inc.TicketKey(), Kind: incident.TaskCreate, Payload: payload,
				Gate: incident.Gate{Outcome: incident.GateHold, Phase: "draft", Rule: "r", Policy: "v1", Why: []string{"rule r says draft"}, Approvals: 1, Expires: t0.Add(time.Hour), DecidedAt: t0},
			}},
		}))
		_, err = ts.carryOut(t.Context(), principal{name: "ann", role: RoleAdmin}, decision{Incident: id, Do: actionFeedback, Action: incidentapi.Action{Reason: secret, Verdict: incidentapi.VerdictConfirmed}})
		require.NoError(t, err)
	}
	shop, bank := tenants[0], tenants[1]
	put(shop.own, shop.secret, nil, alertOf(shop))
	put(bank.own, bank.secret, nil, alertOf(bank))
	put(idShared, shop.secret+" "+bank.secret, nil, alertOf(shop), alertOf(bank))
	parted := alertOf(shop)
	parted.Why = "fires with " + bank.secret
	put(idParted, shop.secret, []incident.Event{{At: t0, Kind: incident.EventSplit, Actor: "portent", Text: bank.alert + " of " + bank.secret + " went to incident " + bank.own}}, parted)
	require.NoError(t, ts.db.Apply(t.Context(), incident.Change{Alerts: []incident.Alert{alertOf(shop), alertOf(bank)}})) // kept out
	return ts
}

// Every route is asked by each of two tenants, for what is theirs, the other's and of both, and never tells one of the other.
// The table of routes is that of the program: a new one is asked too.
func TestNoRouteTellsATenantOfAnother(t *testing.T) {
	ts := twoTenants(t)
	for i, me := range tenants {
		other := tenants[1-i]
		for _, e := range ts.table() {
			method, path, _ := strings.Cut(e.pattern, " ")
			if path == incidentapi.PathEvents {
				continue // it does not end: TestAPageIsToldWhatChangedAndItMaySee
			}
			for _, p := range pathsOf(path) {
				body, kind := `{"reason":"guessed the id","engaged":true,"hash":""}`, "application/json"
				if !strings.HasPrefix(p, "/api/") {
					body, kind = "reason=guessed&engaged=true&verdict=confirmed", "application/x-www-form-urlencoded"
				}
				if method == http.MethodGet {
					body = ""
				}
				w := ts.send(t, method, p, body, "Authorization", "Bearer "+me.token, "Content-Type", kind)
				asked := me.name + ": " + method + " " + p
				for _, word := range []string{other.secret, other.alert, other.name + "-"} {
					require.NotContains(t, w.Body.String(), word, asked)
				}
				if strings.Contains(p, other.own) && e.audience == eachTheirs {
					require.Equal(t, 404, w.Code, "%s: what is the other's does not exist: %s", asked, w.Body.String())
				}
				if e.audience == wholeOnly {
					require.Equal(t, 403, w.Code, asked)
				}
			}
		}
	}
	for _, id := range []string{idShared, tenants[0].own, tenants[1].own} {
		inc, err := ts.db.Get(t.Context(), id)
		require.NoError(t, err)
		for _, a := range inc.Alerts {
			require.NotEmpty(t, a.Why, "what others see stays")
		}
	}
	shared, err := ts.db.Get(t.Context(), idShared)
	require.NoError(t, err)
	require.Equal(t, incident.StatusOpen, shared.Status, "neither can decide about what is of both")
	drafts, err := ts.draftsOf(t.Context(), idShared)
	require.NoError(t, err)
	require.Equal(t, outbox.StateHeld, drafts[0].State)
}

// pathsOf fills the parts of a path in, with what is of either tenant, of both, and of nobody.
func pathsOf(path string) []string {
	out := []string{strings.TrimSuffix(path, "{$}")}
	for part, values := range map[string][]string{
		"{id}": {"01SHOP", "01BANK", idShared, idParted, "1", "nope"}, "{key}": {"LOCAL-1", "LOCAL-2", "LOCAL-3", "LOCAL-4", "LOCAL-99"},
		"{action}": {"dismiss", "approve", "edit", "redraft", "feedback", "escalate", "reopen", "take", "guess"}, "{file}": {"portent.css", "nope"},
	} {
		var next []string
		for _, p := range out {
			if !strings.Contains(p, part) {
				next = append(next, p)
				continue
			}
			for _, v := range values {
				next = append(next, strings.Replace(p, part, v, 1))
			}
		}
		out = next
	}
	if len(out) == 1 { // the lists, with what they take
		for _, q := range []string{"?status=all", "?status=open&severity=critical", "?suppressed=true", "?limit=1", "?limit=1000", "?since=2020-01-01T00:00:00Z", `?matchers=namespace=~".%2B"`, `?try=namespace=~".%2B"`, "?try="} {
			out = append(out, out[0]+q)
		}
	}
	return out
}

// A tenant reads its own in pages of one, past what is of others, to the end.
func TestPagesOfATenant(t *testing.T) {
	ts := newTestServer(t, withPeople)
	for i := range 60 {
		x := tenants[1]
		if i%20 == 7 {
			x = tenants[0]
		}
		d := time.Duration(i+1) * time.Minute
		ts.add(t, seed{id: "01J" + string(rune('A'+i/26)) + string(rune('A'+i%26)), title: x.secret, status: "open", severity: "warning", started: d, alerts: []incident.Alert{testAlert(x.alert, d, 0, "namespace", x.name)}})
	}
	for _, limit := range []int{1, 2, 100} {
		var got []string
		opts := incidentapi.ListOptions{Limit: limit}
		for range 10 {
			page, err := ts.client(t, shopToken).List(t.Context(), opts)
			require.NoError(t, err)
			require.LessOrEqual(t, len(page.Incidents), limit)
			for _, inc := range page.Incidents {
				got = append(got, inc.ID)
			}
			if page.Next == nil {
				break
			}
			require.Len(t, page.Incidents, limit, "a page is full while more follow")
			opts.Cursor = *page.Next
		}
		require.Equal(t, []string{"01JBV", "01JBB", "01JAH"}, got)
	}
	// The same of alerts.
	var kept incident.Change
	for i := range 60 {
		x := tenants[1]
		if i%20 == 7 {
			x = tenants[0]
		}
		kept.Alerts = append(kept.Alerts, testAlert(x.alert, time.Duration(i+1)*time.Second, 0, "namespace", x.name, "kept", "yes"))
	}
	require.NoError(t, ts.db.Apply(t.Context(), kept))
	for _, limit := range []int{1, 2, 100} {
		n, opts := 0, incidentapi.AlertOptions{Suppressed: true, Limit: limit}
		for range 10 {
			page, err := ts.client(t, shopToken).Alerts(t.Context(), opts)
			require.NoError(t, err)
			n += len(page.Alerts)
			for _, a := range page.Alerts {
				require.Equal(t, "shop", a.Labels["namespace"])
			}
			if page.Next == nil {
				break
			}
			require.Len(t, page.Alerts, limit)
			opts.Cursor = *page.Next
		}
		require.Equal(t, 3, n)
	}
	require.Contains(t, ts.send(t, "GET", "/?status=dismissed", "", "Authorization", "Bearer "+shopToken).Body.String(), "Nothing of yours")
}

// Somebody who sees a part approves what is made of that part alone, and sees the whole of what they approve.
func TestNobodyApprovesWhatTheyDoNotSeeWhole(t *testing.T) {
	ts := twoTenants(t)
	own := tenants[0].own
	c := ts.client(t, shopToken)
	inc, err := c.Get(t.Context(), own)
	require.NoError(t, err)
	require.Len(t, inc.Drafts, 1)
	d := inc.Drafts[0]
	require.Equal(t, "null", string(d.Payload))
	require.NotEmpty(t, d.Hidden, "it tells of the past, which may be another's")
	page := ts.send(t, "GET", "/incidents/"+own, "", "Authorization", "Bearer "+shopToken).Body.String()
	require.Contains(t, page, "Make it anew from what you see")
	require.NotContains(t, page, own+"/approve")
	for _, hash := range []string{d.Hash, ""} {
		_, err = c.Approve(t.Context(), own, hash, "blindly")
		require.Equal(t, incidentapi.ReasonUnauthorized, reasonOf(t, err))
	}
	w := ts.send(t, "POST", "/api/v1/incidents/"+own+"/edit", `{"reason":"x","title":"mine"}`, "Authorization", "Bearer "+shopToken, "Content-Type", "application/json")
	require.Equal(t, 403, w.Code)

	w = ts.send(t, "POST", "/api/v1/incidents/"+own+"/redraft", `{"reason":"without the past","hash":"`+d.Hash+`"}`, "Authorization", "Bearer "+shopToken, "Content-Type", "application/json")
	require.Equal(t, 200, w.Code, w.Body.String())
	var after incidentapi.Incident
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &after))
	require.Empty(t, after.Drafts[0].Hidden)
	require.NotContains(t, string(after.Drafts[0].Payload), "Seen before")
	require.NotEqual(t, d.Hash, after.Drafts[0].Hash)
	_, err = c.Approve(t.Context(), own, d.Hash, "the old one")
	require.Equal(t, incidentapi.ReasonConflict, reasonOf(t, err))
	_, err = c.Approve(t.Context(), own, after.Drafts[0].Hash, "what I saw")
	require.NoError(t, err)

	// An incident that the bank was part of: its draft may still tell of the bank.
	parted, err := c.Get(t.Context(), idParted)
	require.NoError(t, err)
	require.NotEmpty(t, parted.Drafts[0].Hidden)
	require.Len(t, parted.Timeline, 1)
	require.Contains(t, parted.Timeline[0].Text, "left out")
	// Words of somebody who sees everything may say anything.
	title := "see what the bank does"
	_, err = ts.carryOut(t.Context(), principal{name: "ann", role: RoleAdmin}, decision{Incident: idParted, Do: actionRedraft, Action: incidentapi.Action{Reason: "anew"}})
	require.NoError(t, err)
	_, err = ts.carryOut(t.Context(), principal{name: "ann", role: RoleAdmin}, decision{Incident: idParted, Do: actionEdit, Action: incidentapi.Action{Reason: "better", Title: &title}})
	require.NoError(t, err)
	parted, err = c.Get(t.Context(), idParted)
	require.NoError(t, err)
	require.NotEmpty(t, parted.Drafts[0].Hidden)
}

// What a draft was made of decides who sees it.
func TestWhoSeesADraft(t *testing.T) {
	scope, err := parseMatchers([]string{`namespace="shop"`})
	require.NoError(t, err)
	shop := principal{scope: scope}
	mine, theirs := testAlert("A", time.Hour, 0, "namespace", "shop"), testAlert("B", time.Hour, 0, "namespace", "bank")
	inc := incident.Incident{Alerts: []incident.Alert{mine}}
	f := func(want bool, o *ticket.Origin) {
		t.Helper()
		b, err := json.Marshal(ticket.Draft{Origin: o})
		require.NoError(t, err)
		require.Equal(t, want, shop.seesDraft(b, inc) == nil)
		require.NoError(t, principal{}.seesDraft(b, inc))
	}
	f(true, &ticket.Origin{Alerts: []string{mine.Fingerprint}})
	f(false, nil)
	f(false, &ticket.Origin{Alerts: []string{mine.Fingerprint, theirs.Fingerprint}})
	f(false, &ticket.Origin{Alerts: []string{mine.Fingerprint}, More: true})
	f(false, &ticket.Origin{Alerts: []string{mine.Fingerprint}, Words: true})
	f(false, &ticket.Origin{Alerts: []string{mine.Fingerprint}, History: true})
	f(true, &ticket.Origin{Evidence: []ticket.OriginEvidence{{Kind: "anomaly", Query: `up{namespace="shop"}`}}})
	f(false, &ticket.Origin{Evidence: []ticket.OriginEvidence{{Kind: "anomaly", Query: `up{namespace="bank"}`}}})
	f(false, &ticket.Origin{Evidence: []ticket.OriginEvidence{{Kind: "log"}}})
	require.Error(t, shop.seesDraft(json.RawMessage(`{`), inc))

	many := incident.Incident{Alerts: make([]incident.Alert, maxOriginAlerts+1)}
	require.True(t, originOf(many).More)
	require.Len(t, originOf(many).Alerts, maxOriginAlerts)
}

// Somebody who sees a part is shown evidence that is certainly of it, and told what was left out.
func TestEvidenceOfOthersIsLeftOut(t *testing.T) {
	d := &incident.Dossier{Evidence: []incident.Evidence{
		{Kind: incident.EvidenceAnomaly, Title: "mine", Query: `anomaly_score{namespace="shop",pod="a"}`, Source: "prometheus_scores"},
		{Kind: incident.EvidenceAnomaly, Title: "of the node", Query: `anomaly_score{node="n1"}`, Source: "prometheus_scores"},
		{Kind: incident.EvidenceSimilar, Title: "theirs", Source: "past"},
		{Kind: incident.EvidenceEvent, Title: "theirs", Source: "kubernetes"},
		{Kind: incident.EvidenceRunbook, Title: "runbook"},
		{Kind: incident.EvidenceLink, Title: "dashboard"},
	}}
	require.Same(t, d, principal{}.dossier(d))
	scope, err := parseMatchers([]string{`namespace="shop"`})
	require.NoError(t, err)
	got := principal{scope: scope}.dossier(d)
	var titles []string
	for _, e := range got.Evidence {
		titles = append(titles, e.Title)
	}
	require.Equal(t, []string{"mine", "runbook", "dashboard"}, titles)
	require.Len(t, got.Missing, 3, "and said so")
	require.Len(t, d.Evidence, 6, "what others see stays")
	require.Nil(t, principal{scope: scope}.dossier(nil))
}

func TestQueriesThatAskForNothingElse(t *testing.T) {
	scope, err := parseMatchers([]string{`namespace=~"shop|checkout"`, `team!="bank"`})
	require.NoError(t, err)
	p := principal{scope: scope}
	f := func(want bool, query string) {
		t.Helper()
		require.Equal(t, want, p.seesEvidence(incident.EvidenceLog, query), query)
	}
	f(true, `x{namespace="shop",team="a"}`)
	f(true, `{namespace="shop",team="a"} |= "} {" != "x" | json`)
	f(true, `{namespace="shop", team="a\"}"} |= "x"`)
	f(true, `rate(x{namespace="shop",team="a"}[5m]) / rate(y{namespace="shop",team="a"}[5m])`)
	f(false, `rate(x{namespace="shop",team="a"}[5m]) / rate(y{namespace="bank",team="a"}[5m])`)
	f(false, `x{namespace="shop",team="bank"}`)
	f(false, `x{namespace="shop"}`) // of which team is not known
	f(false, `x{namespace=~"shop|bank",team="a"}`)
	f(false, `x{namespace!="bank",team="a"}`)
	f(false, `{namespace="shop",team="a"`)
	f(false, `x`)
	f(false, `1`)
	f(false, ``)
	f(false, `not a query(`)
}

// A button of Slack is as bound as a page: by who pressed, by what they may see, and once.
func TestButtonsOfATenant(t *testing.T) {
	r := newSlackRig(t)
	r.held(t, 1)
	sc := r.settings.Load().config.Trackers[1].Slack
	sc.Approvers[ann] = slack.Approver{Role: "approver", Matchers: []string{`namespace="bank"`}}
	sc.Approvers[bob] = slack.Approver{Role: "approver", Matchers: []string{`namespace="shop"`}}
	r.asker.round(t.Context())
	v := value(t, r.site.Messages()[0])
	for _, action := range []string{slack.ActionApprove, slack.ActionDismiss} {
		require.Contains(t, r.press(t, ann, action, v), "not kept any more", "what is another's does not exist")
	}
	require.Contains(t, r.press(t, bob, slack.ActionApprove, v), "may not see", "a draft that does not say what it was made of")
	require.Empty(t, r.due(t))
	_, err := r.carryOut(t.Context(), principal{name: "cat", role: RoleApprover}, decision{Incident: idDraft, Do: actionRedraft, Action: incidentapi.Action{Reason: "anew"}})
	require.NoError(t, err)
	r.asker.round(t.Context())
	require.Contains(t, r.press(t, bob, slack.ActionApprove, value(t, r.site.Messages()[0])), "Approved")
	require.Len(t, r.due(t), 1)
}

// A signed-in tenant has no more than one with a token.
func TestASessionIsBoundToItsTenant(t *testing.T) {
	ts := twoTenants(t)
	b := ts.signedIn(t, shopToken)
	for path, want := range map[string]int{"/incidents/01BANK": 404, "/audit": 403, "/incidents/01SHOP": 200, "/": 200} {
		code, body := b.get(path)
		require.Equal(t, want, code, path)
		require.NotContains(t, body, tenants[1].secret)
	}
	code, _ := b.post("/incidents/01BANK/dismiss", url.Values{"reason": {"x"}})
	require.Equal(t, 403, code, "without the secret of the session")
	_, err := ts.client(t, bankToken).Get(context.Background(), "01BANK")
	require.NoError(t, err)
}
