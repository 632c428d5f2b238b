//go:build mage

// Build, run and test Portent: `go tool mage TARGET`.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/magefile/mage/mg"

	"github.com/portent-dev/portent/e2e/serverkit"
	"github.com/portent-dev/portent/tools/steps"
)

// programs are our own: the name in bin/ and the package.
var programs = [][2]string{
	{"portent", "./cmd/portent"},
	{"portent-exporter", "./exporter"},
	{"portent-receiver", "./alertmanager-receiver"},
}

// Build builds everything: bin/ and the Grafana plugin in datasource-plugin/dist/.
func Build(ctx context.Context) error {
	if err := binaries(ctx, os.Stderr); err != nil {
		return err
	}
	err := pluginBuild(ctx, os.Stderr)
	if errors.Is(err, steps.ErrMissing) {
		fmt.Fprintf(os.Stderr, "%v\n", err)
		return nil
	}
	return err
}

// binaries builds bin/portent, bin/portent-exporter and bin/portent-receiver.
func binaries(ctx context.Context, out io.Writer) error {
	flags, err := linkerFlags(ctx)
	if err != nil {
		return err
	}
	for _, p := range programs {
		path := filepath.Join("bin", executable(p[0]))
		if err := goTool(ctx, out, "build", "-ldflags", flags, "-o", path, p[1]); err != nil {
			return err
		}
		fmt.Fprintln(out, "built", path)
	}
	return nil
}

// linkerFlags set the version that --version and portent_*_build_info show. Nothing in them changes between two builds of the
// same commit.
func linkerFlags(ctx context.Context) (string, error) {
	v, err := os.ReadFile("VERSION")
	if err != nil {
		return "", err
	}
	const pkg = "github.com/prometheus/common/version."
	flags := []string{"-s -w -X " + pkg + "Version=" + strings.TrimSpace(string(v))}
	for _, field := range [][3]string{
		{"Revision", "rev-parse", "HEAD"},
		{"Branch", "branch", "--show-current"},
		{"BuildDate", "log", "-1 --format=%cd --date=format:%Y%m%d-%H:%M:%S"},
	} {
		args := append([]string{field[1]}, strings.Fields(field[2])...)
		b, err := exec.CommandContext(ctx, "git", args...).Output()
		if err != nil {
			continue // built from an archive without history: the version is enough
		}
		if s := strings.TrimSpace(string(b)); s != "" {
			flags = append(flags, "-X "+pkg+field[0]+"="+s)
		}
	}
	return strings.Join(flags, " "), nil
}

// Servers finds or builds the real Prometheus, Alertmanager, Loki and node_exporter that run and test need.
func Servers(ctx context.Context) error { return servers(ctx, os.Stderr, serverkit.Programs()...) }

func servers(ctx context.Context, out io.Writer, names ...string) error {
	finder := serverkit.Finder{Progress: out}
	for _, name := range names {
		path, err := finder.Find(ctx, name)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%-14s %s\n", name, path)
	}
	return nil
}

// Test runs everything that CI runs.
func Test(ctx context.Context) error {
	return steps.Run(ctx, os.Stdout, []steps.Step{
		{Name: "specs", Run: specs},
		{Name: "servers", Run: func(ctx context.Context, out io.Writer) error {
			return servers(ctx, out, "prometheus", "promtool", "alertmanager", "amtool", "node_exporter")
		}},
		{Name: "front end", Run: frontEndTest, Results: true},
		{Name: "build", Run: func(ctx context.Context, out io.Writer) error {
			return errors.Join(binaries(ctx, out), backend(ctx, out))
		}},
		{Name: "loki", After: []string{"servers"}, Run: func(ctx context.Context, out io.Writer) error {
			return servers(ctx, out, "loki", "logcli")
		}},
		{Name: "vet", After: []string{"build"}, Run: func(ctx context.Context, out io.Writer) error {
			return errors.Join(goTool(ctx, out, "vet", "./..."), goTool(ctx, out, "vet", "-tags=mage", "."))
		}},
		{Name: "lint", After: []string{"vet"}, Run: lint},
		{Name: "go", After: []string{"specs", "servers", "build", "vet"}, Behind: []string{"front end"}, Run: unitTests, Results: true},
		{Name: "stories", After: []string{"loki", "go"}, Run: stories, Results: true},
	})
}

