package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/mattn/go-isatty"
	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/logmine"
	"github.com/portent-dev/portent/internal/logquery"
)

// patternsCommand registers `portent patterns`: what do these log lines say.
func patternsCommand(app *kingpin.Application) (string, func(stdio) error) {
	p := &patterns{}
	c := app.Command("patterns", "Find the patterns of log lines, in any format: thousands of lines become the few things that they say.")
	c.Flag("assign", "Print each line's pattern, in order of the input, after all of it is read.").BoolVar(&p.assign)
	c.Flag("json", "Print a JSON object a pattern. Default where stdout is no terminal.").BoolVar(&p.json)
	c.Flag("table", "Print a table. Default on a terminal.").BoolVar(&p.table)
	c.Flag("summary", "Print one paragraph, with the pattern and an example behind each clause, and what most probably is the cause.").BoolVar(&p.summary)
	c.Flag("limit", "Print the most frequent patterns only; 0 prints all.").Default("0").IntVar(&p.limit)
	c.Flag("severity", "Print patterns of this severity only; repeat for several.").EnumsVar(&p.severities, "unknown", "debug", "info", "warning", "error", "critical")
	c.Flag("since", "Read the lines of this long until now, or until --to; 1h for a server.").PlaceHolder("DURATION").StringVar(&p.since)
	c.Flag("from", "Read lines from this time on, RFC 3339.").PlaceHolder("TIME").StringVar(&p.from)
	c.Flag("to", "Read lines before this time, RFC 3339; now if not given.").PlaceHolder("TIME").StringVar(&p.to)
	c.Flag("compare", "Compare with another window: previous, or how much earlier it is (1d). Tells what is new, gone, grown and shrunk.").PlaceHolder("previous|DURATION").StringVar(&p.compare)
	c.Flag("max-lines", "Read at most this many lines; 0 reads a file whole, of a server 20000.").Default("0").IntVar(&p.maxLines)
	p.source.register(c)
	c.Arg("file", "Log files; none or - reads standard input.").StringsVar(&p.files)
	return c.FullCommand(), p.run
}

type patterns struct {
	assign, json, table, summary bool
	limit, maxLines              int
	severities                   []string
	since, from, to, compare     string
	files                        []string
	source                       patternsSource
}

func (p *patterns) check() error {
	ways := 0
	for _, set := range []bool{p.assign, p.json, p.table, p.summary} {
		if set {
			ways++
		}
	}
	server := p.source.isServer()
	switch {
	case ways > 1:
		return errors.New("--assign, --json, --table and --summary exclude each other")
	case p.limit < 0:
		return fmt.Errorf("--limit %d: want 0 or more", p.limit)
	case p.maxLines < 0 || p.maxLines > logquery.MaxLines:
		return fmt.Errorf("--max-lines %d: want 0 to %d", p.maxLines, logquery.MaxLines)
	case server && len(p.files) > 0:
		return errors.New("give a server or files, not both")
	case p.assign && (server || p.windowed() || p.compare != "" || len(p.severities) > 0 || len(p.files) > 1):
		return errors.New("--assign tells the pattern of each line of one file or pipe: it goes with no server, window or filter")
	case p.since != "" && p.from != "":
		return errors.New("--since and --from exclude each other")
	case p.compare != "" && !server && !p.windowed():
		return errors.New("--compare needs --since or --from, to say what it compares")
	}
	return p.source.check()
}

func (p *patterns) windowed() bool { return p.since != "" || p.from != "" || p.to != "" }

