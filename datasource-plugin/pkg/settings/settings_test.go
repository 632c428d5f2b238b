package settings_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/datasource-plugin/pkg/settings"
)

func load(t *testing.T, jsonData string, secrets map[string]string) (*settings.Settings, error) {
	t.Helper()
	return settings.Load(backend.DataSourceInstanceSettings{
		UID: "P1", Name: "Portent", JSONData: json.RawMessage(jsonData), DecryptedSecureJSONData: secrets,
		// What an older or hand-written provisioning file may hold; it belongs to no address.
		BasicAuthEnabled: true, BasicAuthUser: "legacy", URL: "http://legacy", User: "legacy",
	})
}

func TestLoadDefaults(t *testing.T) {
	s, err := load(t, `{}`, nil)
	require.NoError(t, err)
	require.Equal(t, "P1", s.UID)
	require.Equal(t, 15*time.Second, s.ScrapeInterval)
	require.Empty(t, s.ReceiverLink)
	for _, n := range settings.Names() {
		target := s.Target(n)
		require.Equal(t, n, target.Name)
		require.Empty(t, target.URL)
		require.NoError(t, target.Err)
		require.Equal(t, 30*time.Second, target.Timeout())
		require.NotEmpty(t, n.Title())
	}
}

func TestLoadReadsEveryAddress(t *testing.T) {
	s, err := load(t, `{"prometheusUrl":" http://p:9090/prom/ ","lokiUrl":"https://l","receiverUrl":"http://r:9751","modelUrl":"http://m/v1",
	  "modelName":" small ","scrapeInterval":"1m","receiverLinkUrl":"https://portent.example.org/","tlsSkipVerify":true,"unknownOfGrafana":{"a":1},
	  "connections":{"receiver":{"timeoutSeconds":2.5}}}`, nil)
	require.NoError(t, err)
	require.Equal(t, "http://p:9090/prom", s.Target(settings.Prometheus).URL)
	require.Equal(t, "https://l", s.Target(settings.Loki).URL)
	require.Equal(t, "http://r:9751", s.Target(settings.Receiver).URL)
	require.Equal(t, "http://m/v1", s.Target(settings.Model).URL)
	require.Equal(t, "small", s.ModelName)
	require.Equal(t, time.Minute, s.ScrapeInterval)
	require.Equal(t, "https://portent.example.org", s.ReceiverLink)
	require.Equal(t, 2500*time.Millisecond, s.Target(settings.Receiver).Timeout())
}

func TestLoadRefusesWhatNoAddressCanUse(t *testing.T) {
	f := func(jsonData, want string) {
		t.Helper()
		_, err := load(t, jsonData, nil)
		require.ErrorContains(t, err, want)
	}
	f(`[]`, "read the settings")
	f(`{"prometheusUrl":5}`, "read the settings")
	f(`{"scrapeInterval":"15"}`, `scrape interval: got "15", want a duration such as 15s`)
	f(`{"scrapeInterval":"0s"}`, "scrape interval")
	f(`{"connections":{"promtheus":{}}}`, `unknown address "promtheus"`)
	f(`{"receiverLinkUrl":"portent.example.org"}`, "for browsers: want http://host:port")
}

// A mistake in one address leaves the others usable, and no error repeats a secret.
func TestTargetErrors(t *testing.T) {
	f := func(jsonData string, secrets map[string]string, want string) {
		t.Helper()
		s, err := load(t, jsonData, secrets)
		require.NoError(t, err)
		require.ErrorContains(t, s.Target(settings.Prometheus).Err, want)
		require.NotContains(t, s.Target(settings.Prometheus).Err.Error(), "s3cret")
		require.NoError(t, s.Target(settings.Receiver).Err)
	}
	conn := func(c string) string {
		return `{"prometheusUrl":"http://p","receiverUrl":"http://r","connections":{"prometheus":` + c + `}}`
	}
	f(`{"prometheusUrl":"localhost:9090"}`, nil, "want http://host:port or https://host:port")
	f(`{"prometheusUrl":"ftp://host"}`, nil, "want http://host:port")
	f(`{"prometheusUrl":"http://"}`, nil, "want http://host:port")
	f(`{"prometheusUrl":"http://u:s3cret@host"}`, nil, "put them into the fields for authentication")
	f(`{"prometheusUrl":"http://u:s3cret@ho st"}`, nil, "this is not an address")
	f(`{"prometheusUrl":"http://host/?token=s3cret"}`, nil, "part after ? or #")
	f(conn(`{"auth":"kerberos"}`), nil, `got "kerberos", want none, basic, bearer or forward`)
	f(conn(`{"auth":"basic"}`), map[string]string{"prometheusPassword": "s3cret"}, "user name is missing")
	f(conn(`{"auth":"bearer"}`), map[string]string{"lokiToken": "s3cret"}, "token is missing")
	f(conn(`{"auth":"bearer"}`), map[string]string{"prometheusToken": "s3cret\nX-Evil: 1"}, "line break")
	f(conn(`{"tlsWithCaCert":true}`), nil, "CA certificate is missing")
	f(conn(`{"tlsClientAuth":true}`), map[string]string{"prometheusTlsClientCert": "s3cret"}, "client certificate and its key")
	f(conn(`{"timeoutSeconds":-1}`), nil, "timeout: got -1 s")
	f(conn(`{"timeoutSeconds":601}`), nil, "timeout: got 601 s, want 0 to 600 s")
	f(conn(`{"headers":["X Y"]}`), nil, `header 1: "X Y" is not a header name`)
	f(conn(`{"headers":["transfer-encoding"]}`), nil, "header transfer-encoding cannot be set")
	f(conn(`{"headers":["X-Tenant"]}`), map[string]string{"prometheusHeader1": "s3cret\r\n"}, "header X-Tenant: its value holds a line break")
	f(conn(`{"headers":["`+strings.Repeat(`a","`, 32)+`b"]}`), nil, "33 headers, at most 32")
}

