// Package slack tells a Slack channel of incidents: a message for each, what follows in
// its thread, and the message itself edited when the incident ends.
//
// Slack knows no key to search messages by. Ours carry one in metadata that nobody sees, and what was posted without an
// answer is looked for in the history of the channel before it is posted again (history.go). It knows nothing of incidents
// of Portent, of the outbox or of other trackers.
package slack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
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
	Token  web.Secret
	// Client sends the requests (Config.HTTPClient). It must not follow redirects.
	Client     *http.Client
	Now        func() time.Time
	Registerer prometheus.Registerer
}

// Tracker is a channel as a ticket.Tracker. A ticket is a message: its Key is the draft's, its ID the channel and the
// time stamp by which Slack names it. It is safe for concurrent use.
type Tracker struct {
	cfg     Config
	api     *ticketrest.Client
	now     func() time.Time
	started time.Time

	mu    sync.Mutex
	blind time.Time       // until when the history is not asked for: the app may not read it
	lost  map[string]bool // what was sent and had no answer
	asked time.Time       // when a question was last posted
	// What messages say.
	sent map[string]message // by Key
	keys []string           // of sent, oldest first
	done map[string]bool    // keys of updates that were posted
	last []string           // of done, oldest first
}

var _ ticket.Tracker = (*Tracker)(nil)

// message is what a message says, to edit it.
type message struct {
	draft ticket.Draft
	state ticket.State
}

// maxRemembered bounds what is kept of messages and updates. What is older is answered in its thread and no
// longer edited.
const maxRemembered = 2000

const (
	opPost    = "chat.postMessage"
	opUpdate  = "chat.update"
	opWhisper = "chat.postEphemeral" //nolint:gosec // the name of a method, no secret
	opHistory = "conversations.history"
	opReplies = "conversations.replies"
	opView    = "views.open"
)

// New returns a tracker. It sends nothing.
func New(o Options) (*Tracker, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	if o.Token == "" || o.Client == nil || o.Now == nil || o.Registerer == nil {
		return nil, errors.New("slack: token, HTTP client, clock and registerer are needed")
	}
	observe, err := ticketrest.NewRequests(o.Registerer, "slack", "Slack", opPost, opUpdate, opWhisper, opHistory, opReplies, opView)
	if err != nil {
		return nil, err
	}
	return &Tracker{
		cfg: o.Config, now: o.Now, started: o.Now(), lost: map[string]bool{}, sent: map[string]message{}, done: map[string]bool{},
		api: &ticketrest.Client{
			Vendor: "slack", Base: strings.TrimRight(o.Config.URL, "/") + "/api", HTTP: o.Client, Timeout: time.Duration(o.Config.Timeout), Now: o.Now,
			Header:  http.Header{"Authorization": {"Bearer " + o.Token.Reveal()}},
			Message: func(_ http.Header, body []byte) string { return read(body).Error },
			RetryAfter: func(resp *http.Response, now time.Time) time.Duration {
				if d := ticketrest.RetryAfter(resp.Header, now); d > 0 || resp.StatusCode != http.StatusTooManyRequests {
					return d
				}
				return limited
			},
			Observe: observe,
		},
	}, nil
}

// limited is the wait after a 429 that names none: about one message a second and channel is allowed.
const limited = 10 * time.Second

// SearchLag is how long Find may miss a message that is on its way.
func (t *Tracker) SearchLag() time.Duration { return searchLag }

// answer is the answer to every method. Errors come with status 200.
type answer struct {
	OK      bool   `json:"ok"`
	Error   string `json:"error"`
	Channel string `json:"channel"`
	TS      string `json:"ts"`
}

func read(body []byte) answer {
	var a answer
	_ = json.Unmarshal(body, &a) // what cannot be read says nothing
	return a
}

// post is the body of chat.postMessage and chat.update.
type post struct {
	Channel     string  `json:"channel"`
	TS          string  `json:"ts,omitempty"`
	User        string  `json:"user,omitempty"` // who alone sees it
	ThreadTS    string  `json:"thread_ts,omitempty"`
	Broadcast   bool    `json:"reply_broadcast,omitempty"`
	Text        string  `json:"text"`
	Blocks      []block `json:"blocks,omitempty"`
	UnfurlLinks *bool   `json:"unfurl_links,omitempty"`
	// Metadata is by what the message is found again.
	Metadata *metadata `json:"metadata,omitempty"`
}

func (t *Tracker) send(ctx context.Context, op string, body any) (answer, error) {
	var a answer
	if err := t.api.Do(ctx, ticketrest.Call{Op: op, Method: http.MethodPost, Path: "/" + op, Body: body, Effect: true}, &a); err != nil {
		return a, err
	}
	if !a.OK {
		return a, refused(op, a.Error)
	}
	return a, nil
}

// refused is what follows from an error of the API. Nothing was posted.
func refused(op, code string) error {
	e := &ticket.Error{Reason: ticket.ReasonInvalid, Err: fmt.Errorf("slack %s: %s", op, ticket.OneLine(code, 100))}
	switch code {
	case "ratelimited", "rate_limited", "message_limit_exceeded":
		e.Reason, e.Retry, e.RetryAfter = ticket.ReasonRateLimited, true, limited
	case "invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive":
		e.Reason, e.Retry, e.RetryAfter = ticket.ReasonAuth, true, time.Minute
	case "not_in_channel", "restricted_action", "missing_scope", "no_permission", "access_denied", "ekm_access_denied", "is_archived", "channel_not_found", "accesslimited":
		e.Reason, e.Retry, e.RetryAfter = ticket.ReasonPermission, true, time.Minute
	case "message_not_found", "cant_update_message", "edit_window_closed":
		e.Reason = ticket.ReasonNotFound
	case "internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org":
		e.Reason, e.Retry = ticket.ReasonUnavailable, true
	}
	return e
}

