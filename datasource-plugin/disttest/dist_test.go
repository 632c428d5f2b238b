package disttest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

// requireDist is the environment variable with which the build's own test run says that dist must be there.
const requireDist = "PORTENT_REQUIRE_DIST"

const dist = "../dist"

// metadata is what the tests read of plugin.json.
type metadata struct {
	ID, Executable string
	Info           struct {
		Version, Updated string
		Logos            struct{ Small, Large string }
		Screenshots      []struct{ Name, Path string }
	}
}

// built returns dist's plugin.json. Without a build there is nothing to test, unless the build said that there is.
func built(t *testing.T) metadata {
	t.Helper()
	for _, name := range []string{"module.js", "plugin.json"} {
		if _, err := os.Stat(filepath.Join(dist, name)); errors.Is(err, fs.ErrNotExist) {
			if os.Getenv(requireDist) == "" {
				t.Skipf("dist/%s is not built: go tool mage plugin:build", name)
			}
			t.Fatalf("dist/%s is missing", name)
		}
	}
	var m metadata
	readJSON(t, filepath.Join(dist, "plugin.json"), &m)
	return m
}

// requireFresh fails when dist is not that of the sources as they are. In a checkout that is being worked on that
// is no mistake; in the build's own test run it is one.
func requireFresh(t *testing.T, source, built any, name string) {
	t.Helper()
	if os.Getenv(requireDist) == "" && !reflect.DeepEqual(source, built) {
		t.Skipf("dist is older than %s: go tool mage plugin:build", name)
	}
	require.Equal(t, source, built, "dist is not that of %s", name)
}

func read(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dist, filepath.FromSlash(name)))
	require.NoError(t, err)
	return string(raw)
}

// archive: what is in it and nothing else.
func TestLayout(t *testing.T) {
	m := built(t)
	want := []string{"CHANGELOG.md", "LICENSE", "README.md", "go_plugin_build_manifest", "module.js", "module.js.map", "plugin.json", m.Info.Logos.Large, m.Info.Logos.Small}
	for _, s := range m.Info.Screenshots {
		want = append(want, s.Path)
	}
	binary := regexp.MustCompile(`^` + m.Executable + `_(linux_amd64|linux_arm64|linux_arm|darwin_amd64|darwin_arm64|windows_amd64\.exe)$`)
	var got []string
	require.NoError(t, filepath.WalkDir(dist, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		if d.IsDir() {
			return nil
		}
		require.True(t, d.Type().IsRegular(), "%s is no regular file", path)
		name, err := filepath.Rel(dist, path)
		require.NoError(t, err)
		if name = filepath.ToSlash(name); !binary.MatchString(name) {
			got = append(got, name)
		}
		return nil
	}))
	slices.Sort(want)
	slices.Sort(got)
	require.Equal(t, slices.Compact(want), got)
}

// metadatavalid, discoverability, grafanadependency, packagejson.
func TestMetadata(t *testing.T) {
	m := built(t)
	raw := read(t, "plugin.json")
	require.NotContains(t, raw, "%", "a placeholder was not replaced")
	schema, err := jsonschema.NewCompiler().Compile("testdata/plugin.schema.json")
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(raw))
	require.NoError(t, err)
	require.NoError(t, schema.Validate(doc))

	var pkg struct{ Version string }
	readJSON(t, filepath.Join(root, "package.json"), &pkg)
	require.Equal(t, pkg.Version, m.Info.Version)
}

