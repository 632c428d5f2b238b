// Package lokiapi asks a Loki over its HTTP API: which labels and streams it has,
// what a query gives, and what it would cost. An answer is bounded in bytes and
// time, and each failure has a Reason from a closed set.
//
// It must not know who asks: no metric, no log, and neither environment nor files,
// so that the Grafana plugin can use it as well as the command line.
package lokiapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// Defaults of Options.
const (
	DefaultTimeout  = 30 * time.Second
	DefaultMaxBytes = 32 << 20 // 5,000 lines, which Loki gives at most, of 6 KiB each
)

// MaxLines is how many lines Loki gives at most in one answer, unless configured
// otherwise (max_entries_limit_per_query).
const MaxLines = 5000

// Options say which Loki to ask and how. URL is required.
type Options struct {
	// URL is the address of the server: http or https, with the path that a proxy
	// puts in front and without /loki/api/v1. A user and password in it are used and
	// never printed.
	URL string
	// Client sends the requests; authentication, TLS, proxies and the forwarding of
	// a user are its business. nil is a client of its own, without proxy.
	Client *http.Client
	// Tenant goes into X-Scope-OrgID; "" sends none.
	Tenant string
	// Timeout bounds a call as a whole. 0 is DefaultTimeout.
	Timeout time.Duration
	// MaxBytes bounds an answer after decompression. 0 is DefaultMaxBytes.
	MaxBytes int64
}

// Client asks one server. It is safe for concurrent use. Every error that it
// returns is an *Error.
type Client struct {
	base     *url.URL
	http     *http.Client
	tenant   string
	timeout  time.Duration
	maxBytes int64
	server   string
}

// New returns a client. It does not call the server.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, errors.New("loki address: not a URL") // the text may hold a password
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("loki address %q: want http://host:port or https://host:port", u.Redacted())
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("loki address %q: want no query and no fragment", u.Redacted())
	}
	if o.Timeout < 0 || o.MaxBytes < 0 {
		return nil, errors.New("loki client: timeout and size limit may not be negative")
	}
	if strings.ContainsAny(o.Tenant, "\r\n\x00") {
		return nil, errors.New("loki client: the tenant is not fit for a header")
	}
	c := &Client{base: u, http: o.Client, tenant: o.Tenant, timeout: o.Timeout, maxBytes: o.MaxBytes, server: u.Redacted()}
	if c.timeout == 0 {
		c.timeout = DefaultTimeout
	}
	if c.maxBytes == 0 {
		c.maxBytes = DefaultMaxBytes
	}
	if c.http == nil {
		c.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 10, IdleConnTimeout: 90 * time.Second, ForceAttemptHTTP2: true}}
	}
	return c, nil
}

// get calls path and decodes the answer into out.
func (c *Client) get(ctx context.Context, op, path string, params url.Values, out any) error {
	return c.getWith(ctx, op, path, params, nil, out)
}

// getWith is get with headers.
func (c *Client) getWith(ctx context.Context, op, path string, params url.Values, header http.Header, out any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	u := c.base.JoinPath("/loki/api/v1")
	u.Path += path
	u.RawPath = ""
	u.RawQuery = params.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return c.fail(op, &Error{Reason: ReasonServer, Err: errors.New("the request cannot be made")})
	}
	maps.Copy(req.Header, header)
	if c.tenant != "" {
		req.Header.Set("X-Scope-OrgID", c.tenant)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.fail(op, ofNetwork(ctx, err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.maxBytes+1))
	if err != nil {
		return c.fail(op, ofNetwork(ctx, err))
	}
	if int64(len(body)) > c.maxBytes {
		return c.fail(op, &Error{
			Reason: ReasonTooLarge, Status: resp.StatusCode, Hint: "ask for fewer streams or a shorter range",
			Err: fmt.Errorf("the answer has more than %d bytes", c.maxBytes),
		})
	}
	if resp.StatusCode/100 != 2 {
		return c.fail(op, ofStatus(resp, body))
	}
	if err := json.Unmarshal(body, out); err != nil {
		return c.fail(op, &Error{Reason: ReasonNotLoki, Status: resp.StatusCode, Hint: hintNotLoki, Err: errors.New("the answer is not that of a Loki API")})
	}
	return nil
}

