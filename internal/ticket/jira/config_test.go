package jira_test

import (
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/portent-dev/portent/internal/ticket/jira"
	"github.com/portent-dev/portent/internal/web"
)

func valid() jira.Config {
	c := jira.DefaultConfig()
	c.URL, c.Email, c.Token, c.Project = "https://acme.atlassian.net", "bot@acme.example", "s3cr3t-token", "OPS"
	return c
}

func TestConfigIsStrictAndHasDefaults(t *testing.T) {
	t.Parallel()
	var got struct {
		Jira jira.Config `yaml:"jira"`
	}
	text := "jira:\n  url: https://acme.atlassian.net\n  email: bot@acme.example\n  token: s3cr3t-token\n  project: OPS\n"
	require.NoError(t, web.ParseYAML("x.yml", []byte(text), &got))
	require.Equal(t, valid(), got.Jira)
	require.NoError(t, got.Jira.Validate())

	more := text + `  priorities: {critical: "", page: "1"}
  labels: [a, b]
  fields: {customfield_10010: {value: SRE}, components: [{name: web}]}
  search_lag: 45s
`
	got.Jira = jira.Config{}
	require.NoError(t, web.ParseYAML("x.yml", []byte(more), &got))
	require.Equal(t, map[string]string{"critical": "", "warning": "Medium", "info": "Low", "page": "1"}, got.Jira.Priorities)
	require.Equal(t, []string{"a", "b"}, got.Jira.Labels)
	require.Equal(t, model.Duration(45*time.Second), got.Jira.SearchLag)
	require.Equal(t, map[string]any{"customfield_10010": map[string]any{"value": "SRE"}, "components": []any{map[string]any{"name": "web"}}}, got.Jira.Fields)

	err := web.ParseYAML("x.yml", []byte(text+"  projct: X\n"), &got)
	require.ErrorContains(t, err, "projct")
	require.ErrorContains(t, err, "line 6")

	// The defaults of one tracker are not those of the next.
	a, b := jira.DefaultConfig(), jira.DefaultConfig()
	a.Priorities["critical"] = "changed"
	a.Labels[0] = "changed"
	require.NotEqual(t, a, b)
}

