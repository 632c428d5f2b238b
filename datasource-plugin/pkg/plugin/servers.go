package plugin

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/portent-dev/portent/internal/ask"
	"github.com/portent-dev/portent/internal/lokiapi"
)

// lokiAtOnce bounds the calls of one data source to its Loki, as prometheusAtOnce does: a Loki of one machine
// answers that many side by side.
const lokiAtOnce = 10

// newLoki makes a client whose calls wait for a place until their answer has been read.
func newLoki(address string, client *http.Client, timeout time.Duration) (*lokiapi.Client, error) {
	bounded := *client
	next := client.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	bounded.Transport = &turnstile{next, make(slots, lokiAtOnce)}
	return lokiapi.New(lokiapi.Options{URL: address, Client: &bounded, Timeout: timeout})
}

// turnstile bounds how many requests are under way.
type turnstile struct {
	next  http.RoundTripper
	slots slots
}

func (t *turnstile) RoundTrip(req *http.Request) (*http.Response, error) {
	free, err := t.slots.take(req.Context())
	if err != nil {
		return nil, err
	}
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		free()
		return nil, err
	}
	resp.Body = &freeing{resp.Body, free}
	return resp, nil
}

// freeing gives the place back when the answer was read or given up.
type freeing struct {
	io.ReadCloser

	free func()
}

func (f *freeing) Close() error {
	f.free()
	return f.ReadCloser.Close()
}

// promSource reads a catalog from Prometheus: of what lies within the scope of the data source and nothing else.
type promSource struct {
	p     *prometheusClient
	scope []*labels.Matcher
}

var _ ask.Source = promSource{}

// Metadata is of all metrics, whatever the scope: the catalog takes that of the metrics that it has.
func (s promSource) Metadata(ctx context.Context) (map[string]ask.Metric, error) {
	free, err := s.p.slots.take(ctx)
	if err != nil {
		return nil, err
	}
	defer free()
	all, err := s.p.api.Metadata(ctx, "", 0)
	if err != nil {
		return nil, err
	}
	out := make(map[string]ask.Metric, len(all))
	for name, list := range all {
		if len(list) > 0 {
			out[name] = ask.Metric{Type: string(list[0].Type), Help: list[0].Help, Unit: list[0].Unit}
		}
	}
	return out, nil
}

func (s promSource) LabelNames(ctx context.Context, matches []string, limit int) ([]string, error) {
	matches, err := scoped(matches, s.scope)
	if err != nil {
		return nil, err
	}
	free, err := s.p.slots.take(ctx)
	if err != nil {
		return nil, err
	}
	defer free()
	names, _, err := s.p.api.LabelNames(ctx, matches, time.Time{}, time.Time{}, limit)
	return names, err
}

func (s promSource) LabelValues(ctx context.Context, label string, matches []string, limit int) ([]string, error) {
	matches, err := scoped(matches, s.scope)
	if err != nil {
		return nil, err
	}
	free, err := s.p.slots.take(ctx)
	if err != nil {
		return nil, err
	}
	defer free()
	values, _, err := s.p.api.LabelValues(ctx, label, matches, time.Time{}, time.Time{}, limit)
	return values, err
}

// scoped puts the scope on each selector.
func scoped(matches []string, scope []*labels.Matcher) ([]string, error) {
	if len(scope) == 0 {
		return matches, nil
	}
	if len(matches) == 0 {
		return []string{(&parser.VectorSelector{LabelMatchers: scope}).String()}, nil
	}
	out := make([]string, 0, len(matches))
	for _, m := range matches {
		e, err := parser.NewParser(parser.Options{}).ParseExpr(m)
		sel, ok := e.(*parser.VectorSelector)
		if err != nil || !ok {
			return nil, fmt.Errorf("BUG: %q is no selector: %w", m, err)
		}
		sel.LabelMatchers = append(sel.LabelMatchers, scope...)
		out = append(out, sel.String())
	}
	return out, nil
}

