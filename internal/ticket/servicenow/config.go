package servicenow

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/ticketrest"
	"github.com/portent-dev/portent/internal/web"
)

// Config is how a ServiceNow instance is reached and how incidents look there.
// Start from DefaultConfig.
type Config struct {
	// URL is the address of the instance, https://acme.service-now.com. http is
	// accepted for loopback addresses only.
	URL string `yaml:"url"`
	// Exactly one of Username with Password, Token (an OAuth access token, sent as
	// bearer) and APIKey (sent as x-sn-apikey) is given; each secret as itself or as
	// a file that holds it.
	Username     string     `yaml:"username,omitempty"`
	Password     web.Secret `yaml:"password,omitempty"`
	PasswordFile string     `yaml:"password_file,omitempty"`
	Token        web.Secret `yaml:"token,omitempty"`
	TokenFile    string     `yaml:"token_file,omitempty"`
	APIKey       web.Secret `yaml:"api_key,omitempty"`
	APIKeyFile   string     `yaml:"api_key_file,omitempty"`

	// Mode is incident, for the incident table, or events, for Event Management.
	Mode string `yaml:"mode"`
	// EventSeverity maps a severity, or a priority of a draft, to that of an event: 1 (critical) to 5 (info).
	EventSeverity map[string]string `yaml:"event_severity"`

	// Urgency and Impact map a severity, or a priority of a draft, to 1 (high) to 3.
	// ServiceNow derives the priority of both.
	Urgency map[string]string `yaml:"urgency"`
	Impact  map[string]string `yaml:"impact"`
	// AssignmentGroup is the name or the sys_id of a group.
	AssignmentGroup string `yaml:"assignment_group,omitempty"`
	// AssignmentGroups maps the team of a draft to a group. A team that is not there gets AssignmentGroup.
	AssignmentGroups map[string]string `yaml:"assignment_groups,omitempty"`
	CallerID         string            `yaml:"caller_id,omitempty"`
	Category         string            `yaml:"category,omitempty"`
	CmdbCI           string            `yaml:"cmdb_ci,omitempty"`
	// Fields are further columns of a new incident.
	Fields map[string]string `yaml:"fields,omitempty"`

	// CloseCode is the resolution code, by its value; CloseNotes the resolution notes
	// of an update without words.
	CloseCode  string `yaml:"close_code"`
	CloseNotes string `yaml:"close_notes"`
	// ReopenState is the state of an incident that begins again.
	ReopenState string `yaml:"reopen_state"`

	// CAFile is a PEM file of certificate authorities to trust besides those of the
	// system.
	CAFile string `yaml:"ca_file,omitempty"`
	// Timeout bounds one request.
	Timeout model.Duration `yaml:"timeout"`
	// SearchLag is how long a search may miss an incident that exists.
	SearchLag model.Duration `yaml:"search_lag"`
}

// The modes.
const (
	ModeIncident = "incident"
	ModeEvents   = "events"
)

// DefaultConfig returns the defaults. URL and credentials have none.
func DefaultConfig() Config {
	return Config{
		Mode:          ModeIncident,
		EventSeverity: map[string]string{"critical": "1", "warning": "4", "info": "5"},
		Urgency:       map[string]string{"critical": "1", "warning": "2", "info": "3"},
		Impact:        map[string]string{"critical": "1", "warning": "2", "info": "3"},
		CloseCode:     "Solution provided",
		CloseNotes:    "The incident has ended.",
		ReopenState:   stateInProgress,
		Timeout:       model.Duration(30 * time.Second),
		// The table is read from the database it was written to, but a request that timed
		// out here may still be at work there.
		SearchLag: model.Duration(30 * time.Second),
	}
}

// UnmarshalYAML puts the defaults under what the file says.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Config
	*c = DefaultConfig()
	return unmarshal((*plain)(c))
}

// column is a name of a column.
var column = regexp.MustCompile(`^[a-z][a-z0-9_]{0,79}$`)

// ours are the columns that have settings of their own or that Portent writes.
var ours = []string{
	"short_description", "description", "urgency", "impact", "priority", "correlation_id", "correlation_display", "assignment_group", "caller_id",
	"category", "cmdb_ci", "work_notes", "state", "close_code", "close_notes", "parent_incident", "sys_id", "number",
}

