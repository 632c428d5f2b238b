package webhook

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/common/model"
	"golang.org/x/net/http/httpguts"

	"github.com/portent-dev/portent/internal/ticketrest"
	"github.com/portent-dev/portent/internal/web"
)

// Config is whom to tell. Start from DefaultConfig.
type Config struct {
	// URL that is posted to. http is accepted for loopback addresses only.
	URL string `yaml:"url"`
	// Secret signs what is sent. SecretFile is a file that holds it.
	Secret     web.Secret `yaml:"secret,omitempty"`
	SecretFile string     `yaml:"secret_file,omitempty"`
	// Token is sent as bearer token. TokenFile is a file that holds it.
	Token     web.Secret `yaml:"token,omitempty"`
	TokenFile string     `yaml:"token_file,omitempty"`
	// Headers are sent besides. They stand in the configuration in clear.
	Headers map[string]string `yaml:"headers,omitempty"`

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

// ours are headers that we set.
var ours = map[string]bool{
	"Content-Type": true, "Content-Length": true, "Host": true, "Authorization": true, headerKey: true, headerSignature: true, headerTime: true,
}

// minSecret is the least that makes a signature worth anything, in characters.
const minSecret = 16

// Validate reports everything that is wrong, each with its key.
func (c *Config) Validate() error {
	var errs []error
	add := func(key string, err error) { errs = append(errs, web.Invalid(key, err)) }
	add("url", ticketrest.CheckURL(c.URL))
	if c.Secret != "" && c.SecretFile != "" {
		add("secret_file", errors.New("give secret or secret_file, not both"))
	}
	if c.Token != "" && c.TokenFile != "" {
		add("token_file", errors.New("give token or token_file, not both"))
	}
	if c.Secret != "" {
		add("secret", checkSecret(c.Secret))
	}
	for name, value := range c.Headers {
		switch {
		case ours[http.CanonicalHeaderKey(name)]:
			add("headers."+name, errors.New("is set by Portent"))
		case !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value):
			add("headers."+name, errors.New("is no header"))
		}
	}
	if c.Timeout <= 0 || c.Timeout > model.Duration(5*time.Minute) {
		add("timeout", errors.New("must be above 0s and at most 5m"))
	}
	return errors.Join(errs...)
}

func checkSecret(s web.Secret) error {
	if len(s.Reveal()) < minSecret {
		return fmt.Errorf("is shorter than %d characters", minSecret)
	}
	return nil
}

// Secrets are the credentials themselves; either may be empty.
type Secrets struct{ Secret, Token web.Secret }

// Secrets reads the credentials, from files where those are set.
func (c *Config) Secrets() (Secrets, error) {
	var out Secrets
	var errs []error
	var err error
	if c.Secret != "" || c.SecretFile != "" {
		if out.Secret, err = web.ReadSecret(c.Secret, c.SecretFile); err == nil {
			err = checkSecret(out.Secret)
		}
		errs = append(errs, web.Invalid("secret_file", err))
	}
	if c.Token != "" || c.TokenFile != "" {
		if out.Token, err = web.ReadSecret(c.Token, c.TokenFile); err == nil {
			err = ticketrest.CheckSecret(out.Token.Reveal())
		}
		errs = append(errs, web.Invalid("token_file", err))
	}
	return out, errors.Join(errs...)
}

// HTTPClient returns the client to send with.
func (c *Config) HTTPClient() (*http.Client, error) { return ticketrest.HTTPClient(c.CAFile) }
