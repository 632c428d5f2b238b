package app

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest/federate"
	"github.com/portent-dev/portent/internal/ingest/promquery"
	"github.com/portent-dev/portent/internal/web"
)

func TestDefaultIsValid(t *testing.T) {
	c, err := Load("")
	require.NoError(t, err)
	require.NoError(t, c.Validate())
	file := filepath.Join(t.TempDir(), "empty.yml")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	empty, err := Load(file)
	require.NoError(t, err)
	require.Equal(t, c, empty)
}

func TestLoadOverridesDefaults(t *testing.T) {
	c, err := Load("testdata/full.yml")
	require.NoError(t, err)
	want := Default()
	want.RemoteWrite.MaxLabels = 100
	want.Detection.Sensitivity = detect.High
	want.Detection.MaxSeries = 50_000
	want.Detection.TimeZone = "Europe/Berlin"
	want.Detection.Keep = []string{`{job="node"}`, `up`}
	want.Detection.Drop = []string{}
	want.Export.MaxSeries = 0
	want.Export.Outputs = []Output{OutputScore}
	want.State.Directory = ""
	want.Backfill.URL = "https://prometheus.example.com/prometheus"
	want.Backfill.Window = model.Duration(7 * 24 * time.Hour)
	want.Backfill.Step = model.Duration(time.Minute)
	want.Backfill.ExternalLabels = map[string]string{"cluster": "eu"}
	want.Backfill.HTTPClient.BasicAuth = &config.BasicAuth{Username: "ann", PasswordFile: "testdata/password"}
	require.Equal(t, want, c)
}

// Each invalid-<rule>.yml names the errors that it must give in comments `# want: …`, one an error, in order.
func TestInvalid(t *testing.T) {
	files, err := filepath.Glob("testdata/invalid-*.yml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			var want []string
			for _, m := range regexp.MustCompile(`(?m)^# want: (.*)$`).FindAllSubmatch(content, -1) {
				want = append(want, string(m[1]))
			}
			require.NotEmpty(t, want, "the file says no `# want:`")
			_, err = Load(file)
			var ce *web.ConfigError
			require.ErrorAs(t, err, &ce)
			require.Equal(t, file, ce.File)
			require.Len(t, ce.Problems, len(want), "%s", err)
			for i, p := range ce.Problems {
				require.Contains(t, p.Error(), want[i])
				require.True(t, strings.HasPrefix(p.Error(), want[i]), "%q does not begin with %q", p.Error(), want[i])
			}
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func TestCheck(t *testing.T) {
	require.NoError(t, Check("", ""))
	require.NoError(t, Check("testdata/full.yml", ""))
	err := Check("testdata/invalid-detector.yml", "testdata/no-web.yml")
	require.ErrorContains(t, err, "crystal_ball")
	require.ErrorContains(t, err, "testdata/no-web.yml: ") // both at once
	require.ErrorIs(t, Check("testdata/none.yml", ""), os.ErrNotExist)
}

const doc = "../../docs/configuration/exporter.md"

// TestReferenceIsWhole holds the page to the code: its reference is a configuration file that gives exactly the defaults, and
// it shows every key that there is.
func TestReferenceIsWhole(t *testing.T) {
	page, err := os.ReadFile(doc)
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(page, -1)
	require.Greater(t, len(blocks), 2)
	reference, elements := blocks[0][1], blocks[1][1]
	c := Config{}
	require.NoError(t, web.ParseYAML("reference", reference, &c))
	c.PromQL, c.Federate = promquery.Config{}, federate.Config{} // an empty list is none
	require.Equal(t, Default(), c, "the reference does not give the defaults")

	c = Default()
	require.NoError(t, web.ParseYAML("elements", elements, &c))
	server, query := promquery.DefaultServer(), promquery.DefaultQuery()
	server.URL, query.Name, query.Expr = c.PromQL.Servers[0].URL, c.PromQL.Servers[0].Queries[0].Name, c.PromQL.Servers[0].Queries[0].Expr
	query.Timeout = model.Duration(30 * time.Second) // follows the interval
	server.Queries, server.Labels = []promquery.Query{query}, map[string]string{}
	require.Equal(t, promquery.Config{Servers: []promquery.Server{server}}, c.PromQL, "the reference of lists does not give the defaults")

	target := federate.DefaultTarget()
	target.URL, target.Match = c.Federate.Targets[0].URL, c.Federate.Targets[0].Match
	target.Name, target.Timeout = "localhost:9090", model.Duration(30*time.Second) // follow the address and the interval
	target.Labels = map[string]string{}
	require.Equal(t, federate.Config{Targets: []federate.Target{target}}, c.Federate, "the reference of lists does not give the defaults")

	shown := map[string]bool{}
	for _, b := range [][]byte{reference, elements} {
		var root yaml.Node
		require.NoError(t, yaml.Unmarshal(b, &root))
		keysOf(root.Content[0], "", shown)
	}
	require.ElementsMatch(t, keysOfType(reflect.TypeFor[Config](), ""), ownKeys(shown), "the keys of the reference are not those of the code")

	for _, b := range blocks[2:] {
		c := Default()
		require.NoError(t, web.ParseYAML("example", b[1], &c), "%s", b[1])
	}
}

// ownKeys leaves out what another project's type takes, and names that people give.
func ownKeys(m map[string]bool) (out []string) {
	for k := range m {
		if !strings.Contains(k, "http_client.") && !strings.HasPrefix(k, "detection.groups.") {
			out = append(out, k)
		}
	}
	return out
}

func keysOf(n *yaml.Node, path string, into map[string]bool) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := path + n.Content[i].Value
			into[key] = true
			keysOf(n.Content[i+1], key+".", into)
		}
	case yaml.SequenceNode:
		for _, e := range n.Content {
			keysOf(e, path, into)
		}
	default: // a value
	}
}