func (p *patterns) run(std stdio) error {
	if err := p.check(); err != nil {
		return usageError{err}
	}
	if p.assign {
		return p.runAssign(std)
	}
	q, err := p.request(time.Now())
	if err != nil {
		return usageError{err}
	}
	var src logquery.Source = textSource(p.files, std, p.compare != "")
	if p.source.isServer() {
		if src, err = p.source.open(); err != nil {
			return err
		}
	}
	a, err := logquery.Run(context.Background(), src, q)
	if err != nil {
		if wrong := (*logquery.QueryError)(nil); errors.As(err, &wrong) {
			return usageError{err}
		}
		return err
	}
	for _, text := range notesOf(a) {
		fmt.Fprintf(std.err, "portent patterns: %s\n", shorten(text))
	}
	out := bufio.NewWriterSize(std.out, 64<<10)
	switch {
	case p.summary:
		p.printSummary(out, a)
	case p.json || !p.table && !isTerminal(std.out):
		err = p.printJSON(out, a)
	default:
		err = p.printTable(out, a)
	}
	if flushErr := out.Flush(); err == nil {
		err = flushErr
	}
	return err
}

// request says what is asked for.
func (p *patterns) request(now time.Time) (logquery.Request, error) {
	q := logquery.Request{Patterns: p.limit, Limits: logquery.Limits{Lines: p.maxLines}}
	if p.limit == 0 {
		q.Patterns = math.MaxInt
	}
	for _, s := range p.severities {
		q.Severities = append(q.Severities, logmine.ParseSeverity(s))
	}
	since := p.since
	if since == "" && p.from == "" && p.source.isServer() {
		since = "1h"
	}
	if since == "" && !p.windowed() {
		return q, nil
	}
	q.Window.To = now
	for _, one := range []struct {
		flag, text string
		into       *time.Time
	}{{"--from", p.from, &q.Window.From}, {"--to", p.to, &q.Window.To}} {
		if one.text == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339Nano, one.text)
		if err != nil {
			return q, fmt.Errorf("%s %q: want RFC 3339, as 2026-11-22T15:04:05Z", one.flag, one.text)
		}
		*one.into = t.UTC()
	}
	if since != "" {
		d, err := model.ParseDuration(since)
		if err != nil || d <= 0 {
			return q, fmt.Errorf("--since %q: want a duration, as 1h", since)
		}
		q.Window.From = q.Window.To.Add(-time.Duration(d))
	}
	if q.Window.From.IsZero() {
		q.Window.From = time.Unix(0, 0).UTC()
	}
	if !q.Window.From.Before(q.Window.To) {
		return q, fmt.Errorf("the window %s is empty", q.Window)
	}
	err := p.requestCompare(&q)
	return q, err
}

func (p *patterns) requestCompare(q *logquery.Request) error {
	earlier := q.Window.Length()
	switch p.compare {
	case "":
		return nil
	case "previous":
	default:
		d, err := model.ParseDuration(p.compare)
		if err != nil || d <= 0 {
			return fmt.Errorf("--compare %q: want previous or a duration, as 1d", p.compare)
		}
		earlier = time.Duration(d)
	}
	q.Before = &logquery.Window{From: q.Window.From.Add(-earlier), To: q.Window.To.Add(-earlier)}
	return nil
}

// notesOf tells what an answer leaves out.
func notesOf(a *logquery.Answer) []string {
	var out []string
	for _, r := range []*logquery.Read{&a.Read, a.Before} {
		if r == nil {
			continue
		}
		if r.Sampled != "" {
			out = append(out, "sampled: "+r.Sampled)
		}
		for _, t := range r.Partial {
			out = append(out, "partial: "+t)
		}
	}
	return slices.Compact(out)
}

// runAssign prints the pattern of each line.
func (p *patterns) runAssign(std stdio) error {
	path := ""
	if len(p.files) > 0 {
		path = p.files[0]
	}
	in, err := openInput(path, std)
	if err != nil {
		return err
	}
	miner := logmine.New(logmine.Options{KeepRefs: true})
	var refs []logmine.Ref
	err = readLines(in.reader, func(r logmine.Record) { refs = append(refs, miner.AddRecord(&r, 1)) })
	if closeErr := in.close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("%s: %w", in.name, err)
	}
	out := bufio.NewWriterSize(std.out, 64<<10)
	err = printAssigned(out, miner, refs)
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
