package app

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/portent-dev/portent/internal/ticket/email"
	"github.com/portent-dev/portent/internal/ticket/jira"
	"github.com/portent-dev/portent/internal/ticket/pagerduty"
	"github.com/portent-dev/portent/internal/ticket/remedy"
	"github.com/portent-dev/portent/internal/ticket/servicenow"
	"github.com/portent-dev/portent/internal/ticket/slack"
	"github.com/portent-dev/portent/internal/ticket/teams"
	"github.com/portent-dev/portent/internal/ticket/webhook"
	"github.com/portent-dev/portent/internal/web"
)

// The types of trackers.
const (
	TrackerLocal = "local"
	TrackerJira  = "jira"
	// TrackerPagerDuty opens incidents by events.
	TrackerPagerDuty  = "pagerduty"
	TrackerServiceNow = "servicenow" // its incident table
	// TrackerSlack and TrackerTeams tell a channel, TrackerWebhook an endpoint of the user's own.
	TrackerSlack   = "slack"
	TrackerTeams   = "teams"
	TrackerWebhook = "webhook"
	// TrackerEmail writes mails.
	TrackerEmail = "email"
	// TrackerRemedy does one declared thing to one declared workload.
	TrackerRemedy = "remedy"
)

// messengers are the types that tell people rather than keep tickets: the policy allows messages where it does not
// allow tickets.
var messengers = []string{TrackerEmail, TrackerSlack, TrackerTeams}

// trackerTypes are the known ones, for the error about an unknown one.
var trackerTypes = []string{TrackerJira, TrackerLocal, TrackerPagerDuty, TrackerServiceNow, TrackerSlack, TrackerTeams, TrackerWebhook, TrackerEmail, TrackerRemedy}

// TrackerConfig is one tracker. Name stands in tickets, metrics and the API; it defaults to the type.
type TrackerConfig struct {
	Name string       `yaml:"name"`
	Type string       `yaml:"type"`
	Jira *jira.Config `yaml:"jira"`

	PagerDuty  *pagerduty.Config  `yaml:"pagerduty"`
	ServiceNow *servicenow.Config `yaml:"servicenow"`
	Slack      *slack.Config      `yaml:"slack"`
	Teams      *teams.Config      `yaml:"teams"`
	Webhook    *webhook.Config    `yaml:"webhook"`
	Email      *email.Config      `yaml:"email"`
	Remedy     *remedy.Config     `yaml:"remedy"`
}

// remote is the configuration of a tracker that lives elsewhere.
type remote interface {
	Validate() error
}

// spoken is one that is reached by HTTP.
type spoken interface {
	HTTPClient() (*http.Client, error)
}

// remotes are the parts of t that are given, by type.
func (t *TrackerConfig) remotes() map[string]remote {
	m := map[string]remote{}
	if t.Jira != nil {
		m[TrackerJira] = t.Jira
	}
	if t.PagerDuty != nil {
		m[TrackerPagerDuty] = t.PagerDuty
	}
	if t.ServiceNow != nil {
		m[TrackerServiceNow] = t.ServiceNow
	}
	if t.Slack != nil {
		m[TrackerSlack] = t.Slack
	}
	if t.Teams != nil {
		m[TrackerTeams] = t.Teams
	}
	if t.Webhook != nil {
		m[TrackerWebhook] = t.Webhook
	}
	if t.Email != nil {
		m[TrackerEmail] = t.Email
	}
	if t.Remedy != nil {
		m[TrackerRemedy] = t.Remedy
	}
	return m
}

// needs says what a tracker of a type cannot be without.
var needs = map[string]string{
	TrackerJira:       "url, project and token",
	TrackerPagerDuty:  "routing_key",
	TrackerServiceNow: "url and credentials",
	TrackerSlack:      "token and channel",
	TrackerTeams:      "url",
	TrackerWebhook:    "url",
	TrackerEmail:      "smarthost, from and to",
	TrackerRemedy:     "server, token, namespace, workload and what to do",
}

