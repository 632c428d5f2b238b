// Package pagerdutytest plays PagerDuty for tests: the Events API v2 and the part
// of the REST API that Portent uses, with their state and their faults. Every
// request is held to the vendor's descriptions, strictly, and so is every answer.
package pagerdutytest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/portent-dev/portent/internal/spectest"
	"github.com/portent-dev/portent/internal/ticket/doubletest"
)

// The credentials that the double accepts.
const (
	RoutingKey = "0123456789abcdef0123456789abcdef"
	APIToken   = "pd-token-71aa" //nolint:gosec // opens nothing but this double
	From       = "portent@example.com"
)

// The operations, for faults and counts.
const (
	OpEvent  = "event"
	OpSearch = "search"
	OpNotes  = "notes"
	OpNote   = "note"
	OpStatus = "status"
)

// Incident is an incident as a person sees it.
type Incident struct {
	ID        string
	Number    int
	Key       string
	Title     string
	Status    string
	Severity  string
	Details   map[string]any
	ClientURL string
	Links     []string
	Notes     []string
	Events    []string // the actions of its alert's log
	Alerts    int      // of other keys too
	CreatedAt time.Time
}

// Server is an account with one service. It is safe for concurrent use.
type Server struct {
	doubletest.Server
	// Lag is how long an event takes to be shown by REST.
	Lag time.Duration
	now func() time.Time

	mu        sync.Mutex
	incidents []*Incident
	events    []map[string]any
}

// Start serves a new account for the length of a test and returns its address,
// which is that of both APIs. A violation fails the test.
func Start(t testing.TB, now func() time.Time) (*Server, string) {
	t.Helper()
	events, api := spectest.Load(t, "pagerduty-events-v2"), spectest.Load(t, "pagerduty-rest")
	s := &Server{now: now}
	s.Server = doubletest.Server{
		Report: func(err error) { t.Errorf("pagerduty: %v", err) },
		Find:   func(r *http.Request) (doubletest.Route, bool) { return s.route(r, events, api) },
		Unknown: func(error) doubletest.Answer {
			return failure(http.StatusNotFound, 2100, "Not Found")
		},
		Refused: func(error) doubletest.Answer {
			return failure(http.StatusUnauthorized, 2006, "Unauthorized")
		},
		Invalid: func(err error) doubletest.Answer { return invalid(err.Error()) },
		RateLimited: func(f doubletest.Fault) doubletest.Answer {
			a := failure(http.StatusTooManyRequests, 2020, "Rate Limit Exceeded")
			if f.RetryAfter > 0 {
				a.Header = http.Header{
					"Ratelimit-Limit": {"960"}, "Ratelimit-Remaining": {"0"}, "Ratelimit-Reset": {strconv.Itoa(int(f.RetryAfter.Seconds()))},
				}
			}
			return a
		},
	}
	return s, s.Server.Start(t)
}

func failure(status, code int, message string) doubletest.Answer {
	return doubletest.Answer{Status: status, Body: map[string]any{"error": map[string]any{"message": message, "code": code}}}
}

func invalid(errs ...string) doubletest.Answer {
	return doubletest.Answer{Status: http.StatusBadRequest, Body: map[string]any{"status": "invalid event", "message": "Event object is invalid", "errors": errs}}
}

func (s *Server) route(r *http.Request, events, api *spectest.Contract) (doubletest.Route, bool) {
	rt := doubletest.Route{Contract: api, Allowed: r.Header.Get("Authorization") == "Token token="+APIToken}
	locked := func(f func(*http.Request, []byte) doubletest.Answer) func(*http.Request, []byte) doubletest.Answer {
		return func(r *http.Request, body []byte) doubletest.Answer {
			s.mu.Lock()
			defer s.mu.Unlock()
			return f(r, body)
		}
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/v2/enqueue":
		return doubletest.Route{Op: OpEvent, Write: true, Contract: events, Prefix: len("/v2"), Allowed: true, Handle: locked(s.event)}, true
	case parts[0] != "incidents":
		return rt, false
	case r.Method == http.MethodGet && len(parts) == 1:
		rt.Op, rt.Handle = OpSearch, locked(s.search)
	case r.Method == http.MethodPut && len(parts) == 2:
		rt.Op, rt.Write, rt.Handle = OpStatus, true, locked(s.setStatus)
	case r.Method == http.MethodGet && len(parts) == 3 && parts[2] == "notes":
		rt.Op, rt.Handle = OpNotes, locked(s.notes)
	case r.Method == http.MethodPost && len(parts) == 3 && parts[2] == "notes":
		rt.Op, rt.Write, rt.Handle = OpNote, true, locked(s.note)
	default:
		return rt, false
	}
	return rt, true
}

