// Package promapi asks a Prometheus, or anything that answers like one (Thanos,
// Mimir, VictoriaMetrics), over its HTTP API. It is client_golang's client with
// three things more: an answer is bounded in bytes and time, each failure has a
// Reason from a closed set and says what to do, and an answer that is no answer of
// a Prometheus (a login page, a proxy's error) is told as such.
//
// It must not know who asks: no metric, no log, and neither environment nor files,
// so that the Grafana plugin can use it as well as the exporter.
package promapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// Defaults of Options.
const (
	DefaultTimeout  = 30 * time.Second
	DefaultMaxBytes = 64 << 20 // a full answer of 11,000 points for 200 series is about 60 MB
)

// MaxPoints is how many points of one series Prometheus gives in one answer to a
// range query (web/api/v1: "exceeded maximum resolution of 11,000 points").
const MaxPoints = 11_000

// Options say which Prometheus to ask and how. URL is required.
type Options struct {
	// URL is the address of the server: http or https, with the path that a proxy
	// puts in front and without /api/v1. A user and password in it are used and
	// never printed.
	URL string
	// Client sends the requests; authentication, TLS and proxies are its business.
	// nil is a client of its own, without proxy.
	Client *http.Client
	// Timeout bounds a call as a whole, and is told to the server for queries. 0 is
	// DefaultTimeout. A context may end a call earlier.
	Timeout time.Duration
	// MaxBytes bounds an answer after decompression. 0 is DefaultMaxBytes.
	MaxBytes int64
}

// Client asks one server. It is safe for concurrent use. Every error that it
// returns is an *Error.
type Client struct {
	api     v1.API
	http    *transport
	timeout time.Duration
}

// New returns a client. It does not call the server; Probe does.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("prometheus address: %w", redact(err))
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("prometheus address %q: want http://host:port or https://host:port", u.Redacted())
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("prometheus address %q: want no query and no fragment", u.Redacted())
	}
	if o.Timeout < 0 || o.MaxBytes < 0 {
		return nil, errors.New("prometheus client: timeout and size limit may not be negative")
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.Client == nil {
		o.Client = &http.Client{Transport: newTransport()}
	}
	inner, err := api.NewClient(api.Config{Address: o.URL, Client: o.Client})
	if err != nil {
		return nil, fmt.Errorf("prometheus address: %w", redact(err))
	}
	t := &transport{Client: inner, http: o.Client, maxBytes: o.MaxBytes, server: u.Redacted()}
	return &Client{api: v1.NewAPI(t), http: t, timeout: o.Timeout}, nil
}

// redact takes the address out of an error of net/url: it may hold a password.
func redact(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}

// newTransport is http.DefaultTransport without the proxy of the environment,
// which the Grafana plugin may not read.
func newTransport() *http.Transport {
	return &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          20,
		MaxIdleConnsPerHost:   10, // as many queries as are asked at a time
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

// Answer is the result of a query. Warnings and Infos come with good answers: a
// store that was not reached, a rate over a gauge.
type Answer struct {
	Value    model.Value // Vector, Matrix, *Scalar or *String
	Warnings []string
	Infos    []string
}

// Range is the stretch of a range query, both ends included.
type Range = v1.Range

// Query evaluates expr at one time. limit caps the series of the answer, where the
// server supports it (Prometheus 3); 0 is no cap.
func (c *Client) Query(ctx context.Context, expr string, at time.Time, limit int) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	value, warnings, infos, err := c.api.Query(ctx, expr, at, c.options(limit)...)
	return c.answer("query", value, warnings, infos, err)
}

// QueryRange evaluates expr along r. More than MaxPoints steps are refused by the
// server: split the range.
func (c *Client) QueryRange(ctx context.Context, expr string, r Range, limit int) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	value, warnings, infos, err := c.api.QueryRange(ctx, expr, r, c.options(limit)...)
	return c.answer("query range", value, warnings, infos, err)
}

// answer takes no result for what it is: JSON of some other server, which
// client_golang reads as a success without data.
func (c *Client) answer(op string, value model.Value, warnings, infos []string, err error) (Answer, error) {
	if err == nil && value == nil {
		err = &Error{
			Reason: ReasonNotPrometheus, Status: http.StatusOK, Hint: hintNotPrometheus,
			Err: errors.New("the answer is JSON, but not that of a Prometheus API: it holds no result"),
		}
	}
	return Answer{value, warnings, infos}, c.fail(op, err)
}

