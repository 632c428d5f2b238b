package app

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/incidentapi"
	"github.com/portent-dev/portent/internal/web"
)

// sessionStore keeps sessions under the hash of their cookie, for all replicas.
type sessionStore interface {
	PutSession(ctx context.Context, id string, data json.RawMessage, now, expires time.Time) error
	// ExtendSession replaces what is kept of a session that is not over; one that is stays over.
	ExtendSession(ctx context.Context, id string, data json.RawMessage, now, expires time.Time) error
	Session(ctx context.Context, id string, now time.Time) (json.RawMessage, error)
	DropSession(ctx context.Context, id string) error
}

// SessionsConfig bounds how long people stay signed in.
type SessionsConfig struct {
	// Length of a session at most, whatever is done in it.
	Length model.Duration `yaml:"length"`
	// Idle ends a session in which nobody asked for anything for so long. 0: none does.
	Idle model.Duration `yaml:"idle"`
}

// DefaultSessionsConfig is a shift, and half of one.
func DefaultSessionsConfig() SessionsConfig {
	return SessionsConfig{Length: model.Duration(12 * time.Hour), Idle: model.Duration(4 * time.Hour)}
}

// Bounds of sessions: less than five minutes is no time to decide in, and nobody is at work for a month.
const (
	minSession = 5 * time.Minute
	maxSession = 31 * 24 * time.Hour
)

func (c SessionsConfig) validate() error {
	var errs []error
	if d := time.Duration(c.Length); d < minSession || d > maxSession {
		errs = append(errs, web.Invalid("length", fmt.Errorf("%s: want 5m to 31d", c.Length)))
	}
	if d := time.Duration(c.Idle); d != 0 && (d < minSession || c.Idle > c.Length) {
		errs = append(errs, web.Invalid("idle", fmt.Errorf("%s: want 5m to length, or 0s for none", c.Idle)))
	}
	return errors.Join(errs...)
}

// session says how somebody signed in. What they may is looked up anew at each request; when that is another thing than it
// was, the session is over.
type session struct {
	// Entry and Digest name an entry of the access list and its token.
	Entry  string `json:"entry,omitempty"`
	Digest string `json:"digest,omitempty"`
	// Claims are those of a provider that rules and name need.
	Claims map[string]any `json:"claims,omitempty"`
	// CSRF must come with what changes something.
	CSRF string `json:"csrf"`
	// Rights are the role and the scope that it began with.
	Rights string `json:"rights"`
	// Began and Seen bound it: Seen is the last request of a person, to the minute.
	Began time.Time `json:"began"`
	Seen  time.Time `json:"seen"`
}

const (
	sessionCookie = "portent_session"
	// seenEvery is how exactly Seen is kept: a write a minute and person.
	seenEvery = time.Minute
)

// live reports whether a session may still be used. One that begins in the future is of a clock that was wrong: how long
// it would last is not known.
func (c SessionsConfig) live(x session, now time.Time) bool {
	return !x.Began.After(now.Add(seenEvery)) && now.Before(x.Began.Add(time.Duration(c.Length))) &&
		(c.Idle == 0 || now.Before(x.Seen.Add(time.Duration(c.Idle))))
}

// until is when a session is over if nobody asks for anything more.
func (c SessionsConfig) until(x session) time.Time {
	end := x.Began.Add(time.Duration(c.Length))
	if idle := x.Seen.Add(time.Duration(c.Idle)); c.Idle > 0 && idle.Before(end) {
		return idle
	}
	return end
}

// random is a secret that nobody can guess: 256 bits.
func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // it never fails: crypto/rand ends the process instead
	return hex.EncodeToString(b[:])
}

func hashOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// cookie is one of ours: not for scripts, not for other sites' requests, and over TLS alone where we speak it.
func (s *server) cookie(name, value string, ttl time.Duration) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure is for addresses that begin with https; on loopback there is none
		Name: name, Value: value, Path: "/", MaxAge: int(ttl.Seconds()), HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: strings.HasPrefix(s.settings.Load().config.ExternalURL, "https:"),
	}
}

