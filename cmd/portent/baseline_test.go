package main

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/e2e/servertest"
)

// newWorkload starts a real Prometheus that holds the metrics of a workload since it was made, so many hours ago.
func newWorkload(t *testing.T, hours int) (url string, end time.Time) {
	t.Helper()
	dir := t.TempDir()
	end = time.Now().Add(-3 * time.Hour).Truncate(time.Hour)
	file, err := os.Create(filepath.Join(dir, "in.om"))
	require.NoError(t, err)
	w := bufio.NewWriter(file)
	for _, m := range []struct {
		name, typ, labels string
		value             func(i, pod int) float64
	}{
		{"container_memory_working_set_bytes", "gauge", `,container="app"`, func(i, pod int) float64 {
			return 400e6 + 100e6*math.Sin(2*math.Pi*float64(i)/1440) + float64(i*7919%1000)*1e4 + float64(pod)*1e6
		}},
		{"kube_pod_container_resource_limits", "gauge", `,container="app",resource="memory",unit="byte"`, func(int, int) float64 { return 1 << 30 }},
		{"container_cpu_usage_seconds_total", "counter", `,container="app"`, func(i, _ int) float64 { return float64(i) * 15 }},
		{"kube_pod_container_status_restarts_total", "counter", `,container="app"`, func(int, int) float64 { return 1 }},
	} {
		family := m.name
		if m.typ == "counter" {
			family = family[:len(family)-len("_total")]
		}
		fmt.Fprintf(w, "# TYPE %s %s\n", family, m.typ)
		for i := range hours * 60 {
			for pod := range 2 {
				fmt.Fprintf(w, "%s{namespace=\"shop\",pod=\"checkout-7d9f-%d\"%s} %g %d\n", m.name, pod, m.labels,
					m.value(i, pod), end.Add(time.Duration(i-hours*60)*time.Minute).Unix())
			}
		}
	}
	fmt.Fprintln(w, "# EOF")
	require.NoError(t, w.Flush())
	require.NoError(t, file.Close())
	out, err := exec.CommandContext(t.Context(), servertest.Binary(t, "promtool"), "tsdb", "create-blocks-from", "openmetrics", file.Name(), filepath.Join(dir, "data")).CombinedOutput()
	require.NoError(t, err, string(out))
	return servertest.Prometheus(t, servertest.Config{Dir: dir}).URL, end
}

func TestBaselineAgainstPrometheus(t *testing.T) {
	url, end := newWorkload(t, 36)
	args := []string{"baseline", "--prometheus", url, "--end", end.UTC().Format(time.RFC3339)}
	file := filepath.Join(t.TempDir(), "rules.yml")
	code, out, errs := call("", append(args, "--namespace", "shop", "--workload", "checkout", "--output", file,
		"--query", "Free<=1 - container_memory_working_set_bytes / 1e9", "--unit", "ratio")...)
	require.Zero(t, code, errs)
	require.Empty(t, out)
	checked, err := exec.CommandContext(t.Context(), servertest.Binary(t, "promtool"), "check", "rules", "--lint=all", "--lint-fatal", file).CombinedOutput()
	require.NoError(t, err, string(checked))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, want := range []string{
		"alert: CheckoutMemoryHigh", "alert: CheckoutMemoryNearLimit", "alert: CheckoutCPUHigh", "alert: CheckoutRestarts", "alert: Free",
		`pod=~"checkout(-[a-z0-9]+){1,2}"`, "humanize1024", "MiB", "would never have fired", "cores",
	} {
		require.Contains(t, string(text), want)
	}
	require.Contains(t, errs, "no rule CheckoutNetworkReceiveHigh: no data")

	// The rules are quiet on what they were made of, by Prometheus's own reckoning.
	code, out, errs = call("", append(args, "--query", "Memory=sum by (pod) (container_memory_working_set_bytes)", "--unit", "bytes")...)
	require.Zero(t, code, errs)
	require.Contains(t, out, "expr: (sum by (pod) (container_memory_working_set_bytes)) > ")

	// Too little data is said.
	code, out, errs = call("", append(args, "--namespace", "shop", "--workload", "checkout", "--range", "10h")...)
	require.Equal(t, exitFailure, code)
	require.Empty(t, out)
	require.Contains(t, errs, "10 h of data: want at least")
	code, _, errs = call("", append(args, "--workload", "nobody")...)
	require.Equal(t, exitFailure, code)
	require.Contains(t, errs, "no data")

	for _, bad := range [][]string{
		{"baseline"},
		{"baseline", "--query", "x"},
		{"baseline", "--query", "X=sum("},
		{"baseline", "--query", "X=up", "--range", "long"},
		{"baseline", "--query", "X=up", "--least", "0s"},
		{"baseline", "--query", "X=up", "--end", "now"},
		{"baseline", "--query", "X=up", "--prometheus", "localhost"},
	} {
		code, _, errs := call("", bad...)
		require.Equal(t, exitUsage, code, "%v: %s", bad, errs)
	}
}
