package serverkit

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Finder finds programs. Its zero value works and is silent. It may be used by several goroutines and processes at a time:
// a build is done once, the others wait for it.
type Finder struct {
	// Progress is told what is being built, about every ten seconds; nil: nobody is.
	Progress io.Writer
	// IgnorePath leaves PATH aside, for a run whose versions must be the pinned ones.
	IgnorePath bool
}

// Find returns the path of a program. It builds the program when neither PORTENT_<NAME> nor PATH nor the cache has it, which
// takes minutes the first time; ctx ends that. The error says which program, and for a failed build why.
func (f Finder) Find(ctx context.Context, name string) (string, error) {
	s, p, err := lookup(name)
	if err != nil {
		return "", err
	}
	key := Variable(name)
	if path := os.Getenv(key); path != "" {
		found, err := exec.LookPath(path)
		if err != nil {
			return "", fmt.Errorf("%s from %s: %w", name, key, err)
		}
		return found, nil
	}
	if path, ok := f.onPath(ctx, p); ok {
		return path, nil
	}
	path, err := f.build(ctx, s, p)
	if err != nil {
		return "", fmt.Errorf("build %s (or name one by %s): %w", name, key, err)
	}
	return path, nil
}

// Variable is the environment variable that names the program to use, such as PORTENT_PROMETHEUS.
func Variable(program string) string { return "PORTENT_" + strings.ToUpper(program) }

// Version asks a program for its version. The answer is the first x.y.z after the word "version".
func Version(ctx context.Context, path string) (string, error) {
	// A program that does not answer to --version within this time is not one of ours.
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", path, err)
	}
	m := versionPattern.FindSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("%s --version names no version: %.100q", path, out)
	}
	return string(m[1]), nil
}

var versionPattern = regexp.MustCompile(`version[:, ]+v?(\d+\.\d+\.\d+)`)

// onPath looks for a recent enough program on PATH. One that is too old is passed over silently: Debian's is not wrong, only
// old, and the pinned one is built.
func (f Finder) onPath(ctx context.Context, p program) (string, bool) {
	if f.IgnorePath {
		return "", false
	}
	for _, name := range append([]string{p.name}, p.aliases...) {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		version, err := Version(ctx, path)
		if err == nil && atLeast(version, p.min) {
			return path, true
		}
	}
	return "", false
}

// atLeast reports whether version x.y.z is least or newer. Both are made of three numbers.
func atLeast(version, least string) bool {
	v, l := strings.Split(version, "."), strings.Split(least, ".")
	for i := range l {
		if i >= len(v) {
			return false
		}
		a, errA := strconv.Atoi(v[i])
		b, errB := strconv.Atoi(l[i])
		if errA != nil || errB != nil {
			return false
		}
		if a != b {
			return a > b
		}
	}
	return true
}
