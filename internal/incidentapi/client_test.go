package incidentapi_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incidentapi"
)

// serve starts a server that answers every request with h and returns a client of it.
func serve(t *testing.T, h http.HandlerFunc) *incidentapi.Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := incidentapi.New(incidentapi.Options{URL: srv.URL + "/prefix/", Token: "secret-token", Timeout: 5 * time.Second, MaxBytes: 4096})
	require.NoError(t, err)
	return c
}

func reply(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func requireReason(t *testing.T, err error, want incidentapi.Reason, text string) *incidentapi.Error {
	t.Helper()
	var e *incidentapi.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, want, e.Reason, "error: %v", err)
	require.ErrorContains(t, err, text)
	require.NotContains(t, err.Error(), "secret-token")
	return e
}

func TestClientSendsWhatTheContractSays(t *testing.T) {
	type seen struct{ method, uri, auth, accept, contentType, body string }
	var got seen
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var body json.RawMessage
		_ = json.NewDecoder(r.Body).Decode(&body)
		got = seen{r.Method, r.URL.RequestURI(), r.Header.Get("Authorization"), r.Header.Get("Accept"), r.Header.Get("Content-Type"), string(body)}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = w.Write([]byte(`{}`))
	})
	since := time.Date(2026, 11, 22, 10, 0, 0, 500, time.FixedZone("", 3600))
	ctx := t.Context()
	tests := []struct {
		name string
		call func() error
		want seen
	}{
		{
			"list all", func() error { _, err := c.List(ctx, incidentapi.ListOptions{}); return err },
			seen{method: "GET", uri: "/prefix/api/v1/incidents"},
		},
		{"list some", func() error {
			_, err := c.List(ctx, incidentapi.ListOptions{Status: "open", Since: since, Limit: 7, Cursor: "a b&c"})
			return err
		}, seen{method: "GET", uri: "/prefix/api/v1/incidents?cursor=a+b%26c&limit=7&since=2026-11-22T09%3A00%3A00.0000005Z&status=open"}},
		{
			"get", func() error { _, err := c.Get(ctx, "01J"); return err },
			seen{method: "GET", uri: "/prefix/api/v1/incidents/01J"},
		},
		{
			"get hostile id", func() error { _, err := c.Get(ctx, "../../-/reload?x=1"); return err },
			seen{method: "GET", uri: "/prefix/api/v1/incidents/..%2F..%2F-%2Freload%3Fx=1"},
		},
		{
			"alerts", func() error {
				_, err := c.Alerts(ctx, incidentapi.AlertOptions{Suppressed: true, Limit: 2})
				return err
			},
			seen{method: "GET", uri: "/prefix/api/v1/alerts?limit=2&suppressed=true"},
		},
		{
			"dismiss", func() error { _, err := c.Dismiss(ctx, "01J", `it's "fine"`); return err },
			seen{method: "POST", uri: "/prefix/api/v1/incidents/01J/dismiss", contentType: "application/json", body: `{"reason":"it's \"fine\""}`},
		},
		{
			"reopen", func() error { _, err := c.Reopen(ctx, "01J", "back"); return err },
			seen{method: "POST", uri: "/prefix/api/v1/incidents/01J/reopen", contentType: "application/json", body: `{"reason":"back"}`},
		},
		{
			"audit", func() error { _, err := c.Audit(ctx, since, 0, ""); return err },
			seen{method: "GET", uri: "/prefix/api/v1/audit?since=2026-11-22T09%3A00%3A00.0000005Z"},
		},
		{
			"dead letters", func() error { _, err := c.DeadLetters(ctx, 0, ""); return err },
			seen{method: "GET", uri: "/prefix/api/v1/outbox?state=dead"},
		},
		{
			"replay", func() error { return c.Replay(ctx, 42) },
			seen{method: "POST", uri: "/prefix/api/v1/outbox/42/replay", contentType: "application/json", body: `{}`},
		},
		{
			"probe", func() error { return c.Probe(ctx) },
			seen{method: "GET", uri: "/prefix/api/v1/incidents?limit=1"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.auth, tt.want.accept = "Bearer secret-token", "application/json"
			require.NoError(t, tt.call())
			require.Equal(t, tt.want, got)
		})
	}
}

