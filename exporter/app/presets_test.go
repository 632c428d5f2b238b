package app

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/preset"
)

// What a pattern says holds for the series that it takes, and only those; a reload changes it under a running engine, which
// keeps what it learnt.
func TestPatternsHoldForTheirSeries(t *testing.T) {
	dir := t.TempDir()
	a := newApp(t, dir, "")
	h := a.Handler()
	falls, rises := labelsOf("__name__", "free_things", "pod", "falls"), labelsOf("__name__", "free_things", "pod", "rises")
	now := time.Now().Truncate(time.Second)
	teach(t, h, falls, 400, now.Add(-15*time.Second))
	teach(t, h, rises, 400, now.Add(-15*time.Second))
	config := "detection:\n  patterns:\n  - {name: free_things, means: free things, as: value, match: 'free_things', direction: down, limit: 0}\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "exporter.yml"), []byte(config+"state: {directory: "+filepath.Join(dir, "state")+"}\n"), 0o600))
	require.NoError(t, a.reloader.Reload())
	send(t, h, point{falls, now.UnixMilli(), 30}, point{rises, now.UnixMilli(), 400})
	got := anomaliesOf(t, h, "")
	require.Equal(t, 1, got.Total, "up is no news, and the models are still there")
	require.Equal(t, "falls", got.Anomalies[0].Labels["pod"])
	require.NotNil(t, got.Anomalies[0].Limit)
}

func TestPresetsOfTheProgram(t *testing.T) {
	d := Default().Detection
	set, err := d.set()
	require.NoError(t, err)
	require.NotEmpty(t, set.Classes())
	d.Presets = []string{"kube-state-metrics", "node_exporter"}
	require.NoError(t, d.validatePatterns())
	few, err := d.set()
	require.NoError(t, err)
	require.Less(t, len(few.Classes()), len(set.Classes()))
	require.Equal(t, []string{"kube-state-metrics", "node_exporter"}, d.Presets, "the configuration stays as it was")
	for _, name := range preset.Names() {
		d.Presets = []string{name}
		require.NoError(t, d.validatePatterns())
	}
}

// Queries of presets are asked of the first server, but those whose name is taken.
func TestAskPresets(t *testing.T) {
	a := newApp(t, t.TempDir(), "detection: {ask_presets: true}\npromql: {servers: [{url: 'http://127.0.0.1:1', queries: [{name: q, expr: up}]}, {url: 'http://127.0.0.1:2', queries: [{name: r, expr: up}]}]}")
	c := a.reloader.Current()
	q, err := c.queries()
	require.NoError(t, err)
	set, err := c.Detection.set()
	require.NoError(t, err)
	require.Len(t, q.Servers[0].Queries, 1+len(set.Queries()))
	require.Len(t, q.Servers[1].Queries, 1)
	require.Len(t, c.PromQL.Servers[0].Queries, 1)
}

// Files of presets are part of the configuration: their path starts at it, and what is wrong in them stops the start.
func TestPresetFiles(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "mine.yaml")
	require.NoError(t, os.WriteFile(file, []byte("name: mine\nabout: ours\nentries:\n- {name: x, means: x, as: ignore, match: x_total}\n"), 0o600))
	a := newApp(t, dir, "detection: {preset_files: [mine.yaml]}")
	h := a.Handler()
	send(t, h, point{labelsOf("__name__", "x_total"), time.Now().UnixMilli(), 1}, point{labelsOf("__name__", "y"), time.Now().UnixMilli(), 1})
	_, metrics := get(t, h, "/metrics")
	require.Contains(t, metrics, "portent_exporter_samples_unselected_total 1\n")
	require.NotContains(t, metrics, `metric="x_total"`)
	require.NoError(t, os.WriteFile(file, []byte("name: mine\nentries:\n- {name: x, as: value, match: x_total, direction: sideways}\n"), 0o600))
	err := a.reloader.Reload()
	require.ErrorContains(t, err, "mine.yaml")
	require.ErrorContains(t, err, "direction")
}

// What presets think superfluous is left out only where their queries are asked.
func TestIgnoredByPresets(t *testing.T) {
	cpu := labelsOf("__name__", "node_cpu_seconds_total", "cpu", "0", "instance", "a", "mode", "idle")
	f := func(config string, want bool) {
		t.Helper()
		a := newApp(t, t.TempDir(), config)
		require.Equal(t, want, a.parts.Load().selection.takes(cpu))
	}
	f("", true)
	f("detection: {ask_presets: true}", true)
	f("detection: {ask_presets: true}\npromql: {servers: [{url: 'http://127.0.0.1:1', queries: [{name: q, expr: up}]}]}", false)
	f("detection: {patterns: [{name: cpu, means: cpu, as: ignore, match: node_cpu_seconds_total}]}", false)
}