// Validate reports everything that is wrong, each with its key.
func (c *Config) Validate() error {
	var errs []error
	add := func(key string, err error) { errs = append(errs, web.Invalid(key, err)) }
	add("url", ticketrest.CheckURL(c.URL))
	errs = append(errs, c.validateAccess())
	for name, m := range map[string]map[string]string{"urgency": c.Urgency, "impact": c.Impact} {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if v := m[k]; v != "1" && v != "2" && v != "3" {
				add(name+"."+k, fmt.Errorf("%q: want 1, 2 or 3", v))
			}
		}
	}
	errs = append(errs, c.validateMode())
	// A ^ begins the next term of a query.
	if strings.ContainsAny(c.AssignmentGroup, "^\r\n") {
		add("assignment_group", errors.New("must not hold ^"))
	}
	for _, k := range slices.Sorted(maps.Keys(c.AssignmentGroups)) {
		if v := c.AssignmentGroups[k]; v == "" || strings.ContainsAny(v, "^\r\n") {
			add("assignment_groups."+k, errors.New("want the name or sys_id of a group, without ^"))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(c.Fields)) {
		switch {
		case slices.Contains(ours, k):
			add("fields."+k, errors.New("is set by Portent or has a setting of its own"))
		case !column.MatchString(k):
			add("fields."+k, errors.New("is not the name of a column: a-z, 0-9 and _"))
		}
	}
	if strings.TrimSpace(c.CloseCode) == "" {
		add("close_code", errors.New("is missing"))
	}
	if strings.TrimSpace(c.CloseNotes) == "" {
		add("close_notes", errors.New("is missing"))
	}
	if c.ReopenState != stateNew && c.ReopenState != stateInProgress {
		add("reopen_state", fmt.Errorf("%q: want 1 (new) or 2 (in progress)", c.ReopenState))
	}
	if c.Timeout <= 0 || c.Timeout > model.Duration(5*time.Minute) {
		add("timeout", errors.New("must be above 0s and at most 5m"))
	}
	if c.SearchLag < 0 || c.SearchLag > model.Duration(time.Hour) {
		add("search_lag", errors.New("must be 0s to 1h"))
	}
	return errors.Join(errs...)
}

// validateMode reports what the mode does not know.
func (c *Config) validateMode() error {
	var errs []error
	add := func(key string, err error) { errs = append(errs, web.Invalid(key, err)) }
	switch c.Mode {
	case ModeIncident:
	case ModeEvents:
		for key, given := range map[string]bool{
			"assignment_group": c.AssignmentGroup != "", "assignment_groups": len(c.AssignmentGroups) > 0, "caller_id": c.CallerID != "", "category": c.Category != "", "fields": len(c.Fields) > 0,
		} {
			if given {
				add(key, errors.New("belongs to mode incident: events have no such column"))
			}
		}
	default:
		add("mode", fmt.Errorf("%.100q: want incident or events", c.Mode))
	}
	for _, k := range slices.Sorted(maps.Keys(c.EventSeverity)) {
		if v := c.EventSeverity[k]; len(v) != 1 || v < "1" || v > "5" {
			add("event_severity."+k, fmt.Errorf("%.20q: want 1 (critical) to 5 (info)", v))
		}
	}
	return errors.Join(errs...)
}

func (c *Config) validateAccess() error {
	var errs []error
	given := 0
	for _, s := range []struct {
		key  string
		text web.Secret
		file string
	}{{"password", c.Password, c.PasswordFile}, {"token", c.Token, c.TokenFile}, {"api_key", c.APIKey, c.APIKeyFile}} {
		if s.text != "" && s.file != "" {
			errs = append(errs, web.Invalid(s.key+"_file", fmt.Errorf("give %s or %s_file, not both", s.key, s.key)))
		}
		if s.text != "" || s.file != "" {
			given++
		}
	}
	if given != 1 {
		errs = append(errs, web.Invalid("password", errors.New("give exactly one of password with username, token, and api_key")))
	}
	basic := c.Password != "" || c.PasswordFile != ""
	if basic != (c.Username != "") {
		errs = append(errs, web.Invalid("username", errors.New("goes with password, and password with username")))
	}
	if strings.ContainsAny(c.Username, ":\r\n") {
		errs = append(errs, web.Invalid("username", errors.New("must not hold a colon or a line break")))
	}
	return errors.Join(errs...)
}

// Secret returns the password, token or key, read from its file if that is set.
func (c *Config) Secret() (web.Secret, error) {
	for _, s := range []struct {
		key  string
		text web.Secret
		file string
	}{{"password_file", c.Password, c.PasswordFile}, {"token_file", c.Token, c.TokenFile}, {"api_key_file", c.APIKey, c.APIKeyFile}} {
		if s.text == "" && s.file == "" {
			continue
		}
		got, err := web.ReadSecret(s.text, s.file)
		if err == nil && c.Username == "" {
			err = ticketrest.CheckSecret(got.Reveal())
		}
		return got, web.Invalid(s.key, err)
	}
	return "", errors.New("no credentials")
}

// header is what carries the credentials.
func (c *Config) header(secret web.Secret) http.Header {
	h := http.Header{}
	switch {
	case c.Username != "":
		h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(c.Username+":"+secret.Reveal())))
	case c.Token != "" || c.TokenFile != "":
		h.Set("Authorization", "Bearer "+secret.Reveal())
	default:
		h.Set("X-Sn-Apikey", secret.Reveal())
	}
	return h
}

// HTTPClient returns the client that Options wants.
func (c *Config) HTTPClient() (*http.Client, error) { return ticketrest.HTTPClient(c.CAFile) }
