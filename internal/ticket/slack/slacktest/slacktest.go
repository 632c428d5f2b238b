// Package slacktest plays the part of Slack's Web API that Portent uses, for tests. Every request is held to the
// description, strictly, and so is every answer.
package slacktest

import (
	_ "embed" // of the description
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/portent-dev/portent/internal/spectest"
	"github.com/portent-dev/portent/internal/ticket/doubletest"
)

// What the double accepts.
const (
	Token   = "xoxb-123456789-portent"
	Channel = "C0123456789"
)

// The operations, for faults and counts.
const (
	OpPost    = "chat.postMessage"
	OpUpdate  = "chat.update"
	OpWhisper = "chat.postEphemeral" //nolint:gosec // the name of a method, no secret
	OpHistory = "conversations.history"
	OpReplies = "conversations.replies"
	OpView    = "views.open"
)

// more describes what the vendor's description that may be had does not cover.
//
//go:embed slack-more.contract.json
var more []byte

// Message is a message as people see it.
type Message struct {
	TS, Thread string
	Text       string
	Blocks     string // as JSON
	Broadcast  bool
	Edited     int
	Metadata   json.RawMessage
}

// Form is a form that was opened for somebody who pressed a button.
type Form struct{ Trigger, CallbackID, Meta, Title, Blocks string }

// Whisper is what one user alone was told.
type Whisper struct{ User, Text string }

// Server is a workspace with one channel. It is safe for concurrent use.
type Server struct {
	doubletest.Server

	mu       sync.Mutex
	messages []*Message
	whispers []Whisper
	forms    []Form
	says     []string // errors of the next calls, with status 200
	blind    bool
}

// Start serves an empty channel for the length of a test and returns its address. A violation fails the test.
func Start(t testing.TB) (*Server, string) {
	t.Helper()
	contract := spectest.Load(t, "slack")
	own, err := spectest.Parse("slack-more", more)
	if err != nil {
		t.Fatalf("%v", err)
	}
	s := &Server{}
	failed := func(status int, code string) doubletest.Answer {
		return doubletest.Answer{Status: status, Body: map[string]any{"ok": false, "error": code}}
	}
	s.Server = doubletest.Server{
		Report: func(err error) { t.Errorf("slack: %v", err) },
		Find: func(r *http.Request) (doubletest.Route, bool) {
			rt := doubletest.Route{Write: true, Contract: contract, Allowed: r.Header.Get("Authorization") == "Bearer "+Token}
			switch r.URL.Path {
			case "/api/chat.postMessage":
				rt.Op, rt.Handle = OpPost, s.locked(s.post)
			case "/api/chat.update":
				rt.Op, rt.Handle = OpUpdate, s.locked(s.update)
			case "/api/chat.postEphemeral":
				rt.Op, rt.Handle = OpWhisper, s.locked(s.whisper)
			case "/api/conversations.history":
				rt.Op, rt.Write, rt.Contract, rt.Handle = OpHistory, false, own, s.read
				return rt, r.Method == http.MethodGet
			case "/api/conversations.replies":
				rt.Op, rt.Write, rt.Contract, rt.Handle = OpReplies, false, own, s.read
				return rt, r.Method == http.MethodGet
			case "/api/views.open":
				rt.Op, rt.Write, rt.Contract, rt.Handle = OpView, false, own, s.view
			default:
				return rt, false
			}
			return rt, r.Method == http.MethodPost
		},
		Unknown: func(error) doubletest.Answer { return failed(http.StatusNotFound, "unknown_method") },
		Refused: func(error) doubletest.Answer { return failed(http.StatusOK, "invalid_auth") },
		Invalid: func(error) doubletest.Answer { return failed(http.StatusOK, "invalid_blocks") },
		RateLimited: func(f doubletest.Fault) doubletest.Answer {
			a := failed(http.StatusTooManyRequests, "ratelimited")
			if f.RetryAfter > 0 {
				a.Header = http.Header{"Retry-After": {fmt.Sprintf("%.0f", f.RetryAfter.Seconds())}}
			}
			return a
		},
	}
	return s, s.Server.Start(t)
}

// Say makes the next call fail with an error of the API, which comes with status 200.
func (s *Server) Say(code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.says = append(s.says, code)
}

// Blind takes away the scope to read the history.
func (s *Server) Blind() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blind = true
}

// Forms returns the forms that were opened, in order.
func (s *Server) Forms() []Form {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Form(nil), s.forms...)
}

// Messages returns what is in the channel, threads included, in order.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Message, len(s.messages))
	for i, m := range s.messages {
		out[i] = *m
	}
	return out
}

// Whispers returns what users were told alone, in order.
func (s *Server) Whispers() []Whisper {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Whisper(nil), s.whispers...)
}

// Delete removes the message, as a person may.
func (s *Server) Delete(ts string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, m := range s.messages {
		if m.TS == ts {
			s.messages = append(s.messages[:i:i], s.messages[i+1:]...)
			return
		}
	}
}

