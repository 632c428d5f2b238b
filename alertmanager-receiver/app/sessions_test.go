package app

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incidentapi"
)

// auditOf are the records whose action begins with something, oldest first.
func (ts *testServer) auditOf(t *testing.T, action string) []audit.Record {
	t.Helper()
	rs, next, err := ts.audit.Records(t.Context(), time.Time{}, incident.MaxLimit, "")
	require.NoError(t, err)
	require.Empty(t, next)
	var out []audit.Record
	for _, r := range rs {
		if strings.HasPrefix(r.Action, action) {
			out = append(out, r)
		}
	}
	return out
}

// reload puts another configuration in force, as a reload does.
func (ts *testServer) reload(t *testing.T, change func(*Config)) {
	t.Helper()
	c := *ts.settings.Load()
	c.config.Access = append([]AccessConfig(nil), c.config.Access...)
	change(&c.config)
	require.NoError(t, c.config.Validate())
	acc, err := newAccess(c.config.Access, c.config.Webhook, nil)
	require.NoError(t, err)
	acc.oidc = c.access.oidc
	c.access = acc
	ts.settings.Store(&c)
}

// signedIn is a browser with a session of a token.
func (ts *testServer) signedIn(t *testing.T, token string) *browse {
	t.Helper()
	b := ts.browser(t)
	code, body := b.post("/login", url.Values{"token": {token}})
	require.Equal(t, 200, code, body)
	return b
}

func (b *browse) status(path string) int {
	code, _ := b.get(path)
	return code
}

func TestASessionHasALengthAndEndsIdle(t *testing.T) {
	ts := newTestServer(t, func(c *Config) {
		withPeople(c)
		c.Sessions = SessionsConfig{Length: model.Duration(3 * time.Hour), Idle: model.Duration(time.Hour)}
	})
	at := func(d time.Duration) { ts.clock = t0.Add(d) }
	b := ts.signedIn(t, viewerToken)
	at(59 * time.Minute)
	require.Equal(t, 200, b.status("/"))
	at(118 * time.Minute)
	require.Equal(t, 200, b.status("/"), "used an hour ago at most")
	at(177 * time.Minute)
	require.Equal(t, 200, b.status("/"))
	at(3 * time.Hour)
	require.Equal(t, 401, b.status("/"), "its length, however it is used")

	at(0)
	b = ts.signedIn(t, viewerToken)
	for m := 5 * time.Minute; m < time.Hour; m += 5 * time.Minute {
		at(m)
		req, err := http.NewRequest(http.MethodGet, b.base+"/", nil)
		require.NoError(t, err)
		req.Header.Set(refreshHeader, "1")
		code, _ := b.read(b.Do(req))
		require.Equal(t, 200, code)
	}
	at(time.Hour)
	require.Equal(t, 401, b.status("/"), "what a page asks for by itself is nobody")
	at(30 * time.Minute)
	require.Equal(t, 200, b.status("/"), "the clock was wrong")
	at(-time.Hour)
	require.Equal(t, 401, b.status("/"), "a session that begins in the future")

	at(0)
	b = ts.signedIn(t, viewerToken)
	ts.reload(t, func(c *Config) {
		c.Sessions = SessionsConfig{Length: model.Duration(10 * time.Minute)}
	})
	at(9 * time.Minute)
	require.Equal(t, 200, b.status("/"))
	at(10 * time.Minute)
	require.Equal(t, 401, b.status("/"), "a shorter length holds for those that are there")
}

func TestSessionsAreBounded(t *testing.T) {
	for _, x := range []struct {
		length, idle time.Duration
		want         string
	}{
		{12 * time.Hour, 0, ""},
		{5 * time.Minute, 5 * time.Minute, ""},
		{744 * time.Hour, 744 * time.Hour, ""},
		{time.Minute, 0, "length: 1m: want 5m to 31d"},
		{745 * time.Hour, 0, "length"},
		{time.Hour, time.Minute, "idle: 1m"},
		{time.Hour, 2 * time.Hour, "idle: 2h: want 5m to length"},
	} {
		err := SessionsConfig{Length: model.Duration(x.length), Idle: model.Duration(x.idle)}.validate()
		if x.want == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, x.want)
		}
	}
}

func TestASessionEndsWithItsRight(t *testing.T) {
	for name, change := range map[string]func(c *Config){
		"the token was changed":  func(c *Config) { c.Access[1].Token = "another-another-another" },
		"the entry was renamed":  func(c *Config) { c.Access[1].Name = "other" },
		"the entry is gone":      func(c *Config) { c.Access = append(c.Access[:1:1], c.Access[2:]...) },
		"the role was raised":    func(c *Config) { c.Access[1].Role = RoleAdmin },
		"the role was lowered":   func(c *Config) { c.Access[1].Role = RoleViewer },
		"it may see a part only": func(c *Config) { c.Access[1].Matchers = []string{`namespace="shop"`} },
	} {
		t.Run(name, func(t *testing.T) {
			ts := newTestServer(t, withPeople)
			b := ts.signedIn(t, analystToken)
			ts.reload(t, func(*Config) {})
			require.Equal(t, 200, b.status("/"), "a reload alone ends nothing")
			ts.reload(t, change)
			require.Equal(t, 401, b.status("/"))
			ts.reload(t, func(c *Config) { withPeople(c) })
			require.Equal(t, 200, b.status("/"), "what was taken back")
		})
	}
}

