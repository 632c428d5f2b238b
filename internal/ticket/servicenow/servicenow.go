// Package servicenow files incidents in ServiceNow through its Table API, or sends
// events to its Event Management.
//
// ServiceNow gives a create no idempotency key, and a query it does not
// understand returns every incident there is. One incident per key rests on the
// column correlation_id, which is compared again in every answer, and on a look
// before and after each create; a second one is cancelled when it is found.
//
// It knows nothing of incidents of Portent, of the outbox or of other trackers.
package servicenow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticketrest"
	"github.com/portent-dev/portent/internal/web"
)

// Options are what a Tracker needs. All fields are required.
type Options struct {
	// Config must be valid.
	Config Config
	// Secret is the credential itself (Config.Secret).
	Secret web.Secret
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
	switch {
	case o.Secret == "":
		return errors.New("servicenow: no credentials")
	case o.Client == nil:
		return errors.New("servicenow: no HTTP client")
	case o.Now == nil:
		return errors.New("servicenow: no clock")
	case o.Logger == nil:
		return errors.New("servicenow: no logger")
	case o.Registerer == nil:
		return errors.New("servicenow: no registerer")
	}
	return nil
}

// Tracker is the incident table of an instance as a ticket.Tracker. It is safe
// for concurrent use.
type Tracker struct {
	cfg     Config
	site    string
	c       *ticketrest.Client
	logger  *slog.Logger
	dropped prometheus.Counter
	dups    *prometheus.CounterVec
}

var _ ticket.Tracker = (*Tracker)(nil)

// The operations, as they stand in errors and in metrics.
const (
	opChoices = "read choices"
	opCreate  = "create incident"
	opEvent   = "send event"
	opGroup   = "read group"
	opNotes   = "read work notes"
	opRead    = "read incident"
	opSearch  = "search"
	opUpdate  = "update incident"
)

// What became of a duplicate.
const (
	dupCancelled = "cancelled"
	dupForeign   = "not_ours"
	dupFailed    = "failed"
)

// New returns a tracker. It sends nothing; Check does.
func New(o Options) (*Tracker, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	observe, err := ticketrest.NewRequests(o.Registerer, "servicenow", "ServiceNow", opCreate, opEvent, opNotes, opRead, opSearch, opUpdate)
	if err != nil {
		return nil, err
	}
	t := &Tracker{
		cfg: o.Config, site: strings.TrimRight(o.Config.URL, "/"), logger: o.Logger,
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "portent_receiver_servicenow_fields_changed_total",
			Help: "Columns of new incidents that ServiceNow dropped or changed without saying so.",
		}),
		dups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "portent_receiver_servicenow_duplicates_total",
			Help: "Second incidents found for one key: cancelled, not_ours (of another account, left alone, counted at each look), or failed to cancel.",
		}, []string{"outcome"}),
	}
	for _, outcome := range []string{dupCancelled, dupForeign, dupFailed} {
		t.dups.WithLabelValues(outcome)
	}
	for _, c := range []prometheus.Collector{t.dropped, t.dups} {
		if err := o.Registerer.Register(c); err != nil {
			return nil, fmt.Errorf("servicenow: register metrics: %w", err)
		}
	}
	t.c = &ticketrest.Client{
		Vendor: "servicenow", Base: t.site, Header: o.Config.header(o.Secret), HTTP: o.Client, Timeout: time.Duration(o.Config.Timeout),
		Now: o.Now, Message: message, RetryAfter: retryAfter, Observe: observe,
	}
	return t, nil
}

// SearchLag is how long Find may miss an incident that exists.
func (t *Tracker) SearchLag() time.Duration {
	if t.cfg.Mode == ModeEvents {
		return 0 // there is nothing to wait for: an event is sent again
	}
	return time.Duration(t.cfg.SearchLag)
}

