// Package web is what every server of Portent shares: the flags, TLS and authentication by exporter-toolkit, /metrics, health,
// readiness, reload, graceful shutdown, JSON errors, request metrics and the strict YAML loader.
//
// It must not know what a server is for: a process hands in its own routes and keeps its own configuration type.
package web

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	toolkitweb "github.com/prometheus/exporter-toolkit/web"
)

// Limits of every connection. They exist so that a client that sends or reads slowly, or that sends endless headers, costs a
// bounded amount for a bounded time.
const (
	// readHeaderTimeout is generous for a client on a bad line: headers are one packet in practice.
	readHeaderTimeout = 10 * time.Second
	// defaultReadTimeout bounds headers and body together. Prometheus gives up on a remote write after 30 s by itself.
	defaultReadTimeout = time.Minute
	// defaultWriteTimeout bounds handling and answering. The slowest honest answer is a scrape, and Prometheus allows a
	// scrape timeout of at most its interval, in practice two minutes.
	defaultWriteTimeout = 2 * time.Minute
	// idleTimeout is above the usual one minute scrape interval, so that a scraper's connection is reused.
	idleTimeout = 2 * time.Minute
	// maxHeaderBytes is far above any real request and far below net/http's 1 MiB.
	maxHeaderBytes = 64 << 10
	// defaultShutdownTimeout fits into Kubernetes' default grace period of 30 s with time left to write a snapshot.
	defaultShutdownTimeout = 15 * time.Second
)

// Options says what a server is made of. Name, Logger, WebConfig, Registry and Mux are required.
type Options struct {
	// Name is the program's name, as in "portent-exporter". With dashes as underscores it is the prefix of the metrics.
	Name string
	// Logger gets what concerns the server itself. Requests are logged at debug.
	Logger *slog.Logger
	// WebConfig holds the listen addresses and the path of the TLS and authentication file.
	WebConfig *toolkitweb.FlagConfig
	// Registry is served on /metrics and gets the server's own metrics.
	Registry *prometheus.Registry
	// Metrics serves /metrics in place of a plain handler over Registry, for a process that writes part of it itself.
	Metrics http.Handler
	// Mux holds the process's own routes. The server adds its own to it; a clash panics, as ServeMux does.
	Mux *http.ServeMux
	// Ready reports why the process cannot serve yet, nil when it can. Nil means ready as soon as it listens.
	Ready func() error
	// Reload loads the configuration again: all of it, or none and an error. Nil means that there is nothing to reload:
	// /-/reload does not exist and SIGHUP is logged and ignored. Calls never overlap.
	Reload func() error
	// Guard wraps the handler of /-/reload, to ask who may. Nil lets everybody whom the web configuration lets in.
	Guard func(http.Handler) http.Handler
	// Landing adds a page at / that links to what is there. Nil when the process has its own page or none.
	Landing *Landing
	// ShutdownTimeout is how long requests in flight may take to end. Default 15 s.
	ShutdownTimeout time.Duration
	// ReadTimeout bounds reading a request with its body. Default 1 min.
	ReadTimeout time.Duration
	// WriteTimeout bounds handling a request and writing its answer. Default 2 min.
	WriteTimeout time.Duration
}

// validate fills the defaults in and reports what is missing.
func (o *Options) validate() error {
	switch {
	case o.Name == "":
		return errors.New("web: name is required")
	case o.Logger == nil:
		return errors.New("web: logger is required")
	case o.WebConfig == nil || o.WebConfig.WebConfigFile == nil:
		return errors.New("web: web config is required")
	case o.Registry == nil:
		return errors.New("web: registry is required")
	case o.Mux == nil:
		return errors.New("web: mux is required")
	}
	if o.Guard == nil {
		o.Guard = func(h http.Handler) http.Handler { return h }
	}
	if o.ShutdownTimeout <= 0 {
		o.ShutdownTimeout = defaultShutdownTimeout
	}
	if o.ReadTimeout <= 0 {
		o.ReadTimeout = defaultReadTimeout
	}
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = defaultWriteTimeout
	}
	return nil
}

// Prefix returns the prefix of a program's metrics: its name with dashes as underscores.
func Prefix(name string) string { return strings.ReplaceAll(name, "-", "_") }

// Server is one process's HTTP server. Make it with New, use it once.
type Server struct {
	opts    Options
	metrics *metrics
	handler http.Handler
	state   state
}

// New checks the options and the file with TLS and authentication, and registers the server's routes and metrics. It opens
// no socket: Listen or Run does.
func New(o Options) (*Server, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if err := toolkitweb.Validate(*o.WebConfig.WebConfigFile); err != nil {
		return nil, fmt.Errorf("web config file %s: %w", *o.WebConfig.WebConfigFile, err)
	}
	s := &Server{opts: o, metrics: newMetrics(Prefix(o.Name), o.Registry, o.Reload != nil)}
	if err := s.routes(); err != nil {
		return nil, err
	}
	s.handler = s.instrument(o.Mux)
	return s, nil
}

// Handler returns everything the server serves, without TLS and authentication, for tests in process.
func (s *Server) Handler() http.Handler { return s.handler }

func (s *Server) routes() error {
	m := s.opts.Metrics
	if m == nil {
		m = promhttp.HandlerFor(s.opts.Registry, promhttp.HandlerOpts{
			EnableOpenMetrics: true,
			Registry:          s.opts.Registry,
			ErrorLog:          slog.NewLogLogger(s.opts.Logger.Handler(), slog.LevelError),
		})
	}
	mux := s.opts.Mux
	mux.Handle("GET /metrics", m)
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) {
		text(w, http.StatusOK, s.opts.Name+" is healthy.\n")
	})
	mux.HandleFunc("GET /-/ready", s.serveReady)
	if s.opts.Reload != nil {
		reload := s.opts.Guard(http.HandlerFunc(s.serveReload))
		mux.Handle("POST /-/reload", reload)
		mux.Handle("PUT /-/reload", reload)
	}
	if s.opts.Landing == nil {
		return nil
	}
	page, err := s.opts.Landing.handler(s.opts.Name)
	if err != nil {
		return err
	}
	mux.Handle("GET /{$}", page)
	return nil
}

func (s *Server) serveReady(w http.ResponseWriter, _ *http.Request) {
	if s.state.draining.Load() {
		Error(w, http.StatusServiceUnavailable, errors.New("shutting down"), "send requests to another replica or wait for the restart")
		return
	}
	if s.opts.Ready != nil {
		if err := s.opts.Ready(); err != nil {
			Error(w, http.StatusServiceUnavailable, err, "wait, and see the log for progress")
			return
		}
	}
	text(w, http.StatusOK, s.opts.Name+" is ready.\n")
}

func (s *Server) serveReload(w http.ResponseWriter, _ *http.Request) {
	if err := s.reload(); err != nil {
		Error(w, http.StatusInternalServerError, fmt.Errorf("reload configuration: %w", err),
			"the old configuration stays in use; correct the file, check it with --config.check, and reload again")
		return
	}
	text(w, http.StatusOK, "configuration reloaded\n")
}
