package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/e2e/servertest"
	"github.com/portent-dev/portent/internal/replay"
)

// history starts a real Prometheus that holds 9 days of three series a minute, one of which rises to twice its value on the
// eighth day. It returns the address and the end of the data.
func history(t *testing.T) (url string, end time.Time) {
	t.Helper()
	dir := t.TempDir()
	const days = 9
	end = time.Now().Add(-3 * time.Hour).Truncate(time.Hour)
	from := end.Add(-days * 24 * time.Hour)
	file, err := os.Create(filepath.Join(dir, "in.om"))
	require.NoError(t, err)
	w := bufio.NewWriter(file)
	seed := uint64(1)
	fmt.Fprintln(w, "# TYPE memory_bytes gauge")
	for i := range days * 1440 {
		at := from.Add(time.Duration(i) * time.Minute)
		for _, pod := range []string{"a", "b", "c"} {
			seed = seed*6364136223846793005 + 1442695040888963407
			v := 1000 + 200*math.Sin(2*math.Pi*float64(i)/1440) + float64(seed>>40)/float64(1<<24)*50
			if pod == "b" && i >= 8*1440 && i < 8*1440+30 {
				v *= 2
			}
			fmt.Fprintf(w, "memory_bytes{pod=%q} %g %d\n", pod, v, at.Unix())
		}
	}
	fmt.Fprintln(w, "# EOF")
	require.NoError(t, w.Flush())
	require.NoError(t, file.Close())
	out, err := exec.CommandContext(t.Context(), servertest.Binary(t, "promtool"), "tsdb", "create-blocks-from", "openmetrics",
		"--max-block-duration=24h", file.Name(), filepath.Join(dir, "data")).CombinedOutput()
	require.NoError(t, err, string(out))
	return servertest.Prometheus(t, servertest.Config{Dir: dir, Args: []string{"--storage.tsdb.retention.time=90d"}}).URL, end
}

func TestBacktestAgainstPrometheus(t *testing.T) {
	url, end := history(t)
	plot := filepath.Join(t.TempDir(), "out.html")
	call := func(args ...string) (code int, out, errs string) {
		var o, e bytes.Buffer
		for flag, value := range map[string]string{"--prometheus": url, "--end": end.UTC().Format(time.RFC3339), "--range": "9d"} {
			if !slices.Contains(args, flag) { // none may be repeated
				args = append(args, flag, value)
			}
		}
		code = runBacktest(args, &o, &e)
		return code, o.String(), e.String()
	}
	// 9 days of minutes are 12,960 steps: more than the server gives at once.
	code, out, errs := call("--query", "memory_bytes", "--json", "--plot", plot)
	require.Zero(t, code, errs)
	var r replay.Report
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	require.Equal(t, 3*(9*1440+1), r.Samples) // at the end the value before still counts, as PromQL has it
	require.Len(t, r.Series, 3)
	require.Equal(t, "b", r.Series[0].Labels["pod"])
	rise := end.Add(-24 * time.Hour)
	require.NotEmpty(t, r.Series[0].Firings)
	var found bool
	for _, f := range r.Series[0].Firings {
		found = found || f.Start.Equal(rise.UTC())
	}
	require.True(t, found, "the rise at %s: %v", rise, r.Series[0].Firings)
	page, err := os.ReadFile(plot)
	require.NoError(t, err)
	require.Equal(t, 6, strings.Count(string(page), "<svg"))

	code, out, errs = call("--query", "memory_bytes", "--sensitivity", "low")
	require.Zero(t, code, errs)
	require.Contains(t, out, rise.UTC().Format("2006-01-02 15:04"))
	require.Contains(t, out, `memory_bytes{pod="b"}`)

	// A result without a name has one in the answer, and an expression is no counter.
	code, out, errs = call("--query", "sum(memory_bytes)", "--name", "memory:sum_total", "--json", "--step", "5m")
	require.Zero(t, code, errs)
	r = replay.Report{}
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	require.Equal(t, map[string]string{"__name__": "memory:sum_total"}, r.Series[0].Labels)

	for _, bad := range []struct {
		args []string
		code int
		say  string
	}{
		{[]string{"--query", "memory_bytes", "--max-series", "2"}, 1, "3 series, more than 2"},
		{[]string{"--query", "nothing_here"}, 1, "no series"},
		{[]string{"--query", "sum("}, 1, "query"},
		{[]string{"--query", "up", "--range", "nine"}, 2, "--range"},
		{[]string{"--query", "up", "--end", "yesterday"}, 2, "--end"},
		{[]string{"--query", "up", "--sensitivity", "mad"}, 2, "low"},
		{nil, 2, "query"},
		{[]string{"--query", "up", "--prometheus", "http://127.0.0.1:1"}, 1, "127.0.0.1:1"},
	} {
		code, out, errs := call(bad.args...)
		require.Equal(t, bad.code, code, "%v: %s", bad.args, errs)
		require.Contains(t, errs, bad.say)
		require.Empty(t, out)
	}
}

// A backtest asks what the exporter would: windows of the configuration and verdicts in its state directory hold back, and the query
// may be about what is called as a preset's entry.
func TestBacktestKnowsWhatIsAllowed(t *testing.T) {
	url, end := history(t)
	dir := t.TempDir()
	rise := end.Add(-24 * time.Hour).UTC()
	config := filepath.Join(dir, "exporter.yml")
	require.NoError(t, os.WriteFile(config, []byte(fmt.Sprintf(`
state: {directory: %q}
maintenance:
  factor: 100
  windows:
    - match: ['{pod="b"}']
      start: %s
      end: %s
`, dir, rise.Add(-time.Minute).Format(time.RFC3339), rise.Add(2*time.Hour).Format(time.RFC3339))), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "allowances.json"), []byte("{"), 0o600))
	var o, e bytes.Buffer
	code := runBacktest([]string{
		"--prometheus", url, "--end", end.UTC().Format(time.RFC3339), "--range", "9d", "--query", "memory_bytes", "--config.file", config, "--json",
	}, &o, &e)
	require.Zero(t, code, e.String())
	var r replay.Report
	require.NoError(t, json.Unmarshal(o.Bytes(), &r))
	require.Positive(t, r.HeldBack)
	for _, s := range r.Series {
		for _, f := range s.Firings {
			require.False(t, s.Labels["pod"] == "b" && !f.Start.Before(rise) && f.Start.Before(rise.Add(time.Hour)), "held back: %v", f)
		}
	}
	require.Len(t, r.Notes, 1)
	require.Contains(t, r.Notes[0], "allowances.json")
}