// Create files the draft. It looks for the key before and after: an incident that
// is there is returned, and of two that were made at the same time the older one.
func (t *Tracker) Create(ctx context.Context, d ticket.Draft) (ticket.Ticket, error) {
	if err := d.Validate(); err != nil {
		return ticket.Ticket{}, &ticket.Error{Reason: ticket.ReasonInvalid, Err: err}
	}
	if t.cfg.Mode == ModeEvents {
		return t.open(ctx, d)
	}
	found, err := t.Find(ctx, d.Key)
	if err == nil || !errors.Is(err, ticket.ErrNotFound) {
		return found, err
	}
	made, err := t.insert(ctx, t.draftBody(d))
	if err != nil {
		return ticket.Ticket{}, err
	}
	rows, err := t.rows(ctx, d.Key)
	if err != nil || len(rows) == 0 {
		t.logger.Warn("second incidents are not looked for", "key", made.number(), "err", err)
		return t.view(made), nil
	}
	kept, others := current(rows)
	t.cancelDuplicates(ctx, kept, others)
	return t.view(kept), nil
}

// insert creates an incident and says what of it was not kept.
func (t *Tracker) insert(ctx context.Context, body map[string]string) (record, error) {
	var made one
	err := t.c.Do(ctx, ticketrest.Call{
		Op: opCreate, Method: http.MethodPost, Path: table, Query: t.reading(body), Body: body, Want: []int{http.StatusCreated}, Effect: true,
	}, &made)
	if err != nil {
		return nil, err
	}
	if !made.Result.valid() {
		return nil, ticketrest.BadAnswer(true, errors.New("servicenow "+opCreate+": the answer names no incident"))
	}
	t.compare(body, made.Result)
	return made.Result, nil
}

// Find returns the incident that carries the key. Of several the oldest is
// returned and the others are cancelled; one that stands for a closed one (its
// parent) is returned in its place.
func (t *Tracker) Find(ctx context.Context, key string) (ticket.Ticket, error) {
	if err := ticket.CheckKey(key); err != nil {
		return ticket.Ticket{}, &ticket.Error{Reason: ticket.ReasonInvalid, Err: err}
	}
	if t.cfg.Mode == ModeEvents {
		return ticket.Ticket{}, notFound("events cannot be looked for; sent again they change nothing")
	}
	rows, err := t.rows(ctx, key)
	if err != nil {
		return ticket.Ticket{}, err
	}
	if len(rows) == 0 {
		return ticket.Ticket{}, notFound("no incident has the correlation_id of " + key)
	}
	kept, others := current(rows)
	t.cancelDuplicates(ctx, kept, others)
	return t.view(kept), nil
}

// Get returns the incident as it is now. One that was cancelled as a duplicate or
// closed is followed to the one in its place, so the Ref may differ from r.
func (t *Tracker) Get(ctx context.Context, r ticket.Ref) (ticket.Ticket, error) {
	if t.cfg.Mode == ModeEvents {
		return ticket.Ticket{}, notFound("an event has no state to be read")
	}
	i, err := t.read(ctx, r)
	if err != nil {
		return ticket.Ticket{}, err
	}
	return t.view(i), nil
}

func (t *Tracker) view(r record) ticket.Ticket {
	return ticket.Ticket{
		Ref:   ticket.Ref{Key: r.number(), ID: r.id(), URL: t.site + "/incident.do?sys_id=" + r.id()},
		State: r.ticketState(), Status: r.status(),
	}
}

func notFound(why string) error {
	return &ticket.Error{Reason: ticket.ReasonNotFound, Err: errors.New("servicenow: " + why)}
}

// message reads {"error":{"message","detail"}}.
func message(_ http.Header, body []byte) string {
	var b struct {
		Error struct {
			Message string `json:"message"`
			Detail  string `json:"detail"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &b) != nil {
		return ""
	}
	if b.Error.Detail == "" {
		return b.Error.Message
	}
	return b.Error.Message + ": " + b.Error.Detail
}

// retryAfter reads Retry-After, or the end of the hour that an administrator's
// rule counts.
func retryAfter(resp *http.Response, now time.Time) time.Duration {
	if d := ticketrest.RetryAfter(resp.Header, now); d > 0 || resp.StatusCode != http.StatusTooManyRequests {
		return d
	}
	unix, err := strconv.ParseInt(resp.Header.Get("X-Ratelimit-Reset"), 10, 64)
	if err != nil {
		return 0
	}
	return max(time.Unix(unix, 0).Sub(now), time.Second)
}
