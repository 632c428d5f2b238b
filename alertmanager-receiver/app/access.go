package app

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/alertmanager/pkg/labels"

	"github.com/portent-dev/portent/internal/web"
)

// Role is what somebody may do. Each role may do what those before it may.
type Role string

// The roles.
const (
	// RoleViewer reads incidents, alerts and tickets.
	RoleViewer Role = "viewer"
	// RoleAnalyst dismisses and reopens incidents.
	RoleAnalyst Role = "analyst"
	// RoleApprover lets outward actions happen: replays what the outbox gave up.
	RoleApprover Role = "approver"
	// RoleAdmin reloads the configuration and may post notifications.
	RoleAdmin Role = "admin"
)

var roles = []Role{RoleViewer, RoleAnalyst, RoleApprover, RoleAdmin}

// may reports whether somebody with role r may do what want is needed for.
func (r Role) may(want Role) bool {
	return slices.Index(roles, r) >= slices.Index(roles, want) && slices.Contains(roles, want)
}

// AccessConfig is one person or program. It proves who it is by one of a token of ours (as bearer token, or
// as password of basic auth with its name), a user of the web configuration, or the common name of a client
// certificate that the web configuration verified.
type AccessConfig struct {
	Name        string     `yaml:"name"`
	Role        Role       `yaml:"role"`
	Token       web.Secret `yaml:"token"`
	TokenFile   string     `yaml:"token_file"`
	User        string     `yaml:"user"`
	Certificate string     `yaml:"certificate"`
	// Matchers bound what it sees to alerts that match all of them. Without any it sees everything.
	Matchers []string `yaml:"matchers"`
	// As is the name of the person, where one has several ways in: two of them must not count as two people. Empty: Name.
	As string `yaml:"as"`
}

// minToken is the least length of a token: 16 characters of base64 are 96 bits.
const minToken = 16

// maxPerson bounds the name of a person: that of a provider, with its prefix.
const maxPerson = 105

func validateAccess(as []AccessConfig) error {
	var errs []error
	seen := map[string]bool{}
	for i, a := range as {
		key := fmt.Sprintf("access[%d]", i)
		add := func(k string, err error) { errs = append(errs, web.Invalid(key+"."+k, err)) }
		if a.Name == "" || strings.ContainsAny(a.Name, ":\n\r\t") || len(a.Name) > 100 {
			add("name", fmt.Errorf("%.100q: want 1 to 100 characters without a colon", a.Name))
		}
		if seen[a.Name] {
			add("name", fmt.Errorf("%q is the name of an earlier entry", a.Name))
		}
		seen[a.Name] = true
		// A colon may stand in it: people of a provider are called oidc:NAME.
		if len(a.As) > maxPerson || strings.ContainsAny(a.As, "\n\r\t") {
			add("as", fmt.Errorf("%.100q: want at most %d characters of one line", a.As, maxPerson))
		}
		if !slices.Contains(roles, a.Role) {
			add("role", fmt.Errorf("%q: want one of viewer, analyst, approver, admin", string(a.Role)))
		}
		n := 0
		for _, given := range []bool{a.Token != "", a.TokenFile != "", a.User != "", a.Certificate != ""} {
			if given {
				n++
			}
		}
		if n != 1 {
			add("token_file", errors.New("give exactly one of token, token_file, user, certificate"))
		}
		if a.Token != "" && len(a.Token.Reveal()) < minToken {
			add("token", fmt.Errorf("is shorter than %d characters", minToken))
		}
		if _, err := parseMatchers(a.Matchers); err != nil {
			add("matchers", err)
		}
	}
	return errors.Join(errs...)
}

// principal is who asks.
type principal struct {
	name  string
	role  Role
	scope labels.Matchers // empty: everything
	// Of the session that it came with, empty without one.
	csrf, session string
	seen          session
}

// scoped reports whether the principal sees a part only.
func (p principal) scoped() bool { return len(p.scope) > 0 }

