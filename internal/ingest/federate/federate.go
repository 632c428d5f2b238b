// Package federate takes samples from the /federate of a Prometheus, or of anything
// that has one: the newest sample of each series that matches, on an interval. It is
// for servers that cannot be told to remote-write. What federation cannot give, no
// reader of it can have: samples between two readings, resets between them, and
// most types.
//
// It must not know what becomes of a sample, nor speak HTTP itself: promapi does.
package federate

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
	// Client makes the HTTP client of a target. nil is that of prometheus/common.
	Client func(config.HTTPClientConfig) (*http.Client, error)
}

// Source reads from every target. Run may be called once.
type Source struct{ readers []*reader }

// reader reads from one target.
type reader struct {
	api      *promapi.Client
	interval time.Duration
	match    []string
	scrape   scrape
	metrics  *targetMetrics
	counters *ingest.Counters
	logger   *slog.Logger
	failure  reason // of the last reading, "" when it was good
}

// New makes a source. It calls no server: one that is down does not keep the
// exporter from starting.
func New(o Options) (*Source, error) {
	if o.Target == nil || o.Registerer == nil || o.Logger == nil {
		return nil, errors.New("federate: Target, Registerer and Logger are required")
	}
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	if o.Client == nil {
		o.Client = func(c config.HTTPClientConfig) (*http.Client, error) {
			return config.NewClientFromConfig(c, "federate")
		}
	}
	s := new(Source)
	metrics := newMetrics(o.Registerer)
	counters := ingest.NewCounters(o.Registerer, "federate")
	for i := range o.Config.Targets {
		t := &o.Config.Targets[i]
		client, err := o.Client(t.HTTPClient)
		if err != nil {
			return nil, fmt.Errorf("targets[%d].http_client: %w", i, err)
		}
		api, err := promapi.New(promapi.Options{URL: t.URL, Client: client, Timeout: time.Duration(t.Timeout), MaxBytes: t.MaxBytes})
		if err != nil {
			return nil, fmt.Errorf("targets[%d].url: %w", i, err)
		}
		s.readers = append(s.readers, &reader{
			api: api, interval: time.Duration(t.Interval), match: t.Match,
			scrape:  newScrape(*t, o.Target),
			metrics: metrics.of(t.Name), counters: counters,
			logger: o.Logger.With("target", t.Name, "server", api.Server()),
		})
	}
	return s, nil
}

// Run reads until ctx ends, and returns nil then. A server that is down stops
// nothing: it is tried again at its next time.
func (s *Source) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, r := range s.readers {
		wg.Go(func() { r.run(ctx) })
	}
	wg.Wait()
	return nil
}

// run reads once at the start, and then at each multiple of the interval.
func (r *reader) run(ctx context.Context) {
	for {
		r.read(ctx)
		next := time.Now().Truncate(r.interval).Add(r.interval)
		timer := time.NewTimer(time.Until(next))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// accept asks for protobuf first, the one format that has native histograms, then
// for text with names of any alphabet.
const accept = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;escaping=allow-utf-8;q=0.6," +
	"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"

// read takes one answer.
func (r *reader) read(ctx context.Context) {
	start := time.Now()
	body, contentType, err := r.api.Federate(ctx, r.match, accept)
	if ctx.Err() != nil {
		return // the exporter ends; that is no failure of the server
	}
	var got outcome
	if err == nil {
		got, err = r.scrape.take(body, contentType, start.UnixMilli())
	}
	r.metrics.duration.Set(time.Since(start).Seconds())
	if err != nil {
		r.fail(err)
		return
	}
	if r.failure != "" {
		r.logger.Info("federation works again", "after", r.failure)
		r.failure = ""
	}
	r.metrics.success.Set(float64(start.UnixMilli()) / 1000)
	r.metrics.bytes.Set(float64(len(body)))
	r.metrics.series.Set(float64(got.series))
	r.metrics.dropped.Add(float64(got.dropped))
	r.counters.Add(got.result)
	r.counters.Reject(ingest.ReasonSourceLimit, got.dropped)
	r.counters.Reject(ingest.ReasonOwnOutput, got.own)
	r.counters.Reject(ingest.ReasonLabels, got.badLabels)
}

// fail counts a failure, and logs it when it is another than the last.
func (r *reader) fail(err error) {
	why, hint := reason(promapi.ReasonOf(err)), ""
	var e *promapi.Error
	if errors.As(err, &e) {
		hint = e.Hint
	} else {
		why = reasonParse
	}
	r.metrics.failures[why].Inc()
	if why != r.failure {
		r.logger.Warn("federation failed; it is tried again at each interval", "err", err, "reason", why, "hint", hint)
	}
	r.failure = why
}
