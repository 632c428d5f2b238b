// Package ticketrest sends the requests of trackers that speak JSON over HTTP and
// turns every failure into a *ticket.Error: what may be repeated, when, and what
// may have had its effect.
//
// It knows no tracker. What is said in an answer of failure is read by a function
// of the tracker; credentials are in headers that no error and no log shows.
package ticketrest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/portent-dev/portent/internal/ticket"
)

// maxAnswer bounds an answer in bytes: a page of a hundred comments at their
// longest is some 6 MB.
const maxAnswer = 16 << 20

// Client sends requests to one site. All fields are required. It is safe for
// concurrent use.
type Client struct {
	// Vendor begins every error.
	Vendor string
	// Base is the address without a slash at the end.
	Base string
	// Header is sent with every request; it may hold credentials.
	Header http.Header
	// HTTP must not follow redirects (see HTTPClient).
	HTTP    *http.Client
	Timeout time.Duration // of one request
	Now     func() time.Time
	// Message reads what a JSON answer of failure says; it is cut and cleaned. Some vendors tell in a header which of
	// their limits was hit.
	Message func(h http.Header, body []byte) string
	// RetryAfter reads from an answer of 429 or 5xx how long to wait, 0 when it does
	// not say. A 503 that says so is taken to have had no effect.
	RetryAfter func(resp *http.Response, now time.Time) time.Duration
	// Observe is told the end of each request; outcome is "ok" or a ticket.Reason.
	Observe func(op, outcome string)
}

// OK is the outcome of a request that succeeded.
const OK = "ok"

// Call is one request.
type Call struct {
	Op     string // for errors and metrics
	Method string
	Path   string // below Base, escaped
	Query  url.Values
	Header http.Header // besides that of the client
	Body   any         // sent as JSON unless nil
	// Want are the statuses of success; none means 200. A proxy's page may answer 200
	// to anything.
	Want []int
	// AnyAnswer says that the status alone tells success: the body may be anything, and goes into out only where it is
	// JSON that fits.
	AnyAnswer bool
	// Empty says that an answer of success may have no body.
	Empty bool
	// Effect says that the request changes something: a failure after it was sent is
	// then ambiguous.
	Effect bool
}

// Do sends q and decodes the answer into out unless out is nil.
func (c *Client) Do(ctx context.Context, q Call, out any) error {
	err := c.send(ctx, q, out)
	if err == nil {
		c.Observe(q.Op, OK)
		return nil
	}
	e := ticket.AsError(err)
	c.Observe(q.Op, string(e.Reason))
	e.Err = fmt.Errorf("%s %s: %w", c.Vendor, q.Op, e.Err)
	return e
}

func (c *Client) send(ctx context.Context, q Call, out any) error {
	if err := ctx.Err(); err != nil {
		return transportError(ctx, err, false)
	}
	reqCtx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	var sent atomic.Bool
	// Before headers are written the site cannot have acted; after that anything may
	// have happened. The transport itself repeats a POST only when not one byte of it
	// left; it then asks for a connection anew.
	trace := &httptrace.ClientTrace{
		GetConn:      func(string) { sent.Store(false) },
		WroteHeaders: func() { sent.Store(true) },
	}
	req, err := c.request(httptrace.WithClientTrace(reqCtx, trace), q)
	if err != nil {
		return &ticket.Error{Reason: ticket.ReasonInvalid, Err: err}
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return transportError(ctx, err, q.Effect && sent.Load())
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if resp.StatusCode >= 300 {
		return c.statusError(resp, body, q.Effect)
	}
	contentType := resp.Header.Get("Content-Type")
	switch {
	case err != nil:
		return transportError(ctx, err, q.Effect)
	case len(body) > maxAnswer:
		return BadAnswer(q.Effect, fmt.Errorf("answer is over %d bytes", maxAnswer))
	case !q.succeeds(resp.StatusCode):
		return BadAnswer(q.Effect, fmt.Errorf("%s, which this request never has: %s", resp.Status, describe(contentType, body)))
	case q.Empty && len(body) == 0:
		return nil
	case out == nil:
		out = new(json.RawMessage)
	}
	if err := decode(contentType, body, out); err != nil && !q.AnyAnswer {
		return BadAnswer(q.Effect, err)
	}
	return nil
}

func (q Call) succeeds(status int) bool {
	if len(q.Want) == 0 {
		return status == http.StatusOK
	}
	return slices.Contains(q.Want, status)
}

func (c *Client) request(ctx context.Context, q Call) (*http.Request, error) {
	var body io.Reader
	if q.Body != nil {
		b, err := Encode(q.Body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	u := c.Base + q.Path
	if len(q.Query) > 0 {
		u += "?" + q.Query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, q.Method, u, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "portent")
	if q.Body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range []http.Header{c.Header, q.Header} {
		for k, v := range h {
			req.Header[k] = v
		}
	}
	return req, nil
}

// Encode writes v as JSON without turning <, > and & into six bytes each, which
// would count against a vendor's limits.
func Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

func decode(contentType string, body []byte, out any) error {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil || media != "application/json" {
		return fmt.Errorf("want JSON, got %s", describe(contentType, body))
	}
	if err := json.Unmarshal(body, out); err != nil {
		if _, ok := errors.AsType[*json.SyntaxError](err); ok {
			return fmt.Errorf("answer is broken JSON after %d bytes", len(body))
		}
		return fmt.Errorf("answer is not what the API promises: %w", err)
	}
	return nil
}

// describe says what an answer is that is no JSON. A page's title tells most: a
// login page, a proxy's notice, an instance that sleeps.
func describe(contentType string, body []byte) string {
	text := string(body[:min(len(body), 64<<10)])
	if _, rest, ok := strings.Cut(strings.ToLower(text), "<title"); ok {
		if _, title, ok := strings.Cut(rest, ">"); ok {
			title, _, _ = strings.Cut(title, "<")
			return fmt.Sprintf("an HTML page with the title %q", ticket.OneLine(title, 100))
		}
	}
	return fmt.Sprintf("%q: %q", ticket.OneLine(contentType, 60), ticket.OneLine(text, 100))
}
