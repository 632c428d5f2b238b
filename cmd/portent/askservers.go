package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/ask"
	"github.com/portent-dev/portent/internal/lokiapi"
	"github.com/portent-dev/portent/internal/promapi"
)

// Bounds of what `portent ask` fetches and shows.
const (
	askSeries = 1000 // of an answer
	askLines  = 1000 // log lines of an answer
	askRows   = 20   // of the table for people
	askWidth  = 160  // bytes of a log line in it
)

// askServers are the servers that are asked; nil where none is given.
type askServers struct {
	prometheus *promapi.Client
	loki       *lokiapi.Client
}

// read reads what the servers know into the gate.
func (s askServers) read(ctx context.Context, now time.Time, g *ask.Gate) (err error) {
	if s.prometheus != nil {
		if g.Metrics, err = ask.Load(ctx, promSource{s.prometheus}); err != nil {
			return err
		}
	}
	if s.loki != nil {
		g.Logs, err = ask.LoadLogs(ctx, lokiSource{s.loki}, now)
	}
	return err
}

var _ ask.Meter = askServers{}

// CountSeries counts the series of a selector by the index.
func (s askServers) CountSeries(ctx context.Context, selector string, start, end time.Time, limit int) (int, error) {
	sets, _, err := s.prometheus.Series(ctx, []string{selector}, start, end, limit)
	return len(sets), err
}

// LogBytes asks the index of the Loki.
func (s askServers) LogBytes(ctx context.Context, selector string, start, end time.Time) (uint64, error) {
	stats, err := s.loki.Stats(ctx, selector, start, end)
	return stats.Bytes, err
}

// source tells why an answer is empty.
func (s askServers) source() ask.Source {
	if s.prometheus == nil {
		return nil
	}
	return promSource{s.prometheus}
}

// ask runs a query.
func (s askServers) ask(ctx context.Context, tr ask.Translation) (ask.Result, error) {
	if tr.Language == ask.LogQL {
		return s.askLoki(ctx, tr)
	}
	var (
		res promapi.Answer
		err error
	)
	if tr.Range != nil {
		res, err = s.prometheus.QueryRange(ctx, tr.Query, promapi.Range{Start: tr.Range.Start, End: tr.Range.End, Step: tr.Range.Step}, askSeries)
	} else {
		res, err = s.prometheus.Query(ctx, tr.Query, tr.Time, askSeries)
	}
	if err != nil {
		return ask.Result{}, err
	}
	switch v := res.Value.(type) {
	case model.Vector:
		return ask.Result{Vector: v}, nil
	case model.Matrix:
		return ask.Result{Matrix: v}, nil
	case *model.Scalar:
		return ask.Result{Vector: model.Vector{{Metric: model.Metric{}, Value: v.Value, Timestamp: v.Timestamp}}}, nil
	}
	return ask.Result{}, fmt.Errorf("the answer is a %s, which no question asks for", res.Value.Type())
}

func (s askServers) askLoki(ctx context.Context, tr ask.Translation) (ask.Result, error) {
	var (
		res lokiapi.Answer
		err error
	)
	if tr.Range != nil {
		res, err = s.loki.QueryRange(ctx, tr.Query, tr.Range.Start, tr.Range.End, tr.Range.Step, askLines)
	} else {
		res, err = s.loki.Query(ctx, tr.Query, tr.Time)
	}
	if err != nil {
		return ask.Result{}, err
	}
	out := ask.Result{Vector: res.Vector, Matrix: res.Matrix, Cut: len(res.Lines) >= askLines}
	for _, l := range res.Lines {
		out.Lines = append(out.Lines, ask.Entry{Time: l.Time, Labels: l.Labels, Line: l.Text})
	}
	slices.SortStableFunc(out.Lines, func(a, b ask.Entry) int { return b.Time.Compare(a.Time) })
	return out, nil
}

// promSource reads a catalog from a Prometheus.
type promSource struct{ c *promapi.Client }

var _ ask.Source = promSource{}

func (s promSource) Metadata(ctx context.Context) (map[string]ask.Metric, error) {
	all, err := s.c.Metadata(ctx, "", 0)
	if err != nil {
		return nil, err
	}
	out := make(map[string]ask.Metric, len(all))
	for name, list := range all {
		if len(list) > 0 {
			out[name] = ask.Metric{Type: string(list[0].Type), Help: list[0].Help, Unit: list[0].Unit}
		}
	}
	return out, nil
}