// The schema is not so wide that anything passes.
func TestSchemaRefuses(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("testdata/plugin.schema.json")
	require.NoError(t, err)
	source, err := os.ReadFile(filepath.Join(root, "src", "plugin.json"))
	require.NoError(t, err)
	good := strings.NewReplacer("%VERSION%", "1.2.3", "%TODAY%", "2026-11-22").Replace(string(source))
	f := func(old, changed string, ok bool) {
		t.Helper()
		require.Contains(t, good, old)
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(strings.Replace(good, old, changed, 1)))
		require.NoError(t, err)
		if err = schema.Validate(doc); ok {
			require.NoError(t, err)
			return
		}
		require.Error(t, err, changed)
	}
	f("1.2.3", "1.2.3", true)
	f("1.2.3", "%VERSION%", false)
	f("2026-11-22", "%TODAY%", false)
	f("12.3.0-0", "12.3.0", false)
	f("portent-aiops-datasource", "portent", false)
	f(`"backend": true`, `"backend": false`, false)
	f(`"alerting"`, `"alertin"`, false)
	f(`"img/logo.svg"`, `"../logo.svg"`, false)
	f(`"img/logo.svg"`, `"https://example.org/logo.svg"`, false)
	f("https://github.com", "http://github.com", false)
}

// metadatapaths, logos, unsafesvg, screenshots.
func TestPictures(t *testing.T) {
	m := built(t)
	for _, name := range []string{m.Info.Logos.Small, m.Info.Logos.Large} {
		requireSafeSVG(t, read(t, name))
	}
	require.GreaterOrEqual(t, len(m.Info.Screenshots), 3)
	for _, s := range m.Info.Screenshots {
		raw := read(t, s.Path)
		require.Less(t, len(raw), 300<<10, s.Path)
		picture, err := png.DecodeConfig(strings.NewReader(raw))
		require.NoError(t, err, s.Path)
		require.GreaterOrEqual(t, picture.Width, 800, s.Path)
		require.NotEmpty(t, s.Name)
	}
}

// requireSafeSVG allows shapes and gradients only: nothing that runs, loads or links.
func requireSafeSVG(t *testing.T, text string) {
	t.Helper()
	elements := []string{"svg", "title", "defs", "linearGradient", "stop", "rect", "path", "circle", "g"}
	dec := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		require.Contains(t, elements, start.Name.Local)
		for _, a := range start.Attr {
			require.False(t, strings.HasPrefix(strings.ToLower(a.Name.Local), "on"), a.Name.Local)
			require.NotEqual(t, "href", a.Name.Local)
			require.NotEqual(t, "style", a.Name.Local)
			if a.Name.Local != "xmlns" {
				require.NotContains(t, a.Value, ":", a.Name.Local)
			}
		}
	}
}

// readme, templatereadme, jargon, htmlreadme: a page for users that reads the same on grafana.com.
func TestReadme(t *testing.T) {
	m := built(t)
	text := read(t, "README.md")
	require.Greater(t, len(text), 2000)
	require.True(t, strings.HasPrefix(text, "# Portent AIOps"))
	for _, no := range []string{"Plugin Template", "<!--", "TODO", "yarn", "nodejs", "npm ", "webpack", "%"} {
		require.NotContains(t, text, no)
	}
	require.NotRegexp(t, `<(script|img|style|iframe|div|a)\b`, text, "Markdown, not HTML")
	links := regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(text, -1)
	require.NotEmpty(t, links)
	for _, l := range links {
		require.Regexp(t, `^https://[^ ]+$`, l[1], "links are absolute: the README is shown in Grafana and on grafana.com")
	}
	for _, s := range m.Info.Screenshots {
		require.Contains(t, text, "https://raw.githubusercontent.com/portent-dev/portent/main/datasource-plugin/src/"+s.Path)
	}
}

// license, changelog.
func TestTexts(t *testing.T) {
	m := built(t)
	license, err := os.ReadFile(filepath.Join(root, "..", "LICENSE"))
	require.NoError(t, err)
	require.Equal(t, string(license), read(t, "LICENSE"))
	require.Contains(t, string(license), "Apache License")
	require.Contains(t, read(t, "CHANGELOG.md"), "\n## "+m.Info.Version+"\n")
}

// reactRules are those of reactcompat: what React 19 no longer has.
var reactRules = regexp.MustCompile(`\.propTypes=|\.defaultProps=|\.contextTypes=|\.childContextTypes=|getChildContext|\bref:"[^"]+"|\bref:'[^']+'|createFactory\(|` +
	`findDOMNode\(|ReactDOM\.render\(|unmountComponentAtNode\(|__SECRET_INTERNALS`)

