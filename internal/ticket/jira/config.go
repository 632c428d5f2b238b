package jira

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/ticketrest"
	"github.com/portent-dev/portent/internal/web"
)

// Deployment says which Jira a site is.
type Deployment string

// The deployments.
const (
	Cloud      Deployment = "cloud"
	DataCenter Deployment = "datacenter"
)

// Config is how a Jira site is reached and how tickets look there. Start
// from DefaultConfig.
type Config struct {
	// Deployment is cloud or datacenter.
	Deployment Deployment `yaml:"deployment"`
	// URL is the address of the site, https://acme.atlassian.net, or of the API
	// for OAuth, https://api.atlassian.com/ex/jira/<cloud id>. http is accepted
	// for loopback addresses only: the credentials travel with every request.
	URL string `yaml:"url"`
	// SiteURL is where people open tickets. Empty means URL; needed with
	// api.atlassian.com.
	SiteURL string `yaml:"site_url,omitempty"`
	// Email is the account of an API token of Cloud. Empty means that the token is an OAuth
	// access token, sent as bearer.
	Email string `yaml:"email,omitempty"`
	// Username is the account of a password of Data Center. Empty means that the
	// token is a personal access token, sent as bearer.
	Username string `yaml:"username,omitempty"`
	// Token is the API token. TokenFile is a file that holds it.
	Token     web.Secret `yaml:"token,omitempty"`
	TokenFile string     `yaml:"token_file,omitempty"`
	// CAFile is a PEM file of certificate authorities to trust besides those of
	// the system.
	CAFile string `yaml:"ca_file,omitempty"`

	// Project is the key of the project that tickets are created in.
	Project string `yaml:"project"`
	// OtherProjects are keys of projects that people move tickets to. Tickets are
	// looked for there too.
	OtherProjects []string `yaml:"other_projects,omitempty"`
	// IssueType is the name or the id of the issue type.
	IssueType string `yaml:"issue_type"`
	// Labels are put on every ticket.
	Labels []string `yaml:"labels"`
	// Priorities maps a severity to the name or id of a priority. A severity that
	// maps to "" or to nothing gets the project's default.
	Priorities map[string]string `yaml:"priorities"`
	// ServiceManagement makes tickets requests of a service desk: those of Jira Service Management. IssueType is then
	// that of the request type.
	ServiceManagement *ServiceManagement `yaml:"service_management,omitempty"`
	// Fields are further fields of a new ticket by their id, such as
	// customfield_10010 or components, in the form of Jira's REST API.
	Fields map[string]any `yaml:"fields,omitempty"`

	// TeamFields are fields by the team of a draft, such as a component or a field that picks a group; they win over Fields.
	TeamFields map[string]map[string]any `yaml:"team_fields,omitempty"`

	// ResolvedStatus and ReopenedStatus are names of the statuses to move to. Empty
	// means the first status of category "done", or "to do" then "in progress",
	// that the workflow offers.
	ResolvedStatus string `yaml:"resolved_status,omitempty"`
	ReopenedStatus string `yaml:"reopened_status,omitempty"`
	// Resolution is the name of the resolution to set where a transition asks for
	// one; DuplicateResolution the one for duplicates. A name that the transition
	// does not offer is replaced by the first it does offer.
	Resolution          string `yaml:"resolution"`
	DuplicateResolution string `yaml:"duplicate_resolution"`
	// DuplicateLink is the name of the link type between a duplicate and the
	// ticket that stays. Empty means no link.
	DuplicateLink string `yaml:"duplicate_link"`
	// TransitionFields are values for fields that a transition's screen requires,
	// by their id.
	TransitionFields map[string]any `yaml:"transition_fields,omitempty"`

	// Timeout bounds one request.
	Timeout model.Duration `yaml:"timeout"`
	// SearchLag is how long Jira's search may miss a ticket that exists. After a
	// create without an answer the ticket is looked for that long before it is
	// created again.
	SearchLag model.Duration `yaml:"search_lag"`
}

// DefaultConfig returns the defaults. URL, Project and a token have none.
func DefaultConfig() Config {
	return Config{
		Deployment:          Cloud,
		IssueType:           "Task",
		Labels:              []string{"portent"},
		Priorities:          map[string]string{"critical": "Highest", "warning": "Medium", "info": "Low"},
		Resolution:          "Done",
		DuplicateResolution: "Duplicate",
		DuplicateLink:       "Duplicate",
		// Atlassian's gateway gives up after 60 s and answers 504 itself; most answers
		// come within 2 s.
		Timeout: model.Duration(30 * time.Second),
		// "Seconds to minutes" in practice; a wait here costs only those creates whose
		// answer was lost.
		SearchLag: model.Duration(2 * time.Minute),
	}
}

// UnmarshalYAML puts the defaults under what the file says, so that a tracker in
// a list needs to state only what differs.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Config
	*c = DefaultConfig()
	return unmarshal((*plain)(c))
}

