package teams

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/ticketrest"
	"github.com/portent-dev/portent/internal/web"
)

// Config is how a Teams channel is reached. Start from DefaultConfig.
type Config struct {
	// URL is the address of a workflow "Post to a channel when a webhook request is received". It holds its secret (sig=), so
	// it is one. URLFile is a file that holds it.
	URL     web.Secret `yaml:"url,omitempty"`
	URLFile string     `yaml:"url_file,omitempty"`

	// CAFile is a PEM file of certificate authorities to trust besides those of the system.
	CAFile string `yaml:"ca_file,omitempty"`
	// Timeout bounds one request.
	Timeout model.Duration `yaml:"timeout"`
}

// DefaultConfig returns the defaults. An address has none.
func DefaultConfig() Config { return Config{Timeout: model.Duration(30 * time.Second)} }

// UnmarshalYAML puts the defaults under what the file says.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Config
	*c = DefaultConfig()
	return unmarshal((*plain)(c))
}

// Validate reports everything that is wrong, each with its key.
func (c *Config) Validate() error {
	var errs []error
	add := func(key string, err error) { errs = append(errs, web.Invalid(key, err)) }
	switch {
	case c.URL == "" && c.URLFile == "":
		add("url", errors.New("is missing: give url or url_file"))
	case c.URL != "" && c.URLFile != "":
		add("url_file", errors.New("give url or url_file, not both"))
	case c.URL != "":
		add("url", checkAddress(c.URL.Reveal()))
	}
	if c.Timeout <= 0 || c.Timeout > model.Duration(5*time.Minute) {
		add("timeout", errors.New("must be above 0s and at most 5m"))
	}
	return errors.Join(errs...)
}

// checkAddress never repeats the address.
func checkAddress(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return errors.New("is not a URL")
	}
	if u.Path == "" || u.Path == "/" {
		return errors.New("is not the address of a workflow: it has no path")
	}
	u.RawQuery = ""
	return ticketrest.CheckURL(u.String())
}

// Secret reads the address, from a file where that is set.
func (c *Config) Secret() (web.Secret, error) {
	address, err := web.ReadSecret(c.URL, c.URLFile)
	if err == nil {
		err = checkAddress(address.Reveal())
	}
	return address, web.Invalid("url_file", err)
}

// HTTPClient returns the client to send with.
func (c *Config) HTTPClient() (*http.Client, error) { return ticketrest.HTTPClient(c.CAFile) }
