package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/tickettest"
	"github.com/portent-dev/portent/internal/ticket/webhook"
	"github.com/portent-dev/portent/internal/web"
)

const secret = "0123456789abcdef"

// endpoint is somebody's own system: it takes each key once and holds every request to its signature.
type endpoint struct {
	mu     sync.Mutex
	taken  map[string]map[string]any
	order  []string
	status int
	say    string
	header http.Header
}

func (e *endpoint) serve(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(r.Header.Get("X-Portent-Timestamp") + "." + string(body)))
		if r.Header.Get("X-Portent-Signature") != "v1="+hex.EncodeToString(mac.Sum(nil)) || r.Header.Get("Authorization") != "Bearer token" || r.Header.Get("X-Team") != "sre" {
			t.Errorf("headers %v", r.Header)
		}
		for k, v := range e.header {
			w.Header()[k] = v
		}
		if e.status >= 300 {
			w.WriteHeader(e.status)
			return
		}
		key := r.Header.Get("Idempotency-Key")
		if _, ok := e.taken[key]; !ok {
			var v map[string]any
			if err := json.Unmarshal(body, &v); err != nil {
				t.Errorf("body %q: %v", body, err)
			}
			e.taken[key] = v
			e.order = append(e.order, key)
		}
		w.WriteHeader(e.status)
		_, _ = io.WriteString(w, e.say)
	}
}

func newTracker(t *testing.T) (*webhook.Tracker, *endpoint) {
	t.Helper()
	e := &endpoint{taken: map[string]map[string]any{}, status: http.StatusOK, header: http.Header{"Content-Type": {"application/json"}}}
	server := httptest.NewServer(e.serve(t))
	t.Cleanup(server.Close)
	c := webhook.DefaultConfig()
	c.URL, c.Secret, c.Token, c.Headers = server.URL+"/hook", secret, "token", map[string]string{"x-team": "sre"}
	require.NoError(t, c.Validate())
	client, err := c.HTTPClient()
	require.NoError(t, err)
	secrets, err := c.Secrets()
	require.NoError(t, err)
	tr, err := webhook.New(webhook.Options{Config: c, Secrets: secrets, Client: client, Now: time.Now, Registerer: prometheus.NewRegistry()})
	require.NoError(t, err)
	return tr, e
}

func TestWhatIsSent(t *testing.T) {
	t.Parallel()
	tr, e := newTracker(t)
	e.say = `{"key":"CHG-7","url":"https://own.example/CHG-7","status":"New"}`
	d := tickettest.Draft("portent-1")
	d.Team = "checkout"
	made, err := tr.Create(t.Context(), d)
	require.NoError(t, err)
	require.Equal(t, ticket.Ticket{Ref: ticket.Ref{Key: "CHG-7", URL: "https://own.example/CHG-7"}, State: ticket.Open, Status: "New"}, made)
	require.NoError(t, tr.Update(t.Context(), made.Ref, ticket.Update{Key: "1-2-update", Comment: tickettest.Note("Two *more* pods")}))
	require.NoError(t, tr.Update(t.Context(), made.Ref, ticket.Update{Key: "1-3-resolve", State: ticket.Resolved}))
	require.NoError(t, tr.Update(t.Context(), made.Ref, ticket.Update{Key: "1-4-update"}), "nothing to say")
	require.Equal(t, []string{"portent-1", "1-2-update", "1-3-resolve"}, e.order)

	create := e.taken["portent-1"]
	require.Equal(t, "checkout", create["team"])
	require.Equal(t, "create", create["event"])
	require.Equal(t, d.Title, create["title"])
	require.Equal(t, "open", create["state"])
	require.Equal(t, d.IncidentURL, create["incidentUrl"])
	update := e.taken["1-2-update"]
	require.Equal(t, "update", update["event"])
	require.Equal(t, "CHG-7", update["ticket"])
	require.Equal(t, "Two *more* pods", update["text"])
	require.Equal(t, "Two \\*more\\* pods\n", update["markdown"])
	require.Equal(t, "resolved", e.taken["1-3-resolve"]["state"])
}

