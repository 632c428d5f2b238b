// Package spectest holds requests and answers in tests to the vendors' own API
// descriptions, which lie beside the checkout and are never part of it.
//
// It is imported by tests and test doubles only.
package spectest

import (
	"os"
	"path/filepath"
	"testing"
)

// Dir returns the folder of the API descriptions: $PORTENT_SPECS, or
// shared/specs beside the module root. A test that needs it fails when it is
// absent, so that a run without it cannot pass for a complete one.
func Dir(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("PORTENT_SPECS"); dir != "" {
		if !exists(filepath.Join(dir, "contracts")) {
			t.Fatalf("PORTENT_SPECS=%s holds no API descriptions", dir)
		}
		return dir
	}
	wd, err := os.Getwd()
	if err != nil {
		t.Fatalf("working directory: %v", err)
	}
	root := wd
	for !exists(filepath.Join(root, "go.mod")) {
		up := filepath.Dir(root)
		if up == root {
			t.Fatalf("no go.mod above %s", wd)
		}
		root = up
	}
	dir := filepath.Join(filepath.Dir(root), "shared", "specs")
	if !exists(filepath.Join(dir, "contracts")) {
		t.Fatalf("no API descriptions in %s: put them there or set PORTENT_SPECS to their folder", dir)
	}
	return dir
}

func exists(path string) bool {
	_, err := os.Stat(path) //nolint:gosec // whoever runs the tests says where the descriptions are
	return err == nil
}
