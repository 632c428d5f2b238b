package protocoltest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/grafana/grafana-plugin-sdk-go/genproto/pluginv2"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/datasource-plugin/prometheustest"
)

// down is an address where nobody listens: a port below 1024 that no test can be given by chance.
const down = "http://127.0.0.1:1"

func says(t *testing.T, status int, contentType, body string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// stuck is an address that takes a request and never answers. It tells when a request came and when it ended.
func stuck(t *testing.T) (address string, came, ended chan struct{}) {
	t.Helper()
	came, ended = make(chan struct{}, 100), make(chan struct{}, 100)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then the server notices that the client went away
		came <- struct{}{}
		<-r.Context().Done()
		ended <- struct{}{}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, came, ended
}

// expired is an address with a certificate that was valid last year, and the certificate.
func expired(t *testing.T) (address, ca string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "old"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().AddDate(-2, 0, 0), NotAfter: time.Now().AddDate(-1, 0, 0), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv.URL, pemOf(der)
}

// Every error says what to do, has a fitting status, and is counted against the plugin only when it is ours.
func TestFaults(t *testing.T) {
	p := start(t)
	oldAddress, oldCA := expired(t)
	unknown := httptest.NewUnstartedServer(http.NotFoundHandler())
	unknown.Config.ErrorLog = log.New(io.Discard, "", 0)
	unknown.StartTLS()
	t.Cleanup(unknown.Close)
	const promError = `{"status":"error","errorType":"%","error":"it says so"}`
	prom := func(url string) map[string]any { return map[string]any{"prometheusUrl": url} }
	recv := func(url string) map[string]any { return map[string]any{"receiverUrl": url} }

	tests := []struct {
		name    string
		query   string
		json    map[string]any
		secrets map[string]string
		status  backend.Status
		source  backend.ErrorSource
		text    string
	}{
		{"no address", "anomalies", map[string]any{}, nil, 400, backend.ErrorSourceDownstream, "needs the address of Prometheus"},
		{"unusable address", "anomalies", prom("localhost:9090"), nil, 400, backend.ErrorSourceDownstream, "want http://host:port"},
		{"unreadable settings", "anomalies", map[string]any{"scrapeInterval": "often"}, nil, 400, backend.ErrorSourceDownstream, "change it in the settings"},
		{"down", "anomalies", prom(down), nil, 502, backend.ErrorSourceDownstream, "connection refused"},
		{"page", "anomalies", prom(says(t, 200, "text/html", "<html>")), nil, 502, backend.ErrorSourceDownstream, "HTML page"},
		{"no login", "anomalies", prom(says(t, 401, "text/plain", "no")), nil, 401, backend.ErrorSourceDownstream, "check user, password or token"},
		{"no rights", "anomalies", prom(says(t, 403, "text/plain", "no")), nil, 403, backend.ErrorSourceDownstream, "check its rights"},
		{"rate limit", "anomalies", prom(says(t, 429, "text/plain", "no")), nil, 429, backend.ErrorSourceDownstream, "ask less often"},
		{"too much", "anomalies", prom(says(t, 422, "application/json", strings.Replace(promError, "%", "execution", 1))), nil, 400, backend.ErrorSourceDownstream, "shorter range"},
		{"not understood", "anomalies", prom(says(t, 400, "application/json", strings.Replace(promError, "%", "bad_data", 1))), nil, 500, backend.ErrorSourcePlugin, "very old version"},
		{"server error", "anomalies", prom(says(t, 500, "application/json", strings.Replace(promError, "%", "internal", 1))), nil, 502, backend.ErrorSourceDownstream, "it says so"},
		{"wrong answer", "anomalies", prom(says(t, 200, "application/json", `{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}`)), nil, 500, backend.ErrorSourcePlugin, "got a scalar, want a"},
		{
			"expired", "anomalies",
			map[string]any{"prometheusUrl": oldAddress, "connections": map[string]any{"prometheus": map[string]any{"tlsWithCaCert": true}}},
			map[string]string{"prometheusTlsCaCert": oldCA},
			502, backend.ErrorSourceDownstream, "renew it",
		},
		{"unknown authority", "anomalies", prom(unknown.URL), nil, 502, backend.ErrorSourceDownstream, "not trusted"},
		{"no address", "incidents", map[string]any{}, nil, 400, backend.ErrorSourceDownstream, "needs the address of Portent receiver"},
		{"down", "incidents", recv(down), nil, 502, backend.ErrorSourceDownstream, "is the receiver running"},
		{"page", "incidents", recv(says(t, 200, "text/html", "<html>")), nil, 502, backend.ErrorSourceDownstream, "login page"},
		{"no login", "incidents", recv(says(t, 401, "application/json", `{"error":"no","hint":"send a token"}`)), nil, 401, backend.ErrorSourceDownstream, "send a token"},
		{"refused", "incidents", recv(says(t, 400, "application/json", `{"error":"odd limit"}`)), nil, 500, backend.ErrorSourcePlugin, "odd limit"},
		{"busy", "incidents", recv(says(t, 503, "application/json", `{"error":"starting"}`)), nil, 502, backend.ErrorSourceDownstream, "starting"},
		{
			"expired", "incidents",
			map[string]any{"receiverUrl": oldAddress, "connections": map[string]any{"receiver": map[string]any{"tlsWithCaCert": true}}},
			map[string]string{"receiverTlsCaCert": oldCA},
			502, backend.ErrorSourceDownstream, "has expired",
		},
		{"prometheus", "incidents", recv(prometheustest.Serve(t).URL), nil, 502, backend.ErrorSourceDownstream, "404"},
		{"unknown", "oracle", prom(down), nil, 400, backend.ErrorSourceDownstream, "want one of: anomalies, incidents"},
	}
	for i, tt := range tests {
		t.Run(tt.query+" "+tt.name, func(t *testing.T) {
			one := anomaliesTarget("A", nil)
			one.model["queryType"] = tt.query
			got, err := p.query(t, source{json: tt.json, secrets: tt.secrets, version: int64(i)}, one)
			require.NoError(t, err, "one query that fails does not fail the request")
			require.ErrorContains(t, got["A"].Error, tt.text)
			require.Equal(t, tt.status, got["A"].Status, "%v", got["A"].Error)
			require.Equal(t, tt.source, got["A"].ErrorSource, "%v", got["A"].Error)
			require.Empty(t, got["A"].Frames)
		})
	}
}

func TestTimeout(t *testing.T) {
	p := start(t)
	address, _, _ := stuck(t)
	s := source{json: map[string]any{
		"prometheusUrl": address, "receiverUrl": address,
		"connections": map[string]any{"prometheus": map[string]any{"timeoutSeconds": 0.2}, "receiver": map[string]any{"timeoutSeconds": 0.2}},
	}}
	for _, kind := range []string{"anomalies", "incidents"} {
		one := anomaliesTarget("A", nil)
		one.model["queryType"] = kind
		got, err := p.query(t, s, one)
		require.NoError(t, err)
		// The call and the query have the same time; either may be the one to say so.
		require.Regexp(t, "did not answer the query within 200ms|no answer in time", got["A"].Error.Error())
		require.Equal(t, backend.StatusTimeout, got["A"].Status)
		require.Equal(t, backend.ErrorSourceDownstream, got["A"].ErrorSource)
	}
}

// When a panel is left, what was asked for it stops too.
func TestCancel(t *testing.T) {
	p := start(t)
	address, came, ended := stuck(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	req := request(t, source{json: map[string]any{"prometheusUrl": address}}, anomaliesTarget("A", nil))
	go func() {
		_, err := p.data.QueryData(ctx, req)
		done <- err
	}()
	for range 4 { // the four questions of a table
		<-came
	}
	cancel()
	require.Error(t, <-done)
	for range 4 {
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Fatal("a request to Prometheus goes on after its panel was left")
		}
	}
}

// health is the answer with the details read.
type health struct {
	*pluginv2.CheckHealthResponse
	details struct {
		VerboseMessage string `json:"verboseMessage"`
		Addresses      []struct {
			Name    string `json:"name"`
			URL     string `json:"url"`
			OK      bool   `json:"ok"`
			Message string `json:"message"`
		} `json:"addresses"`
	}
}

func checkHealth(t *testing.T, p *Plugin, s source) health {
	t.Helper()
	h := health{CheckHealthResponse: p.health(t, s)}
	if len(h.JsonDetails) > 0 {
		require.NoError(t, json.Unmarshal(h.JsonDetails, &h.details))
	}
	require.NotContains(t, h.Message+string(h.JsonDetails), "s3cret")
	return h
}

func TestHealth(t *testing.T) {
	p := start(t)
	prom := prometheustest.Serve(t, prometheustest.Fleet()...)
	receiver := serveReceiver(t, incidents()...)
	loki := says(t, 200, "application/json", `{"version":"3.7.8","revision":"x"}`)
	model := says(t, 200, "application/json", `{"object":"list","data":[{"id":"small"},{"id":"large"}]}`)

	ok := checkHealth(t, p, source{json: map[string]any{
		"prometheusUrl": prom.URL, "lokiUrl": loki, "receiverUrl": receiver.url, "modelUrl": model, "modelName": "large",
	}})
	require.Equal(t, pluginv2.CheckHealthResponse_OK, ok.Status)
	require.Len(t, ok.details.Addresses, 4)
	require.Contains(t, ok.Message, "Prometheus: Prometheus "+prometheustest.Version)
	require.Contains(t, ok.Message, "Portent receiver: answers")
	require.Contains(t, ok.Message, "Loki: Loki 3.7.8")
	require.Contains(t, ok.Message, "Language model: answers, 2 models")

	none := checkHealth(t, p, source{version: 1})
	require.Equal(t, pluginv2.CheckHealthResponse_ERROR, none.Status)
	require.Contains(t, none.Message, "No address is configured")

	broken := checkHealth(t, p, source{json: map[string]any{"connections": map[string]any{"grafana": map[string]any{}}}, version: 2})
	require.Equal(t, pluginv2.CheckHealthResponse_ERROR, broken.Status)
	require.Contains(t, broken.Message, `unknown address "grafana"`)

	// One good address does not hide the bad ones, and each is named with its reason.
	mixed := checkHealth(t, p, source{json: map[string]any{
		"prometheusUrl": prom.URL, "lokiUrl": down, "receiverUrl": says(t, 401, "text/plain", ""), "modelUrl": says(t, 200, "text/html", "<html>"),
	}, version: 3})
	require.Equal(t, pluginv2.CheckHealthResponse_ERROR, mixed.Status)
	require.Contains(t, mixed.Message, "3 of 4 addresses failed")
	require.Equal(t, []string{"prometheus", "loki", "receiver", "model"}, []string{
		mixed.details.Addresses[0].Name, mixed.details.Addresses[1].Name, mixed.details.Addresses[2].Name, mixed.details.Addresses[3].Name,
	})
	require.True(t, mixed.details.Addresses[0].OK)
	require.Equal(t, 4, strings.Count(mixed.details.VerboseMessage, "\n")+1)
}

// Each way in which an address can be wrong has its own words.
func TestHealthSaysWhy(t *testing.T) {
	p := start(t)
	oldAddress, oldCA := expired(t)
	prom := prometheustest.Serve(t, prometheustest.Fleet()...).URL
	receiver := serveReceiver(t).url
	loki := says(t, 200, "application/json", `{"version":"3.7.8"}`)
	hang, _, _ := stuck(t)
	tests := []struct {
		name, key, url, text string
	}{
		{"empty prometheus", "prometheus", prometheustest.Serve(t).URL, "has no anomaly_score yet"}, // not an error
		{"down", "prometheus", down, "connection refused"},
		{"page", "prometheus", says(t, 200, "text/html", "<html>"), "HTML page"},
		{"login", "prometheus", says(t, 401, "text/plain", ""), "wants a login"},
		{"expired", "prometheus", oldAddress, "certificate has expired"},
		{"slow", "prometheus", hang, "no answer in time"},
		{"a receiver", "prometheus", receiver, "404"},
		{"not an address", "prometheus", "prometheus:9090", "want http://host:port"},
		{"password in it", "prometheus", "http://ann:s3cret@host", "put them into the fields"},
		{"down", "receiver", down, "is the receiver running"},
		{"page", "receiver", says(t, 200, "text/html", "<html>"), "login page"},
		{"login", "receiver", says(t, 401, "application/json", `{"error":"no"}`), "check the token"},
		{"expired", "receiver", oldAddress, "has expired"},
		{"slow", "receiver", hang, "no answer in time"},
		{"a prometheus", "receiver", prom, "404"},
		{"down", "loki", down, "connection refused"},
		{"page", "loki", says(t, 200, "text/html", "<html>"), "web page"},
		{"login", "loki", says(t, 401, "text/plain", ""), "refuses our credentials (401)"},
		{"expired", "loki", oldAddress, "has expired"},
		{"slow", "loki", hang, "no answer in time"},
		{"a prometheus", "loki", prom, "not as Loki would (404)"},
		{"error", "loki", says(t, 500, "text/plain", ""), "500 Internal Server Error"},
		{"other json", "loki", says(t, 200, "application/json", `{"status":"success","data":{"version":"2"}}`), "not Loki"},
		{"down", "model", down, "connection refused"},
		{"a loki", "model", loki, "no list of models"},
		{"no model of this name", "model", says(t, 200, "application/json", `{"data":[{"id":"small"}]}`), `has no model "large"; it has: small`},
		{"unknown host", "model", "http://no-such-host.invalid", "no-such-host.invalid"},
	}
	for i, tt := range tests {
		t.Run(tt.key+" "+tt.name, func(t *testing.T) {
			conn := map[string]any{"timeoutSeconds": 10}
			if tt.name == "slow" {
				conn["timeoutSeconds"] = 0.5
			}
			if tt.url == oldAddress {
				conn["tlsWithCaCert"] = true
			}
			h := checkHealth(t, p, source{
				json:    map[string]any{tt.key + "Url": tt.url, "modelName": "large", "connections": map[string]any{tt.key: conn}},
				secrets: map[string]string{tt.key + "TlsCaCert": oldCA}, version: int64(i),
			})
			require.Equal(t, tt.name != "empty prometheus", h.Status == pluginv2.CheckHealthResponse_ERROR, h.Message)
			require.Contains(t, h.Message, tt.text)
			require.Len(t, h.details.Addresses, 1)
			require.Equal(t, tt.key, h.details.Addresses[0].Name)
		})
	}
}
