package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/ingest/federate"
	"github.com/portent-dev/portent/internal/ingest/promquery"
	"github.com/portent-dev/portent/internal/ingest/remotewrite"
)

// parts are what a reload replaces, as one. A part whose configuration did not change goes over to the next.
type parts struct {
	config    Config
	selection *selection
	families  []family
	analysis  *analysis
	write     *part
	promql    *part
	federate  *part
	logs      *part
	forLogs   []*part // see buildLogParts; as many in each configuration
	writer    *part   // of scores
}

// part is a source of samples or a way of scores out: a handler, or something that runs.
type part struct {
	config  any
	reg     *prometheus.Registry // of its own: a new part brings its metrics, and the old one takes its own along
	handler http.Handler
	run     func(context.Context) error // nil for a handler, and for a source with nothing to do
	stop    func()                      // ends run and waits for it; set by start
}

// all returns the parts, for gathering and running.
func (p *parts) all() []*part {
	return append([]*part{p.write, p.promql, p.federate, p.logs, p.writer}, p.forLogs...)
}

// build makes the parts that c asks for. Nothing runs yet.
func (a *App) build(c Config, old *parts) (next *parts, err error) {
	next = &parts{config: c, families: c.Export.families()}
	if old == nil {
		old = &parts{write: &part{}, promql: &part{}, federate: &part{}, logs: &part{}, writer: &part{}}
	}
	if next.selection, err = newSelection(c.Detection.Keep, c.Detection.Drop); err != nil {
		return nil, fmt.Errorf("detection: %w", err)
	}
	if next.selection.ignored, err = newIgnored(&c); err != nil {
		return nil, err
	}
	if next.analysis, err = newAnalysis(c.Analysis, a.analyses); err != nil {
		return nil, fmt.Errorf("analysis.%w", err)
	}
	next.write, err = reuse(old.write, c.RemoteWrite, func(p *part) (err error) {
		p.handler, err = remotewrite.New(remotewrite.Options{
			Target: a.target(a.gate), Config: c.RemoteWrite, Registerer: p.reg, Logger: a.component("remote_write"),
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("remote_write: %w", err)
	}
	queries, err := c.queries()
	if err != nil {
		return nil, fmt.Errorf("detection.ask_presets: %w", err)
	}
	next.promql, err = reuse(old.promql, queries, func(p *part) error {
		if len(queries.Servers) == 0 {
			return nil
		}
		s, err := promquery.New(promquery.Options{
			Config: queries, Target: a.target(a.gate), Registerer: p.reg, Logger: a.component("promql"),
		})
		if err == nil {
			p.run = s.Run
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("promql: %w", err)
	}
	next.federate, err = reuse(old.federate, c.Federate, func(p *part) error {
		if len(c.Federate.Targets) == 0 {
			return nil
		}
		s, err := federate.New(federate.Options{
			Config: c.Federate, Target: a.target(a.gate), Registerer: p.reg, Logger: a.component("federate"),
		})
		if err == nil {
			p.run = s.Run
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("federate: %w", err)
	}
	if next.logs, err = a.buildLogs(c, old.logs); err != nil {
		return nil, fmt.Errorf("logs: %w", err)
	}
	if next.forLogs, err = a.buildLogParts(c, old.forLogs); err != nil {
		return nil, err
	}
	if next.writer, err = a.buildScoreWriter(c, old.writer); err != nil {
		return nil, fmt.Errorf("score_writer.%w", err)
	}
	return next, nil
}

// reuse returns old if it has this configuration, and else what fill makes of a new part.
func reuse(old *part, config any, fill func(*part) error) (*part, error) {
	if reflect.DeepEqual(old.config, config) {
		return old, nil
	}
	p := &part{config: config, reg: prometheus.NewRegistry()}
	return p, fill(p)
}

// target is the way of samples through the selection to next, past whoever looks for rollouts and for limits.
func (a *App) target(next ingest.Target) ingest.Target {
	selected := &selecting{next: next, current: func() *selection { return a.parts.Load().selection }, unselected: a.unselected}
	return &rolloutTarget{next: a.limitsFrom.target(selected), book: a.allow.book, told: a.allow.metrics.rollouts}
}

func (a *App) component(name string) *slog.Logger { return a.logger.With("component", name) }

// use makes next the parts in use, and runs those that are to run.
func (a *App) use(next *parts) {
	a.mu.Lock()
	defer a.mu.Unlock()
	old := a.parts.Swap(next)
	if a.running == nil {
		return // Run starts them
	}
	was := old.all()
	for i, p := range next.all() {
		if p != was[i] {
			was[i].end()
			p.start(a.running, a.logger)
		}
	}
}

// startParts runs the parts until ctx ends or a reload replaces them.
func (a *App) startParts(ctx context.Context) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running = ctx
	for _, p := range a.parts.Load().all() {
		p.start(ctx, a.logger)
	}
}

// stopParts ends the parts and waits for them. A reload afterwards starts none.
func (a *App) stopParts() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running = nil
	for _, p := range a.parts.Load().all() {
		p.end()
	}
}

func (p *part) start(ctx context.Context, logger *slog.Logger) {
	if p.run == nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := p.run(ctx); err != nil && ctx.Err() == nil {
			logger.Error("a part ended", "err", err)
		}
	}()
	p.stop = func() { cancel(); <-done }
}

func (p *part) end() {
	if p.stop != nil {
		p.stop()
		p.stop = nil
	}
}

// gather collects the metrics of the process and of the parts in use.
func (a *App) gather() ([]*dto.MetricFamily, error) {
	all := prometheus.Gatherers{a.reg}
	for _, p := range a.parts.Load().all() {
		all = append(all, p.reg)
	}
	return all.Gather()
}
