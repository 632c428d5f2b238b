package ticketrest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/portent-dev/portent/internal/web"
)

// HTTPClient returns a client that trusts the certificate authorities in the PEM
// file besides those of the system, uses the proxy of the environment
// (HTTPS_PROXY, NO_PROXY) and follows no redirect: a redirected POST would be
// sent twice, or its credentials elsewhere. An empty caFile adds none; errors are
// about the key ca_file.
func HTTPClient(caFile string) (*http.Client, error) {
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.MaxIdleConnsPerHost = 4
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, web.Invalid("ca_file", err)
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			return nil, web.Invalid("ca_file", fmt.Errorf("system certificates: %w", err))
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, web.Invalid("ca_file", fmt.Errorf("%s holds no PEM certificate", caFile))
		}
		tr.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	}
	return &http.Client{Transport: tr, CheckRedirect: noRedirect}, nil
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// CheckURL reports what is wrong with the address of a site: credentials travel
// with every request, so http is fit for loopback only.
func CheckURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case s == "":
		return errors.New("is missing")
	case err != nil:
		return errors.New("is not a URL") // the error of url.Parse repeats the URL
	case u.User != nil:
		return errors.New("must not hold credentials")
	case u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("must begin with https://")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return errors.New("must begin with https://: credentials would travel in the clear")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("must not have a query or fragment")
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// CheckSecret reports a credential that no header can carry, without repeating
// it.
func CheckSecret(s string) error {
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("holds a character that no key has, such as a space or a line break")
	}
	return nil
}