func TestTheAnswerMayBeAnything(t *testing.T) {
	t.Parallel()
	for _, say := range []string{"", "ok", "<html>", `{"key":5}`, `{"url":"javascript:alert(1)"}`, "[]"} {
		tr, e := newTracker(t)
		e.say = say
		made, err := tr.Create(t.Context(), tickettest.Draft("portent-1"))
		require.NoError(t, err, say)
		require.Equal(t, ticket.Ref{Key: "portent-1"}, made.Ref, say)
	}
	tr, e := newTracker(t)
	e.status, e.header = http.StatusNoContent, nil
	_, err := tr.Create(t.Context(), tickettest.Draft("portent-1"))
	require.NoError(t, err)
}

func TestARepetitionIsToldApart(t *testing.T) {
	t.Parallel()
	tr, e := newTracker(t)
	for range 3 {
		_, err := tr.Create(t.Context(), tickettest.Draft("portent-1"))
		require.NoError(t, err)
	}
	require.Len(t, e.order, 1, "the key is the same each time")
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]ticket.Reason{
		401: ticket.ReasonAuth, 403: ticket.ReasonPermission, 400: ticket.ReasonInvalid, 429: ticket.ReasonRateLimited, 500: ticket.ReasonUnavailable, 302: ticket.ReasonBadAnswer,
	} {
		tr, e := newTracker(t)
		e.status, e.header = status, http.Header{"Retry-After": {"9"}, "Location": {"https://login.example/"}}
		_, err := tr.Create(t.Context(), tickettest.Draft("portent-1"))
		got := ticket.AsError(err)
		require.Equal(t, want, got.Reason, "%d: %v", status, err)
		if status == 429 {
			require.Equal(t, 9*time.Second, got.RetryAfter)
		}
	}
	tr, _ := newTracker(t)
	_, err := tr.Find(t.Context(), "portent-1")
	require.ErrorIs(t, err, ticket.ErrNotFound)
	_, err = tr.Get(t.Context(), ticket.Ref{Key: "x"})
	require.ErrorIs(t, err, ticket.ErrNotFound)
	require.Error(t, tr.Update(t.Context(), ticket.Ref{Key: "x"}, ticket.Update{Key: "a b"}))
}

func TestConfig(t *testing.T) {
	t.Parallel()
	f := func(text, want string) {
		t.Helper()
		var c webhook.Config
		require.NoError(t, yaml.Unmarshal([]byte(text), &c))
		err := c.Validate()
		if want == "" {
			require.NoError(t, err)
			return
		}
		require.ErrorContains(t, err, want)
	}
	const good = "url: https://own.example/hook\n"
	f(good, "")
	f(good+"headers: {x-team: sre}\nsecret: 0123456789abcdef\n", "")
	f("timeout: 1s", "url: is missing")
	f(good+"secret: short\n", "secret: is shorter than 16 characters")
	f(good+"secret: 0123456789abcdef\nsecret_file: x\n", "secret_file: give secret or secret_file")
	f(good+"token: a\ntoken_file: x\n", "token_file: give token or token_file")
	f(good+"headers: {authorization: x}\n", "headers.authorization: is set by Portent")
	f(good+"headers: {'a b': x}\n", "is no header")
	f(good+"timeout: 0s\n", "timeout: must be above 0s")

	c := webhook.DefaultConfig()
	c.Secret = web.Secret("0123456789abcdef-s3cret")
	out, err := yaml.Marshal(c)
	require.NoError(t, err)
	require.NotContains(t, string(out), "s3cret")
	c.Token, c.TokenFile = "", "/nowhere"
	_, err = c.Secrets()
	require.ErrorContains(t, err, "token_file")
}
