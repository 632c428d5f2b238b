// Package doubletest is what test doubles of ticket systems share: requests held to
// the vendor's description, answers held to it too, and faults before and after
// the effect. The vendor's state and routes are its own package's.
//
// Violations go to Server.Report, not only into a 400 that a client would
// swallow.
package doubletest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"github.com/portent-dev/portent/internal/spectest"
)

// Answer is an answer before it is written, so that a fault can spoil it.
type Answer struct {
	Status  int
	Body    any    // JSON
	Checked any    // what is held to the description in place of Body, if not nil: a long text takes the validator a second
	Text    string // instead of JSON
	Empty   bool   // no body at all
	Header  http.Header
}

// Route is what a request asks for.
type Route struct {
	Op    string // for faults and counts
	Write bool   // it changes something
	// Contract describes the operation, at the path of the request without Prefix. Nil means that the vendor has it and
	// describes it nowhere.
	Contract *spectest.Contract
	Prefix   int // bytes
	// Allowed refuses a request without credentials.
	Allowed bool
	// Handle does what is asked.
	Handle func(r *http.Request, body []byte) Answer
}

// Request is a request that was received.
type Request struct {
	Op, Method, Path string
	Body             []byte
}

// Server is the HTTP side of a double. All fields are required.
type Server struct {
	Report func(error)
	Find   func(r *http.Request) (Route, bool)
	// Unknown answers what the double does not play, Refused what has no
	// credentials, Invalid what violates the description.
	Unknown, Refused, Invalid func(err error) Answer
	// RateLimited answers 429 with the vendor's own headers.
	RateLimited func(f Fault) Answer

	mu       sync.Mutex
	faults   []*Fault
	requests []Request
}

// Start serves s for the length of a test and returns its address.
func (s *Server) Start(t testing.TB) string {
	t.Helper()
	web := httptest.NewServer(s)
	t.Cleanup(func() {
		web.CloseClientConnections()
		web.Close()
	})
	return web.URL
}

// Requests returns what was received so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// Sent returns how many requests for an operation were received.
func (s *Server) Sent(op string) int {
	n := 0
	for _, r := range s.Requests() {
		if r.Op == op {
			n++
		}
	}
	return n
}

const maxBody = 10 << 20

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return // a client that gave up amid its request
	}
	rt, ok := s.Find(r)
	if !ok {
		err := fmt.Errorf("request: %s %s is not played by the double", r.Method, r.URL.Path)
		s.Report(err)
		s.Unknown(err).write(w)
		return
	}
	s.mu.Lock()
	s.requests = append(s.requests, Request{Op: rt.Op, Method: r.Method, Path: r.URL.Path, Body: body})
	f := s.nextFault(rt)
	s.mu.Unlock()
	if f != nil && f.before() {
		f.instead(w, s)
		return
	}
	a := s.answer(r, rt, body)
	if f != nil {
		f.after(w, r, a)
		return
	}
	a.write(w)
}

func (s *Server) answer(r *http.Request, rt Route, body []byte) Answer {
	if !rt.Allowed {
		return s.Refused(nil)
	}
	if rt.Contract == nil {
		return rt.Handle(r, body)
	}
	checked := r.Clone(r.Context())
	checked.URL.Path, checked.URL.RawPath = r.URL.EscapedPath()[rt.Prefix:], ""
	if err := rt.Contract.CheckRequest(checked, body); err != nil {
		s.Report(fmt.Errorf("request: %w", err))
		return s.Invalid(err)
	}
	a := rt.Handle(r, body)
	said := a
	if a.Checked != nil {
		said.Body = a.Checked
	}
	if err := rt.Contract.CheckResponse(r.Method, r.URL.EscapedPath()[rt.Prefix:], a.Status, a.header(), said.json()); err != nil {
		s.Report(fmt.Errorf("double: %w", err))
	}
	return a
}

func (a Answer) header() http.Header {
	h := a.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	switch {
	case a.Empty:
	case a.Text != "":
		h.Set("Content-Type", "text/plain")
	default:
		h.Set("Content-Type", "application/json;charset=UTF-8")
	}
	return h
}

func (a Answer) json() []byte {
	switch {
	case a.Empty:
		return nil
	case a.Text != "":
		return []byte(a.Text)
	}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(a.Body); err != nil {
		panic("BUG: an answer of plain data cannot fail to marshal: " + err.Error())
	}
	return b.Bytes()
}

func (a Answer) write(w http.ResponseWriter) {
	b := a.json()
	for k, v := range a.header() {
		w.Header()[k] = v
	}
	if a.Status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(b) // a client that is gone is no fault of ours
}