// A stream ends when its reader may do something else by now; the browser asks again with what holds now.
func TestAStreamEndsWithItsRight(t *testing.T) {
	ts := newTestServer(t, withPeople)
	ts.beat = time.Millisecond
	srv := httptest.NewServer(ts.mux)
	defer srv.Close()
	defer ts.hub.close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+incidentapi.PathEvents, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+shopToken)
	resp, err := http.DefaultClient.Do(req) //nolint:bodyclose // it is, when the test ends
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, 200, resp.StatusCode)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 1<<10)
		for {
			if _, err := resp.Body.Read(buf); err != nil {
				return
			}
		}
	}()
	ts.reload(t, func(c *Config) { c.Access[4].Matchers = []string{`namespace="bank"`} })
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Fatal("the stream goes on with what is no longer theirs to see")
	}
}

func TestSignInsAreAudited(t *testing.T) {
	ts := newTestServer(t, func(c *Config) {
		withPeople(c)
		c.Access[2].As = "oidc:ann"
	})
	b := ts.browser(t)
	code, _ := b.post("/login", url.Values{"token": {"guess-guess-guess"}})
	require.Equal(t, 401, code)
	code, body := b.post("/login", url.Values{"token": {approverToken}})
	require.Equal(t, 200, code)
	require.Contains(t, body, "Signed in as oidc:ann (approver)")
	code, _ = b.post("/logout", url.Values{"csrf": {csrfField.FindStringSubmatch(body)[1]}})
	require.Equal(t, 401, code)

	rs := ts.auditOf(t, "session.")
	require.Len(t, rs, 3)
	require.Equal(t, []string{auditRefused, auditSignedIn, auditSignedOut}, []string{rs[0].Action, rs[1].Action, rs[2].Action})
	require.Equal(t, []string{"portent", "oidc:ann", "oidc:ann"}, []string{rs[0].Actor, rs[1].Actor, rs[2].Actor})
	require.Equal(t, rs[1].Subject, rs[2].Subject)
	var d map[string]any
	require.NoError(t, json.Unmarshal(rs[1].Detail, &d))
	require.Equal(t, map[string]any{"address": "127.0.0.1", "entry": "approver", "role": "approver", "until": "2026-11-22T07:04:05Z", "via": "token"}, d)
	for _, r := range rs {
		require.NotContains(t, string(r.Detail), "guess", "what was tried")
		require.NotContains(t, string(r.Detail), approverToken)
	}

	first := ts.signedIn(t, viewerToken)
	u, err := url.Parse(first.base)
	require.NoError(t, err)
	before := first.Jar.Cookies(u)
	code, _ = first.post("/login", url.Values{"token": {adminToken}})
	require.Equal(t, 200, code)
	first.Jar.SetCookies(u, before)
	require.Equal(t, 401, first.status("/"), "who signs in anew leaves no session behind")
}

func TestAStrangerCannotFillTheAuditChain(t *testing.T) {
	ts := newTestServer(t, withPeople)
	guess := func() {
		w := ts.send(t, "POST", "/login", "token=guess-guess-guess", "Content-Type", "application/x-www-form-urlencoded")
		require.Equal(t, 401, w.Code)
	}
	for range 500 {
		guess()
	}
	require.Len(t, ts.auditOf(t, auditRefused), refusedBurst)
	ts.clock = t0.Add(refusedEvery)
	guess()
	guess()
	rs := ts.auditOf(t, auditRefused)
	require.Len(t, rs, refusedBurst+1)
	require.Contains(t, string(rs[refusedBurst].Detail), `"unrecordedBefore":490`)
	ts.clock = t0
	for range 5 {
		guess()
	}
	require.Len(t, ts.auditOf(t, auditRefused), refusedBurst+1, "a clock that goes back brings no room")

	var l signInLog
	n := 0
	for d := time.Duration(0); d < 24*time.Hour; d += 20 * time.Second {
		if _, ok := l.next(t0.Add(d)); ok {
			n++
		}
	}
	require.LessOrEqual(t, n, 154)
}

// A sign-in that cannot be recorded does not happen.
func TestASignInWithoutARecordDoesNotHappen(t *testing.T) {
	ts := newTestServer(t, withPeople)
	ts.ledger = mute{ts.ledger}
	w := ts.send(t, "POST", "/login", "token="+adminToken, "Content-Type", "application/x-www-form-urlencoded")
	require.Equal(t, 503, w.Code)
	require.Empty(t, w.Header().Values("Set-Cookie"))
}

// mute is a ledger that cannot write.
type mute struct{ ledger }

func (mute) Apply(context.Context, incident.Change) error { return incident.ErrFull }

// Beginning to sign in at a provider writes nothing of ours, however often a stranger does.
func TestBeginningASignInKeepsNothing(t *testing.T) {
	p := newProvider(t)
	ts := newTestServer(t, withProvider(p))
	ts.sessions = nil // a write would panic
	for _, next := range []string{"/policy", "/" + strings.Repeat("x", 4000)} {
		w := ts.send(t, "GET", "/login/oidc?next="+next, "")
		require.Equal(t, http.StatusSeeOther, w.Code)
		require.Less(t, len(w.Header().Get("Set-Cookie")), 4096)
	}
	w := ts.send(t, "GET", "/login/oidc/callback?code=c1&state=x", "", "Cookie", stateCookie+"=bm8")
	require.Equal(t, http.StatusForbidden, w.Code)
}
