package plugin

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/datasource-plugin/pkg/anomalies"
	"github.com/portent-dev/portent/internal/promapi"
)

// prometheusClient asks Prometheus for the whole data source and bounds how much is asked at once.
type prometheusClient struct {
	api   *promapi.Client
	slots slots
}

var _ anomalies.Prometheus = (*prometheusClient)(nil)

func newPrometheus(address string, client *http.Client, timeout time.Duration) (*prometheusClient, error) {
	api, err := promapi.New(promapi.Options{URL: address, Client: client, Timeout: timeout})
	if err != nil {
		return nil, err
	}
	return &prometheusClient{api, make(slots, prometheusAtOnce)}, nil
}

// Query evaluates expr at one time. Its errors are *promapi.Error, or that of the context while it waited.
func (p *prometheusClient) Query(ctx context.Context, expr string, at time.Time) (model.Value, []string, error) {
	free, err := p.slots.take(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer free()
	a, err := p.api.Query(ctx, expr, at, 0)
	return a.Value, notes(a), err
}

// QueryRange evaluates expr at each step. Errors as Query.
func (p *prometheusClient) QueryRange(ctx context.Context, expr string, from, to time.Time, step time.Duration) (model.Value, []string, error) {
	free, err := p.slots.take(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer free()
	a, err := p.api.QueryRange(ctx, expr, promapi.Range{Start: from, End: to, Step: step}, 0)
	return a.Value, notes(a), err
}

func notes(a promapi.Answer) []string { return slices.Concat(a.Warnings, a.Infos) }

func (p *prometheusClient) labelNames(ctx context.Context, match string, from, to time.Time, limit int) ([]string, error) {
	free, err := p.slots.take(ctx)
	if err != nil {
		return nil, err
	}
	defer free()
	names, _, err := p.api.LabelNames(ctx, []string{match}, from, to, limit)
	return names, err
}

func (p *prometheusClient) labelValues(ctx context.Context, label, match string, from, to time.Time, limit int) ([]string, error) {
	free, err := p.slots.take(ctx)
	if err != nil {
		return nil, err
	}
	defer free()
	values, _, err := p.api.LabelValues(ctx, label, []string{match}, from, to, limit)
	return values, err
}

// probe asks what answers, and whether there is anything for us in it.
func (p *prometheusClient) probe(ctx context.Context) (string, error) {
	version, err := p.api.Probe(ctx)
	if err != nil {
		return "", err
	}
	name := "answers" // not every server with this API tells its version
	if version != "" {
		name = "Prometheus " + version
	}
	// Without waiting for a place: a data source in heavy use is not a broken one.
	a, err := p.api.Query(ctx, anomalies.ScoreCount(), time.Now(), 0)
	if err != nil {
		return "", err
	}
	vec, ok := a.Value.(model.Vector)
	switch {
	case !ok:
		return "", fmt.Errorf("the answer to a query is a %s, want a vector", a.Value.Type())
	case len(vec) == 0:
		return name + ", but it has no anomaly_score yet: let it scrape portent-exporter, with honor_labels: true", nil
	}
	return fmt.Sprintf("%s, %d anomaly scores", name, int64(vec[0].Value)), nil
}