func TestClientNamesWhatWentWrong(t *testing.T) {
	const json = "application/json"
	tests := []struct {
		name   string
		answer http.HandlerFunc
		reason incidentapi.Reason
		text   string
		retry  bool
	}{
		{"html with 200", reply(200, "text/html", "<html>Log in</html>"), incidentapi.ReasonNotReceiver, "login page", false},
		{"no content type", reply(200, "", ""), incidentapi.ReasonNotReceiver, "want application/json", false},
		{"not json", reply(200, json, "<html>"), incidentapi.ReasonBadAnswer, "read the answer", false},
		{"wrong json", reply(200, json, `{"incidents":5}`), incidentapi.ReasonBadAnswer, "read the answer", false},
		{"401", reply(401, json, `{"error":"no token","hint":"send one"}`), incidentapi.ReasonUnauthorized, "401: no token (send one)", false},
		{"401 without hint", reply(401, "text/plain", `no`), incidentapi.ReasonUnauthorized, "401: Unauthorized (check the token", false},
		{"403", reply(403, json, `{"error":"role viewer"}`), incidentapi.ReasonUnauthorized, "role viewer", false},
		{"404", reply(404, json, `{"error":"no incident 01J"}`), incidentapi.ReasonNotFound, "no incident 01J", false},
		{"409", reply(409, json, `{"error":"already"}`), incidentapi.ReasonConflict, "already", false},
		{"400", reply(400, json, `{"error":"limit"}`), incidentapi.ReasonBadRequest, "limit", false},
		{"429", reply(429, json, `{}`), incidentapi.ReasonUnavailable, "Too Many Requests", true},
		{"503", reply(503, "text/html", `<h1>Bad gateway</h1>`), incidentapi.ReasonUnavailable, "503: Service Unavailable", true},
		{"304", reply(304, "", ""), incidentapi.ReasonNotReceiver, "304", false},
		{"too large", reply(200, json, `{"incidents":[],"x":"`+strings.Repeat("x", 5000)+`"}`), incidentapi.ReasonTooLarge, "4096 bytes", false},
		{"cut", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", json)
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(`{"inc`))
		}, incidentapi.ReasonUnreachable, "unexpected EOF", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := serve(t, tt.answer).List(t.Context(), incidentapi.ListOptions{})
			e := requireReason(t, err, tt.reason, tt.text)
			require.Equal(t, tt.retry, e.Retry())
		})
	}
}

func TestClientBoundsTimeAndHonoursTheContext(t *testing.T) {
	hang := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	defer srv.Close()
	defer close(hang)

	c, err := incidentapi.New(incidentapi.Options{URL: srv.URL, Timeout: 20 * time.Millisecond})
	require.NoError(t, err)
	_, err = c.Get(t.Context(), "01J")
	require.True(t, requireReason(t, err, incidentapi.ReasonTimeout, "no answer in time").Retry())

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Get(ctx, "01J")
	requireReason(t, err, incidentapi.ReasonCanceled, "context canceled")
	require.ErrorIs(t, err, context.Canceled)
}

func TestClientExplainsTLS(t *testing.T) {
	quiet := func(srv *httptest.Server) { srv.Config.ErrorLog = discardLog() }
	now := time.Now()
	start := func(notAfter time.Time, name string) (*httptest.Server, *x509.CertPool) {
		cert, pool := selfSigned(t, notAfter, name)
		srv := httptest.NewUnstartedServer(reply(200, "application/json", "{}"))
		srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
		quiet(srv)
		srv.StartTLS()
		t.Cleanup(srv.Close)
		return srv, pool
	}
	call := func(url string, pool *x509.CertPool) error {
		c, err := incidentapi.New(incidentapi.Options{URL: url, Client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}})
		require.NoError(t, err)
		return c.Probe(t.Context())
	}

	srv, pool := start(now.Add(time.Hour), "127.0.0.1")
	require.NoError(t, call(srv.URL, pool))
	requireReason(t, call(srv.URL, x509.NewCertPool()), incidentapi.ReasonTLS, "unknown authority")
	requireReason(t, call(strings.Replace(srv.URL, "127.0.0.1", "localhost", 1), pool), incidentapi.ReasonTLS, "another name")

	srv, pool = start(now.Add(-time.Hour), "127.0.0.1")
	requireReason(t, call(srv.URL, pool), incidentapi.ReasonTLS, "expired")

	plain := httptest.NewServer(reply(200, "application/json", "{}"))
	defer plain.Close()
	requireReason(t, call(strings.Replace(plain.URL, "http:", "https:", 1), pool), incidentapi.ReasonTLS, "does not speak TLS")
}

func TestClientExplainsAClosedPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	c, err := incidentapi.New(incidentapi.Options{URL: "http://user:secret-token@" + addr})
	require.NoError(t, err)
	requireReason(t, c.Probe(t.Context()), incidentapi.ReasonUnreachable, "is the receiver running")
}

func TestNewRefusesBadAddresses(t *testing.T) {
	for _, bad := range []string{"", "127.0.0.1:9751", "ftp://x", "http://", "http://user:secret-token@ho st", ":", "http://[::1"} {
		_, err := incidentapi.New(incidentapi.Options{URL: bad})
		requireReason(t, err, incidentapi.ReasonBadAddress, "receiver address")
	}
}

func TestClientRefusesIDsThatCannotBeSent(t *testing.T) {
	c := serve(t, reply(200, "application/json", "{}"))
	for _, bad := range []string{"", ".", "..", strings.Repeat("x", 129)} {
		_, err := c.Get(t.Context(), bad)
		requireReason(t, err, incidentapi.ReasonBadParameter, "incident id")
	}
}

func selfSigned(t *testing.T, notAfter time.Time, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.ParseIP(name)},
		NotBefore: notAfter.Add(-24 * time.Hour), NotAfter: notAfter, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}
