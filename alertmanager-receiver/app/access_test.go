package app

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incidentapi"
)

// The tokens of the people in these tests.
const (
	viewerToken   = "viewer-viewer-viewer"
	analystToken  = "analyst-analyst-analyst"
	approverToken = "approver-approver"
	adminToken    = "admin-admin-admin"
	shopToken     = "shop-shop-shop-shop"
	bankToken     = "bank-bank-bank-bank"
)

func withPeople(c *Config) {
	c.Access = []AccessConfig{
		{Name: "viewer", Role: RoleViewer, Token: viewerToken},
		{Name: "analyst", Role: RoleAnalyst, Token: analystToken},
		{Name: "approver", Role: RoleApprover, Token: approverToken},
		{Name: "admin", Role: RoleAdmin, Token: adminToken},
		{Name: "shop", Role: RoleAdmin, Token: shopToken, Matchers: []string{`namespace=~"shop|checkout"`}},
		{Name: "bank", Role: RoleAdmin, Token: bankToken, Matchers: []string{`namespace="bank"`}},
		{Name: "machine", Role: RoleViewer, Certificate: "grafana.example.com"},
		{Name: "person", Role: RoleAnalyst, User: "alice"},
	}
}

func TestRolesDecideWhoMayDoWhat(t *testing.T) {
	ts := newTestServer(t, withPeople)
	fill(t, ts)
	const dismiss = "/api/v1/incidents/" + idMemory + "/dismiss"
	tests := []struct {
		method, path, body string
		allowed            string // the least role
	}{
		{"GET", "/api/v1/incidents", "", "viewer"},
		{"GET", "/api/v1/incidents/" + idMemory, "", "viewer"},
		{"GET", "/api/v1/alerts?suppressed=true", "", "viewer"},
		{"GET", "/api/v1/audit", "", "viewer"},
		{"GET", "/api/v1/outbox", "", "viewer"},
		{"GET", "/", "", "viewer"},
		{"GET", "/incidents/" + idMemory, "", "viewer"},
		{"GET", "/tickets/LOCAL-1", "", "viewer"},
		{"GET", "/suppressed", "", "viewer"},
		{"GET", "/outbox", "", "viewer"},
		{"POST", dismiss, `{"reason":""}`, "analyst"}, // no reason: 400 for those who may
		{"POST", "/api/v1/incidents/" + idMemory + "/escalate", `{"reason":""}`, "analyst"},
		{"POST", "/api/v1/incidents/" + idMemory + "/feedback", `{"reason":""}`, "analyst"},
		{"POST", "/api/v1/incidents/" + idMemory + "/approve", `{"reason":""}`, "approver"},
		{"POST", "/api/v1/incidents/" + idMemory + "/edit", `{"reason":""}`, "approver"},
		{"GET", "/api/v1/policy", "", "viewer"},
		{"GET", "/policy", "", "viewer"},
		{"POST", "/api/v1/policy/killswitch", `{"reason":""}`, "approver"},
		{"POST", "/policy/killswitch", "engaged=true", "approver"},
		{"POST", "/incidents/" + idMemory + "/reopen", "reason=", "analyst"},
		{"POST", "/api/v1/outbox/0/replay", "{}", "approver"}, // no such task: 404 for those who may
		{"POST", "/outbox/0/replay", "", "approver"},
		{"GET", "/api/v1/aside", "", "admin"},
	}
	order := []struct{ role, token string }{{"viewer", viewerToken}, {"analyst", analystToken}, {"approver", approverToken}, {"admin", adminToken}}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			w := ts.send(t, tt.method, tt.path, tt.body)
			require.Equal(t, 401, w.Code)
			require.NotEmpty(t, w.Header().Get("WWW-Authenticate"))
			may := false
			for _, who := range order {
				may = may || who.role == tt.allowed
				w := ts.send(t, tt.method, tt.path, tt.body, "Authorization", "Bearer "+who.token, "Content-Type", "application/json")
				if may {
					require.NotContains(t, []int{401, 403}, w.Code, "%s: %s", who.role, w.Body.String())
				} else {
					require.Equal(t, 403, w.Code, who.role)
				}
			}
		})
	}
}

func TestWaysToProveWhoOneIs(t *testing.T) {
	ts := newTestServer(t, withPeople)
	trusted := false
	ts.settings.Load().access.trusted = func(user string) bool { return trusted && user == "alice" }
	identify := func(change func(r *requestBuilder)) (principal, bool) {
		rb := &requestBuilder{}
		change(rb)
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if rb.header != "" {
			r.Header.Set("Authorization", rb.header)
		}
		if rb.user != "" {
			r.SetBasicAuth(rb.user, rb.password)
		}
		r.TLS = rb.tls
		return ts.settings.Load().access.identify(r)
	}
	p, ok := identify(func(r *requestBuilder) { r.user, r.password = "viewer", viewerToken })
	require.True(t, ok, "a browser sends name and token as basic auth")
	require.Equal(t, "viewer", p.name)
	_, ok = identify(func(r *requestBuilder) { r.user, r.password = "admin", viewerToken })
	require.False(t, ok, "with the name that belongs to the token")
	_, ok = identify(func(r *requestBuilder) { r.header = "Bearer " + strings.ToUpper(viewerToken) })
	require.False(t, ok)

	_, ok = identify(func(r *requestBuilder) { r.user, r.password = "alice", "whatever" })
	require.False(t, ok, "a user whose password nobody has checked")
	trusted = true
	p, ok = identify(func(r *requestBuilder) { r.user, r.password = "alice", "whatever" })
	require.True(t, ok)
	require.Equal(t, principal{name: "person", role: RoleAnalyst}, p)

	cert := &x509.Certificate{Subject: pkix.Name{CommonName: "grafana.example.com"}}
	_, ok = identify(func(r *requestBuilder) { r.tls = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}} })
	require.False(t, ok, "a certificate that was not verified")
	p, ok = identify(func(r *requestBuilder) {
		r.tls = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{cert}}}
	})
	require.True(t, ok)
	require.Equal(t, "machine", p.name)
}

