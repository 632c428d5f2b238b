package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/ingest/promquery"
)

const (
	// ownBacklog is how much Prometheus keeps for a receiver that is away (its write-ahead log, about two hours). After a
	// shorter absence it sends what was missed by itself, and reading the history would only make that out of order.
	ownBacklog = 2 * time.Hour
	// progressEvery is how often the log speaks of a long backfill.
	progressEvery = 15 * time.Second
)

// teacher knows a part of the history.
type teacher struct {
	source   string
	run      func(ctx context.Context, from, to time.Time, progress func(done float64)) error
	progress prometheus.Gauge
	ok       prometheus.Gauge
	logger   *slog.Logger
}

// teach reads the history after from, up to and including to. What cannot be read is logged: models learn it from live samples.
func (t *teacher) teach(ctx context.Context, from, to time.Time) {
	t.logger.Info("backfill begins", "history", t.source, "from", from.UTC(), "to", to.UTC())
	start := time.Now()
	logged := start
	err := t.run(ctx, from, to, func(done float64) {
		t.progress.Set(done)
		if time.Since(logged) >= progressEvery {
			logged = time.Now()
			t.logger.Info("backfill goes on", "history", t.source, "percent", int(100*done), "duration", time.Since(start))
		}
	})
	switch {
	case ctx.Err() != nil:
	case err != nil:
		t.logger.Error("backfill is not whole, models learn the rest from live samples", "history", t.source, "err", err, "duration", time.Since(start))
	default:
		t.progress.Set(1)
		t.ok.Set(1)
		t.logger.Info("backfill done", "history", t.source, "duration", time.Since(start))
	}
}

// openTeachers finds out what is known of the history, and has live samples held until it is read.
func (a *App) openTeachers(c Config) error {
	a.backfills = newBackfillMetrics(a.reg, a.gate.bytes.Load)
	if err := errors.Join(a.openBackfill(c), a.openQueryBackfill(c)); err != nil {
		return err
	}
	if len(a.teachers) > 0 {
		a.gate.hold()
		a.learning.Store(true)
		a.backfills.running.Set(1)
	}
	return nil
}

// openBackfill prepares the reading of raw history.
func (a *App) openBackfill(c Config) error {
	if c.Backfill.URL == "" {
		return nil
	}
	if age := time.Since(a.restored); age < ownBacklog {
		a.logger.Info("no backfill: the snapshot is young, and senders keep what they could not send", "age", age)
		return nil
	}
	source, err := newPromHistory(&c.Backfill)
	if err != nil {
		return err
	}
	b := &backfill{
		config: c.Backfill, source: source, target: a.target(direct{a.gate}),
		counters: ingest.NewCounters(a.reg, "backfill"),
		expire:   func(ms int64) { a.gate.engine.Load().Expire(ms) },
		failures: a.backfills.failures,
		logger:   a.component("backfill"),
	}
	a.teachers = append(a.teachers, a.teacher("backfill", b.run))
	return nil
}

// openQueryBackfill prepares the evaluation of the configured queries over the past. Nobody sends their results again after
// an absence, so that a young snapshot is no reason against it.
func (a *App) openQueryBackfill(c Config) error {
	if len(c.PromQL.Servers) == 0 || !c.Backfill.Queries {
		return nil
	}
	s, err := promquery.New(promquery.Options{
		Config: c.PromQL, Target: a.target(direct{a.gate}), Logger: a.component("backfill"),
		Registerer: prometheus.NewRegistry(), // those of the source that goes on running are the ones to see
	})
	if err != nil {
		return fmt.Errorf("promql: %w", err)
	}
	a.teachers = append(a.teachers, a.teacher("promql", func(ctx context.Context, from, to time.Time, progress func(float64)) error {
		return s.Backfill(ctx, from, to, func(done, total int) { progress(float64(done) / float64(total)) })
	}))
	return nil
}

func (a *App) teacher(source string, run func(context.Context, time.Time, time.Time, func(float64)) error) teacher {
	return teacher{
		source: source, run: run, logger: a.component("backfill"),
		progress: a.backfills.progress.WithLabelValues(source), ok: a.backfills.ok.WithLabelValues(source),
	}
}

type backfillMetrics struct {
	running      prometheus.Gauge
	progress, ok *prometheus.GaugeVec
	failures     prometheus.Counter
}

func newBackfillMetrics(reg prometheus.Registerer, heldBytes func() int64) *backfillMetrics {
	m := &backfillMetrics{
		running: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "backfill_running",
			Help: "Whether the models are learning from history (1); live samples are held meanwhile.",
		}),
		progress: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: prefix + "backfill_progress_ratio",
			Help: "Part of the history that has been read at this start, 0 to 1, by where it comes from.",
		}, []string{"source"}),
		ok: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: prefix + "backfill_successful",
			Help: "Whether the history was read whole at this start (1); 0 before, and when it could not be.",
		}, []string{"source"}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "backfill_failed_queries_total",
			Help: "Queries for raw history that failed and were tried again.",
		}),
	}
	reg.MustRegister(m.running, m.progress, m.ok, m.failures, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: prefix + "held_bytes",
		Help: "Memory of live samples that are held until the backfill ends.",
	}, func() float64 { return float64(heldBytes()) }))
	return m
}
