package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/portent-dev/portent/internal/ingest"
)

// openBackfill prepares the backfill if there is one to do, and has live samples held until it is done.
func (a *App) openBackfill(c Config) error {
	if c.Backfill.URL == "" {
		return nil
	}
	metrics := newBackfillMetrics(a.reg, a.gate.bytes.Load)
	if age := time.Since(a.restored); age < ownBacklog {
		a.logger.Info("no backfill: the snapshot is young, and senders keep what they could not send", "age", age)
		metrics.progress.Set(1)
		metrics.ok.Set(1)
		return nil
	}
	source, err := newPromHistory(&c.Backfill)
	if err != nil {
		return err
	}
	a.gate.hold()
	a.learning.Store(true)
	a.backfill = &backfill{
		config: c.Backfill, source: source,
		target:   &selecting{next: direct{a.gate}, current: a.selection, unselected: a.unselected},
		counters: ingest.NewCounters(a.reg, "backfill"),
		expire:   func(ms int64) { a.gate.engine.Load().Expire(ms) },
		metrics:  metrics,
		logger:   a.logger.With("component", "backfill"),
	}
	return nil
}

// maxHistoryBytes bounds one answer: some two million samples. A chunk that holds more is read in halves.
const maxHistoryBytes = 64 << 20

// promHistory asks a Prometheus, or what speaks its API.
type promHistory struct {
	api     v1.API
	timeout time.Duration
}

var _ history = (*promHistory)(nil)

func newPromHistory(b *Backfill) (*promHistory, error) {
	client, err := config.NewClientFromConfig(b.HTTPClient, "backfill")
	if err != nil {
		return nil, fmt.Errorf("backfill.http_client: %w", err)
	}
	c, err := api.NewClient(api.Config{Address: b.URL, RoundTripper: bounded{client.Transport}})
	if err != nil {
		return nil, fmt.Errorf("backfill.url: %w", err)
	}
	return &promHistory{v1.NewAPI(c), time.Duration(b.Timeout)}, nil
}

// query asks for raw samples by an instant query of a range selector, which gives them with their own times, gaps and resets;
// with a step, by a range query, which is what long windows on a system that downsamples can bear.
func (h *promHistory) query(ctx context.Context, q historyQuery) (model.Matrix, error) {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	var v model.Value
	var err error
	if q.step == 0 {
		expr := parser.MatrixSelector{VectorSelector: &q.selector, Range: q.to.Sub(q.from)}
		v, _, _, err = h.api.Query(ctx, expr.String(), q.to)
	} else {
		v, _, _, err = h.api.QueryRange(ctx, q.selector.String(), v1.Range{Start: q.from.Add(q.step), End: q.to, Step: q.step})
	}
	if err != nil {
		return nil, err
	}
	m, ok := v.(model.Matrix)
	if !ok {
		return nil, fmt.Errorf("the answer holds a %s, want a matrix", v.Type())
	}
	return m, nil
}

// externalLabels returns what Prometheus adds to each series that it sends, but not to those that it answers with: without
// them the history and the live samples of one series would be two series. Only Prometheus itself tells them.
func (h *promHistory) externalLabels(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	r, err := h.api.Config(ctx)
	if err != nil {
		return nil, err
	}
	var c struct {
		Global struct {
			ExternalLabels map[string]string `yaml:"external_labels"`
		} `yaml:"global"`
	}
	if err := yaml.Unmarshal([]byte(r.YAML), &c); err != nil {
		return nil, errors.New("the configuration that it tells is no YAML") // which may hold secrets
	}
	return c.Global.ExternalLabels, nil
}

// bounded cuts answers off that are too large.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxHistoryBytes)
	}
	return resp, err
}
