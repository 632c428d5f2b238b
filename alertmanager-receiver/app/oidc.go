package app

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/web"
)

// OIDCConfig lets people and programs prove who they are by tokens of an OpenID provider.
type OIDCConfig struct {
	// Issuer is the provider's address, as it stands in its tokens. Empty: none.
	Issuer string `yaml:"issuer"`
	// Audience must be among those of a bearer token.
	Audience string `yaml:"audience"`
	// UsernameClaim names who it is in the timeline and the audit chain.
	UsernameClaim string `yaml:"username_claim"`
	// Rules say who may do what; the first that matches counts. Who matches none may do nothing.
	Rules []OIDCRule `yaml:"rules"`
	// ClientID lets people sign in to the pages at the provider; its redirect address is external_url with
	// /login/oidc/callback. Empty: they sign in with tokens of the access list alone.
	ClientID         string     `yaml:"client_id"`
	ClientSecret     web.Secret `yaml:"client_secret"`
	ClientSecretFile string     `yaml:"client_secret_file"`
	Scopes           []string   `yaml:"scopes"`
}

// OIDCRule gives a role to tokens in which a claim has a value.
type OIDCRule struct {
	// Claim is a name, or a path such as realm_access.roles. A list matches when it holds Value.
	Claim string `yaml:"claim"`
	Value string `yaml:"value"`
	Role  Role   `yaml:"role"`
	// Matchers bound what it sees, as in access.
	Matchers []string `yaml:"matchers"`
}

func (c *OIDCConfig) validate() error {
	if c.Issuer == "" {
		if c.Audience != "" || c.ClientID != "" || len(c.Rules) > 0 {
			return web.Invalid("issuer", errors.New("is missing"))
		}
		return nil
	}
	var errs []error
	add := func(key string, err error) { errs = append(errs, web.Invalid(key, err)) }
	if u, err := url.Parse(c.Issuer); err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		add("issuer", errors.New("want https://host, or http:// on this machine"))
	}
	if c.Audience == "" && c.ClientID == "" {
		add("audience", errors.New("is missing: tokens that the provider made for others must not be taken"))
	}
	if c.UsernameClaim == "" {
		add("username_claim", errors.New("is missing, such as sub, email or preferred_username"))
	}
	if len(c.Rules) == 0 {
		add("rules", errors.New("is missing: without one nobody may do anything"))
	}
	for i, r := range c.Rules {
		key := fmt.Sprintf("rules[%d].", i)
		if r.Claim == "" || r.Value == "" {
			add(key+"claim", errors.New("want a claim and a value, such as groups and sre"))
		}
		if !slices.Contains(roles, r.Role) {
			add(key+"role", fmt.Errorf("%q: want one of viewer, analyst, approver, admin", string(r.Role)))
		}
		if _, err := parseMatchers(r.Matchers); err != nil {
			add(key+"matchers", err)
		}
	}
	if c.ClientSecret != "" && c.ClientSecretFile != "" {
		add("client_secret_file", errors.New("give client_secret or client_secret_file, not both"))
	}
	return errors.Join(errs...)
}

// loopback reports whether a host is this machine.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// oidcAuth checks tokens of one provider. It is asked for its keys when the first token comes, and again after a while
// when it could not be reached. Safe for concurrent use.
type oidcAuth struct {
	config OIDCConfig
	rules  []oidcRule
	secret web.Secret
	client *http.Client
	now    func() time.Time

	mu       sync.Mutex
	provider *oidc.Provider
	failed   time.Time
	err      error
}

type oidcRule struct {
	OIDCRule
	principal principal
}

const (
	// oidcTimeout bounds asking the provider: a request waits for it.
	oidcTimeout = 5 * time.Second
	// oidcRetry is how long a provider that did not answer is left alone.
	oidcRetry = 10 * time.Second
)

// newOIDC wants a valid configuration; without an issuer it is nil.
func newOIDC(c OIDCConfig, now func() time.Time) (*oidcAuth, error) {
	if c.Issuer == "" {
		return nil, nil //nolint:nilnil // none is configured
	}
	secret, err := web.ReadSecret(c.ClientSecret, c.ClientSecretFile)
	if err != nil {
		return nil, fmt.Errorf("oidc: %w", err)
	}
	o := &oidcAuth{config: c, secret: secret, client: &http.Client{Timeout: oidcTimeout}, now: now}
	for _, r := range c.Rules {
		scope, err := parseMatchers(r.Matchers)
		if err != nil {
			return nil, err
		}
		o.rules = append(o.rules, oidcRule{r, principal{role: r.Role, scope: scope}})
	}
	return o, nil
}

