// Package pagerduty opens and resolves incidents in PagerDuty through its Events
// API v2, and reads and annotates them through its REST API where that is
// configured.
//
// The incident's key is the event's dedup_key, by which PagerDuty itself makes
// one incident of repeated events as long as it is open. It knows nothing of
// incidents of Portent, of the outbox or of other trackers.
package pagerduty

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticketrest"
)

// Options are what a Tracker needs. All fields are required.
type Options struct {
	// Config must be valid.
	Config  Config
	Secrets Secrets
	// Client sends the requests (Config.HTTPClient). It must not follow redirects.
	Client     *http.Client
	Now        func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

func (o *Options) validate() error {
	if err := o.Config.Validate(); err != nil {
		return err
	}
	if err := checkRoutingKey(o.Secrets.RoutingKey); err != nil {
		return fmt.Errorf("pagerduty: routing key: %w", err)
	}
	if err := ticketrest.CheckSecret(o.Secrets.APIToken.Reveal()); err != nil {
		return fmt.Errorf("pagerduty: API token: %w", err)
	}
	switch {
	case o.Config.REST() != (o.Secrets.APIToken != ""):
		return errors.New("pagerduty: the API token is missing")
	case o.Client == nil:
		return errors.New("pagerduty: no HTTP client")
	case o.Now == nil:
		return errors.New("pagerduty: no clock")
	case o.Logger == nil:
		return errors.New("pagerduty: no logger")
	case o.Registerer == nil:
		return errors.New("pagerduty: no registerer")
	}
	return nil
}

// Tracker is a PagerDuty service as a ticket.Tracker. It is safe for concurrent
// use.
type Tracker struct {
	cfg        Config
	routingKey string
	events     *ticketrest.Client
	api        *ticketrest.Client // nil without REST
	now        func() time.Time
	logger     *slog.Logger

	mu    sync.Mutex
	known ring
}

var _ ticket.Tracker = (*Tracker)(nil)

// New returns a tracker. It sends nothing; Check does.
func New(o Options) (*Tracker, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	observe, err := ticketrest.NewRequests(o.Registerer, "pagerduty", "PagerDuty", actionTrigger, actionResolve, opSearch, opNotes, opNote, opResolve)
	if err != nil {
		return nil, err
	}
	t := &Tracker{cfg: o.Config, routingKey: o.Secrets.RoutingKey.Reveal(), now: o.Now, logger: o.Logger}
	site := func(base string) *ticketrest.Client {
		return &ticketrest.Client{
			Vendor: "pagerduty", Base: strings.TrimRight(base, "/"), HTTP: o.Client, Timeout: time.Duration(o.Config.Timeout),
			Now: o.Now, Message: t.message, RetryAfter: retryAfter, Observe: observe,
		}
	}
	t.events = site(o.Config.URL)
	if o.Config.REST() {
		t.api = site(o.Config.APIURL)
		t.api.Header = http.Header{
			"Authorization": {"Token token=" + o.Secrets.APIToken.Reveal()},
			"Accept":        {"application/vnd.pagerduty+json;version=2"},
			"Content-Type":  {"application/json"}, // asked for with reads too
		}
	}
	return t, nil
}

// SearchLag is how long Find may miss an incident that exists. Without REST it is
// zero: Find never finds one, and an event is repeated at once, which its key
// makes harmless.
func (t *Tracker) SearchLag() time.Duration {
	if t.api == nil {
		return 0
	}
	return time.Duration(t.cfg.SearchLag)
}

// Create opens an incident. When an alert with the key is open PagerDuty takes
// the event as a repetition. With REST the answer names the incident if PagerDuty
// has made it already.
//
// A failure after the event left is ambiguous though a repetition makes no second
// incident as long as the first is open: in between a person may have resolved
// it, and with REST a look tells.
func (t *Tracker) Create(ctx context.Context, d ticket.Draft) (ticket.Ticket, error) {
	if err := d.Validate(); err != nil {
		return ticket.Ticket{}, &ticket.Error{Reason: ticket.ReasonInvalid, Err: err}
	}
	e := t.opening(d)
	if err := t.send(ctx, e); err != nil {
		return ticket.Ticket{}, err
	}
	t.remember(d.Key, memory{title: e.Payload.Summary, severity: e.Payload.Severity, sent: t.now()})
	made := ticket.Ticket{Ref: ticket.Ref{Key: d.Key}, State: ticket.Open, Status: statusTriggered}
	if t.api == nil {
		return made, nil
	}
	if got, err := t.Find(ctx, d.Key); err == nil && got.State == ticket.Open {
		return got, nil
	}
	// Not there yet, or not to be had: the event was accepted all the same.
	return made, nil
}

// Find returns the newest incident of the key: one that was resolved is never
// opened again, so after a reopening there are several. Without REST it always
// says ErrNotFound.
func (t *Tracker) Find(ctx context.Context, key string) (ticket.Ticket, error) {
	if err := ticket.CheckKey(key); err != nil {
		return ticket.Ticket{}, &ticket.Error{Reason: ticket.ReasonInvalid, Err: err}
	}
	if t.api == nil {
		return ticket.Ticket{}, notFound("without REST no incident can be looked for")
	}
	return t.newest(ctx, key)
}

// Get is Find by the key of the ref.
func (t *Tracker) Get(ctx context.Context, r ticket.Ref) (ticket.Ticket, error) {
	if ticket.CheckKey(r.Key) != nil {
		return ticket.Ticket{}, notFound(fmt.Sprintf("%q is not a key of ours", ticket.Cut(r.Key, 40)))
	}
	return t.Find(ctx, r.Key)
}

func (t *Tracker) newest(ctx context.Context, key string) (ticket.Ticket, error) {
	found, err := t.incidents(ctx, key)
	if err != nil {
		return ticket.Ticket{}, err
	}
	if len(found) == 0 {
		return ticket.Ticket{}, notFound("no incident has the key " + key)
	}
	i := found[0]
	u, _ := ticket.SafeURL(i.HTMLURL)
	return ticket.Ticket{Ref: ticket.Ref{Key: key, ID: i.ID, URL: u}, State: i.state(), Status: ticket.OneLine(i.Status, 40)}, nil
}

func notFound(why string) error {
	return &ticket.Error{Reason: ticket.ReasonNotFound, Err: errors.New("pagerduty: " + why)}
}

// message reads the errors of both APIs. The routing key is in the body of every
// event, so an answer could repeat it.
func (t *Tracker) message(_ http.Header, body []byte) string {
	var b struct {
		Message string          `json:"message"`
		Errors  []string        `json:"errors"`
		Error   json.RawMessage `json:"error"`
	}
	if json.Unmarshal(body, &b) != nil {
		return ""
	}
	parts := append([]string{b.Message}, b.Errors...)
	var inner struct {
		Message string   `json:"message"`
		Errors  []string `json:"errors"`
	}
	if json.Unmarshal(b.Error, &inner) == nil {
		parts = append(append(parts, inner.Message), inner.Errors...)
	}
	var said []string
	for _, p := range parts {
		if p != "" {
			said = append(said, p)
		}
	}
	return strings.ReplaceAll(strings.Join(said, "; "), t.routingKey, "<secret>")
}

// limited is the wait after a 429 that names none: limits are counted per minute.
const limited = 30 * time.Second

func retryAfter(resp *http.Response, now time.Time) time.Duration {
	d := ticketrest.RetryAfter(resp.Header, now)
	if d > 0 || resp.StatusCode != http.StatusTooManyRequests {
		return d
	}
	if d, ok := ticketrest.Seconds(resp.Header.Get("Ratelimit-Reset")); ok {
		return max(d, time.Second)
	}
	return limited
}