// specs fails when the vendors' descriptions are absent: tests against them would fail one by one, much later.
func specs(_ context.Context, out io.Writer) error {
	dir := os.Getenv("PORTENT_SPECS")
	if dir == "" {
		dir = filepath.Join("..", "shared", "specs")
	}
	if _, err := os.Stat(filepath.Join(dir, "contracts")); err != nil {
		return fmt.Errorf("the vendors' descriptions are not there (PORTENT_SPECS names their folder): %w", err)
	}
	fmt.Fprintln(out, dir)
	return nil
}

// testTimeout is for one package. The stories start real servers and wait for them on a machine that may have two slow
// processors.
const testTimeout = "-timeout=20m"

func unitTests(ctx context.Context, out io.Writer) error {
	packages, err := exec.CommandContext(ctx, "go", "list", "./...").Output()
	if err != nil {
		return err
	}
	names := strings.Fields(string(packages))
	return gotestsum(ctx, out, slices.DeleteFunc(names, func(p string) bool { return p == "github.com/portent-dev/portent/e2e" })...)
}

func stories(ctx context.Context, out io.Writer) error {
	return gotestsum(ctx, out, "./e2e")
}

// again is what may fail once: three tests of thousands, on a machine that starved them while real servers ran beside them.
// Each is run a second time and stays in the output as a failure of the first run, to be mended; a data race is never.
var again = []string{"--rerun-fails=1", "--rerun-fails-max-failures=3", "--rerun-fails-run-root-test", "--rerun-fails-abort-on-data-race"}

// gotestsum runs the tests of packages with the race detector, where a C compiler is there to link it.
func gotestsum(ctx context.Context, out io.Writer, packages ...string) error {
	race := []string{"-race"}
	if b, err := exec.CommandContext(ctx, "go", "env", "CGO_ENABLED").Output(); err == nil && strings.TrimSpace(string(b)) == "0" {
		fmt.Fprintln(out, "no C compiler: the tests run without the race detector")
		race = nil
	}
	args := append([]string{"--format=pkgname", "--format-hide-empty-pkg", "--packages=" + strings.Join(packages, " ")}, again...)
	args = append(append(args, "--", testTimeout), race...)
	return pinned(ctx, out, "gotestsum", args...)
}

// Lint checks the code with the golangci-lint that tools/ pins.
func Lint(ctx context.Context) error { return lint(ctx, os.Stderr) }

func lint(ctx context.Context, out io.Writer) error {
	return pinned(ctx, out, "golangci-lint", "run", "--allow-parallel-runners", "./...")
}

// Format formats all Go files with gofumpt.
func Format(ctx context.Context) error {
	b, err := exec.CommandContext(ctx, "git", "ls-files", "-co", "--exclude-standard", "--", "*.go").Output()
	if err != nil {
		return err
	}
	return pinned(ctx, os.Stderr, "gofumpt", append([]string{"-w", "-modpath=github.com/portent-dev/portent", "--"}, strings.Fields(string(b))...)...)
}

// Clean removes what the build made: bin/ and datasource-plugin/dist/. The cache of servers and the data of run stay.
func Clean() error {
	return errors.Join(os.RemoveAll("bin"), os.RemoveAll(filepath.Join("datasource-plugin", "dist")))
}

// pinned runs a tool of a module in tools/.
func pinned(ctx context.Context, out io.Writer, tool string, args ...string) error {
	modfile := filepath.Join("tools", tool, "go.mod")
	return goTool(ctx, out, append([]string{"tool", "-modfile=" + modfile, tool}, args...)...)
}

// goTool runs the Go command.
func goTool(ctx context.Context, out io.Writer, args ...string) error {
	return run(ctx, out, ".", "go", args...)
}

// run runs a command in a folder.
func run(ctx context.Context, out io.Writer, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	if mg.Verbose() {
		fmt.Fprintln(out, "+", cmd)
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(append([]string{name}, args[:min(2, len(args))]...), " "), err)
	}
	return nil
}

// quietly runs a command in a folder, and shows what it said only when it fails or with mage -v: the reports of tools that build and
// install are long and say nothing when all is well.
func quietly(ctx context.Context, out io.Writer, dir, name string, args ...string) error {
	if mg.Verbose() {
		return run(ctx, out, dir, name, args...)
	}
	var said bytes.Buffer
	err := run(ctx, &said, dir, name, args...)
	if err != nil {
		_, _ = said.WriteTo(out)
	}
	return err
}

// executable is the file name of a program on this system.
func executable(name string) string {
	if runtime.GOOS == "windows" {
		return name + ".exe"
	}
	return name
}
