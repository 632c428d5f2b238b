// Package webhook tells any HTTP endpoint of incidents, in a format of our own: for systems that have no
// tracker here.
//
// Every request carries a key by which the endpoint can take it once (Idempotency-Key), the time, and,
// with a secret, a signature over both time and body. An endpoint that answers with a ticket
// of its own is quoted with it. It knows nothing of incidents of Portent, of the outbox or of other trackers.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticketrest"
)

// Headers of a request.
const (
	headerKey       = "Idempotency-Key"
	headerTime      = "X-Portent-Timestamp" // Unix seconds
	headerSignature = "X-Portent-Signature" // v1=hex HMAC-SHA256 of "timestamp.body"
)

// Options are what a Tracker needs. All fields but Secrets are required.
type Options struct {
	// Config must be valid.
	Config  Config
	Secrets Secrets
	// Client sends the requests (Config.HTTPClient). It must not follow redirects.
	Client     *http.Client
	Now        func() time.Time
	Registerer prometheus.Registerer
}

// Tracker is an endpoint as a ticket.Tracker. It is safe for concurrent use.
type Tracker struct{ api *ticketrest.Client }

var _ ticket.Tracker = (*Tracker)(nil)

// The operations.
const (
	opCreate = "create"
	opUpdate = "update"
)

// New returns a tracker. It sends nothing.
func New(o Options) (*Tracker, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	if o.Client == nil || o.Now == nil || o.Registerer == nil {
		return nil, errors.New("webhook: HTTP client, clock and registerer are needed")
	}
	observe, err := ticketrest.NewRequests(o.Registerer, "webhook", "an endpoint of your own", opCreate, opUpdate)
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	for k, v := range o.Config.Headers {
		header.Set(k, v)
	}
	if o.Secrets.Token != "" {
		header.Set("Authorization", "Bearer "+o.Secrets.Token.Reveal())
	}
	client := *o.Client
	if o.Secrets.Secret != "" {
		client.Transport = signer{next: o.Client.Transport, secret: []byte(o.Secrets.Secret.Reveal()), now: o.Now}
	}
	return &Tracker{&ticketrest.Client{
		Vendor: "webhook", Base: o.Config.URL, Header: header, HTTP: &client, Timeout: time.Duration(o.Config.Timeout), Now: o.Now, Observe: observe,
		Message: func(_ http.Header, body []byte) string {
			var b struct{ Error string }
			_ = json.Unmarshal(body, &b) // what cannot be read says nothing
			return b.Error
		},
		RetryAfter: func(resp *http.Response, now time.Time) time.Duration { return ticketrest.RetryAfter(resp.Header, now) },
	}}, nil
}

// signer signs requests as they leave.
type signer struct {
	next   http.RoundTripper
	secret []byte
	now    func() time.Time
}

// RoundTrip implements http.RoundTripper.
func (s signer) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err = errors.Join(err, r.Body.Close()); err != nil {
		return nil, err
	}
	at := strconv.FormatInt(s.now().Unix(), 10)
	mac := hmac.New(sha256.New, s.secret)
	mac.Write([]byte(at + "."))
	mac.Write(body)
	r = r.Clone(r.Context())
	r.Header.Set(headerTime, at)
	r.Header.Set(headerSignature, "v1="+hex.EncodeToString(mac.Sum(nil)))
	r.Body = io.NopCloser(bytes.NewReader(body))
	next := s.next
	if next == nil {
		next = http.DefaultTransport
	}
	return next.RoundTrip(r)
}