func TestConfigHidesItsToken(t *testing.T) {
	t.Parallel()
	c := valid()
	out, err := yaml.Marshal(c)
	require.NoError(t, err)
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("config", "jira", c)
	for _, s := range []string{string(out), log.String(), fmt.Sprintf("%v %+v %#v", c, c, c), fmt.Sprintf("%q %q", c.Token, &c.Token)} {
		require.NotContains(t, s, "s3cr3t-token")
		require.Contains(t, s, "<secret>")
	}
}

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	for want, spoil := range map[string]func(*jira.Config){
		"url: is missing":                 func(c *jira.Config) { c.URL = "" },
		"url: is not a URL":               func(c *jira.Config) { c.URL = "https://x\x7f" },
		"url: must begin with https://":   func(c *jira.Config) { c.URL = "acme.atlassian.net" },
		"url: must begin with https://: ": func(c *jira.Config) { c.URL = "http://acme.atlassian.net" },
		"url: must not hold credentials":  func(c *jira.Config) { c.URL = "https://u:s3cr3t@acme.atlassian.net" },
		"url: must not have a query":      func(c *jira.Config) { c.URL += "?a=b" },
		"site_url: is needed":             func(c *jira.Config) { c.URL = "https://api.atlassian.com/ex/jira/1" },
		"site_url: must begin":            func(c *jira.Config) { c.SiteURL = "ftp://x" },
		"token: is missing":               func(c *jira.Config) { c.Token = "" },
		"token_file: give token or":       func(c *jira.Config) { c.TokenFile = "/x" },
		"email: ":                         func(c *jira.Config) { c.Email = "bot" },
		"project: is missing":             func(c *jira.Config) { c.Project = "" },
		"project: \"ops\" is not":         func(c *jira.Config) { c.Project = "ops" },
		`project: "OPS\" OR 1" is not`:    func(c *jira.Config) { c.Project = `OPS" OR 1` },
		"other_projects[1]: ":             func(c *jira.Config) { c.OtherProjects = []string{"SUP", "a b"} },
		"issue_type: is missing":          func(c *jira.Config) { c.IssueType = " " },
		"labels[1]: ":                     func(c *jira.Config) { c.Labels = []string{"ok", "two words"} },
		"labels[0]: ":                     func(c *jira.Config) { c.Labels = []string{""} },
		"looks like the key":              func(c *jira.Config) { c.Labels = []string{"Portent-x"} },
		"fields.summary: ":                func(c *jira.Config) { c.Fields = map[string]any{"summary": "x"} },
		"team_fields.a.summary: ":         func(c *jira.Config) { c.TeamFields = map[string]map[string]any{"a": {"summary": "x"}} },
		"timeout: ":                       func(c *jira.Config) { c.Timeout = 0 },
		"timeout: must":                   func(c *jira.Config) { c.Timeout = model.Duration(time.Hour) },
		"search_lag: ":                    func(c *jira.Config) { c.SearchLag = model.Duration(2 * time.Hour) },
		"search_lag: must":                func(c *jira.Config) { c.SearchLag = -1 },
		"transition_fields.resolution: ":  func(c *jira.Config) { c.TransitionFields = map[string]any{"resolution": "x"} },
	} {
		c := valid()
		spoil(&c)
		err := c.Validate()
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "s3cr3t")
	}
	for name, change := range map[string]func(*jira.Config){
		"bearer": func(c *jira.Config) { c.Email = "" },
		"oauth": func(c *jira.Config) {
			c.URL, c.SiteURL, c.Email = "https://api.atlassian.com/ex/jira/1", "https://acme.atlassian.net", ""
		},
		"loopback":      func(c *jira.Config) { c.URL = "http://127.0.0.1:9800" },
		"loopback IPv6": func(c *jira.Config) { c.URL = "http://[::1]:9800/" },
		"localhost":     func(c *jira.Config) { c.URL = "http://localhost:9800" },
		"token file":    func(c *jira.Config) { c.Token, c.TokenFile = "", "/run/secrets/jira" },
		"no lag":        func(c *jira.Config) { c.SearchLag = 0 },
	} {
		c := valid()
		change(&c)
		require.NoError(t, c.Validate(), name)
	}
}

func TestTokenFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("from-file\n"), 0o600))
	c := valid()
	c.Token, c.TokenFile = "", file
	s, err := c.Secret()
	require.NoError(t, err)
	require.Equal(t, "from-file", s.Reveal())
	c.TokenFile += "-absent"
	_, err = c.Secret()
	require.ErrorContains(t, err, "token_file")
	c = valid()
	s, err = c.Secret()
	require.NoError(t, err)
	require.Equal(t, "s3cr3t-token", s.Reveal())
}

