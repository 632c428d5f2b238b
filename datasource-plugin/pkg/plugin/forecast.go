package plugin

import (
	"context"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/grafana/grafana-plugin-sdk-go/data"

	"github.com/portent-dev/portent/datasource-plugin/pkg/forecasts"
	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
	"github.com/portent-dev/portent/datasource-plugin/pkg/settings"
)

// forecast answers a query of type forecast.
func (in *Instance) forecast(ctx context.Context, q query.Forecast, raw backend.DataQuery) (data.Frames, error) {
	if err := in.usable(settings.Prometheus); err != nil {
		return nil, err
	}
	ctx, cancel := in.withTimeout(ctx, settings.Prometheus)
	defer cancel()
	frames, err := forecasts.Run(ctx, in.prometheus, forecasts.Request{
		Query: q, From: raw.TimeRange.From, To: raw.TimeRange.To, Now: time.Now(), Interval: raw.Interval, MaxPoints: raw.MaxDataPoints,
		Scrape: in.settings.ScrapeInterval, Gate: in.gate(),
	})
	return frames, cause(ctx, err)
}
