//go:build mage

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// stormSets are generated storms that the weights of correlation were not fitted to: sizes, seeds and all four routings.
var stormSets = []struct{ Size, Seed, Routing string }{
	{"medium", "2", "per-alert"},
	{"medium", "4", "service"},
	{"medium", "51", "default"},
	{"medium", "52", "mixed"},
	{"week", "1", "mixed"},
	{"week", "7", "default"},
	{"week", "34", "mixed"},
	{"week", "53", "service"},
	{"week", "54", "per-alert"},
	{"storm", "36", "mixed"},
}

// Storms judges generated alert storms (../shared/bench or PORTENT_BENCH, with python3), puts the receiver under load, and writes
// both into docs/quality.md and docs/performance.md: half an hour. -load=10m is how long the load lasts; 0s leaves it out.
func Storms(ctx context.Context, load *string) error {
	bench, err := benchDir()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "storms")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what stays is in the temporary folder
	section, err := stormSection(ctx, filepath.Join(bench, "storms"), dir)
	if err != nil {
		return err
	}
	if err := putSection(filepath.Join("docs", "quality.md"), section); err != nil {
		return err
	}
	if section, err = replicasSection(ctx, filepath.Join(bench, "storms"), dir); err != nil {
		return err
	}
	if err := putSection(filepath.Join("docs", "quality.md"), section); err != nil {
		return err
	}
	length := "10m"
	if load != nil {
		length = *load
	}
	if length == "0s" {
		return nil
	}
	if section, err = loadSection(ctx, length); err != nil {
		return err
	}
	return putSection(filepath.Join("docs", "performance.md"), section)
}

func putSection(file string, section []byte) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, replaceSection(page, section), 0o644)
}

// stormResult is what score_storms.py prints with --json, as far as it is shown.
type stormResult struct {
	Name    string
	Without struct {
		F1 float64 `json:"f1"`
	} `json:"correlation_without_giants"`
	Correlation struct {
		Macro float64 `json:"macro_best_f1"`
	} `json:"correlation"`
	Alerts struct {
		Lost int `json:"lost"`
	} `json:"alerts"`
	Tickets struct {
		Total    int `json:"total"`
		Expected int `json:"expected_incidents"`
		Noise    int `json:"noise_only_tickets"`
		None     int `json:"true_incidents_without_ticket"`
		NoOwn    int `json:"true_incidents_without_own_ticket"`
		Extra    int `json:"extra_tickets_for_one_true_incident"`
	} `json:"tickets"`
	Reduction struct {
		Tickets float64 `json:"alerts_to_tickets"`
	} `json:"reduction"`
	Cause struct {
		Name   float64 `json:"top1_alertname"`
		Entity float64 `json:"top1_entity"`
	} `json:"root_cause"`
}

// NoisePercent is the share of the tickets that hold noise only.
func (r stormResult) NoisePercent() float64 {
	return 100 * float64(r.Tickets.Noise) / float64(max(1, r.Tickets.Total))
}

func stormSection(ctx context.Context, tools, dir string) ([]byte, error) {
	var results []stormResult
	for _, s := range stormSets {
		name := s.Size + "-" + s.Seed + " (" + s.Routing + ")"
		fmt.Fprintln(os.Stderr, "storm", name)
		out := filepath.Join(dir, s.Size+"-"+s.Seed)
		if err := run(ctx, os.Stderr, ".", "python3", filepath.Join(tools, "storms.py"), "--size", s.Size, "--seed", s.Seed, "--routing", s.Routing, "--out", out); err != nil {
			return nil, err
		}
		if err := os.Setenv("PORTENT_STORMS", out); err != nil {
			return nil, err
		}
		if err := goTool(ctx, os.Stderr, "test", "-count=1", "-tags=storms", "-run=TestStorms", "./internal/triage"); err != nil {
			return nil, err
		}
		var scored bytes.Buffer
		// Its exit status is 1 when a figure that must be 0 is not; the figure is in the table then.
		err := run(ctx, &scored, ".", "python3", filepath.Join(tools, "score_storms.py"), out, "--json",
			"--incidents", filepath.Join(out, "incidents.json"), "--suppressed", filepath.Join(out, "suppressed.json"))
		r := stormResult{Name: name}
		if jerr := json.NewDecoder(bytes.NewReader(scored.Bytes()[max(0, bytes.IndexByte(scored.Bytes(), '{')):])).Decode(&r); jerr != nil {
			return nil, fmt.Errorf("score_storms.py: %w, %w\n%s", err, jerr, scored.Bytes())
		}
		results = append(results, r)
		if err := os.RemoveAll(out); err != nil {
			return nil, err
		}
	}
	var section bytes.Buffer
	err := stormPage.Execute(&section, results)
	return section.Bytes(), err
}

