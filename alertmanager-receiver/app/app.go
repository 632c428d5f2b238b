// Package app wires the receiver: the webhook to the inbox, the inbox through triage to incidents and tasks, the
// outbox to the trackers, and around them the configuration, access, the API and the pages.
//
// It decides nothing about alerts (triage does) and knows no SQL (sqlstore does). It alone knows the trackers' names.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"reflect"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	toolkitweb "github.com/prometheus/exporter-toolkit/web"
	"golang.org/x/sync/errgroup"

	"github.com/portent-dev/portent/internal/followup"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/policy"
	"github.com/portent-dev/portent/internal/report"
	"github.com/portent-dev/portent/internal/sqlstore"
	"github.com/portent-dev/portent/internal/ticket/local"
	"github.com/portent-dev/portent/internal/topology/discover"
	"github.com/portent-dev/portent/internal/triage"
	"github.com/portent-dev/portent/internal/web"
)

// Name is the program's name.
const Name = "portent-receiver"

// Options says how to run. WebConfig and Logger are required.
type Options struct {
	ConfigFile  string // empty: defaults
	Store       string // empty: what the configuration says
	ClockHeader string // empty: no replay
	WebConfig   *toolkitweb.FlagConfig
	Logger      *slog.Logger
}

// App is the receiver. Make it with New, then Run it once, or Close it.
type App struct {
	opts         Options
	log          *slog.Logger
	reg          *prometheus.Registry
	db           *sqlstore.Store
	web          *web.Server
	server       *server
	words        *words
	runner       *triage.Runner
	worker       *outbox.Worker
	local        *local.Tracker
	trackers     *trackerSet
	evidence     *evidenceWorker
	topology     *discover.Worker
	tickets      *followup.Watch
	model        *languageModel // of the configuration in use, nil for none
	modelMetrics *modelMetrics
	external     string // the address people reach us at when the configuration names none
	exposed      bool   // others than this machine can reach us
}

// Check reports everything that is wrong with the configuration, the secrets it names, and the file of TLS and
// authentication. It asks no tracker.
func Check(configFile, webConfigFile string) error {
	c, err := Load(configFile)
	if err == nil {
		_, err = newAccess(c.Access, c.Webhook, nil)
		_, serr := c.Webhook.Secrets.read()
		_, everr := c.Evidence.sources()
		_, terr := c.dependencies()
		err = errors.Join(err, serr, web.Invalid("evidence", everr), terr)
		_, oerr := newOIDC(c.OIDC, time.Now)
		err = errors.Join(err, oerr)
		for i := range c.Trackers {
			err = errors.Join(err, c.Trackers[i].check(fmt.Sprintf("trackers[%d]", i)))
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", configFile, err)
		}
	}
	if werr := toolkitweb.Validate(webConfigFile); werr != nil {
		err = errors.Join(err, fmt.Errorf("%s: %w", webConfigFile, werr))
	}
	return err
}

// New reads the configuration, opens the store, listens and prepares everything; it serves nothing yet.
func New(ctx context.Context, o Options) (*App, error) {
	a := &App{opts: o, log: o.Logger, reg: prometheus.NewRegistry(), words: &words{declared: nothing}}
	c, err := Load(o.ConfigFile)
	if err != nil {
		return nil, err
	}
	if err := a.restrict(c); err != nil {
		return nil, err
	}
	a.reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		versioncollector.NewCollector(web.Prefix(Name)))
	if err := a.openStore(ctx, c); err != nil {
		return nil, err
	}
	if err := a.openServer(); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	if err := a.start(ctx, c); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// restrict sees to it that a receiver which asks nobody who they are can be reached from this machine only.
