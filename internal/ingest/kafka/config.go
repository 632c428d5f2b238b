package kafka

import (
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Config says which topics hold log lines. The zero value reads none.
type Config struct {
	Brokers []string `yaml:"brokers"` // host:port, a few are enough
	Topics  []string `yaml:"topics"`
	Group   string   `yaml:"group"`
	// Start is where a group that is new begins: end or beginning.
	Start string `yaml:"start"`
	// Labels are put on each line, beside topic and the headers named in HeaderLabels.
	Labels       map[string]string `yaml:"labels"`
	HeaderLabels []string          `yaml:"header_labels"`
	MaxLineBytes int               `yaml:"max_line_bytes"`
	// MaxFetchBytes bounds what is fetched ahead of its mining.
	MaxFetchBytes  int32             `yaml:"max_fetch_bytes"`
	SessionTimeout model.Duration    `yaml:"session_timeout"`
	TLS            *config.TLSConfig `yaml:"tls_config"` // nil: no TLS
	SASL           SASL              `yaml:"sasl"`
}

// SASL says who we are. An empty mechanism means nobody.
type SASL struct {
	Mechanism    string        `yaml:"mechanism"` // plain, scram-sha-256, scram-sha-512
	Username     string        `yaml:"username"`
	Password     config.Secret `yaml:"password"`
	PasswordFile string        `yaml:"password_file"`
}

// DefaultConfig reads no topic.
func DefaultConfig() Config {
	return Config{
		Brokers: []string{}, Topics: []string{}, Group: "portent-exporter", Start: "end", Labels: map[string]string{}, HeaderLabels: []string{},
		MaxLineBytes: 64 << 10, MaxFetchBytes: 16 << 20, SessionTimeout: model.Duration(45 * time.Second),
	}
}

// Enabled reports whether there is a topic to read.
func (c *Config) Enabled() bool { return len(c.Topics) > 0 }

// SetDirectory makes relative paths start at the directory of the configuration file.
func (c *Config) SetDirectory(dir string) {
	if c.TLS != nil {
		c.TLS.SetDirectory(dir)
	}
	c.SASL.PasswordFile = config.JoinDir(dir, c.SASL.PasswordFile)
}

var (
	validTopic = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)
	validLabel = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_.]*$`)
)

// Validate reports everything that is wrong, each error beginning with its key.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, key, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
		}
	}
	check(len(c.Brokers) > 0 || !c.Enabled(), "brokers", "is empty, but there are topics")
	for i, b := range c.Brokers {
		host, port, err := net.SplitHostPort(b)
		check(err == nil && host != "" && port != "", fmt.Sprintf("brokers[%d]", i), "must be host:port, is %q", b)
	}
	for i, t := range c.Topics {
		check(validTopic.MatchString(t), fmt.Sprintf("topics[%d]", i), "%q is no name of a topic", t)
	}
	check(c.Group != "", "group", "is empty")
	check(c.Start == "end" || c.Start == "beginning", "start", "must be end or beginning, is %q", c.Start)
	for name := range c.Labels {
		check(validLabel.MatchString(name), "labels", "%q is no name of a label", name)
	}
	for i, name := range c.HeaderLabels {
		check(validLabel.MatchString(name), fmt.Sprintf("header_labels[%d]", i), "%q is no name of a label", name)
	}
	check(len(c.Labels)+len(c.HeaderLabels) <= 32, "labels", "must not be more than 32 with header_labels")
	check(c.MaxLineBytes > 0, "max_line_bytes", "must be above 0, is %d", c.MaxLineBytes)
	check(c.MaxFetchBytes >= 1<<20, "max_fetch_bytes", "must be at least 1048576, is %d", c.MaxFetchBytes)
	check(time.Duration(c.SessionTimeout) >= 6*time.Second, "session_timeout", "must be at least 6s, is %s", c.SessionTimeout)
	switch c.SASL.Mechanism {
	case "":
		check(c.SASL == SASL{}, "sasl.mechanism", "is missing: want plain, scram-sha-256 or scram-sha-512")
	case "plain", "scram-sha-256", "scram-sha-512":
		check(c.SASL.Username != "", "sasl.username", "is empty")
		check((c.SASL.Password == "") != (c.SASL.PasswordFile == ""), "sasl.password", "give this or password_file")
	default:
		check(false, "sasl.mechanism", "must be plain, scram-sha-256 or scram-sha-512, is %q", c.SASL.Mechanism)
	}
	if c.TLS != nil {
		if err := c.TLS.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("tls_config: %w", err))
		}
	}
	return errors.Join(errs...)
}

// options are those of the client that the configuration asks for.
func (c *Config) options() ([]kgo.Opt, error) {
	var out []kgo.Opt
	if c.TLS != nil {
		t, err := config.NewTLSConfig(c.TLS)
		if err != nil {
			return nil, fmt.Errorf("tls_config: %w", err)
		}
		out = append(out, kgo.DialTLSConfig(t))
	}
	if c.SASL.Mechanism == "" {
		return out, nil
	}
	password := string(c.SASL.Password)
	if c.SASL.PasswordFile != "" {
		content, err := os.ReadFile(c.SASL.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("sasl.password_file: %w", err)
		}
		password = strings.TrimRight(string(content), "\r\n")
	}
	var m sasl.Mechanism
	switch c.SASL.Mechanism {
	case "plain":
		m = plain.Auth{User: c.SASL.Username, Pass: password}.AsMechanism()
	case "scram-sha-256":
		m = scram.Auth{User: c.SASL.Username, Pass: password}.AsSha256Mechanism()
	case "scram-sha-512":
		m = scram.Auth{User: c.SASL.Username, Pass: password}.AsSha512Mechanism()
	}
	return append(out, kgo.SASL(m)), nil
}