// lokiSource reads what a Loki has within the scope.
type lokiSource struct {
	c     *lokiapi.Client
	scope []*labels.Matcher
}

var _ ask.LogSource = lokiSource{}

// LabelNames are those of all streams: Loki lists no others.
func (s lokiSource) LabelNames(ctx context.Context, start, end time.Time) ([]string, error) {
	return s.c.LabelNames(ctx, start, end)
}

func (s lokiSource) LabelValues(ctx context.Context, label, selector string, start, end time.Time) ([]string, error) {
	if len(s.scope) > 0 && selector == "" {
		selector = (&ask.LogStreams{Matchers: s.scope}).String()
	} else if len(s.scope) > 0 {
		checked, err := ask.Gate{Forced: s.scope}.Check(ctx, ask.Translation{Language: ask.LogQL, Query: selector})
		if err != nil {
			return nil, err
		}
		selector = checked.Query
	}
	return s.c.LabelValues(ctx, label, selector, start, end)
}

func (s lokiSource) Sample(ctx context.Context, query string, start, end time.Time, limit int) ([]ask.LogLine, error) {
	if len(s.scope) > 0 {
		checked, err := ask.Gate{Forced: s.scope}.Check(ctx, ask.Translation{Language: ask.LogQL, Query: query})
		if err != nil {
			return nil, err
		}
		query = checked.Query
	}
	res, err := s.c.QueryRange(ctx, query, start, end, 0, limit)
	if err != nil {
		return nil, err
	}
	out := make([]ask.LogLine, len(res.Lines))
	for i, l := range res.Lines {
		out[i] = ask.LogLine{Labels: l.Labels, Text: l.Text}
	}
	return out, nil
}

// How long the cost of a selector is remembered, and of how many.
const (
	costFor  = 5 * time.Minute
	maxCosts = 2000
)

// meter tells what a query would touch, by the servers' indexes. A dashboard that is refreshed asks for the same
// each time, so what was told is kept for costFor.
type meter struct {
	prometheus *prometheusClient
	loki       *lokiapi.Client

	mu    sync.Mutex
	known map[string]cost
}

type cost struct {
	n  uint64
	at time.Time
}

var _ ask.Meter = (*meter)(nil)

// CountSeries counts the series of a selector by the index.
func (m *meter) CountSeries(ctx context.Context, selector string, start, end time.Time, limit int) (int, error) {
	n, err := m.cached(ctx, "promql\x00"+selector, start, end, func() (uint64, error) {
		free, err := m.prometheus.slots.take(ctx)
		if err != nil {
			return 0, err
		}
		defer free()
		sets, _, err := m.prometheus.api.Series(ctx, []string{selector}, start, end, limit)
		return uint64(len(sets)), err
	})
	return int(n), err
}

// LogBytes asks the index of the Loki.
func (m *meter) LogBytes(ctx context.Context, selector string, start, end time.Time) (uint64, error) {
	return m.cached(ctx, "logql\x00"+selector, start, end, func() (uint64, error) {
		stats, err := m.loki.Stats(ctx, selector, start, end)
		return stats.Bytes, err
	})
}

// cached keys by who asks, what for, how far, and roughly until when.
func (m *meter) cached(ctx context.Context, what string, start, end time.Time, ask func() (uint64, error)) (uint64, error) {
	var key strings.Builder
	if pc := backend.PluginConfigFromContext(ctx); pc.User != nil {
		key.WriteString(pc.User.Login)
	}
	fmt.Fprintf(&key, "\x00%s\x00%s\x00%d", what, end.Sub(start).Round(time.Minute), end.Truncate(time.Hour).Unix())
	now := time.Now()
	m.mu.Lock()
	c, ok := m.known[key.String()]
	m.mu.Unlock()
	if ok && now.Sub(c.at) < costFor {
		return c.n, nil
	}
	n, err := ask()
	if err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil || len(m.known) >= maxCosts {
		m.known = map[string]cost{}
	}
	m.known[key.String()] = cost{n, now}
	return n, nil
}
