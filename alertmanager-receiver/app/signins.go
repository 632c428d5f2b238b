package app

import (
	"encoding/json"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
)

// Actions of the audit chain about sessions, and what they are about: a session by the first part of its hash.
const (
	auditSignedIn  = "session.began"
	auditSignedOut = "session.ended"
	auditRefused   = "session.refused"

	sessionSubject = "session"
)

// signInLog bounds how many refused sign-ins are recorded: the chain is kept for ever, and a stranger must not be able to
// fill it. The zero value is ready. Safe for concurrent use; each replica has its own.
type signInLog struct {
	mu     sync.Mutex
	room   float64 // records that may be written now
	at     time.Time
	passed int // refusals since the last record
}

const (
	// refusedBurst and refusedEvery: the mistakes of a person are all recorded, and of somebody who guesses without end at
	// most 154 a day.
	refusedBurst = 10
	refusedEvery = 10 * time.Minute
)

// next counts a refusal; ok says to record it, with how many were not before it. A clock that goes back brings no room.
func (l *signInLog) next(now time.Time) (passed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at.IsZero() {
		l.room = refusedBurst
	} else if d := now.Sub(l.at); d > 0 {
		l.room = min(refusedBurst, l.room+d.Seconds()/refusedEvery.Seconds())
	}
	l.at = now
	if l.room < 1 {
		l.passed++
		return 0, false
	}
	l.room--
	passed, l.passed = l.passed, 0
	return passed, true
}

// signInRefused logs and records that somebody was not let in, both within bounds. What was tried is not in it.
func (s *server) signInRefused(r *http.Request, via string, why error) {
	if times, ok := s.refusals.next("sign_in"); ok {
		s.log.Warn("sign_in_refused", "via", via, "address", remoteHost(r), "err", why, "times", times)
	}
	passed, ok := s.signIns.next(s.now())
	if !ok {
		return
	}
	detail := map[string]any{"via": via, "address": remoteHost(r), "reason": ticket.OneLine(why.Error(), maxReason)}
	if passed > 0 {
		detail["unrecordedBefore"] = passed
	}
	if err := s.recordSession(r, "portent", auditRefused, sessionSubject, detail); err != nil {
		s.log.Error("sign_in_not_recorded", "err", err)
	}
}

// signedIn records the begin of a session, and signedOut that its person ended it.
func (s *server) signedIn(r *http.Request, p principal, x session, id string) error {
	via := "token"
	if x.Claims != nil {
		via = "oidc"
	}
	detail := map[string]any{"via": via, "address": remoteHost(r), "role": p.role, "until": s.settings.Load().config.Sessions.until(x).UTC()}
	if x.Entry != "" {
		detail["entry"] = x.Entry
	}
	if p.scoped() {
		detail["matchers"] = p.scope.String()
	}
	return s.recordSession(r, p.name, auditSignedIn, subjectOfSession(id), detail)
}

func (s *server) signedOut(r *http.Request, p principal) error {
	return s.recordSession(r, p.name, auditSignedOut, subjectOfSession(p.session), map[string]any{"address": remoteHost(r)})
}

// subjectOfSession names a session without giving its cookie away: the hash of it, cut.
func subjectOfSession(id string) string { return sessionSubject + ":" + id[:min(12, len(id))] }

func (s *server) recordSession(r *http.Request, actor, action, subject string, detail map[string]any) error {
	b, err := json.Marshal(detail)
	if err != nil {
		return err
	}
	return s.ledger.Apply(r.Context(), incident.Change{Records: []audit.Entry{{At: s.now(), Actor: actor, Action: action, Subject: subject, Detail: b}}})
}

// remoteHost is where a request comes from: the proxy, where one stands before us.
func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}
