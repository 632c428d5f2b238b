package serverkit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// build returns the program from the cache, after building its whole server when it is not there. The folder of a build is
// named by the module version, the Go version, the platform and a hash of the recipe, and appears by one rename: what stands
// there is whole. A lock file per server makes a second process wait instead of building the same again.
func (f Finder) build(ctx context.Context, s server, p program) (string, error) {
	root, err := ModuleRoot()
	if err != nil {
		return "", err
	}
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	r := recipe{server: s, module: filepath.Join(root, "e2e", "servers", s.name), finder: f}
	if err := r.describe(ctx); err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "servers", r.key())
	path := filepath.Join(dir, p.name)
	if executable(path) {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	unlock, err := lockedfile.MutexAt(filepath.Join(cache, "servers", s.name+".lock")).Lock()
	if err != nil {
		return "", fmt.Errorf("lock the cache: %w", err)
	}
	defer unlock()
	if executable(path) { // built by another process while this one waited
		return path, nil
	}
	if err := r.build(ctx, dir); err != nil {
		return "", err
	}
	if !executable(path) {
		return "", fmt.Errorf("BUG: the build of %s made no %s", s.name, p.name)
	}
	return path, nil
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// recipe is one build of one server.
type recipe struct {
	server  server
	module  string // folder with the go.mod that pins it
	finder  Finder
	version string // of the server, as it calls itself
	sum     string // hash of everything that decides the result, besides the Go version and the platform
}

// describe reads the pinned version and hashes the recipe.
func (r *recipe) describe(ctx context.Context) error {
	out, err := r.goCommand(ctx, r.module, "list", "-mod=readonly", "-m", "-f", "{{.Version}}", r.server.module).Output()
	if err != nil {
		return fmt.Errorf("read the pinned version of %s: %w", r.server.name, withStderr(err))
	}
	r.version = ownVersion(r.server.name, strings.TrimSpace(string(out)))
	h := sha256.New()
	fmt.Fprintf(h, "%q %q\n", r.server.tags, r.flags())
	for _, name := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(r.module, name))
		if err != nil {
			return err
		}
		h.Write(b)
	}
	for name, content := range r.server.embedded {
		b, err := content()
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%s %x\n", name, sha256.Sum256(b))
	}
	r.sum = hex.EncodeToString(h.Sum(nil))[:10]
	return nil
}

// ownVersion turns a module version into the version that the server prints. Prometheus releases 3.15.0 as v0.315.0, because
// its import path has no major version.
func ownVersion(name, module string) string {
	v := strings.TrimPrefix(module, "v")
	if name != "prometheus" {
		return v
	}
	parts := strings.Split(v, ".")
	if len(parts) != 3 || parts[0] != "0" || len(parts[1]) < 3 {
		return v
	}
	return parts[1][:1] + "." + strings.TrimPrefix(parts[1][1:], "0") + "." + parts[2]
}

// key names the folder of the build in the cache.
func (r *recipe) key() string {
	return strings.Join([]string{r.server.name, r.version, runtime.Version(), runtime.GOOS, runtime.GOARCH, r.sum}, "-")
}

func (r *recipe) flags() []string {
	flags := []string{"-buildvcs=false", "-ldflags", "-s -w -X " + r.server.variable + "=" + r.version}
	if r.server.tags != "" {
		flags = append(flags, "-tags", r.server.tags)
	}
	return flags
}

// build builds into a folder beside dir and renames it.
func (r *recipe) build(ctx context.Context, dir string) error {
	temp, err := os.MkdirTemp(filepath.Dir(dir), "."+r.server.name+"-*")
	if err != nil {
		return err
	}
	defer removeAll(temp)
	source := r.module
	if r.server.embedded != nil {
		source = filepath.Join(temp, "src")
		if err := r.copyModule(ctx, source); err != nil {
			return err
		}
	}
	out := filepath.Join(temp, "bin")
	if err := os.Mkdir(out, 0o755); err != nil {
		return err
	}
	args := append([]string{"build", "-v", "-mod=readonly", "-o", out + string(filepath.Separator)}, r.flags()...)
	for _, p := range r.server.programs {
		args = append(args, p.pkg)
	}
	cmd := r.goCommand(ctx, source, args...)
	progress := newProgress(r.finder.Progress, r.server, r.version, dir)
	cmd.Stderr = progress
	err = cmd.Run()
	progress.finish(err)
	if err != nil {
		return errors.Join(context.Cause(ctx), err, errors.New(progress.tail()))
	}
	if err := os.RemoveAll(dir); err != nil { // a folder that lost a program is not whole
		return err
	}
	return os.Rename(out, dir)
}

// copyModule copies the pinned module's sources, which the download checked against go.sum, and adds the embedded files.
func (r *recipe) copyModule(ctx context.Context, dir string) error {
	out, err := r.goCommand(ctx, r.module, "mod", "download", "-json", r.server.module).Output()
	if err != nil {
		return fmt.Errorf("download %s: %w", r.server.module, withStderr(err))
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil || module.Dir == "" {
		return fmt.Errorf("download %s: no folder in %q: %w", r.server.module, out, err)
	}
	if err := os.CopyFS(dir, os.DirFS(module.Dir)); err != nil {
		return fmt.Errorf("copy %s: %w", r.server.module, err)
	}
	for name, content := range r.server.embedded {
		b, err := content()
		if err != nil {
			return err
		}
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := makeWritable(dir, filepath.Dir(path)); err != nil {
			return err
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// makeWritable makes a folder below root, and those above it writable: the module cache is read-only and so is a copy of it.
func makeWritable(root, dir string) error {
	rel, err := filepath.Rel(root, dir)
	if err != nil {
		return err
	}
	at := root
	for _, part := range strings.Split(rel, string(filepath.Separator)) {
		if err := os.Chmod(at, 0o755); err != nil {
			return err
		}
		at = filepath.Join(at, part)
		if err := os.Mkdir(at, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// goCommand runs the Go command in a module, outside of any workspace, stopped with ctx.
func (r *recipe) goCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "PWD="+dir)
	return cmd
}

func withStderr(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	return err
}

// removeAll removes a tree whose folders may be read-only, as copies from the module cache are.
func removeAll(dir string) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(path, 0o755)
		}
		return nil
	})
	_ = os.RemoveAll(dir)
}
