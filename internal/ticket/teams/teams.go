// Package teams tells a channel of Microsoft Teams of incidents, by Adaptive Cards through a workflow.
//
// A workflow takes a card and answers before it is shown, without naming it: nothing can be
// looked up, edited or answered in a thread. So every change is a card of its own with the incident's title,
// and a card whose answer was lost may come twice. It knows nothing of incidents of Portent, of the
// outbox or of other trackers.
package teams

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
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
	// Address is that of the workflow.
	Address web.Secret
	// Client sends the requests (Config.HTTPClient). It must not follow redirects.
	Client     *http.Client
	Now        func() time.Time
	Registerer prometheus.Registerer
}

// Tracker is a channel as a ticket.Tracker. It is safe for concurrent use.
type Tracker struct {
	api    *ticketrest.Client
	path   string
	query  url.Values
	secret string

	mu     sync.Mutex
	drafts map[string]ticket.Draft // by key, without the body
	keys   []string                // of drafts, oldest first
}

var _ ticket.Tracker = (*Tracker)(nil)

// maxRemembered bounds what is kept of incidents. Of an older one a card tells the key in place of the title.
const maxRemembered = 2000

const opPost = "post"

// New returns a tracker. It sends nothing.
func New(o Options) (*Tracker, error) {
	if o.Address == "" || o.Client == nil || o.Now == nil || o.Registerer == nil {
		return nil, errors.New("teams: address, HTTP client, clock and registerer are needed")
	}
	if err := checkAddress(o.Address.Reveal()); err != nil {
		return nil, fmt.Errorf("teams: url %w", err)
	}
	u, err := url.Parse(o.Address.Reveal())
	if err != nil {
		return nil, errors.New("teams: url is not a URL")
	}
	observe, err := ticketrest.NewRequests(o.Registerer, "teams", "Microsoft Teams", opPost)
	if err != nil {
		return nil, err
	}
	t := &Tracker{path: u.EscapedPath(), query: u.Query(), secret: u.Query().Get("sig"), drafts: map[string]ticket.Draft{}}
	t.api = &ticketrest.Client{
		Vendor: "teams", Base: u.Scheme + "://" + u.Host, HTTP: o.Client, Timeout: time.Duration(o.Config.Timeout), Now: o.Now,
		Message: t.message, Observe: observe,
		RetryAfter: func(resp *http.Response, now time.Time) time.Duration {
			if d := ticketrest.RetryAfter(resp.Header, now); d > 0 || resp.StatusCode != http.StatusTooManyRequests {
				return d
			}
			return limited
		},
	}
	return t, nil
}

// limited is the wait after a 429 that names none: four requests a second are taken.
const limited = 5 * time.Second

// message reads what Power Automate says, without the secret that it may repeat.
func (t *Tracker) message(_ http.Header, body []byte) string {
	var b struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &b) != nil {
		return ""
	}
	said := strings.TrimSpace(b.Error.Code + " " + b.Error.Message)
	if t.secret != "" {
		said = strings.ReplaceAll(said, t.secret, "<secret>")
	}
	return said
}

// SearchLag is zero: Find never finds anything.
func (t *Tracker) SearchLag() time.Duration { return 0 }

// Check has nothing to ask: a workflow can only be told.
func (t *Tracker) Check(context.Context) (warnings []string, err error) { return nil, nil }

type message struct {
	Type        string       `json:"type"`
	Summary     string       `json:"summary"`
	Attachments []attachment `json:"attachments"`
}

type attachment struct {
	ContentType string  `json:"contentType"`
	ContentURL  *string `json:"contentUrl"`
	Content     card    `json:"content"`
}

func (t *Tracker) post(ctx context.Context, summary string, c card) error {
	return t.api.Do(ctx, ticketrest.Call{
		Op: opPost, Method: http.MethodPost, Path: t.path, Query: t.query, Effect: true, AnyAnswer: true, // of 202 it is empty
		Want: []int{http.StatusOK, http.StatusAccepted},
		Body: message{Type: "message", Summary: ticket.OneLine(summary, 250), Attachments: []attachment{{ContentType: "application/vnd.microsoft.card.adaptive", Content: c}}},
	}, nil)
}

// styles are those of a card's head: with the sign they tell severity at a glance.
func head(d ticket.Draft, state ticket.State) (style, title string) {
	switch {
	case state == ticket.Resolved:
		return "good", "✅ Resolved: " + d.Title
	case d.Severity == "critical":
		return "attention", "🔴 " + d.Title
	case d.Severity == "warning":
		return "warning", "🟠 " + d.Title
	}
	return "accent", "🔵 " + d.Title
}

// Create posts a card.
func (t *Tracker) Create(ctx context.Context, d ticket.Draft) (ticket.Ticket, error) {
	if err := d.Validate(); err != nil {
		return ticket.Ticket{}, &ticket.Error{Reason: ticket.ReasonInvalid, Err: err}
	}
	style, title := head(d, ticket.Open)
	body := append(ticket.Doc{ticket.Paragraph(ticket.Text(d.Summary))}, d.Body...)
	if err := t.post(ctx, title, newCard(style, title, body, d.IncidentURL)); err != nil {
		return ticket.Ticket{}, err
	}
	t.remember(d)
	return ticket.Ticket{Ref: ticket.Ref{Key: d.Key}, State: ticket.Open, Status: string(ticket.Open)}, nil
}

// Find finds nothing: Teams has no search by a key.
func (t *Tracker) Find(context.Context, string) (ticket.Ticket, error) {
	return ticket.Ticket{}, notFound("a card cannot be looked for")
}

// Get knows nothing of what became of a card.
func (t *Tracker) Get(context.Context, ticket.Ref) (ticket.Ticket, error) {
	return ticket.Ticket{}, notFound("a card has no state")
}

func notFound(why string) error {
	return &ticket.Error{Reason: ticket.ReasonNotFound, Err: fmt.Errorf("teams: %s: %w", why, ticket.ErrNotFound)}
}

// Update posts a card about what changed.
func (t *Tracker) Update(ctx context.Context, r ticket.Ref, u ticket.Update) error {
	if err := ticket.CheckKey(u.Key); err != nil {
		return &ticket.Error{Reason: ticket.ReasonInvalid, Err: err}
	}
	if u.State == ticket.Unchanged && u.Comment.Empty() {
		return nil
	}
	t.mu.Lock()
	d, ok := t.drafts[r.Key]
	t.mu.Unlock()
	if !ok {
		d = ticket.Draft{Key: r.Key, Title: "Incident " + r.Key}
	}
	style, title := head(d, u.State)
	return t.post(ctx, title, newCard(style, title, u.Comment, d.IncidentURL))
}

func (t *Tracker) remember(d ticket.Draft) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.drafts[d.Key]; !ok {
		if t.keys = append(t.keys, d.Key); len(t.keys) > maxRemembered {
			delete(t.drafts, t.keys[0])
			t.keys = t.keys[1:]
		}
	}
	d.Body = nil
	t.drafts[d.Key] = d
}
