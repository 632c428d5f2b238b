// Package app wires the exporter: sources of samples to the engine that scores them, the engine to /metrics, and around both
// the configuration, the state on disk and the routes.
//
// It must hold no logic of detection and no decoding: those are the packages it wires.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	toolkitweb "github.com/prometheus/exporter-toolkit/web"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/preset"
	"github.com/portent-dev/portent/internal/web"
)

// Name is the program's name.
const Name = "portent-exporter"

// Options says how to run. All but ConfigFile are required.
type Options struct {
	ConfigFile string // "" = defaults
	WebConfig  *toolkitweb.FlagConfig
	Logger     *slog.Logger
}

// App is the exporter. Make it with New, then Run it once.
type App struct {
	opts   Options
	logger *slog.Logger
	reg    *prometheus.Registry

	gate   *gate
	allow  *allowances // what raises the bar of which series
	groups *groups
	limits *limits
	// limitsFrom are the limits that some series tell of others.
	limitsFrom *limitsFrom
	loads      *loads
	logs       *logs
	state      *state // nil when nothing is kept
	reloader   *web.Reloader[Config]
	parts      atomic.Pointer[parts]
	server     *web.Server
	teachers   []teacher // what knows the history; empty when there is nothing to read
	restored   time.Time // of the snapshot; zero after a fresh start

	export     *exportMetrics
	backfills  *backfillMetrics
	unselected prometheus.Counter
	clockJumps prometheus.Counter
	analyses   *analysisMetrics
	learning   atomic.Bool // the history is being read

	mu      sync.Mutex      // held while parts are replaced, started or stopped
	running context.Context // what parts run under; nil while none do

	countsMu sync.Mutex
	retired  detect.Stats // counts of engines that were exchanged
}

// Check reports everything that is wrong with the configuration and with the file of TLS and authentication.
func Check(configFile, webConfigFile string) error {
	_, err := Load(configFile)
	if werr := toolkitweb.Validate(webConfigFile); werr != nil {
		err = errors.Join(err, fmt.Errorf("%s: %w", webConfigFile, werr))
	}
	return err
}

// New reads the configuration, takes the models over from the snapshot and prepares the server. It opens no socket. The
// caller runs what it returns, or nothing: the state directory stays locked until Run returns.
func New(o Options) (*App, error) {
	a := &App{opts: o, logger: o.Logger, reg: prometheus.NewRegistry()}
	a.registerMetrics()
	a.reloader = web.NewReloader(func() (Config, error) { return Load(o.ConfigFile) }, a.prepare)
	if err := a.reloader.Reload(); err != nil {
		return nil, err
	}
	c := a.reloader.Current()
	if err := a.openState(c); err != nil {
		return nil, err
	}
	a.openPatterns(c)
	if err := errors.Join(a.openTeachers(c), a.openServer()); err != nil {
		return nil, errors.Join(err, a.closeState())
	}
	return a, nil
}

// Handler returns what the exporter serves, for tests in process.
func (a *App) Handler() http.Handler { return a.server.Handler() }

// prepare makes everything that a configuration asks for, and last exchanges the engine if it must be another. What fails
// changes nothing. It is called once by New, before there is an engine, and by each reload.
func (a *App) prepare(c Config) (commit func(), err error) {
	opts, err := c.Detection.engine()
	if err != nil {
		return nil, err
	}
	old := a.parts.Load()
	if old == nil {
		if err := a.openEngine(opts); err != nil {
			return nil, err
		}
	}
	next, err := a.build(c, old)
	if err != nil {
		return nil, err
	}
	allowed, windows, err := c.allowed()
	if err != nil {
		return nil, err
	}
	watch := a.groups.watch.Load()
	var set *preset.Set // that tells limits, if it is another
	if old == nil || !reflect.DeepEqual(old.config.Detection, c.Detection) {
		if set, err = c.Detection.set(); err != nil {
			return nil, err
		}
		if watch, err = newWatch(&c.Detection, a.allow.book); err != nil {
			return nil, err
		}
		a.handOver(a.groups.watch.Load(), watch)
	}
	if old != nil && !reflect.DeepEqual(old.config.Detection.modelled(), c.Detection.modelled()) {
		if err := a.exchange(opts); err != nil {
			return nil, err
		}
	}
	commitLogs, err := a.prepareLogs(c, old)
	if err != nil {
		return nil, err
	}
	return func() {
		commitLogs()
		a.allow.book.SetOptions(allowed)
		a.allow.book.Plan(windows)
		a.groups.watch.Store(watch)
		if set != nil {
			a.limitsFrom.use(set)
		}
		a.use(next)
		if old != nil && (old.config.State.Directory != c.State.Directory || !reflect.DeepEqual(old.config.Backfill, c.Backfill)) {
			a.logger.Warn("state.directory and backfill take effect at the next start")
		}
	}, nil
}

func (a *App) registerMetrics() {
	a.reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		versioncollector.NewCollector(web.Prefix(Name)))
	a.export = newExportMetrics(a.reg)
	a.unselected = prometheus.NewCounter(prometheus.CounterOpts{
		Name: prefix + "samples_unselected_total",
		Help: "Samples of series that are not scored because of detection.keep or detection.drop.",
	})
	a.clockJumps = prometheus.NewCounter(prometheus.CounterOpts{
		Name: prefix + "clock_jumps_total",
		Help: "Times that the clock of this machine jumped by more than 30 s; no series is forgotten for a while after.",
	})
	a.reg.MustRegister(a.unselected, a.clockJumps)
	a.analyses = newAnalysisMetrics(a.reg)
	a.openAllowances()
	a.groups, a.limits, a.limitsFrom, a.loads = newGroups(a.reg), newLimits(), newLimitsFrom(a.reg), newLoads()
}

