package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portent-dev/portent/internal/alertpush"
	"github.com/portent-dev/portent/internal/ingest/fluentbit"
	"github.com/portent-dev/portent/internal/ingest/kafka"
	"github.com/portent-dev/portent/internal/ingest/kubehttp"
	"github.com/portent-dev/portent/internal/ingest/linehttp"
	"github.com/portent-dev/portent/internal/ingest/lokipush"
	"github.com/portent-dev/portent/internal/ingest/lokitail"
	"github.com/portent-dev/portent/internal/ingest/otlplogs"
)

// logIntakes are the receivers of log lines, by route.
var logIntakes = []struct {
	path string
	make func(*logs, linehttp.Options) (http.Handler, error)
}{
	{"POST /loki/api/v1/push", func(_ *logs, o linehttp.Options) (http.Handler, error) { return lokipush.New(o) }},
	{"POST /v1/logs", func(_ *logs, o linehttp.Options) (http.Handler, error) { return otlplogs.New(o) }},
	{"POST /ingest/fluentbit", func(_ *logs, o linehttp.Options) (http.Handler, error) { return fluentbit.New(o) }},
	{"POST /ingest/kubernetes", func(l *logs, o linehttp.Options) (http.Handler, error) { return kubehttp.New(o, l.events) }},
}

// buildLogs makes the receivers, which a reload replaces, and at the start what mines
// their lines, which stays: counts and patterns outlive a reload.
func (a *App) buildLogs(c Config, old *part) (*part, error) {
	if a.logs == nil {
		a.logs = newLogs(c.Logs, a.reg, time.Now)
	}
	return reuse(old, c.Logs.Intake, func(p *part) error {
		mux := http.NewServeMux()
		for _, in := range logIntakes {
			h, err := in.make(a.logs, linehttp.Options{Target: a.logs, Config: c.Logs.Intake, Registerer: p.reg, Logger: a.component("logs")})
			if err != nil {
				return err
			}
			mux.Handle(in.path, h)
		}
		p.handler = mux
		return nil
	})
}

// buildLogParts makes what runs for log lines, in an order of its own: the watch with
// what sends its alerts, the topics of Kafka, the tails of Loki.
func (a *App) buildLogParts(c Config, old []*part) ([]*part, error) {
	at := func(i int) *part {
		if i < len(old) {
			return old[i]
		}
		return &part{}
	}
	watch, err := reuse(at(0), c.Alerting, func(p *part) error {
		var sender *alertpush.Sender
		if len(c.Alerting.Alertmanagers) > 0 {
			var err error
			sender, err = alertpush.New(alertpush.Options{Config: c.Alerting, Registerer: p.reg, Logger: a.component("alerting")})
			if err != nil {
				return fmt.Errorf("alerting: %w", err)
			}
		}
		p.run = func(ctx context.Context) error { return a.runWatch(ctx, sender) }
		return nil
	})
	if err != nil {
		return nil, err
	}
	topics, err := reuse(at(1), c.Logs.Kafka, func(p *part) error {
		if !c.Logs.Kafka.Enabled() {
			return nil
		}
		s, err := kafka.New(kafka.Options{Config: c.Logs.Kafka, Target: a.logs, Registerer: p.reg, Logger: a.component("kafka")})
		if err == nil {
			p.run = s.Run
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("logs.kafka: %w", err)
	}
	tails, err := reuse(at(2), c.Logs.Loki, func(p *part) error {
		if len(c.Logs.Loki.Tails) == 0 {
			return nil
		}
		s, err := lokitail.New(lokitail.Options{Config: c.Logs.Loki, Target: a.logs, Registerer: p.reg, Logger: a.component("loki")})
		if err == nil {
			p.run = s.Run
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("logs.loki: %w", err)
	}
	return []*part{watch, topics, tails}, nil
}

func (a *App) runWatch(ctx context.Context, sender *alertpush.Sender) error {
	if sender == nil {
		return a.watchLogs(ctx, nil)
	}
	sent := make(chan error, 1)
	go func() { sent <- sender.Run(ctx) }()
	err := a.watchLogs(ctx, sender)
	if ended := <-sent; !errors.Is(ended, context.Canceled) {
		err = errors.Join(err, ended)
	}
	return err
}

// prepareLogs reads the rules of a configuration; commit takes them over with the rest
// of logs.
func (a *App) prepareLogs(c Config, old *parts) (commit func(), err error) {
	rules, err := c.Logs.rules()
	if err != nil {
		return nil, fmt.Errorf("logs.rules_file: %w", err)
	}
	return func() {
		if old != nil && reflect.DeepEqual(old.config.Logs, c.Logs) && c.Logs.RulesFile == "" {
			return
		}
		a.logs.configure(c.Logs, rules)
	}, nil
}

// routeLogs adds the routes of log lines.
func (a *App) routeLogs(mux *http.ServeMux) {
	for _, in := range logIntakes {
		mux.HandleFunc(in.path, func(w http.ResponseWriter, r *http.Request) { a.parts.Load().logs.handler.ServeHTTP(w, r) })
	}
	mux.Handle("GET /api/v1/patterns", a.logs)
}

// openPatterns takes over what is known of patterns.
func (a *App) openPatterns(c Config) {
	if a.state == nil {
		return
	}
	if err := a.logs.openHistory(c.State.Directory); err != nil {
		a.component("logs").Error("the history of log patterns begins anew", "err", err)
	}
}

// savePatterns writes it to disk.
func (a *App) savePatterns() error { return a.logs.saveHistory() }

var _ prometheus.Collector = (*logs)(nil)
