// Package teamstest plays a workflow of Power Automate that posts cards to a channel, for tests. Every request is held
// to the description of cards, strictly.
package teamstest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/portent-dev/portent/internal/spectest"
	"github.com/portent-dev/portent/internal/ticket/doubletest"
)

const (
	// Path is that of the workflow.
	Path = "/workflows/0a1b2c/triggers/manual/paths/invoke"
	// Signature is the secret in its query.
	Signature = "sig-9f8e7d6c5b4a"
	// Op is the one operation.
	Op = "post"
	// maxMessage is what Teams takes, in bytes.
	maxMessage = 28 << 10
)

// Server is a channel. It is safe for concurrent use.
type Server struct {
	doubletest.Server

	mu    sync.Mutex
	cards []string
}

// Start serves an empty channel for the length of a test and returns the address of its workflow. A violation fails
// the test.
func Start(t testing.TB) (*Server, string) {
	t.Helper()
	contract := spectest.Load(t, "msteams-workflows")
	s := &Server{}
	failed := func(status int, code string) doubletest.Answer {
		return doubletest.Answer{Status: status, Body: map[string]any{"error": map[string]any{"code": code, "message": "for " + Signature}}}
	}
	s.Server = doubletest.Server{
		Report: func(err error) { t.Errorf("teams: %v", err) },
		Find: func(r *http.Request) (doubletest.Route, bool) {
			return doubletest.Route{
				Op: Op, Write: true, Contract: contract, Handle: s.post, Allowed: r.URL.Query().Get("sig") == Signature,
			}, r.Method == http.MethodPost && r.URL.Path == Path
		},
		Unknown: func(error) doubletest.Answer { return failed(http.StatusNotFound, "WorkflowNotFound") },
		Refused: func(error) doubletest.Answer { return failed(http.StatusUnauthorized, "AuthorizationFailed") },
		Invalid: func(error) doubletest.Answer { return failed(http.StatusBadRequest, "TriggerInputSchemaMismatch") },
		RateLimited: func(f doubletest.Fault) doubletest.Answer {
			a := failed(http.StatusTooManyRequests, "TooManyRequests")
			if f.RetryAfter > 0 {
				a.Header = http.Header{"Retry-After": {fmt.Sprintf("%.0f", f.RetryAfter.Seconds())}}
			}
			return a
		},
	}
	return s, s.Server.Start(t) + Path + "?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=" + Signature
}

// Cards returns the cards of the channel as JSON, in order.
func (s *Server) Cards() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.cards...)
}

func (s *Server) post(_ *http.Request, body []byte) doubletest.Answer {
	if len(body) > maxMessage {
		s.Report(fmt.Errorf("request: message of %d bytes", len(body)))
		return doubletest.Answer{Status: http.StatusRequestEntityTooLarge, Body: map[string]any{"error": map[string]any{"code": "RequestEntityTooLarge"}}}
	}
	var m struct {
		Attachments []struct {
			Content json.RawMessage `json:"content"`
		} `json:"attachments"`
	}
	if err := json.Unmarshal(body, &m); err != nil || len(m.Attachments) == 0 {
		panic("BUG: the contract let pass what is no card: " + string(body))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cards = append(s.cards, string(m.Attachments[0].Content))
	return doubletest.Answer{Status: http.StatusAccepted, Empty: true}
}
