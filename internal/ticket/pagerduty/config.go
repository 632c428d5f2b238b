package pagerduty

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/ticketrest"
	"github.com/portent-dev/portent/internal/web"
)

// Config is how a PagerDuty service is reached and how its alerts look. Start
// from DefaultConfig.
type Config struct {
	// URL is the address of the Events API: that of the US region unless set, or
	// https://events.eu.pagerduty.com. http is accepted for loopback addresses only.
	URL string `yaml:"url"`
	// RoutingKey is the integration key of an Events API v2 integration, 32
	// characters. RoutingKeyFile is a file that holds it.
	RoutingKey     web.Secret `yaml:"routing_key,omitempty"`
	RoutingKeyFile string     `yaml:"routing_key_file,omitempty"`

	// APIToken is a REST API key. With it comments become notes and the state of an
	// incident is read. APITokenFile is a file that holds it.
	APIToken     web.Secret `yaml:"api_token,omitempty"`
	APITokenFile string     `yaml:"api_token_file,omitempty"`
	// APIURL is the address of the REST API; EU: https://api.eu.pagerduty.com.
	APIURL string `yaml:"api_url"`
	// From is the e-mail address of the user in whose name notes are written. Needed
	// with a token.
	From string `yaml:"from,omitempty"`

	// Severities maps a severity of Portent to critical, error, warning or info.
	Severities map[string]string `yaml:"severities"`
	// Source, Component, Group and Class are fields of the alert.
	Source    string `yaml:"source"`
	Component string `yaml:"component,omitempty"`
	Group     string `yaml:"group,omitempty"`
	Class     string `yaml:"class,omitempty"`
	// Details are further custom details.
	Details map[string]string `yaml:"details,omitempty"`

	// CAFile is a PEM file of certificate authorities to trust besides those of the
	// system.
	CAFile string `yaml:"ca_file,omitempty"`
	// Timeout bounds one request.
	Timeout model.Duration `yaml:"timeout"`
	// SearchLag is how long the REST API may not show an incident whose event was
	// accepted.
	SearchLag model.Duration `yaml:"search_lag"`
}

// DefaultConfig returns the defaults. A routing key has none.
func DefaultConfig() Config {
	return Config{
		URL:        "https://events.pagerduty.com",
		APIURL:     "https://api.pagerduty.com",
		Severities: map[string]string{"critical": "critical", "warning": "warning", "info": "info"},
		Source:     "portent",
		Timeout:    model.Duration(30 * time.Second),
		// Events are worked off in seconds; in an incident of PagerDuty's own in minutes.
		SearchLag: model.Duration(30 * time.Second),
	}
}

// UnmarshalYAML puts the defaults under what the file says.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Config
	*c = DefaultConfig()
	return unmarshal((*plain)(c))
}

// severities are those of the Events API.
var severities = []string{"critical", "error", "warning", "info"}

// routingKeyLength is what the API asks for, in characters.
const routingKeyLength = 32

// Validate reports everything that is wrong, each with its key.
func (c *Config) Validate() error {
	var errs []error
	add := func(key string, err error) { errs = append(errs, web.Invalid(key, err)) }
	add("url", ticketrest.CheckURL(c.URL))
	add("api_url", ticketrest.CheckURL(c.APIURL))
	switch {
	case c.RoutingKey == "" && c.RoutingKeyFile == "":
		add("routing_key", errors.New("is missing: give routing_key or routing_key_file"))
	case c.RoutingKey != "" && c.RoutingKeyFile != "":
		add("routing_key_file", errors.New("give routing_key or routing_key_file, not both"))
	case c.RoutingKey != "":
		add("routing_key", checkRoutingKey(c.RoutingKey))
	}
	if c.APIToken != "" && c.APITokenFile != "" {
		add("api_token_file", errors.New("give api_token or api_token_file, not both"))
	}
	if c.REST() && (!strings.Contains(c.From, "@") || strings.ContainsAny(c.From, ": \t\r\n")) {
		add("from", fmt.Errorf("%q is not an e-mail address: a token needs that of a PagerDuty user", c.From))
	}
	if !c.REST() && c.From != "" {
		add("from", errors.New("needs api_token or api_token_file"))
	}
	for _, k := range slices.Sorted(maps.Keys(c.Severities)) {
		if !slices.Contains(severities, c.Severities[k]) {
			add("severities."+k, fmt.Errorf("%q: want one of %s", c.Severities[k], strings.Join(severities, ", ")))
		}
	}
	if strings.TrimSpace(c.Source) == "" {
		add("source", errors.New("is missing"))
	}
	for _, k := range slices.Sorted(maps.Keys(c.Details)) {
		if slices.Contains(ourDetails, k) {
			add("details."+k, errors.New("is set by Portent"))
		}
		if utf8.RuneCountInString(c.Details[k]) > maxDetail {
			add("details."+k, fmt.Errorf("is over %d characters", maxDetail))
		}
	}
	if len(c.Details) > maxDetails {
		add("details", fmt.Errorf("has %d keys; %d at most", len(c.Details), maxDetails))
	}
	if c.Timeout <= 0 || c.Timeout > model.Duration(5*time.Minute) {
		add("timeout", errors.New("must be above 0s and at most 5m"))
	}
	if c.SearchLag < 0 || c.SearchLag > model.Duration(time.Hour) {
		add("search_lag", errors.New("must be 0s to 1h"))
	}
	return errors.Join(errs...)
}

func checkRoutingKey(key web.Secret) error {
	if n := len(key.Reveal()); n != routingKeyLength {
		return fmt.Errorf("has %d characters, want %d: the integration key of an Events API v2 integration", n, routingKeyLength)
	}
	return ticketrest.CheckSecret(key.Reveal())
}

// REST reports whether the REST API is configured.
func (c *Config) REST() bool { return c.APIToken != "" || c.APITokenFile != "" }

// Secrets are the credentials themselves. APIToken is empty without REST.
type Secrets struct{ RoutingKey, APIToken web.Secret }

// Secrets reads the credentials, from files where those are set.
func (c *Config) Secrets() (Secrets, error) {
	key, err := web.ReadSecret(c.RoutingKey, c.RoutingKeyFile)
	if err == nil {
		err = checkRoutingKey(key)
	}
	token, terr := web.ReadSecret(c.APIToken, c.APITokenFile)
	if terr == nil {
		terr = ticketrest.CheckSecret(token.Reveal())
	}
	return Secrets{RoutingKey: key, APIToken: token}, errors.Join(web.Invalid("routing_key_file", err), web.Invalid("api_token_file", terr))
}

// HTTPClient returns the client that Options wants.
func (c *Config) HTTPClient() (*http.Client, error) { return ticketrest.HTTPClient(c.CAFile) }
