package app

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// provider is an OpenID provider with real keys.
type provider struct {
	*httptest.Server
	mu    sync.Mutex
	key   jose.JSONWebKey
	nonce string
	t     *testing.T
}

func newProvider(t *testing.T) *provider {
	p := &provider{t: t}
	p.rotate("k1")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": p.URL, "jwks_uri": p.URL + "/keys", "authorization_endpoint": p.URL + "/auth", "token_endpoint": p.URL + "/token",
			"id_token_signing_alg_values_supported": []string{"RS256"}, "response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{p.key.Public()}})
	})
	mux.HandleFunc("GET /auth", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		p.mu.Lock()
		p.nonce = q.Get("nonce")
		p.mu.Unlock()
		if q.Get("code_challenge_method") != "S256" || q.Get("client_id") != "pages" {
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		http.Redirect(w, r, q.Get("redirect_uri")+"?code=c1&state="+q.Get("state"), http.StatusFound)
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("code") != "c1" || len(r.PostFormValue("code_verifier")) < 43 {
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"access_token": "x", "token_type": "Bearer", "id_token": p.token(map[string]any{"aud": "pages", "nonce": p.nonce, "sub": "ann", "groups": []string{"sre"}}),
		})
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) rotate(id string) {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(p.t, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.key = jose.JSONWebKey{Key: k, KeyID: id, Algorithm: "RS256", Use: "sig"}
}

// token signs claims over sensible ones.
func (p *provider) token(claims map[string]any) string {
	all := map[string]any{"iss": p.URL, "aud": "portent", "sub": "ann", "iat": t0.Add(-time.Minute).Unix(), "exp": t0.Add(time.Hour).Unix()}
	for k, v := range claims {
		all[k] = v
	}
	b, err := json.Marshal(all)
	require.NoError(p.t, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: p.key}, (&jose.SignerOptions{}).WithType("JWT"))
	require.NoError(p.t, err)
	sig, err := s.Sign(b)
	require.NoError(p.t, err)
	out, err := sig.CompactSerialize()
	require.NoError(p.t, err)
	return out
}

func withProvider(p *provider) func(*Config) {
	return func(c *Config) {
		withPeople(c)
		c.OIDC = OIDCConfig{
			Issuer: p.URL, Audience: "portent", UsernameClaim: "sub", ClientID: "pages", ClientSecret: "secret",
			Rules: []OIDCRule{
				{Claim: "groups", Value: "sre", Role: RoleApprover},
				{Claim: "realm_access.roles", Value: "shop-team", Role: RoleAnalyst, Matchers: []string{`namespace="shop"`}},
			},
		}
	}
}

func TestTokensOfAProvider(t *testing.T) {
	p := newProvider(t)
	ts := newTestServer(t, withProvider(p))
	ask := func(token string) (principal, bool) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		return ts.who(r)
	}
	who, ok := ask(p.token(map[string]any{"groups": []string{"dev", "sre"}}))
	require.True(t, ok)
	require.Equal(t, "oidc:ann", who.name)
	require.Equal(t, RoleApprover, who.role)
	require.False(t, who.scoped())
	who, ok = ask(p.token(map[string]any{"realm_access": map[string]any{"roles": []string{"shop-team"}}}))
	require.True(t, ok)
	require.True(t, who.scoped())
	require.True(t, who.sees(map[string]string{"namespace": "shop"}))
	require.False(t, who.sees(map[string]string{"namespace": "bank"}))

	sre := map[string]any{"groups": []string{"sre"}}
	with := func(kv ...any) map[string]any {
		out := map[string]any{"groups": []string{"sre"}}
		for i := 0; i < len(kv); i += 2 {
			out[kv[i].(string)] = kv[i+1]
		}
		return out
	}
	good := p.token(sre)
	head, rest, _ := strings.Cut(good, ".")
	payload, _, _ := strings.Cut(rest, ".")
	for name, token := range map[string]string{
		"expired":                p.token(with("exp", t0.Add(-time.Second).Unix())),
		"for somebody else":      p.token(with("aud", "grafana")),
		"of another issuer":      p.token(with("iss", "https://evil.example.com")),
		"without a name":         p.token(with("sub", "")),
		"that no rule matches":   p.token(map[string]any{"groups": []string{"dev"}}),
		"not signed":             "eyJhbGciOiJub25lIn0." + payload + ".",
		"with a wrong signature": head + "." + payload + "." + strings.Repeat("A", 342),
		"no token at all":        "a.b.c",
	} {
		_, ok := ask(token)
		require.False(t, ok, name)
	}
	p.rotate("k2")
	_, ok = ask(p.token(sre))
	require.True(t, ok, "the provider changed its key")
	// go-oidc hands out new keys a moment before it forgets the old ones.
	require.Eventually(t, func() bool {
		_, ok := ask(good)
		return !ok
	}, 10*time.Second, 10*time.Millisecond, "of the key that is gone")
	_, ok = ask(viewerToken)
	require.True(t, ok, "our own tokens still do")

	p.Close()
	other := newTestServer(t, withProvider(p))
	require.Equal(t, 401, other.send(t, "GET", "/api/v1/incidents", "", "Authorization", "Bearer "+good).Code, "the provider is away")
	require.Equal(t, 200, other.send(t, "GET", "/api/v1/incidents", "", "Authorization", "Bearer "+viewerToken).Code)
}

