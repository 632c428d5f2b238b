package settings

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend/httpclient"
	"golang.org/x/net/http/httpguts"
)

// Ways to authenticate.
const (
	authNone    = "none"
	authBasic   = "basic"
	authBearer  = "bearer"
	authForward = "forward" // the OAuth token or cookie of the Grafana user, when Grafana passes it on
)

// Suffixes of the secrets of one address, after its name: prometheusPassword, lokiHeader2, …
const (
	secretPassword   = "Password"
	secretToken      = "Token"
	secretCACert     = "TlsCaCert"     //nolint:gosec // a name
	secretClientCert = "TlsClientCert" //nolint:gosec // a name
	secretClientKey  = "TlsClientKey"
	secretHeader     = "Header" // followed by the position in connection.Headers, from 1
)

// maxHeaders of one address: far more than any gateway asks for.
const maxHeaders = 32

// connection is how one address is reached.
type connection struct {
	Auth           string   `json:"auth"` // none, basic, bearer or forward; empty is none
	User           string   `json:"user"` // of basic authentication
	TLSSkipVerify  bool     `json:"tlsSkipVerify"`
	TLSWithCACert  bool     `json:"tlsWithCaCert"`     // verify against the CA certificate among the secrets
	TLSClientAuth  bool     `json:"tlsClientAuth"`     // present the client certificate among the secrets
	TLSServerName  string   `json:"tlsServerName"`     // the name expected in the certificate
	Headers        []string `json:"headers"`           // names; the values are secrets
	TimeoutSeconds float64  `json:"timeoutSeconds"`    // of one call; 0: DefaultTimeout
	ForwardUser    bool     `json:"forwardUserAndOrg"` // send X-Grafana-User and X-Grafana-Org-Id

	secureSocksProxy bool
}

// forbiddenHeaders change how a request is framed or routed. It is read only.
var forbiddenHeaders = map[string]bool{
	"Connection": true, "Content-Length": true, "Host": true, "Keep-Alive": true, "Proxy-Connection": true,
	"Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
}

func (c connection) validate(secrets map[string]string) error {
	switch c.Auth {
	case "", authNone, authForward:
	case authBasic:
		if c.User == "" {
			return errors.New("basic authentication: the user name is missing")
		}
	case authBearer:
		if secrets[secretToken] == "" {
			return errors.New("bearer authentication: the token is missing")
		}
		if !httpguts.ValidHeaderFieldValue(secrets[secretToken]) {
			return errors.New("bearer authentication: the token holds a line break or another control character")
		}
	default:
		return fmt.Errorf("authentication: got %q, want none, basic, bearer or forward", c.Auth)
	}
	if c.TLSWithCACert && secrets[secretCACert] == "" {
		return errors.New("TLS: the CA certificate is missing")
	}
	if c.TLSClientAuth && (secrets[secretClientCert] == "" || secrets[secretClientKey] == "") {
		return errors.New("TLS: client authentication needs the client certificate and its key")
	}
	if c.TimeoutSeconds < 0 || c.TimeoutSeconds > MaxTimeout.Seconds() {
		return fmt.Errorf("timeout: got %v s, want 0 to %v s", c.TimeoutSeconds, MaxTimeout.Seconds())
	}
	return c.validateHeaders(secrets)
}

func (c connection) validateHeaders(secrets map[string]string) error {
	if len(c.Headers) > maxHeaders {
		return fmt.Errorf("%d headers, at most %d", len(c.Headers), maxHeaders)
	}
	for i, name := range c.Headers {
		value := secrets[secretHeader+strconv.Itoa(i+1)]
		switch {
		case name == "":
			// A header that was removed leaves its place empty: the secrets behind it cannot be moved.
		case !httpguts.ValidHeaderFieldName(name):
			return fmt.Errorf("header %d: %q is not a header name", i+1, name)
		case forbiddenHeaders[textproto.CanonicalMIMEHeaderKey(name)]:
			return fmt.Errorf("header %s cannot be set", name)
		case !httpguts.ValidHeaderFieldValue(value):
			return fmt.Errorf("header %s: its value holds a line break or another control character", name)
		}
	}
	return nil
}

// Timeout of one call.
func (t Target) Timeout() time.Duration {
	if t.conn.TimeoutSeconds > 0 {
		return time.Duration(t.conn.TimeoutSeconds * float64(time.Second))
	}
	return DefaultTimeout
}

// HTTPClient returns a client with the authentication, TLS and headers of this address alone. It does not
// follow a redirect to another host: the SDK adds the credentials to every request, so the other host would
// get them.
func (t Target) HTTPClient(ctx context.Context) (*http.Client, error) {
	opts, err := t.options(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	opts.Middlewares = httpclient.DefaultMiddlewares()
	if t.conn.ForwardUser {
		opts.Middlewares = append(opts.Middlewares, httpclient.MiddlewareFunc(forwardUser)) // the last one has the last word
	}
	client, err := httpclient.New(opts)
	if err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	client.CheckRedirect = sameHost
	return client, nil
}

func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	switch {
	case len(via) >= 5:
		return errors.New("stopped after 5 redirects")
	case req.URL.Host != first.Host || first.Scheme == "https" && req.URL.Scheme != "https":
		return fmt.Errorf("it redirects to %s://%s: use that as the address if it is the right one", req.URL.Scheme, req.URL.Host)
	}
	return nil
}

// options lets the SDK read the settings, by giving it those of this address under the names that it knows.
func (t Target) options(ctx context.Context) (httpclient.Options, error) {
	data := map[string]any{
		"tlsSkipVerify":          t.conn.TLSSkipVerify,
		"tlsAuth":                t.conn.TLSClientAuth,
		"tlsAuthWithCACert":      t.conn.TLSWithCACert,
		"enableSecureSocksProxy": t.conn.secureSocksProxy,
	}
	secrets := map[string]string{}
	if t.conn.TLSWithCACert {
		secrets["tlsCACert"] = t.secrets[secretCACert]
	}
	if t.conn.TLSClientAuth {
		secrets["tlsClientCert"], secrets["tlsClientKey"] = t.secrets[secretClientCert], t.secrets[secretClientKey]
	}
	n := 0
	header := func(name, value string) {
		n++
		data["httpHeaderName"+strconv.Itoa(n)], secrets["httpHeaderValue"+strconv.Itoa(n)] = name, value
	}
	for i, name := range t.conn.Headers {
		if name != "" {
			header(name, t.secrets[secretHeader+strconv.Itoa(i+1)])
		}
	}
	source := t.source
	source.BasicAuthEnabled, source.BasicAuthUser, source.URL, source.User = false, "", t.URL, ""
	switch t.conn.Auth {
	case authBasic:
		source.BasicAuthEnabled, source.BasicAuthUser = true, t.conn.User
		secrets["basicAuthPassword"] = t.secrets[secretPassword]
	case authBearer:
		header("Authorization", "Bearer "+strings.TrimSpace(t.secrets[secretToken]))
	}
	raw, err := json.Marshal(data)
	if err != nil {
		return httpclient.Options{}, err
	}
	source.JSONData, source.DecryptedSecureJSONData = raw, secrets
	opts, err := source.HTTPClientOptions(ctx)
	if err != nil {
		return httpclient.Options{}, err
	}
	opts.Timeouts.Timeout = t.Timeout() // the SDK's own key knows only whole seconds
	opts.ForwardHTTPHeaders = t.conn.Auth == authForward
	if t.conn.TLSServerName != "" {
		if opts.TLS == nil {
			opts.TLS = &httpclient.TLSOptions{}
		}
		opts.TLS.ServerName = t.conn.TLSServerName
	}
	return opts, nil
}
