package ticketrest_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticketrest"
)

var now = time.Date(2026, 11, 22, 10, 40, 0, 0, time.UTC)

func client(t *testing.T, base string) *ticketrest.Client {
	t.Helper()
	c, err := ticketrest.HTTPClient("")
	require.NoError(t, err)
	t.Cleanup(c.CloseIdleConnections)
	return &ticketrest.Client{
		Vendor: "x", Base: base, HTTP: c, Timeout: 5 * time.Second, Now: func() time.Time { return now },
		Message:    func(http.Header, []byte) string { return "said" },
		RetryAfter: func(r *http.Response, now time.Time) time.Duration { return ticketrest.RetryAfter(r.Header, now) },
		Observe:    func(string, string) {},
	}
}

// TestNothingWasSent: a failure before the request left is never ambiguous.
func TestNothingWasSent(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for _, base := range []string{closed.URL, "https://tracker.invalid"} {
		e := ticket.AsError(client(t, base).Do(t.Context(), ticketrest.Call{Op: "create", Method: http.MethodPost, Path: "/x", Body: "b", Effect: true}, nil))
		require.Equal(t, ticket.ReasonNetwork, e.Reason, "%v", e)
		require.True(t, e.Retry)
		require.False(t, e.Ambiguous)
	}
}

// TestAmbiguous: only what changes something can have had its effect.
func TestAmbiguous(t *testing.T) {
	t.Parallel()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadGateway)
		_, _ = w.Write([]byte(`{}`))
	}))
	defer site.Close()
	for _, effect := range []bool{false, true} {
		e := ticket.AsError(client(t, site.URL).Do(t.Context(), ticketrest.Call{Op: "do", Method: http.MethodPost, Path: "/", Effect: effect}, nil))
		require.Equal(t, effect, e.Ambiguous)
		require.EqualError(t, e.Err, "x do: 502 Bad Gateway: said")
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	f := func(header string, want time.Duration) {
		t.Helper()
		require.Equal(t, want, ticketrest.RetryAfter(http.Header{"Retry-After": {header}}, now), header)
	}
	f("", 0)
	f("7", 7*time.Second)
	f("0.5", 500*time.Millisecond)
	f("1e300", time.Hour)
	f("NaN", 0)
	f("-1", 0)
	f("soon", 0)
	f("Sun, 22 Nov 2026 10:41:00 GMT", time.Minute)
	f("Sun, 22 Nov 2026 10:39:00 GMT", time.Second)
}

func TestCheckURL(t *testing.T) {
	t.Parallel()
	f := func(url, want string) {
		t.Helper()
		err := ticketrest.CheckURL(url)
		if want == "" {
			require.NoError(t, err, url)
			return
		}
		require.ErrorContains(t, err, want, url)
		require.NotContains(t, err.Error(), "hunter2")
	}
	f("https://x.example/base", "")
	f("http://127.0.0.1:80", "")
	f("http://[::1]:80", "")
	f("", "is missing")
	f("http://x.example", "in the clear")
	f("ftp://x.example", "must begin with https://")
	f("https://a:hunter2@x.example", "must not hold credentials")
	f("https://x.example/?token=hunter2", "must not have a query")
	f("https://x:hunter2", "is not a URL")
}
