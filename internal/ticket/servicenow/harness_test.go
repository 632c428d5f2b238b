package servicenow_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/spectest"
	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/servicenow"
	"github.com/portent-dev/portent/internal/ticket/servicenow/servicenowtest"
)

const lag = 30 * time.Second

// rig is a tracker over a double.
type rig struct {
	*servicenow.Tracker
	site *servicenowtest.Server
	logs *syncBuffer

	mu  sync.Mutex
	now time.Time
}

func (r *rig) Now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *rig) advance(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

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

func newRig(t *testing.T, change func(*servicenow.Config)) *rig {
	t.Helper()
	r := &rig{now: time.Date(2026, 11, 22, 10, 40, 0, 0, time.UTC), logs: &syncBuffer{}}
	site, url := servicenowtest.Start(t, r.Now)
	r.site = site
	cfg := servicenow.DefaultConfig()
	cfg.Timeout = model.Duration(5 * time.Minute) // a starved machine is no fault
	cfg.URL, cfg.Username, cfg.Password = url, servicenowtest.User, servicenowtest.Secret
	if change != nil {
		change(&cfg)
	}
	client, err := cfg.HTTPClient()
	require.NoError(t, err)
	base := client.Transport.(*http.Transport)
	t.Cleanup(base.CloseIdleConnections)
	schema, err := spectest.CompileFile(filepath.Join("testdata", "write.schema.json"))
	require.NoError(t, err)
	events, err := spectest.CompileFile(filepath.Join("testdata", "events.schema.json"))
	require.NoError(t, err)
	client.Transport = &ownSchema{t: t, next: base, schema: schema, events: events}
	secret, err := cfg.Secret()
	require.NoError(t, err)
	r.Tracker, err = servicenow.New(servicenow.Options{
		Config: cfg, Secret: secret, Client: client, Now: r.Now, Registerer: prometheus.NewRegistry(),
		Logger: slog.New(slog.NewTextHandler(r.logs, nil)),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NotContains(t, r.logs.String(), servicenowtest.Secret) })
	return r
}

// ownSchema holds every body that is sent to the schema in testdata, which the
// project wrote itself and which needs no vendor's file.
type ownSchema struct {
	t      testing.TB
	next   http.RoundTripper
	schema *spectest.Schema
	events *spectest.Schema
}

func (o *ownSchema) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		return o.next.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	schema := o.schema
	if r.URL.Path == "/api/global/em/jsonv2" {
		schema = o.events
	}
	if err := schema.Check(body); err != nil {
		o.t.Errorf("%s %s: %v\n%s", r.Method, r.URL.Path, err, ticket.Cut(string(body), 2000))
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return o.next.RoundTrip(r)
}
