package app

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/enrich"
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incidentapi"
	"github.com/portent-dev/portent/internal/spectest"
)

const kubernetesHook = "/api/v1/webhook/kubernetes"

// kubernetesEvent is one as the sender's own code writes it.
func kubernetesEvent(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(spectest.Dir(t), "inbound", "sample-k8s-event-exporter.json"))
	require.NoError(t, err)
	var samples map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(text, &samples))
	return string(samples["legacy_core_recorder"])
}

func TestKubernetesEventsAreKept(t *testing.T) {
	ts := newTestServer(t, nil)
	for range 2 { // the second time it is the same event
		require.Equal(t, http.StatusOK, ts.send(t, http.MethodPost, kubernetesHook, kubernetesEvent(t)).Code)
	}
	at := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	events, err := ts.db.ListObjectEvents(t.Context(), incident.ObjectEventQuery{From: at, To: at, Nodes: []string{"worker-7"}})
	require.NoError(t, err)
	require.Len(t, events, 1)
	require.Equal(t, "BackOff", events[0].Reason)
	require.Equal(t, "prod-eu1", events[0].Cluster)
	require.True(t, events[0].Warning)

	requireError(t, ts.send(t, http.MethodPost, kubernetesHook, `{"text":"a layout of its own"}`), http.StatusBadRequest, "must have no layout of its own")
	requireError(t, ts.send(t, http.MethodPost, kubernetesHook, string(make([]byte, 2<<20))), http.StatusRequestEntityTooLarge, "too large")
	require.NoError(t, ts.db.Close())
	requireError(t, ts.send(t, http.MethodPost, kubernetesHook, kubernetesEvent(t)), http.StatusServiceUnavailable, "closed")
}

func TestKubernetesEventsNeedTheToken(t *testing.T) {
	ts := newTestServer(t, func(c *Config) { c.Webhook.Token = "0123456789abcdef0123456789abcdef" })
	requireError(t, ts.send(t, http.MethodPost, kubernetesHook, kubernetesEvent(t)), http.StatusUnauthorized, "token")
	w := ts.send(t, http.MethodPost, kubernetesHook, kubernetesEvent(t), "Authorization", "Bearer 0123456789abcdef0123456789abcdef")
	require.Equal(t, http.StatusOK, w.Code)
}

func TestEvidenceIsShown(t *testing.T) {
	ts := newTestServer(t, nil)
	fill(t, ts)
	require.NoError(t, ts.db.PutDossier(t.Context(), idMemory, incident.Dossier{
		At:       t0,
		Evidence: []incident.Evidence{{Kind: incident.EvidenceChange, Title: "Deployment frontend-api/web was rolled out", At: t0.Add(-20 * time.Minute), Source: "prometheus_changes"}},
		Missing:  []incident.Gap{{Source: "loki", Reason: "no answer within 10s"}},
	}))
	var one incidentapi.Incident
	w := ts.send(t, http.MethodGet, "/api/v1/incidents/"+idMemory, "")
	require.Equal(t, http.StatusOK, w.Code)
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &one))
	require.Equal(t, "change", one.Evidence[0].Kind)
	require.Equal(t, "prometheus_changes", one.Evidence[0].Source)
	require.Equal(t, []incidentapi.Gap{{Source: "loki", Reason: "no answer within 10s"}}, one.Missing)

	var page incidentapi.IncidentPage
	require.NoError(t, json.Unmarshal(ts.send(t, http.MethodGet, "/api/v1/incidents", "").Body.Bytes(), &page))
	for _, inc := range page.Incidents {
		if inc.ID == idMemory {
			require.Equal(t, one.Evidence, inc.Evidence, "the list has it too")
		}
	}

	w = ts.send(t, http.MethodGet, "/api/v1/incidents/"+idMemory+"/report", "")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "text/markdown; charset=utf-8", w.Header().Get("Content-Type"))
	require.Contains(t, w.Body.String(), "# Memory pressure - frontend-api namespace")
	require.Contains(t, w.Body.String(), "Deployment frontend-api/web was rolled out")
	requireError(t, ts.send(t, http.MethodGet, "/api/v1/incidents/none/report", ""), http.StatusNotFound, "not found")
}

// Who may see a part of an incident does not see what was found about the whole.
func TestEvidenceKeepsWithinTheScope(t *testing.T) {
	const token = "0123456789abcdef0123456789abcdef"
	ts := newTestServer(t, func(c *Config) {
		c.Access = []AccessConfig{{Name: "web", Role: RoleViewer, Token: token, Matchers: []string{`severity="critical"`}}}
	})
	fill(t, ts)
	require.NoError(t, ts.db.PutDossier(t.Context(), idMemory, incident.Dossier{At: t0, Evidence: []incident.Evidence{{Kind: incident.EvidenceLog, Title: "secret of another team"}}}))
	for _, path := range []string{"/api/v1/incidents/" + idMemory, "/api/v1/incidents", "/api/v1/incidents/" + idMemory + "/report"} {
		w := ts.send(t, http.MethodGet, path, "", "Authorization", "Bearer "+token)
		require.Equal(t, http.StatusOK, w.Code, path)
		require.NotContains(t, w.Body.String(), "secret of another team", path)
	}
}

func TestEvidenceConfig(t *testing.T) {
	f := func(change func(*EvidenceConfig), want string) {
		t.Helper()
		c := DefaultConfig()
		change(&c.Evidence)
		err := c.Validate()
		if err == nil {
			_, err = c.Evidence.sources()
		}
		if want == "" {
			require.NoError(t, err)
			return
		}
		require.ErrorContains(t, err, want)
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.md"), []byte("# A"), 0o600))
	f(func(c *EvidenceConfig) {
		for _, s := range []**EvidenceServer{&c.Prometheus, &c.Loki, &c.Exporter} {
			*s = &EvidenceServer{URL: "http://127.0.0.1:9"}
		}
		c.Runbooks = RunbooksConfig{Dir: dir, URL: "https://runbooks.example"}
		c.Links = []enrich.LinkTemplate{{Title: "Dashboard", URL: "https://grafana.example/d/x?from={{ .From }}"}}
	}, "")
	f(func(c *EvidenceConfig) { c.Timeout = 0 }, "evidence: timeout: 0s: want 1s to 1m")
	f(func(c *EvidenceConfig) { c.Loki = &EvidenceServer{URL: "loki:3100"} }, "evidence: loki: url: want http://host")
	f(func(c *EvidenceConfig) { c.Runbooks.URL = "https://x.example" }, "evidence: runbooks.url: makes no sense without runbooks.dir")
	f(func(c *EvidenceConfig) { c.Runbooks.Dir = filepath.Join(dir, "none") }, "runbooks.dir")
	f(func(c *EvidenceConfig) { c.Links = []enrich.LinkTemplate{{URL: "x"}} }, "evidence: links: [0].title: is needed")
}