// body is what all calls send.
type body struct {
	Channel   string          `json:"channel"`
	User      string          `json:"user"`
	TS        string          `json:"ts"`
	Thread    string          `json:"thread_ts"`
	Broadcast bool            `json:"reply_broadcast"`
	Text      string          `json:"text"`
	Blocks    json.RawMessage `json:"blocks"`
	Metadata  json.RawMessage `json:"metadata"`
}

// pageSize is few messages, so that clients have to turn pages.
const pageSize = 3

// read tells messages of the channel, the newest first, or of a thread, the oldest first.
func (s *Server) read(r *http.Request, _ []byte) doubletest.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.says) > 0 {
		code := s.says[0]
		s.says = s.says[1:]
		return fail(code)
	}
	q := r.URL.Query()
	switch {
	case s.blind:
		return fail("missing_scope")
	case q.Get("channel") != Channel:
		return fail("channel_not_found")
	}
	var all []*Message
	for _, m := range s.messages {
		root := q.Get("ts")
		if root == "" && m.Thread == "" || root != "" && (m.Thread == root || m.TS == root) {
			all = append(all, m)
		}
	}
	if q.Get("ts") == "" {
		slices.Reverse(all)
	}
	from, _ := strconv.Atoi(q.Get("cursor"))
	to := min(from+pageSize, len(all))
	list := []any{}
	for _, m := range all[min(from, to):to] {
		x := map[string]any{"type": "message", "ts": m.TS, "text": m.Text}
		if m.Metadata != nil && q.Get("include_all_metadata") == "true" {
			x["metadata"] = m.Metadata
		}
		list = append(list, x)
	}
	out := map[string]any{"ok": true, "messages": list, "has_more": to < len(all)}
	if to < len(all) {
		out["response_metadata"] = map[string]any{"next_cursor": strconv.Itoa(to)}
	}
	return doubletest.Answer{Status: http.StatusOK, Body: out}
}

// view opens a form.
func (s *Server) view(_ *http.Request, raw []byte) doubletest.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.says) > 0 {
		code := s.says[0]
		s.says = s.says[1:]
		return fail(code)
	}
	var b struct {
		Trigger string `json:"trigger_id"`
		View    struct {
			CallbackID string `json:"callback_id"`
			Meta       string `json:"private_metadata"`
			Title      struct{ Text string }
			Blocks     json.RawMessage
		}
	}
	if err := json.Unmarshal(raw, &b); err != nil {
		panic("BUG: the contract let pass what is no JSON: " + err.Error())
	}
	s.forms = append(s.forms, Form{b.Trigger, b.View.CallbackID, b.View.Meta, b.View.Title.Text, string(b.View.Blocks)})
	return doubletest.Answer{Status: http.StatusOK, Body: map[string]any{"ok": true, "view": map[string]any{"id": "V1"}}}
}

func (s *Server) locked(f func(body) doubletest.Answer) func(*http.Request, []byte) doubletest.Answer {
	return func(_ *http.Request, raw []byte) doubletest.Answer {
		s.mu.Lock()
		defer s.mu.Unlock()
		var b body
		if err := json.Unmarshal(raw, &b); err != nil {
			panic("BUG: the contract let pass what is no JSON: " + err.Error())
		}
		if len(s.says) > 0 {
			code := s.says[0]
			s.says = s.says[1:]
			return fail(code)
		}
		if b.Channel != Channel {
			return fail("channel_not_found")
		}
		return f(b)
	}
}

func fail(code string) doubletest.Answer {
	return doubletest.Answer{Status: http.StatusOK, Body: map[string]any{"ok": false, "error": code}}
}

func (s *Server) post(b body) doubletest.Answer {
	m := &Message{TS: fmt.Sprintf("1780401600.%06d", len(s.messages)+1), Thread: b.Thread, Text: b.Text, Blocks: string(b.Blocks), Broadcast: b.Broadcast, Metadata: b.Metadata}
	s.messages = append(s.messages, m)
	return doubletest.Answer{Status: http.StatusOK, Body: map[string]any{"ok": true, "channel": Channel, "ts": m.TS}}
}

func (s *Server) update(b body) doubletest.Answer {
	for _, m := range s.messages {
		if m.TS == b.TS {
			m.Text, m.Blocks = b.Text, string(b.Blocks)
			m.Edited++
			return doubletest.Answer{Status: http.StatusOK, Body: map[string]any{"ok": true, "channel": Channel, "ts": m.TS, "text": m.Text}}
		}
	}
	return fail("message_not_found")
}

func (s *Server) whisper(b body) doubletest.Answer {
	s.whispers = append(s.whispers, Whisper{User: b.User, Text: b.Text})
	return doubletest.Answer{Status: http.StatusOK, Body: map[string]any{"ok": true, "message_ts": "1780401600.999999"}}
}
