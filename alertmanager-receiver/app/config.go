package app

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/enrich"
	"github.com/portent-dev/portent/internal/followup"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/policy"
	"github.com/portent-dev/portent/internal/report"
	"github.com/portent-dev/portent/internal/sqlstore"
	"github.com/portent-dev/portent/internal/topology/discover"
	"github.com/portent-dev/portent/internal/triage"
	"github.com/portent-dev/portent/internal/web"
)

// Config is the configuration file of the receiver. docs/configuration/receiver.md documents every key, and
// a test holds its defaults to DefaultConfig.
type Config struct {
	// Store is where everything is kept; --store wins over it.
	Store string `yaml:"store"`
	// ExternalURL is the address people reach the receiver at. Empty: made of the first listen address.
	ExternalURL string          `yaml:"external_url"`
	Retention   RetentionConfig `yaml:"retention"`
	// MaxStoreBytes bounds the size of an SQLite database; what would exceed it is answered 503. 0: no bound
	// but the disk.
	MaxStoreBytes int64 `yaml:"max_store_bytes"`

	Links    LinksConfig     `yaml:"links"`
	Webhook  WebhookConfig   `yaml:"webhook"`
	Ready    ReadyConfig     `yaml:"ready"`
	Access   []AccessConfig  `yaml:"access"`
	OIDC     OIDCConfig      `yaml:"oidc"`
	Sessions SessionsConfig  `yaml:"sessions"`
	Trackers []TrackerConfig `yaml:"trackers"`
	Routing  RoutingConfig   `yaml:"routing"`

	FollowUp FollowUpConfig `yaml:"follow_up"`
	// Noise is what else tells about noise.
	Noise NoiseConfig `yaml:"noise"`
	// Templates override words of tickets.
	Templates report.TemplatesConfig `yaml:"templates"`
	// Reconcile finds what no notice told.
	Reconcile ReconcileConfig `yaml:"reconcile"`
	// Evidence is where it is looked for.
	Evidence EvidenceConfig `yaml:"evidence"`
	// Model is a language model that finds the words for it.
	Model ModelConfig `yaml:"model"`
	// Topology is where it is learned what depends on what.
	Topology discover.Config `yaml:"topology"`
	// Policy is what may happen without a person.
	Policy policy.Config `yaml:"policy"`
	// Feedback is where verdicts of people go besides.
	Feedback FeedbackConfig `yaml:"feedback"`
	// Triage is how alerts become incidents and which of them get a ticket.
	Triage triage.Policy `yaml:"triage"`
	// Outbox is how the trackers are called.
	Outbox outbox.Config `yaml:"outbox"`
}

// RetentionConfig says how long things are kept. The audit chain is kept for ever.
type RetentionConfig struct {
	// Incidents that ended, their alerts, and alerts that were kept out.
	Incidents model.Duration `yaml:"incidents"`
	// Notifications: their raw bodies after they were processed.
	Notifications model.Duration `yaml:"notifications"`
}

// LinksConfig says where people find the other programs. Empty: the addresses that alerts carry, which are
// often those inside of a cluster.
type LinksConfig struct {
	Prometheus   string `yaml:"prometheus"`
	Alertmanager string `yaml:"alertmanager"`
}

// WebhookConfig bounds the intake. What exceeds a bound of load is answered 503 and sent again by
// Alertmanager; what exceeds the size of a body is refused for good with 413.
type WebhookConfig struct {
	// Token must be sent as bearer token when it is set.
	Token     web.Secret `yaml:"token"`
	TokenFile string     `yaml:"token_file"`
	// Secrets are what senders that sign do so with.
	Secrets CallbackSecrets `yaml:"secrets"`
	// Open allows anybody who reaches the receiver to post, though it listens beyond loopback.
	Open bool `yaml:"open"`
	// MaxBodyBytes of one notification.
	MaxBodyBytes int64 `yaml:"max_body_bytes"`
	// MaxInFlightBytes of all notifications that are being read at a time.
	MaxInFlightBytes int64 `yaml:"max_in_flight_bytes"`
	// Timeout of storing one notification.
	Timeout model.Duration `yaml:"timeout"`
}

// CallbackSecrets are what Jira and PagerDuty sign their webhooks with, and Slack the buttons that people press, where a
// tracker has no signing_secrets of its own. Without one the first two need the webhook's token, and Slack is refused.
type CallbackSecrets struct {
	Jira          web.Secret `yaml:"jira"`
	JiraFile      string     `yaml:"jira_file"`
	PagerDuty     web.Secret `yaml:"pagerduty"`
	PagerDutyFile string     `yaml:"pagerduty_file"`
	Slack         web.Secret `yaml:"slack"`
	SlackFile     string     `yaml:"slack_file"`
}

