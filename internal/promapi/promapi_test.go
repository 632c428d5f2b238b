package promapi_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/promapi"
	"github.com/portent-dev/portent/internal/spectest"
)

// fake is a Prometheus that answers as the test says, and holds every request to
// the vendor's description.
type fake struct {
	*httptest.Server
	requests []string // method, path and form of each
}

func newFake(t *testing.T, answer http.HandlerFunc) *fake {
	t.Helper()
	contract := spectest.Load(t, "prometheus")
	f := new(fake)
	f.Server = httptest.NewServer(http.StripPrefix("/proxy/api/v1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if err := contract.CheckRequest(r, body); err != nil {
			t.Errorf("request is not as described: %v", err)
		}
		f.requests = append(f.requests, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(body)))
		answer(w, r)
	})))
	t.Cleanup(f.Close)
	return f
}

func (f *fake) client(t *testing.T, o promapi.Options) *promapi.Client {
	t.Helper()
	o.URL = f.URL + "/proxy/"
	c, err := promapi.New(o)
	require.NoError(t, err)
	return c
}

// says answers with a status and a body.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

var at = time.Unix(1_790_000_000, 250_000_000).UTC()

func TestCalls(t *testing.T) {
	ctx := t.Context()
	t.Run("query", func(t *testing.T) {
		f := newFake(t, says(200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"a"},"value":[1790000000.25,"1"]}]},"warnings":["a store is away"],"infos":["not a counter"]}`))
		a, err := f.client(t, promapi.Options{Timeout: 7 * time.Second}).Query(ctx, `up{job="a"}`, at, 10)
		require.NoError(t, err)
		require.Equal(t, `up{job="a"} => 1 @[1790000000.25]`, a.Value.String())
		require.Equal(t, []string{"a store is away"}, a.Warnings)
		require.Equal(t, []string{"not a counter"}, a.Infos)
		require.Equal(t, []string{"POST /query limit=10&query=up%7Bjob%3D%22a%22%7D&time=1790000000.25&timeout=7s"}, f.requests)
	})
	t.Run("query range", func(t *testing.T) {
		f := newFake(t, says(200, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"job":"a"},"values":[[1790000000,"1"],[1790000060,"NaN"]]}]}}`))
		a, err := f.client(t, promapi.Options{}).QueryRange(ctx, "up", promapi.Range{Start: at, End: at.Add(time.Hour), Step: time.Minute}, 0)
		require.NoError(t, err)
		require.Len(t, a.Value.(model.Matrix)[0].Values, 2)
		require.Equal(t, []string{"POST /query_range end=1790003600.25&query=up&start=1790000000.25&step=60&timeout=30s"}, f.requests)
	})
	t.Run("series", func(t *testing.T) {
		f := newFake(t, says(200, `{"status":"success","data":[{"__name__":"up","job":"a"}]}`))
		sets, _, err := f.client(t, promapi.Options{}).Series(ctx, []string{"up", `{job="a"}`}, at, at.Add(time.Minute), 5)
		require.NoError(t, err)
		require.Equal(t, `{__name__="up", job="a"}`, sets[0].String())
	})
	t.Run("label names", func(t *testing.T) {
		f := newFake(t, says(200, `{"status":"success","data":["__name__","job"]}`))
		names, _, err := f.client(t, promapi.Options{}).LabelNames(ctx, []string{"up"}, at, at.Add(time.Minute), 5)
		require.NoError(t, err)
		require.Equal(t, []string{"__name__", "job"}, names)
	})
	t.Run("label values", func(t *testing.T) {
		f := newFake(t, says(200, `{"status":"success","data":["a","b"],"warnings":["w"]}`))
		c := f.client(t, promapi.Options{})
		values, warnings, err := c.LabelValues(ctx, "job", nil, at, at.Add(time.Minute), 5)
		require.NoError(t, err)
		require.Equal(t, []string{"a", "b"}, values)
		require.Equal(t, []string{"w"}, warnings)
		_, _, err = c.LabelValues(ctx, "../../query?x=", nil, time.Time{}, time.Time{}, 0)
		require.NoError(t, err)
		require.Equal(t, "GET /label/U___2e__2e__2f__2e__2e__2f_query_3f_x_3d_/values", f.requests[1], "a name is never a path")
	})
	t.Run("metadata", func(t *testing.T) {
		f := newFake(t, says(200, `{"status":"success","data":{"up":[{"type":"gauge","help":"Help.","unit":""}]}}`))
		m, err := f.client(t, promapi.Options{}).Metadata(ctx, "up", 3)
		require.NoError(t, err)
		require.Equal(t, "gauge", string(m["up"][0].Type))
	})
	t.Run("configuration", func(t *testing.T) {
		f := newFake(t, says(200, `{"status":"success","data":{"yaml":"global: {}\n"}}`))
		yaml, err := f.client(t, promapi.Options{}).Config(ctx)
		require.NoError(t, err)
		require.YAMLEq(t, "global: {}", yaml)
		require.Equal(t, []string{"GET /status/config"}, f.requests)
	})
	t.Run("build information and probe", func(t *testing.T) {
		f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/query" {
				says(200, `{"status":"success","data":{"resultType":"vector","result":[]}}`)(w, r)
				return
			}
			says(200, `{"status":"success","data":{"version":"3.15.0"}}`)(w, r)
		})
		c := f.client(t, promapi.Options{})
		b, err := c.Buildinfo(ctx)
		require.NoError(t, err)
		require.Equal(t, "3.15.0", b.Version)
		version, err := c.Probe(ctx)
		require.NoError(t, err)
		require.Equal(t, "3.15.0", version)
	})
	t.Run("probe of one that only answers queries", func(t *testing.T) {
		f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/query" {
				http.NotFound(w, r)
				return
			}
			says(200, `{"status":"success","data":{"resultType":"vector","result":[]}}`)(w, r)
		})
		c := f.client(t, promapi.Options{})
		version, err := c.Probe(ctx)
		require.NoError(t, err)
		require.Empty(t, version)
		_, err = c.Buildinfo(ctx)
		require.Equal(t, promapi.ReasonNotFound, promapi.ReasonOf(err))
	})
	t.Run("server without POST", func(t *testing.T) {
		f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
			says(200, `{"status":"success","data":{"resultType":"vector","result":[]}}`)(w, r)
		})
		_, err := f.client(t, promapi.Options{}).Query(ctx, "up", at, 0)
		require.NoError(t, err)
		require.Equal(t, "GET /query?query=up&time=1790000000.25&timeout=30s", f.requests[1])
	})
}

