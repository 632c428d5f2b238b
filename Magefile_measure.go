//go:build mage

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

// fuzzTime is how long each fuzz target of a package runs when nothing else is asked: a look, not a search.
const fuzzTime = 10 * time.Second

// Fuzz runs every fuzz target for ten seconds; -length=5m for longer, -packages=./internal/... for some.
func Fuzz(ctx context.Context, packages *string, length *time.Duration) error {
	pattern, each := "./...", fuzzTime
	if packages != nil {
		pattern = *packages
	}
	if length != nil {
		each = *length
	}
	targets, err := fuzzTargets(ctx, pattern)
	if err != nil {
		return err
	}
	for _, t := range targets {
		fmt.Fprintf(os.Stderr, "%s %s\n", t.pkg, t.name)
		if err := goTool(ctx, os.Stderr, "test", "-run=^$", "-fuzz=^"+t.name+"$", "-fuzztime="+each.String(), t.pkg); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return nil
}

type fuzzTarget struct{ pkg, name string }

// fuzzTargets lists them: for each package `go test -list` prints the names, then a line that begins with ok.
func fuzzTargets(ctx context.Context, pattern string) ([]fuzzTarget, error) {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "test", "-list=^Fuzz", pattern)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("list the fuzz targets: %w\n%s%s", err, out.Bytes(), errs.Bytes())
	}
	var targets []fuzzTarget
	var names []string
	for _, line := range strings.Split(out.String(), "\n") {
		fields := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "Fuzz"):
			names = append(names, line)
		case len(fields) > 1 && fields[0] == "ok":
			for _, name := range names {
				targets = append(targets, fuzzTarget{pkg: fields[1], name: name})
			}
			names = nil
		}
	}
	return targets, nil
}

// Quality scores detection and log patterns on labelled data (../shared/bench or PORTENT_BENCH, with python3) and writes docs/quality.md.
func Quality(ctx context.Context) error {
	bench, err := benchDir()
	if err != nil {
		return err
	}
	if err := binaries(ctx, os.Stderr); err != nil {
		return err
	}
	portent, err := filepath.Abs(filepath.Join("bin", executable("portent")))
	if err != nil {
		return err
	}
	var nab nabResult
	err = scored(ctx, &nab, filepath.Join(bench, "score_nab.py"), portent, filepath.Join(bench, "data", "nab", "data"), filepath.Join(bench, "data", "nab", "windows.json"))
	if err != nil {
		return err
	}
	var kpi kpiResult
	if err := scored(ctx, &kpi, filepath.Join(bench, "score_kpi.py"), portent, filepath.Join(bench, "data", "kpi")); err != nil {
		return err
	}
	var page bytes.Buffer
	if err := qualityPage.Execute(&page, map[string]any{"NAB": nab, "KPI": kpi}); err != nil {
		return err
	}
	logs, err := logsSection(ctx, bench, portent)
	if err != nil {
		return err
	}
	file := filepath.Join("docs", "quality.md")
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	whole := replaceSection(page.Bytes(), logs)
	for _, heading := range []string{"## Incidents\n", "## Replicas that are killed\n"} { // storms writes those
		if _, kept, ok := bytes.Cut(old, []byte("\n"+heading)); ok {
			if i := bytes.Index(kept, []byte("\n## ")); i >= 0 {
				kept = kept[:i]
			}
			whole = replaceSection(whole, append([]byte(heading), kept...))
		}
	}
	return os.WriteFile(file, whole, 0o644)
}

// nabResult and kpiResult are what the scorers print with --json.
type (
	nabProfile struct {
		Best float64 `json:"best"`
		At1  float64 `json:"at_1"`
	}
	nabResult struct {
		Files     int        `json:"files"`
		Windows   int        `json:"windows"`
		Standard  nabProfile `json:"standard"`
		LowFP     nabProfile `json:"reward_low_FP_rate"`
		LowFN     nabProfile `json:"reward_low_FN_rate"`
		Found     int        `json:"found_at_1"`
		FalseADay float64    `json:"false_alarms_a_day_at_1"`
	}
	kpiResult struct {
		Series    int     `json:"series"`
		Segments  int     `json:"segments"`
		Best      float64 `json:"best"`
		At1       float64 `json:"at_1"`
		Found     int     `json:"found_at_1"`
		FalseADay float64 `json:"false_alarms_a_day"`
		Precision float64 `json:"event_precision"`
	}
)

// scored runs a scorer on `portent score` and reads its result.
func scored(ctx context.Context, into any, script, portent string, args ...string) error {
	fmt.Fprintln(os.Stderr, "running", filepath.Base(script))
	var out bytes.Buffer
	args = append([]string{script, "--json", "--scorer", portent + " score"}, args...)
	if err := run(ctx, &out, ".", "python3", args...); err != nil {
		return fmt.Errorf("%w\n%s", err, out.Bytes())
	}
	// The scorer's and portent's remarks go to the same place; the result is the line that is an object.
	for line := range bytes.Lines(out.Bytes()) {
		if bytes.HasPrefix(line, []byte("{")) {
			return json.Unmarshal(line, into)
		}
	}
	return fmt.Errorf("%s printed no result:\n%s", filepath.Base(script), out.Bytes())
}

// qualityPage is docs/quality.md.
var qualityPage = template.Must(template.New("quality").Parse(`# Quality of detection

Written by ` + "`go tool mage quality`" + `: ` + "`portent score`" + ` with its defaults, the same for every file, on labelled data that this
repository does not hold. Streaming: a row is scored by the rows before it alone.

## Numenta Anomaly Benchmark, {{.NAB.Files}} of its 58 files, {{.NAB.Windows}} windows

Normalised score: 0 is no detection, 100 is perfect. "Best" is at the one threshold that serves all files best, as the
benchmark's own list has it; "at 1" is what a user of the defaults gets.

| profile | best | at 1 |
|---|---:|---:|
| standard | {{printf "%.1f" .NAB.Standard.Best}} | {{printf "%.1f" .NAB.Standard.At1}} |
| reward low FP rate | {{printf "%.1f" .NAB.LowFP.Best}} | {{printf "%.1f" .NAB.LowFP.At1}} |
| reward low FN rate | {{printf "%.1f" .NAB.LowFN.Best}} | {{printf "%.1f" .NAB.LowFN.At1}} |

At 1: {{.NAB.Found}} of {{.NAB.Windows}} windows found, {{printf "%.2f" .NAB.FalseADay}} false alarms a day.

## AIOps 2018 KPI, {{.KPI.Series}} of its 29 series, {{.KPI.Segments}} anomalous segments

Point-adjusted with a delay of 7 points, the rule of the competition.

| measure | value |
|---|---:|
| F1, best threshold | {{printf "%.3f" .KPI.Best}} |
| F1 at 1 | {{printf "%.3f" .KPI.At1}} |
| segments found in time at 1 | {{.KPI.Found}} of {{.KPI.Segments}} |
| false alarms per series and day at 1 | {{printf "%.2f" .KPI.FalseADay}} |
| precision of events at 1 | {{printf "%.3f" .KPI.Precision}} |
`))
