package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/portent-dev/portent/internal/baseline"
	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/finding"
	"github.com/portent-dev/portent/internal/promapi"
)

// baselineCommand registers `portent baseline`: first alert rules for a new workload.
func baselineCommand(app *kingpin.Application) (string, func(stdio) error) {
	b := &baseliner{}
	c := app.Command("baseline", "Propose thresholds for a workload from a day or two of its metrics, as Prometheus alerting rules with the reasoning in them.")
	c.Flag("prometheus", "Address of a Prometheus, or what speaks its API.").Default("http://localhost:9090").StringVar(&b.prometheus)
	c.Flag("workload", "Deployment, StatefulSet or DaemonSet, looked at by memory, CPU, restarts and network of its pods.").StringVar(&b.workload)
	c.Flag("namespace", "Of the workload.").StringVar(&b.namespace)
	c.Flag("query", "Another query to propose a threshold for, as in 'Latency=histogram_quantile(0.99, …)'; may be given again. "+
		"NAME<=QUERY instead says that a fall is bad.").PlaceHolder("NAME=QUERY").StringsVar(&b.queries)
	c.Flag("unit", "Of the further queries, in which thresholds are written out: bytes, seconds, ratio, percent, 'per second' …").StringVar(&b.unit)
	c.Flag("range", "How far back to look.").Default("48h").StringVar(&b.window)
	c.Flag("end", "RFC 3339 time at which the range ends; now by default.").StringVar(&b.end)
	c.Flag("sensitivity", "low leaves the widest margin.").Default(string(detect.Medium)).
		EnumVar(&b.sensitivity, string(detect.Low), string(detect.Medium), string(detect.High))
	c.Flag("least", "Least data to propose anything from.").Default("24h").StringVar(&b.least)
	c.Flag("output", "File to write to; standard output by default.").StringVar(&b.output)
	return c.FullCommand(), b.run
}

type baseliner struct {
	prometheus, workload, namespace, unit, window, end, sensitivity, least, output string
	queries                                                                        []string
}

// baselineSeries bounds the results of one query: 48 h of minutes of each are 23 kB.
const baselineSeries = 2000

func (b *baseliner) run(std stdio) error {
	specs, err := b.specs()
	if err != nil {
		return usageError{err}
	}
	r, least, err := b.times(time.Now())
	if err != nil {
		return usageError{err}
	}
	client, err := promapi.New(promapi.Options{URL: b.prometheus, Timeout: 2 * time.Minute})
	if err != nil {
		return usageError{err}
	}
	var proposals []baseline.Proposal
	for _, s := range specs {
		series, err := readBaseline(context.Background(), client, s.Expr, r)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		p, err := baseline.Propose(s, series, baseline.Options{Sensitivity: detect.Sensitivity(b.sensitivity), LeastSpan: least})
		var little *baseline.TooLittleError
		if errors.As(err, &little) {
			fmt.Fprintf(std.err, "portent baseline: no rule %s: %s\n", s.Name, little.Reason)
			continue
		}
		if err != nil {
			return err
		}
		proposals = append(proposals, p)
	}
	if len(proposals) == 0 {
		return fmt.Errorf("no threshold proposed from %s to %s: see above", r.Start.UTC().Format(time.RFC3339), r.End.UTC().Format(time.RFC3339))
	}
	return b.write(std.out, proposals, r)
}

func (b *baseliner) specs() ([]baseline.Spec, error) {
	var out []baseline.Spec
	if b.workload != "" {
		scoped, err := baseline.Scope(baseline.Builtin, b.namespace, b.workload)
		if err != nil {
			return nil, err
		}
		out = scoped
	}
	for _, q := range b.queries {
		name, expr, ok := strings.Cut(q, "=")
		direction := finding.Above
		if n, below := strings.CutSuffix(name, "<"); below {
			name, direction = n, finding.Below
		}
		if name = baseline.CamelCase(name); !ok || name == "" {
			return nil, fmt.Errorf("--query %q: want NAME=QUERY", q)
		}
		if _, err := parser.NewParser(parser.Options{}).ParseExpr(expr); err != nil {
			return nil, fmt.Errorf("--query %s: %w", name, err)
		}
		out = append(out, baseline.Spec{Name: name, Expr: expr, Subject: name, Unit: b.unit, Direction: direction})
	}
	if len(out) == 0 {
		return nil, errors.New("nothing to propose for: want --workload or --query")
	}
	return out, nil
}

// slack is what a day of data may lack to be one: a rate begins minutes after its counter.
const slack = 10 * time.Minute

func (b *baseliner) times(now time.Time) (r promapi.Range, least time.Duration, err error) {
	r.End = now
	if b.end != "" {
		if r.End, err = time.Parse(time.RFC3339, b.end); err != nil {
			return r, 0, fmt.Errorf("--end %q: want RFC 3339, as in 2026-03-01T12:00:00Z", b.end)
		}
	}
	window, err := model.ParseDuration(b.window)
	if err != nil || window == 0 {
		return r, 0, fmt.Errorf("--range %q: want a duration such as 48h", b.window)
	}
	l, err := model.ParseDuration(b.least)
	if err != nil || l == 0 {
		return r, 0, fmt.Errorf("--least %q: want a duration such as 24h", b.least)
	}
	// A minute, unless that is more than the server gives in one answer.
	r.Step = max(time.Minute, (time.Duration(window) / (promapi.MaxPoints - 1)).Round(time.Minute))
	r.Start = r.End.Add(-time.Duration(window)).Truncate(r.Step)
	r.End = r.End.Truncate(r.Step)
	return r, time.Duration(l) - slack, nil
}

func readBaseline(ctx context.Context, client *promapi.Client, expr string, r promapi.Range) ([]baseline.Series, error) {
	a, err := client.QueryRange(ctx, expr, r, 0)
	if err != nil {
		return nil, err
	}
	m, ok := a.Value.(model.Matrix)
	if !ok {
		return nil, fmt.Errorf("the answer holds a %s, want series over time", a.Value.Type())
	}
	if len(m) > baselineSeries {
		return nil, fmt.Errorf("%d series: want at most %d, aggregate the query", len(m), baselineSeries)
	}
	steps := int(r.End.Sub(r.Start)/r.Step) + 1
	out := make([]baseline.Series, len(m))
	for i, s := range m {
		values := make([]float64, steps)
		for k := range values {
			values[k] = math.NaN()
		}
		for _, p := range s.Values {
			if k := int(p.Timestamp.Time().Sub(r.Start) / r.Step); k >= 0 && k < steps {
				values[k] = float64(p.Value)
			}
		}
		out[i] = baseline.Series{Start: r.Start.UnixMilli(), Step: r.Step.Milliseconds(), Values: values}
	}
	return out, nil
}

func (b *baseliner) write(out io.Writer, proposals []baseline.Proposal, r promapi.Range) error {
	of := b.workload
	if of == "" {
		of = "queries"
	}
	header := "First thresholds for " + strings.Join(strings.Fields(of), " ") + ", proposed by `portent baseline` from " + r.Start.UTC().Format(time.RFC3339) + " to " + r.End.UTC().Format(time.RFC3339) + ".\n" +
		"Each says in its description where it comes from. Check them before use, and propose again when a week is there."
	text, err := baseline.Rules(header, "portent-baseline-"+of, proposals)
	if err != nil {
		return err
	}
	if b.output != "" {
		return os.WriteFile(b.output, text, 0o644)
	}
	_, err = out.Write(text)
	return err
}
