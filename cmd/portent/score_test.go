package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// call runs the program in memory.
func call(stdin string, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(args, stdio{in: strings.NewReader(stdin), out: &out, err: &err})
	return code, out.String(), err.String()
}

// series is n quiet minutes with one spike at the given row.
func series(n, spike int) string {
	r := rand.New(rand.NewPCG(1, 1))
	var b strings.Builder
	b.WriteString("timestamp,value\n")
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for i := range n {
		v := 50 + 2*r.NormFloat64()
		if i == spike {
			v = 95
		}
		fmt.Fprintf(&b, "%s,%g\n", at.Add(time.Duration(i)*time.Minute).Format(time.RFC3339), v)
	}
	return b.String()
}

func rows(t *testing.T, out string) (head []string, body [][]string) {
	t.Helper()
	all, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	require.NoError(t, err)
	return all[0], all[1:]
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(text, 64)
	require.NoError(t, err)
	return v
}

func TestScoreOneColumn(t *testing.T) {
	code, out, stderr := call(series(600, 500), "score")
	require.Equal(t, exitOK, code, stderr)
	require.Empty(t, stderr)
	head, body := rows(t, out)
	require.Equal(t, []string{"timestamp", "anomaly_score", "expected", "lower", "upper"}, head)
	require.Len(t, body, 600)
	require.Equal(t, []string{"2026-03-01T00:00:00Z", "0", "", "", ""}, body[0])
	for i, row := range body {
		score := number(t, row[1])
		require.Equal(t, i == 500, score > 1, "row %d: %s", i, row)
	}
	spike := body[500]
	require.InDelta(t, 50, number(t, spike[2]), 5)
	require.Less(t, number(t, spike[4]), 95.0)
	require.Less(t, number(t, spike[3]), number(t, spike[2]))
}

func TestScoreReadsFilesAndPipes(t *testing.T) {
	name := filepath.Join(t.TempDir(), "in.csv")
	input := series(50, 40)
	require.NoError(t, os.WriteFile(name, []byte(input), 0o600))
	_, want, _ := call(input, "score")
	for _, args := range [][]string{{"score", "-"}, {"score", name}} {
		code, out, stderr := call(input, args...)
		require.Equal(t, exitOK, code, stderr)
		require.Equal(t, want, out)
	}
	code, _, stderr := call("", "score", filepath.Join(t.TempDir(), "absent.csv"))
	require.Equal(t, exitFailure, code)
	require.Contains(t, stderr, "absent.csv: no such file")
}

func TestScoreSeveralColumns(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(series(300, 250)), "\n")
	for i, l := range lines {
		switch {
		case i == 0:
			lines[i] = l + `,"quoted, name"`
		case i%2 == 0:
			lines[i] = l + "," // no sample of the second
		default:
			lines[i] = l + ",7"
		}
	}
	code, out, stderr := call(strings.Join(lines, "\n"), "score")
	require.Equal(t, exitOK, code, stderr)
	head, body := rows(t, out)
	require.Equal(t, []string{"timestamp", "anomaly_score", "anomaly_score:value", "anomaly_score:quoted, name"}, head)
	require.Len(t, body, 300)
	for i, row := range body {
		joint, first, second := number(t, row[1]), number(t, row[2]), number(t, row[3])
		require.InDelta(t, max(first, second), joint, 0)
		require.Equal(t, i == 250, joint > 1, "row %d: %s", i, row)
	}
}

// Each row is printed when it is read, knowing nothing of later ones.
func TestScoreStreams(t *testing.T) {
	in, feed := io.Pipe()
	out, result := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- run([]string{"score"}, stdio{in: in, out: result, err: io.Discard})
		result.Close()
	}()
	whole := strings.SplitAfter(series(100, 90), "\n")
	_, want, _ := call(strings.Join(whole, ""), "score")
	wanted := strings.SplitAfter(want, "\n")
	buf := make([]byte, 64<<10)
	for i, line := range whole[:100] {
		_, err := io.WriteString(feed, line)
		require.NoError(t, err)
		if i == 0 {
			continue // the header of the output comes with the first row
		}
		got := ""
		for !strings.HasSuffix(got, wanted[i]) {
			n, err := out.Read(buf)
			require.NoError(t, err)
			got += string(buf[:n])
		}
	}
	feed.Close()
	_, err := io.Copy(io.Discard, out)
	require.NoError(t, err)
	require.Equal(t, exitOK, <-done)
}