func (a *App) openEngine(o detect.Options) error {
	e, err := detect.NewEngine(o)
	if err != nil {
		return err
	}
	e.SetNow(time.Now().UnixMilli())
	a.gate = newGate(e)
	a.reg.MustRegister(engineCollector{a.stats, a.export})
	return nil
}

// exchange replaces the engine by one with other options that knows what the old one learnt. Samples wait meanwhile.
func (a *App) exchange(o detect.Options) error {
	return a.gate.exchange(func(old *detect.Engine) (*detect.Engine, error) {
		e, err := detect.NewEngine(o)
		if err != nil {
			return nil, err
		}
		e.SetNow(time.Now().UnixMilli())
		err = transfer(old, e)
		if errors.Is(err, detect.ErrVersion) {
			a.logger.Warn("another detector cannot use what was learnt: every series needs a new baseline", "err", err)
			err = nil
		}
		if err != nil {
			return nil, fmt.Errorf("take the models over: %w", err)
		}
		a.countsMu.Lock()
		defer a.countsMu.Unlock()
		a.retired = sumCounts(a.retired, old.Stats())
		return e, nil
	})
}

// transfer streams the state of one engine into another.
func transfer(from, to *detect.Engine) error {
	r, w := io.Pipe()
	go func() { _ = w.CloseWithError(from.Snapshot(w)) }() // the error reaches Restore
	err := to.Restore(r)
	_ = r.CloseWithError(err) // ends Snapshot if Restore stopped early; a pipe's close never fails
	return err
}

// stats returns the counts of the engine and of those before it.
func (a *App) stats() detect.Stats {
	a.countsMu.Lock()
	defer a.countsMu.Unlock()
	return sumCounts(a.gate.engine.Load().Stats(), a.retired)
}

// sumCounts adds what only grows of b to a.
func sumCounts(a, b detect.Stats) detect.Stats {
	a.SeriesAdded += b.SeriesAdded
	a.SeriesStale += b.SeriesStale
	a.SeriesExpired += b.SeriesExpired
	a.SeriesRefused += b.SeriesRefused
	a.NotFinite += b.NotFinite
	a.CounterResets += b.CounterResets
	return a
}

func (a *App) openState(c Config) (err error) {
	if c.State.Directory == "" {
		a.logger.Info("state.directory is empty: models are lost when the exporter ends")
		return nil
	}
	a.state, err = openState(c.State.Directory, newStateMetrics(a.reg), a.component("state"))
	if err != nil {
		return err
	}
	a.allow.load(a.state.dir)
	if a.restored, err = a.state.restore(a.gate.engine.Load()); err != nil {
		return errors.Join(err, a.closeState())
	}
	a.state.restoreGroups(a.groups.watch.Load(), time.Now())
	return nil
}

func (a *App) closeState() error {
	if a.state == nil {
		return nil
	}
	return errors.Join(a.logs.closeHistory(), a.state.close())
}

func (a *App) openServer() (err error) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/write", a.serveWrite)
	mux.HandleFunc("POST /v1/analyze/metrics", func(w http.ResponseWriter, r *http.Request) { a.parts.Load().analysis.ServeHTTP(w, r) })
	mux.HandleFunc("GET /api/v1/anomalies", anomaliesHandler(func() anomaliesView {
		e, p := a.gate.engine.Load(), a.parts.Load()
		return anomaliesView{
			each: e.ForEach, judge: a.allow.book.At(time.Now().UnixMilli()), groups: a.groups.watch.Load(),
			limits: a.limits, limitOf: func(labels []ingest.Label, o detect.Output) (float64, bool) {
				return a.limitsFrom.limitOf(labels, o, e.Class)
			},
			loads: a.loads, class: e.Class, actions: p.analysis.actions, detector: p.config.Detection.Detector,
		}
	}))
	a.routeLogs(mux)
	a.routeAllowances(mux)
	a.server, err = web.New(web.Options{
		Name: Name, Logger: a.component("web"), WebConfig: a.opts.WebConfig, Registry: a.reg, Mux: mux,
		Metrics: newExposition(prometheus.GathererFunc(a.gather), a.published, a.export, a.component("metrics")),
		Ready:   a.ready,
		Reload:  a.reloader.Reload,
		Landing: &web.Landing{
			Description: "Scores how unusual each series is that Prometheus sends here.",
			Links:       []web.Link{{Path: "/api/v1/anomalies", Text: "Anomalies", Description: "what is anomalous now, as JSON"}, {Path: "/api/v1/patterns", Text: "Patterns", Description: "what the log lines sent here say, as JSON"}},
		},
	})
	return err
}

// scores returns the visitor of everything that has a score now, after what is allowed and what groups say.
func (a *App) scores() forEach {
	return a.groups.judge(a.allow.adjust(a.gate.engine.Load().ForEach, time.Now().UnixMilli()))
}

func (a *App) published() published {
	p := a.parts.Load()
	return published{forEach: a.scores(), maxSeries: p.config.Export.MaxSeries, families: p.families, groups: a.groups.watch.Load().Results}
}

var errHeld = errors.New("the history is being read, and no more live samples can be held meanwhile")

func (a *App) ready() error {
	if a.gate.full() {
		return errHeld
	}
	return nil
}

// serveWrite takes samples in, unless there is no room to hold them. A sender repeats what is answered with 503.
func (a *App) serveWrite(w http.ResponseWriter, r *http.Request) {
	if a.gate.full() {
		w.Header().Set("Retry-After", "5")
		web.Error(w, http.StatusServiceUnavailable, errHeld, "send it again; it lasts until portent_exporter_backfill_running is 0")
		return
	}
	a.parts.Load().write.handler.ServeHTTP(w, r)
}
