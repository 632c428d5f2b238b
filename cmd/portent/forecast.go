package main

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/forecast"
)

// forecastCommand registers `portent forecast`: where an evenly spaced series goes.
func forecastCommand(app *kingpin.Application) (string, func(stdio) error) {
	f := &forecaster{}
	c := app.Command("forecast", "Forecast an evenly spaced series (CSV timestamp,value; an empty value is a gap). "+
		"Prints CSV timestamp,forecast,lower,upper, a row for each future step.")
	c.Flag("horizon", "How far ahead: a number of steps, or a duration such as 7d.").Required().StringVar(&f.horizon)
	c.Flag("level", "Share of the future values that lower to upper is to hold.").Default("0.95").Float64Var(&f.level)
	c.Arg("file", "CSV file; none or - reads standard input.").StringVar(&f.file)
	return c.FullCommand(), f.run
}

type forecaster struct {
	horizon, file string
	level         float64
}

func (f *forecaster) run(std stdio) error {
	if !(f.level > 0 && f.level < 1) {
		return usageError{fmt.Errorf("--level %v: want more than 0 and less than 1, such as 0.95", f.level)}
	}
	horizon, err := parseHorizon(f.horizon)
	if err != nil {
		return usageError{err}
	}
	in, err := openInput(f.file, std)
	if err != nil {
		return err
	}
	series, err := readSeries(bufio.NewReaderSize(in.reader, 64<<10))
	if closeErr := in.close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("%s: %w", in.name, err)
	}
	steps, err := horizon.steps(series.Step)
	if err != nil {
		return usageError{fmt.Errorf("--horizon %s: %w", f.horizon, err)}
	}
	next, err := forecast.Next(series, forecast.Options{Horizon: steps, Level: f.level})
	if err != nil {
		return fmt.Errorf("%s: %w", in.name, err)
	}
	return printForecast(std.out, next)
}

// horizon is a number of steps, or a time.
type horizon struct {
	count int
	long  time.Duration
}

func parseHorizon(text string) (horizon, error) {
	if n, err := strconv.Atoi(text); err == nil {
		if n < 1 || n > forecast.MaxHorizon {
			return horizon{}, fmt.Errorf("--horizon %d: want 1 to %d steps", n, forecast.MaxHorizon)
		}
		return horizon{count: n}, nil
	}
	d, err := model.ParseDuration(text)
	if err != nil || d <= 0 {
		return horizon{}, fmt.Errorf("--horizon %q: want a number of steps such as 48, or a duration such as 12h or 7d", text)
	}
	return horizon{long: time.Duration(d)}, nil
}

func (h horizon) steps(stepMs int64) (int, error) {
	if h.count > 0 {
		return h.count, nil
	}
	steps := h.long.Milliseconds() / stepMs
	step := time.Duration(stepMs) * time.Millisecond
	if steps < 1 {
		return 0, fmt.Errorf("shorter than the step of the series, %s", step)
	}
	if steps > forecast.MaxHorizon {
		return 0, fmt.Errorf("%d steps of %s: want at most %d steps", steps, step, forecast.MaxHorizon)
	}
	return int(steps), nil
}

// readSeries reads CSV timestamp,value. The first two rows give the step.
func readSeries(in io.Reader) (forecast.Series, error) {
	lines := csv.NewReader(in)
	lines.ReuseRecord, lines.TrimLeadingSpace = true, true
	var s forecast.Series
	head, err := lines.Read()
	if errors.Is(err, io.EOF) {
		return s, errors.New("no header: want a first line `timestamp,value`")
	}
	if err != nil {
		return s, csvError(err)
	}
	columns, err := checkHead(head)
	if err != nil {
		return s, err
	}
	if len(columns) != 1 {
		return s, fmt.Errorf("line 1: %d columns besides timestamp: want one, `timestamp,value`", len(columns))
	}
	for {
		record, err := lines.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return s, csvError(err)
		}
		if err := addRow(&s, record); err != nil {
			line, _ := lines.FieldPos(0)
			return s, fmt.Errorf("line %d: %w", line, err)
		}
	}
	if len(s.Values) < 2 {
		return s, fmt.Errorf("%d rows after the header: want at least %d, evenly spaced", len(s.Values), forecast.MinPoints)
	}
	return s, nil
}

// addRow adds a row to s, which must follow the one before by the step of the series.
func addRow(s *forecast.Series, record []string) error {
	at, err := parseTime(record[0])
	if err != nil {
		return err
	}
	text := strings.TrimSpace(record[1])
	v := math.NaN()
	if text != "" {
		if v, err = strconv.ParseFloat(text, 64); err != nil && !errors.Is(err, strconv.ErrRange) {
			return fmt.Errorf("value %q: want a number, or nothing for a gap", text)
		}
	}
	switch n := len(s.Values); n {
	case forecast.MaxPoints:
		return fmt.Errorf("more than %d rows: want fewer, or a longer step", forecast.MaxPoints)
	case 0:
		s.Start = at
	case 1:
		if s.Step = at - s.Start; s.Step <= 0 {
			return fmt.Errorf("timestamp %s is not later than the row before: want times that ascend", record[0])
		}
	default:
		if want := s.Start + int64(n)*s.Step; at != want {
			return fmt.Errorf("timestamp %s: want %s, as the first two rows are %s apart and rows are evenly spaced (leave the value of a missing row empty)",
				record[0], time.UnixMilli(want).UTC().Format(time.RFC3339Nano), time.Duration(s.Step)*time.Millisecond)
		}
	}
	s.Values = append(s.Values, v)
	return nil
}

func printForecast(to io.Writer, f forecast.Forecast) error {
	out := bufio.NewWriter(to)
	b := []byte("timestamp,forecast,lower,upper\n")
	for _, p := range f.Points {
		b = time.UnixMilli(p.T).UTC().AppendFormat(b, time.RFC3339Nano)
		for _, v := range [...]float64{p.Value, p.Lower, p.Upper} {
			b = strconv.AppendFloat(append(b, ','), v, 'g', -1, 64)
		}
		b = append(b, '\n')
		if _, err := out.Write(b); err != nil {
			return err
		}
		b = b[:0]
	}
	return out.Flush()
}