// maxEvent is what the Events API takes, in bytes.
const maxEvent = 512 << 10

func (s *Server) event(_ *http.Request, body []byte) doubletest.Answer {
	var e struct {
		RoutingKey string `json:"routing_key"`
		Action     string `json:"event_action"`
		Key        string `json:"dedup_key"`
		ClientURL  string `json:"client_url"`
		Links      []struct{ Href string }
		Payload    struct {
			Summary, Severity string
			Details           map[string]any `json:"custom_details"`
		}
	}
	var whole map[string]any
	if json.Unmarshal(body, &e) != nil || json.Unmarshal(body, &whole) != nil {
		return invalid("JSON parse error")
	}
	switch {
	case len(body) > maxEvent:
		s.Report(fmt.Errorf("request: event of %d bytes", len(body)))
		return doubletest.Answer{Status: http.StatusRequestEntityTooLarge, Body: map[string]any{"status": "invalid event", "message": "Event object is too large"}}
	case e.RoutingKey != RoutingKey:
		return invalid("'routing_key' " + e.RoutingKey + " is not a valid integration key")
	case utf8.RuneCountInString(e.Payload.Summary) > 1024:
		return invalid("'payload.summary' is too long (maximum is 1024 characters)")
	}
	s.events = append(s.events, whole)
	// The newest that is open; what is said of none is accepted and dropped.
	open := s.open(e.Key)
	switch e.Action {
	case "trigger":
		if open == nil {
			n := len(s.incidents) + 1
			open = &Incident{
				ID: "PT" + strconv.Itoa(1000+n), Number: n, Key: e.Key, Title: e.Payload.Summary, Severity: e.Payload.Severity,
				Status: "triggered", Details: e.Payload.Details, ClientURL: e.ClientURL, Alerts: 1, CreatedAt: s.now(),
			}
			for _, l := range e.Links {
				open.Links = append(open.Links, l.Href)
			}
			s.incidents = append(s.incidents, open)
		}
	case "resolve":
		if open != nil {
			if open.Alerts--; open.Alerts <= 0 {
				open.Status = "resolved"
			}
		}
	}
	if open != nil {
		open.Events = append(open.Events, e.Action)
	}
	return doubletest.Answer{Status: http.StatusAccepted, Body: map[string]any{"status": "success", "message": "Event processed", "dedup_key": e.Key}}
}

func (s *Server) open(key string) *Incident {
	for _, i := range slices.Backward(s.incidents) {
		if i.Key == key && i.Status != "resolved" {
			return i
		}
	}
	return nil
}

func (s *Server) search(r *http.Request, _ []byte) doubletest.Answer {
	q := r.URL.Query()
	var found []*Incident
	for _, i := range s.incidents {
		if i.Key == q.Get("incident_key") && !s.now().Before(i.CreatedAt.Add(s.Lag)) {
			found = append(found, i)
		}
	}
	if q.Get("date_range") != "all" {
		found = slices.DeleteFunc(found, func(i *Incident) bool { return i.CreatedAt.Before(s.now().AddDate(0, -1, 0)) })
	}
	if q.Get("sort_by") == "created_at:desc" {
		slices.SortFunc(found, func(a, b *Incident) int { return cmp.Compare(b.Number, a.Number) })
	}
	list := []any{}
	for _, i := range found {
		list = append(list, view(i))
	}
	limit, err := strconv.Atoi(q.Get("limit"))
	if err != nil {
		limit = 25
	}
	more := len(list) > limit
	list = list[:min(len(list), limit)]
	return doubletest.Answer{Status: http.StatusOK, Body: map[string]any{"incidents": list, "limit": limit, "offset": 0, "more": more, "total": nil}}
}

