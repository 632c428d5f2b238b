package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/portent-dev/portent/internal/logmine"
	"github.com/portent-dev/portent/internal/logquery"
)

// patternJSON is a pattern as `portent patterns --json` prints it.
type patternJSON struct {
	Pattern  string  `json:"pattern"`
	Template string  `json:"template"`
	Count    int64   `json:"count"`            // lines
	Events   int64   `json:"events,omitempty"` // where that is less: stack traces of several lines
	Share    float64 `json:"share"`
	Severity string  `json:"severity"`
	First    string  `json:"first,omitempty"`
	Last     string  `json:"last,omitempty"`
	Example  string  `json:"example"`
	// Entities are what most lines name, by kind, the most frequent first.
	Entities map[string][]entityJSON `json:"entities,omitempty"`
	// Series counts lines by steps of time; absent where lines carry no time.
	Series *seriesJSON `json:"series,omitempty"`
	// Shared is what most lines have in common.
	Shared []sharedJSON `json:"shared,omitempty"`
	// Change, Before and P are there with --compare.
	Change string          `json:"change,omitempty"`
	Before *int64          `json:"before,omitempty"`
	P      *float64        `json:"p,omitempty"`
	Cause  *causeJSON      `json:"cause,omitempty"`
	Query  *logquery.Query `json:"query,omitempty"`
	Link   string          `json:"link,omitempty"`
}

type seriesJSON struct {
	Start  string  `json:"start"`
	Step   string  `json:"step"`
	Counts []int64 `json:"counts"`
}

type sharedJSON struct {
	Name  string  `json:"name"`
	Value string  `json:"value"`
	Share float64 `json:"share"`
}

// causeJSON says how likely a pattern is what began it all, and why.
type causeJSON struct {
	Rank       int      `json:"rank"`
	Confidence float64  `json:"confidence"`
	Why        []string `json:"why"`
	With       []string `json:"with,omitempty"`
}

// entityJSON is a value that at least Count lines name.
type entityJSON struct {
	Value string `json:"value"`
	Count int64  `json:"count"`
}

func entitiesOf(p *logquery.Pattern) map[string][]entityJSON {
	if len(p.Entities) == 0 {
		return nil
	}
	out := map[string][]entityJSON{}
	for _, e := range p.Entities {
		k := e.Kind.String()
		out[k] = append(out[k], entityJSON{e.Value, e.Count})
	}
	return out
}

// shownEntities is how many of them a table shows.
const shownEntities = 3

// topEntities tells the entities that most lines of a pattern share, for a table:
// those that at least a tenth of its lines name.
func topEntities(p *logquery.Pattern) string {
	top := slices.DeleteFunc(slices.Clone(p.Entities), func(e logmine.EntityCount) bool { return e.Count*10 < p.Events || p.Events > 1 && e.Count < 2 })
	slices.SortStableFunc(top, func(a, b logmine.EntityCount) int { return cmp.Compare(b.Count, a.Count) })
	var b strings.Builder
	for i, e := range top[:min(len(top), shownEntities)] {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %s (%d)", e.Kind, e.Value, e.Count)
	}
	return b.String()
}

// list returns the patterns to print, with what they leave out as one named other,
// so that counts add up to the lines there are.
func (p *patterns) list(a *logquery.Answer) []patternJSON {
	ranks := map[string]*causeJSON{}
	for i, c := range a.Causes {
		ranks[c.Pattern.ID] = &causeJSON{Rank: i + 1, Confidence: c.Confidence, Why: c.Why, With: c.With}
	}
	out := make([]patternJSON, 0, len(a.Entries)+1)
	for i := range a.Entries {
		q := &a.Entries[i]
		row := patternJSON{
			Pattern: q.ID, Template: q.Template, Count: q.Count, Share: q.Share, Severity: q.Severity.String(), First: stamp(q.First), Last: stamp(q.Last),
			Example: q.Example, Entities: entitiesOf(q), Change: string(q.Change), Cause: ranks[q.ID], Link: p.source.link(q.Query, a.Window),
		}
		if q.Events < q.Count && a.Before == nil && a.Read.Sampled == "" {
			row.Events = q.Events
		}
		if a.Before != nil {
			row.Before, row.P = &q.Before, &q.P
		}
		if q.Query.Text != "" {
			row.Query = &q.Query
		}
		if len(q.Counts) > 1 {
			row.Series = &seriesJSON{stamp(a.Times[0]), promDuration(a.Step), rounded(q.Counts)}
		}
		for _, s := range q.Shared {
			row.Shared = append(row.Shared, sharedJSON{s.Name, s.Value, s.Share})
		}
		out = append(out, row)
	}
	if a.Other > 0 {
		out = append(out, patternJSON{
			Pattern: otherPattern, Count: a.Other, Share: float64(a.Other) / float64(max(1, a.Total)), Severity: logmine.Unknown.String(),
		})
	}
	return out
}

