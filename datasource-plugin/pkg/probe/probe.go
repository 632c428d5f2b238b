// Package probe asks an address one harmless question and says in words why it is not what it should be. It
// serves the addresses that have no client of ours yet: Loki and the language model.
package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxBytes of an answer that are read: a model server may list hundreds of models.
const maxBytes = 4 << 20

// Error says why an address did not answer as it should. Its text is for an administrator and holds no secret.
type Error struct{ Text string }

func (e *Error) Error() string { return e.Text }

func failed(format string, args ...any) error { return &Error{Text: fmt.Sprintf(format, args...)} }

// Loki returns the version of the Loki at base.
func Loki(ctx context.Context, client *http.Client, base string) (version string, err error) {
	var info struct {
		Version   string          `json:"version"`
		Goversion string          `json:"goVersion"`
		Status    json.RawMessage `json:"status"` // Prometheus wraps its answers
	}
	if err := get(ctx, client, base+"/loki/api/v1/status/buildinfo", "Loki", &info); err != nil {
		return "", err
	}
	if info.Version == "" || info.Status != nil {
		return "", failed("this is not Loki: its answer names no version")
	}
	return info.Version, nil
}

// Model asks an OpenAI-compatible address for its models and returns how many there are. With a name, that
// model must be among them.
func Model(ctx context.Context, client *http.Client, base, name string) (models int, err error) {
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := get(ctx, client, base+"/models", "an OpenAI-compatible address, which usually ends in /v1", &list); err != nil {
		return 0, err
	}
	if list.Data == nil {
		return 0, failed("this is not an OpenAI-compatible address: its answer has no list of models")
	}
	known := make([]string, 0, len(list.Data))
	for _, m := range list.Data {
		if m.ID == name {
			return len(list.Data), nil
		}
		known = append(known, m.ID)
	}
	if name == "" {
		return len(list.Data), nil
	}
	if len(known) > 5 {
		known = append(known[:5], "…")
	}
	return 0, failed("it answers, but has no model %q; it has: %s", name, strings.Join(known, ", "))
}

func get(ctx context.Context, client *http.Client, address, want string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return failed("the address cannot be used")
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return transport(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBytes+1))
	switch {
	case err != nil:
		return transport(err)
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return failed("it refuses our credentials (%d): check user, password or token of this address", resp.StatusCode)
	case resp.StatusCode == http.StatusNotFound:
		return failed("it answers, but not as %s would (404): is this the right address?", want)
	case resp.StatusCode/100 != 2:
		return failed("it answers with an error (%d %s)", resp.StatusCode, http.StatusText(resp.StatusCode))
	case len(body) > maxBytes:
		return failed("its answer is greater than %d bytes: is this the right address?", maxBytes)
	}
	if t, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); t == "text/html" || strings.HasPrefix(strings.TrimSpace(string(body[:min(len(body), 64)])), "<") {
		return failed("it answers with a web page: is this the right address, or does a login page stand before it?")
	}
	if err := json.Unmarshal(body, into); err != nil {
		return failed("it answers, but not as %s would: is this the right address?", want)
	}
	return nil
}

// transport names what went wrong before an answer came.
func transport(err error) error {
	var (
		invalid x509.CertificateInvalidError
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		cert    *tls.CertificateVerificationError
		record  tls.RecordHeaderError
		dns     *net.DNSError
		netErr  net.Error
		outer   *url.Error
	)
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return failed("its certificate has expired or is not valid yet%s", validity(invalid.Cert))
	case errors.As(err, &unknown):
		return failed("its certificate is signed by an unknown authority: give the CA certificate that signed it")
	case errors.As(err, &host):
		return failed("its certificate is for another name: use that name as address, or set the server name")
	case errors.As(err, &cert):
		return failed("its certificate is not accepted: %v", cert.Err)
	case errors.As(err, &record) || errors.Is(err, http.ErrSchemeMismatch):
		return failed("it does not speak TLS: use http:// as the scheme")
	case errors.Is(err, context.Canceled):
		return failed("the test was cancelled")
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return failed("no answer in time: is it running, and does a firewall stand between?")
	case errors.As(err, &dns):
		return failed("its host name is not known: %s", dns.Name)
	case errors.As(err, &outer):
		err = outer.Err // without the address, which the caller names
	}
	return failed("no connection: %v", err)
}

func validity(c *x509.Certificate) string {
	if c == nil {
		return ""
	}
	return fmt.Sprintf(" (valid %s to %s)", c.NotBefore.UTC().Format(time.DateOnly), c.NotAfter.UTC().Format(time.DateOnly))
}