type requestBuilder struct {
	header, user, password string
	tls                    *tls.ConnectionState
}

func TestWebUsersFollowTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.yml")
	write := func(content string, age time.Duration) {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		require.NoError(t, os.Chtimes(path, t0, t0.Add(age)))
	}
	u := &webUsers{path: path}
	require.False(t, u.trusted("alice"), "no file")
	write("basic_auth_users:\n  alice: $2y$10$x\n", 0)
	require.True(t, u.trusted("alice"))
	require.False(t, u.trusted("bob"))
	require.False(t, u.trusted(""))
	write("basic_auth_users: {}\n", time.Second)
	require.False(t, u.trusted("alice"), "taken out of the file")
	write("basic_auth_users: [\n", 2*time.Second)
	require.False(t, u.trusted("alice"), "a file that cannot be read trusts nobody")
	require.False(t, (&webUsers{}).trusted("alice"))

	require.False(t, webTLS(""))
	require.False(t, webTLS(path))
	write("tls_server_config:\n  cert_file: x\n", 3*time.Second)
	require.True(t, webTLS(path))
}

// Two tenants share a receiver: neither sees anything of the other, not even in an incident that both are part of.
func TestScopesSeparateTenants(t *testing.T) {
	ts := newTestServer(t, withPeople)
	const secret = "acquisition-of-example-inc"
	mine := testAlert("ShopDown", time.Hour, 0, "namespace", "shop", "severity", "warning")
	theirs := testAlert("BankDown", 2*time.Hour, 0, "namespace", "bank", "severity", "critical", "job", secret, "@summary", secret)
	ts.add(t, seed{id: "01A", title: "shop only", status: "open", severity: "warning", started: time.Hour, alerts: []incident.Alert{mine}, labels: map[string]string{"namespace": "shop"}})
	ts.add(t, seed{id: "01B", title: secret, status: "open", severity: "critical", started: 2 * time.Hour, alerts: []incident.Alert{theirs}})
	mine.StartsAt = mine.StartsAt.Add(time.Second)
	theirs.StartsAt = theirs.StartsAt.Add(time.Second)
	ts.add(t, seed{
		id: "01C", title: secret, summary: secret, status: "open", severity: "critical", started: 2 * time.Hour, alerts: []incident.Alert{mine, theirs}, labels: map[string]string{"owner": secret},
		cause: incident.RootCause{Entity: secret, Alertname: secret, Confidence: 1}, events: []incident.Event{{At: t0, Kind: "note", Actor: secret, Text: secret}}, tracker: TrackerLocal,
	})
	theirs.StartsAt = theirs.StartsAt.Add(time.Second)
	require.NoError(t, ts.db.Apply(t.Context(), incident.Change{Alerts: []incident.Alert{theirs}}))

	shop := ts.client(t, shopToken)
	page, err := shop.List(t.Context(), incidentapi.ListOptions{})
	require.NoError(t, err)
	require.Len(t, page.Incidents, 2)
	part := page.Incidents[0]
	require.Equal(t, "01C", part.ID)
	require.Len(t, part.Alerts, 1)
	require.Equal(t, "ShopDown", part.Alerts[0].Labels["alertname"])
	require.Equal(t, "warning", part.Severity, "of the part")
	require.Equal(t, "[Auto] Shop down - shop namespace", part.Title)
	require.Nil(t, part.RootCause)

	header := []string{"Authorization", "Bearer " + shopToken}
	for _, path := range []string{"/api/v1/incidents", "/api/v1/incidents/01C", "/api/v1/alerts", "/api/v1/alerts?suppressed=true", "/", "/?status=all", "/incidents/01C", "/suppressed"} {
		w := ts.send(t, "GET", path, "", header...)
		require.Equal(t, 200, w.Code, path)
		require.NotContains(t, w.Body.String(), secret, path)
		require.NotContains(t, w.Body.String(), "BankDown", path)
	}
	for path, want := range map[string]int{"/api/v1/incidents/01B": 404, "/incidents/01B": 404, "/tickets/LOCAL-1": 404, "/api/v1/audit": 403, "/api/v1/outbox": 403, "/outbox": 403, "/api/v1/aside": 403} {
		w := ts.send(t, "GET", path, "", header...)
		require.Equal(t, want, w.Code, path)
		require.NotContains(t, w.Body.String(), secret, path)
	}
	_, err = shop.Dismiss(t.Context(), "01C", "not mine to decide alone")
	require.Equal(t, incidentapi.ReasonUnauthorized, reasonOf(t, err))
	_, err = shop.Dismiss(t.Context(), "01B", "guessed the id")
	require.Equal(t, incidentapi.ReasonNotFound, reasonOf(t, err))
	_, err = shop.Dismiss(t.Context(), "01A", "mine")
	require.NoError(t, err)

	kept, err := ts.client(t, bankToken).Alerts(t.Context(), incidentapi.AlertOptions{Suppressed: true})
	require.NoError(t, err)
	require.Len(t, kept.Alerts, 1)
}

func TestGuardOfReload(t *testing.T) {
	ts := newTestServer(t, withPeople)
	called := 0
	h := ts.guard(countingHandler(&called))
	for token, want := range map[string]int{"": 401, viewerToken: 403, approverToken: 403, adminToken: 200} {
		r := httptest.NewRequest(http.MethodPost, "/-/reload", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, want, w.Code)
	}
	require.Equal(t, 1, called)
}