// ask returns the provider's description.
func (o *oidcAuth) ask(ctx context.Context) (*oidc.Provider, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.provider != nil {
		return o.provider, nil
	}
	if o.err != nil && o.now().Sub(o.failed) < oidcRetry {
		return nil, o.err
	}
	// The provider keeps the context for its keys: it must outlive the request.
	p, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), o.client), o.config.Issuer)
	o.provider, o.err, o.failed = p, err, o.now()
	return p, err
}

// looksLikeJWT tells a token of a provider from one of ours.
func looksLikeJWT(token string) bool { return strings.Count(token, ".") == 2 }

// bearer identifies who sent a token; an error says why it is not taken, and holds nothing of it.
func (o *oidcAuth) bearer(ctx context.Context, token string) (principal, error) {
	if o.config.Audience == "" {
		return principal{}, errors.New("no audience is configured: bearer tokens are not taken")
	}
	claims, err := o.verify(ctx, token, o.config.Audience, "")
	if err != nil {
		return principal{}, err
	}
	return o.principal(claims)
}

func (o *oidcAuth) verify(ctx context.Context, token, audience, nonce string) (map[string]any, error) {
	p, err := o.ask(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the provider: %w", err)
	}
	t, err := p.Verifier(&oidc.Config{ClientID: audience, Now: o.now}).Verify(oidc.ClientContext(ctx, o.client), token)
	if err != nil {
		return nil, err
	}
	if nonce != "" && subtle.ConstantTimeCompare([]byte(t.Nonce), []byte(nonce)) != 1 {
		return nil, errors.New("the token was made for another sign-in")
	}
	var claims map[string]any
	if err := t.Claims(&claims); err != nil {
		return nil, err
	}
	return claims, nil
}

// principal maps claims to who it is and what it may. Names of a provider begin with oidc:, which none of the access
// list can, so that nobody can take another's name.
func (o *oidcAuth) principal(claims map[string]any) (principal, error) {
	name, _ := claims[o.config.UsernameClaim].(string)
	if o.config.UsernameClaim == "email" && claims["email_verified"] == false {
		return principal{}, errors.New("the address was not verified by the provider")
	}
	name = ticket.OneLine(name, 100)
	if name == "" {
		return principal{}, fmt.Errorf("the token has no claim %q", o.config.UsernameClaim)
	}
	for _, r := range o.rules {
		if holds(lookUp(claims, r.Claim), r.Value) {
			p := r.principal
			p.name = "oidc:" + name
			return p, nil
		}
	}
	return principal{}, errors.New("no rule of oidc.rules matches the token")
}

// lookUp finds a claim by its name, or by a path of names.
func lookUp(claims map[string]any, path string) any {
	if v, ok := claims[path]; ok {
		return v
	}
	head, rest, ok := strings.Cut(path, ".")
	if !ok {
		return nil
	}
	inner, _ := claims[head].(map[string]any)
	return lookUp(inner, rest)
}

// holds reports whether a claim is, or lists, a value.
func holds(claim any, value string) bool {
	switch c := claim.(type) {
	case string:
		return c == value
	case []any:
		return slices.Contains(c, any(value))
	}
	return false
}

// keep is what of the claims a session remembers: what the rules and the name need.
func (o *oidcAuth) keep(claims map[string]any) map[string]any {
	out := map[string]any{}
	names := []string{o.config.UsernameClaim, "email_verified"}
	for _, r := range o.rules {
		head, _, _ := strings.Cut(r.Claim, ".")
		names = append(names, r.Claim, head)
	}
	for _, n := range names {
		if v, ok := claims[n]; ok {
			out[n] = v
		}
	}
	return out
}

// signsIn reports whether people can sign in to the pages at the provider.
func (o *oidcAuth) signsIn() bool { return o != nil && o.config.ClientID != "" }

func (o *oidcAuth) flow(p *oidc.Provider, callback string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: o.config.ClientID, ClientSecret: o.secret.Reveal(), Endpoint: p.Endpoint(), RedirectURL: callback,
		Scopes: append([]string{oidc.ScopeOpenID}, o.config.Scopes...),
	}
}

