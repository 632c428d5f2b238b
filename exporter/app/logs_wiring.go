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
	"github.com/portent-dev/portent/internal/ingest/linehttp"
	"github.com/portent-dev/portent/internal/ingest/lokipush"
	"github.com/portent-dev/portent/internal/ingest/otlplogs"
)

// logIntakes are the receivers of log lines, by route.
var logIntakes = []struct {
	path string
	make func(linehttp.Options) (http.Handler, error)
}{
	{"POST /loki/api/v1/push", lokipush.New},
	{"POST /v1/logs", otlplogs.New},
	{"POST /ingest/fluentbit", fluentbit.New},
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
			h, err := in.make(linehttp.Options{Target: a.logs, Config: c.Logs.Intake, Registerer: p.reg, Logger: a.component("logs")})
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
// what sends its alerts.
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
	return []*part{watch}, err
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
