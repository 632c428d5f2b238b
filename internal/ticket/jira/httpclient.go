package jira

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"

	"github.com/portent-dev/portent/internal/web"
)

// HTTPClient returns a client that trusts CAFile too, uses the proxy of the
// environment (HTTPS_PROXY, NO_PROXY) and follows no redirect: a redirected
// POST would be sent twice, or its token elsewhere.
func (c *Config) HTTPClient() (*http.Client, error) {
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.MaxIdleConnsPerHost = 4
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, web.Invalid("ca_file", err)
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			return nil, web.Invalid("ca_file", fmt.Errorf("system certificates: %w", err))
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, web.Invalid("ca_file", fmt.Errorf("%s holds no PEM certificate", c.CAFile))
		}
		tr.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	}
	return &http.Client{Transport: tr, CheckRedirect: noRedirect}, nil
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
