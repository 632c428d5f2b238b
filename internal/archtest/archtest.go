// Package archtest holds the code to the architecture: who may import whom is a readable list (rules.txt), and what the pure
// packages, the deciding packages and the trackers must not know is checked in their sources.
//
// It reads source files alone, whatever their build constraints, and runs as a test.
package archtest

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Module is the import path of the module that the rules are about. Packages are named relative to it, the root is ".".
const Module = "github.com/portent-dev/portent"

// Rule is one line of rules.txt.
type Rule struct {
	Package string
	Imports []string
	Line    int
}

// ParseRules reads lines of the form "package: import import"; # begins a comment.
func ParseRules(r io.Reader) ([]Rule, error) {
	var rules []Rule
	scanner := bufio.NewScanner(r)
	for n := 1; scanner.Scan(); n++ {
		text, _, _ := strings.Cut(scanner.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		name, imports, found := strings.Cut(text, ":")
		if !found || strings.ContainsAny(name, " \t") {
			return nil, fmt.Errorf("line %d: want \"package: imports\", got %q", n, text)
		}
		rule := Rule{Package: name, Imports: strings.Fields(imports), Line: n}
		if !slices.IsSorted(rule.Imports) {
			return nil, fmt.Errorf("line %d: the imports of %s are not in order of the alphabet", n, name)
		}
		rules = append(rules, rule)
	}
	return rules, scanner.Err()
}

// Package is what the sources of one package say.
type Package struct {
	Imports     []string // of ours, without tests; sorted
	Foreign     []string // everything else, without tests; sorted
	TestImports []string // of ours, by its test files; sorted
	// Impure are the places, file:line and what, where a pure package would break its promise: a goroutine, a look at the clock.
	Impure []string
}

// Tree is every package of a module by its relative path.
type Tree map[string]*Package

// clock are the functions of package time that know what time it is or wait for another.
var clock = []string{"Now", "Since", "Until", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer", "Sleep"}

// Scan reads all Go files below root, but for nested modules, testdata, and folders that are hidden, built or installed.
func Scan(root string) (Tree, error) {
	tree := Tree{}
	err := filepath.WalkDir(root, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if at != root && skip(at, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(at, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, at)
		if err != nil {
			return err
		}
		return tree.add(at, filepath.ToSlash(rel))
	})
	for _, p := range tree {
		for _, list := range []*[]string{&p.Imports, &p.Foreign, &p.TestImports} {
			slices.Sort(*list)
			*list = slices.Compact(*list)
		}
	}
	return tree, err
}

func skip(dir, name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || slices.Contains([]string{"testdata", "node_modules", "dist", "bin"}, name) {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// add parses one file into its package.
func (t Tree) add(file, rel string) error {
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	name := path.Dir(rel)
	p := t[name]
	if p == nil {
		p = &Package{}
		t[name] = p
	}
	isTest := strings.HasSuffix(file, "_test.go")
	timeName := ""
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return fmt.Errorf("%s: %w", rel, err)
		}
		if imported == "time" {
			timeName = "time"
			if spec.Name != nil {
				timeName = spec.Name.Name
			}
		}
		ours, isOurs := relative(imported)
		switch {
		case isOurs && ours == name: // the external test package imports what it tests
		case isOurs && isTest:
			p.TestImports = append(p.TestImports, ours)
		case isOurs:
			p.Imports = append(p.Imports, ours)
		case !isTest:
			p.Foreign = append(p.Foreign, imported)
		}
	}
	if !isTest {
		p.Impure = append(p.Impure, impure(set, parsed, rel, timeName)...)
	}
	return nil
}

// relative names a package of this module as the rules do.
func relative(imported string) (string, bool) {
	if imported == Module {
		return ".", true
	}
	return strings.CutPrefix(imported, Module+"/")
}

// impure lists goroutines and looks at the clock in a file that knows package time by the given name.
func impure(set *token.FileSet, file *ast.File, rel, timeName string) []string {
	var found []string
	note := func(pos token.Pos, what string) {
		found = append(found, fmt.Sprintf("%s:%d %s", rel, set.Position(pos).Line, what))
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			note(n.Pos(), "starts a goroutine")
		case *ast.SelectorExpr:
			if id, ok := n.X.(*ast.Ident); ok && timeName != "" && id.Name == timeName && slices.Contains(clock, n.Sel.Name) {
				note(n.Pos(), "uses time."+n.Sel.Name)
			}
		}
		return true
	})
	return found
}
