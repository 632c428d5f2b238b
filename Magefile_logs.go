//go:build mage

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
)

// QualityLogs scores the mining of log patterns on labelled data and writes that section of docs/quality.md alone: seconds, not minutes.
func QualityLogs(ctx context.Context) error {
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
	section, err := logsSection(ctx, bench, portent)
	if err != nil {
		return err
	}
	file := filepath.Join("docs", "quality.md")
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, replaceSection(page, section), 0o644)
}

// benchDir is the folder of the labelled data and their scorers.
func benchDir() (string, error) {
	bench := os.Getenv("PORTENT_BENCH")
	if bench == "" {
		bench = filepath.Join("..", "shared", "bench")
	}
	if _, err := os.Stat(bench); err != nil {
		return "", fmt.Errorf("the labelled data and their scorers are not there (PORTENT_BENCH names their folder): %w", err)
	}
	return bench, nil
}

// replaceSection puts a section, which begins with its heading, in place of the one with that heading, or at the end.
func replaceSection(page, section []byte) []byte {
	heading, _, _ := bytes.Cut(section, []byte("\n"))
	before, after, found := bytes.Cut(page, append([]byte("\n"), append(bytes.Clone(heading), '\n')...))
	if !found {
		return slices.Concat(bytes.TrimRight(page, "\n"), []byte("\n\n"), section)
	}
	rest := []byte{}
	if i := bytes.Index(after, []byte("\n## ")); i >= 0 {
		rest = after[i:]
	}
	return slices.Concat(bytes.TrimRight(before, "\n"), []byte("\n\n"), bytes.TrimRight(section, "\n"), []byte("\n"), rest)
}

// logMeasures are what score_logs.py prints of one data set.
type logMeasures struct{ GA, FGA, PA, FTA float64 }

type logResult struct {
	Sets map[string]logMeasures `json:"sets"`
	Mean logMeasures            `json:"mean"`
}

// logsSection scores messages and whole lines.
func logsSection(ctx context.Context, bench, portent string) ([]byte, error) {
	var messages, raw logResult
	for _, one := range []struct {
		into *logResult
		args []string
	}{{&messages, nil}, {&raw, []string{"--raw"}}} {
		fmt.Fprintln(os.Stderr, "running score_logs.py", strings.Join(one.args, " "))
		var out bytes.Buffer
		args := append([]string{filepath.Join(bench, "score_logs.py"), "--json", "--miner", portent + " patterns --assign"}, one.args...)
		if err := run(ctx, &out, ".", "python3", append(args, filepath.Join(bench, "data", "logs"))...); err != nil {
			return nil, fmt.Errorf("%w\n%s", err, out.Bytes())
		}
		if err := json.Unmarshal(bytes.TrimSpace(out.Bytes()), one.into); err != nil {
			return nil, fmt.Errorf("score_logs.py: %w\n%s", err, out.Bytes())
		}
	}
	var section bytes.Buffer
	err := logsPage.Execute(&section, map[string]any{"Messages": messages, "Raw": raw, "Names": slices.Sorted(maps.Keys(messages.Sets))})
	return section.Bytes(), err
}

// logsPage is the section of docs/quality.md.
var logsPage = template.Must(template.New("logs").Parse(`## Log patterns, {{len .Names}} of the 16 loghub systems, corrected labels

` + "`portent patterns --assign`" + `, one setting for all: none. GA is the share of messages whose group is exactly the labelled one, FGA the
F1 over groups, PA the share of messages whose template equals the labelled one, FTA the F1 over templates. Raw is GA on whole
lines, header and all; the others are on the messages, as published.

| mean of the data sets | GA | FGA | PA | FTA | GA, raw |
|---|---:|---:|---:|---:|---:|
| Portent | {{template "row" .Messages.Mean}} {{printf "%.3f" .Raw.Mean.GA}} |
| PIPLUP, the best without configuration published | .873 | .898 | .617 | .642 | |
| Drain3, one setting | .751 | .693 | .265 | .250 | |
| the miner of Loki | .621 | .448 | .417 | .286 | |
| Brain, settings for each set | .917 | | | | |
| LILAC, a language model and 32 examples a set | .925 | | .849 | | |
| LogBatcher, a language model | .958 | | .835 | | |

| data set | GA | FGA | PA | FTA | GA, raw |
|---|---:|---:|---:|---:|---:|
{{range $n := .Names}}| {{$n}} | {{template "row" index $.Messages.Sets $n}} {{printf "%.3f" (index $.Raw.Sets $n).GA}} |
{{end}}{{define "row"}}{{printf "%.3f | %.3f | %.3f | %.3f |" .GA .FGA .PA .FTA}}{{end}}`))
