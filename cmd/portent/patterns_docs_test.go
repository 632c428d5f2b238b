package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/logquery"
)

// TestPatternsAreDocumented: docs/patterns.md names each flag, no other, and the limits that hold.
func TestPatternsAreDocumented(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "patterns.md"))
	require.NoError(t, err)
	doc := string(raw)
	var help bytes.Buffer
	require.Equal(t, exitOK, run([]string{"patterns", "--help"}, stdio{strings.NewReader(""), &help, &help}))
	flag := regexp.MustCompile(`--(?:\[no-\])?([a-z][a-z-]+)`)
	var have, told []string
	for _, m := range flag.FindAllStringSubmatch(help.String(), -1) {
		have = append(have, m[1])
	}
	for _, m := range flag.FindAllStringSubmatch(doc, -1) {
		told = append(told, m[1])
	}
	for _, f := range have {
		require.True(t, strings.HasPrefix(f, "help") || strings.HasPrefix(f, "completion") || f == "version" || slices.Contains(told, f), "--%s is not in docs/patterns.md", f)
	}
	for _, f := range told {
		require.Contains(t, have, f, "docs/patterns.md names --%s, which there is not", f)
	}
	for _, limit := range []string{
		strconv.Itoa(logquery.DefaultLines) + " by default", "at most " + strconv.Itoa(logquery.MaxLines), strconv.Itoa(logquery.DefaultBytes>>20) + " MiB",
		strconv.Itoa(int(logquery.DefaultTime.Seconds())) + " s", strconv.Itoa(logquery.DefaultPatterns) + " by default",
	} {
		require.Contains(t, doc, limit)
	}
}
