package app

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/config"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incidentapi"
	"github.com/portent-dev/portent/internal/llm/openai/openaitest"
	"github.com/portent-dev/portent/internal/report"
	"github.com/portent-dev/portent/internal/ticket/doubletest"
)

// evidenced is a dossier with one piece of evidence.
func evidenced() incident.Dossier {
	return incident.Dossier{At: t0, Evidence: []incident.Evidence{{ID: "E1", Kind: incident.EvidenceChange, Title: "Deployment frontend-api/web was rolled out", At: t0.Add(-20 * time.Minute)}}}
}

// What happened stands in the API and on the page, with links to what it rests on; hostile words are text.
func TestAccountIsShown(t *testing.T) {
	ts := newTestServer(t, nil)
	fill(t, ts)
	d := evidenced()
	d.Account = incident.Account{Model: "small", Prompt: "account@1", Sentences: []incident.Sentence{
		{Text: "It was <script>alert(1)</script> rolled out.", Rests: []string{"E1"}}, {Text: "Then it broke.", Rests: []string{"alert:f1", "alert:f2", "cause"}},
	}}
	require.NoError(t, ts.db.PutDossier(t.Context(), idMemory, d))
	var one incidentapi.Incident
	require.NoError(t, json.Unmarshal(ts.send(t, http.MethodGet, "/api/v1/incidents/"+idMemory, "").Body.Bytes(), &one))
	require.Equal(t, "E1", one.Evidence[0].ID)
	require.Equal(t, &incidentapi.Account{Model: "small", Prompt: "account@1", Sentences: []incidentapi.Sentence{
		{Text: "It was <script>alert(1)</script> rolled out.", Rests: []string{"E1"}}, {Text: "Then it broke.", Rests: []string{"alert:f1", "alert:f2", "cause"}},
	}}, one.Account)

	page := ts.send(t, http.MethodGet, "/incidents/"+idMemory, "").Body.String()
	require.Contains(t, page, "It was &lt;script&gt;alert(1)&lt;/script&gt; rolled out.")
	require.Contains(t, page, `href="#E1"`)
	require.Contains(t, page, `id="E1"`)
	require.Contains(t, page, `href="#alerts"`)
	require.Contains(t, page, "the language model small")
}

// Who may see a part of the evidence does not read what all of it tells.
func TestAccountKeepsWithinTheScope(t *testing.T) {
	const token = "0123456789abcdef0123456789abcdef"
	ts := newTestServer(t, func(c *Config) {
		c.Access = []AccessConfig{{Name: "web", Role: RoleViewer, Token: token, Matchers: []string{`namespace="frontend-api"`}}}
	})
	fill(t, ts)
	d := evidenced()
	d.Account.Sentences = []incident.Sentence{{Text: "secret of another team", Rests: []string{"E1"}}}
	require.NoError(t, ts.db.PutDossier(t.Context(), idMemory, d))
	for _, path := range []string{"/api/v1/incidents/" + idMemory, "/api/v1/incidents", "/api/v1/incidents/" + idMemory + "/report", "/incidents/" + idMemory} {
		require.NotContains(t, ts.send(t, http.MethodGet, path, "", "Authorization", "Bearer "+token).Body.String(), "secret of another team", path)
	}
}

// modelApp is as much of an App as a model needs.
func modelApp(t *testing.T) (*App, *report.Plain) {
	t.Helper()
	plain, err := report.New(report.Options{})
	require.NoError(t, err)
	return &App{modelMetrics: newModelMetrics(prometheus.NewRegistry())}, plain
}

// The model of the configuration is asked with its key, within its budget, and counted; a reload that leaves it alone
// leaves its budget alone.
func TestModelTells(t *testing.T) {
	double := openaitest.Start(t)
	double.Say = func(openaitest.Request) string { return `{"sentences":[{"text":"It was rolled out.","ids":["E1"]}]}` }
	key := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(key, []byte(openaitest.Key+"\n"), 0o600))
	c := DefaultConfig()
	c.Model.URL, c.Model.Name, c.Model.CallsPerMinute = double.URL, "small", 2
	c.Model.HTTPClient.Authorization = &config.Authorization{Type: "Bearer", CredentialsFile: key}
	require.NoError(t, c.Validate())

	a, plain := modelApp(t)
	tell := func() incident.Account {
		t.Helper()
		m, err := a.newModel(c.Model)
		require.NoError(t, err)
		a.model = m
		w, err := a.modelWriter(m, plain)
		require.NoError(t, err)
		d := evidenced()
		return w.Tell(t.Context(), incident.Incident{ID: "01", Dossier: &d})
	}
	require.Equal(t, "It was rolled out.", tell().Sentences[0].Text)
	double.Fail(doubletest.Fault{Kind: doubletest.Status, Status: http.StatusBadGateway})
	require.Equal(t, "server", tell().WithoutModel)
	require.Equal(t, "budget", tell().WithoutModel, "it was asked twice in this minute")
	require.InDelta(t, 1, testutil.ToFloat64(a.modelMetrics.calls), 0)
	require.Positive(t, testutil.ToFloat64(a.modelMetrics.tokens))
	require.InDelta(t, 1, testutil.ToFloat64(a.modelMetrics.failures.WithLabelValues("budget")), 0)

	c.Model.CallsPerMinute = 20
	require.Empty(t, tell().WithoutModel, "another budget")
	none, err := a.newModel(DefaultModelConfig())
	require.NoError(t, err)
	require.Nil(t, none)
}

func TestModelConfig(t *testing.T) {
	for want, change := range map[string]func(*ModelConfig){
		"model: name: is needed":                  func(m *ModelConfig) { m.URL = "http://m" },
		"model: name: makes no sense without url": func(m *ModelConfig) { m.Name = "small" },
		"model: url: want":                        func(m *ModelConfig) { m.URL, m.Name = "m", "small" },
		"model: timeout: 0s":                      func(m *ModelConfig) { m.Timeout = 0 },
		"model: calls_per_minute: -1":             func(m *ModelConfig) { m.CallsPerMinute = -1 },
		"model: tokens_per_day: -1":               func(m *ModelConfig) { m.TokensPerDay = -1 },
		"model: http_client":                      func(m *ModelConfig) { m.HTTPClient.BearerToken = "a"; m.HTTPClient.BearerTokenFile = "b" },
	} {
		c := DefaultConfig()
		change(&c.Model)
		require.ErrorContains(t, c.Validate(), want)
	}
}

// What the worker is given tells in the receiver's words, and in those of a model once a configuration has one.
func TestWordsTell(t *testing.T) {
	a, plain := modelApp(t)
	w := &words{}
	w.current.Store(plain)
	d := evidenced()
	inc := incident.Incident{ID: "01", Dossier: &d}
	require.Equal(t, []string{"E1"}, w.tell(inc).Sentences[0].Rests)
	require.Nil(t, w.tellByModel())

	double := openaitest.Start(t)
	double.NoKey = true
	double.Say = func(openaitest.Request) string { return `{"sentences":[{"text":"It was rolled out.","ids":["E1"]}]}` }
	c := DefaultModelConfig()
	c.URL, c.Name = double.URL, "small"
	m, err := a.newModel(c)
	require.NoError(t, err)
	byModel, err := a.modelWriter(m, plain)
	require.NoError(t, err)
	w.model.Store(byModel)
	require.Equal(t, "It was rolled out.", w.tellByModel()(t.Context(), inc).Sentences[0].Text)
}