// pendingSignIn is what must come back from the provider. The browser keeps it in a cookie that scripts cannot read, and not
// we: anybody may begin to sign in, and as often as they like.
type pendingSignIn struct {
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"`
	Next     string `json:"next,omitempty"`
}

// pendingTTL is how long somebody may take at the provider.
const pendingTTL = 10 * time.Minute

const (
	stateCookie = "portent_signin"
	// maxPendingNext bounds the address to go on to: browsers keep 4096 bytes of a cookie.
	maxPendingNext = 1500
)

// String is the value of the cookie.
func (x pendingSignIn) String() string {
	if len(x.Next) > maxPendingNext {
		x.Next = ""
	}
	b, err := json.Marshal(x)
	if err != nil {
		panic("BUG: strings cannot be encoded: " + err.Error())
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// readPending returns the sign-in that an answer with this state belongs to.
func readPending(r *http.Request, state string) (x pendingSignIn, err error) {
	c, err := r.Cookie(stateCookie)
	if err != nil {
		return x, errors.New("the answer belongs to no sign-in of this browser")
	}
	b, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil || json.Unmarshal(b, &x) != nil || x.State == "" || x.Nonce == "" || x.Verifier == "" || subtle.ConstantTimeCompare([]byte(x.State), []byte(state)) != 1 {
		return x, errors.New("the answer belongs to another sign-in than this browser began last")
	}
	return x, nil
}

// startOIDC answers GET /login/oidc: it sends the browser to the provider.
func (s *server) startOIDC(w http.ResponseWriter, r *http.Request) {
	secure(w)
	set := s.settings.Load()
	if !set.access.oidc.signsIn() {
		s.fail(w, r, http.StatusNotFound, errors.New("no provider is configured"), "set oidc.client_id")
		return
	}
	p, err := set.access.oidc.ask(r.Context())
	if err != nil {
		s.log.Error("oidc_provider_unreachable", "err", err)
		s.fail(w, r, http.StatusBadGateway, errors.New("the provider cannot be asked now"), "try again in a moment, or sign in with a token")
		return
	}
	x := pendingSignIn{State: random(), Nonce: random(), Verifier: oauth2.GenerateVerifier(), Next: r.URL.Query().Get("next")}
	http.SetCookie(w, s.cookie(stateCookie, x.String(), pendingTTL))
	http.Redirect(w, r, set.access.oidc.flow(p, callbackURL(set)).AuthCodeURL(x.State, oidc.Nonce(x.Nonce), oauth2.S256ChallengeOption(x.Verifier)), http.StatusSeeOther)
}

func callbackURL(set *settings) string {
	return strings.TrimSuffix(set.config.ExternalURL, "/") + "/login/oidc/callback"
}

// endOIDC answers GET /login/oidc/callback: the browser comes back from the provider. The provider takes its code once.
func (s *server) endOIDC(w http.ResponseWriter, r *http.Request) {
	secure(w)
	set := s.settings.Load()
	o := set.access.oidc
	if !o.signsIn() {
		s.fail(w, r, http.StatusNotFound, errors.New("no provider is configured"), "set oidc.client_id")
		return
	}
	var claims map[string]any
	var p principal
	pending, err := readPending(r, r.URL.Query().Get("state"))
	if err == nil {
		claims, err = o.exchange(r.Context(), r.URL.Query().Get("code"), pending, callbackURL(set))
	}
	if err == nil {
		p, err = o.principal(claims)
	}
	if err != nil {
		s.metrics.denied.WithLabelValues("unauthenticated").Inc()
		s.signInRefused(r, "oidc", err)
		s.fail(w, r, http.StatusForbidden, errors.New("signing in did not work"), "try again; the log of the receiver says why")
		return
	}
	http.SetCookie(w, s.cookie(stateCookie, "", -time.Second))
	s.begin(w, r, p, session{Claims: o.keep(claims)}, "../../", pending.Next)
}

func (o *oidcAuth) exchange(ctx context.Context, code string, pending pendingSignIn, callback string) (map[string]any, error) {
	p, err := o.ask(ctx)
	if err != nil {
		return nil, err
	}
	t, err := o.flow(p, callback).Exchange(oidc.ClientContext(ctx, o.client), code, oauth2.VerifierOption(pending.Verifier))
	if err != nil {
		return nil, err
	}
	raw, ok := t.Extra("id_token").(string)
	if !ok {
		return nil, errors.New("the provider sent no id token")
	}
	return o.verify(ctx, raw, o.config.ClientID, pending.Nonce)
}
