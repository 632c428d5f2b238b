package main

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/detect/group"
)

// scoreCommand registers `portent score`: how unusual is each row of a CSV file,
// given the rows before it.
func scoreCommand(app *kingpin.Application) (string, func(stdio) error) {
	s := &score{}
	c := app.Command("score", "Score the rows of a CSV file (timestamp,<column>[,<column>...]) against the rows before them: "+
		"0 to 1 is normal, above 1 anomalous. Prints CSV, a row for each row.")
	c.Flag("sensitivity", "How rarely an unchanged series may cross 1: low once a year, medium once a quarter, high once a week.").
		Default(string(detect.Medium)).EnumVar(&s.sensitivity, string(detect.Low), string(detect.Medium), string(detect.High))
	var names, lines []string
	for _, r := range detect.Builtin {
		names, lines = append(names, r.Name), append(lines, r.Name+": "+r.Does)
	}
	c.Flag("detector", "Which detector. "+strings.Join(lines, "; ")+".").Default(detect.DefaultDetector).EnumVar(&s.detector, names...)
	c.Flag("timezone", "IANA name of the place whose days the series follow.").Default("UTC").StringVar(&s.timezone)
	c.Flag("plot", "Write a page with charts to this file: values, the range of the usual, scores and what fired.").PlaceHolder("OUT.HTML").StringVar(&s.plot)
	c.Arg("file", "CSV file; none or - reads standard input.").StringVar(&s.file)
	return c.FullCommand(), s.run
}

type score struct {
	sensitivity, detector, timezone, file, plot string
}

func (s *score) run(std stdio) error {
	row, err := detect.Lookup(s.detector)
	if err != nil {
		return usageError{err}
	}
	location, err := time.LoadLocation(s.timezone)
	if err != nil {
		return usageError{fmt.Errorf("time zone %q: %w", s.timezone, err)}
	}
	in, err := openInput(s.file, std)
	if err != nil {
		return err
	}
	config := detect.Config{Sensitivity: detect.Sensitivity(s.sensitivity), Location: location}
	out := bufio.NewWriterSize(std.out, 64<<10)
	var drawn *plot // nothing is kept when nobody looks
	if s.plot != "" {
		drawn = &plot{}
	}
	late, err := scoreCSV(bufio.NewReaderSize(in.reader, 64<<10), out, row, config, drawn)
	if closeErr := in.close(); err == nil {
		err = closeErr
	}
	if flushErr := out.Flush(); err == nil {
		err = flushErr
	}
	if err != nil {
		return fmt.Errorf("%s: %w", in.name, err)
	}
	if drawn != nil {
		if err := drawn.write(s.plot, in.name, config, row.Name); err != nil {
			return err
		}
	}
	if late > 0 {
		fmt.Fprintf(std.err, "portent score: %d rows are not later than the row before them: they are not scored (anomaly_score 0)\n", late)
	}
	return nil
}

// scoreCSV scores in, row for row, and returns how many rows were not later than
// their predecessor.
func scoreCSV(in *bufio.Reader, out *bufio.Writer, row detect.Row, config detect.Config, drawn *plot) (late int, err error) {
	lines := csv.NewReader(in)
	lines.ReuseRecord = true
	lines.TrimLeadingSpace = true
	head, err := lines.Read()
	if err != nil {
		return 0, headError(err)
	}
	columns, err := checkHead(head)
	if err != nil {
		return 0, err
	}
	t := newTable(columns, row, config)
	if _, err := out.Write(t.head()); err != nil {
		return 0, err
	}
	for {
		record, err := lines.Read()
		if errors.Is(err, io.EOF) {
			return t.late, nil
		}
		if err != nil {
			return t.late, csvError(err)
		}
		if err := t.read(record); err != nil {
			line, _ := lines.FieldPos(0)
			return t.late, fmt.Errorf("line %d: %w", line, err)
		}
		drawn.add(t)
		if _, err := out.Write(t.line(record[0])); err != nil {
			return t.late, err
		}
		// Whoever follows a pipe sees each row when it is read, not when a buffer
		// is full; as long as input is waiting, output may wait too.
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return t.late, err
			}
		}
	}
}

func headError(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("no header: want a first line `timestamp,<column>[,<column>...]`")
	}
	return csvError(err)
}

// csvError words what encoding/csv found, line first, as all our errors do.
func csvError(err error) error {
	var p *csv.ParseError
	if errors.As(err, &p) {
		return fmt.Errorf("line %d: %w", p.Line, p.Err)
	}
	return err
}

