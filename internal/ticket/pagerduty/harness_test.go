package pagerduty_test

import (
	"bytes"
	"io"
	"log/slog"
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
	"github.com/portent-dev/portent/internal/ticket/pagerduty"
	"github.com/portent-dev/portent/internal/ticket/pagerduty/pagerdutytest"
)

const lag = 30 * time.Second

// rig is a tracker over a double.
type rig struct {
	*pagerduty.Tracker
	site *pagerdutytest.Server
	reg  *prometheus.Registry

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

func newRig(t *testing.T, change func(*pagerduty.Config)) *rig {
	t.Helper()
	r := &rig{now: time.Date(2026, 11, 22, 10, 40, 0, 0, time.UTC), reg: prometheus.NewRegistry()}
	site, url := pagerdutytest.Start(t, r.Now)
	r.site = site
	cfg := pagerduty.DefaultConfig()
	cfg.Timeout = model.Duration(5 * time.Minute) // a starved machine is no fault
	cfg.URL, cfg.APIURL, cfg.RoutingKey, cfg.APIToken, cfg.From = url, url, pagerdutytest.RoutingKey, pagerdutytest.APIToken, pagerdutytest.From
	if change != nil {
		change(&cfg)
	}
	client, err := cfg.HTTPClient()
	require.NoError(t, err)
	base := client.Transport.(*http.Transport)
	t.Cleanup(base.CloseIdleConnections)
	for _, name := range []string{"event", "note", "status"} {
		ownSchema(t, name)
	}
	client.Transport = &ownSchemas{t: t, next: base}
	secrets, err := cfg.Secrets()
	require.NoError(t, err)
	r.Tracker, err = pagerduty.New(pagerduty.Options{
		Config: cfg, Secrets: secrets, Client: client, Now: r.Now, Logger: slog.New(slog.DiscardHandler), Registerer: r.reg,
	})
	require.NoError(t, err)
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

func (o *ownSchemas) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		return o.next.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	name := "status"
	switch {
	case r.URL.Path == "/v2/enqueue":
		name = "event"
	case strings.HasSuffix(r.URL.Path, "/notes"):
		name = "note"
	}
	if err := ownSchema(o.t, name).Check(body); err != nil {
		o.t.Errorf("%s %s: %v\n%s", r.Method, r.URL.Path, err, ticket.Cut(string(body), 2000))
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return o.next.RoundTrip(r)
}
