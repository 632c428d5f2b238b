package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRunbooksSearch(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "disk.md"), []byte("# Disk\n\nThe disk is full.\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cpu.md"), []byte("# CPU\n\nThe processor is busy.\n"), 0o600))

	code, out, errOut := call("", "runbooks", "search", "--dir", dir, "--json", "disk of db-0 is full")
	require.Zero(t, code, errOut)
	var got struct {
		Results []struct {
			Path, Title, Excerpt string
			Score                float64
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &got))
	require.Len(t, got.Results, 1)
	require.Equal(t, "disk.md", got.Results[0].Path)
	require.Equal(t, "Disk", got.Results[0].Title)
	require.Equal(t, "The disk is full.", got.Results[0].Excerpt)
	require.Positive(t, got.Results[0].Score)

	code, out, _ = call("processor", "runbooks", "search", "--dir", dir, "-")
	require.Zero(t, code)
	require.Contains(t, out, "cpu.md", "from a pipe, as JSON where nobody sees")

	_, out, _ = call("", "runbooks", "search", "--dir", dir, "--json", "zzz")
	require.JSONEq(t, `{"results":[]}`, out)
}

func TestRunbooksSearchRefuses(t *testing.T) {
	dir := t.TempDir()
	f := func(wantCode int, want string, args ...string) {
		t.Helper()
		code, out, errOut := call(strings.Repeat("x", 70_000), append([]string{"runbooks", "search"}, args...)...)
		require.Equal(t, wantCode, code, errOut)
		require.Empty(t, out)
		require.Contains(t, errOut, want)
	}
	f(exitUsage, "--limit 0: want 1 or more", "--limit", "0", "x")
	f(exitUsage, "nothing to search for", "  ")
	f(exitFailure, "no such file or directory", "--dir", filepath.Join(dir, "none"), "x")
	f(exitFailure, "no runbooks: want *.md files", "--dir", dir, "x")
	f(exitFailure, "standard input: more than 65536 bytes", "--dir", dir)
}
