package promquery

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/portent-dev/portent/internal/ingest"
)

// Config names the queries to evaluate. The zero value has none.
type Config struct {
	Servers []Server `yaml:"servers,omitempty"`
}

// Server is a Prometheus, or anything with its query API, and what to ask of it.
type Server struct {
	// URL is its address, without /api/v1.
	URL string `yaml:"url"`
	// HTTPClient is authentication, TLS and proxy, as Prometheus writes them.
	HTTPClient config.HTTPClientConfig `yaml:"http_client,omitempty"`
	// MaxConcurrent bounds the queries in work at one time. Default 4; Prometheus
	// works on 20 by default, and others want some of them.
	MaxConcurrent int `yaml:"max_concurrent,omitempty"`
	// MaxBytes bounds one answer. Default 64 MiB.
	MaxBytes int64 `yaml:"max_bytes,omitempty"`
	// Labels are put on each result that has not such a label itself, as Prometheus
	// does with external labels, which it leaves out of its answers: where several
	// servers are asked, they tell the clusters apart.
	Labels  map[string]string `yaml:"labels,omitempty"`
	Queries []Query           `yaml:"queries"`
}

// Kind says how the results of a query behave.
type Kind string

// The kinds of a query. With KindAuto a result that has a metric name is what that
// name says (a counter by its suffix), any other is a gauge.
const (
	KindAuto    Kind = "auto"
	KindGauge   Kind = "gauge"
	KindCounter Kind = "counter"
)

// Query is an expression to evaluate again and again.
type Query struct {
	// Name names the results that have no metric name of their own, and the metrics
	// about the query. Unique over all servers.
	Name string `yaml:"name"`
	Expr string `yaml:"expr"`
	// Interval is the time from one evaluation to the next. Evaluation times are
	// multiples of it, whenever the exporter was started. Default 1m.
	Interval model.Duration `yaml:"interval,omitempty"`
	// Offset lets the server have the newest samples before they are asked for: the
	// evaluation at 12:00 is asked at 12:00 plus Offset. Default 10s.
	Offset model.Duration `yaml:"offset,omitempty"`
	// Timeout bounds an evaluation. At most Interval. Default 30s, or Interval if
	// that is shorter.
	Timeout model.Duration `yaml:"timeout,omitempty"`
	// MaxSeries caps the results that are taken; the rest is dropped and counted.
	// Default 1,000.
	MaxSeries int `yaml:"max_series,omitempty"`
	// Kind says whether results are counters. Default auto.
	Kind Kind `yaml:"kind,omitempty"`
}

// Defaults.
const (
	defaultInterval      = model.Duration(time.Minute)
	defaultOffset        = model.Duration(10 * time.Second)
	defaultTimeout       = model.Duration(30 * time.Second)
	defaultMaxSeries     = 1000
	defaultMaxConcurrent = 4
	defaultMaxBytes      = 64 << 20
)

// DefaultServer returns a server with every default in place.
func DefaultServer() Server {
	return Server{HTTPClient: config.DefaultHTTPClientConfig, MaxConcurrent: defaultMaxConcurrent, MaxBytes: defaultMaxBytes}
}

// DefaultQuery returns a query with every default in place but Timeout, which
// follows Interval.
func DefaultQuery() Query {
	return Query{Interval: defaultInterval, Offset: defaultOffset, MaxSeries: defaultMaxSeries, Kind: KindAuto}
}

// UnmarshalYAML reads a server over the defaults.
func (s *Server) UnmarshalYAML(unmarshal func(any) error) error {
	*s = DefaultServer()
	type plain Server
	return unmarshal((*plain)(s))
}

// UnmarshalYAML reads a query over the defaults.
func (q *Query) UnmarshalYAML(unmarshal func(any) error) error {
	*q = DefaultQuery()
	type plain Query
	if err := unmarshal((*plain)(q)); err != nil {
		return err
	}
	if q.Timeout == 0 {
		q.Timeout = min(defaultTimeout, q.Interval)
	}
	return nil
}

// SetDirectory makes the relative file names of the configuration relative to dir.
func (c *Config) SetDirectory(dir string) {
	for i := range c.Servers {
		c.Servers[i].HTTPClient.SetDirectory(dir)
	}
}

// Validate reports everything that is wrong, each fault with its key.
func (c *Config) Validate() error {
	var errs []error
	names := make(map[string]bool)
	for i := range c.Servers {
		s := &c.Servers[i]
		for _, err := range s.validate() {
			errs = append(errs, fmt.Errorf("servers[%d].%w", i, err))
		}
		for j := range s.Queries {
			q := &s.Queries[j]
			for _, err := range q.validate() {
				errs = append(errs, fmt.Errorf("servers[%d].queries[%d].%w", i, j, err))
			}
			if names[q.Name] {
				errs = append(errs, fmt.Errorf("servers[%d].queries[%d].name: %q is given twice", i, j, q.Name))
			}
			names[q.Name] = true
		}
	}
	return errors.Join(errs...)
}

func (s *Server) validate() (errs []error) {
	if err := ingest.CheckServer(s.URL); err != nil {
		errs = append(errs, err)
	}
	if err := s.HTTPClient.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("http_client: %w", err))
	}
	if s.MaxConcurrent < 1 {
		errs = append(errs, fmt.Errorf("max_concurrent: must be above 0, is %d", s.MaxConcurrent))
	}
	if s.MaxBytes < 1 {
		errs = append(errs, fmt.Errorf("max_bytes: must be above 0, is %d", s.MaxBytes))
	}
	errs = append(errs, ingest.CheckLabels(s.Labels)...)
	if len(s.Queries) == 0 {
		errs = append(errs, errors.New("queries: must hold at least one"))
	}
	return errs
}

func (q *Query) validate() (errs []error) {
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch {
	case !model.UTF8Validation.IsValidMetricName(q.Name):
		add("name: must be a metric name, is %q", q.Name)
	case ingest.OwnOutput(q.Name):
		add("name: %q is kept for the exporter's own scores", q.Name)
	}
	if err := checkExpr(q.Expr); err != nil {
		add("expr: %w", err)
	}
	if q.Offset < 0 {
		add("offset: must not be negative")
	}
	errs = append(errs, ingest.CheckPolling(q.Interval, q.Timeout, q.MaxSeries)...)
	switch q.Kind {
	case KindAuto, KindGauge, KindCounter:
	default:
		add("kind: unknown kind %q: want %s, %s or %s", q.Kind, KindAuto, KindGauge, KindCounter)
	}
	return errs
}

// checkExpr reports what is wrong with an expression: it must give a value, or a
// vector of them, at each time. Whether the server has the experimental parts of
// PromQL switched on is for the server to say.
func checkExpr(expr string) error {
	e, err := parser.NewParser(parser.Options{
		EnableExperimentalFunctions: true, ExperimentalDurationExpr: true,
		EnableExtendedRangeSelectors: true, EnableBinopFillModifiers: true,
	}).ParseExpr(expr)
	if err != nil {
		return err
	}
	if t := e.Type(); t != parser.ValueTypeVector && t != parser.ValueTypeScalar {
		return fmt.Errorf("must give an instant vector or a scalar, gives a %s", parser.DocumentedType(t))
	}
	return nil
}