// browse is a browser without scripts.
type browse struct {
	*http.Client
	t    *testing.T
	base string
}

func (ts *testServer) browser(t *testing.T) *browse {
	srv := httptest.NewServer(ts.mux)
	t.Cleanup(srv.Close)
	c := *ts.settings.Load()
	c.config.ExternalURL = srv.URL
	ts.settings.Store(&c)
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &browse{&http.Client{Jar: jar}, t, srv.URL}
}

func (b *browse) get(path string) (int, string) { return b.read(b.Get(b.base + path)) }

func (b *browse) post(path string, v url.Values) (int, string) {
	return b.read(b.PostForm(b.base+path, v))
}

func (b *browse) read(resp *http.Response, err error) (int, string) {
	b.t.Helper()
	require.NoError(b.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(b.t, err)
	return resp.StatusCode, string(body)
}

var csrfField = regexp.MustCompile(`name="csrf" value="([0-9a-f]{64})"`)

func TestSigningInWithAToken(t *testing.T) {
	ts := newTestServer(t, withPeople)
	fill(t, ts)
	b := ts.browser(t)
	code, body := b.get("/incidents/" + idMemory)
	require.Equal(t, 401, code)
	require.Contains(t, body, "Sign in with a token")
	require.NotContains(t, body, "Memory pressure", "nothing of what was asked for")
	code, body = b.post("/login", url.Values{"token": {"wrong-wrong-wrong"}, "next": {"/"}})
	require.Equal(t, 401, code)
	require.Contains(t, body, "This token is not known.")

	code, body = b.post("/login", url.Values{"token": {analystToken}, "next": {"/incidents/" + idMemory}})
	require.Equal(t, 200, code)
	require.Contains(t, body, "Memory pressure", "on to what was asked for")
	require.Contains(t, body, "Signed in as analyst")
	m := csrfField.FindStringSubmatch(body)
	require.NotNil(t, m)

	dismiss := "/incidents/" + idMemory + "/dismiss"
	code, _ = b.post(dismiss, url.Values{"reason": {"x"}})
	require.Equal(t, 403, code, "a form of somebody else's")
	code, _ = b.post(dismiss, url.Values{"reason": {"x"}, "csrf": {strings.Repeat("0", 64)}})
	require.Equal(t, 403, code)
	req, err := http.NewRequest(http.MethodPost, b.base+"/api/v1/incidents/"+idMemory+"/dismiss", strings.NewReader(`{"reason":"x"}`))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	code, _ = b.read(b.Do(req))
	require.Equal(t, 403, code, "nor by the API")
	require.Empty(t, ts.decide.actors)
	code, _ = b.post(dismiss, url.Values{"reason": {"x"}, "csrf": {m[1]}})
	require.Equal(t, 200, code)
	require.Equal(t, []string{"analyst"}, ts.decide.actors)

	u, err := url.Parse(b.base)
	require.NoError(t, err)
	stolen := b.Jar.Cookies(u)
	require.Len(t, stolen, 1)
	code, _ = b.post("/logout", url.Values{"csrf": {m[1]}})
	require.Equal(t, 401, code, "the login page")
	b.Jar.SetCookies(u, stolen)
	code, _ = b.get("/")
	require.Equal(t, 401, code, "the session is over, whoever kept its cookie")
}

func TestSigningInAtAProvider(t *testing.T) {
	p := newProvider(t)
	ts := newTestServer(t, withProvider(p))
	b := ts.browser(t)
	_, body := b.get("/policy?x=1")
	require.Contains(t, body, "login/oidc?next=%2fpolicy%3fx%3d1")
	code, body := b.get("/login/oidc?next=/policy")
	require.Equal(t, 200, code, body)
	require.Contains(t, body, "Signed in as oidc:ann (approver)")
	require.Contains(t, body, "Kill switch", "where one wanted to go")

	rs := ts.auditOf(t, "session.")
	require.Len(t, rs, 1)
	require.Equal(t, "oidc:ann", rs[0].Actor)
	require.Contains(t, string(rs[0].Detail), `"via":"oidc"`)

	code, _ = ts.browser(t).get("/login/oidc/callback?code=c1&state=" + strings.Repeat("a", 64))
	require.Equal(t, 403, code, "an answer that nobody asked for")
	code, _ = b.get("/login/oidc/callback?code=c1&state=")
	require.Equal(t, 403, code)
}

func TestNobodyIsSentAwayByALink(t *testing.T) {
	for in, want := range map[string]string{
		"/incidents/a?b=c": "incidents/a?b=c", "": "", "https://evil.example.com/": "", "//evil.example.com": "", `/\evil.example.com`: "",
		"/%2f%2fevil.example.com": "evil.example.com", "evil": "", "/a\r\nSet-Cookie: x=y": "", "javascript:alert(1)": "",
	} {
		require.Equal(t, want, within(in), in)
	}
}