func TestScoreTimes(t *testing.T) {
	f := func(text string, want int64) {
		t.Helper()
		got, err := parseTime(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	f("2026-03-01T00:00:00Z", 1772323200000)
	f("2026-03-01T01:00:00.25+01:00", 1772323200250)
	f("2026-03-01 00:00:00", 1772323200000)
	f("2026-03-01 00:00:00.5", 1772323200500)
	f(" 2026-03-01 00:00 ", 1772323200000)
}

func TestScoreBadInput(t *testing.T) {
	f := func(name, in, want string) {
		t.Helper()
		code, _, stderr := call(in, "score")
		require.Equal(t, exitFailure, code, name)
		require.Contains(t, stderr, want, name)
	}
	f("empty", "", "standard input: no header: want a first line `timestamp,<column>[,<column>...]`")
	f("no timestamp", "time,value\n", `line 1: first column "time"`)
	f("no column", "timestamp\n", "line 1: no column besides timestamp")
	f("nameless", "timestamp,a,\n", "line 1: column 3 has no name")
	f("twice", "timestamp,a,a\n", `line 1: two columns are named "a"`)
	f("not a time", "timestamp,a\n2026-03-01T00:00:00Z,1\nyesterday,2\n", "line 3: timestamp \"yesterday\": want RFC 3339 or `2006-01-02 15:04:05`")
	f("not a number", "timestamp,a\n2026-03-01T00:00:00Z,1\n\n2026-03-01T00:01:00Z,two\n", `line 4: column "a": "two" is not a number`)
	f("short row", "timestamp,a\n2026-03-01T00:00:00Z\n", "line 2: wrong number of fields")
	f("quote", "timestamp,a\n2026-03-01T00:00:00Z,\"1\n", "extraneous or missing \" in quoted-field")
}

// What is no number is no sample, and rows that are not later are told of.
func TestScoreOddRows(t *testing.T) {
	in := "\ufeffTimestamp,v\r\n2026-03-01T00:00:00Z,NaN\r\n2026-03-01T00:01:00Z,1e999\n2026-03-01T00:01:00Z,5\n2026-02-01T00:01:00Z,5\n"
	code, out, stderr := call(in, "score")
	require.Equal(t, exitOK, code)
	require.Equal(t, "timestamp,anomaly_score,expected,lower,upper\n2026-03-01T00:00:00Z,0,,,\n2026-03-01T00:01:00Z,0,,,\n"+
		"2026-03-01T00:01:00Z,0,,,\n2026-02-01T00:01:00Z,0,,,\n", out)
	require.Contains(t, stderr, "2 rows are not later than the row before them")
}

func TestUsage(t *testing.T) {
	f := func(code int, wantOut, wantErr string, args ...string) {
		t.Helper()
		got, stdout, stderr := call("", args...)
		require.Equal(t, code, got, args)
		require.Contains(t, stdout, wantOut, args)
		require.Contains(t, stderr, wantErr, args)
	}
	f(exitUsage, "", "usage: portent")
	f(exitUsage, "", `unknown long flag '--loud'`, "score", "--loud")
	f(exitUsage, "", "must be one of low,medium,high, got 'extreme'", "score", "--sensitivity", "extreme")
	f(exitUsage, "", "must be one of combined,", "score", "--detector", "crystal")
	f(exitUsage, "", `time zone "Nowhere"`, "score", "--timezone", "Nowhere")
	f(exitUsage, "", `expected command but got "dance"`, "dance")
	f(exitOK, "Score the rows of a CSV file", "", "score", "--help")
	f(exitOK, "portent, version", "", "--version")
}

func TestSensitivity(t *testing.T) {
	in := series(600, 500)
	score := func(args ...string) float64 {
		_, out, _ := call(in, append([]string{"score"}, args...)...)
		_, body := rows(t, out)
		return number(t, body[500][1])
	}
	low, medium, high := score("--sensitivity=low"), score(), score("--sensitivity=high")
	require.Less(t, low, medium)
	require.Less(t, medium, high)
	for _, name := range []string{"combined", "spike"} {
		require.Greater(t, score("--detector", name), 1.0)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestScoreReportsABrokenPipe(t *testing.T) {
	var stderr bytes.Buffer
	code := run([]string{"score"}, stdio{in: strings.NewReader(series(5000, 1)), out: brokenPipe{}, err: &stderr})
	require.Equal(t, exitFailure, code)
	require.Contains(t, stderr.String(), "file already closed")
}

func TestScorePlot(t *testing.T) {
	var in strings.Builder
	in.WriteString("timestamp,a,b\n")
	for i := range 300 {
		v := i % 7
		if i == 250 {
			v = 500
		}
		fmt.Fprintf(&in, "%s,%d,%d\n", time.Date(2026, 3, 1, 0, i, 0, 0, time.UTC).Format(time.RFC3339), v, i%5)
	}
	file := filepath.Join(t.TempDir(), "out.html")
	code, out, _ := call(in.String(), "score", "--plot", file)
	require.Zero(t, code)
	_, plain, _ := call(in.String(), "score")
	require.Equal(t, plain, out, "drawing changes nothing")
	page, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, 6, strings.Count(string(page), "<svg"))
	require.Contains(t, string(page), "2026-03-01 04:10", "the spike")
	code, _, errs := call(in.String(), "score", "--plot", filepath.Join(file, "none"))
	require.Equal(t, exitFailure, code)
	require.Contains(t, errs, "none")
}

// Columns that each move a little, all at once and again and again, are nothing alone and something together.
func TestScoreOfColumnsIsJoint(t *testing.T) {
	const columns, rows, from = 6, 2000, 1900
	r := rand.New(rand.NewPCG(1, 2))
	var in strings.Builder
	in.WriteString("timestamp")
	for i := range columns {
		fmt.Fprintf(&in, ",c%d", i)
	}
	in.WriteString("\n")
	for i := range rows {
		in.WriteString(time.Date(2026, 3, 1, 0, i, 0, 0, time.UTC).Format(time.RFC3339))
		for range columns {
			v := 100 + 5*r.NormFloat64()
			if i >= from {
				v += 10 // two standard deviations
			}
			fmt.Fprintf(&in, ",%.3f", v)
		}
		in.WriteString("\n")
	}
	code, out, errs := call(in.String(), "score")
	require.Zero(t, code, errs)
	lines, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	require.NoError(t, err)
	joint, alone, quiet := 0, 0, 0
	for i, line := range lines[1:] {
		for k, cell := range line[1:] {
			v, err := strconv.ParseFloat(cell, 64)
			require.NoError(t, err)
			switch {
			case v <= 1:
			case i < from:
				quiet++
			case k == 0:
				joint++
			default:
				alone++
			}
		}
	}
	require.Positive(t, joint, "seen together")
	require.LessOrEqual(t, quiet, 2)
	t.Logf("joint %d, alone %d of %d rows, before %d", joint, alone, rows-from, quiet)
}

// A column that ends while rows go on is missed.
func TestScoreOfAMissingColumn(t *testing.T) {
	var in strings.Builder
	in.WriteString("timestamp,a,b\n")
	for i := range 1500 {
		at := time.Date(2026, 3, 1, 0, i, 0, 0, time.UTC).Format(time.RFC3339)
		if i < 1490 {
			fmt.Fprintf(&in, "%s,%d,%d\n", at, 100+i%7, 100+i%5)
		} else {
			fmt.Fprintf(&in, "%s,%d,\n", at, 100+i%7)
		}
	}
	code, out, errs := call(in.String(), "score")
	require.Zero(t, code, errs)
	lines, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	require.NoError(t, err)
	for _, k := range []int{1, 3} {
		most := 0.0
		for _, line := range lines[len(lines)-10:] {
			v, err := strconv.ParseFloat(line[k], 64)
			require.NoError(t, err)
			most = max(most, v)
		}
		require.Greater(t, most, 1.0, lines[0][k])
	}
}
