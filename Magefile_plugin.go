//go:build mage

package main

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/magefile/mage/mg"

	"github.com/portent-dev/portent/tools/steps"
)

const (
	pluginDir = "datasource-plugin"
	pluginID  = "portent-aiops-datasource"
)

// Plugin holds the targets of the Grafana data source.
type Plugin mg.Namespace

// Build builds the Grafana plugin into datasource-plugin/dist/.
func (Plugin) Build(ctx context.Context) error { return pluginBuild(ctx, os.Stderr) }

// Test checks the plugin: types, lint, unit tests, its protocol, its pages in a browser.
func (Plugin) Test(ctx context.Context) error {
	if err := errors.Join(frontEndTest(ctx, os.Stderr), backend(ctx, os.Stderr)); err != nil {
		return err
	}
	return gotestsum(ctx, os.Stderr, "./"+pluginDir+"/...")
}

// Validate builds the plugin and holds its dist/ to the rules of Grafana's plugin validator, by the validator where it can be had.
func (Plugin) Validate(ctx context.Context) error {
	if err := pluginBuild(ctx, os.Stderr); err != nil {
		return err
	}
	if err := goTool(ctx, os.Stderr, "test", "-count=1", "./"+pluginDir+"/..."); err != nil {
		return err
	}
	archive := filepath.Join("bin", pluginID+".zip")
	if err := pluginArchive(archive); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "wrote", archive)
	validator, _ := exec.LookPath("plugincheck2")
	if validator == "" {
		fmt.Fprintln(os.Stderr, "plugincheck2, Grafana's own validator, is not on PATH: only our own test of its rules was run")
		return nil
	}
	return run(ctx, os.Stderr, ".", validator, archive)
}

// pluginArchive packs dist/ as Grafana's catalog wants it: everything in one folder named as the plugin.
func pluginArchive(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := zip.NewWriter(f)
	dist := os.DirFS(filepath.Join(pluginDir, "dist"))
	err = fs.WalkDir(dist, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		header, err := zip.FileInfoHeader(info) // keeps the mode: the backend must stay executable
		if err != nil {
			return err
		}
		header.Name, header.Method = pluginID+"/"+name, zip.Deflate
		entry, err := w.CreateHeader(header)
		if err != nil {
			return err
		}
		content, err := fs.ReadFile(dist, name)
		if err != nil {
			return err
		}
		_, err = entry.Write(content)
		return err
	})
	return errors.Join(err, w.Close(), f.Close())
}

// pluginBuild builds both halves of the plugin. Without Node it builds the backend and returns steps.ErrMissing.
func pluginBuild(ctx context.Context, out io.Writer) error {
	missing := nodeInstall(ctx, out)
	if missing != nil && !errors.Is(missing, steps.ErrMissing) {
		return missing
	}
	if missing == nil {
		fmt.Fprintln(out, "building the front end of the plugin")
		if err := quietly(ctx, out, pluginDir, "npm", "run", "--silent", "build"); err != nil {
			return err
		}
	}
	if err := backend(ctx, out); err != nil {
		return err
	}
	fmt.Fprintln(out, "built", filepath.Join(pluginDir, "dist"))
	return missing
}

// frontEndTest checks and builds the TypeScript half.
func frontEndTest(ctx context.Context, out io.Writer) error {
	if err := nodeInstall(ctx, out); err != nil {
		return err
	}
	for _, script := range []string{"typecheck", "lint", "test:ci", "build"} {
		if err := run(ctx, out, pluginDir, "npm", "run", "--silent", script); err != nil {
			return err
		}
	}
	// From here on the plugin's Go tests must find a whole dist/; without Node they leave it out.
	if err := os.Setenv("PORTENT_REQUIRE_DIST", "1"); err != nil {
		return err
	}
	if !slices.ContainsFunc(browsers, onPath) && os.Getenv("CHROME_PATH") == "" && os.Getenv("PORTENT_CI") == "" {
		fmt.Fprintln(out, "no Chromium on PATH (CHROME_PATH names one): the editors were not tested in a browser")
		return nil
	}
	return run(ctx, out, pluginDir, "npm", "run", "--silent", "test:browser")
}

// browsers are the names of Chromium on PATH.
var browsers = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}

func onPath(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}