// check reports what is wrong with the secrets and files that t names; key is where t stands.
func (t *TrackerConfig) check(key string) error {
	var errs []error
	if t.Jira != nil {
		_, err := t.Jira.Secret()
		errs = append(errs, web.Invalid(key+"."+TrackerJira, err))
	}
	if t.PagerDuty != nil {
		_, err := t.PagerDuty.Secrets()
		errs = append(errs, web.Invalid(key+"."+TrackerPagerDuty, err))
	}
	if t.ServiceNow != nil {
		_, err := t.ServiceNow.Secret()
		errs = append(errs, web.Invalid(key+"."+TrackerServiceNow, err))
	}
	if t.Slack != nil {
		_, err := t.Slack.Secret()
		_, serr := t.Slack.Signing()
		errs = append(errs, web.Invalid(key+"."+TrackerSlack, errors.Join(err, serr)))
	}
	if t.Teams != nil {
		_, err := t.Teams.Secret()
		errs = append(errs, web.Invalid(key+"."+TrackerTeams, err))
	}
	if t.Webhook != nil {
		_, err := t.Webhook.Secrets()
		errs = append(errs, web.Invalid(key+"."+TrackerWebhook, err))
	}
	if t.Remedy != nil {
		_, err := t.Remedy.Secret()
		errs = append(errs, web.Invalid(key+"."+TrackerRemedy, err))
	}
	if t.Email != nil {
		_, err := t.Email.Secret()
		_, terr := t.Email.TLSConfig()
		errs = append(errs, web.Invalid(key+"."+TrackerEmail, errors.Join(err, terr)))
	}
	for kind, r := range t.remotes() {
		if h, ok := r.(spoken); ok {
			_, err := h.HTTPClient()
			errs = append(errs, web.Invalid(key+"."+kind, err))
		}
	}
	return errors.Join(errs...)
}

// trackerName is what can be a metric label value and part of a file name and looks right in a page.
var trackerName = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]{0,38}[a-z0-9])?$`)

func validateTrackers(ts []TrackerConfig) error {
	var errs []error
	seen := map[string]bool{}
	locals := 0
	for i, t := range ts {
		key := fmt.Sprintf("trackers[%d]", i)
		if !slices.Contains(trackerTypes, t.Type) {
			errs = append(errs, web.Invalid(key+".type", fmt.Errorf("unknown tracker type %q; known are %s", t.Type, strings.Join(trackerTypes, ", "))))
			continue
		}
		if !trackerName.MatchString(t.Name) {
			errs = append(errs, web.Invalid(key+".name", fmt.Errorf("%q: want up to 40 of a-z, 0-9, - and _", t.Name)))
		}
		if seen[t.Name] {
			errs = append(errs, web.Invalid(key+".name", fmt.Errorf("%q is the name of an earlier tracker", t.Name)))
		}
		seen[t.Name] = true
		if t.Type == TrackerLocal {
			if locals++; locals > 1 {
				errs = append(errs, web.Invalid(key+".type", errors.New("there is one local tracker at most: its tickets live in this receiver")))
			}
		}
		errs = append(errs, t.validateRemotes(key))
	}
	return errors.Join(errs...)
}

// validateRemotes wants exactly the part that belongs to the type.
func (t *TrackerConfig) validateRemotes(key string) error {
	var errs []error
	given := t.remotes()
	if _, ok := given[t.Type]; !ok && needs[t.Type] != "" {
		errs = append(errs, web.Invalid(key+"."+t.Type, fmt.Errorf("is missing: a tracker of type %s needs %s", t.Type, needs[t.Type])))
	}
	for _, kind := range slices.Sorted(maps.Keys(given)) {
		if kind == t.Type {
			errs = append(errs, web.Invalid(key+"."+kind, given[kind].Validate()))
		} else {
			errs = append(errs, web.Invalid(key+"."+kind, fmt.Errorf("does not belong to a tracker of type %s", t.Type)))
		}
	}
	return errors.Join(errs...)
}

func trackerNames(ts []TrackerConfig) string {
	if len(ts) == 0 {
		return "none"
	}
	var names []string
	for _, t := range ts {
		names = append(names, t.Name)
	}
	return strings.Join(names, ", ")
}
