// Package disttest holds the plugin to the rules of Grafana's plugin validator, which cannot be run everywhere
// because it downloads its program: first the sources, then, where it has been built, what is in dist. The
// rules are those of https://github.com/grafana/plugin-validator, each under the name that it has there.
package disttest

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	root   = ".." // of the plugin
	module = "github.com/portent-dev/portent"
)

// goPackage is what `go list -json` says of a package.
type goPackage struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
}

// ours returns the packages of this module that the backend is built from.
func ours(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Dir,GoFiles,Imports", module+"/datasource-plugin/pkg")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	var all []goPackage
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for dec.More() {
		var p goPackage
		require.NoError(t, dec.Decode(&p))
		if p.ImportPath == module || strings.HasPrefix(p.ImportPath, module+"/") {
			all = append(all, p)
		}
	}
	require.Greater(t, len(all), 5)
	return all
}

// forbiddenImports reach the environment, files or system calls. Grafana's review rejects a backend that calls
// them; ours does not even import them, nor do the shared packages that it is built from.
var forbiddenImports = []string{
	"os", "os/exec", "os/signal", "os/user", "syscall", "io/fs", "io/ioutil", "path/filepath", "plugin", "unsafe", "C", "expvar", "net/http/pprof", "runtime/debug",
}

// code-rules: access-os-environment, access-file-system-*, access-syscall.
func TestNoEnvironmentFilesOrSystemCalls(t *testing.T) {
	for _, p := range ours(t) {
		for _, imported := range p.Imports {
			if imported == "io/fs" && slices.Contains(p.Imports, "embed") {
				continue // what is embedded is read by this interface; a folder of the machine is not, without os
			}
			require.NotContains(t, forbiddenImports, imported, "%s imports it", p.ImportPath)
			require.False(t, strings.HasPrefix(imported, "golang.org/x/sys/"), "%s imports %s", p.ImportPath, imported)
		}
	}
}

// forbiddenCalls reach the environment through packages that are allowed, or write past Grafana's log.
var forbiddenCalls = []string{
	"fmt.Print", "fmt.Println", "fmt.Printf", "http.ProxyFromEnvironment", "http.ListenAndServe", "http.Dir", "http.FileServer", "http.ServeFile",
	"net.Listen", "tls.LoadX509KeyPair", "parser.ParseDir", "template.ParseFiles", "template.ParseGlob", "x509.SystemCertPool",
}

// code-rules: fmt-print-logging and its like.
func TestNoForbiddenCalls(t *testing.T) {
	for _, p := range ours(t) {
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, 0)
			require.NoError(t, err)
			ast.Inspect(file, func(n ast.Node) bool {
				if sel, ok := n.(*ast.SelectorExpr); ok {
					if pkg, ok := sel.X.(*ast.Ident); ok {
						require.NotContains(t, forbiddenCalls, pkg.Name+"."+sel.Sel.Name, "%s/%s", p.ImportPath, name)
					}
				}
				return true
			})
		}
	}
}

// frontEndRules are patterns that a reviewed front end does not hold.
var frontEndRules = []struct {
	name    string
	pattern *regexp.Regexp
}{
	{"detect-console-logs", regexp.MustCompile(`\bconsole\s*\.`)},
	{"detect-invalid-window-properties", regexp.MustCompile(`window\.(grafanaBootData|grafanaRuntime|__grafanaSceneContext)`)},
	{"direct-window-location", regexp.MustCompile(`\bwindow\.location\b|\bdocument\.location\b`)},
	{"window-open-without-noopener", regexp.MustCompile(`\bwindow\.open\(`)},
	{"native-browser-dialogs", regexp.MustCompile(`(^|[^.\w])(alert|confirm|prompt)\(`)},
	{"no-direct-css-imports", regexp.MustCompile(`import\s+['"].*\.(css|scss|less)['"]`)},
	{"no-emotion-global", regexp.MustCompile(`<Global\b`)},
	{"ts-ignore", regexp.MustCompile(`@ts-(ignore|nocheck)`)},
	{"detect-old-react-internals", regexp.MustCompile(`__SECRET_INTERNALS`)},
	{"api-ds-query-endpoint", regexp.MustCompile(`/api/ds/query`)},
	{"backend-datasource-testdatasource", regexp.MustCompile(`\btestDatasource\b`)},
	{"deprecated-gf-form", regexp.MustCompile(`\bgf-form`)},
	{"dangerous-html", regexp.MustCompile(`dangerouslySetInnerHTML`)},
	{"no-any", regexp.MustCompile(`(:|\bas|<)\s*any\b`)},
	{"no-eval", regexp.MustCompile(`\beval\(|new Function\(`)},
}