// echo answers with the headers that it got.
func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(r.Header)
}

func fetch(ctx context.Context, t *testing.T, s *settings.Settings, n settings.Name) (http.Header, error) {
	t.Helper()
	client, err := s.Target(n).HTTPClient(ctx)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Target(n).URL, nil)
	require.NoError(t, err)
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	h := http.Header{}
	require.NoError(t, json.Unmarshal(body, &h))
	return h, nil
}

func TestEachAddressGetsItsOwnSecretsOnly(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(echo))
	defer srv.Close()
	secrets := map[string]string{
		"prometheusPassword": "pw-p", "prometheusToken": "unused-p", "prometheusHeader1": "tenant-p",
		"receiverToken": "tok-r", "receiverPassword": "unused-r", "lokiHeader2": "tenant-l", "modelToken": "tok-m",
		"basicAuthPassword": "legacy", "password": "legacy", "httpHeaderValue1": "legacy",
	}
	s, err := load(t, `{"prometheusUrl":"`+srv.URL+`","lokiUrl":"`+srv.URL+`","receiverUrl":"`+srv.URL+`","modelUrl":"`+srv.URL+`",
	  "basicAuth":true,"basicAuthUser":"legacy","httpHeaderName1":"X-Legacy","connections":{
	  "prometheus":{"auth":"basic","user":"ann","headers":["X-Scope-OrgID"]},"receiver":{"auth":"bearer"},
	  "loki":{"headers":["","X-Scope-OrgID"]},"model":{"auth":"bearer"}}}`, secrets)
	require.NoError(t, err)

	all := map[settings.Name]http.Header{}
	for _, n := range settings.Names() {
		require.NoError(t, s.Target(n).Err)
		h, err := fetch(t.Context(), t, s, n)
		require.NoError(t, err)
		all[n] = h
		raw, _ := json.Marshal(h)
		require.NotContains(t, string(raw), "unused")
		require.NotContains(t, strings.ToLower(string(raw)), "legacy")
	}
	require.Equal(t, "Basic YW5uOnB3LXA=", all[settings.Prometheus].Get("Authorization")) // ann:pw-p
	require.Equal(t, "tenant-p", all[settings.Prometheus].Get("X-Scope-OrgID"))
	require.Equal(t, "Bearer tok-r", all[settings.Receiver].Get("Authorization"))
	require.Empty(t, all[settings.Receiver].Get("X-Scope-OrgID"))
	require.Empty(t, all[settings.Loki].Get("Authorization"))
	require.Equal(t, "tenant-l", all[settings.Loki].Get("X-Scope-OrgID"))
	require.Equal(t, "Bearer tok-m", all[settings.Model].Get("Authorization"))
}

func TestTLS(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	srv.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	srv.StartTLS()
	defer srv.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
	key, err := x509.MarshalPKCS8PrivateKey(srv.TLS.Certificates[0].PrivateKey)
	require.NoError(t, err)
	keyPEM := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))

	try := func(conn string, secrets map[string]string) error {
		s, err := load(t, `{"prometheusUrl":"`+srv.URL+`","connections":{"prometheus":`+conn+`}}`, secrets)
		require.NoError(t, err)
		require.NoError(t, s.Target(settings.Prometheus).Err)
		_, err = fetch(t.Context(), t, s, settings.Prometheus)
		return err
	}
	require.ErrorContains(t, try(`{}`, nil), "signed by unknown authority")
	require.NoError(t, try(`{"tlsSkipVerify":true}`, nil))
	require.NoError(t, try(`{"tlsWithCaCert":true}`, map[string]string{"prometheusTlsCaCert": ca}))
	require.NoError(t, try(`{"tlsWithCaCert":true,"tlsServerName":"example.com"}`, map[string]string{"prometheusTlsCaCert": ca}), "httptest's certificate has this name")
	require.ErrorContains(t, try(`{"tlsWithCaCert":true,"tlsServerName":"other.org"}`, map[string]string{"prometheusTlsCaCert": ca}), "not other.org")
	require.ErrorContains(t, try(`{"tlsWithCaCert":true}`, map[string]string{"prometheusTlsCaCert": "no certificate"}), "TLS: failed to parse")
	require.ErrorContains(t, try(`{"tlsSkipVerify":true,"tlsClientAuth":true}`,
		map[string]string{"prometheusTlsClientCert": ca, "prometheusTlsClientKey": "no key"}), "TLS:")

	seen := 0
	srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = len(r.TLS.PeerCertificates)
		echo(w, r)
	})
	require.NoError(t, try(`{"tlsSkipVerify":true,"tlsClientAuth":true}`, map[string]string{"prometheusTlsClientCert": ca, "prometheusTlsClientKey": keyPEM}))
	require.Equal(t, 1, seen)
}

