package app

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/portent-dev/portent/internal/web"
)

func TestDefaultsAreValid(t *testing.T) {
	c, err := Load("")
	require.NoError(t, err)
	want := DefaultConfig()
	require.NoError(t, want.Validate())
	require.Equal(t, want, c)
}

func TestValidFile(t *testing.T) {
	c, err := Load("testdata/config/valid-full.yml")
	require.NoError(t, err)
	require.Equal(t, "local", c.Trackers[0].Name, "the name defaults to the type")
	require.Equal(t, "OPS", c.Trackers[1].Jira.Project)
	require.Equal(t, "Task", c.Trackers[1].Jira.IssueType, "a tracker in the list has its own defaults")
	require.Equal(t, 8, c.Outbox.Concurrency)
	require.NotContains(t, fmt.Sprintf("%+v", c), "0123456789abcdef")
	b, err := yaml.Marshal(c)
	require.NoError(t, err)
	require.NotContains(t, string(b), "0123456789abcdef")
	require.NotContains(t, string(b), "secret-token")
}

// Each rule of the configuration has a file that breaks it alone, and the error that a person gets.
func TestInvalidFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/config/invalid-*.yml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".yml"), func(t *testing.T) {
			want, err := os.ReadFile(strings.TrimSuffix(f, ".yml") + ".want")
			require.NoError(t, err)
			_, err = Load(f)
			require.ErrorContains(t, err, strings.TrimSpace(string(want)))
			var ce *web.ConfigError
			require.ErrorAs(t, err, &ce)
			require.Len(t, ce.Problems, 1, "one rule each: %v", err)
		})
	}
}

func TestCheckReadsSecretsAndTheWebConfiguration(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		p := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(p, []byte(content), 0o600))
		return p
	}
	require.NoError(t, Check("", ""))
	require.NoError(t, Check("testdata/config/valid-full.yml", ""))
	require.ErrorContains(t, Check(filepath.Join(dir, "absent.yml"), ""), "read configuration")

	missing := write("missing.yml", "webhook:\n  token_file: "+filepath.Join(dir, "none")+"\n")
	require.ErrorContains(t, Check(missing, ""), "webhook: read secret")
	write("token", "0123456789abcdef\n")
	require.NoError(t, Check(write("ok.yml", "webhook:\n  token_file: "+filepath.Join(dir, "token")+"\n"), ""))
	write("token", "short\n")
	require.ErrorContains(t, Check(filepath.Join(dir, "ok.yml"), ""), "shorter than 16")

	jira := write("jira.yml", "trackers:\n  - type: jira\n    jira: {url: 'https://a.atlassian.net', project: OPS, email: a@example.com, token_file: "+filepath.Join(dir, "none")+"}\n")
	require.ErrorContains(t, Check(jira, ""), "trackers[0].jira")
	require.ErrorContains(t, Check("", write("web.yml", "basic_auth_users: 5\n")), "web.yml")
}

// The page that documents the configuration shows every key with its default: this holds it to the code.
func TestDocumentationShowsEveryDefault(t *testing.T) {
	doc, err := os.ReadFile("../../docs/configuration/receiver.md")
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)<!-- defaults -->\\s*```yaml\\n(.*?)```").FindSubmatch(doc)
	require.NotNil(t, block, "the block of defaults is missing")

	// Over something else than the defaults, so that a key which is not shown is noticed.
	var shown Config
	require.NoError(t, web.ParseYAML("receiver.md", block[1], &shown))
	want := DefaultConfig()
	want.Trackers[0].Name = "local"
	require.Equal(t, want, shown)

	var tree map[string]any
	require.NoError(t, yaml.Unmarshal(block[1], &tree))
	for _, key := range keys(reflect.TypeFor[Config](), "") {
		require.True(t, has(tree, key) || strings.Contains(string(doc), "`"+key+"`"), "%s is not documented", key)
	}
}

// keys lists every key of a configuration, entries of lists as list[].key.
func keys(t reflect.Type, path string) []string {
	var out []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		p := strings.TrimPrefix(path+"."+name, ".")
		ft := f.Type
		if ft.Kind() == reflect.Slice {
			p, ft = p+"[]", ft.Elem()
		}
		if ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
		}
		if ft.Kind() == reflect.Struct && !regexp.MustCompile("/ticket/|prometheus/common|^time$").MatchString(ft.PkgPath()) { // a tracker has a page of its own, as has an HTTP client
			out = append(out, keys(ft, p)...)
			continue
		}
		out = append(out, strings.TrimSuffix(p, "[]"))
	}
	return out
}

// has reports whether the tree shows the key; of a list its first entry is looked into.
func has(tree map[string]any, key string) bool {
	var at any = tree
	for part := range strings.SplitSeq(key, ".") {
		name, list := strings.CutSuffix(part, "[]")
		m, _ := at.(map[string]any)
		v, ok := m[name]
		if !ok {
			return false
		}
		if l, _ := v.([]any); list {
			if len(l) == 0 {
				return false
			}
			v = l[0]
		}
		at = v
	}
	return true
}

func FuzzConfig(f *testing.F) {
	files, err := filepath.Glob("testdata/config/*.yml")
	require.NoError(f, err)
	for _, name := range files {
		b, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c := DefaultConfig()
		if web.ParseYAML("fuzz.yml", b, &c) != nil {
			return
		}
		// What is valid can be used.
		_, err := newRouter(c.Routing, c.Trackers)
		require.NoError(t, err)
		require.NoError(t, c.Validate(), "valid again after it was filled in")
	})
}
