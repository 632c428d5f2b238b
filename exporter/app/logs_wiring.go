package app

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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

// routeLogs adds the routes of log lines.
func (a *App) routeLogs(mux *http.ServeMux) {
	for _, in := range logIntakes {
		mux.HandleFunc(in.path, func(w http.ResponseWriter, r *http.Request) { a.parts.Load().logs.handler.ServeHTTP(w, r) })
	}
	mux.Handle("GET /api/v1/patterns", a.logs)
}

// openPatterns takes over when patterns were first seen.
func (a *App) openPatterns(c Config) {
	if a.state == nil {
		return
	}
	if err := a.logs.openMemory(c.State.Directory); err != nil {
		a.component("logs").Error("patterns are learnt anew", "err", err)
	}
}

// savePatterns writes it to disk.
func (a *App) savePatterns() error { return a.logs.saveMemory(a.state.dir) }

var _ prometheus.Collector = (*logs)(nil)
