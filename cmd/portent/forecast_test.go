package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hourly returns n rows of a daily wave around 100, as CSV.
func hourly(n int) string {
	b := strings.Builder{}
	b.WriteString("timestamp,value\n")
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for i := range n {
		fmt.Fprintf(&b, "%s,%g\n", at.Add(time.Duration(i)*time.Hour).Format(time.RFC3339), 100+20*math.Sin(2*math.Pi*float64(i)/24))
	}
	return b.String()
}

func forecastOf(t *testing.T, in string, args ...string) (code int, rows [][]string, errText string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(append([]string{"forecast"}, args...), stdio{strings.NewReader(in), &out, &err})
	if code == exitOK {
		var csvErr error
		rows, csvErr = csv.NewReader(&out).ReadAll()
		require.NoError(t, csvErr)
	}
	return code, rows, err.String()
}

func TestForecast(t *testing.T) {
	file := filepath.Join(t.TempDir(), "in.csv")
	require.NoError(t, os.WriteFile(file, []byte(hourly(240)), 0o600))
	for _, args := range [][]string{{"--horizon", "48"}, {"--horizon", "2d", "-"}, {"--horizon=48", "--level=0.95", file}} {
		code, rows, _ := forecastOf(t, hourly(240), args...)
		require.Equal(t, exitOK, code)
		require.Equal(t, []string{"timestamp", "forecast", "lower", "upper"}, rows[0])
		require.Len(t, rows, 49)
		require.Equal(t, "2026-03-11T00:00:00Z", rows[1][0])
		require.Equal(t, "2026-03-12T23:00:00Z", rows[48][0])
		v, err := strconv.ParseFloat(rows[7][1], 64)
		require.NoError(t, err)
		require.InDelta(t, 120, v, 1)
	}
	// A gap is an empty value.
	code, rows, _ := forecastOf(t, strings.Replace(hourly(240), "2026-03-02T06:00:00Z,120", "2026-03-02T06:00:00Z,", 1), "--horizon", "3")
	require.Equal(t, exitOK, code)
	require.Len(t, rows, 4)
}

func TestForecastErrors(t *testing.T) {
	const head, first = "timestamp,value\n", "2026-03-01T00:00:00Z,1\n2026-03-01T01:00:00Z,2\n"
	f := func(in string, wantCode int, want string, args ...string) {
		t.Helper()
		if len(args) == 0 {
			args = []string{"--horizon", "3"}
		}
		code, _, text := forecastOf(t, in, args...)
		require.Equal(t, wantCode, code, text)
		require.Contains(t, text, want)
	}
	f("", exitFailure, "no header: want a first line `timestamp,value`")
	f("time,value\n", exitFailure, `line 1: first column "time"`)
	f("timestamp,a,b\n", exitFailure, "line 1: 2 columns besides timestamp: want one")
	f(head+first, exitFailure, "too few values: 2, want at least 3")
	f(head+"2026-03-01T00:00:00Z,1\n", exitFailure, "1 rows after the header")
	f(head+first+"2026-03-01T03:00:00Z,3\n", exitFailure, "line 4: timestamp 2026-03-01T03:00:00Z: want 2026-03-01T02:00:00Z, as the first two rows are 1h0m0s apart")
	f(head+first+"2026-03-01T01:00:00Z,3\n", exitFailure, "line 4: ")
	f(head+"2026-03-01T00:00:00Z,1\n2026-03-01T00:00:00Z,1\n", exitFailure, "line 3: timestamp 2026-03-01T00:00:00Z is not later")
	f(head+first+"soon,3\n", exitFailure, `line 4: timestamp "soon": want RFC 3339`)
	f(head+first+"2026-03-01T02:00:00Z,many\n", exitFailure, `line 4: value "many": want a number`)
	f(head+first+"2026-03-01T02:00:00Z\n", exitFailure, "line 4: wrong number of fields")
	f(hourly(9), exitUsage, "required flag(s) '--horizon'", "-")
	f(hourly(9), exitUsage, `--horizon "soon": want a number of steps such as 48, or a duration`, "--horizon", "soon")
	f(hourly(9), exitUsage, "--horizon 0: want 1 to 20000 steps", "--horizon", "0")
	f(hourly(9), exitUsage, "--horizon 5m: shorter than the step of the series, 1h0m0s", "--horizon", "5m")
	f(hourly(9), exitUsage, "--horizon 100y: 876000 steps of 1h0m0s: want at most 20000", "--horizon", "100y")
	f(hourly(9), exitUsage, "--level 1: want more than 0 and less than 1", "--horizon", "3", "--level", "1")
	f(hourly(9), exitFailure, "no such file", "--horizon", "3", "/nonexistent.csv")
}