// event is the body of a request. docs/trackers/webhook.md documents it: names are added, never changed.
type event struct {
	Event    string `json:"event"`            // create or update
	Key      string `json:"key"`              // of the incident where it is created, of the update after that
	Ticket   string `json:"ticket,omitempty"` // of an update: the key that the endpoint answered with, else the incident's
	State    string `json:"state,omitempty"`  // open or resolved; "" when it stays
	Title    string `json:"title,omitempty"`
	Summary  string `json:"summary,omitempty"`
	Severity string `json:"severity,omitempty"`
	Priority string `json:"priority,omitempty"`
	// Team is who is asked to look.
	Team string `json:"team,omitempty"`
	// Text is plain, Markdown the same with markup: of a draft its body, of an update its comment.
	Text        string   `json:"text,omitempty"`
	Markdown    string   `json:"markdown,omitempty"`
	Labels      []string `json:"labels,omitempty"`
	IncidentURL string   `json:"incidentUrl,omitempty"`
	StartedAt   string   `json:"startedAt,omitempty"`
}

// answer is what an endpoint may say of the ticket that it made.
type answer struct {
	Key    string `json:"key"`
	URL    string `json:"url"`
	Status string `json:"status"`
}

// SearchLag is zero: Find never finds anything, and a repetition carries the same Idempotency-Key.
func (t *Tracker) SearchLag() time.Duration { return 0 }

// Check has nothing to ask.
func (t *Tracker) Check(context.Context) (warnings []string, err error) { return nil, nil }

func (t *Tracker) send(ctx context.Context, op, key string, e event, out any) error {
	return t.api.Do(ctx, ticketrest.Call{
		Op: op, Method: http.MethodPost, Header: http.Header{headerKey: {key}}, Body: e, Effect: true, AnyAnswer: true,
		Want: []int{http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent},
	}, out)
}

// Create posts the draft.
func (t *Tracker) Create(ctx context.Context, d ticket.Draft) (ticket.Ticket, error) {
	if err := d.Validate(); err != nil {
		return ticket.Ticket{}, &ticket.Error{Reason: ticket.ReasonInvalid, Err: err}
	}
	e := event{
		Event: opCreate, Key: d.Key, State: string(ticket.Open), Title: ticket.OneLine(d.Title, 1000), Summary: ticket.Clean(d.Summary), Severity: d.Severity,
		Priority: d.Priority, Team: d.Team, Text: d.Body.Text(), Markdown: d.Body.Markdown(), Labels: d.Labels, IncidentURL: d.IncidentURL,
	}
	if !d.StartedAt.IsZero() {
		e.StartedAt = d.StartedAt.UTC().Format(time.RFC3339Nano)
	}
	var a answer
	if err := t.send(ctx, opCreate, d.Key, e, &a); err != nil {
		return ticket.Ticket{}, err
	}
	u, _ := ticket.SafeURL(a.URL)
	made := ticket.Ticket{Ref: ticket.Ref{Key: ticket.OneLine(a.Key, 100), URL: u}, State: ticket.Open, Status: ticket.OneLine(a.Status, 40)}
	if made.Key == "" {
		made.Key = d.Key
	}
	if made.Status == "" {
		made.Status = string(ticket.Open)
	}
	return made, nil
}

// Find finds nothing: an endpoint can only be told.
func (t *Tracker) Find(context.Context, string) (ticket.Ticket, error) {
	return ticket.Ticket{}, notFound()
}

// Get knows nothing of what became of it.
func (t *Tracker) Get(context.Context, ticket.Ref) (ticket.Ticket, error) {
	return ticket.Ticket{}, notFound()
}

func notFound() error {
	return &ticket.Error{Reason: ticket.ReasonNotFound, Err: fmt.Errorf("webhook: an endpoint can only be told: %w", ticket.ErrNotFound)}
}

// Update posts what changed.
func (t *Tracker) Update(ctx context.Context, r ticket.Ref, u ticket.Update) error {
	if err := ticket.CheckKey(u.Key); err != nil {
		return &ticket.Error{Reason: ticket.ReasonInvalid, Err: err}
	}
	if u.State == ticket.Unchanged && u.Comment.Empty() {
		return nil
	}
	e := event{Event: opUpdate, Key: u.Key, Ticket: r.Key, State: string(u.State), Text: u.Comment.Text(), Markdown: u.Comment.Markdown()}
	return t.send(ctx, opUpdate, u.Key, e, nil)
}