// keysOfType lists the keys of a struct and of those in its lists; those of other projects' types are documented by those
// projects.
func keysOfType(t reflect.Type, path string) (out []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		out = append(out, path+name)
		ft := f.Type
		if ft.Kind() == reflect.Slice || ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
		}
		if ft.Kind() == reflect.Struct && strings.HasPrefix(ft.PkgPath(), "github.com/portent-dev/") {
			out = append(out, keysOfType(ft, path+name+".")...)
		}
	}
	return out
}

var update = flag.Bool("update", false, "write the generated part of the documentation")

// TestMetricsAreDocumented holds the page's last part, which is generated, to what the exporter publishes.
func TestMetricsAreDocumented(t *testing.T) {
	var want strings.Builder
	want.WriteString("| metric | type | |\n|---|---|---|\n")
	for _, f := range ownMetrics(t) {
		fmt.Fprintf(&want, "| `%s` | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), strings.ReplaceAll(f.GetHelp(), "|", `\|`))
	}
	page, err := os.ReadFile(doc)
	require.NoError(t, err)
	const marker = "<!-- metrics -->\n"
	head, got, ok := strings.Cut(string(page), marker)
	require.True(t, ok, "the page has no %s", marker)
	if *update {
		require.NoError(t, os.WriteFile(doc, []byte(head+marker+want.String()), 0o600))
		return
	}
	require.Equal(t, want.String(), got, "run the test with -update")
}

func FuzzConfig(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yml")
	require.NoError(f, err)
	for _, file := range files {
		b, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		c := Default()
		if web.ParseYAML("fuzz", content, &c) != nil {
			return
		}
		// What is accepted can be used.
		_, err := c.Detection.engine()
		require.NoError(t, err)
		_, err = newSelection(c.Detection.Keep, c.Detection.Drop)
		require.NoError(t, err)
		require.LessOrEqual(t, len(c.Export.families()), len(families))
	})
}
