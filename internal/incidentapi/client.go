package incidentapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// DefaultTimeout of one call. The receiver answers a page in milliseconds; ten seconds is a receiver
	// that somebody must look at, and still below Grafana's data proxy timeout of 30 s.
	DefaultTimeout = 10 * time.Second
	// DefaultMaxBytes of one answer: more than six times a full page of MaxLimit incidents.
	DefaultMaxBytes = 32 << 20
	// maxErrorBytes of an error answer are read; ours are below 1 KiB.
	maxErrorBytes = 16 << 10
)

// Options of a Client. URL is needed, the rest has a useful zero value.
type Options struct {
	URL      string        // the receiver's address, http or https, with or without a path prefix
	Client   *http.Client  // nil: a client with default transport; authentication may live in its transport
	Token    string        // sent as bearer token when not empty
	Timeout  time.Duration // of one call; 0: DefaultTimeout
	MaxBytes int64         // of one answer; 0: DefaultMaxBytes
}

// Client calls a receiver. It is safe for concurrent use. Every error it returns is an *Error.
type Client struct {
	base     *url.URL
	http     *http.Client
	token    string
	timeout  time.Duration
	maxBytes int64
}

// New returns a client of the receiver at o.URL. It opens no connection.
func New(o Options) (*Client, error) {
	u, err := url.Parse(strings.TrimSpace(o.URL))
	if err != nil {
		return nil, &Error{Reason: ReasonBadAddress, Err: fmt.Errorf("receiver address: %w", unwrapURL(err))}
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, &Error{
			Reason: ReasonBadAddress, Err: errors.New("receiver address: want http://host:port or https://host:port"),
			Hint: "for example http://127.0.0.1:9751",
		}
	}
	u.RawQuery, u.Fragment = "", ""
	c := &Client{base: u, http: o.Client, token: o.Token, timeout: o.Timeout, maxBytes: o.MaxBytes}
	if c.http == nil {
		c.http = &http.Client{}
	}
	if c.timeout <= 0 {
		c.timeout = DefaultTimeout
	}
	if c.maxBytes <= 0 {
		c.maxBytes = DefaultMaxBytes
	}
	return c, nil
}

// ListOptions select incidents; the zero value selects all, newest first.
type ListOptions struct {
	Status string    // "" for all
	Since  time.Time // only those that were open at or after it; zero for all
	Limit  int       // of one page; 0: the receiver's default
	Cursor string    // Next of the page before
}

// List returns one page of incidents, newest first.
func (c *Client) List(ctx context.Context, o ListOptions) (IncidentPage, error) {
	q := url.Values{}
	if o.Status != "" {
		q.Set("status", o.Status)
	}
	var page IncidentPage
	err := c.get(ctx, PathIncidents, paging(q, o.Since, o.Limit, o.Cursor), &page)
	return page, err
}

// Get returns one incident with its timeline. ReasonNotFound when there is none with this id.
func (c *Client) Get(ctx context.Context, id string) (Incident, error) {
	path, err := incidentPath(id, "")
	if err != nil {
		return Incident{}, err
	}
	var inc Incident
	err = c.get(ctx, path, nil, &inc)
	return inc, err
}

// Report returns the draft of a post-incident review as Markdown. Errors as of Get.
func (c *Client) Report(ctx context.Context, id string) (string, error) {
	path, err := incidentPath(id, "report")
	if err != nil {
		return "", err
	}
	text, err := c.fetch(ctx, http.MethodGet, path, nil, nil, typeMarkdown)
	return string(text), err
}

// AlertOptions select alerts.
type AlertOptions struct {
	Suppressed bool // only those kept out of every incident
	Limit      int
	Cursor     string
}

// Alerts returns one page of alerts.
func (c *Client) Alerts(ctx context.Context, o AlertOptions) (AlertPage, error) {
	q := url.Values{}
	if o.Suppressed {
		q.Set("suppressed", "true")
	}
	var page AlertPage
	err := c.get(ctx, PathAlerts, paging(q, time.Time{}, o.Limit, o.Cursor), &page)
	return page, err
}

// Dismiss closes an incident as not worth anybody's time. The reason goes to the timeline and the audit
// chain and must not be empty. ReasonConflict when the incident is dismissed already.
func (c *Client) Dismiss(ctx context.Context, id, reason string) (Incident, error) {
	return c.act(ctx, id, "dismiss", reason)
}

// Reopen opens an incident that was resolved or dismissed. Otherwise as Dismiss.
func (c *Client) Reopen(ctx context.Context, id, reason string) (Incident, error) {
	return c.act(ctx, id, "reopen", reason)
}

// Approve lets the drafts of an incident be sent: those with the hash, or all of them as they are when it is
// empty. ReasonConflict when nothing waits, or when the draft is another one by now.
func (c *Client) Approve(ctx context.Context, id, hash, reason string) (Incident, error) {
	return c.do(ctx, id, "approve", Action{Reason: reason, Hash: hash})
}

// Escalate makes an open incident critical and hands it on. Otherwise as Dismiss.
func (c *Client) Escalate(ctx context.Context, id, reason string) (Incident, error) {
	return c.act(ctx, id, "escalate", reason)
}

// Feedback says whether an incident was worth a ticket: VerdictConfirmed, VerdictDismissed, VerdictUndo, or
// nothing but words.
func (c *Client) Feedback(ctx context.Context, id, verdict, reason string) (Incident, error) {
	return c.do(ctx, id, "feedback", Action{Reason: reason, Verdict: verdict})
}

func (c *Client) act(ctx context.Context, id, action, reason string) (Incident, error) {
	return c.do(ctx, id, action, Action{Reason: reason})
}

