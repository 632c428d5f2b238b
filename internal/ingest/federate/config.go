package federate

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/portent-dev/portent/internal/ingest"
)

// Config names the servers to federate from. The zero value has none.
type Config struct {
	Targets []Target `yaml:"targets,omitempty"`
}

// Target is a Prometheus, or anything with its /federate, and what to read of it.
type Target struct {
	// Name names the metrics about the target. Unique. Default: the host and port of URL.
	Name string `yaml:"name,omitempty"`
	// URL is the address of the server, without /federate.
	URL string `yaml:"url"`
	// HTTPClient is authentication, TLS and proxy, as Prometheus writes them.
	HTTPClient config.HTTPClientConfig `yaml:"http_client,omitempty"`
	// Match are the selectors of the series to read.
	Match []string `yaml:"match"`
	// Interval is the time from one reading to the next. Default 1m. The server gives
	// the newest sample only: what it scraped in between is not seen, and a counter
	// that was reset in between looks as if it had grown less.
	Interval model.Duration `yaml:"interval,omitempty"`
	// Timeout bounds a reading. At most Interval. Default 30s, or Interval if that is
	// shorter.
	Timeout model.Duration `yaml:"timeout,omitempty"`
	// MaxSeries caps the series that are taken; others are dropped and counted.
	// Default 100,000.
	MaxSeries int `yaml:"max_series,omitempty"`
	// MaxBytes bounds an answer after decompression. Default 64 MiB.
	MaxBytes int64 `yaml:"max_bytes,omitempty"`
	// Labels are put on each series.
	Labels map[string]string `yaml:"labels,omitempty"`
	// HonorLabels says whose label stays when a series has one of Labels already: its
	// own (true, the default), or ours (false), and then its own is kept as
	// exported_<name>, as Prometheus does.
	HonorLabels bool `yaml:"honor_labels"`
	// HonorTimestamps takes the times that samples come with (true, the default). Else
	// the time of the reading is taken.
	HonorTimestamps bool `yaml:"honor_timestamps"`
}

// Defaults.
const (
	defaultInterval  = model.Duration(time.Minute)
	defaultTimeout   = model.Duration(30 * time.Second)
	defaultMaxSeries = 100_000
	defaultMaxBytes  = 64 << 20
)

// DefaultTarget returns a target with every default in place but Name and Timeout,
// which follow URL and Interval.
func DefaultTarget() Target {
	return Target{
		HTTPClient: config.DefaultHTTPClientConfig,
		Interval:   defaultInterval, MaxSeries: defaultMaxSeries, MaxBytes: defaultMaxBytes,
		HonorLabels: true, HonorTimestamps: true,
	}
}

// UnmarshalYAML reads a target over the defaults.
func (t *Target) UnmarshalYAML(unmarshal func(any) error) error {
	*t = DefaultTarget()
	type plain Target
	if err := unmarshal((*plain)(t)); err != nil {
		return err
	}
	if t.Timeout == 0 {
		t.Timeout = min(defaultTimeout, t.Interval)
	}
	if u, err := url.Parse(t.URL); err == nil && t.Name == "" {
		t.Name = u.Host
	}
	return nil
}

// SetDirectory makes the relative file names of the configuration relative to dir.
func (c *Config) SetDirectory(dir string) {
	for i := range c.Targets {
		c.Targets[i].HTTPClient.SetDirectory(dir)
	}
}

// Validate reports everything that is wrong, each fault with its key.
func (c *Config) Validate() error {
	var errs []error
	names := make(map[string]bool)
	for i := range c.Targets {
		t := &c.Targets[i]
		for _, err := range t.validate() {
			errs = append(errs, fmt.Errorf("targets[%d].%w", i, err))
		}
		if names[t.Name] {
			errs = append(errs, fmt.Errorf("targets[%d].name: %q is given twice", i, t.Name))
		}
		names[t.Name] = true
	}
	return errors.Join(errs...)
}

func (t *Target) validate() (errs []error) {
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if t.Name == "" {
		add("name: must not be empty")
	}
	if err := ingest.CheckServer(t.URL); err != nil {
		errs = append(errs, err)
	}
	if err := t.HTTPClient.Validate(); err != nil {
		add("http_client: %w", err)
	}
	if len(t.Match) == 0 {
		add("match: must hold at least one selector")
	}
	for i, m := range t.Match {
		if _, err := parser.NewParser(parser.Options{}).ParseMetricSelector(m); err != nil {
			add("match[%d]: %w", i, err)
		}
	}
	errs = append(errs, ingest.CheckPolling(t.Interval, t.Timeout, t.MaxSeries)...)
	if t.MaxBytes < 1 {
		add("max_bytes: must be above 0, is %d", t.MaxBytes)
	}
	return append(errs, ingest.CheckLabels(t.Labels)...)
}