// who says who asks: by what the request carries, or by its session.
func (s *server) who(r *http.Request) (principal, bool) {
	a := s.settings.Load().access
	if p, ok := a.identify(r); ok {
		return p, true
	}
	if r.Header.Get("Authorization") != "" {
		if token := bearer(r); a.oidc != nil && looksLikeJWT(token) {
			p, err := a.oidc.bearer(r.Context(), token)
			if err == nil {
				return p, true
			}
			if times, ok := s.refusals.next("token"); ok {
				s.log.Info("token_refused", "err", err, "times", times)
			}
			return principal{}, false
		}
		return principal{}, false // a wrong token is not made good by a cookie
	}
	c, err := r.Cookie(sessionCookie)
	if err != nil || len(c.Value) > 128 {
		return principal{}, false
	}
	id := hashOf(c.Value)
	data, err := s.sessions.Session(r.Context(), id, s.now())
	var x session
	if err != nil || json.Unmarshal(data, &x) != nil || !s.settings.Load().config.Sessions.live(x, s.now()) {
		return principal{}, false
	}
	p, ok := a.resume(x)
	p.csrf, p.session, p.seen = x.CSRF, id, x
	return p, ok
}

// used keeps a session from ending idle: its person asked for something. What a page asks for by itself is no sign of
// anybody.
func (s *server) used(r *http.Request, p principal) {
	now := s.now()
	if p.session == "" || r.Header.Get(refreshHeader) != "" || r.URL.Path == incidentapi.PathEvents || now.Sub(p.seen.Seen) < seenEvery {
		return
	}
	x := p.seen
	x.Seen = now
	data, err := json.Marshal(x)
	if err == nil {
		err = s.sessions.ExtendSession(r.Context(), p.session, data, now, s.settings.Load().config.Sessions.until(x))
	}
	if err != nil { // it ends sooner, and the next request tries again
		s.log.Warn("session_not_extended", "err", err)
	}
}

// refreshHeader marks what portent.js asks for without anybody having done something.
const refreshHeader = "X-Portent-Refresh"

// resume returns who a session belongs to, if it may still do what it could when it began.
func (a *access) resume(x session) (principal, bool) {
	if x.Claims != nil {
		if a.oidc == nil {
			return principal{}, false
		}
		p, err := a.oidc.principal(x.Claims)
		return p, err == nil && p.rights() == x.Rights
	}
	for _, e := range a.entries {
		if e.entry == x.Entry && e.digest != nil && subtle.ConstantTimeCompare([]byte(hex.EncodeToString(e.digest)), []byte(x.Digest)) == 1 {
			return e.principal, e.rights() == x.Rights
		}
	}
	return principal{}, false
}

// rights are what somebody may do and see, to tell whether that has changed.
func (p principal) rights() string { return string(p.role) + " " + p.scope.String() }

// errCSRF: a request with a session must prove that one of our pages made it.
var errCSRF = errors.New("the request does not come from a page of this session")

// fromOurPage checks the token of the session on what changes something.
func fromOurPage(w http.ResponseWriter, r *http.Request, p principal) error {
	if p.csrf == "" || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	got := r.Header.Get("X-CSRF-Token")
	if got == "" && strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		r.Body = http.MaxBytesReader(w, r.Body, maxActionBytes)
		got = r.PostFormValue("csrf")
	}
	if subtle.ConstantTimeCompare([]byte(got), []byte(p.csrf)) != 1 {
		return errCSRF
	}
	return nil
}

type loginView struct {
	Page             page
	Next, Wrong      string
	Provider, Tokens bool
}

// askWho answers a page that nobody may see without saying who they are: with the form to do so.
func (s *server) askWho(w http.ResponseWriter, r *http.Request, wrong string) {
	next := r.URL.RequestURI()
	if r.Method != http.MethodGet || strings.HasPrefix(r.URL.Path, "/login") {
		next = r.URL.Query().Get("next")
	}
	a := s.settings.Load().access
	v := loginView{Page: s.pages.frame("Sign in", "", depth(r), principal{}), Next: next, Wrong: wrong, Provider: a.oidc.signsIn(), Tokens: len(a.entries) > 0}
	v.Page.Nav = nil
	if err := s.pages.render(w, http.StatusUnauthorized, "login.html", v); err != nil {
		s.log.Error("page_failed", "err", err)
	}
}

