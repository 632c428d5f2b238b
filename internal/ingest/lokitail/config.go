package lokitail

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
)

// Config says which queries of which Loki to follow. The zero value follows none.
type Config struct {
	Tails []Tail `yaml:"tails"`
	// MaxGap is how far back lines are fetched that came while there was no connection.
	MaxGap model.Duration `yaml:"max_gap"`
	// MaxMessageBytes bounds one message of a tail.
	MaxMessageBytes int64 `yaml:"max_message_bytes"`
	MaxLineBytes    int   `yaml:"max_line_bytes"`
}

// Tail is a query to follow.
type Tail struct {
	URL        string                  `yaml:"url"`   // without /loki/api/v1
	Query      string                  `yaml:"query"` // a log query, filters and parsers included
	Tenant     string                  `yaml:"tenant"`
	HTTPClient config.HTTPClientConfig `yaml:"http_client"`
}

// UnmarshalYAML fills in the defaults of a client. A websocket needs HTTP/1.1.
func (t *Tail) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Tail
	t.HTTPClient = config.DefaultHTTPClientConfig
	t.HTTPClient.EnableHTTP2 = false
	return unmarshal((*plain)(t))
}

// DefaultConfig follows nothing.
func DefaultConfig() Config {
	return Config{Tails: []Tail{}, MaxGap: model.Duration(time.Hour), MaxMessageBytes: 16 << 20, MaxLineBytes: 64 << 10}
}

// SetDirectory makes relative paths start at the directory of the configuration file.
func (c *Config) SetDirectory(dir string) {
	for i := range c.Tails {
		c.Tails[i].HTTPClient.SetDirectory(dir)
	}
}

// Validate reports everything that is wrong, each error beginning with its key.
func (c *Config) Validate() error {
	var errs []error
	for i, t := range c.Tails {
		u, err := url.Parse(t.URL)
		switch {
		case err == nil && u.User != nil:
			errs = append(errs, fmt.Errorf("tails[%d].url: must hold no user and password; http_client.basic_auth takes them", i))
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
			errs = append(errs, fmt.Errorf("tails[%d].url: must be an address such as http://localhost:3100, is %q", i, t.URL))
		}
		if t.Query == "" {
			errs = append(errs, fmt.Errorf("tails[%d].query: is missing", i))
		}
		if t.HTTPClient.EnableHTTP2 {
			errs = append(errs, fmt.Errorf("tails[%d].http_client.enable_http2: must be false: a websocket needs HTTP/1.1", i))
		}
		if err := t.HTTPClient.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("tails[%d].http_client: %w", i, err))
		}
	}
	if len(c.Tails) > maxTails {
		errs = append(errs, fmt.Errorf("tails: must not be more than %d, are %d", maxTails, len(c.Tails)))
	}
	if c.MaxGap < 0 || c.MaxMessageBytes < 1<<16 || c.MaxLineBytes <= 0 {
		errs = append(errs, errors.New("max_gap: must not be below 0s, max_message_bytes at least 65536, max_line_bytes above 0"))
	}
	return errors.Join(errs...)
}

// maxTails bounds the connections.
const maxTails = 50