// nodeInstall installs the npm packages of the lock file when they are not installed yet.
func nodeInstall(ctx context.Context, out io.Writer) error {
	if _, err := exec.LookPath("npm"); err != nil {
		if os.Getenv("PORTENT_CI") != "" {
			return errors.New("npm is not on PATH, and in CI nothing is left out")
		}
		return fmt.Errorf("npm of Node.js 20 or newer is %w: the front end of the Grafana plugin is left out", steps.ErrMissing)
	}
	installed, err := os.Stat(filepath.Join(pluginDir, "node_modules", ".package-lock.json"))
	lock, lockErr := os.Stat(filepath.Join(pluginDir, "package-lock.json"))
	if lockErr != nil {
		return lockErr
	}
	if err == nil && !installed.ModTime().Before(lock.ModTime()) {
		return nil
	}
	fmt.Fprintln(out, "installing the npm packages of the plugin, which takes a minute the first time")
	return quietly(ctx, out, pluginDir, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
}

// backend builds the Go half and its manifest. PORTENT_PLUGIN_PLATFORMS lists the platforms of a release, such as
// linux/amd64,darwin/arm64; this machine's is the default.
func backend(ctx context.Context, out io.Writer) error {
	b, err := os.ReadFile(filepath.Join(pluginDir, "src", "plugin.json"))
	if err != nil {
		return err
	}
	var plugin struct{ Executable string }
	if err := json.Unmarshal(b, &plugin); err != nil || plugin.Executable == "" {
		return fmt.Errorf("src/plugin.json names no executable: %w", err)
	}
	flags, err := linkerFlags(ctx)
	if err != nil {
		return err
	}
	info, err := sdkBuildInfo(ctx)
	if err != nil {
		return err
	}
	flags += " " + info
	platforms := os.Getenv("PORTENT_PLUGIN_PLATFORMS")
	if platforms == "" {
		platforms = runtime.GOOS + "/" + runtime.GOARCH
	}
	for _, platform := range strings.Split(platforms, ",") {
		goos, goarch, _ := strings.Cut(platform, "/")
		name := plugin.Executable + "_" + goos + "_" + goarch
		if goos == "windows" {
			name += ".exe"
		}
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags=arrow_json_stdlib", "-ldflags", flags, "-o", filepath.Join(pluginDir, "dist", name), "./"+pluginDir+"/pkg")
		cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("build the plugin for %s: %w", platform, err)
		}
	}
	return manifest()
}

// sdkBuildInfo sets what the SDK's own build sets, which the backend names itself by in its user agent and its traces: the
// id, the version and, as the time, that of the commit, so that the same commit gives the same binary.
func sdkBuildInfo(ctx context.Context) (string, error) {
	b, err := os.ReadFile(filepath.Join(pluginDir, "package.json"))
	if err != nil {
		return "", err
	}
	var pkg struct{ Version string }
	if err := json.Unmarshal(b, &pkg); err != nil || pkg.Version == "" {
		return "", fmt.Errorf("package.json of the plugin names no version: %w", err)
	}
	info := struct {
		Time     int64  `json:"time,omitempty"` // Unix ms
		PluginID string `json:"pluginID"`
		Version  string `json:"version"`
	}{PluginID: pluginID, Version: pkg.Version}
	if out, err := exec.CommandContext(ctx, "git", "log", "-1", "--format=%ct").Output(); err == nil { // an archive has no history
		if seconds, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64); err == nil {
			info.Time = seconds * 1000
		}
	}
	text, err := json.Marshal(info)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("-X main.pluginID=%s -X main.version=%s -X 'github.com/grafana/grafana-plugin-sdk-go/build/buildinfo.buildInfoJSON=%s'", pluginID, pkg.Version, text), nil
}

// manifest writes dist/go_plugin_build_manifest as Grafana's SDK does: the hash of every Go source of the plugin.
func manifest() error {
	var b strings.Builder
	err := fs.WalkDir(os.DirFS(pluginDir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "dist") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		source, err := os.ReadFile(filepath.Join(pluginDir, path))
		fmt.Fprintf(&b, "%x:%s\n", sha256.Sum256(source), path)
		return err
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(pluginDir, "dist", "go_plugin_build_manifest"), []byte(b.String()), 0o755) // the mode that the SDK gives it
}