// code-rules for the front end, and our own: no any.
func TestFrontEndRules(t *testing.T) {
	files := 0
	require.NoError(t, filepath.WalkDir(filepath.Join(root, "src"), func(path string, d fs.DirEntry, err error) error {
		ext := filepath.Ext(path)
		if err != nil || d.IsDir() || ext != ".ts" && ext != ".tsx" || strings.Contains(path, ".test.") {
			return err
		}
		files++
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, rule := range frontEndRules {
			require.NotRegexp(t, rule.pattern, string(raw), "%s: %s", rule.name, path)
		}
		return nil
	}))
	require.Greater(t, files, 15)
}

// The scaffold's own folder is changed only by its tool: every file says so, and the tool notes its version.
func TestScaffoldIsUntouched(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(root, ".config", ".cprc.json"))
	require.NoError(t, err)
	var scaffold struct{ Version string }
	require.NoError(t, json.Unmarshal(raw, &scaffold))
	require.Regexp(t, `^7\.\d+\.\d+$`, scaffold.Version)
	webpack, err := os.ReadFile(filepath.Join(root, ".config", "webpack", "webpack.config.ts"))
	require.NoError(t, err)
	require.Contains(t, string(webpack), "@grafana/create-plugin", "buildtools: non-standard-frontend-build-tooling")
}

// packagejson and our own rules of what is installed.
func TestPackages(t *testing.T) {
	var pkg struct {
		Version      string
		Dependencies map[string]string
	}
	readJSON(t, filepath.Join(root, "package.json"), &pkg)
	require.Regexp(t, `^\d+\.\d+\.\d+$`, pkg.Version)
	for _, name := range []string{"data", "ui", "runtime", "schema"} {
		require.Equal(t, "13.2.2", pkg.Dependencies["@grafana/"+name], "pinned: 13.2.3 misses a dependency")
	}
	lock, err := os.ReadFile(filepath.Join(root, "package-lock.json"))
	require.NoError(t, err)
	require.NotContains(t, string(lock), `"resolved"`, "the lock file names no download address")
	require.Contains(t, string(lock), `"integrity"`)
	require.Less(t, len(lock), 1<<20)

	// npm ci refuses a lock file that lacks a package for another system, and npm install leaves out what the
	// registry that it was run against does not hold.
	var locked struct {
		Packages map[string]struct {
			Dependencies         map[string]string
			OptionalDependencies map[string]string
		}
	}
	require.NoError(t, json.Unmarshal(lock, &locked))
	for name, p := range locked.Packages {
		for _, wanted := range []map[string]string{p.Dependencies, p.OptionalDependencies} {
			for dep := range wanted {
				require.True(t, slices.ContainsFunc([]string{name + "/node_modules/", "node_modules/", filepath.Dir(name) + "/"}, func(at string) bool {
					_, ok := locked.Packages[at+dep]
					return ok
				}), "%s of %s is not in the lock file", dep, name)
			}
		}
	}
}

// The defaults of the SDK: the id is the same wherever it stands.
func TestOneID(t *testing.T) {
	var meta struct{ ID, Executable string }
	readJSON(t, filepath.Join(root, "src", "plugin.json"), &meta)
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "pkg", "plugin", "plugin.go"), nil, 0)
	require.NoError(t, err)
	var id string
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && slices.ContainsFunc(spec.Names, func(i *ast.Ident) bool { return i.Name == "ID" }) {
			id, _ = strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		}
		return true
	})
	require.Equal(t, meta.ID, id)
	require.Equal(t, "gpx_"+strings.ReplaceAll(id, "-", "_"), meta.Executable)
}

func readJSON(t *testing.T, file string, into any) {
	t.Helper()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, into), file)
}