// projectKey is what Jira Cloud allows as a project key.
var projectKey = regexp.MustCompile(`^[A-Z][A-Z0-9_]{1,254}$`)

// ours are the fields that have settings of their own.
var ours = []string{"project", "issuetype", "summary", "description", "labels", "priority"}

// Validate reports everything that is wrong, each with its key.
func (c *Config) Validate() error {
	return errors.Join(c.validateAccess(), c.validateContent(), c.validateWorkflow(), c.ServiceManagement.validate())
}

func (c *Config) validateAccess() error {
	var errs []error
	add := func(key string, err error) { errs = append(errs, web.Invalid(key, err)) }
	add("url", ticketrest.CheckURL(c.URL))
	if c.SiteURL != "" {
		add("site_url", ticketrest.CheckURL(c.SiteURL))
	} else if u, err := url.Parse(c.URL); err == nil && u.Host == "api.atlassian.com" {
		add("site_url", errors.New("is needed with api.atlassian.com, for the links to tickets"))
	}
	switch {
	case c.Token == "" && c.TokenFile == "":
		add("token", errors.New("is missing: give token or token_file"))
	case c.Token != "" && c.TokenFile != "":
		add("token_file", errors.New("give token or token_file, not both"))
	}
	switch c.Deployment {
	case Cloud:
		if c.Username != "" {
			add("username", errors.New("is of datacenter: give email"))
		}
	case DataCenter:
		if c.Email != "" {
			add("email", errors.New("is of cloud: give username with a password, or nothing with a personal access token"))
		}
		if strings.ContainsFunc(c.Username, func(r rune) bool { return r <= ' ' || r == ':' || r == 0x7f }) {
			add("username", fmt.Errorf("%.100q: want no spaces and no colon", c.Username))
		}
	default:
		add("deployment", fmt.Errorf("%.100q: want cloud or datacenter", string(c.Deployment)))
	}
	if c.Email != "" && (!strings.Contains(c.Email, "@") || strings.ContainsAny(c.Email, ": \t\r\n")) {
		add("email", fmt.Errorf("%q is not an e-mail address", c.Email))
	}
	return errors.Join(errs...)
}

func (c *Config) validateContent() error {
	var errs []error
	add := func(key string, err error) { errs = append(errs, web.Invalid(key, err)) }
	for i, p := range slices.Concat([]string{c.Project}, c.OtherProjects) {
		key := "project"
		if i > 0 {
			key = fmt.Sprintf("other_projects[%d]", i-1)
		}
		switch {
		case p == "":
			add(key, errors.New("is missing"))
		case !projectKey.MatchString(p):
			add(key, fmt.Errorf("%q is not a project key: capital letters, digits and '_'", p))
		}
	}
	if strings.TrimSpace(c.IssueType) == "" {
		add("issue_type", errors.New("is missing"))
	}
	for i, l := range c.Labels {
		if l == "" || l != cleanLabel(l) {
			add(fmt.Sprintf("labels[%d]", i), fmt.Errorf("%q cannot be a label: no spaces, at most 255 characters", l))
		}
		if isKey(l) {
			add(fmt.Sprintf("labels[%d]", i), fmt.Errorf("%q looks like the key of an incident", l))
		}
	}
	for _, name := range ours {
		if _, ok := c.Fields[name]; ok {
			add("fields."+name, errors.New("is set by Portent: it has a setting of its own"))
		}
		for _, team := range slices.Sorted(maps.Keys(c.TeamFields)) {
			if _, ok := c.TeamFields[team][name]; ok {
				add("team_fields."+team+"."+name, errors.New("is set by Portent: it has a setting of its own"))
			}
		}
	}
	return errors.Join(errs...)
}

func (c *Config) validateWorkflow() error {
	var errs []error
	if c.Timeout <= 0 || c.Timeout > model.Duration(5*time.Minute) {
		errs = append(errs, web.Invalid("timeout", errors.New("must be above 0s and at most 5m")))
	}
	if c.SearchLag < 0 || c.SearchLag > model.Duration(time.Hour) {
		errs = append(errs, web.Invalid("search_lag", errors.New("must be 0s to 1h")))
	}
	if _, ok := c.TransitionFields["resolution"]; ok {
		errs = append(errs, web.Invalid("transition_fields.resolution", errors.New("has a setting of its own: resolution")))
	}
	return errors.Join(errs...)
}

// Secret returns the token, read from TokenFile if that is set.
func (c *Config) Secret() (web.Secret, error) {
	s, err := web.ReadSecret(c.Token, c.TokenFile)
	if err != nil {
		return "", web.Invalid("token_file", err)
	}
	return s, nil
}

// HTTPClient returns the client that Options wants.
func (c *Config) HTTPClient() (*http.Client, error) { return ticketrest.HTTPClient(c.CAFile) }

// api is the path of the API.
func (c *Config) api() string {
	if c.Deployment == DataCenter {
		return "/rest/api/2"
	}
	return "/rest/api/3"
}
