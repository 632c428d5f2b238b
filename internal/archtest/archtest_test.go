package archtest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/archtest"
)

// The code keeps to the architecture.
func TestArchitecture(t *testing.T) {
	tree, err := archtest.Scan(filepath.Join("..", ".."))
	require.NoError(t, err)
	require.Contains(t, tree, "internal/archtest", "the scan begins at the root of the module")
	f, err := os.Open("rules.txt")
	require.NoError(t, err)
	defer f.Close()
	rules, err := archtest.ParseRules(f)
	require.NoError(t, err)

	for _, problem := range append(archtest.Check(rules, tree), archtest.Design(tree)...) {
		t.Error(problem)
	}
}

func TestParseRules(t *testing.T) {
	rules, err := archtest.ParseRules(strings.NewReader("# comment\n\ninternal/a:\ninternal/b: internal/a x # why\n"))
	require.NoError(t, err)
	require.Equal(t, []archtest.Rule{
		{Package: "internal/a", Imports: []string{}, Line: 3},
		{Package: "internal/b", Imports: []string{"internal/a", "x"}, Line: 4},
	}, rules)

	for _, c := range []struct{ name, text, want string }{
		{"no colon", "internal/a\n", `line 1: want "package: imports", got "internal/a"`},
		{"two names", "a b: c\n", `line 1: want "package: imports", got "a b: c"`},
		{"order", "x: b a\n", "line 1: the imports of x are not in order of the alphabet"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := archtest.ParseRules(strings.NewReader(c.text))
			require.EqualError(t, err, c.want)
		})
	}
}

func TestCheck(t *testing.T) {
	tree := archtest.Tree{"a": {}, "b": {Imports: []string{"a"}}, "c": {Imports: []string{"a", "b"}}}
	f := func(name, rules string, want ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			parsed, err := archtest.ParseRules(strings.NewReader(rules))
			require.NoError(t, err)
			require.Equal(t, want, archtest.Check(parsed, tree))
		})
	}
	f("in step", "a:\nb: a\nc: a b")
	f("unlisted import", "a:\nb: a\nc: a", "c imports b, which line 3 does not allow")
	f("import nobody uses", "a:\nb: a\nc: a b d\nd:",
		"line 3: c does not import d any more", "line 3: c may import d, which does not stand above it", "line 4: there is no package d")
	f("package without a line", "a:\nb: a", "package c has no line")
	f("line twice", "a:\nb: a\nb: a\nc: a b", "line 3: b has a line already")
	f("order of the flow", "b: a\na:\nc: a b", "line 1: b may import a, which does not stand above it")
}

func TestDesign(t *testing.T) {
	f := func(name string, p archtest.Package, want ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			require.Equal(t, want, archtest.Design(archtest.Tree{name: &p}))
		})
	}
	imports := func(names ...string) archtest.Package { return archtest.Package{Imports: names} }
	foreign := func(names ...string) archtest.Package { return archtest.Package{Foreign: names} }

	f("internal/finding", imports("internal/stat"), "internal/finding imports internal/stat; it imports nothing of ours (rule 1)")
	f("internal/detect", foreign("log/slog", "math", "time"), "internal/detect imports log/slog; it is pure (rule 2)")
	f("internal/stat", foreign("net/http"), "internal/stat imports net/http; it is pure (rule 2)")
	f("internal/detect", archtest.Package{Impure: []string{"x.go:3 uses time.Now"}}, "x.go:3 uses time.Now; internal/detect is pure (rule 2)")
	f("internal/triage", imports("internal/llm"), "internal/triage imports internal/llm; nothing that decides knows the model (rule 3)")
	f("internal/report", imports("internal/llm"))
	f("internal/triage", imports("internal/sqlstore"), "internal/triage imports internal/sqlstore; only the wiring does (rule 4)")
	f("alertmanager-receiver/app", imports("internal/sqlstore", "internal/ticket/jira", "internal/ticket/local"))
	f("internal/outbox", foreign("database/sql"), "internal/outbox imports database/sql; SQL stands in internal/sqlstore alone (rule 4)")
	f("internal/sqlstore", foreign("database/sql", "modernc.org/sqlite"))
	f("internal/ticket/jira", imports("internal/triage"), "internal/ticket/jira imports internal/triage; a tracker does not know who files tickets (rule 5)")
	f("internal/ticket/jira", imports("internal/ticket/local"), "internal/ticket/jira imports internal/ticket/local; only the receiver's app knows the trackers' names (rule 5)")
	f("internal/outbox", imports("internal/ticket/local"), "internal/outbox imports internal/ticket/local; only the receiver's app knows the trackers' names (rule 5)")
	f("internal/ticket/jira", imports("internal/ticket/jira/adf"))
	f("internal/sqlstore", imports("internal/ticket/local"))
	f("internal/sqlstore", imports("internal/ticket/jira"), "internal/sqlstore imports internal/ticket/jira; only the receiver's app knows the trackers' names (rule 5)")
	f("internal/web", imports("exporter/app"), "internal/web imports exporter/app of another process (rule 6)")
	f("exporter", imports("exporter/app"))
	f("exporter/app", imports("alertmanager-receiver/app"), "exporter/app imports alertmanager-receiver/app of another process (rule 6)")
	f("internal/web", archtest.Package{TestImports: []string{"exporter/app"}}, "internal/web imports exporter/app of another process (rule 6)")
	f("internal/web", imports("internal/ticket/tickettest"), "internal/web imports internal/ticket/tickettest, which is made for tests")
	f("internal/ticket/jira/jiratest", imports("internal/spectest"))
	f(".", imports("e2e/serverkit", "tools/steps"))
}

func TestScan(t *testing.T) {
	root := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		path := filepath.Join(root, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	const module = `"github.com/portent-dev/portent/`
	write("magefile.go", "//go:build mage\n\npackage main\n\nimport _ "+module+"a\"\n")
	write("a/a.go", "package a\n\nimport (\n\tclock \"time\"\n\t_ "+module+"b\"\n)\n\nvar At = clock.Now\n\nfunc f() {\n\tgo f()\n}\n")
	write("a/a_windows.go", "package a\n\nimport _ \"os\"\n")
	write("a/a_test.go", "package a_test\n\nimport (\n\t_ "+module+"a\"\n\t_ "+module+"c\"\n\t\"time\"\n)\n\nvar _ = time.Now\n")
	write("b/b.go", "package b\n\nimport \"time\"\n\nvar Day = 24 * time.Hour\n")
	write("nested/go.mod", "module example.com/nested\n")
	write("nested/n.go", "package nested\n")
	write("testdata/t.go", "package t\n")
	write(".hidden/h.go", "package h\n")

	tree, err := archtest.Scan(root)
	require.NoError(t, err)
	require.Equal(t, archtest.Tree{
		".": {Imports: []string{"a"}},
		"a": {
			Imports: []string{"b"}, Foreign: []string{"os", "time"}, TestImports: []string{"c"},
			Impure: []string{"a/a.go:8 uses time.Now", "a/a.go:11 starts a goroutine"},
		},
		"b": {Foreign: []string{"time"}},
	}, tree)

	write("b/broken.go", "package b\n\nfunc {\n")
	_, err = archtest.Scan(root)
	require.ErrorContains(t, err, "broken.go:3")
}