func (a *App) restrict(c Config) error {
	asked, err := web.Authenticated(*a.opts.WebConfig.WebConfigFile)
	if err != nil {
		return err
	}
	if !asked && len(c.Access) == 0 && c.OIDC.Issuer == "" && a.opts.WebConfig.WebListenAddresses != nil {
		for i, addr := range *a.opts.WebConfig.WebListenAddresses {
			if on := web.OnLoopback(addr); on != addr {
				a.log.Warn("listening on loopback only: nobody is asked who they are; configure access, or users or client certificates in --web.config.file",
					"asked_for", addr, "listening", on)
				(*a.opts.WebConfig.WebListenAddresses)[i] = on
			}
		}
	}
	a.exposed = !web.LoopbackOnly(a.opts.WebConfig)
	return a.guarded(c, asked)
}

// guarded reports what would be open to everybody who can reach the receiver.
func (a *App) guarded(c Config, asked bool) error {
	switch {
	case !a.exposed || asked:
		return nil
	case len(c.Access) == 0 && c.OIDC.Issuer == "":
		return errors.New("listen beyond loopback: nobody would be asked who they are; " +
			"configure access in the configuration, or users or client certificates in --web.config.file, or listen on 127.0.0.1")
	case c.Webhook.Token == "" && c.Webhook.TokenFile == "" && !c.Webhook.Open:
		return errors.New("listen beyond loopback: anybody could post alerts; " +
			"set webhook.token_file (and credentials_file in Alertmanager), or webhook.open: true when the network keeps others away")
	}
	return nil
}

func (a *App) openStore(ctx context.Context, c Config) (err error) {
	a.db, err = sqlstore.Open(ctx, sqlstore.Options{
		DSN: a.dsn(c), Logger: a.log.With("component", "store"), Registerer: a.reg, MaxBytes: c.MaxStoreBytes,
		KeepBodies: time.Duration(c.Retention.Notifications), KeepIncidents: time.Duration(c.Retention.Incidents),
	})
	return err
}

func (a *App) dsn(c Config) string {
	if a.opts.Store != "" {
		return a.opts.Store
	}
	return c.Store
}

// openServer makes the handlers and opens the sockets, so that an address in use ends the start.
func (a *App) openServer() (err error) {
	pages, err := newPages(time.Now)
	if err != nil {
		return err
	}
	users := &webUsers{path: *a.opts.WebConfig.WebConfigFile}
	a.server = &server{
		log: a.log.With("component", "http"), metrics: newMetrics(a.reg), now: time.Now,
		store: a.db, inbox: a.db, tasks: a.db, audit: chain{a.db}, noise: a.db, dossiers: a.db, objectEvents: a.db, ticketKeys: a.db, recall: a.db, ledger: a.db, sessions: a.db, hub: newHub(a.db, a.log.With("component", "events")), beat: beatEvery, gater: newGater(a.db, a.log.With("component", "policy")),
		readiness: &readiness{check: a.db.Ready, now: time.Now}, backlog: &backlog{count: a.db.Pending, now: time.Now}, busy: &memory{},
		clockHeader: a.opts.ClockHeader, crossOrigin: http.NewCrossOriginProtection(), pages: pages, refusals: &repeatLog{now: time.Now}, trusted: users.trusted,
	}
	mux := http.NewServeMux()
	a.server.routes(mux)
	a.web, err = web.New(web.Options{
		Name: Name, Logger: a.log.With("component", "web"), WebConfig: a.opts.WebConfig, Registry: a.reg, Mux: mux,
		Ready: a.server.ready, Reload: a.Reload, Guard: a.server.guard,
	})
	if err != nil {
		return err
	}
	if err := a.web.Listen(); err != nil {
		return err
	}
	a.external = a.address()
	return nil
}

