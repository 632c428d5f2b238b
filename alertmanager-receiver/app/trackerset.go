package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portent-dev/portent/internal/policy"
	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/email"
	"github.com/portent-dev/portent/internal/ticket/jira"
	"github.com/portent-dev/portent/internal/ticket/local"
	"github.com/portent-dev/portent/internal/ticket/pagerduty"
	"github.com/portent-dev/portent/internal/ticket/remedy"
	"github.com/portent-dev/portent/internal/ticket/servicenow"
	"github.com/portent-dev/portent/internal/ticket/slack"
	"github.com/portent-dev/portent/internal/ticket/teams"
	"github.com/portent-dev/portent/internal/ticket/webhook"
	"github.com/portent-dev/portent/internal/ticketrest"
	"github.com/portent-dev/portent/internal/web"
)

// checkTimeout bounds asking one tracker whether it accepts the configuration. A tracker that is slower than this is no
// reason not to take notifications: tickets wait in the outbox.
const checkTimeout = 10 * time.Second

// trackerSet makes the trackers of a configuration. A reload keeps those whose part did not change, with their caches,
// counters and connections.
type trackerSet struct {
	local  *local.Tracker
	log    *slog.Logger
	active atomic.Pointer[map[string]*builtTracker]
}

// builtTracker is a tracker with what it was made of and the metrics it registered.
type builtTracker struct {
	config  TrackerConfig
	secret  any // what its credentials were, comparable
	target  ticket.Target
	metrics *collected
}

func newTrackerSet(l *local.Tracker, log *slog.Logger, reg prometheus.Registerer) *trackerSet {
	s := &trackerSet{local: l, log: log}
	s.active.Store(&map[string]*builtTracker{})
	reg.MustRegister(s)
	return s
}

// prepare makes the targets of the trackers; swap makes their metrics the ones that are shown. A configuration that a tracker
// says is wrong is an error; a tracker that cannot be asked now is not.
func (s *trackerSet) prepare(ctx context.Context, cs []TrackerConfig) (targets map[string]ticket.Target, swap func(), err error) {
	targets = map[string]ticket.Target{}
	next := map[string]*builtTracker{}
	var errs []error
	for i, c := range cs {
		b, err := s.build(ctx, c)
		if err != nil {
			errs = append(errs, web.Invalid(fmt.Sprintf("trackers[%d].%s", i, c.Type), err))
			continue
		}
		next[c.Name], targets[c.Name] = b, b.target
	}
	return targets, func() { s.active.Store(&next) }, errors.Join(errs...)
}

func (s *trackerSet) build(ctx context.Context, c TrackerConfig) (*builtTracker, error) {
	switch c.Type {
	case TrackerLocal:
		return &builtTracker{config: c, target: ticket.Target{Tracker: s.local, Name: c.Name}, metrics: &collected{}}, nil
	case TrackerJira:
		secret, err := c.Jira.Secret()
		return s.reuse(ctx, c, secret, err, func(o made) (checked, error) {
			return jira.New(jira.Options{Config: *c.Jira, Token: secret, Client: o.client, Now: time.Now, Logger: o.log, Registerer: o.reg})
		})
	case TrackerPagerDuty:
		secrets, err := c.PagerDuty.Secrets()
		return s.reuse(ctx, c, secrets, err, func(o made) (checked, error) {
			return pagerduty.New(pagerduty.Options{Config: *c.PagerDuty, Secrets: secrets, Client: o.client, Now: time.Now, Logger: o.log, Registerer: o.reg})
		})
	case TrackerServiceNow:
		secret, err := c.ServiceNow.Secret()
		return s.reuse(ctx, c, secret, err, func(o made) (checked, error) {
			return servicenow.New(servicenow.Options{Config: *c.ServiceNow, Secret: secret, Client: o.client, Now: time.Now, Logger: o.log, Registerer: o.reg})
		})
	case TrackerSlack:
		secret, err := c.Slack.Secret()
		return s.reuse(ctx, c, secret, err, func(o made) (checked, error) {
			return slack.New(slack.Options{Config: *c.Slack, Token: secret, Client: o.client, Now: time.Now, Registerer: o.reg})
		})
	case TrackerTeams:
		secret, err := c.Teams.Secret()
		return s.reuse(ctx, c, secret, err, func(o made) (checked, error) {
			return teams.New(teams.Options{Config: *c.Teams, Address: secret, Client: o.client, Now: time.Now, Registerer: o.reg})
		})
	case TrackerWebhook:
		secrets, err := c.Webhook.Secrets()
		return s.reuse(ctx, c, secrets, err, func(o made) (checked, error) {
			return webhook.New(webhook.Options{Config: *c.Webhook, Secrets: secrets, Client: o.client, Now: time.Now, Registerer: o.reg})
		})
	case TrackerEmail:
		secret, err := c.Email.Secret()
		return s.reuse(ctx, c, secret, err, func(o made) (checked, error) {
			return email.New(email.Options{Config: *c.Email, Password: secret, Now: time.Now, Registerer: o.reg})
		})
	case TrackerRemedy:
		// The token is read for each remedy, so a new one needs no new tracker.
		return s.reuse(ctx, c, TrackerRemedy, nil, func(o made) (checked, error) {
			return remedy.New(remedy.Options{Config: *c.Remedy, Client: o.client, Now: time.Now, Registerer: o.reg})
		})
	default:
		return nil, fmt.Errorf("BUG: unknown tracker type %q passed validation", c.Type)
	}
}