// Create posts a message.
func (t *Tracker) Create(ctx context.Context, d ticket.Draft) (ticket.Ticket, error) {
	if err := d.Validate(); err != nil {
		return ticket.Ticket{}, &ticket.Error{Reason: ticket.ReasonInvalid, Err: err}
	}
	no := false
	p := t.show(message{draft: d, state: ticket.Open})
	p.Channel, p.UnfurlLinks, p.Metadata = t.cfg.Channel, &no, marked(eventIncident, d.Key)
	a, err := t.send(ctx, opPost, p)
	if err != nil {
		return ticket.Ticket{}, err
	}
	t.remember(d.Key, message{draft: d, state: ticket.Open})
	return ticket.Ticket{Ref: ticket.Ref{Key: d.Key, ID: a.Channel + "/" + a.TS}, State: ticket.Open, Status: string(ticket.Open)}, nil
}

// show is a message with everything that it says.
func (t *Tracker) show(m message) post {
	d := m.draft
	mark, colour := marks(m)
	title := mark + " " + d.Title
	blocks := []block{header(title)}
	if who := t.cfg.Mention[d.Severity]; who != "" && m.state != ticket.Resolved {
		blocks = append(blocks, section(who))
	}
	if d.Summary != "" {
		blocks = append(blocks, section(cutMarkup(escape(d.Summary), maxSection)))
	}
	const others = 6 // header, mention, summary, rest, button, context
	blocks = append(blocks, sections(d.Body, maxBlocks-others)...)
	if u, ok := ticket.SafeURL(d.IncidentURL); ok {
		blocks = append(blocks, openButton("Open the incident", u))
	}
	blocks = append(blocks, contextLine(colour+" · "+escape(d.Key)))
	return post{Text: ticket.Cut(escape(title), maxText), Blocks: blocks}
}

// marks tell severity and state at a glance, by sign and word: colours alone are not seen by all.
func marks(m message) (sign, word string) {
	switch {
	case m.state == ticket.Resolved:
		return "✅", "resolved"
	case m.draft.Severity == "critical":
		return "🔴", "critical"
	case m.draft.Severity == "warning":
		return "🟠", "warning"
	}
	return "🔵", "info"
}

// Get knows nothing of what became of a message.
func (t *Tracker) Get(context.Context, ticket.Ref) (ticket.Ticket, error) {
	return ticket.Ticket{}, notFound("a message has no state")
}

func notFound(why string) error {
	return &ticket.Error{Reason: ticket.ReasonNotFound, Err: fmt.Errorf("slack: %s: %w", why, ticket.ErrNotFound)}
}

// Update answers in the thread of the message, and edits the message when the state changes. A change of state is
// shown in the channel too.
func (t *Tracker) Update(ctx context.Context, r ticket.Ref, u ticket.Update) error {
	channel, ts, ok := strings.Cut(r.ID, "/")
	if !ok || !channelID.MatchString(channel) {
		return notFound(fmt.Sprintf("%q is no message of ours", ticket.Cut(r.ID, 40)))
	}
	if err := ticket.CheckKey(u.Key); err != nil {
		return &ticket.Error{Reason: ticket.ReasonInvalid, Err: err}
	}
	if u.State != ticket.Unchanged {
		if err := t.edit(ctx, r.Key, channel, ts, u.State); err != nil {
			return err
		}
	}
	what := r.Key + " " + u.Key
	if t.posted(what) {
		return nil
	}
	if t.unsure(what) {
		switch _, err := t.lookup(ctx, channel, ts, eventUpdate, u.Key); {
		case err == nil:
			t.note(what)
			return nil
		case !errors.Is(err, ticket.ErrNotFound):
			return err
		}
	}
	doc := u.Comment
	if doc.Empty() {
		if u.State == ticket.Unchanged {
			return nil
		}
		doc = ticket.Doc{ticket.Paragraph(ticket.Text("The incident is " + string(u.State) + "."))}
	}
	p := post{
		Channel: channel, ThreadTS: ts, Broadcast: u.State != ticket.Unchanged,
		Text: ticket.Cut(escape(doc.Text()), maxText), Blocks: sections(doc, maxBlocks-1), Metadata: marked(eventUpdate, u.Key),
	}
	_, err := t.send(ctx, opPost, p)
	t.ended(what, err)
	if err != nil {
		return err
	}
	t.note(what)
	return nil
}

// edit shows the new state in the message itself, where it is remembered what that says.
func (t *Tracker) edit(ctx context.Context, key, channel, ts string, state ticket.State) error {
	t.mu.Lock()
	m, ok := t.sent[key]
	t.mu.Unlock()
	if !ok || m.state == state {
		return nil
	}
	m.state = state
	p := t.show(m)
	p.Channel, p.TS = channel, ts
	_, err := t.send(ctx, opUpdate, p)
	if e := (*ticket.Error)(nil); errors.As(err, &e) && e.Reason == ticket.ReasonNotFound {
		err = nil // somebody deleted it, or it may no longer be edited: the thread will tell
	}
	if err == nil {
		t.remember(key, m)
	}
	return err
}

func (t *Tracker) remember(key string, m message) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.sent[key]; !ok {
		if t.keys = append(t.keys, key); len(t.keys) > maxRemembered {
			delete(t.sent, t.keys[0])
			t.keys = t.keys[1:]
		}
	}
	t.sent[key] = m
}

func (t *Tracker) posted(key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.done[key]
}

func (t *Tracker) note(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done[key] = true
	if t.last = append(t.last, key); len(t.last) > maxRemembered {
		delete(t.done, t.last[0])
		t.last = t.last[1:]
	}
}
