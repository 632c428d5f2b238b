package slack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticketrest"
)

// Slack gives a message no idempotency key and no search by one. What it has is metadata, which nobody sees, and the history
// of a channel, which tells it again: by them a message whose answer was lost is found. An app without the scope to read the
// history (channels:history, groups:history) may post such a message twice.

// The kinds of our metadata.
const (
	eventIncident = "portent_incident"
	eventUpdate   = "portent_update"
	eventQuestion = "portent_question"
)

// metadata marks a message as ours.
type metadata struct {
	Type    string `json:"event_type"`
	Payload struct {
		Key string `json:"key"`
	} `json:"event_payload"`
}

func marked(event, key string) *metadata {
	m := &metadata{Type: event}
	m.Payload.Key = key
	return m
}

// page is a page of messages.
type page struct {
	OK       bool   `json:"ok"`
	Error    string `json:"error"`
	Messages []struct {
		TS       string   `json:"ts"`
		Metadata metadata `json:"metadata"`
	} `json:"messages"`
	HasMore bool `json:"has_more"`
	Next    struct {
		Cursor string `json:"next_cursor"`
	} `json:"response_metadata"`
}

const (
	historyPage = 200
	// maxHistory bounds the pages that are read: of a channel the newest messages come first, of a thread the oldest.
	maxHistory = 5
	// searchLag is how long a request without an answer may still be at work.
	searchLag = 10 * time.Second
	// lookBack bounds how old a message may be that is looked for: by then the outbox has given up.
	lookBack = 24 * time.Hour
	// afterStart is for how long a process cannot know what the one before it had sent.
	afterStart = 5 * time.Minute
	// noScope is how long an app that lacks the scope is not asked again.
	noScope = time.Hour
)

// lookup returns the time stamp of the message with that mark, in a channel or in the thread under root, or ticket.ErrNotFound.
func (t *Tracker) lookup(ctx context.Context, channel, root, event, key string) (string, error) {
	t.mu.Lock()
	blind := t.now().Before(t.blind)
	t.mu.Unlock()
	if blind {
		return "", notFound("the app may not read the history of the channel")
	}
	q := url.Values{
		"channel": {channel}, "include_all_metadata": {"true"}, "limit": {strconv.Itoa(historyPage)},
		"oldest": {strconv.FormatInt(t.now().Add(-lookBack).Unix(), 10) + ".000000"},
	}
	op := opHistory
	if root != "" {
		op = opReplies
		q.Set("ts", root)
	}
	for range maxHistory {
		var p page
		if err := t.api.Do(ctx, ticketrest.Call{Op: op, Method: http.MethodGet, Path: "/" + op, Query: q}, &p); err != nil {
			return "", err
		}
		if !p.OK {
			return "", t.unreadable(op, p.Error)
		}
		for _, m := range p.Messages {
			if m.Metadata.Type == event && m.Metadata.Payload.Key == key && m.TS != "" {
				return m.TS, nil
			}
		}
		if !p.HasMore || p.Next.Cursor == "" {
			break
		}
		q.Set("cursor", p.Next.Cursor)
	}
	return "", notFound("no message of the channel is about " + ticket.Cut(key, 60))
}

// unreadable is what follows when the history is not told. An app without the scope works as if nothing were found.
func (t *Tracker) unreadable(op, code string) error {
	if code == "missing_scope" || code == "not_allowed_token_type" {
		t.mu.Lock()
		t.blind = t.now().Add(noScope)
		t.mu.Unlock()
		return notFound(op + ": " + code)
	}
	return refused(op, code)
}

// Find looks for the message about an incident in the history of the channel, by the metadata that it was posted with.
func (t *Tracker) Find(ctx context.Context, key string) (ticket.Ticket, error) {
	if err := ticket.CheckKey(key); err != nil {
		return ticket.Ticket{}, &ticket.Error{Reason: ticket.ReasonInvalid, Err: err}
	}
	ts, err := t.lookup(ctx, t.cfg.Channel, "", eventIncident, key)
	if err != nil {
		return ticket.Ticket{}, err
	}
	return ticket.Ticket{Ref: ticket.Ref{Key: key, ID: t.cfg.Channel + "/" + ts}, State: ticket.Open, Status: string(ticket.Open)}, nil
}

// Check asks for the history of the channel: token, channel and membership are right then. Without the scope for it
// everything works but finding what was posted without an answer.
func (t *Tracker) Check(ctx context.Context) (warnings []string, err error) {
	_, err = t.lookup(ctx, t.cfg.Channel, "", eventIncident, "portent-check")
	t.mu.Lock()
	blind := t.now().Before(t.blind)
	t.mu.Unlock()
	switch e := ticket.AsError(err); {
	case blind:
		return []string{"the app lacks the scope channels:history (groups:history for a private channel): a message whose answer was lost may be posted twice"}, nil
	case err == nil, errors.Is(err, ticket.ErrNotFound):
		return nil, nil
	case e.Reason == ticket.ReasonAuth, e.Reason == ticket.ReasonPermission, e.Reason == ticket.ReasonInvalid:
		return nil, &ticketrest.CheckError{Vendor: "slack", Problems: []string{fmt.Sprintf("channel %s: %v", t.cfg.Channel, e.Err)}}
	}
	return nil, err
}

// unsure reports whether something may have been posted already: its answer was lost, or a process before this one may have
// sent it.
func (t *Tracker) unsure(what string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lost[what] || t.now().Sub(t.started) < afterStart
}

// ended notes how sending something ended.
func (t *Tracker) ended(what string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil:
		delete(t.lost, what)
	case ticket.AsError(err).Ambiguous:
		if len(t.lost) >= maxRemembered {
			clear(t.lost) // so many answers are lost only when Slack is down: what is sent then is not posted either
		}
		t.lost[what] = true
	}
}