func (s promSource) LabelNames(ctx context.Context, matches []string, limit int) ([]string, error) {
	names, _, err := s.c.LabelNames(ctx, matches, time.Time{}, time.Time{}, limit)
	return names, err
}

func (s promSource) LabelValues(ctx context.Context, label string, matches []string, limit int) ([]string, error) {
	values, _, err := s.c.LabelValues(ctx, label, matches, time.Time{}, time.Time{}, limit)
	return values, err
}

// lokiSource reads what a Loki knows.
type lokiSource struct{ c *lokiapi.Client }

var _ ask.LogSource = lokiSource{}

func (s lokiSource) LabelNames(ctx context.Context, start, end time.Time) ([]string, error) {
	return s.c.LabelNames(ctx, start, end)
}

func (s lokiSource) LabelValues(ctx context.Context, label, selector string, start, end time.Time) ([]string, error) {
	return s.c.LabelValues(ctx, label, selector, start, end)
}

func (s lokiSource) Sample(ctx context.Context, query string, start, end time.Time, limit int) ([]ask.LogLine, error) {
	res, err := s.c.QueryRange(ctx, query, start, end, 0, limit)
	if err != nil {
		return nil, err
	}
	out := make([]ask.LogLine, len(res.Lines))
	for i, l := range res.Lines {
		out[i] = ask.LogLine{Labels: l.Labels, Text: l.Text}
	}
	return out, nil
}

func promDuration(d time.Duration) string { return model.Duration(d).String() }

// printable keeps a server's text from moving the cursor of a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == ' ' {
			return r
		}
		return -1
	}, strings.ReplaceAll(s, "\t", " "))
}

// printAnswer prints an answer for a person: the sentence, a small table, the query
// and how the question was understood.
func printAnswer(out io.Writer, j askJSON, r ask.Result) {
	if j.Answer != "" {
		fmt.Fprintln(out, printable(j.Answer))
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	switch {
	case len(r.Vector) > 1:
		sorted := slices.Clone(r.Vector)
		slices.SortStableFunc(sorted, func(a, b *model.Sample) int { return cmp.Compare(b.Value, a.Value) })
		for _, s := range sorted[:min(len(r.Vector), askRows)] {
			fmt.Fprintf(w, "  %s\t%s\n", printable(labelText(s.Metric)), ask.Format(float64(s.Value), j.Unit))
		}
	case len(r.Matrix) > 0:
		for _, s := range r.Matrix[:min(len(r.Matrix), askRows)] {
			if n := len(s.Values); n > 0 {
				fmt.Fprintf(w, "  %s\t%s\n", printable(labelText(s.Metric)), ask.Format(float64(s.Values[n-1].Value), j.Unit))
			}
		}
	}
	_ = w.Flush() // tabwriter hands on the error of out, which is a buffer
	for _, l := range r.Lines[:min(len(r.Lines), askRows)] {
		text := printable(l.Line)
		if len(text) > askWidth {
			text = strings.ToValidUTF8(text[:askWidth], "") + "…"
		}
		fmt.Fprintf(out, "  %s  %s\n", l.Time.UTC().Format("15:04:05"), text)
	}
	if n := max(len(r.Vector), len(r.Matrix), len(r.Lines)); n > askRows {
		fmt.Fprintf(out, "  … %d more\n", n-askRows)
	}
	fmt.Fprintf(out, "%s: %s\n", j.Language, printable(j.Query))
	fmt.Fprintf(out, "understood: %s%s\n", printable(j.Explanation), sureness(j.Confidence))
	for _, o := range j.Warnings {
		fmt.Fprintf(out, "warning: %s\n", printable(o))
	}
	for _, o := range j.Alternatives {
		fmt.Fprintf(out, "or: %s\n", printable(o.Query))
	}
}

// sureness says where a reading may well be another than was meant.
func sureness(confidence float64) string {
	switch {
	case confidence == 0 || confidence >= 0.8:
		return ""
	case confidence >= 0.6:
		return " (likely)"
	}
	return " (a guess)"
}

func labelText(m model.Metric) string {
	if len(m) == 0 {
		return "value"
	}
	keys := make([]string, 0, len(m))
	for k, v := range m {
		keys = append(keys, string(k)+"="+string(v))
	}
	slices.Sort(keys)
	return strings.Join(keys, " ")
}
