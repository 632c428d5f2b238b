package archtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Check compares the rules with the tree and returns what is wrong, a sentence each.
func Check(rules []Rule, tree Tree) []string {
	var problems []string
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	above := map[string]bool{}
	for _, r := range rules {
		p := tree[r.Package]
		if above[r.Package] {
			wrong("line %d: %s has a line already", r.Line, r.Package)
			continue
		}
		if p == nil {
			wrong("line %d: there is no package %s", r.Line, r.Package)
			continue
		}
		for _, imported := range p.Imports {
			if !slices.Contains(r.Imports, imported) {
				wrong("%s imports %s, which line %d does not allow", r.Package, imported, r.Line)
			}
		}
		for _, allowed := range r.Imports {
			if !slices.Contains(p.Imports, allowed) {
				wrong("line %d: %s does not import %s any more", r.Line, r.Package, allowed)
			}
			if !above[allowed] {
				wrong("line %d: %s may import %s, which does not stand above it", r.Line, r.Package, allowed)
			}
		}
		above[r.Package] = true
	}
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		if !above[name] && !slices.ContainsFunc(rules, func(r Rule) bool { return r.Package == name }) {
			wrong("package %s has no line", name)
		}
	}
	return problems
}

// pure are the packages of design rule 2: time comes with the data, so that a replay of last Tuesday gives last Tuesday's
// findings.
var pure = []string{"internal/stat", "internal/detect", "internal/logmine", "internal/forecast", "internal/finding", "internal/logwatch", "internal/patternrules"}

// impureImports are what a pure package must not import: network, files, SQL, logging, metrics clients.
var impureImports = []string{
	"database/sql", "io/fs", "io/ioutil", "log", "net", "os", "path/filepath", "syscall",
	"github.com/prometheus/client_golang", "github.com/prometheus/common", "go.opentelemetry.io",
}

// sqlImports are what only internal/sqlstore imports.
var sqlImports = []string{"database/sql", "modernc.org/sqlite", "github.com/jackc/pgx", "github.com/pressly/goose"}

// processes are the folders of the programs. They never import one another, and nothing imports them but e2e's tests.
var processes = []string{"cmd/portent", "exporter", "alertmanager-receiver", "datasource-plugin"}

// modelUsers may know the language model, and the wiring that picks it for them.
var modelUsers = []string{
	"internal/report", "internal/ask", "internal/runbook", "internal/llm",
	"cmd/portent", "exporter/app", "alertmanager-receiver/app", "datasource-plugin",
}

// Design checks the rules 1 to 6 of the design that a list of imports cannot say by itself.
func Design(tree Tree) []string {
	var problems []string
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		p := tree[name]
		problems = append(problems, checkPure(name, p)...)
		problems = append(problems, checkSQL(name, p)...)
		problems = append(problems, checkPlaces(name, p)...)
		problems = append(problems, checkSuites(name, p)...)
	}
	return problems
}

// checkPure is rule 1 for the nouns and rule 2.
func checkPure(name string, p *Package) []string {
	var problems []string
	if (name == "internal/finding" || name == "internal/stat") && len(p.Imports) > 0 {
		problems = append(problems, fmt.Sprintf("%s imports %s; it imports nothing of ours (rule 1)", name, strings.Join(p.Imports, ", ")))
	}
	if !slices.Contains(pure, name) {
		return problems
	}
	for _, imported := range p.Foreign {
		if within(imported, impureImports) {
			problems = append(problems, fmt.Sprintf("%s imports %s; it is pure (rule 2)", name, imported))
		}
	}
	for _, place := range p.Impure {
		problems = append(problems, fmt.Sprintf("%s; %s is pure (rule 2)", place, name))
	}
	return problems
}

// checkSQL is rule 4: SQL stands in one package, and only the wiring knows it.
func checkSQL(name string, p *Package) []string {
	var problems []string
	const store = "internal/sqlstore"
	if !within(name, []string{store}) {
		for _, imported := range p.Foreign {
			if within(imported, sqlImports) {
				problems = append(problems, fmt.Sprintf("%s imports %s; SQL stands in %s alone (rule 4)", name, imported, store))
			}
		}
	}
	if slices.Contains(p.Imports, store) && !strings.HasSuffix(name, "/app") && name != "cmd/portent" && !within(name, []string{store}) {
		problems = append(problems, fmt.Sprintf("%s imports %s; only the wiring does (rule 4)", name, store))
	}
	return problems
}

// checkPlaces is rule 3 (the language model), rule 5 (trackers) and rule 6 (process folders).
func checkPlaces(name string, p *Package) []string {
	var problems []string
	for _, imported := range p.Imports {
		switch {
		case within(imported, []string{"internal/llm"}) && !within(name, modelUsers):
			problems = append(problems, fmt.Sprintf("%s imports %s; nothing that decides knows the model (rule 3)", name, imported))
		case isTracker(name) && imported == "internal/triage":
			problems = append(problems, fmt.Sprintf("%s imports %s; a tracker does not know who files tickets (rule 5)", name, imported))
		case isTracker(imported) && tracker(imported) != tracker(name) && !knowsTracker(name, imported) && !isTest(name):
			problems = append(problems, fmt.Sprintf("%s imports %s; only the receiver's app knows the trackers' names (rule 5)", name, imported))
		}
	}
	own := processOf(name)
	for _, imported := range slices.Concat(p.Imports, p.TestImports) {
		if target := processOf(imported); target != "" && target != own && !within(name, []string{"e2e"}) {
			problems = append(problems, fmt.Sprintf("%s imports %s of another process (rule 6)", name, imported))
		}
	}
	return problems
}

// knowsTracker reports whether a package may know a tracker: the wiring knows all, and the store the nouns of the local tracker, whose
// tickets it keeps.
func knowsTracker(name, imported string) bool {
	return name == "alertmanager-receiver/app" || name == "internal/sqlstore" && imported == "internal/ticket/local"
}

// checkSuites keeps what is made for tests out of the programs.
func checkSuites(name string, p *Package) []string {
	var problems []string
	for _, imported := range p.Imports {
		if strings.HasSuffix(imported, "test") && !isTest(name) {
			problems = append(problems, fmt.Sprintf("%s imports %s, which is made for tests", name, imported))
		}
	}
	return problems
}

// isTracker reports whether the package is a tracker or part of one.
func isTracker(name string) bool {
	return strings.HasPrefix(name, "internal/ticket/") && !isTest(name)
}

// tracker is the name of the tracker that a package belongs to, "" for none.
func tracker(name string) string {
	rest, found := strings.CutPrefix(name, "internal/ticket/")
	if !found {
		return ""
	}
	first, _, _ := strings.Cut(rest, "/")
	return first
}

// isTest reports whether the package is made for tests: by its name, or as a story of e2e.
func isTest(name string) bool {
	return strings.HasSuffix(name, "test") || within(name, []string{"e2e"})
}

// processOf is the process folder that a package stands in, "" for none.
func processOf(name string) string {
	for _, p := range processes {
		if within(name, []string{p}) {
			return p
		}
	}
	return ""
}

// within reports whether name is one of the roots or below one.
func within(name string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool { return name == root || strings.HasPrefix(name, root+"/") })
}
