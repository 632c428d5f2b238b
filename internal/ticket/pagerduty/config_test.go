package pagerduty_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ticket/pagerduty"
	"github.com/portent-dev/portent/internal/ticket/pagerduty/pagerdutytest"
	"github.com/portent-dev/portent/internal/web"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	var c pagerduty.Config
	require.NoError(t, web.ParseYAML("x.yml", []byte("routing_key: "+pagerdutytest.RoutingKey+"\nseverities: {warning: error}\n"), &c))
	require.NoError(t, c.Validate())
	require.Equal(t, "https://events.pagerduty.com", c.URL, "defaults lie under the file")
	require.Equal(t, "critical", c.Severities["critical"], "given severities are added to the defaults")
	require.Equal(t, "error", c.Severities["warning"])
	require.False(t, c.REST())

	for _, tc := range []struct {
		want   string
		change func(*pagerduty.Config)
	}{
		{"url: must begin with https://: credentials would travel in the clear", func(c *pagerduty.Config) { c.URL = "http://events.pagerduty.com" }},
		{"api_url: is missing", func(c *pagerduty.Config) { c.APIURL = "" }},
		{"api_url: must not hold credentials", func(c *pagerduty.Config) { c.APIURL = "https://a:b@x.example" }},
		{"routing_key: is missing", func(c *pagerduty.Config) { c.RoutingKey = "" }},
		{"routing_key: has 5 characters, want 32", func(c *pagerduty.Config) { c.RoutingKey = "short" }},
		{"routing_key: holds a character", func(c *pagerduty.Config) { c.RoutingKey = web.Secret(strings.Repeat("a ", 16)) }},
		{"routing_key_file: give routing_key or", func(c *pagerduty.Config) { c.RoutingKeyFile = "x" }},
		{"api_token_file: give api_token or", func(c *pagerduty.Config) { c.APIToken, c.APITokenFile, c.From = "t", "x", "a@b" }},
		{`from: "" is not an e-mail address`, func(c *pagerduty.Config) { c.APIToken = "t" }},
		{"from: needs api_token", func(c *pagerduty.Config) { c.From = "a@b" }},
		{`severities.info: "low": want one of critical, error, warning, info`, func(c *pagerduty.Config) { c.Severities["info"] = "low" }},
		{"source: is missing", func(c *pagerduty.Config) { c.Source = " " }},
		{"details.summary: is set by Portent", func(c *pagerduty.Config) { c.Details = map[string]string{"summary": "x"} }},
		{"details.x: is over 1000 characters", func(c *pagerduty.Config) { c.Details = map[string]string{"x": strings.Repeat("x", 1001)} }},
		{"timeout: must be above 0s", func(c *pagerduty.Config) { c.Timeout = 0 }},
		{"search_lag: must be 0s to 1h", func(c *pagerduty.Config) { c.SearchLag = model.Duration(2 * time.Hour) }},
	} {
		c := pagerduty.DefaultConfig()
		c.RoutingKey = pagerdutytest.RoutingKey
		require.NoError(t, c.Validate())
		tc.change(&c)
		require.ErrorContains(t, c.Validate(), tc.want)
	}
}

func TestSecretsFromFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(p, []byte(text), 0o600))
		return p
	}
	c := pagerduty.DefaultConfig()
	c.RoutingKeyFile, c.APITokenFile, c.From = write("key", pagerdutytest.RoutingKey+"\n"), write("token", "t0ken\n"), "a@b"
	require.NoError(t, c.Validate())
	got, err := c.Secrets()
	require.NoError(t, err)
	require.Equal(t, pagerduty.Secrets{RoutingKey: pagerdutytest.RoutingKey, APIToken: "t0ken"}, got)
	c.RoutingKeyFile, c.APITokenFile = write("short", "hush-hush"), filepath.Join(dir, "none")
	_, err = c.Secrets()
	require.ErrorContains(t, err, "routing_key_file: has 9 characters")
	require.ErrorContains(t, err, "api_token_file")
	require.NotContains(t, err.Error(), "hush")
}