func TestUserAndOrg(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(echo))
	defer srv.Close()
	get := func(conn string, pc backend.PluginContext) http.Header {
		s, err := load(t, `{"prometheusUrl":"`+srv.URL+`","connections":{"prometheus":`+conn+`}}`, map[string]string{"prometheusHeader1": "forged"})
		require.NoError(t, err)
		h, err := fetch(backend.WithPluginContext(t.Context(), pc), t, s, settings.Prometheus)
		require.NoError(t, err)
		return h
	}
	of := func(u *backend.User) backend.PluginContext {
		return backend.PluginContext{OrgID: 7, User: u} //nolint:staticcheck // the header is this number, in Grafana too
	}
	ann := of(&backend.User{Login: "ann"})
	require.NotContains(t, get(`{}`, ann), "X-Grafana-User", "off by default")
	h := get(`{"forwardUserAndOrg":true}`, ann)
	require.Equal(t, []string{"ann", "7"}, []string{h.Get("X-Grafana-User"), h.Get("X-Grafana-Org-Id")})
	h = get(`{"forwardUserAndOrg":true,"headers":["X-Grafana-User"]}`, of(nil))
	require.NotContains(t, h, "X-Grafana-User", "an alert rule has no user, and a configured header cannot forge one")
	h = get(`{"forwardUserAndOrg":true}`, of(&backend.User{Login: "a\r\nX: y"}))
	require.NotContains(t, h, "X-Grafana-User")
}

func TestRedirects(t *testing.T) {
	var stolen string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { stolen = r.Header.Get("Authorization") }))
	defer other.Close()
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	defer srv.Close()
	mux.Handle("/away", http.RedirectHandler(other.URL, http.StatusFound))
	mux.Handle("/here", http.RedirectHandler("/there", http.StatusFound))
	mux.Handle("/loop", http.RedirectHandler("/loop", http.StatusFound))
	mux.HandleFunc("/there", echo)

	get := func(path string) (http.Header, error) {
		s, err := load(t, `{"prometheusUrl":"`+srv.URL+path+`","connections":{"prometheus":{"auth":"bearer"}}}`, map[string]string{"prometheusToken": "tok"})
		require.NoError(t, err)
		return fetch(t.Context(), t, s, settings.Prometheus)
	}
	h, err := get("/here")
	require.NoError(t, err)
	require.Equal(t, "Bearer tok", h.Get("Authorization"))
	_, err = get("/away")
	require.ErrorContains(t, err, "it redirects to "+other.URL)
	require.Empty(t, stolen, "credentials never go to another host")
	_, err = get("/loop")
	require.ErrorContains(t, err, "5 redirects")
}

// What is shown of an address that cannot be used holds no password either.
func TestUnusableAddressIsRedacted(t *testing.T) {
	f := func(address, want string) {
		t.Helper()
		s, err := load(t, `{"prometheusUrl":"`+address+`"}`, nil)
		require.NoError(t, err)
		require.Error(t, s.Target(settings.Prometheus).Err)
		require.Equal(t, want, s.Target(settings.Prometheus).URL)
	}
	f("http://ann:s3cret@host/x", "http://host/x")
	f("http://host/?token=s3cret#s3cret", "http://host/")
	f("ann:s3cret@host", "(not an address)")
	f("http://ann:s3cret@ho st", "(not an address)")
	f("localhost:9090", "(not an address)")
}

// Whatever is stored, loading it neither panics nor lets a secret into an error.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"prometheusUrl":"http://u:s3cret@h","scrapeInterval":"1m","connections":{"prometheus":{"auth":"bearer","headers":["a",""]}}}`))
	f.Add([]byte(`{"receiverUrl":"https://h/x?y","connections":{"receiver":{"timeoutSeconds":1e300,"tlsClientAuth":true}}}`))
	f.Add([]byte(`{"connections":null,"modelName":" m "}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		secrets := map[string]string{"prometheusToken": "s3cret\n", "receiverTlsClientCert": "s3cret", "modelHeader1": "s3cret\r"}
		s, err := settings.Load(backend.DataSourceInstanceSettings{JSONData: raw, DecryptedSecureJSONData: secrets})
		if err != nil {
			return // the settings themselves are no secret
		}
		for _, n := range settings.Names() {
			target := s.Target(n)
			if target.Err != nil {
				require.NotContains(t, target.Err.Error(), "s3cret\n")
				continue
			}
			require.LessOrEqual(t, target.Timeout(), settings.MaxTimeout)
			if target.URL != "" {
				_, err := target.HTTPClient(t.Context())
				require.NotContains(t, fmt.Sprint(err), "s3cret")
			}
		}
	})
}