func nanos(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

func span(start, end time.Time) url.Values {
	v := url.Values{}
	if !start.IsZero() {
		v.Set("start", nanos(start))
	}
	if !end.IsZero() {
		v.Set("end", nanos(end))
	}
	return v
}

type list struct {
	Status string   `json:"status"`
	Data   []string `json:"data"`
}

// LabelNames lists the labels of the streams between start and end.
func (c *Client) LabelNames(ctx context.Context, start, end time.Time) ([]string, error) {
	var l list
	err := c.get(ctx, "list labels", "/labels", span(start, end), &l)
	return l.Data, err
}

// LabelValues lists the values of a label. selector, which may be empty, restricts
// the streams.
func (c *Client) LabelValues(ctx context.Context, label, selector string, start, end time.Time) ([]string, error) {
	var l list
	v := span(start, end)
	if selector != "" {
		v.Set("query", selector)
	}
	if !model.LegacyValidation.IsValidLabelName(label) { // it becomes a part of the path
		return nil, c.fail("list label values", &Error{Reason: ReasonBadData, Err: errors.New("not a label name")})
	}
	err := c.get(ctx, "list label values", "/label/"+label+"/values", v, &l)
	return l.Data, err
}

// Series lists the label sets of the streams that match.
func (c *Client) Series(ctx context.Context, selector string, start, end time.Time) ([]map[string]string, error) {
	v := span(start, end)
	v.Set("match[]", selector)
	var out struct {
		Data []map[string]string `json:"data"`
	}
	err := c.get(ctx, "list streams", "/series", v, &out)
	return out.Data, err
}

// Stats is what Loki's index says of streams, before anything is read.
type Stats struct {
	Streams, Chunks, Bytes, Entries uint64
}

// Stats asks the index what the streams of a selector hold between start and end.
func (c *Client) Stats(ctx context.Context, selector string, start, end time.Time) (Stats, error) {
	v := span(start, end)
	v.Set("query", selector)
	var s struct {
		Streams uint64 `json:"streams"`
		Chunks  uint64 `json:"chunks"`
		Bytes   uint64 `json:"bytes"`
		Entries uint64 `json:"entries"`
	}
	err := c.get(ctx, "get index statistics", "/index/stats", v, &s)
	return Stats(s), err
}

// Line is a log line and the labels of its stream.
type Line struct {
	Time   time.Time
	Labels map[string]string
	Text   string
}

// Answer is the result of a query: Lines of a log query, or Samples.
type Answer struct {
	Lines  []Line
	Matrix model.Matrix
	Vector model.Vector
	// IsMetric says which of them it is.
	IsMetric bool
}

// Query evaluates a metric query at one time.
func (c *Client) Query(ctx context.Context, expr string, at time.Time) (Answer, error) {
	return c.query(ctx, "query", "/query", url.Values{"query": {expr}, "time": {nanos(at)}})
}

// QueryRange evaluates a query along a range. Of lines, the newest limit come first.
func (c *Client) QueryRange(ctx context.Context, expr string, start, end time.Time, step time.Duration, limit int) (Answer, error) {
	v := span(start, end)
	v.Set("query", expr)
	if step > 0 {
		v.Set("step", strconv.FormatFloat(step.Seconds(), 'f', -1, 64))
	}
	if limit > 0 {
		v.Set("limit", strconv.Itoa(min(limit, MaxLines)))
	}
	return c.query(ctx, "query range", "/query_range", v)
}

func (c *Client) query(ctx context.Context, op, path string, v url.Values) (Answer, error) {
	var out struct {
		Data struct {
			ResultType string          `json:"resultType"`
			Result     json.RawMessage `json:"result"`
		} `json:"data"`
	}
	if err := c.get(ctx, op, path, v, &out); err != nil {
		return Answer{}, err
	}
	var (
		a   = Answer{IsMetric: true}
		err error
	)
	switch out.Data.ResultType {
	case "streams":
		a.IsMetric = false
		a.Lines, err = readStreams(out.Data.Result)
	case "matrix":
		err = json.Unmarshal(out.Data.Result, &a.Matrix)
	case "vector":
		err = json.Unmarshal(out.Data.Result, &a.Vector)
	case "scalar":
		var s model.Scalar
		err = json.Unmarshal(out.Data.Result, &s)
		a.Vector = model.Vector{{Metric: model.Metric{}, Value: s.Value, Timestamp: s.Timestamp}}
	default:
		err = fmt.Errorf("result type %q", quote(out.Data.ResultType))
	}
	if err != nil {
		return Answer{}, c.fail(op, &Error{Reason: ReasonNotLoki, Status: http.StatusOK, Hint: hintNotLoki, Err: fmt.Errorf("read the result: %w", err)})
	}
	return a, nil
}

func readStreams(raw json.RawMessage) ([]Line, error) {
	var streams []struct {
		Stream map[string]string `json:"stream"`
		// A third element, the structured metadata, is an object.
		Values [][]json.RawMessage `json:"values"`
	}
	if err := json.Unmarshal(raw, &streams); err != nil {
		return nil, err
	}
	var out []Line
	for _, s := range streams {
		for _, v := range s.Values {
			if len(v) < 2 {
				return nil, errors.New("an entry without a line")
			}
			var ts, text string
			if err := errors.Join(json.Unmarshal(v[0], &ts), json.Unmarshal(v[1], &text)); err != nil {
				return nil, err
			}
			n, err := strconv.ParseInt(ts, 10, 64)
			if err != nil {
				return nil, err
			}
			out = append(out, Line{Time: time.Unix(0, n).UTC(), Labels: s.Stream, Text: text})
		}
	}
	return out, nil
}