func (c *Client) do(ctx context.Context, id, action string, body Action) (Incident, error) {
	path, err := incidentPath(id, action)
	if err != nil {
		return Incident{}, err
	}
	var inc Incident
	err = c.call(ctx, http.MethodPost, path, nil, body, &inc)
	return inc, err
}

// Audit returns one page of the audit chain in order, from since on.
func (c *Client) Audit(ctx context.Context, since time.Time, limit int, cursor string) (AuditPage, error) {
	var page AuditPage
	err := c.get(ctx, PathAudit, paging(nil, since, limit, cursor), &page)
	return page, err
}

// DeadLetters returns one page of the outward actions that were given up.
func (c *Client) DeadLetters(ctx context.Context, limit int, cursor string) (TaskPage, error) {
	var page TaskPage
	err := c.get(ctx, PathOutbox, paging(url.Values{"state": {"dead"}}, time.Time{}, limit, cursor), &page)
	return page, err
}

// Replay puts a dead letter back into the outbox. ReasonConflict when the task is not dead.
func (c *Client) Replay(ctx context.Context, taskID int64) error {
	return c.call(ctx, http.MethodPost, PathOutbox+"/"+strconv.FormatInt(taskID, 10)+"/replay", nil, struct{}{}, nil)
}

// Probe reports whether the address is a receiver that takes notices and accepts our credentials.
func (c *Client) Probe(ctx context.Context) error {
	_, err := c.List(ctx, ListOptions{Limit: 1})
	return err
}

// incidentPath refuses an id that would change the path: url.JoinPath resolves dots.
func incidentPath(id, action string) (string, error) {
	if id == "" || id == "." || id == ".." || len(id) > 128 {
		return "", &Error{Reason: ReasonBadParameter, Err: fmt.Errorf("incident id %.40q: want 1 to 128 characters", id)}
	}
	path := PathIncidents + "/" + url.PathEscape(id)
	if action != "" {
		path += "/" + action
	}
	return path, nil
}

func paging(q url.Values, since time.Time, limit int, cursor string) url.Values {
	if q == nil {
		q = url.Values{}
	}
	if !since.IsZero() {
		q.Set("since", since.UTC().Format(time.RFC3339Nano))
	}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	return q
}

func (c *Client) get(ctx context.Context, path string, q url.Values, into any) error {
	return c.call(ctx, http.MethodGet, path, q, nil, into)
}

// call sends one request and decodes the answer into `into` unless that is nil.
func (c *Client) call(ctx context.Context, method, path string, q url.Values, body, into any) error {
	data, err := c.fetch(ctx, method, path, q, body, typeJSON)
	if err != nil || into == nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return &Error{
			Reason: ReasonBadAnswer, Status: http.StatusOK, Err: fmt.Errorf("ask %s: read the answer: %w", c.where(), err),
			Hint: "is this the address of portent-receiver, and of a fitting version?",
		}
	}
	return nil
}

// Media types of answers.
const (
	typeJSON     = "application/json"
	typeMarkdown = "text/markdown"
)

// where names the receiver without what may be secret in its address.
func (c *Client) where() string { return "receiver at " + c.base.Scheme + "://" + c.base.Host }

// fetch sends one request and returns the answer, which must be of the media type want.
func (c *Client) fetch(ctx context.Context, method, path string, q url.Values, body any, want string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	where := c.where()
	req, err := c.request(ctx, method, path, q, body)
	if err != nil {
		return nil, &Error{Reason: ReasonBadParameter, Err: fmt.Errorf("ask %s: %w", where, unwrapURL(err))}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, transportError(ctx, where, err)
	}
	defer resp.Body.Close()

	if resp.StatusCode/100 != 2 {
		var msg ErrorBody
		data, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes)) // a cut body only costs the message
		if !isType(resp, typeJSON) || json.Unmarshal(data, &msg) != nil {
			msg = ErrorBody{}
		}
		return nil, statusError(where, resp.StatusCode, msg)
	}
	if !isType(resp, want) {
		return nil, &Error{
			Reason: ReasonNotReceiver, Status: resp.StatusCode,
			Err:  fmt.Errorf("ask %s: the answer is %.60q, want %s", where, resp.Header.Get("Content-Type"), want),
			Hint: "this address is not the receiver's, or a login page stands before it",
		}
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, c.maxBytes+1))
	switch {
	case err != nil:
		return nil, transportError(ctx, where, err)
	case int64(len(data)) > c.maxBytes:
		return nil, &Error{
			Reason: ReasonTooLarge, Status: resp.StatusCode,
			Err: fmt.Errorf("ask %s: the answer is greater than %d bytes", where, c.maxBytes), Hint: "ask for fewer with a smaller limit",
		}
	}
	return data, nil
}

func (c *Client) request(ctx context.Context, method, path string, q url.Values, body any) (*http.Request, error) {
	u := *c.base
	escaped := strings.TrimSuffix(u.EscapedPath(), "/") + path
	plain, err := url.PathUnescape(escaped)
	if err != nil {
		return nil, err
	}
	u.Path, u.RawPath, u.RawQuery = plain, escaped, q.Encode()
	var r io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), r)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", typeJSON)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	return req, nil
}

func isType(resp *http.Response, want string) bool {
	t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return err == nil && (t == want || want == typeJSON && strings.HasSuffix(t, "+json"))
}

// unwrapURL drops the address that *url.Error repeats, which may hold user information.
func unwrapURL(err error) error {
	if ue := (*url.Error)(nil); errors.As(err, &ue) {
		return ue.Err
	}
	return err
}