// checkHead returns the names of the value columns.
func checkHead(head []string) ([]string, error) {
	first := strings.TrimPrefix(head[0], "\ufeff") // as spreadsheets write it
	if !strings.EqualFold(strings.TrimSpace(first), "timestamp") {
		return nil, fmt.Errorf("line 1: first column %q: want a header `timestamp,<column>[,<column>...]`", first)
	}
	if len(head) < 2 {
		return nil, errors.New("line 1: no column besides timestamp")
	}
	seen := map[string]bool{}
	var columns []string
	for i, name := range head[1:] {
		name = strings.TrimSpace(name)
		if name == "" {
			return nil, fmt.Errorf("line 1: column %d has no name", i+2)
		}
		if seen[name] {
			return nil, fmt.Errorf("line 1: two columns are named %q", name)
		}
		seen[name] = true
		columns = append(columns, name)
	}
	return columns, nil
}

// table is the state of all columns and the newest row.
type table struct {
	columns []string
	bank    detect.Bank
	outputs []detect.Output // newest of each column
	scored  []bool          // of this row: there was a sample
	missed  []float64       // of this row: the score of a sample that ought to have been there; 0 where none was missed
	joined  *group.Columns  // nil for one column
	joint   float64         // of this row
	last    int64           // Unix ms of the newest row that was in order
	begun   bool
	late    int
	buf     []byte
}

func newTable(columns []string, row detect.Row, config detect.Config) *table {
	n := len(columns)
	t := &table{columns: columns, bank: row.Open(config), outputs: make([]detect.Output, n), scored: make([]bool, n), missed: make([]float64, n)}
	for i := range columns {
		t.bank.Reset(i)
	}
	if n > 1 {
		t.joined = group.NewColumns(config.Sensitivity, n)
	}
	return t
}

func (t *table) head() []byte {
	if len(t.columns) == 1 {
		return []byte("timestamp,anomaly_score,expected,lower,upper\n")
	}
	var b strings.Builder
	w := csv.NewWriter(&b)
	names := []string{"timestamp", "anomaly_score"}
	for _, c := range t.columns {
		names = append(names, "anomaly_score:"+c)
	}
	_ = w.Write(names) // into memory: cannot fail
	w.Flush()
	return []byte(b.String())
}

// read takes one row of input.
func (t *table) read(record []string) error {
	at, err := parseTime(record[0])
	if err != nil {
		return err
	}
	clear(t.scored)
	clear(t.missed)
	t.joint = 0
	if t.begun && at <= t.last {
		t.late++
		return nil
	}
	t.last, t.begun = at, true
	for i, cell := range record[1:] {
		cell = strings.TrimSpace(cell)
		if cell == "" {
			if o, ok := t.bank.Miss(i, at, t.outputs[i]); ok {
				t.missed[i] = o.Score
			}
			continue
		}
		v, err := strconv.ParseFloat(cell, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) { // 1e999 is +Inf: no value, no error
			return fmt.Errorf("column %q: %q is not a number", t.columns[i], cell)
		}
		t.bank.Observe(i, at, v, &t.outputs[i])
		t.scored[i] = true
	}
	if t.joined != nil {
		t.joint = max(t.joined.Joint(at, t.outputs, t.scored), slices.Max(t.missed))
	}
	return nil
}

// line returns the newest row as output, valid until the next call.
func (t *table) line(timestamp string) []byte {
	b := append(t.buf[:0], timestamp...)
	if len(t.columns) == 1 {
		o := t.outputs[0]
		ready := t.scored[0] && o.Ready
		b = t.appendScore(b, 0)
		for _, v := range [...]float64{o.Expected, o.Lower, o.Upper} {
			b = append(b, ',')
			if ready {
				b = strconv.AppendFloat(b, v, 'g', -1, 64)
			}
		}
	} else {
		b = append(b, ',')
		b = strconv.AppendFloat(b, t.joint, 'g', -1, 64)
		for i := range t.columns {
			b = t.appendScore(b, i)
		}
	}
	t.buf = append(b, '\n')
	return t.buf
}

func (t *table) appendScore(b []byte, i int) []byte {
	b = append(b, ',')
	if !t.scored[i] {
		return strconv.AppendFloat(b, t.missed[i], 'g', -1, 64)
	}
	return strconv.AppendFloat(b, t.outputs[i].Score, 'g', -1, 64)
}

// timeLayouts are what parseTime takes, the usual first. A time without a zone is UTC.
var timeLayouts = []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04"}

// parseTime reads a timestamp: RFC 3339, or `2006-01-02 15:04:05`. It returns Unix ms.
func parseTime(text string) (int64, error) {
	text = strings.TrimSpace(text)
	for _, layout := range timeLayouts {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UnixMilli(), nil
		}
	}
	return 0, fmt.Errorf("timestamp %q: want RFC 3339 or `2006-01-02 15:04:05`", text)
}
