package doubletest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Kind says what goes wrong.
type Kind string

// The kinds of fault. The first ones come instead of the effect, those from Drop
// on after it.
const (
	RateLimit Kind = "rate_limit" // 429 with the vendor's headers
	Status    Kind = "status"     // Fault.Status with a gateway's HTML page
	Later     Kind = "later"      // 503 with Retry-After
	Refuse    Kind = "refuse"     // the connection is closed
	Page      Kind = "page"       // 200 with an HTML page titled Fault.Title
	Redirect  Kind = "redirect"   // 302 to another site

	Drop     Kind = "drop"     // the connection is closed without an answer
	Hang     Kind = "hang"     // no answer ever
	Gateway  Kind = "gateway"  // 504, as a gateway that gave up
	Truncate Kind = "truncate" // half of the JSON
	CutOff   Kind = "cut_off"  // the connection breaks amid the answer
	Huge     Kind = "huge"     // an answer without end
	Slow     Kind = "slow"     // a byte at a time, Fault.Delay apart
)

// Kinds lists all kinds.
func Kinds() []Kind {
	return []Kind{RateLimit, Status, Later, Refuse, Page, Redirect, Drop, Hang, Gateway, Truncate, CutOff, Huge, Slow}
}

// Fault is a fault of the next requests.
type Fault struct {
	Op         string        `json:"op"`    // "" hits every operation
	Write      bool          `json:"write"` // hits only what changes something
	Kind       Kind          `json:"kind"`
	Times      int           `json:"times"` // 0 means once
	Skip       int           `json:"skip"`  // so many requests pass first
	Status     int           `json:"status"`
	Title      string        `json:"title"`
	RetryAfter time.Duration `json:"retryAfter"` // what RateLimit and Later ask for; 0: they do not say
	OwnHeader  bool          `json:"ownHeader"`  // RateLimit says so in the vendor's own header alone
	Delay      time.Duration `json:"delay"`      // the pace of Slow
}

// Fail adds a fault. It panics on an unknown kind.
func (s *Server) Fail(f Fault) {
	f.before()
	f.Times = max(f.Times, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// Heal removes all faults.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// nextFault takes the fault for a request; s.mu is held.
func (s *Server) nextFault(rt Route) *Fault {
	for i, f := range s.faults {
		if f.Op != "" && f.Op != rt.Op || f.Write && !rt.Write {
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

// before reports whether the fault comes instead of the effect.
func (f *Fault) before() bool {
	switch f.Kind {
	case RateLimit, Status, Later, Refuse, Page, Redirect:
		return true
	case Drop, Hang, Gateway, Truncate, CutOff, Huge, Slow:
		return false
	}
	panic(fmt.Sprintf("BUG: unknown fault %q", f.Kind))
}

// instead answers without having done anything.
func (f *Fault) instead(w http.ResponseWriter, s *Server) {
	switch f.Kind {
	case RateLimit:
		s.RateLimited(*f).write(w)
	case Later:
		w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter.Seconds())))
		page(w, http.StatusServiceUnavailable, "503 Service Unavailable")
	case Status:
		page(w, f.Status, fmt.Sprintf("%d %s", f.Status, http.StatusText(f.Status)))
	case Page:
		page(w, http.StatusOK, f.Title)
	case Redirect:
		w.Header().Set("Location", "https://login.example/")
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
func (f *Fault) after(w http.ResponseWriter, r *http.Request, a Answer) {
	b := a.json()
	half := b[:len(b)/2]
	w.Header().Set("Content-Type", "application/json")
	switch f.Kind {
	case Drop:
		panic(http.ErrAbortHandler)
	case Hang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case Gateway:
		page(w, http.StatusGatewayTimeout, "504 Gateway Time-out")
	case Truncate:
		w.WriteHeader(a.Status)
		_, _ = w.Write(half)
	case CutOff:
		w.Header().Set("Content-Length", strconv.Itoa(len(b)))
		w.WriteHeader(a.Status)
		_, _ = w.Write(half)
		panic(http.ErrAbortHandler)
	case Huge:
		w.WriteHeader(a.Status)
		filler := []byte(`{"expand":"` + strings.Repeat("x", 1<<20))
		for r.Context().Err() == nil {
			if _, err := w.Write(filler); err != nil {
				return
			}
		}
	case Slow:
		w.WriteHeader(a.Status)
		f.trickle(w, r, b)
	case RateLimit, Status, Later, Refuse, Page, Redirect:
		panic("BUG: such a fault comes instead of the effect")
	}
}

func (f *Fault) trickle(w http.ResponseWriter, r *http.Request, body []byte) {
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