// address is where we can be reached, as far as we can tell: the first listen address, by the name of this machine if it
// is all of them.
func (a *App) address() string {
	scheme := "http"
	if webTLS(*a.opts.WebConfig.WebConfigFile) {
		scheme = "https"
	}
	addrs := a.web.Addrs()
	if len(addrs) == 0 {
		return ""
	}
	host, port, err := net.SplitHostPort(addrs[0].String())
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		if name, err := os.Hostname(); err == nil {
			host = name
		}
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// start makes what a configuration asks for, and what works with it.
func (a *App) start(ctx context.Context, c Config) (err error) {
	a.local, err = local.New(local.Options{Store: a.db, Now: time.Now, URL: func(n int64) string {
		return a.server.settings.Load().links.LocalTicket(local.Key(n))
	}})
	if err != nil {
		return err
	}
	a.server.tickets = a.local
	a.trackers = newTrackerSet(a.local, a.log, a.reg)
	a.modelMetrics = newModelMetrics(a.reg)
	next, commit, err := a.prepare(ctx, c)
	if err != nil {
		return err
	}
	a.server.gater.action = a.trackers.action
	a.words.declared, a.server.gater.declared = a.trackers.declared, a.trackers.declared
	a.server.asker = newAsker(asker{
		store: a.db, channels: a.trackers.asks, mute: a.trackers.mute, now: time.Now, log: a.log.With("component", "asker"),
		url: func(id string) string { return a.server.settings.Load().links.Incident(id) },
	})
	a.evidence = a.newEvidence()
	a.words.evidenceOf = a.evidence.worker.ForTicket
	a.worker, err = outbox.New(outbox.Options{
		Queue: a.db, Inbox: a.db, Config: c.Outbox, OnlyByPerson: a.server.gater.byConfig, Lost: a.db.SessionLost, Logger: a.log.With("component", "outbox"), Registerer: a.reg,
	})
	if err != nil {
		return err
	}
	a.runner, err = triage.NewRunner(triage.RunnerOptions{
		Store: a.db, Policy: c.Triage, Writer: a.words, Route: next.router.trackers, Gate: a.server.gater.gate, Wrote: a.worker.Wake,
		Logger: a.log.With("component", "triage"), Registerer: a.reg, Replay: a.opts.ClockHeader != "",
	})
	if err != nil {
		return err
	}
	a.topology = a.newTopology()
	a.tickets = a.newFollowUp()
	a.server.hint = a.tickets.Hint
	a.server.decide, a.server.wake, a.server.wakeOutbox = a.runner, a.runner.Wake, a.worker.Wake
	commit()
	return nil
}

// prepare makes everything of a configuration that can fail, without touching what runs; commit swaps it in.
func (a *App) prepare(ctx context.Context, c Config) (next *settings, commit func(), err error) {
	if c.ExternalURL == "" {
		c.ExternalURL = a.external
	}
	o := report.Options{ExternalURL: c.ExternalURL, PrometheusURL: c.Links.Prometheus, Alertmanager: c.Links.Alertmanager, Templates: c.Templates}
	next = &settings{config: c}
	if next.words, err = report.New(o); err != nil {
		return nil, nil, err
	}
	if next.links, err = report.NewLinks(o); err != nil {
		return nil, nil, err
	}
	if next.access, err = newAccess(c.Access, c.Webhook, a.server.trusted); err != nil {
		return nil, nil, err
	}
	if next.access.oidc, err = newOIDC(c.OIDC, time.Now); err != nil {
		return nil, nil, err
	}
	if next.router, err = newRouter(c.Routing, c.Trackers); err != nil {
		return nil, nil, err
	}
	if next.callbackSecrets, err = c.Webhook.Secrets.read(); err != nil {
		return nil, nil, err
	}
	if next.slackSecrets, err = c.slackSecrets(next.callbackSecrets[TrackerSlack]); err != nil {
		return nil, nil, err
	}
	model, err := a.newModel(c.Model)
	if err != nil {
		return nil, nil, err
	}
	byModel, err := a.modelWriter(model, next.words)
	if err != nil {
		return nil, nil, err
	}
	enricher, err := a.enricher(c.Evidence, next.links)
	if err != nil {
		return nil, nil, err
	}
	dependencies, err := c.dependencies()
	if err != nil {
		return nil, nil, err
	}
	rules, err := policy.New(c.Policy)
	if err != nil {
		return nil, nil, err
	}
	targets, swap, err := a.trackers.prepare(ctx, c.Trackers)
	if err != nil {
		return nil, nil, err
	}
	return next, func() {
		swap()
		a.words.current.Store(next.words)
		a.words.model.Store(byModel)
		a.model = model
		a.server.settings.Store(next)
		a.server.redeclare.Store(true)
		a.server.gater.replace(rules)
		a.notePolicy(rules, c.Triage)
		a.evidence.current.Store(enricher)
		a.topology.Set(dependencies)
		a.worker.SetTrackers(targets)
		// Both were validated with the file: an error here is a defect.
		if err := errors.Join(a.worker.SetConfig(c.Outbox), a.runner.Reconfigure(c.Triage, next.router.trackers)); err != nil {
			panic("BUG: a valid configuration was refused: " + err.Error())
		}
	}, nil
}

// Reload loads the configuration again: all of it, or none and an error. What is fixed while the process runs must not have
// changed. Calls must not overlap.
func (a *App) Reload() error {
	c, err := Load(a.opts.ConfigFile)
	if err != nil {
		return err
	}
	old := a.server.settings.Load().config
	var errs []error
	for _, x := range []struct {
		key     string
		changed bool
	}{
		{"store", a.opts.Store == "" && c.Store != old.Store},
		{"retention", c.Retention != old.Retention},
		{"noise", !reflect.DeepEqual(c.Noise, old.Noise)},
		{"reconcile", !reflect.DeepEqual(c.Reconcile, old.Reconcile)},
		{"max_store_bytes", c.MaxStoreBytes != old.MaxStoreBytes},
	} {
		if x.changed {
			errs = append(errs, web.Invalid(x.key, errors.New("cannot change while the receiver runs: restart it")))
		}
	}
	asked, err := web.Authenticated(*a.opts.WebConfig.WebConfigFile)
	if err := errors.Join(append(errs, err, a.guarded(c, asked))...); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), reloadTimeout)
	defer cancel()
	_, commit, err := a.prepare(ctx, c)
	if err != nil {
		return err
	}
	commit()
	return nil
}

