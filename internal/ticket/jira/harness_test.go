package jira_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/spectest"
	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/jira"
	"github.com/portent-dev/portent/internal/ticket/jira/jiratest"
)

// clock is a clock that stands until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 22, 10, 40, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

const lag = 30 * time.Second

// rig is a tracker over a double.
type rig struct {
	*jira.Tracker
	site  *jiratest.Server
	clock *clock
	logs  *syncBuffer
	reg   *prometheus.Registry
}

// settle lets everything reach the search index.
func (r *rig) settle() { r.clock.Advance(lag) }

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// patient is the default configuration with a timeout for machines on which the double takes a minute to hold a document of
// 32767 characters to its description.
func patient() jira.Config {
	c := jira.DefaultConfig()
	c.Timeout = model.Duration(5 * time.Minute)
	return c
}

// newRig serves a site and returns a tracker for it. change may be nil.
func newRig(t *testing.T, change func(*jira.Config), projects ...jiratest.Project) *rig {
	t.Helper()
	c := newClock()
	site, url := jiratest.Start(t, jiratest.Options{Now: c.Now, SearchLag: lag, Projects: projects})
	cfg := patient()
	cfg.URL, cfg.Email, cfg.Token, cfg.Project = url, jiratest.Email, jiratest.Token, "OPS"
	if change != nil {
		change(&cfg)
	}
	return newRigWith(t, cfg, site, c)
}

func newRigWith(t *testing.T, cfg jira.Config, site *jiratest.Server, c *clock) *rig {
	t.Helper()
	client, err := cfg.HTTPClient()
	require.NoError(t, err)
	base := client.Transport.(*http.Transport)
	t.Cleanup(base.CloseIdleConnections)
	for _, name := range []string{"create", "comment", "transition", "search", "link", "property", "create-dc", "comment-dc", "search-dc", "property-dc", "request", "request-comment", "request-transition", "edit", "property-incident"} {
		ownSchema(t, name) // compiled here: a failure must be on the test's own goroutine
	}
	client.Transport = &ownSchemas{t: t, next: base}
	r := &rig{site: site, clock: c, logs: &syncBuffer{}, reg: prometheus.NewRegistry()}
	r.Tracker, err = jira.New(jira.Options{
		Config: cfg, Token: cfg.Token, Client: client, Now: c.Now, Registerer: r.reg,
		Logger: slog.New(slog.NewTextHandler(r.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NotContains(t, r.logs.String(), jiratest.Token) })
	return r
}

// ownSchemas holds every body that is sent to the schemas in testdata, which the
// project wrote itself and which need no vendor's file.
type ownSchemas struct {
	t    testing.TB
	next http.RoundTripper
}

var schemas sync.Map // *spectest.Schema by name

func ownSchema(t testing.TB, name string) *spectest.Schema {
	if s, ok := schemas.Load(name); ok {
		return s.(*spectest.Schema)
	}
	s, err := spectest.CompileFile(filepath.Join("testdata", name+".schema.json"))
	require.NoError(t, err)
	schemas.Store(name, s)
	return s
}

func schemaOf(method, path string) string {
	dc := ""
	if strings.HasPrefix(path, "/rest/api/2/") {
		dc = "-dc"
	}
	if desk, ok := strings.CutPrefix(path, "/rest/servicedeskapi/request"); ok {
		return "request" + map[string]string{"comment": "-comment", "transition": "-transition"}[desk[strings.LastIndexByte(desk, '/')+1:]]
	}
	switch {
	case method == http.MethodPost && strings.HasSuffix(path, "/issue"):
		return "create" + dc
	case method == http.MethodPost && strings.HasSuffix(path, "/api/2/search"):
		return "search-dc"
	case method == http.MethodPost && strings.HasSuffix(path, "/comment"):
		return "comment" + dc
	case method == http.MethodPost && strings.HasSuffix(path, "/transitions"):
		return "transition"
	case method == http.MethodPost && strings.HasSuffix(path, "/search/jql"):
		return "search"
	case method == http.MethodPost && strings.HasSuffix(path, "/issueLink"):
		return "link"
	case method == http.MethodPut && strings.HasSuffix(path, "/properties/portent.incident"):
		return "property-incident"
	case method == http.MethodPut && !strings.Contains(path, "/properties/"):
		return "edit"
	case method == http.MethodPut && strings.Contains(path, "/properties/portent.duplicate"):
		return "property" + dc
	}
	return ""
}

func (o *ownSchemas) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		return o.next.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if name := schemaOf(r.Method, r.URL.Path); name == "" {
		o.t.Errorf("%s %s sends a body and has no schema in testdata", r.Method, r.URL.Path)
	} else if err := ownSchema(o.t, name).Check(body); err != nil {
		o.t.Errorf("%s %s: %v\n%s", r.Method, r.URL.Path, err, ticket.Cut(string(body), 2000))
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return o.next.RoundTrip(r)
}

// text flattens ADF for assertions.
func text(adf json.RawMessage) string {
	type node struct {
		Type    string
		Text    string
		Content []json.RawMessage
	}
	var n node
	if len(adf) == 0 || json.Unmarshal(adf, &n) != nil {
		return ""
	}
	var s strings.Builder
	s.WriteString(n.Text)
	if n.Type == "hardBreak" {
		s.WriteByte('\n')
	}
	for _, c := range n.Content {
		s.WriteString(text(c))
	}
	if n.Type == "paragraph" || n.Type == "heading" || n.Type == "codeBlock" {
		s.WriteByte('\n')
	}
	return s.String()
}

// picked is one series of a registry as a collector.
type picked struct {
	reg    *prometheus.Registry
	labels map[string]string
}

func (p *picked) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(p, ch) }

func (p *picked) Collect(ch chan<- prometheus.Metric) {
	families, err := p.reg.Gather()
	if err != nil {
		return
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			have := map[string]string{}
			for _, l := range m.GetLabel() {
				have[l.GetName()] = l.GetValue()
			}
			if maps.Equal(have, p.labels) {
				ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(f.GetName(), "x", nil, have), prometheus.CounterValue, m.GetCounter().GetValue())
			}
		}
	}
}
