package servicenow_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ticket/servicenow"
	"github.com/portent-dev/portent/internal/web"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	var c servicenow.Config
	require.NoError(t, web.ParseYAML("x.yml", []byte("url: https://acme.service-now.com\ntoken: t\nimpact: {warning: '1'}\n"), &c))
	require.NoError(t, c.Validate())
	require.Equal(t, "Solution provided", c.CloseCode, "defaults lie under the file")
	require.Equal(t, map[string]string{"critical": "1", "warning": "1", "info": "3"}, c.Impact)

	for _, tc := range []struct {
		want   string
		change func(*servicenow.Config)
	}{
		{"url: is missing", func(c *servicenow.Config) { c.URL = "" }},
		{"url: must begin with https://: credentials would travel in the clear", func(c *servicenow.Config) { c.URL = "http://acme.service-now.com" }},
		{"password: give exactly one of", func(c *servicenow.Config) { c.Token = "" }},
		{"password: give exactly one of", func(c *servicenow.Config) { c.APIKey = "k" }},
		{"token_file: give token or token_file, not both", func(c *servicenow.Config) { c.TokenFile = "x" }},
		{"username: goes with password", func(c *servicenow.Config) { c.Username = "u" }},
		{"username: goes with password", func(c *servicenow.Config) { c.Token, c.Password = "", "p" }},
		{"username: must not hold a colon", func(c *servicenow.Config) { c.Token, c.Password, c.Username = "", "p", "a:b" }},
		{`urgency.critical: "high": want 1, 2 or 3`, func(c *servicenow.Config) { c.Urgency["critical"] = "high" }},
		{`impact.info: "4": want 1, 2 or 3`, func(c *servicenow.Config) { c.Impact["info"] = "4" }},
		{"assignment_groups.x: want the name or sys_id", func(c *servicenow.Config) { c.AssignmentGroups = map[string]string{"x": "a^b"} }},
		{"assignment_group: must not hold ^", func(c *servicenow.Config) { c.AssignmentGroup = "a^NQnameISNOTEMPTY" }},
		{"fields.priority: is set by Portent", func(c *servicenow.Config) { c.Fields = map[string]string{"priority": "1"} }},
		{"fields.Team: is not the name of a column", func(c *servicenow.Config) { c.Fields = map[string]string{"Team": "x"} }},
		{"close_code: is missing", func(c *servicenow.Config) { c.CloseCode = " " }},
		{"close_notes: is missing", func(c *servicenow.Config) { c.CloseNotes = "" }},
		{`reopen_state: "6": want 1 (new) or 2 (in progress)`, func(c *servicenow.Config) { c.ReopenState = "6" }},
		{"timeout: must be above 0s", func(c *servicenow.Config) { c.Timeout = 0 }},
		{"search_lag: must be 0s to 1h", func(c *servicenow.Config) { c.SearchLag = model.Duration(2 * time.Hour) }},
	} {
		c := servicenow.DefaultConfig()
		c.URL, c.Token = "https://acme.service-now.com", "t"
		require.NoError(t, c.Validate())
		tc.change(&c)
		require.ErrorContains(t, c.Validate(), tc.want)
	}
}

func TestSecretFromFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(path, []byte("pass word\n"), 0o600))
	c := servicenow.DefaultConfig()
	c.URL, c.Username, c.PasswordFile = "https://acme.service-now.com", "u", path
	require.NoError(t, c.Validate())
	got, err := c.Secret()
	require.NoError(t, err, "a password may hold a space")
	require.Equal(t, web.Secret("pass word"), got)
	c.Username, c.PasswordFile, c.TokenFile = "", "", path
	_, err = c.Secret()
	require.ErrorContains(t, err, "token_file: holds a character that no key has")
	require.NotContains(t, err.Error(), "pass word")
}
