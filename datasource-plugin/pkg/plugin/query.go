package plugin

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/grafana/grafana-plugin-sdk-go/data"
	"golang.org/x/sync/errgroup"

	"github.com/portent-dev/portent/datasource-plugin/pkg/anomalies"
	"github.com/portent-dev/portent/datasource-plugin/pkg/incidents"
	"github.com/portent-dev/portent/datasource-plugin/pkg/patterns"
	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
	"github.com/portent-dev/portent/datasource-plugin/pkg/settings"
)

// QueryData answers each query by itself: an error of one leaves the others whole.
func (in *Instance) QueryData(ctx context.Context, req *backend.QueryDataRequest) (*backend.QueryDataResponse, error) {
	resp := backend.NewQueryDataResponse()
	var mu sync.Mutex
	var g errgroup.Group // no shared context: one failure cancels nothing
	g.SetLimit(queriesAtOnce)
	for _, q := range req.Queries {
		g.Go(func() error {
			frames, err := in.answer(ctx, q, unattended(req.PluginContext, req.Headers))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				resp.Responses[q.RefID] = faultOf(err).dataResponse()
				return nil
			}
			resp.Responses[q.RefID] = backend.DataResponse{Frames: frames, Status: backend.StatusOK}
			return nil
		})
	}
	return resp, g.Wait()
}

func (in *Instance) answer(ctx context.Context, raw backend.DataQuery, unattended bool) (data.Frames, error) {
	q, err := query.Parse(raw.JSON)
	if err != nil {
		return nil, err
	}
	switch q.Type {
	case query.TypeAnomalies:
		return in.anomalies(ctx, *q.Anomalies, raw)
	case query.TypeIncidents:
		return in.incidents(ctx, *q.Incidents, raw)
	case query.TypeAsk:
		return in.question(ctx, *q.Ask, raw, unattended)
	case query.TypeForecast:
		return in.forecast(ctx, *q.Forecast, raw)
	case query.TypePatterns:
		return in.patterns(ctx, *q.Patterns, raw)
	default:
		return nil, fmt.Errorf("BUG: no answer for query type %q", q.Type)
	}
}

func (in *Instance) anomalies(ctx context.Context, q query.Anomalies, raw backend.DataQuery) (data.Frames, error) {
	if err := in.usable(settings.Prometheus); err != nil {
		return nil, err
	}
	q.Matchers = append(slices.Clip(q.Matchers), in.scope()...)
	ctx, cancel := in.withTimeout(ctx, settings.Prometheus)
	defer cancel()
	frames, err := anomalies.Run(ctx, in.prometheus, anomalies.Request{
		Query: q, From: raw.TimeRange.From, To: raw.TimeRange.To, Interval: raw.Interval, MaxPoints: raw.MaxDataPoints,
		Scrape: in.settings.ScrapeInterval, UID: in.settings.UID,
	})
	return frames, cause(ctx, err)
}

func (in *Instance) incidents(ctx context.Context, q query.Incidents, raw backend.DataQuery) (data.Frames, error) {
	if err := in.usable(settings.Receiver); err != nil {
		return nil, err
	}
	q.Matchers = append(slices.Clip(q.Matchers), in.scope()...)
	ctx, cancel := in.withTimeout(ctx, settings.Receiver)
	defer cancel()
	frames, err := incidents.Run(ctx, in.receiver, incidents.Request{
		Query: q, From: raw.TimeRange.From, To: raw.TimeRange.To,
		Link: in.settings.ReceiverLink, Fallback: in.settings.Target(settings.Receiver).URL,
	})
	return frames, cause(ctx, err)
}

func (in *Instance) patterns(ctx context.Context, q query.Patterns, raw backend.DataQuery) (data.Frames, error) {
	if err := in.usable(settings.Loki); err != nil {
		return nil, err
	}
	ctx, cancel := in.withTimeout(ctx, settings.Loki)
	defer cancel()
	frames, err := patterns.Run(ctx, in.loki, patterns.Request{
		Query: q, From: raw.TimeRange.From, To: raw.TimeRange.To, MaxPoints: raw.MaxDataPoints,
		UID: in.settings.UID, LokiUID: in.settings.LokiUID, Scope: in.settings.Scope,
	})
	return frames, cause(ctx, err)
}

// scope is what every query of the data source is limited by, as matchers of a query.
func (in *Instance) scope() []query.Matcher {
	var out []query.Matcher
	for _, m := range in.settings.Scope {
		out = append(out, query.Matcher{Label: m.Name, Op: m.Type.String(), Value: m.Value})
	}
	return out
}

// cause returns why the context ended where that is why err came.
func cause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
