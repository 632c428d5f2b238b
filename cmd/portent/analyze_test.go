package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// queryRange is an answer of Prometheus in which one value of an hour stands out.
func queryRange() string {
	var points []string
	for i := range 60 {
		v := 20 + i*7%5
		if i == 40 {
			v = 400
		}
		points = append(points, fmt.Sprintf(`[%d.5,"%d"]`, 1772452800+60*i, v))
	}
	return `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"queue_length","pod":"a"},"values":[` + strings.Join(points, ",") + `]}]}}`
}

func TestAnalyze(t *testing.T) {
	f := func(in string, wantCode int, args ...string) (out, errText string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		require.Equal(t, wantCode, run(append([]string{"analyze"}, args...), stdio{strings.NewReader(in), &stdout, &stderr}), stderr.String())
		return stdout.String(), stderr.String()
	}
	file := filepath.Join(t.TempDir(), "in.json")
	require.NoError(t, os.WriteFile(file, []byte(queryRange()), 0o600))
	for _, args := range [][]string{{"--cluster", "c"}, {"--cluster=c", "-", "--sensitivity=high"}, {"--cluster=c", "--type=spike", file}} {
		out, _ := f(queryRange(), exitOK, args...)
		var got struct{ Anomalies []map[string]any }
		require.NoError(t, json.Unmarshal([]byte(out), &got))
		require.Len(t, got.Anomalies, 1)
		require.Equal(t, "2026-03-02T12:40:00.5Z", got.Anomalies[0]["since"])
		require.Equal(t, "critical", got.Anomalies[0]["severity"])
		require.Contains(t, got.Anomalies[0]["explanation"], "queue length of a was ")
	}
	out, _ := f(queryRange(), exitOK, "--cluster=c", "--type=level_shift")
	require.JSONEq(t, `{"anomalies":[]}`, out)

	actions := filepath.Join(t.TempDir(), "actions.yml")
	require.NoError(t, os.WriteFile(actions, []byte("rules: [{actions: [Call Ann]}]"), 0o600))
	out, _ = f(queryRange(), exitOK, "--cluster=c", "--actions", actions)
	require.Contains(t, out, "Call Ann")

	_, text := f(`{"status":"success","data":{"resultType":"vector"}}`, exitFailure, "--cluster=c")
	require.Contains(t, text, `standard input: data.resultType: is "vector": want matrix`)
	_, text = f(queryRange(), exitUsage, "-")
	require.Contains(t, text, "required flag(s) '--cluster'")
	f(queryRange(), exitUsage, "--cluster=")
	f(queryRange(), exitUsage, "--cluster=c", "--sensitivity=max")
	f(queryRange(), exitUsage, "--cluster=c", "--actions=/nonexistent.yml")
}
