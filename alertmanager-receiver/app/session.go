package app

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// sessionStore keeps sessions under the hash of their cookie, for all replicas.
type sessionStore interface {
	PutSession(ctx context.Context, id string, data json.RawMessage, now, expires time.Time) error
	Session(ctx context.Context, id string, now time.Time) (json.RawMessage, error)
	DropSession(ctx context.Context, id string) error
}

// session says how somebody signed in. What they may is looked up anew at each request: who is taken out of the
// configuration, or whose token is changed, is out at once.
type session struct {
	// Entry and Digest name an entry of the access list and its token.
	Entry  string `json:"entry,omitempty"`
	Digest string `json:"digest,omitempty"`
	// Claims are those of a provider that rules and name need.
	Claims map[string]any `json:"claims,omitempty"`
	// CSRF must come with what changes something.
	CSRF string `json:"csrf"`
}

const sessionCookie = "portent_session"

// sessionTTL is how long one stays signed in: a shift.
const sessionTTL = 12 * time.Hour

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
			if err != nil {
				s.log.Info("token_refused", "err", err)
			}
			return p, err == nil
		}
		return principal{}, false // a wrong token is not made good by a cookie
	}
	c, err := r.Cookie(sessionCookie)
	if err != nil || len(c.Value) > 128 {
		return principal{}, false
	}
	data, err := s.sessions.Session(r.Context(), hashOf(c.Value), s.now())
	var x session
	if err != nil || json.Unmarshal(data, &x) != nil {
		return principal{}, false
	}
	p, ok := a.resume(x)
	p.csrf = x.CSRF
	return p, ok
}

// resume returns who a session belongs to, if it may still do anything.
func (a *access) resume(x session) (principal, bool) {
	if x.Claims != nil {
		if a.oidc == nil {
			return principal{}, false
		}
		p, err := a.oidc.principal(x.Claims)
		return p, err == nil
	}
	for _, e := range a.entries {
		if e.name == x.Entry && e.digest != nil && subtle.ConstantTimeCompare([]byte(hex.EncodeToString(e.digest)), []byte(x.Digest)) == 1 {
			return e.principal, true
		}
	}
	return principal{}, false
}

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
		w.Header().Set("WWW-Authenticate", challenge())
		s.askWho(w, r, "This token is not known.")
		return
	}
	s.begin(w, r, session{Entry: e.name, Digest: hex.EncodeToString(e.digest)}, "./", r.PostFormValue("next"))
}

// begin starts a session and leads on.
func (s *server) begin(w http.ResponseWriter, r *http.Request, x session, root, next string) {
	x.CSRF = random()
	id := random()
	data, err := json.Marshal(x)
	if err == nil {
		err = s.sessions.PutSession(r.Context(), hashOf(id), data, s.now(), s.now().Add(sessionTTL))
	}
	if err != nil {
		s.failed(w, r, err)
		return
	}
	http.SetCookie(w, s.cookie(sessionCookie, id, sessionTTL))
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
		if err := s.sessions.DropSession(r.Context(), hashOf(c.Value)); err != nil {
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
