// Package promquery takes samples by asking: it evaluates configured PromQL queries
// on an interval against any server with Prometheus's query API, and hands the
// results to an ingest.Target. What a query computes (a rate, a ratio, a quantile)
// is often a better thing to watch than the raw series, and a thousand times fewer.
//
// It must not know what becomes of a sample, nor speak HTTP itself: promapi does.
package promquery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/config"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/promapi"
)

// Options are what a Source is made of. All but Client are required.
type Options struct {
	Config     Config
	Target     ingest.Target
	Registerer prometheus.Registerer
	Logger     *slog.Logger
	// Client makes the HTTP client of a server. nil is that of prometheus/common.
	Client func(config.HTTPClientConfig) (*http.Client, error)
}

// Source evaluates queries. Run and Backfill may be called once each, Backfill
// before Run.
type Source struct {
	queries []*query
	logger  *slog.Logger
}

// query is a configured query with its server.
type query struct {
	Query
	api      *promapi.Client
	slots    chan struct{}     // room among the server's queries in work
	added    map[string]string // Server.Labels
	target   ingest.Target
	metrics  *queryMetrics
	counters *ingest.Counters
	logger   *slog.Logger

	present map[string]series // of the last good result, by key, without samples
	failure promapi.Reason    // of the last evaluation, "" when it was good
	warning string            // of the last good evaluation
}

// New makes a source. It calls no server: one that is down does not keep the
// exporter from starting.
func New(o Options) (*Source, error) {
	if o.Target == nil || o.Registerer == nil || o.Logger == nil {
		return nil, errors.New("promquery: Target, Registerer and Logger are required")
	}
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	if o.Client == nil {
		o.Client = func(c config.HTTPClientConfig) (*http.Client, error) {
			return config.NewClientFromConfig(c, "promql")
		}
	}
	s := &Source{logger: o.Logger}
	metrics := newMetrics(o.Registerer)
	counters := ingest.NewCounters(o.Registerer, "promql")
	for i := range o.Config.Servers {
		server := &o.Config.Servers[i]
		client, err := o.Client(server.HTTPClient)
		if err != nil {
			return nil, fmt.Errorf("servers[%d].http_client: %w", i, err)
		}
		slots := make(chan struct{}, server.MaxConcurrent)
		for _, q := range server.Queries {
			// One client per query, for each has its own timeout; they share connections.
			api, err := promapi.New(promapi.Options{URL: server.URL, Client: client, Timeout: time.Duration(q.Timeout), MaxBytes: server.MaxBytes})
			if err != nil {
				return nil, fmt.Errorf("servers[%d].url: %w", i, err)
			}
			s.queries = append(s.queries, &query{
				Query: q, api: api, slots: slots, added: server.Labels, target: o.Target,
				metrics: metrics.of(q.Name), counters: counters,
				logger: o.Logger.With("query", q.Name, "server", api.Server()),
			})
		}
	}
	return s, nil
}

// Run evaluates until ctx ends, and returns nil then. A server that is down stops
// nothing: its queries are tried again at their next time.
func (s *Source) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, q := range s.queries {
		wg.Go(func() { q.run(ctx) })
	}
	wg.Wait()
	return nil
}

// run evaluates one query at each multiple of its interval, never twice at a time.
// When an evaluation takes longer, the newest time that is due comes next, and those
// before it are left out.
func (q *query) run(ctx context.Context) {
	interval, offset := time.Duration(q.Interval), time.Duration(q.Offset)
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for at := q.due(); ; {
		q.evaluate(ctx, at)
		newest, next := q.due(), at.Add(interval)
		if late := newest.Sub(next); late > 0 {
			q.metrics.missed.Add(float64(late / interval))
			next = newest
		} else if -late > interval {
			next = newest.Add(interval) // the clock was set back
		}
		at = next
		timer.Reset(time.Until(at.Add(offset)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

// due returns the newest evaluation time whose offset has passed.
func (q *query) due() time.Time {
	return time.Now().Add(-time.Duration(q.Offset)).Truncate(time.Duration(q.Interval))
}

// evaluate asks for one result and hands it on.
func (q *query) evaluate(ctx context.Context, at time.Time) {
	select {
	case q.slots <- struct{}{}:
		defer func() { <-q.slots }()
	case <-ctx.Done():
		return
	}
	start := time.Now()
	answer, err := q.api.Query(ctx, q.Expr, at, 0)
	q.metrics.duration.Set(time.Since(start).Seconds())
	if ctx.Err() != nil {
		return // the exporter ends; that is no failure of the server
	}
	if err == nil {
		var r result
		if r, err = q.result(answer.Value); err == nil {
			q.take(r, at)
		}
	}
	q.note(err, answer.Warnings, at)
}

// note counts how an evaluation went, and logs when that changed.
func (q *query) note(err error, warnings []string, at time.Time) {
	reason := promapi.ReasonOf(err)
	if err != nil {
		q.metrics.failures[reason].Inc()
		if reason != q.failure {
			var hint string
			var e *promapi.Error
			if errors.As(err, &e) {
				hint = e.Hint
			}
			q.logger.Warn("query failed; it is tried again at each interval", "err", err, "reason", reason, "hint", hint)
		}
		q.failure = reason
		return
	}
	if q.failure != "" {
		q.logger.Info("query works again", "after", q.failure)
		q.failure = ""
	}
	q.metrics.success.Set(float64(at.UnixMilli()) / 1000)
	warning := ""
	if len(warnings) > 0 {
		warning = warnings[0]
		q.metrics.warnings.Inc()
	}
	if warning != q.warning && warning != "" {
		q.logger.Warn("query answered with a warning", "warning", warning, "warnings", len(warnings))
	}
	q.warning = warning
}
