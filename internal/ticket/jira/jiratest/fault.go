package jiratest

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The operations, for faults and counts.
const (
	OpAny         = ""
	OpWrite       = "write" // every operation that changes something
	OpAccount     = "account"
	OpComment     = "comment"
	OpComments    = "comments"
	OpCreate      = "create"
	OpLink        = "link"
	OpMeta        = "meta"
	OpPermissions = "permissions"
	OpProject     = "project"
	OpProperty    = "property"
	OpRead        = "read"
	OpSearch      = "search"
	OpStatuses    = "statuses"
	OpTransition  = "transition"
	OpTransitions = "transitions"
)

// FaultKind says what goes wrong.
type FaultKind string

// The kinds of fault.
const (
	// RateLimit answers 429 with the headers of Jira Cloud, without effect.
	RateLimit FaultKind = "rate_limit"
	// RateLimitReset is RateLimit with X-RateLimit-Reset only.
	RateLimitReset FaultKind = "rate_limit_reset"
	// Status answers Fault.Status with a gateway's HTML page, without effect.
	Status FaultKind = "status"
	// RetryLater answers 503 with Retry-After, without effect.
	RetryLater FaultKind = "retry_later"
	// Refuse closes the connection without effect.
	Refuse FaultKind = "refuse"
	// Login answers 200 with an HTML page, without effect.
	Login FaultKind = "login"
	// Redirect answers 302 to another site, without effect.
	Redirect FaultKind = "redirect"
	// Drop does what was asked and closes the connection without an answer.
	Drop FaultKind = "drop"
	// Hang does what was asked and never answers.
	Hang FaultKind = "hang"
	// Gateway does what was asked and answers 504, as a gateway that gave up does.
	Gateway FaultKind = "gateway"
	// Truncate does what was asked and answers half of the JSON.
	Truncate FaultKind = "truncate"
	// CutOff does what was asked and breaks the connection amid the answer.
	CutOff FaultKind = "cut_off"
	// Huge does what was asked and answers without end.
	Huge FaultKind = "huge"
	// Slow does what was asked and answers a byte at a time, Fault.Delay apart.
	Slow FaultKind = "slow"
)

// Kinds lists all kinds of fault.
func Kinds() []FaultKind {
	return []FaultKind{RateLimit, RateLimitReset, Status, RetryLater, Refuse, Login, Redirect, Drop, Hang, Gateway, Truncate, CutOff, Huge, Slow}
}

// Fault is a fault of the next requests.
type Fault struct {
	Op    string    `json:"op"` // OpAny hits every operation
	Kind  FaultKind `json:"kind"`
	Times int       `json:"times"` // 0 means once
	Skip  int       `json:"skip"`  // so many requests pass first
	// Status is the code of a Status fault.
	Status int `json:"status"`
	// RetryAfter is what a rate limit asks for.
	RetryAfter time.Duration `json:"retryAfter"`
	// Delay is the pace of a Slow answer.
	Delay time.Duration `json:"delay"`
}

// Fail adds a fault. It panics on an unknown kind.
func (s *Server) Fail(f Fault) {
	f.before()
	s.mu.Lock()
	defer s.mu.Unlock()
	f.Times = max(f.Times, 1)
	s.faults = append(s.faults, &f)
}

// Heal removes all faults.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// nextFault takes the fault for a request; s.mu is held.
func (s *Server) nextFault(op string) *Fault {
	for i, f := range s.faults {
		if f.Op != OpAny && f.Op != op && (f.Op != OpWrite || !writes(op)) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Times--; f.Times == 0 {
			s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
		}
		return f
	}
	return nil
}

func writes(op string) bool {
	switch op {
	case OpCreate, OpComment, OpTransition, OpProperty, OpLink:
		return true
	}
	return false
}

// before reports whether the fault comes instead of the effect.
func (f *Fault) before() bool {
	switch f.Kind {
	case RateLimit, RateLimitReset, Status, RetryLater, Refuse, Login, Redirect:
		return true
	case Drop, Hang, Gateway, Truncate, CutOff, Huge, Slow:
		return false
	}
	panic(fmt.Sprintf("BUG: unknown fault %q", f.Kind))
}

// instead answers without having done anything.
func (f *Fault) instead(w http.ResponseWriter, now time.Time) {
	reset := now.Add(f.RetryAfter).UTC().Format("2006-01-02T15:04Z")
	seconds := strconv.Itoa(int(f.RetryAfter.Seconds()))
	switch f.Kind {
	case RateLimit, RateLimitReset:
		h := http.Header{"X-Ratelimit-Reset": {reset}, "X-Ratelimit-Limit": {"100"}, "X-Ratelimit-Remaining": {"0"}, "Ratelimit-Reason": {"jira-burst-based"}}
		if f.Kind == RateLimit {
			h.Set("Retry-After", seconds)
		}
		a := refuse(http.StatusTooManyRequests, "Rate limit exceeded.")
		a.header = h
		a.write(w)
	case RetryLater:
		a := refuse(http.StatusServiceUnavailable, "The service is being restarted.")
		a.header = http.Header{"Retry-After": {seconds}}
		a.write(w)
	case Status:
		page(w, f.Status, fmt.Sprintf("%d %s", f.Status, http.StatusText(f.Status)))
	case Login:
		page(w, http.StatusOK, "Log in with Atlassian account")
	case Redirect:
		w.Header().Set("Location", "https://id.atlassian.com/login")
		w.WriteHeader(http.StatusFound)
	case Refuse:
		panic(http.ErrAbortHandler)
	case Drop, Hang, Gateway, Truncate, CutOff, Huge, Slow:
		panic("BUG: such a fault comes after the effect")
	}
}

func page(w http.ResponseWriter, status int, title string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<!DOCTYPE html><html><head><title>%s</title></head><body><h1>%s</h1></body></html>", title, title)
}

// after spoils the answer of what was done.
func (f *Fault) after(w http.ResponseWriter, r *http.Request, a answer) {
	var b bytes.Buffer
	a.render(&b)
	half := b.Bytes()[:b.Len()/2]
	switch f.Kind {
	case Drop:
		panic(http.ErrAbortHandler)
	case Hang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case Gateway:
		page(w, http.StatusGatewayTimeout, "504 Gateway Time-out")
	case Truncate:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(a.status)
		_, _ = w.Write(half)
	case CutOff:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
		w.WriteHeader(a.status)
		_, _ = w.Write(half)
		panic(http.ErrAbortHandler)
	case Huge:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(a.status)
		filler := []byte(`{"expand":"` + strings.Repeat("x", 1<<20))
		for r.Context().Err() == nil {
			if _, err := w.Write(filler); err != nil {
				return
			}
		}
	case Slow:
		f.trickle(w, r, a, b.Bytes())
	case RateLimit, RateLimitReset, Status, RetryLater, Refuse, Login, Redirect:
		panic("BUG: such a fault comes instead of the effect")
	}
}

func (f *Fault) trickle(w http.ResponseWriter, r *http.Request, a answer, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	tick := time.NewTicker(max(f.Delay, time.Microsecond))
	defer tick.Stop()
	for i := range body {
		if _, err := w.Write(body[i : i+1]); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}
