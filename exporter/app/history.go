package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/promapi"
)

// maxHistoryBytes bounds one answer: some two million samples. A chunk that holds more is read in halves.
const maxHistoryBytes = 64 << 20

// promHistory asks a Prometheus, or what speaks its API.
type promHistory struct{ client *promapi.Client }

var _ history = (*promHistory)(nil)

func newPromHistory(b *Backfill) (*promHistory, error) {
	client, err := config.NewClientFromConfig(b.HTTPClient, "backfill")
	if err != nil {
		return nil, fmt.Errorf("backfill.http_client: %w", err)
	}
	c, err := promapi.New(promapi.Options{URL: b.URL, Client: client, Timeout: time.Duration(b.Timeout), MaxBytes: maxHistoryBytes})
	if err != nil {
		return nil, fmt.Errorf("backfill.url: %w", err)
	}
	return &promHistory{c}, nil
}

// query asks for raw samples by an instant query of a range selector, which gives them with their own times, gaps and resets;
// with a step, by a range query, which is what long windows on a system that downsamples can bear.
func (h *promHistory) query(ctx context.Context, q historyQuery) (model.Matrix, error) {
	var a promapi.Answer
	var err error
	if q.step == 0 {
		expr := parser.MatrixSelector{VectorSelector: &q.selector, Range: q.to.Sub(q.from)}
		a, err = h.client.Query(ctx, expr.String(), q.to, 0)
	} else {
		a, err = h.client.QueryRange(ctx, q.selector.String(), promapi.Range{Start: q.from.Add(q.step), End: q.to, Step: q.step}, 0)
	}
	if err != nil {
		return nil, err
	}
	m, ok := a.Value.(model.Matrix)
	if !ok {
		return nil, fmt.Errorf("the answer holds a %s, want a matrix", a.Value.Type())
	}
	return m, nil
}

// kinds returns which metrics are counters and which are gauges, by name.
func (h *promHistory) kinds(ctx context.Context) (map[string]ingest.Kind, error) {
	meta, err := h.client.Metadata(ctx, "", 0)
	if err != nil {
		return nil, err
	}
	out := make(map[string]ingest.Kind, len(meta))
	for name, ms := range meta {
		kind := ingest.KindUnknown
		for i, m := range ms {
			k := ingest.KindUnknown
			switch m.Type {
			case v1.MetricTypeCounter:
				k = ingest.KindCounter
			case v1.MetricTypeGauge:
				k = ingest.KindGauge
			default: // histograms and summaries come as series whose names tell; the rest tell nothing
			}
			if i > 0 && k != kind {
				k = ingest.KindUnknown // targets do not agree
			}
			kind = k
		}
		if kind != ingest.KindUnknown {
			out[name] = kind
		}
	}
	return out, nil
}

// externalLabels returns what Prometheus adds to each series that it sends, but not to those that it answers with: without
// them the history and the live samples of one series would be two series. Only Prometheus itself tells them.
func (h *promHistory) externalLabels(ctx context.Context) (map[string]string, error) {
	text, err := h.client.Config(ctx)
	if err != nil {
		return nil, err
	}
	var c struct {
		Global struct {
			ExternalLabels map[string]string `yaml:"external_labels"`
		} `yaml:"global"`
	}
	if err := yaml.Unmarshal([]byte(text), &c); err != nil {
		return nil, errors.New("the configuration that it tells is no YAML") // which may hold secrets
	}
	return c.Global.ExternalLabels, nil
}
