package jira

import (
	"bytes"
	"context"
	"encoding/base64"
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

// maxAnswer bounds an answer in bytes. The largest that is asked for is a page of
// 100 comments of up to 32767 characters each.
const maxAnswer = 16 << 20

// client sends requests to one Jira site and turns every failure into a
// *ticket.Error. It is safe for concurrent use.
type client struct {
	base    string // of the API, without a slash at the end
	auth    string // the Authorization header; never in an error or a log
	http    *http.Client
	timeout time.Duration
	now     func() time.Time
	metrics *metrics
}

// call is one request.
type call struct {
	op     string // the operation, for errors and metrics
	method string
	path   string // below the base, escaped
	query  url.Values
	body   any // sent as JSON unless nil
	// want are the statuses of success; none means 200. A proxy's login page may
	// answer 200 to anything.
	want []int
	// effect says that the request changes something: a failure after it was sent
	// is then ambiguous.
	effect bool
}

func authorization(user, token string) string {
	if user == "" {
		return "Bearer " + token
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+token))
}

// do sends c and decodes the answer into out unless out is nil.
func (c *client) do(ctx context.Context, q call, out any) error {
	err := c.send(ctx, q, out)
	if err == nil {
		c.metrics.request(q.op, outcomeOK)
		return nil
	}
	e := ticket.AsError(err)
	c.metrics.request(q.op, string(e.Reason))
	e.Err = fmt.Errorf("jira %s: %w", q.op, e.Err)
	return e
}

func (c *client) send(ctx context.Context, q call, out any) error {
	if err := ctx.Err(); err != nil {
		return transportError(ctx, err, false)
	}
	reqCtx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var sent atomic.Bool
	// Before headers are written the site cannot have acted; after that anything
	// may have happened. The transport itself repeats a POST or PUT only when not
	// one byte of it left; it then asks for a connection anew.
	trace := &httptrace.ClientTrace{
		GetConn:      func(string) { sent.Store(false) },
		WroteHeaders: func() { sent.Store(true) },
	}
	req, err := c.request(httptrace.WithClientTrace(reqCtx, trace), q)
	if err != nil {
		return &ticket.Error{Reason: ticket.ReasonInvalid, Err: err}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return transportError(ctx, err, q.effect && sent.Load())
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if resp.StatusCode >= 300 {
		return statusError(resp, body, q.effect, c.now())
	}
	switch {
	case err != nil:
		return transportError(ctx, err, q.effect)
	case len(body) > maxAnswer:
		return badAnswer(q.effect, fmt.Errorf("answer is over %d bytes", maxAnswer))
	case !q.succeeds(resp.StatusCode):
		return badAnswer(q.effect, fmt.Errorf("%s, which this request never has: %s", resp.Status, describe(resp.Header.Get("Content-Type"), body)))
	case out == nil && len(body) == 0:
		return nil
	case out == nil:
		out = new(json.RawMessage)
	}
	if err := decode(resp.Header.Get("Content-Type"), body, out); err != nil {
		return badAnswer(q.effect, err)
	}
	return nil
}

func (q call) succeeds(status int) bool {
	if len(q.want) == 0 {
		return status == http.StatusOK
	}
	return slices.Contains(q.want, status)
}

func (c *client) request(ctx context.Context, q call) (*http.Request, error) {
	var body io.Reader
	if q.body != nil {
		body = bytes.NewReader(encode(q.body))
	}
	u := c.base + q.path
	if len(q.query) > 0 {
		u += "?" + q.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, q.method, u, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", c.auth)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "portent")
	if q.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
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
// login page, a proxy's notice.
func describe(contentType string, body []byte) string {
	text := string(body[:min(len(body), 64<<10)])
	if _, rest, ok := strings.Cut(strings.ToLower(text), "<title"); ok {
		// The lower-cased text has other lengths where runes change size, so the
		// title is read from it.
		if _, title, ok := strings.Cut(rest, ">"); ok {
			title, _, _ = strings.Cut(title, "<")
			return fmt.Sprintf("an HTML page with the title %q", ticket.OneLine(title, 100))
		}
	}
	return fmt.Sprintf("%q: %q", ticket.OneLine(contentType, 60), ticket.OneLine(text, 100))
}
