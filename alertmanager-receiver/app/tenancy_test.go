package app

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
)

// Every route is asked by a tenant for what is another's: whoever adds one says here what a tenant gets. 0 stands for
// routes that show nothing of incidents.
func TestNoRouteTellsATenantOfAnother(t *testing.T) {
	ts := newTestServer(t, withPeople)
	const secret = "acquisition-of-example-inc"
	theirs := testAlert("BankDown", 2*time.Hour, 0, "namespace", "bank", "severity", "critical", "job", secret, "@summary", secret)
	ts.add(t, seed{
		id: "01B", title: secret, summary: secret, status: "open", severity: "critical", started: 2 * time.Hour, alerts: []incident.Alert{theirs},
		labels: map[string]string{"namespace": "bank", "owner": secret}, cause: incident.RootCause{Entity: secret, Alertname: "BankDown", Confidence: 1},
		events: []incident.Event{{At: t0, Kind: "note", Actor: secret, Text: secret}}, tracker: TrackerLocal,
	})
	require.NoError(t, ts.db.PutDossier(t.Context(), "01B", incident.Dossier{At: t0, Evidence: []incident.Evidence{{Kind: incident.EvidenceLog, Title: secret, Source: "loki"}}}))
	kept := theirs
	kept.StartsAt = kept.StartsAt.Add(time.Second)
	require.NoError(t, ts.db.Apply(t.Context(), incident.Change{Alerts: []incident.Alert{kept}}))

	want := map[string]int{
		"GET /{$}": 200, "GET /incidents/{id}": 404, "POST /incidents/{id}/{action}": 404, "GET /tickets/{key}": 404, "GET /suppressed": 200,
		"GET /outbox": 403, "POST /outbox/{id}/replay": 403, "GET /policy": 403, "POST /policy/killswitch": 403, "GET /audit": 403,
		"GET /api/v1/incidents": 200, "GET /api/v1/incidents/{id}": 404, "GET /api/v1/incidents/{id}/report": 404, "GET /api/v1/alerts": 200,
		"GET /api/v1/audit": 403, "GET /api/v1/outbox": 403, "POST /api/v1/outbox/{id}/replay": 403, "GET /api/v1/aside": 403, "GET /api/v1/policy": 403,
		"POST /api/v1/policy/killswitch": 403, "POST /api/v1/incidents/{id}/": 404,
		"GET /api/v1/events": 0, // TestAPageIsToldWhatChangedAndItMaySee
		"GET /api/v1/noise":  403, "GET /noise": 403,
		"GET /api/v1/triage/preview": 403, // without matchers; TestPreviewIsScoped
		"POST /logout":               0, "GET /login": 0, "POST /login": 0, "GET /login/oidc": 0, "GET /login/oidc/callback": 0, "GET /assets/{file}": 0,
	}
	for _, route := range routesOf(t) {
		if strings.Contains(route, "/api/v1/webhook/") {
			continue // they take, and tell nothing
		}
		status, ok := want[route]
		require.True(t, ok, "say in this test what a tenant gets of %s", route)
		if status == 0 {
			continue
		}
		method, path, _ := strings.Cut(route, " ")
		paths := []string{strings.NewReplacer("{$}", "", "{id}", "01B", "{key}", "LOCAL-1", "{action}", "dismiss").Replace(path)}
		if strings.HasSuffix(path, "/") && strings.Contains(path, "{id}") {
			base := paths[0]
			paths = nil
			for action := range actionRoles {
				paths = append(paths, base+action)
			}
		}
		for _, p := range paths {
			body, kind := `{"reason":"guessed the id","engaged":true}`, "application/json"
			if !strings.HasPrefix(p, "/api/") {
				body, kind = "reason=guessed&engaged=true", "application/x-www-form-urlencoded"
			}
			if method == "GET" {
				body = ""
			}
			w := ts.send(t, method, p, body, "Authorization", "Bearer "+shopToken, "Content-Type", kind)
			require.Equal(t, status, w.Code, "%s %s: %s", method, p, w.Body.String())
			for _, word := range []string{secret, "BankDown"} {
				require.NotContains(t, w.Body.String(), word, "%s %s", method, p)
			}
		}
	}
	inc, err := ts.db.Get(t.Context(), "01B")
	require.NoError(t, err)
	require.Equal(t, incident.StatusOpen, inc.Status)
	require.Empty(t, ts.decide.actors)
	require.Equal(t, 404, ts.send(t, "POST", "/api/v1/incidents/01B/approve", `{"reason":"x"}`, "Authorization", "Bearer "+shopToken, "Content-Type", "application/json").Code)
}

var routePattern = regexp.MustCompile(`mux\.Handle(?:Func)?\("([^"]+)"`)

// routesOf reads the routes out of the program.
func routesOf(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	var out []string
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		for _, m := range routePattern.FindAllStringSubmatch(string(b), -1) {
			out = append(out, m[1])
		}
	}
	require.Greater(t, len(out), 20)
	return out
}

// Somebody who sees a part is not shown evidence that may be of others.
func TestEvidenceOfOthersIsLeftOut(t *testing.T) {
	d := &incident.Dossier{Evidence: []incident.Evidence{
		{Kind: incident.EvidenceAnomaly, Title: "mine"}, {Kind: incident.EvidenceSimilar, Title: "theirs", Source: "portent"}, {Kind: incident.EvidenceEvent, Title: "theirs", Source: "kubernetes"},
	}}
	require.Same(t, d, principal{}.dossier(d))
	scope, err := parseMatchers([]string{`namespace="shop"`})
	require.NoError(t, err)
	got := principal{scope: scope}.dossier(d)
	require.Len(t, got.Evidence, 1)
	require.Len(t, got.Missing, 2, "and said so")
	require.Len(t, d.Evidence, 3, "what others see stays")
	require.Nil(t, principal{scope: scope}.dossier(nil))
}
