package web_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/web"
)

// authority signs certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// issue writes a certificate and its key to files.
func (a *authority) issue(t *testing.T, dir, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	certFile, keyFile = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return certFile, keyFile
}

func TestClientCertificates(t *testing.T) {
	dir := t.TempDir()
	ours, theirs := newAuthority(t), newAuthority(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ca.crt"), ours.pem, 0o600))
	ours.issue(t, dir, "server")
	good, goodKey := ours.issue(t, dir, "client")
	foreign, foreignKey := theirs.issue(t, dir, "foreign")
	file := filepath.Join(dir, "web.yml")
	require.NoError(t, os.WriteFile(file, []byte(`tls_server_config:
  cert_file: server.crt
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
`), 0o600))
	required, err := web.Authenticated(file)
	require.NoError(t, err)
	require.True(t, required)

	o := options()
	o.WebConfig = flags(file, "127.0.0.1:0")
	addrs, stop := start(t, newServer(t, o))
	get := func(scheme string, certs ...string) (status int, err error) {
		roots := x509.NewCertPool()
		require.True(t, roots.AppendCertsFromPEM(ours.pem))
		c := &tls.Config{RootCAs: roots}
		if len(certs) == 2 {
			pair, err := tls.LoadX509KeyPair(certs[0], certs[1])
			require.NoError(t, err)
			c.Certificates = []tls.Certificate{pair}
		}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}}
		resp, err := client.Get(scheme + "://" + addrs[0].String() + "/-/healthy")
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		return resp.StatusCode, nil
	}
	status, err := get("https", good, goodKey)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	_, err = get("https")
	require.ErrorContains(t, err, "certificate required")
	_, err = get("https", foreign, foreignKey)
	require.ErrorContains(t, err, "unknown certificate authority")
	status, err = get("http")
	require.NoError(t, err)
	require.Equal(t, http.StatusBadRequest, status, "plain HTTP on a TLS port")

	// What is wrong in the file is found before anything listens.
	require.NoError(t, os.Remove(filepath.Join(dir, "server.key")))
	_, err = web.New(o)
	require.ErrorContains(t, err, "server.key")
	require.NoError(t, stop())
}