// modulejs, reactcompat, legacyplatform, trackingscripts, code-rules on what was built.
func TestModule(t *testing.T) {
	built(t)
	module := read(t, "module.js")
	require.Contains(t, module, "define([", "an AMD module")
	for _, external := range []string{`"react"`, `"@grafana/data"`, `"@grafana/ui"`, `"@grafana/runtime"`} {
		require.Contains(t, module, external, "shared with Grafana, not bundled")
	}
	require.Less(t, len(module), 200<<10)
	require.NotRegexp(t, reactRules, module)
	require.NotRegexp(t, `\bconsole\.`, module)
	require.NotRegexp(t, `\beval\(|new Function\(|document\.write\(|localStorage|sessionStorage`, module)
	require.NotRegexp(t, `(?i)google-analytics|googletagmanager|segment\.(io|com)|hotjar|mixpanel|angular\.module|ctrl\.annotation`, module)
}

// jsMap, sourcecode: the map holds the sources as they are now.
func TestSourceMap(t *testing.T) {
	built(t)
	var m struct {
		Sources        []string
		SourcesContent []string
	}
	require.NoError(t, json.Unmarshal([]byte(read(t, "module.js.map")), &m))
	require.Len(t, m.SourcesContent, len(m.Sources))
	prefix := regexp.MustCompile(`^webpack://[^/]+/\./(.+\.tsx?)$`)
	n := 0
	for i, name := range m.Sources {
		match := prefix.FindStringSubmatch(name)
		if match == nil {
			continue
		}
		n++
		source, err := os.ReadFile(filepath.Join(root, "src", filepath.FromSlash(match[1])))
		require.NoError(t, err)
		requireFresh(t, string(source), m.SourcesContent[i], "src/"+match[1])
	}
	require.Greater(t, n, 10)
}

// go-manifest: each Go file of the plugin with its hash, and nothing else.
func TestManifest(t *testing.T) {
	built(t)
	want := map[string]string{}
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		if d.IsDir() && d.Name() == "node_modules" {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		name, err := filepath.Rel(root, path)
		require.NoError(t, err)
		sum := sha256.Sum256(raw)
		want[filepath.ToSlash(name)] = hex.EncodeToString(sum[:])
		return nil
	}))
	got := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader([]byte(read(t, "go_plugin_build_manifest"))))
	for lines.Scan() {
		sum, name, ok := strings.Cut(lines.Text(), ":")
		require.True(t, ok, lines.Text())
		got[name] = sum
	}
	requireFresh(t, want, got, "the Go sources")
}

// backendbinary, binarypermissions, gobuildinfo, backenddebug.
func TestBinaries(t *testing.T) {
	m := built(t)
	files, err := filepath.Glob(filepath.Join(dist, m.Executable+"_*"))
	require.NoError(t, err)
	host := m.Executable + "_" + runtime.GOOS + "_" + runtime.GOARCH
	if runtime.GOOS == "windows" {
		host += ".exe"
	}
	require.True(t, slices.ContainsFunc(files, func(f string) bool { return filepath.Base(f) == host }), "no backend for this machine in %v", files)
	for _, f := range files {
		info, err := os.Stat(f)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o755), info.Mode().Perm()&0o755, "%s can be run by Grafana", f)
		build, err := buildinfo.ReadFile(f)
		require.NoError(t, err)
		require.Equal(t, module+"/datasource-plugin/pkg", build.Path)
		settings := map[string]string{}
		for _, s := range build.Settings {
			settings[s.Key] = s.Value
		}
		require.Equal(t, "0", settings["CGO_ENABLED"], f)
		require.NotContains(t, settings["-gcflags"], "-N", "a debug build")
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(f), m.Executable+"_"), ".exe")
		require.Equal(t, name, settings["GOOS"]+"_"+settings["GOARCH"])
	}
}