// read returns the secrets by type of tracker, without those that are not given.
func (c CallbackSecrets) read() (map[string]string, error) {
	out := map[string]string{}
	var errs []error
	for _, x := range []struct {
		name   string
		secret web.Secret
		file   string
	}{{TrackerJira, c.Jira, c.JiraFile}, {TrackerPagerDuty, c.PagerDuty, c.PagerDutyFile}, {TrackerSlack, c.Slack, c.SlackFile}} {
		if x.secret == "" && x.file == "" {
			continue
		}
		secret, err := web.ReadSecret(x.secret, x.file)
		if err == nil && len(secret) < minToken {
			err = fmt.Errorf("is shorter than %d characters", minToken)
		}
		if err != nil {
			errs = append(errs, web.Invalid("webhook.secrets."+x.name, err))
		}
		out[x.name] = secret.Reveal()
	}
	return out, errors.Join(errs...)
}

// FollowUpConfig says how incidents are kept in step with their tickets.
type FollowUpConfig struct {
	// Interval between two rounds of asking for tickets.
	Interval model.Duration `yaml:"interval"`
}

func (c FollowUpConfig) validate() error {
	if t := time.Duration(c.Interval); t < followup.MinInterval || t > 24*time.Hour {
		return web.Invalid("interval", fmt.Errorf("%s: want %s to 24h", c.Interval, followup.MinInterval))
	}
	return nil
}

// ReadyConfig says when the receiver takes no more.
type ReadyConfig struct {
	// MaxPending is the greatest backlog of unprocessed notifications: beyond it the receiver is not ready
	// and answers 503 to new ones.
	MaxPending int `yaml:"max_pending"`
}

// DefaultConfig returns what holds without a file.
func DefaultConfig() Config {
	return Config{
		Store: "sqlite:portent-receiver.db",
		Retention: RetentionConfig{
			Incidents:     model.Duration(sqlstore.DefaultKeepIncidents),
			Notifications: model.Duration(sqlstore.DefaultKeepBodies),
		},
		Webhook: WebhookConfig{
			// A group of 12 000 alerts, a whole data centre, is about 12 MB.
			MaxBodyBytes: 32 << 20,
			// Eight of the greatest at once, or some ten thousand ordinary ones.
			MaxInFlightBytes: 256 << 20,
			// Below the 10 s after which Alertmanager itself gives a webhook up by default.
			Timeout: model.Duration(8 * time.Second),
		},
		// At 2 kB a notification this is 200 MB, and minutes of work.
		Ready:    ReadyConfig{MaxPending: 100_000},
		Access:   []AccessConfig{},
		OIDC:     OIDCConfig{UsernameClaim: "sub", Rules: []OIDCRule{}, Scopes: []string{"profile", "email"}},
		Sessions: DefaultSessionsConfig(),
		Trackers: []TrackerConfig{{Name: TrackerLocal, Type: TrackerLocal}},
		Routing:  RoutingConfig{Routes: []RouteConfig{}},
		// A person who closes a ticket looks at it for longer than that.
		FollowUp:  FollowUpConfig{Interval: model.Duration(2 * time.Minute)},
		Noise:     NoiseConfig{EventFiles: []string{}},
		Templates: report.TemplatesConfig{Files: []string{}, Labels: []string{}},
		Reconcile: DefaultReconcileConfig(),
		Evidence:  EvidenceConfig{Timeout: model.Duration(enrich.DefaultTimeout), Links: []enrich.LinkTemplate{}},
		Model:     DefaultModelConfig(),
		Topology:  discover.DefaultConfig(),
		Policy:    policy.DefaultConfig(),
		Triage:    triage.DefaultPolicy(),
		Outbox:    outbox.DefaultConfig(),
	}
}

// Load reads the file at path over the defaults; an empty path gives the defaults.
func Load(path string) (Config, error) {
	c := DefaultConfig()
	if path == "" {
		return c, c.Validate()
	}
	if err := web.LoadYAML(path, &c); err != nil {
		return Config{}, err
	}
	return c, nil
}

// Validate reports everything that is wrong, each with its key, and fills in what follows from the rest.
func (c *Config) Validate() error {
	for i := range c.Trackers {
		if c.Trackers[i].Name == "" {
			c.Trackers[i].Name = c.Trackers[i].Type
		}
	}
	return errors.Join(
		web.Invalid("store", checkDSN(c.Store)),
		c.validateKept(),
		c.validateLinks(),
		web.Invalid("webhook", c.Webhook.validate()),
		web.Invalid("ready", c.Ready.validate()),
		validateAccess(c.Access),
		web.Invalid("oidc", c.OIDC.validate()),
		web.Invalid("sessions", c.Sessions.validate()),
		validateTrackers(c.Trackers),
		c.validateApprovers(),
		web.Invalid("routing", c.Routing.validate(c.Trackers)),
		web.Invalid("follow_up", c.FollowUp.validate()),
		web.Invalid("noise", c.Noise.validate()),
		web.Invalid("templates", c.Templates.Validate()),
		web.Invalid("reconcile", c.Reconcile.validate()),
		web.Invalid("evidence", c.Evidence.validate()),
		web.Invalid("model", c.Model.validate()),
		web.Invalid("topology", c.Topology.Validate()),
		web.Invalid("policy", c.validatePolicy()),
		web.Invalid("feedback", c.Feedback.validate()),
		web.Invalid("triage", c.Triage.Validate()),
		web.Invalid("outbox", c.Outbox.Validate()),
	)
}

