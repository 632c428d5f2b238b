package email

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/web"
)

// TLS says how a connection is encrypted.
type TLS string

// The ways of encryption.
const (
	StartTLS TLS = "starttls" // from the first command on, or not at all
	Implicit TLS = "implicit" // from the first byte on
	None     TLS = "none"     // loopback only
)

// Config is who is written to. Start from DefaultConfig.
type Config struct {
	// Smarthost is host:port of the server that takes our mail.
	Smarthost string `yaml:"smarthost"`
	TLS       TLS    `yaml:"tls"`
	// Username and Password are those of the server; none sends without.
	Username     string     `yaml:"username,omitempty"`
	Password     web.Secret `yaml:"password,omitempty"`
	PasswordFile string     `yaml:"password_file,omitempty"`
	// From is the address of the sender, To those of the readers.
	From string   `yaml:"from"`
	To   []string `yaml:"to"`

	// CAFile is a PEM file of certificate authorities to trust besides those of the system.
	CAFile string `yaml:"ca_file,omitempty"`
	// Timeout bounds one mail.
	Timeout model.Duration `yaml:"timeout"`
}

// DefaultConfig returns the defaults. A server and addresses have none.
func DefaultConfig() Config {
	return Config{TLS: StartTLS, Timeout: model.Duration(30 * time.Second)}
}

// UnmarshalYAML puts the defaults under what the file says.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Config
	*c = DefaultConfig()
	return unmarshal((*plain)(c))
}

// maxTo bounds the readers of a mail: a longer list is a mailing list's business.
const maxTo = 20

// Validate reports everything that is wrong, each with its key.
func (c *Config) Validate() error {
	var errs []error
	add := func(key string, err error) { errs = append(errs, web.Invalid(key, err)) }
	host, _, err := c.address()
	add("smarthost", err)
	switch c.TLS {
	case StartTLS, Implicit:
	case None:
		if ip := net.ParseIP(host); err == nil && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			add("tls", errors.New("none is for loopback only: password and texts would travel in the clear"))
		}
	default:
		add("tls", fmt.Errorf("%q: want starttls, implicit or none", c.TLS))
	}
	if c.Password != "" && c.PasswordFile != "" {
		add("password_file", errors.New("give password or password_file, not both"))
	}
	if (c.Username != "") != (c.Password != "" || c.PasswordFile != "") {
		add("username", errors.New("needs a password, and a password needs it"))
	}
	add("from", checkAddress(c.From))
	if len(c.To) == 0 || len(c.To) > maxTo {
		add("to", fmt.Errorf("has %d addresses: want 1 to %d", len(c.To), maxTo))
	}
	for i, to := range c.To {
		add(fmt.Sprintf("to[%d]", i), checkAddress(to))
	}
	if c.Timeout <= 0 || c.Timeout > model.Duration(5*time.Minute) {
		add("timeout", errors.New("must be above 0s and at most 5m"))
	}
	return errors.Join(errs...)
}

func checkAddress(s string) error {
	if _, err := mail.ParseAddress(s); err != nil {
		return fmt.Errorf("%q is no address, such as sre@example.com or \"On Call\" <sre@example.com>", s)
	}
	return nil
}

func (c *Config) address() (host string, port int, err error) {
	host, p, err := net.SplitHostPort(c.Smarthost)
	if err == nil {
		port, err = strconv.Atoi(p)
	}
	if err != nil || host == "" || port < 1 || port > 65535 {
		return "", 0, fmt.Errorf("%q: want host:port, such as smtp.example.com:587", c.Smarthost)
	}
	return host, port, nil
}

// Secret reads the password, from a file where that is set; empty without a username.
func (c *Config) Secret() (web.Secret, error) {
	if c.Username == "" {
		return "", nil
	}
	password, err := web.ReadSecret(c.Password, c.PasswordFile)
	return password, web.Invalid("password_file", err)
}

// TLSConfig returns what the server's certificate is held to.
func (c *Config) TLSConfig() (*tls.Config, error) {
	host, _, err := c.address()
	if err != nil {
		return nil, web.Invalid("smarthost", err)
	}
	config := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if c.CAFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, web.Invalid("ca_file", err)
	}
	if config.RootCAs, err = x509.SystemCertPool(); err != nil {
		return nil, web.Invalid("ca_file", fmt.Errorf("system certificates: %w", err))
	}
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, web.Invalid("ca_file", fmt.Errorf("%s holds no PEM certificate", c.CAFile))
	}
	return config, nil
}