func (c *Client) options(limit int) []v1.Option {
	return []v1.Option{v1.WithTimeout(c.timeout), v1.WithLimit(uint64(max(limit, 0)))}
}

// Series lists the series that match any of the selectors between start and end.
// limit caps the list; 0 is no cap.
func (c *Client) Series(ctx context.Context, matches []string, start, end time.Time, limit int) ([]model.LabelSet, []string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	sets, warnings, _, err := c.api.Series(ctx, matches, start, end, v1.WithLimit(uint64(max(limit, 0))))
	return sets, warnings, c.fail("list series", err)
}

// LabelNames lists the names of labels, sorted. Without matches, of all series.
func (c *Client) LabelNames(ctx context.Context, matches []string, start, end time.Time, limit int) ([]string, []string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	names, warnings, _, err := c.api.LabelNames(ctx, matches, start, end, v1.WithLimit(uint64(max(limit, 0))))
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = string(n)
	}
	return out, warnings, c.fail("list labels", err)
}

// LabelValues lists the values of a label, sorted; those of __name__ are the
// metrics. Without matches, of all series.
func (c *Client) LabelValues(ctx context.Context, label string, matches []string, start, end time.Time, limit int) ([]string, []string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	values, warnings, _, err := c.api.LabelValues(ctx, pathName(label), matches, start, end, v1.WithLimit(uint64(max(limit, 0))))
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out, warnings, c.fail("list label values", err)
}

// pathName writes a label name so that it can stand in a path: names beyond the
// old alphabet in the encoding that Prometheus 3 reads there, U__ and code points.
// It is also what keeps a name with slashes from being another path.
func pathName(label string) string {
	if model.LegacyValidation.IsValidLabelName(label) {
		return label
	}
	return model.EscapeName(label, model.ValueEncodingEscaping)
}

// Metadata is what is known of a metric: its type, help and unit. A metric that
// several targets describe differently has several.
type Metadata = v1.Metadata

// Metadata returns what is known of a metric, or of all when metric is empty.
// limit caps the number of metrics; 0 is no cap.
func (c *Client) Metadata(ctx context.Context, metric string, limit int) (map[string][]Metadata, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	text := ""
	if limit > 0 {
		text = strconv.Itoa(limit)
	}
	m, err := c.api.Metadata(ctx, metric, text)
	return m, c.fail("get metadata", err)
}

// Buildinfo is what a server says of itself.
type Buildinfo = v1.BuildinfoResult

// Buildinfo asks a server what it is. Servers that only answer like Prometheus may
// not have it (ReasonNotFound).
func (c *Client) Buildinfo(ctx context.Context) (Buildinfo, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	b, err := c.api.Buildinfo(ctx)
	return b, c.fail("get build information", err)
}

// Config returns the configuration that the server runs with, in YAML, secrets as
// <secret>. Servers that only answer like Prometheus do not have it
// (ReasonNotFound), or keep it to themselves (ReasonForbidden).
func (c *Client) Config(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	r, err := c.api.Config(ctx)
	return r.YAML, c.fail("get configuration", err)
}

// Federate reads the newest sample of each series that matches any of the selectors,
// as GET /federate gives it: in one of the exposition formats, of which accept says
// the wanted ones. It also returns the content type of the answer.
func (c *Client) Federate(ctx context.Context, matches []string, accept string) (body []byte, contentType string, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	u := c.http.URL("/federate", nil)
	u.RawQuery = url.Values{"match[]": matches}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, "", c.fail("federate", redact(err))
	}
	req.Header.Set("Accept", accept)
	resp, body, err := c.http.Do(ctx, req) //nolint:bodyclose // Do has read and closed it
	if err != nil {
		return nil, "", c.fail("federate", err)
	}
	return body, resp.Header.Get("Content-Type"), nil
}

// Probe reports whether the server can be asked: it evaluates a query that needs
// no data. version is empty when the server does not tell it.
func (c *Client) Probe(ctx context.Context) (version string, err error) {
	if _, err := c.Query(ctx, "vector(1)", time.Time{}, 0); err != nil {
		return "", err
	}
	// It answers queries, and that is what was asked: a server that does not tell its
	// version is as good.
	if b, err := c.Buildinfo(ctx); err == nil {
		version = b.Version
	}
	return version, nil
}

// Server returns the address without a password, for messages.
func (c *Client) Server() string { return c.http.server }