// teller tells the exporter what people said.
func (a *App) teller() *teller {
	return &teller{
		store: a.db, client: &http.Client{}, log: a.log.With("component", "feedback"), now: time.Now,
		config: func() FeedbackConfig { return a.server.settings.Load().config.Feedback },
	}
}

// reloadTimeout bounds asking the trackers whether they accept the new configuration.
const reloadTimeout = 30 * time.Second

// Addrs returns the addresses that are listened on.
func (a *App) Addrs() []net.Addr { return a.web.Addrs() }

// Run serves until ctx ends. Then requests in flight are answered; after that the processor stops between two
// transactions and the outbox between two attempts; last the store is closed. Nothing that was acknowledged is lost: it is on
// disk, and the next start goes on with it.
func (a *App) Run(ctx context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	serve, failed := context.WithCancel(ctx)
	defer failed()
	var g errgroup.Group
	for name, run := range map[string]func(context.Context) error{
		"processor": a.runner.Run, "outbox": a.worker.Run,
		"maintenance": func(ctx context.Context) error { a.db.RunMaintenance(ctx); return nil },
		"drafts":      a.server.keepDrafts,
		"feedback":    a.teller().run,
		"evidence":    a.evidence.run,
		"reconcile":   a.reconcile,
		"topology":    a.keepTopology,
		"follow_up":   a.followUp,
		"event_files": a.readEventFiles,
		"asker":       a.ask,
		"whispers":    a.server.asker.runWhispers,
		"audit_head":  a.tellHead,
	} {
		g.Go(func() error {
			defer failed() // without one of them the others must not go on as if nothing had happened
			if err := run(work); err != nil && work.Err() == nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	defer context.AfterFunc(serve, a.server.hub.close)() // streams would keep the server from stopping
	a.log.Info("ready to serve", "address", a.server.settings.Load().config.ExternalURL)
	err := a.web.Run(serve)
	stop()
	err = errors.Join(err, g.Wait(), a.db.Close())
	a.log.Info("stopped")
	return err
}

// Close gives up what New opened when Run is not to be called.
func (a *App) Close() error {
	var err error
	if a.web != nil {
		err = a.web.Close()
	}
	return errors.Join(err, a.db.Close())
}