// validateApprovers reports buttons that could not be pressed.
func (c *Config) validateApprovers() error {
	var errs []error
	for i, t := range c.Trackers {
		if t.Slack == nil || len(t.Slack.Approvers) == 0 {
			continue
		}
		key := fmt.Sprintf("trackers[%d].slack.approvers", i)
		if len(t.Slack.SigningSecrets)+len(t.Slack.SigningSecretFiles) == 0 && c.Webhook.Secrets.Slack == "" && c.Webhook.Secrets.SlackFile == "" {
			errs = append(errs, web.Invalid(key, errors.New("needs signing_secrets of the tracker, or webhook.secrets.slack: who pressed a button is believed by its signature only")))
		}
		for _, user := range slices.Sorted(maps.Keys(t.Slack.Approvers)) {
			if r := Role(t.Slack.Approvers[user].Role); !slices.Contains(roles, r) {
				errs = append(errs, web.Invalid(key+"."+user, fmt.Errorf("%q: want one of viewer, analyst, approver, admin", string(r))))
			}
			if _, err := parseMatchers(t.Slack.Approvers[user].Matchers); err != nil {
				errs = append(errs, web.Invalid(key+"."+user+".matchers", err))
			}
		}
	}
	return errors.Join(errs...)
}

func (c *Config) validatePolicy() error {
	errs := []error{c.Policy.Validate()}
	for i, n := range c.Policy.EscalateTo {
		if !slices.ContainsFunc(c.Trackers, func(t TrackerConfig) bool { return t.Name == n }) {
			errs = append(errs, web.Invalid(fmt.Sprintf("escalate_to[%d]", i), fmt.Errorf("no tracker is named %q; there are %s", n, trackerNames(c.Trackers))))
		}
	}
	return errors.Join(errs...)
}

func checkDSN(dsn string) error {
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		if path == "" {
			return errors.New("sqlite: wants the path of a file, as in sqlite:portent-receiver.db")
		}
		return nil
	}
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		return nil
	}
	return errors.New("want sqlite:PATH or postgres://…") // not repeated: it may hold a password
}

func (c *Config) validateKept() error {
	var errs []error
	if c.Retention.Incidents < model.Duration(time.Hour) {
		errs = append(errs, web.Invalid("retention.incidents", fmt.Errorf("%s: want at least 1h", c.Retention.Incidents)))
	}
	if c.Retention.Notifications < model.Duration(time.Minute) {
		errs = append(errs, web.Invalid("retention.notifications", fmt.Errorf("%s: want at least 1m", c.Retention.Notifications)))
	}
	const least = 1 << 20 // an empty database is 200 kB
	if c.MaxStoreBytes != 0 && c.MaxStoreBytes < least {
		errs = append(errs, web.Invalid("max_store_bytes", fmt.Errorf("%d: want 0 for no bound, or at least %d (1 MiB)", c.MaxStoreBytes, least)))
	}
	return errors.Join(errs...)
}

func (c *Config) validateLinks() error {
	var errs []error
	for _, x := range []struct {
		key string
		o   report.Options
	}{
		{"external_url", report.Options{ExternalURL: c.ExternalURL}},
		{"links.prometheus", report.Options{PrometheusURL: c.Links.Prometheus}},
		{"links.alertmanager", report.Options{Alertmanager: c.Links.Alertmanager}},
	} {
		if _, err := report.NewLinks(x.o); err != nil {
			errs = append(errs, web.Invalid(x.key, errors.New("want http://host or https://host")))
		}
	}
	return errors.Join(errs...)
}

func (c *WebhookConfig) validate() error {
	var errs []error
	if c.Token != "" && c.TokenFile != "" {
		errs = append(errs, web.Invalid("token_file", errors.New("give token or token_file, not both")))
	}
	if c.Token != "" && len(c.Token.Reveal()) < minToken {
		errs = append(errs, web.Invalid("token", fmt.Errorf("is shorter than %d characters", minToken)))
	}
	if c.Open && (c.Token != "" || c.TokenFile != "") {
		errs = append(errs, web.Invalid("open", errors.New("true and a token contradict each other")))
	}
	const least = 64 << 10 // one alert with long annotations
	if c.MaxBodyBytes < least || c.MaxBodyBytes > 1<<30 {
		errs = append(errs, web.Invalid("max_body_bytes", fmt.Errorf("%d: want %d (64 KiB) to %d (1 GiB)", c.MaxBodyBytes, least, 1<<30)))
	}
	if c.MaxInFlightBytes < c.MaxBodyBytes {
		errs = append(errs, web.Invalid("max_in_flight_bytes", fmt.Errorf("%d: want at least max_body_bytes, %d", c.MaxInFlightBytes, c.MaxBodyBytes)))
	}
	if t := time.Duration(c.Timeout); t < time.Second || t > time.Minute {
		errs = append(errs, web.Invalid("timeout", fmt.Errorf("%s: want 1s to 1m", c.Timeout)))
	}
	return errors.Join(errs...)
}

func (c *ReadyConfig) validate() error {
	if c.MaxPending < 1 {
		return web.Invalid("max_pending", fmt.Errorf("%d: want at least 1", c.MaxPending))
	}
	return nil
}