func TestFederate(t *testing.T) {
	var got *http.Request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		if r.URL.Query().Get("match[]") == "bad" {
			http.Error(w, "1:4: parse error", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = io.WriteString(w, "up 1\n")
	}))
	defer s.Close()
	c, err := promapi.New(promapi.Options{URL: s.URL + "/prefix/"})
	require.NoError(t, err)
	body, contentType, err := c.Federate(t.Context(), []string{`{job="a"}`, "up"}, "text/plain")
	require.NoError(t, err)
	require.Equal(t, "up 1\n", string(body))
	require.Equal(t, "text/plain; version=0.0.4", contentType)
	require.Equal(t, "/prefix/federate?match%5B%5D=%7Bjob%3D%22a%22%7D&match%5B%5D=up", got.URL.RequestURI())
	require.Equal(t, "text/plain", got.Header.Get("Accept"))
	_, _, err = c.Federate(t.Context(), []string{"bad"}, "")
	require.ErrorContains(t, err, "federate from "+s.URL+"/prefix/: HTTP status 400 Bad Request: 1:4: parse error")
}

func TestErrors(t *testing.T) {
	html := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "<!DOCTYPE html><title>Sign in</title>")
		}
	}
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		reason promapi.Reason
		status int
		text   string
	}{
		{"bad data", says(400, `{"status":"error","errorType":"bad_data","error":"1:1: parse error: unexpected end"}`), promapi.ReasonBadData, 400, "parse error"},
		{"execution", says(422, `{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory"}`), promapi.ReasonExecution, 422, "too many samples"},
		{"timeout of the server", says(503, `{"status":"error","errorType":"timeout","error":"query timed out in expression evaluation"}`), promapi.ReasonTimeout, 503, "timed out"},
		{"canceled by the server", says(503, `{"status":"error","errorType":"canceled","error":"query was canceled"}`), promapi.ReasonCanceled, 503, "canceled"},
		{"error with 200", says(200, `{"status":"error","errorType":"execution","error":"odd"}`), promapi.ReasonExecution, 200, "odd"},
		{"internal error", says(500, `{"status":"error","errorType":"internal","error":"disk full"}`), promapi.ReasonServer, 500, "HTTP status 500 Internal Server Error: disk full"},
		{"no login", says(401, `Unauthorized`), promapi.ReasonUnauthorized, 401, "Unauthorized"},
		{"no login, a page", html(401), promapi.ReasonUnauthorized, 401, "HTTP status 401"},
		{"no rights", says(403, `{"message":"no"}`), promapi.ReasonForbidden, 403, "403"},
		{"another server", says(404, "404 page not found\n"), promapi.ReasonNotFound, 404, "404 page not found"},
		{"rate limit", says(429, "slow down"), promapi.ReasonTooMany, 429, "slow down"},
		{"proxy without server", html(502), promapi.ReasonDown, 502, "502"},
		{"starting", says(503, "Service Unavailable"), promapi.ReasonDown, 503, "503"},
		{"proxy lost patience", html(504), promapi.ReasonTimeout, 504, "504"},
		{"login page", html(200), promapi.ReasonNotPrometheus, 200, "HTML page"},
		{"login page called JSON", says(200, "\n<html>"), promapi.ReasonNotPrometheus, 200, "HTML page"},
		{"bad request of another server", html(400), promapi.ReasonNotPrometheus, 400, "400"},
		{"not JSON", says(200, "OK"), promapi.ReasonNotPrometheus, 200, "not that of a Prometheus API"},
		{"empty", says(200, ""), promapi.ReasonNotPrometheus, 200, "not that of a Prometheus API"},
		{"other JSON", says(200, `{"status":"success","data":{"resultType":"vector","result":7}}`), promapi.ReasonNotPrometheus, 200, "not that of a Prometheus API"},
		{"JSON of another server", says(200, `{"message":"ok"}`), promapi.ReasonNotPrometheus, 200, "holds no result"},
		{"no result", says(200, `{"status":"success"}`), promapi.ReasonNotPrometheus, 200, "holds no result"},
		{"the receiver's API", says(404, `{"error":"no such path","hint":"see the docs"}`), promapi.ReasonNotFound, 404, "no such path"},
		{"cut", says(200, `{"status":"success","data":{"resultType":"vec`), promapi.ReasonNotPrometheus, 200, "not that of a Prometheus API"},
		{"long text", says(500, strings.Repeat("long ", 1000)), promapi.ReasonServer, 500, "long …"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake(t, tc.answer)
			_, err := f.client(t, promapi.Options{}).Query(t.Context(), "up", at, 0)
			require.ErrorContains(t, err, tc.text)
			require.Less(t, len(err.Error()), 600)
			require.NotContains(t, err.Error(), "<")
			var e *promapi.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, tc.reason, e.Reason)
			require.Equal(t, tc.status, e.Status)
			require.Equal(t, tc.reason != promapi.ReasonCanceled, e.Downstream)
			require.Contains(t, promapi.Reasons(), e.Reason)
			if tc.reason != promapi.ReasonCanceled && tc.reason != promapi.ReasonServer {
				require.NotEmpty(t, e.Hint)
			}
		})
	}
}