func rounded(of []float64) []int64 {
	out := make([]int64, len(of))
	for i, n := range of {
		out[i] = int64(math.Round(n))
	}
	return out
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func (p *patterns) printJSON(out io.Writer, a *logquery.Answer) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for _, q := range p.list(a) {
		if err := enc.Encode(q); err != nil {
			return err
		}
	}
	return nil
}

// maxTemplateRunes is what a table shows of a template: a line of a terminal, more
// or less.
const maxTemplateRunes = 160

func (p *patterns) printTable(out io.Writer, a *logquery.Answer) error {
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	head := "COUNT\tSHARE\tSEVERITY\t"
	if a.Before != nil {
		head += "CHANGE\tBEFORE\t"
	}
	if len(a.Times) > 1 {
		head += "TREND\t"
	}
	fmt.Fprintln(t, head+"PATTERN\tTEMPLATE\tENTITIES")
	row := func(q *logquery.Pattern, count int64, share float64, severity, id, template, entities string) {
		fmt.Fprintf(t, "%d\t%.1f%%\t%s\t", count, 100*share, severity)
		if a.Before != nil {
			change, before := "", int64(0)
			if q != nil {
				change, before = string(q.Change), q.Before
			}
			fmt.Fprintf(t, "%s\t%d\t", change, before)
		}
		if len(a.Times) > 1 {
			trend := ""
			if q != nil {
				trend = sparkline(q.Counts)
			}
			fmt.Fprintf(t, "%s\t", trend)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", id, shorten(template), shorten(entities))
	}
	for i := range a.Entries {
		q := &a.Entries[i]
		row(q, q.Count, q.Share, q.Severity.String(), q.ID, q.Template, topEntities(q))
	}
	if a.Other > 0 {
		row(nil, a.Other, float64(a.Other)/float64(max(1, a.Total)), logmine.Unknown.String(), otherPattern, "(lines of no pattern, and of patterns not shown)", "")
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%d lines, %d patterns\n", a.Total, a.Found)
	return err
}

// sparkWidth is how many characters a trend takes.
const sparkWidth = 20

// sparkline draws counts in blocks of rising height.
func sparkline(counts []float64) string {
	const bars = "▁▂▃▄▅▆▇█"
	n := min(sparkWidth, len(counts))
	sums, top := make([]float64, n), 0.0
	for i, c := range counts {
		at := i * n / len(counts)
		sums[at] += c
		top = max(top, sums[at])
	}
	var b strings.Builder
	for _, s := range sums {
		if s == 0 {
			b.WriteByte(' ')
			continue
		}
		b.WriteRune([]rune(bars)[int(math.Min(7, 8*s/top))])
	}
	return b.String()
}

// printSummary prints the paragraph, what backs it, and the causes.
func (p *patterns) printSummary(out io.Writer, a *logquery.Answer) {
	fmt.Fprintln(out, shortenTo(a.Summary.Text, 4000))
	for _, c := range a.Summary.Clauses {
		fmt.Fprintf(out, "\n[%s] %s\n", c.Pattern.ID, shorten(c.Pattern.Example))
		if c.Pattern.Query.Text != "" {
			fmt.Fprintf(out, "    %s\n", shortenTo(c.Pattern.Query.Text, 4000))
		}
		if link := p.source.link(c.Pattern.Query, a.Window); link != "" {
			fmt.Fprintf(out, "    %s\n", link)
		}
	}
	for i, c := range a.Causes[:min(len(a.Causes), 3)] {
		fmt.Fprintf(out, "\ncause %d (%.0f%%): [%s] %s\n", i+1, 100*c.Confidence, c.Pattern.ID, shorten(c.Pattern.Template))
		for _, w := range c.Why {
			fmt.Fprintf(out, "    - %s\n", shorten(w))
		}
	}
}

// shorten makes text safe and short enough for a terminal: control characters could
// drive it.
func shorten(s string) string { return shortenTo(s, maxTemplateRunes) }

func shortenTo(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > limit {
		return string(r[:limit]) + "…"
	}
	return s
}