// view is an incident as REST shows it. With alerts it has no key of its own.
func view(i *Incident) map[string]any {
	return map[string]any{
		"id": i.ID, "type": "incident", "summary": fmt.Sprintf("[#%d] %s", i.Number, i.Title), "incident_number": i.Number,
		"title": i.Title, "status": i.Status, "created_at": i.CreatedAt.UTC().Format(time.RFC3339),
		"self": "https://api.pagerduty.com/incidents/" + i.ID, "html_url": "https://acme.pagerduty.com/incidents/" + i.ID,
		"alert_counts": map[string]any{"all": i.Alerts, "triggered": i.Alerts, "resolved": 0},
		"urgency":      "high", "assignments": []any{},
	}
}

func (s *Server) byID(r *http.Request) *Incident {
	id := strings.Split(strings.Trim(r.URL.Path, "/"), "/")[1]
	for _, i := range s.incidents {
		if i.ID == id {
			return i
		}
	}
	return nil
}

func (s *Server) setStatus(r *http.Request, body []byte) doubletest.Answer {
	i := s.byID(r)
	if i == nil {
		return failure(http.StatusNotFound, 2100, "Not Found")
	}
	var b struct{ Incident struct{ Status string } }
	if json.Unmarshal(body, &b) != nil || i.Status == "resolved" {
		return failure(http.StatusBadRequest, 2001, "Invalid Input Provided")
	}
	i.Status = b.Incident.Status
	return doubletest.Answer{Status: http.StatusOK, Body: map[string]any{"incident": view(i)}}
}

func (s *Server) notes(r *http.Request, _ []byte) doubletest.Answer {
	i := s.byID(r)
	if i == nil {
		return failure(http.StatusNotFound, 2100, "Not Found")
	}
	list := []any{}
	for n, c := range slices.Backward(i.Notes) {
		list = append(list, s.noteView(n, c))
	}
	return doubletest.Answer{Status: http.StatusOK, Body: map[string]any{"notes": list}}
}

func (s *Server) noteView(n int, content string) map[string]any {
	return map[string]any{
		"id": "PN" + strconv.Itoa(n), "content": content, "created_at": s.now().UTC().Format(time.RFC3339),
		"user":    map[string]any{"id": "PU1", "type": "user_reference", "summary": "Portent"},
		"channel": map[string]any{"summary": "The PagerDuty website or APIs"},
	}
}

func (s *Server) note(r *http.Request, body []byte) doubletest.Answer {
	i := s.byID(r)
	if i == nil {
		return failure(http.StatusNotFound, 2100, "Not Found")
	}
	var b struct{ Note struct{ Content string } }
	if json.Unmarshal(body, &b) != nil {
		return failure(http.StatusBadRequest, 2001, "Invalid Input Provided")
	}
	i.Notes = append(i.Notes, b.Note.Content)
	return doubletest.Answer{Status: http.StatusOK, Body: map[string]any{"note": s.noteView(len(i.Notes)-1, b.Note.Content)}}
}

// Incidents returns the incidents with the key, oldest first.
func (s *Server) Incidents(key string) []Incident {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Incident
	for _, i := range s.incidents {
		if i.Key == key {
			c := *i
			c.Notes, c.Events = slices.Clone(i.Notes), slices.Clone(i.Events)
			out = append(out, c)
		}
	}
	return out
}

// Resolve resolves what is open with the key, as a person does.
func (s *Server) Resolve(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.open(key); i != nil {
		i.Status = "resolved"
	}
}

// Group puts an alert of another key into the open incident with the key.
func (s *Server) Group(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.open(key); i != nil {
		i.Alerts++
	}
}

// Events returns the events that were accepted.
func (s *Server) Events() []map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}
