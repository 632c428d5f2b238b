package app

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incidentapi"
)

func TestAGlanceAtAnIncident(t *testing.T) {
	ts := newTestServer(t, withPeople)
	fill(t, ts)
	storm(t, ts)
	ts.addDraft(t, idDraft, 1)
	page := func(id, token string) string {
		w := ts.send(t, "GET", "/incidents/"+id, "", "Authorization", "Bearer "+token)
		require.Equal(t, 200, w.Code)
		_, glance, _ := strings.Cut(w.Body.String(), `<dl class="glance">`)
		glance, _, ok := strings.Cut(glance, "</dl>")
		require.True(t, ok)
		return glance
	}
	g := page(idStorm, viewerToken)
	require.Contains(t, g, "69 of 91 alerts firing: 9 services, 68 pods, 1 node, 1 namespace, 1 cluster")
	require.Contains(t, g, "oidc:ann@example.com")
	require.Contains(t, g, "31 min ago: Escalated by")
	require.Contains(t, g, `href="#steps"`)
	g = page(idMemory, viewerToken)
	require.Contains(t, g, "nobody has done anything yet", "the outbox is nobody")
	require.Contains(t, g, `href="https://runbooks.example.com/memory-pressure"`)
	require.Contains(t, page(idDraft, approverToken), "<kbd>a</kbd>")
	require.NotContains(t, page(idDraft, viewerToken), "<kbd>a</kbd>", "who may not approve has no key for it")
	require.Contains(t, page("01JDA00", viewerToken), "nothing: it is over")

	act := func(id string) int {
		return ts.send(t, "POST", "/api/v1/incidents/"+id+"/take", `{}`, "Authorization", "Bearer "+analystToken, "Content-Type", "application/json").Code
	}
	require.Equal(t, 200, act(idStorm))
	require.Equal(t, 409, act("01JDA00"), "it is over")
	_, err := ts.carryOut(t.Context(), principal{name: "bob", role: RoleAnalyst}, decision{Incident: idStorm, Do: actionFeedback, Action: incidentapi.Action{Reason: "seen before"}})
	require.NoError(t, err)
	g = page(idStorm, viewerToken)
	require.Contains(t, g, "analyst")
	require.Contains(t, g, "just now: Taken by analyst: on it", "whoever took it, whatever others did since")

	tenants := twoTenants(t)
	w := tenants.send(t, "GET", "/incidents/"+idShared, "", "Authorization", "Bearer "+shopToken)
	require.Contains(t, w.Body.String(), "you may not see what others did")
}

func TestAlertsOfAStormArePutTogether(t *testing.T) {
	var as []incident.Alert
	for i := range 300 {
		ended := time.Duration(0)
		if i%3 == 0 {
			ended = time.Minute
		}
		as = append(as, testAlert(fmt.Sprintf("Alert%d", i%4), time.Duration(10+i)*time.Minute, ended, "pod", fmt.Sprintf("p-%d", i), "severity", []string{"warning", "critical"}[i%2]))
	}
	view := func(a incident.Alert) alertView { return alertView{Name: a.Name()} }
	gs := groupAlerts(t0, t0.Add(-6*time.Hour), t0, "Alert3", as, view)
	require.Len(t, gs, 4)
	require.Equal(t, "Alert3", gs[0].Name, "the cause first")
	require.Equal(t, "50 of 75 alerts firing", gs[0].Count)
	require.Equal(t, "critical", gs[0].Severity)
	require.Contains(t, gs[0].Subjects, " and 72 more")
	require.Equal(t, "50 more are not shown; the API gives them all.", gs[0].More)
	n := 0
	for _, g := range gs {
		n += len(g.Alerts)
	}
	require.Equal(t, maxPageAlerts, n)

	gs = groupAlerts(t0, t0.Add(-6*time.Hour), t0, "", as[:maxFlat], view)
	require.Len(t, gs, 1)
	require.Empty(t, gs[0].Name, "few stay as they are")
	require.Len(t, gs[0].Alerts, maxFlat)
	require.Len(t, groupAlerts(t0, t0, t0, "", nil, view), 1)
}

// What one has unfolded stays so when the page changes, and a page that is not live any more says so where one looks.
func TestALivePageKeepsItsFoldsAndSaysWhenItIsNotLive(t *testing.T) {
	ts := newTestServer(t, nil)
	storm(t, ts)
	srv := httptest.NewServer(ts.mux)
	tab := openTab(startBrowser(t), t)
	eventually := func(js string) {
		t.Helper()
		require.Eventually(t, func() bool {
			v, err := chromedp.Run(tab.ctx, chromedp.Evaluate[bool](js))
			require.NoError(t, err)
			return v
		}, time.Minute, 50*time.Millisecond, js)
	}
	require.NoError(t, chromedp.Do(tab.ctx, chromedp.Navigate(srv.URL+"/incidents/"+idStorm)))
	eventually(`document.getElementById("live").textContent === "Live"`)
	eventually(`document.querySelector(".offline").hidden`)
	_, err := chromedp.Run(tab.ctx, chromedp.Evaluate[bool](`document.querySelector('[data-fold="TargetDown"]').open = true; document.querySelector('main').dataset.was = 'here'; true`))
	require.NoError(t, err)
	inc, err := ts.db.Get(t.Context(), idStorm)
	require.NoError(t, err)
	inc.Title = "It has grown"
	added := testAlert("Another", time.Minute, 0, "severity", "warning")
	added.IncidentID = idStorm
	require.NoError(t, ts.db.Apply(t.Context(), incident.Change{Incidents: []incident.Incident{inc}, Alerts: []incident.Alert{added}}))
	eventually(`document.querySelector("h1").textContent === "It has grown"`)
	eventually(`document.querySelector('[data-fold="TargetDown"]').open`)
	eventually(`!document.querySelector('[data-fold="LatencyBudgetBurn"]').open`)

	ts.hub.close()
	srv.CloseClientConnections()
	srv.Close()
	eventually(`!document.querySelector(".offline").hidden`)
}
