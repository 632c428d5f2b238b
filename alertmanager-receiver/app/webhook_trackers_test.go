package app

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/alert"
	"github.com/portent-dev/portent/internal/spectest"
)

const callbackSecret = "a-secret-of-the-tracker"

func signature(body string) string {
	mac := hmac.New(sha256.New, []byte(callbackSecret))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

func TestCallbacksNameTheIncident(t *testing.T) {
	ts := newTestServer(t, nil)
	fill(t, ts)
	for _, tt := range []struct{ name, path, body string }{
		{"jira, by our label", "jira", `{"webhookEvent":"jira:issue_updated","issue":{"key":"OPS-999","fields":{"labels":["x","portent-` + idMemory + `"]}}}`},
		{"jira, by its key", "jira", `{"issue":{"key":"LOCAL-1"}}`},
		{"servicenow", "servicenow", `{"correlation_id":"portent-` + idMemory + `","number":"INC0010023","state":"7"}`},
		{"pagerduty", "pagerduty", `{"event":{"id":"1","event_type":"incident.resolved","resource_type":"incident","occurred_at":"2026-11-22T03:00:00Z","data":{"id":"Q1","type":"incident","incident_key":"portent-` + idMemory + `"}}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ts.hints = nil
			w := ts.send(t, http.MethodPost, "/api/v1/webhook/"+tt.path, tt.body)
			require.Equal(t, http.StatusAccepted, w.Code, w.Body.String())
			require.Equal(t, []string{idMemory}, ts.hints)
		})
	}
	ts.hints = nil
	for path, body := range map[string]string{
		"jira": `{"issue":{"key":"OTHER-1"}}`, "servicenow": `{"number":"INC1"}`, "pagerduty": `{"event":{"event_type":"pagey.ping","data":{"id":"X","type":"ping"}}}`,
	} {
		w := ts.send(t, http.MethodPost, "/api/v1/webhook/"+path, body)
		require.Equal(t, http.StatusOK, w.Code, "an error would disable the webhook")
		requireError(t, ts.send(t, http.MethodPost, "/api/v1/webhook/"+path, "{}"), http.StatusBadRequest, "want ")
		requireError(t, ts.send(t, http.MethodPost, "/api/v1/webhook/"+path, "<html>"), http.StatusBadRequest, "the body is no event of "+path)
	}
	require.Empty(t, ts.hints)
}

// The vendor's own description holds what we read.
func TestPagerDutyEventsAreThoseOfTheSchema(t *testing.T) {
	s := spectest.LoadSchema(t, "inbound/pagerduty-webhook-v3.schema.json")
	body := `{"event":{"id":"1","event_type":"incident.resolved","resource_type":"incident","occurred_at":"2026-11-22T03:00:00Z","data":{"id":"Q1","type":"incident","incident_key":null,"status":"resolved"}}}`
	require.NoError(t, s.Check([]byte(body)))
	keys, err := pagerDutyKeys([]byte(body))
	require.NoError(t, err)
	require.Equal(t, []string{"Q1"}, keys)
}

func TestCallbacksNeedASignatureOrTheToken(t *testing.T) {
	const token = "0123456789abcdef0123456789abcdef"
	ts := newTestServer(t, func(c *Config) {
		c.Webhook.Token = token
		c.Webhook.Secrets = CallbackSecrets{Jira: callbackSecret, PagerDuty: callbackSecret}
	})
	fill(t, ts)
	jira, pager := `{"issue":{"key":"LOCAL-1"}}`, `{"event":{"event_type":"incident.resolved","data":{"id":"Q1","incident_key":"portent-`+idMemory+`"}}}`
	f := func(want int, path, body string, header ...string) {
		t.Helper()
		require.Equal(t, want, ts.send(t, http.MethodPost, "/api/v1/webhook/"+path, body, header...).Code)
	}
	f(http.StatusAccepted, "jira", jira, "X-Hub-Signature", "sha256="+signature(jira))
	f(http.StatusUnauthorized, "jira", jira)
	f(http.StatusUnauthorized, "jira", jira, "X-Hub-Signature", signature(jira))
	f(http.StatusUnauthorized, "jira", jira+" ", "X-Hub-Signature", "sha256="+signature(jira))
	f(http.StatusUnauthorized, "jira", jira, "Authorization", "Bearer "+token) // who signs must sign
	f(http.StatusAccepted, "pagerduty", pager, "X-PagerDuty-Signature", "v1="+strings.Repeat("0", 64)+", v1="+signature(pager))
	f(http.StatusUnauthorized, "pagerduty", pager, "X-PagerDuty-Signature", "v2="+signature(pager))
	f(http.StatusUnauthorized, "servicenow", `{"number":"INC1"}`)
	f(http.StatusOK, "servicenow", `{"number":"INC1"}`, "Authorization", "Bearer "+token)
	f(http.StatusUnauthorized, "palette", `{"cluster":"c","state":"healthy"}`)
	f(http.StatusRequestEntityTooLarge, "jira", strings.Repeat(" ", 2<<20))
}

func TestCallbackSecretsOfTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "secret"), []byte(callbackSecret+"\n"), 0o600))
	got, err := CallbackSecrets{JiraFile: filepath.Join(dir, "secret")}.read()
	require.NoError(t, err)
	require.Equal(t, map[string]string{TrackerJira: callbackSecret}, got)
	_, err = CallbackSecrets{PagerDuty: "short"}.read()
	require.ErrorContains(t, err, "webhook.secrets.pagerduty: is shorter than 16 characters")
	_, err = CallbackSecrets{JiraFile: filepath.Join(dir, "none")}.read()
	require.ErrorContains(t, err, "webhook.secrets.jira")
}

func TestPaletteIsAnAlertLikeAnyOther(t *testing.T) {
	ts := newTestServer(t, nil)
	post := func(body string) alert.Alert {
		t.Helper()
		w := ts.send(t, http.MethodPost, "/api/v1/webhook/palette", body)
		require.Equal(t, http.StatusOK, w.Code, w.Body.String())
		ns, err := ts.db.Next(t.Context(), 100)
		require.NoError(t, err)
		p, err := alert.Decode(ns[len(ns)-1].Body, alert.DefaultLimits())
		require.NoError(t, err)
		require.Len(t, p.Alerts, 1)
		return p.Alerts[0]
	}
	a := post(`{"cluster":"edge-7","project":"shops","state":"UnHealthy","message":"no heartbeat for 10 min"}`)
	require.Equal(t, "PaletteClusterUnhealthy", a.Labels["alertname"])
	require.Equal(t, "edge-7", a.Labels["cluster"])
	require.Equal(t, "no heartbeat for 10 min", a.Annotations["description"])
	require.True(t, a.EndsAt.IsZero())
	b := post(`{"cluster":"edge-7","project":"shops","state":"healthy"}`)
	require.Equal(t, a.Fingerprint, b.Fingerprint)
	require.WithinDuration(t, t0, b.EndsAt, time.Second)

	for _, body := range []string{`{}`, `{"cluster":"c"}`, `{"cluster":"c","state":"blue"}`, `Cluster edge-7 is UnHealthy`} {
		e := requireError(t, ts.send(t, http.MethodPost, "/api/v1/webhook/palette", body), http.StatusBadRequest, "")
		require.Contains(t, e.Hint, `"cluster"`)
	}
}