// loadSection measures the whole receiver, at full load and at 1000 alerts a second.
func loadSection(ctx context.Context, length string) ([]byte, error) {
	var lines []string
	for _, rate := range []string{"0", "1000"} {
		fmt.Fprintln(os.Stderr, "load for", length, "rate", rate)
		for k, v := range map[string]string{"PORTENT_LOAD": length, "PORTENT_LOAD_RATE": rate} {
			if err := os.Setenv(k, v); err != nil {
				return nil, err
			}
		}
		var out bytes.Buffer
		if err := goTool(ctx, &out, "test", "-count=1", "-timeout=2h", "-run=TestSustainedLoad", "-v", "./alertmanager-receiver/app"); err != nil {
			return nil, fmt.Errorf("%w\n%s", err, out.Bytes())
		}
		for line := range strings.Lines(out.String()) {
			if _, figures, ok := strings.Cut(line, "sustained_test.go:"); ok {
				_, figures, _ = strings.Cut(figures, ": ")
				lines = append(lines, strings.TrimSpace(figures))
			}
		}
	}
	if len(lines) != 2 {
		return nil, fmt.Errorf("TestSustainedLoad printed %d results, want 2", len(lines))
	}
	var section bytes.Buffer
	err := loadPage.Execute(&section, map[string]any{"Length": length, "Full": lines[0], "Steady": lines[1]})
	return section.Bytes(), err
}

// stormPage is a section of docs/quality.md.
var stormPage = template.Must(template.New("storms").Parse(`## Incidents

Written by ` + "`go tool mage storms`" + `: simulated fleets with a faithful Alertmanager, judged in process with the default policy and scored by
` + "`score_storms.py`" + `. The weights were fitted to none of these seeds; thresholds and hold times were chosen while some of them were watched.

| set (routing) | F1 without giants | macro F1 | tickets / true | noise only | second tickets | no ticket | none of its own | alerts → tickets | cause: name, entity | lost |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
{{range .}}| {{.Name}} | {{printf "%.3f" .Without.F1}} | {{printf "%.3f" .Correlation.Macro}} | {{.Tickets.Total}} / {{.Tickets.Expected}} | {{printf "%.0f" .NoisePercent}} % | {{.Tickets.Extra}} | {{.Tickets.None}} | {{.Tickets.NoOwn}} | {{printf "%.2f" .Reduction.Tickets}} | {{printf "%.2f, %.2f" .Cause.Name .Cause.Entity}} | {{.Alerts.Lost}} |
{{end}}`))

// loadPage is a section of docs/performance.md.
var loadPage = template.Must(template.New("load").Parse(`## The receiver under load

Written by ` + "`go tool mage storms`" + `: TestSustainedLoad for {{.Length}} each, the whole receiver over HTTP with SQLite and durable writes, five alerts a
notification, none twice the same, the sender on the same machine.

| load | reached |
|---|---|
| as fast as it answers | {{.Full}} |
| 1,000 alerts/s | {{.Steady}} |
`))
