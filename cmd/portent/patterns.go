package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/mattn/go-isatty"

	"github.com/portent-dev/portent/internal/logmine"
)

// patternsCommand registers `portent patterns`: what do these log lines say.
func patternsCommand(app *kingpin.Application) (string, func(stdio) error) {
	p := &patterns{}
	c := app.Command("patterns", "Find the patterns of log lines, in any format: thousands of lines become the few things that they say.")
	c.Flag("assign", "Print each line's pattern, in order of the input, after all of it is read.").BoolVar(&p.assign)
	c.Flag("json", "Print a JSON object a pattern. Default where stdout is no terminal.").BoolVar(&p.json)
	c.Flag("table", "Print a table. Default on a terminal.").BoolVar(&p.table)
	c.Flag("limit", "Print the most frequent patterns only; 0 prints all.").Default("0").IntVar(&p.limit)
	c.Arg("file", "Log file; none or - reads standard input.").StringVar(&p.file)
	return c.FullCommand(), p.run
}

type patterns struct {
	assign, json, table bool
	limit               int
	file                string
}

func (p *patterns) run(std stdio) error {
	switch {
	case p.assign && p.json, p.assign && p.table, p.json && p.table:
		return usageError{errors.New("--assign, --json and --table exclude each other")}
	case p.limit < 0:
		return usageError{fmt.Errorf("--limit %d: want 0 or more", p.limit)}
	}
	in, err := openInput(p.file, std)
	if err != nil {
		return err
	}
	miner := logmine.New(logmine.Options{KeepRefs: p.assign, Entities: !p.assign})
	var refs []logmine.Ref
	if p.assign {
		err = readLines(in.reader, func(r logmine.Record) { refs = append(refs, miner.AddRecord(&r, 1)) })
	} else {
		err = mineEvents(in.reader, miner)
	}
	if closeErr := in.close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("%s: %w", in.name, err)
	}
	out := bufio.NewWriterSize(std.out, 64<<10)
	switch {
	case p.assign:
		err = printAssigned(out, miner, refs)
	case p.json || !p.table && !isTerminal(std.out):
		err = p.printJSON(out, miner)
	default:
		err = p.printTable(out, miner)
	}
	if flushErr := out.Flush(); err == nil {
		err = flushErr
	}
	return err
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// maxLineBytes is how much of a line is kept in memory; the rest of a longer one is
// read and dropped.
const maxLineBytes = 64 << 10

// readLines gives each line of in, read by Parse. The last may lack its newline.
func readLines(in io.Reader, add func(logmine.Record)) error {
	r := bufio.NewReaderSize(in, maxLineBytes)
	for {
		line, err := r.ReadSlice('\n')
		if len(line) == 0 && err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return err
		}
		add(logmine.Parse(string(line)))
		for errors.Is(err, bufio.ErrBufferFull) { // the rest of a line that is too long
			_, err = r.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
}

// mineEvents adds the events of in to the miner: a stack trace is one, not a pattern
// for each frame.
func mineEvents(in io.Reader, miner *logmine.Miner) error {
	var j logmine.Joiner
	add := func(e logmine.Event, ok bool) {
		if ok {
			miner.AddEvent(&e)
		}
	}
	err := readLines(in, func(r logmine.Record) { add(j.Add(r)) })
	add(j.Flush())
	return err
}

// assigned is a line of `portent patterns --assign`.
type assigned struct {
	Line     int    `json:"line"`
	Pattern  string `json:"pattern"`
	Template string `json:"template"`
}

// otherPattern names the lines without a pattern, so that counts add up.
const otherPattern = "other"

func printAssigned(out io.Writer, miner *logmine.Miner, refs []logmine.Ref) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for i, ref := range refs {
		a := assigned{Line: i + 1, Pattern: otherPattern}
		if p, ok := miner.Pattern(ref); ok {
			a.Pattern, a.Template = p.ID, p.Template
		}
		if err := enc.Encode(a); err != nil {
			return err
		}
	}
	return nil
}

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

	top string // of the entities, for a table
}

// entityJSON is a value that at least Count lines name.
type entityJSON struct {
	Value string `json:"value"`
	Count int64  `json:"count"`
}

func entitiesOf(p *logmine.Pattern) map[string][]entityJSON {
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
func topEntities(p *logmine.Pattern) string {
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
// so that counts add up to the lines read.
func (p *patterns) list(miner *logmine.Miner) []patternJSON {
	all, counts := miner.Patterns(), miner.Counts()
	other := counts.Other
	share := func(n int64) float64 { return float64(n) / float64(max(1, counts.Lines)) }
	var out []patternJSON
	for i := range all {
		q := &all[i]
		if p.limit > 0 && i >= p.limit {
			other += q.Count
			continue
		}
		row := patternJSON{
			Pattern: q.ID, Template: q.Template, Count: q.Count, Share: share(q.Count), Severity: q.Severity().String(),
			First: stamp(q.First), Last: stamp(q.Last), Example: q.Example, Entities: entitiesOf(q), top: topEntities(q),
		}
		if q.Events < q.Count {
			row.Events = q.Events
		}
		out = append(out, row)
	}
	if other > 0 {
		out = append(out, patternJSON{Pattern: otherPattern, Count: other, Share: share(other), Severity: logmine.Unknown.String()})
	}
	return out
}

func stamp(ms int64) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format(time.RFC3339Nano)
}

func (p *patterns) printJSON(out io.Writer, miner *logmine.Miner) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for _, q := range p.list(miner) {
		if err := enc.Encode(q); err != nil {
			return err
		}
	}
	return nil
}

// maxTemplateRunes is what a table shows of a template: a line of a terminal, more
// or less.
const maxTemplateRunes = 160

func (p *patterns) printTable(out io.Writer, miner *logmine.Miner) error {
	list := p.list(miner)
	counts := miner.Counts()
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "COUNT\tSHARE\tSEVERITY\tPATTERN\tTEMPLATE\tENTITIES")
	for _, q := range list {
		template := q.Template
		if q.Pattern == otherPattern {
			template = "(lines of no pattern, and of patterns not shown)"
		}
		fmt.Fprintf(t, "%d\t%.1f%%\t%s\t%s\t%s\t%s\n", q.Count, 100*q.Share, q.Severity, q.Pattern, shorten(template), shorten(q.top))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%d lines, %d patterns\n", counts.Lines, len(miner.Patterns()))
	return err
}

// shorten makes text safe and short enough for a terminal: control characters could
// drive it.
func shorten(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > maxTemplateRunes {
		return string(r[:maxTemplateRunes]) + "…"
	}
	return s
}
