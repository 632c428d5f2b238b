// Package plugin is the data source as Grafana calls it: queries, health, resources. It wires the answers of
// the packages beside it to the addresses that an administrator configured, and it is the only package that
// knows Grafana's plugin protocol. It keeps no state but connections and what the servers said that they have, and reads
// no environment and no files.
package plugin

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/grafana/grafana-plugin-sdk-go/backend/instancemgmt"
	"github.com/grafana/grafana-plugin-sdk-go/backend/resource/httpadapter"

	"github.com/portent-dev/portent/datasource-plugin/pkg/settings"
	"github.com/portent-dev/portent/internal/incidentapi"
	"github.com/portent-dev/portent/internal/llm"
	"github.com/portent-dev/portent/internal/lokiapi"
)

// ID of the plugin, as in plugin.json.
const ID = "portent-aiops-datasource"

// queriesAtOnce that one request runs side by side. Each asks Prometheus up to four things at once, of which
// prometheusAtOnce are under way for all requests of a data source: half of what Prometheus answers at once
// by default (--query.max-concurrency 20).
const (
	queriesAtOnce    = 8
	prometheusAtOnce = 10
)

// Instance is one configured data source. It is safe for concurrent use.
type Instance struct {
	backend.CallResourceHandler

	settings *settings.Settings
	err      error // why no query can run
	clients  map[settings.Name]*http.Client
	failed   map[settings.Name]error // why a configured address cannot be used

	prometheus *prometheusClient
	loki       *lokiapi.Client
	receiver   *incidentapi.Client
	model      llm.Client // nil: questions are answered by rules

	memory *memory // what the servers have, for questions
	meter  *meter
	asking slots // streams of questions under way
}

var (
	_ backend.QueryDataHandler      = (*Instance)(nil)
	_ backend.CheckHealthHandler    = (*Instance)(nil)
	_ backend.CallResourceHandler   = (*Instance)(nil)
	_ instancemgmt.InstanceDisposer = (*Instance)(nil)
)

// NewInstance is called by the SDK for each data source and whenever its settings change. It never fails: what
// is wrong with the settings is told by the health check and by each query, where a person sees it.
func NewInstance(ctx context.Context, source backend.DataSourceInstanceSettings) (instancemgmt.Instance, error) {
	in := &Instance{clients: map[settings.Name]*http.Client{}, failed: map[settings.Name]error{}, asking: make(slots, streamsAtOnce)}
	in.CallResourceHandler = httpadapter.New(in.routes())
	if in.settings, in.err = settings.Load(source); in.err != nil {
		return in, nil //nolint:nilerr // told where a person sees it
	}
	for _, n := range settings.Names() {
		t := in.settings.Target(n)
		if t.URL == "" {
			continue
		}
		err := t.Err
		if err == nil {
			in.clients[n], err = t.HTTPClient(ctx)
		}
		if err == nil {
			err = in.connect(t)
		}
		if err != nil {
			in.failed[n] = &configError{fmt.Sprintf("%s: %v", n.Title(), err)}
		}
	}
	in.connectQuestions()
	return in, nil
}

// connect makes the client of one address. It opens no connection.
func (in *Instance) connect(t settings.Target) (err error) {
	switch t.Name {
	case settings.Prometheus:
		in.prometheus, err = newPrometheus(t.URL, in.clients[t.Name], t.Timeout())
	case settings.Receiver:
		in.receiver, err = incidentapi.New(incidentapi.Options{URL: t.URL, Client: in.clients[t.Name], Timeout: t.Timeout()})
	case settings.Loki:
		in.loki, err = newLoki(t.URL, in.clients[t.Name], t.Timeout())
	case settings.Model:
		in.model, err = newModel(t, in.clients[t.Name], in.settings)
	}
	return err
}

// Dispose frees the connections of an instance whose settings changed and ends what runs in the background. Queries
// under way end by themselves.
func (in *Instance) Dispose() {
	if in.memory != nil {
		in.memory.close()
	}
	for _, c := range in.clients {
		c.CloseIdleConnections()
	}
}

// configError is a setting that must be changed before a query can run.
type configError struct{ text string }

func (e *configError) Error() string { return e.text }

// usable reports why an address cannot be asked, or nil.
func (in *Instance) usable(n settings.Name) error {
	switch {
	case in.err != nil:
		return &configError{in.err.Error()}
	case in.failed[n] != nil:
		return in.failed[n]
	case in.clients[n] == nil:
		return &configError{fmt.Sprintf("this query needs the address of %s, which is not configured in the data source", n.Title())}
	}
	return nil
}

// slots bounds how many calls are under way.
type slots chan struct{}

// take waits for a place and returns the function that gives it back.
func (s slots) take(ctx context.Context) (func(), error) {
	select {
	case s <- struct{}{}:
		return sync.OnceFunc(func() { <-s }), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for other queries of this data source: %w", ctx.Err())
	}
}

// withTimeout bounds a whole query, which may be several calls, by the timeout of its address.
func (in *Instance) withTimeout(ctx context.Context, n settings.Name) (context.Context, context.CancelFunc) {
	limit := in.settings.Target(n).Timeout()
	return context.WithTimeoutCause(ctx, limit, &timeoutError{n, limit})
}

// timeoutError says which address took too long.
type timeoutError struct {
	name  settings.Name
	limit time.Duration
}

func (e *timeoutError) Error() string {
	return fmt.Sprintf("%s did not answer the query within %s: choose a shorter time range or more labels, or a longer timeout in the data source", e.name.Title(), e.limit)
}

// Is says that it is the end of a deadline.
func (e *timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }
