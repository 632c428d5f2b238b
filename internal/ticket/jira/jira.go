// Package jira files tickets in Jira Cloud through its REST API, version 3, and in
// Jira Data Center through version 2.
//
// It knows nothing of incidents, of the outbox or of other trackers. Jira gives
// a create no idempotency key and its search lags behind, so one ticket per
// incident rests on three things: a label that holds the incident's key, a
// caller that looks for that label before it creates again (Target.SearchLag),
// and Find, which closes a second ticket as a duplicate when one turns up.
package jira

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
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
	// Token is the token or password itself (Config.Secret).
	Token web.Secret
	// Client sends the requests (Config.HTTPClient). It must not follow redirects.
	Client *http.Client
	// Now is the clock, for what is cached and for dates in Retry-After.
	Now        func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

func (o *Options) validate() error {
	if err := o.Config.Validate(); err != nil {
		return err
	}
	switch {
	case o.Token == "":
		return errors.New("jira: no token")
	case o.Client == nil:
		return errors.New("jira: no HTTP client")
	case o.Now == nil:
		return errors.New("jira: no clock")
	case o.Logger == nil:
		return errors.New("jira: no logger")
	case o.Registerer == nil:
		return errors.New("jira: no registerer")
	}
	if err := ticketrest.CheckSecret(o.Token.Reveal()); err != nil {
		return fmt.Errorf("jira: the token %w", err)
	}
	return nil
}

// Tracker is a Jira project as a ticket.Tracker. It is safe for concurrent
// use.
type Tracker struct {
	cfg        Config
	site       string
	c          *ticketrest.Client
	desk       *serviceDesk // nil but for Service Management
	screen     screenCache
	logger     *slog.Logger
	duplicates *prometheus.CounterVec

	mu      sync.Mutex
	account string // our account id, once read
	known   ring   // ids of what this process created, by key
}

var _ ticket.Tracker = (*Tracker)(nil)

// New returns a tracker. It sends nothing; Check does.
func New(o Options) (*Tracker, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	observe, err := ticketrest.NewRequests(o.Registerer, "jira", "Jira", opCreate, opSearch, opRead, opComment, opTransition)
	if err != nil {
		return nil, err
	}
	duplicates, err := newDuplicates(o.Registerer)
	if err != nil {
		return nil, err
	}
	t := &Tracker{
		cfg: o.Config, site: strings.TrimRight(cmp.Or(o.Config.SiteURL, o.Config.URL), "/"), logger: o.Logger, duplicates: duplicates,
		c: &ticketrest.Client{
			Vendor: "jira", Base: strings.TrimRight(o.Config.URL, "/") + o.Config.api(), HTTP: o.Client, Timeout: time.Duration(o.Config.Timeout), Now: o.Now,
			Header:  authorization(cmp.Or(o.Config.Email, o.Config.Username), o.Token.Reveal()),
			Message: message, Observe: observe,
			RetryAfter: func(resp *http.Response, now time.Time) time.Duration { return retryAfter(resp.Header, now) },
		},
	}
	t.desk = newServiceDesk(&t.cfg, t.c)
	return t, nil
}

// SearchLag is how long Find may miss a ticket that exists.
func (t *Tracker) SearchLag() time.Duration { return time.Duration(t.cfg.SearchLag) }

// The entity properties of our issues. Unlike labels they are not shown and a
// clone of an issue does not get them.
const (
	propIncident  = "portent.incident"
	propDuplicate = "portent.duplicate"
)

// incidentProperty is the value of propIncident.
type incidentProperty struct {
	Key       string    `json:"key"`
	Severity  string    `json:"severity,omitempty"`
	StartedAt time.Time `json:"startedAt,omitzero"`
	URL       string    `json:"url,omitempty"`
}

// duplicateProperty is the value of propDuplicate: the issue that stays.
type duplicateProperty struct {
	Of string `json:"of"`
	ID string `json:"id"`
}

// Create files the draft. The status of the returned ticket is the state's own
// name, since Jira does not tell and a second request could fail.
func (t *Tracker) Create(ctx context.Context, d ticket.Draft) (ticket.Ticket, error) {
	if err := d.Validate(); err != nil {
		return ticket.Ticket{}, &ticket.Error{Reason: ticket.ReasonInvalid, Err: err}
	}
	s, err := t.createScreen(ctx)
	if err != nil {
		return ticket.Ticket{}, err
	}
	file := t.file
	if t.desk != nil {
		file = t.request
	}
	made, err := file(ctx, d, s)
	if err != nil {
		if ticket.AsError(err).Reason == ticket.ReasonInvalid {
			t.screen.forget() // the screen may have changed since it was read
		}
		return ticket.Ticket{}, err
	}
	if !validRef(made.Key) || !validRef(made.ID) {
		return ticket.Ticket{}, ticketrest.BadAnswer(true, fmt.Errorf("jira %s: the answer names no issue: key %q, id %q", opCreate,
			ticket.Cut(made.Key, 40), ticket.Cut(made.ID, 40)))
	}
	t.mu.Lock()
	t.known.put(d.Key, issue{ID: made.ID}.number())
	t.mu.Unlock()
	if t.desk != nil {
		t.mark(ctx, made.ID, d, s, nil)
	}
	return ticket.Ticket{Ref: t.ref(made.Key, made.ID), State: ticket.Open, Status: string(ticket.Open)}, nil
}

// file creates an issue.
func (t *Tracker) file(ctx context.Context, d ticket.Draft, s *screen) (made createdIssue, err error) {
	body, err := t.draftBody(d, s)
	if err != nil {
		return made, &ticket.Error{Reason: ticket.ReasonInvalid, Err: err}
	}
	err = t.c.Do(ctx, ticketrest.Call{Op: opCreate, Method: http.MethodPost, Path: "/issue", Body: body, Want: []int{http.StatusCreated}, Effect: true}, &made)
	return made, err
}

// Get returns the ticket as it is now. A ticket that was closed as a duplicate
// is followed to the one that stays, so the returned Ref may differ from r.
func (t *Tracker) Get(ctx context.Context, r ticket.Ref) (ticket.Ticket, error) {
	i, err := t.read(ctx, r)
	if err != nil {
		return ticket.Ticket{}, err
	}
	return t.view(i), nil
}

// read reads an issue, which Jira does with strong consistency, and follows it
// once when it is a duplicate.
func (t *Tracker) read(ctx context.Context, r ticket.Ref) (issue, error) {
	i, err := t.readOne(ctx, r)
	if err != nil {
		return issue{}, err
	}
	var dup duplicateProperty
	if raw, ok := i.Properties[propDuplicate]; ok && readProperty(raw, &dup) == nil && validRef(dup.ID) {
		kept, err := t.readOne(ctx, ticket.Ref{ID: dup.ID})
		if err == nil {
			return kept, nil
		}
		if !errors.Is(err, ticket.ErrNotFound) {
			return issue{}, err
		}
		// The one that stayed was deleted: the duplicate is what is left.
	}
	return i, nil
}

func (t *Tracker) readOne(ctx context.Context, r ticket.Ref) (issue, error) {
	name := r.Key
	if r.ID != "" {
		name = r.ID
	}
	if !validRef(name) {
		return issue{}, &ticket.Error{Reason: ticket.ReasonNotFound, Err: fmt.Errorf("%q is not the key of a Jira issue", ticket.Cut(name, 40))}
	}
	var i issue
	fields := "status,labels,creator"
	if t.desk != nil {
		fields += ",description"
	}
	err := t.c.Do(ctx, ticketrest.Call{Op: opRead, Method: http.MethodGet, Path: issuePath(name), Query: url.Values{
		"fields":     {fields},
		"properties": {propIncident + "," + propDuplicate},
	}}, &i)
	if err != nil {
		return issue{}, err
	}
	if !validRef(i.Key) || !validRef(i.ID) {
		return issue{}, ticketrest.BadAnswer(false, fmt.Errorf("jira %s: the answer names no issue", opRead))
	}
	return i, nil
}

func (t *Tracker) view(i issue) ticket.Ticket {
	return ticket.Ticket{Ref: t.ref(i.Key, i.ID), State: stateOf(i), Status: ticket.OneLine(i.Fields.Status.Name, 100)}
}

func stateOf(i issue) ticket.State {
	if i.Fields.Status.Category.Key == categoryDone {
		return ticket.Resolved
	}
	return ticket.Open
}

func (t *Tracker) ref(key, id string) ticket.Ref {
	return ticket.Ref{Key: key, ID: id, URL: t.site + "/browse/" + key}
}

var refPattern = regexp.MustCompile(`^(?:[A-Za-z][A-Za-z0-9_]*-)?[0-9]{1,19}$`)

// validRef reports whether s is an issue's key or id, and so can stand in a path.
func validRef(s string) bool { return len(s) <= 300 && refPattern.MatchString(s) }

func issuePath(name string, rest ...string) string {
	return "/issue/" + strings.Join(append([]string{name}, rest...), "/")
}