// access knows who may ask. It is immutable.
type access struct {
	entries []accessEntry
	oidc    *oidcAuth // nil without one
	webhook []byte    // digest of the webhook's token, nil without one
	// trusted reports whether the web configuration has checked this user's password.
	trusted func(user string) bool
}

type accessEntry struct {
	principal
	entry       string // the name of the entry; that of the principal is the person's
	digest      []byte // of the token, nil without one
	user        string
	certificate string
}

// newAccess reads the token files of a valid configuration.
func newAccess(as []AccessConfig, hook WebhookConfig, trusted func(string) bool) (*access, error) {
	a := &access{trusted: trusted}
	for i, c := range as {
		scope, err := parseMatchers(c.Matchers)
		if err != nil {
			return nil, err
		}
		e := accessEntry{principal: principal{name: cmp.Or(c.As, c.Name), role: c.Role, scope: scope}, entry: c.Name, user: c.User, certificate: c.Certificate}
		if e.digest, err = tokenDigest(c.Token, c.TokenFile); err != nil {
			return nil, fmt.Errorf("access[%d]: %w", i, err)
		}
		a.entries = append(a.entries, e)
	}
	var err error
	if a.webhook, err = tokenDigest(hook.Token, hook.TokenFile); err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	return a, nil
}

func tokenDigest(inline web.Secret, file string) ([]byte, error) {
	s, err := web.ReadSecret(inline, file)
	if err != nil || s == "" {
		return nil, err
	}
	if len(s.Reveal()) < minToken {
		return nil, fmt.Errorf("the token is shorter than %d characters", minToken)
	}
	d := sha256.Sum256([]byte(s.Reveal()))
	return d[:], nil
}

// configured reports whether anybody has to say who they are.
func (a *access) configured() bool { return len(a.entries) > 0 || a.oidc != nil }

// identify returns who asks, and whether that is known. Where no access is configured everybody is admin:
// then either only this machine can ask, or the web configuration has let the request through.
func (a *access) identify(r *http.Request) (principal, bool) {
	user, password, basic := r.BasicAuth()
	cert := certificateName(r)
	if !a.configured() {
		name := "local"
		switch {
		case cert != "":
			name = cert
		case basic && a.trusted(user):
			name = user
		}
		return principal{name: name, role: RoleAdmin}, true
	}
	token := bearer(r)
	if token == "" && basic {
		token = password
	}
	sum := sha256.Sum256([]byte(token))
	var found *accessEntry
	for i := range a.entries {
		e := &a.entries[i]
		ok := false
		switch {
		case e.digest != nil:
			// All entries are compared in constant time, so that the time tells neither the token nor its place.
			ok = subtle.ConstantTimeCompare(e.digest, sum[:]) == 1 && token != "" && (!basic || user == e.entry)
		case e.user != "":
			ok = basic && user == e.user && a.trusted(user)
		case e.certificate != "":
			ok = cert == e.certificate
		}
		if ok && found == nil {
			found = e
		}
	}
	if found == nil {
		return principal{}, false
	}
	return found.principal, true
}

// mayPost reports whether the request may hand in a notification: it carries the webhook's token or that of
// an admin; without a token of its own the webhook is open to whoever the web configuration let through.
func (a *access) mayPost(r *http.Request) bool {
	if a.webhook == nil {
		return true
	}
	token := bearer(r)
	if _, password, ok := r.BasicAuth(); ok && token == "" {
		token = password
	}
	sum := sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(a.webhook, sum[:]) == 1 {
		return true
	}
	p, ok := a.identify(r)
	return ok && a.configured() && p.role.may(RoleAdmin)
}

func bearer(r *http.Request) string {
	kind, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(kind, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// certificateName is the common name of a client certificate that was verified, empty without one.
func certificateName(r *http.Request) string {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || len(r.TLS.VerifiedChains[0]) == 0 {
		return ""
	}
	return r.TLS.VerifiedChains[0][0].Subject.CommonName
}