func TestRedirectToLogin(t *testing.T) {
	sso := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html>")
	}))
	defer sso.Close()
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, sso.URL, http.StatusFound) })
	_, err := f.client(t, promapi.Options{}).Query(t.Context(), "up", at, 0)
	require.Equal(t, promapi.ReasonNotPrometheus, promapi.ReasonOf(err))
	require.ErrorContains(t, err, "redirected to "+strings.TrimPrefix(sso.URL, "http://"))
}

func TestBounds(t *testing.T) {
	f := newFake(t, func(w http.ResponseWriter, _ *http.Request) {
		chunk := []byte(strings.Repeat(" ", 1<<16))
		for range 1 << 10 { // 64 MiB, if it is read
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	_, err := f.client(t, promapi.Options{MaxBytes: 1 << 20}).Query(t.Context(), "up", at, 0)
	require.Equal(t, promapi.ReasonTooLarge, promapi.ReasonOf(err))
	require.ErrorContains(t, err, "more than 1048576 bytes")
}

func TestDown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	c, err := promapi.New(promapi.Options{URL: "http://user:secret@" + addr})
	require.NoError(t, err)
	_, err = c.Query(t.Context(), "up", at, 0)
	require.Equal(t, promapi.ReasonDown, promapi.ReasonOf(err))
	require.ErrorContains(t, err, "connection refused")
	require.NotContains(t, err.Error(), "secret")
	require.NotContains(t, c.Server(), "secret")
	_, err = c.Probe(t.Context())
	require.Equal(t, promapi.ReasonDown, promapi.ReasonOf(err))
}

func TestBrokenOff(t *testing.T) {
	f := newFake(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"status":`)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	_, err := f.client(t, promapi.Options{}).Query(t.Context(), "up", at, 0)
	require.Equal(t, promapi.ReasonDown, promapi.ReasonOf(err))
	require.ErrorContains(t, err, "unexpected EOF")
}

// stuck is a server that never answers.
type stuck struct{}

func (stuck) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := promapi.New(promapi.Options{URL: "http://prometheus:9090", Client: &http.Client{Transport: stuck{}}, Timeout: 7 * time.Second})
		require.NoError(t, err)
		start := time.Now()
		_, err = c.Query(t.Context(), "up", at, 0)
		require.Equal(t, promapi.ReasonTimeout, promapi.ReasonOf(err))
		require.Equal(t, 7*time.Second, time.Since(start))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = c.Query(ctx, "up", at, 0)
		require.Equal(t, promapi.ReasonTimeout, promapi.ReasonOf(err))
	})
}

func TestCanceled(t *testing.T) {
	c, err := promapi.New(promapi.Options{URL: "http://prometheus:9090", Client: &http.Client{Transport: stuck{}}})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Query(ctx, "up", at, 0)
	var e *promapi.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, promapi.ReasonCanceled, e.Reason)
	require.False(t, e.Downstream)
	require.ErrorIs(t, err, context.Canceled)
}

func TestTLS(t *testing.T) {
	handler := says(200, `{"status":"success","data":{"resultType":"vector","result":[]}}`)
	now := time.Now()
	f := func(name, want, hint string, cert func() (tls.Certificate, *x509.CertPool)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			certificate, roots := cert()
			s := httptest.NewUnstartedServer(handler)
			s.Config.ErrorLog = log.New(io.Discard, "", 0) // the handshakes fail on purpose
			s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
			s.StartTLS()
			defer s.Close()
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
			defer transport.CloseIdleConnections()
			c, err := promapi.New(promapi.Options{URL: s.URL, Client: &http.Client{Transport: transport}})
			require.NoError(t, err)
			_, err = c.Query(t.Context(), "up", at, 0)
			if want == "" {
				require.NoError(t, err)
				return
			}
			var e *promapi.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, promapi.ReasonTLS, e.Reason, "%v", err)
			require.ErrorContains(t, err, want)
			require.Contains(t, e.Hint, hint)
			require.True(t, e.Downstream)
		})
	}
	f("valid", "", "", func() (tls.Certificate, *x509.CertPool) {
		return certificate(t, now.Add(-time.Hour), now.Add(time.Hour), net.IPv4(127, 0, 0, 1))
	})
	f("expired", "certificate has expired", "renew it", func() (tls.Certificate, *x509.CertPool) {
		return certificate(t, now.Add(-2*time.Hour), now.Add(-time.Hour), net.IPv4(127, 0, 0, 1))
	})
	f("not yet valid", "certificate has expired or is not yet valid", "set the clock right", func() (tls.Certificate, *x509.CertPool) {
		return certificate(t, now.Add(time.Hour), now.Add(2*time.Hour), net.IPv4(127, 0, 0, 1))
	})
	f("unknown authority", "unknown authority", "name its CA", func() (tls.Certificate, *x509.CertPool) {
		c, _ := certificate(t, now.Add(-time.Hour), now.Add(time.Hour), net.IPv4(127, 0, 0, 1))
		return c, x509.NewCertPool()
	})
	f("another name", "not 127.0.0.1", "another name", func() (tls.Certificate, *x509.CertPool) {
		return certificate(t, now.Add(-time.Hour), now.Add(time.Hour), net.IPv4(10, 0, 0, 1))
	})
	t.Run("no TLS on this port", func(t *testing.T) {
		s := httptest.NewUnstartedServer(handler)
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.Start()
		defer s.Close()
		c, err := promapi.New(promapi.Options{URL: strings.Replace(s.URL, "http://", "https://", 1)})
		require.NoError(t, err)
		_, err = c.Query(t.Context(), "up", at, 0)
		require.Equal(t, promapi.ReasonTLS, promapi.ReasonOf(err))
		var e *promapi.Error
		require.ErrorAs(t, err, &e)
		require.Contains(t, e.Hint, "use http://")
	})
	t.Run("client certificate wanted", func(t *testing.T) {
		certificate, roots := certificate(t, now.Add(-time.Hour), now.Add(time.Hour), net.IPv4(127, 0, 0, 1))
		s := httptest.NewUnstartedServer(handler)
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequireAnyClientCert}
		s.StartTLS()
		defer s.Close()
		c, err := promapi.New(promapi.Options{URL: s.URL, Client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}})
		require.NoError(t, err)
		_, err = c.Query(t.Context(), "up", at, 0)
		require.Equal(t, promapi.ReasonTLS, promapi.ReasonOf(err), "%v", err)
		var e *promapi.Error
		require.ErrorAs(t, err, &e)
		require.Contains(t, e.Hint, "client certificate")
	})
}

// certificate makes one that signs itself, and the pool that trusts it.
func certificate(t *testing.T, from, to time.Time, ip net.IP) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "prometheus"},
		NotBefore: from, NotAfter: to, IPAddresses: []net.IP{ip},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

func TestNew(t *testing.T) {
	for _, o := range []promapi.Options{
		{},
		{URL: "prometheus:9090"},
		{URL: "ftp://prometheus"},
		{URL: "http://"},
		{URL: "http://p?x=1"},
		{URL: "http://p#x"},
		{URL: "http://p", Timeout: -1},
		{URL: "http://p", MaxBytes: -1},
	} {
		_, err := promapi.New(o)
		require.Error(t, err, "%+v", o)
	}
	_, err := promapi.New(promapi.Options{URL: "http://user:secret@bad host:\x7f"})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
}

func TestReasonOf(t *testing.T) {
	require.Empty(t, promapi.ReasonOf(nil))
	require.Equal(t, promapi.ReasonServer, promapi.ReasonOf(errors.New("x")))
}