// pageLogin answers GET /login.
func (s *server) pageLogin(w http.ResponseWriter, r *http.Request) {
	secure(w)
	w.Header().Set("WWW-Authenticate", challenge())
	s.askWho(w, r, "")
}

// serveLogin answers POST /login: a token of the access list begins a session.
func (s *server) serveLogin(w http.ResponseWriter, r *http.Request) {
	secure(w)
	if err := s.crossOrigin.Check(r); err != nil {
		s.fail(w, r, http.StatusForbidden, errors.New("the request comes from another site"), "use the receiver's own pages")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxActionBytes)
	e := s.settings.Load().access.byToken(strings.TrimSpace(r.PostFormValue("token")))
	if e == nil {
		s.metrics.denied.WithLabelValues("unauthenticated").Inc()
		s.signInRefused(r, "token", errors.New("the token is not known"))
		w.Header().Set("WWW-Authenticate", challenge())
		s.askWho(w, r, "This token is not known.")
		return
	}
	s.begin(w, r, e.principal, session{Entry: e.entry, Digest: hex.EncodeToString(e.digest)}, "./", r.PostFormValue("next"))
}

// begin starts a session of p, ends the one that the browser had, and leads on. One that cannot be recorded does not begin.
func (s *server) begin(w http.ResponseWriter, r *http.Request, p principal, x session, root, next string) {
	sessions := s.settings.Load().config.Sessions
	x.CSRF, x.Rights, x.Began, x.Seen = random(), p.rights(), s.now(), s.now()
	id := random()
	data, err := json.Marshal(x)
	if err == nil {
		err = s.signedIn(r, p, x, hashOf(id))
	}
	if err == nil {
		err = s.sessions.PutSession(r.Context(), hashOf(id), data, x.Began, sessions.until(x))
	}
	if c, cerr := r.Cookie(sessionCookie); err == nil && cerr == nil && len(c.Value) <= 128 {
		err = s.sessions.DropSession(r.Context(), hashOf(c.Value))
	}
	if err != nil {
		s.failed(w, r, err)
		return
	}
	http.SetCookie(w, s.cookie(sessionCookie, id, time.Duration(sessions.Length)))
	w.Header().Set("Location", root+within(next))
	w.WriteHeader(http.StatusSeeOther)
}

// within is a path below our root; anything else is the root, so that nobody is sent away by a link.
func within(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return ""
	}
	u.Path = strings.TrimLeft(u.Path, "/")
	u.RawPath, u.Fragment = "", ""
	return u.String()
}

// serveLogout answers POST /logout.
func (s *server) serveLogout(w http.ResponseWriter, r *http.Request, p principal) {
	if c, err := r.Cookie(sessionCookie); err == nil && p.csrf != "" {
		err := s.sessions.DropSession(r.Context(), hashOf(c.Value))
		if err == nil {
			err = s.signedOut(r, p)
		}
		if err != nil {
			s.failed(w, r, err)
			return
		}
	}
	http.SetCookie(w, s.cookie(sessionCookie, "", -time.Second))
	w.Header().Set("Location", "./login")
	w.WriteHeader(http.StatusSeeOther)
}

// byToken finds the entry of a token in constant time.
func (a *access) byToken(token string) *accessEntry {
	sum := sha256.Sum256([]byte(token))
	var found *accessEntry
	for i := range a.entries {
		if e := &a.entries[i]; e.digest != nil && subtle.ConstantTimeCompare(e.digest, sum[:]) == 1 && found == nil {
			found = e
		}
	}
	return found
}

// challenge says how a program may prove who it is. Browsers show the page that comes with it.
func challenge() string { return `Bearer realm="portent"` }
