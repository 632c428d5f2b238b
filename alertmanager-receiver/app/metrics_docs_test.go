package app

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the table of metrics into the documentation")

// described is what a description of client_golang says of itself.
var described = regexp.MustCompile(`^Desc\{fqName: "([^"]+)", help: ("(?:[^"\\]|\\.)*"), unit: "[^"]*", constLabels: \{[^}]*\}, variableLabels: \{([^}]*)\}\}$`)

// ownMetrics are the rows of the table, one for each metric that a whole receiver has, by name; those of a tracker stand on
// its own page.
func ownMetrics(t *testing.T) []string {
	t.Helper()
	o, _ := options(t, "reconcile: {alertmanagers: ['http://127.0.0.1:1']}\nnoise: {event_files: ["+filepath.Join(t.TempDir(), "events.jsonl")+"]}\n")
	a, _ := running(t, o)
	require.Eventually(t, func() bool { // the last ones come with Run
		families, err := a.reg.Gather()
		return err == nil && slices.ContainsFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == "portent_receiver_reconcile_failures_total" })
	}, 30*time.Second, 10*time.Millisecond)
	descs := make(chan *prometheus.Desc)
	go func() { a.reg.Describe(descs); close(descs) }()
	var all []*prometheus.Desc
	for d := range descs { // to the end before anything may fail: the registry is locked until then
		all = append(all, d)
	}
	rows := map[string]string{}
	for _, d := range all {
		m := described.FindStringSubmatch(d.String())
		require.NotNil(t, m, "client_golang describes metrics otherwise than it did: %s", d)
		if !strings.HasPrefix(m[1], "portent_") {
			continue
		}
		help, err := strconv.Unquote(m[2])
		require.NoError(t, err)
		require.NotEmpty(t, help, m[1])
		rows[m[1]] = fmt.Sprintf("| `%s` | %s | %s |\n", m[1], strings.ReplaceAll(m[3], ",", ", "), strings.ReplaceAll(help, "|", `\|`))
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		out = append(out, rows[name])
	}
	return out
}

// The page that documents the configuration lists every metric with its labels.
func TestMetricsAreDocumented(t *testing.T) {
	const doc, marker = "../../docs/configuration/receiver.md", "<!-- metrics -->\n"
	want := "| metric | labels | |\n|---|---|---|\n" + strings.Join(ownMetrics(t), "")
	page, err := os.ReadFile(doc)
	require.NoError(t, err)
	head, got, ok := strings.Cut(string(page), marker)
	require.True(t, ok, "the page has no %s", marker)
	if *update {
		require.NoError(t, os.WriteFile(doc, []byte(head+marker+want), 0o600))
		return
	}
	require.Equal(t, want, got, "run the test with -update")
}
