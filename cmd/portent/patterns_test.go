package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func runPatterns(t *testing.T, in string, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(append([]string{"patterns"}, args...), stdio{strings.NewReader(in), &stdout, &stderr})
	return code, stdout.String(), stderr.String()
}

func TestPatternsAssign(t *testing.T) {
	code, out, errs := runPatterns(t, "took 1 ms\n\nlevel=info msg=\"took 22 ms\"\ntook 3 ms", "--assign")
	require.Equal(t, exitOK, code, errs)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, lines, 4, "a line out for each line in, the last without its newline too")
	var got []assigned
	for _, l := range lines {
		var a assigned
		require.NoError(t, json.Unmarshal([]byte(l), &a))
		got = append(got, a)
	}
	id := got[0].Pattern
	require.NotEmpty(t, id)
	require.Equal(t, []assigned{{1, id, "took <*> ms"}, {2, otherPattern, ""}, {3, id, "took <*> ms"}, {4, id, "took <*> ms"}}, got)
}

func TestPatternsJSONCountsAddUp(t *testing.T) {
	code, out, errs := runPatterns(t, "a 1\na 2\n\n2026-11-22T12:00:00Z ERROR b <x>\n", "--json", "--limit", "1")
	require.Equal(t, exitOK, code, errs)
	dec := json.NewDecoder(strings.NewReader(out))
	var got []patternJSON
	for dec.More() {
		var p patternJSON
		require.NoError(t, dec.Decode(&p))
		got = append(got, p)
	}
	require.Len(t, got, 2)
	require.Equal(t, "a <*>", got[0].Template)
	require.EqualValues(t, 2, got[0].Count)
	require.InDelta(t, 0.5, got[0].Share, 1e-9)
	require.Equal(t, otherPattern, got[1].Pattern)
	require.EqualValues(t, 2, got[1].Count)

	_, out, _ = runPatterns(t, "2026-11-22T12:00:00Z ERROR b <x>\n", "--json")
	require.JSONEq(t, `{"pattern":"`+strings.Split(out, `"`)[3]+`","template":"b <x>","count":1,"share":1,"severity":"error",
		"first":"2026-11-22T12:00:00Z","last":"2026-11-22T12:00:00Z","example":"b <x>"}`, out)
}

func TestPatternsTableIsSafeForATerminal(t *testing.T) {
	code, out, errs := runPatterns(t, "evil \x1b[2J\x07 line\n", "--table")
	require.Equal(t, exitOK, code, errs)
	require.NotContains(t, out, "\x1b")
	require.Contains(t, out, "1 lines, 1 patterns")
}

func TestPatternsLongLinesAndFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("x", 10<<20)+"\nshort\n"), 0o600))
	code, out, errs := runPatterns(t, "", "--assign", path)
	require.Equal(t, exitOK, code, errs)
	require.Equal(t, 2, strings.Count(out, "\n"))
}

func TestPatternsUsage(t *testing.T) {
	code, out, errs := runPatterns(t, "", "--assign", "--json")
	require.Equal(t, exitUsage, code)
	require.Empty(t, out)
	require.Contains(t, errs, "exclude each other")
	code, _, errs = runPatterns(t, "", "/no/such/file")
	require.Equal(t, exitFailure, code)
	require.Contains(t, errs, "/no/such/file")
}

// TestPatternsEntitiesAndTraces: what lines name is told, a stack trace is one event
// whose lines are counted, and no secret comes out.
func TestPatternsEntitiesAndTraces(t *testing.T) {
	in := `{"level":"error","msg":"request failed","pod":"web-1","status":503}
{"level":"error","msg":"request failed","pod":"web-1","status":502}
2026-11-22T12:00:00Z ERROR save failed
java.io.IOException: disk full, password=hunter2
	at com.acme.Disk.write(Disk.java:7)
`
	code, out, errs := runPatterns(t, in, "--json")
	require.Equal(t, exitOK, code, errs)
	require.NotContains(t, out, "hunter2")
	dec := json.NewDecoder(strings.NewReader(out))
	var trace, plain patternJSON
	require.NoError(t, dec.Decode(&trace))
	require.NoError(t, dec.Decode(&plain))
	require.False(t, dec.More())
	require.Equal(t, "save failed → IOException: disk full, password=<*> at Disk.write(Disk.java:<*>)", trace.Template)
	require.EqualValues(t, 3, trace.Count)
	require.EqualValues(t, 1, trace.Events)
	require.Equal(t, map[string][]entityJSON{
		"pod":        {{"web-1", 2}},
		"httpStatus": {{"502", 1}, {"503", 1}},
	}, plain.Entities)

	_, out, _ = runPatterns(t, in, "--table")
	require.Contains(t, out, "pod web-1 (2)")
	require.Contains(t, out, "5 lines, 2 patterns")
	_, out, _ = runPatterns(t, in, "--assign")
	require.Equal(t, 5, strings.Count(out, "\n"), "a line is a line there")
}