func TestHTTPClient(t *testing.T) {
	t.Parallel()
	site := httptest.NewTLSServer(http.RedirectHandler("/elsewhere", http.StatusFound))
	defer site.Close()
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: site.Certificate().Raw}), 0o600))
	get := func(c jira.Config) (int, error) {
		client, err := c.HTTPClient()
		require.NoError(t, err)
		defer client.CloseIdleConnections()
		resp, err := client.Get(site.URL)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		return resp.StatusCode, nil
	}
	c := valid()
	_, err := get(c)
	require.ErrorContains(t, err, "certificate")
	c.CAFile = ca
	status, err := get(c)
	require.NoError(t, err)
	require.Equal(t, http.StatusFound, status, "redirects are not followed")

	junk := filepath.Join(dir, "junk.pem")
	require.NoError(t, os.WriteFile(junk, []byte("no certificate"), 0o600))
	for _, file := range []string{junk, filepath.Join(dir, "absent.pem")} {
		c.CAFile = file
		_, err := c.HTTPClient()
		require.ErrorContains(t, err, "ca_file")
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	good := jira.Options{Config: valid(), Token: "t", Client: http.DefaultClient, Now: time.Now, Logger: slog.Default(), Registerer: prometheus.NewRegistry()}
	_, err := jira.New(good)
	require.NoError(t, err)
	_, err = jira.New(good)
	require.ErrorContains(t, err, "register metrics", "two trackers need registerers with labels of their own")
	for want, spoil := range map[string]func(*jira.Options){
		"project":        func(o *jira.Options) { o.Config.Project = "" },
		"no token":       func(o *jira.Options) { o.Token = "" },
		"the token hold": func(o *jira.Options) { o.Token = "oops\nbreak" },
		"no HTTP client": func(o *jira.Options) { o.Client = nil },
		"no clock":       func(o *jira.Options) { o.Now = nil },
		"no logger":      func(o *jira.Options) { o.Logger = nil },
		"no registerer":  func(o *jira.Options) { o.Registerer = nil },
	} {
		o := good
		spoil(&o)
		_, err := jira.New(o)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "oops")
	}
}

// TestDocs holds the page to the code: every setting with its default, every
// permission, the headings that every tracker's page has.
func TestDocs(t *testing.T) {
	t.Parallel()
	page := readPage(t, "jira")
	def := reflect.ValueOf(jira.DefaultConfig())
	rows := settingRows(page)
	for i := range def.NumField() {
		key, _, _ := strings.Cut(def.Type().Field(i).Tag.Get("yaml"), ",")
		row, ok := rows[key]
		require.True(t, ok, "docs/trackers/jira.md: no row for %q", key)
		delete(rows, key)
		switch v := def.Field(i).Interface().(type) {
		case string:
			if v != "" {
				require.Contains(t, row, "`"+v+"`", key)
			}
		case model.Duration:
			require.Contains(t, row, "`"+v.String()+"`", key)
		case []string:
			for _, s := range v {
				require.Contains(t, row, s, key)
			}
		case map[string]string:
			for severity, priority := range v {
				require.Contains(t, row, severity+": "+priority, key)
			}
		}
	}
	require.Empty(t, rows, "settings on the page that do not exist")
	for _, p := range jira.Permissions() {
		require.Contains(t, page, "`"+p+"`")
	}
	for i := range reflect.TypeFor[jira.ServiceManagement]().NumField() {
		key, _, _ := strings.Cut(reflect.TypeFor[jira.ServiceManagement]().Field(i).Tag.Get("yaml"), ",")
		require.Contains(t, page, "| `service_management."+key+"` |")
	}
	// The examples on the page are configurations.
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(page, -1)
	require.Len(t, examples, 2)
	for _, example := range examples {
		var got struct {
			Trackers []struct {
				Name, Type string
				Jira       jira.Config `yaml:"jira"`
			} `yaml:"trackers"`
		}
		require.NoError(t, web.ParseYAML("docs/trackers/jira.md", []byte(example[1]), &got))
		require.Len(t, got.Trackers, 1)
		require.NoError(t, got.Trackers[0].Jira.Validate())
	}
}

// readPage reads a tracker's page and checks its headings.
func readPage(t *testing.T, tracker string) string {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "trackers", tracker+".md"))
	require.NoError(t, err)
	var headings []string
	for line := range strings.Lines(string(text)) {
		if h, ok := strings.CutPrefix(line, "## "); ok {
			headings = append(headings, strings.TrimSpace(h))
		}
	}
	require.Equal(t, []string{"What it does", "Settings", "Permissions needed", "How duplicates are prevented", "When it is wrong", "How to silence it", "Source"}, headings)
	return string(text)
}

var settingRow = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|.*$")

func settingRows(page string) map[string]string {
	rows := map[string]string{}
	for _, m := range settingRow.FindAllStringSubmatch(page, -1) {
		rows[m[1]] = m[0]
	}
	return rows
}