// checked is a tracker that can be asked whether it accepts its configuration.
type checked interface {
	ticket.Tracker
	SearchLag() time.Duration
	Check(ctx context.Context) (warnings []string, err error)
}

// made is what every tracker that lives elsewhere is made of.
type made struct {
	client *http.Client
	log    *slog.Logger
	reg    prometheus.Registerer
}

// reuse returns the tracker in use when nothing of it changed, and else a new one that was asked.
func (s *trackerSet) reuse(ctx context.Context, c TrackerConfig, secret any, err error, build func(made) (checked, error)) (*builtTracker, error) {
	if err != nil {
		return nil, err
	}
	if old := (*s.active.Load())[c.Name]; old != nil && old.secret == secret && reflect.DeepEqual(old.config, c) {
		return old, nil
	}
	var client *http.Client
	if h, ok := c.remotes()[c.Type].(spoken); ok {
		if client, err = h.HTTPClient(); err != nil {
			return nil, err
		}
	}
	log := s.log.With("component", c.Type, "tracker", c.Name)
	b := &builtTracker{config: c, secret: secret, metrics: &collected{}}
	t, err := build(made{client: client, log: log, reg: prometheus.WrapRegistererWith(prometheus.Labels{"tracker": c.Name}, b.metrics)})
	if err != nil {
		return nil, err
	}
	b.target = ticket.Target{Tracker: t, Name: c.Name, SearchLag: t.SearchLag()}
	return b, ask(ctx, t, log)
}

// ask holds the configuration to the tracker. Only what the tracker says is wrong is an error.
func ask(ctx context.Context, t checked, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	warnings, err := t.Check(ctx)
	for _, w := range warnings {
		log.Warn("tracker accepts the configuration with less", "warning", w)
	}
	var wrong *ticketrest.CheckError
	switch {
	case errors.As(err, &wrong):
		return err
	case err != nil:
		log.Warn("tracker cannot be asked now; tickets wait in the outbox until it can", "err", err)
	}
	return nil
}

// Describe sends nothing: what is collected changes with a reload.
func (s *trackerSet) Describe(chan<- *prometheus.Desc) {}

// Collect collects the metrics of the trackers in use.
func (s *trackerSet) Collect(ch chan<- prometheus.Metric) {
	built := *s.active.Load()
	for _, name := range slices.Sorted(maps.Keys(built)) {
		built[name].metrics.collect(ch)
	}
}

// collected is a registerer that only remembers, for trackerSet to show its metrics as long as their tracker is in use.
type collected struct{ cs []prometheus.Collector }

var _ prometheus.Registerer = (*collected)(nil)

// Register implements prometheus.Registerer.
func (c *collected) Register(x prometheus.Collector) error { c.cs = append(c.cs, x); return nil }

// MustRegister implements prometheus.Registerer.
func (c *collected) MustRegister(xs ...prometheus.Collector) { c.cs = append(c.cs, xs...) }

// Unregister implements prometheus.Registerer. Nothing is ever taken out of a tracker alone.
func (c *collected) Unregister(prometheus.Collector) bool { return false }

func (c *collected) collect(ch chan<- prometheus.Metric) {
	for _, x := range c.cs {
		x.Collect(ch)
	}
}

// action is what sending something to the tracker in use by that name is, for the policy, and what a remedy would do,
// for whoever approves it.
func (s *trackerSet) action(name string) (action policy.Action, does string) {
	b := (*s.active.Load())[name]
	switch {
	case b == nil:
		return policy.Ticket, ""
	case b.config.Type == TrackerRemedy:
		return policy.Remedy, b.config.Remedy.Promises()
	case slices.Contains(messengers, b.config.Type):
		return policy.Message, ""
	}
	return policy.Ticket, ""
}

// declared is what the tracker in use by that name does besides filing words, and the hash of its declaration.
func (s *trackerSet) declared(name string) (does, declaration string) {
	if b := (*s.active.Load())[name]; b != nil && b.config.Type == TrackerRemedy {
		return b.config.Remedy.Promises(), b.config.Remedy.Declaration()
	}
	return "", ""
}

// targets are the trackers in use, by name.
func (s *trackerSet) targets() map[string]ticket.Target {
	out := map[string]ticket.Target{}
	for name, b := range *s.active.Load() {
		out[name] = b.target
	}
	return out
}
