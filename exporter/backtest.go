package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/mattn/go-isatty"
	"github.com/prometheus/common/model"
	"github.com/schollz/progressbar/v3"

	"github.com/portent-dev/portent/exporter/app"
	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/replay"
	"github.com/portent-dev/portent/internal/web"
)

// backtestName is the command beside serving, which has none.
const backtestName = "backtest"

// backtestFlags are those of `portent-exporter backtest`.
type backtestFlags struct {
	options                        app.BacktestOptions
	sensitivity, end, window, step string
	hold, timeout                  string
	plot                           string
	json                           bool
	lines                          int
}

// runBacktest says what would have fired in the past. It returns the exit code: 0, 1 for a failure, 2 for wrong usage.
func runBacktest(args []string, out, errs io.Writer) int {
	f := &backtestFlags{}
	k := kingpin.New(app.Name+" "+backtestName, "Say what would have fired: replays what a query gave over the past through the detection.")
	k.UsageWriter(out).ErrorWriter(errs)
	k.HelpFlag.Short('h')
	k.Flag("query", "PromQL expression to replay.").Required().StringVar(&f.options.Query)
	k.Flag("range", "How far back, as in 30d.").Default("7d").StringVar(&f.window)
	k.Flag("step", "Time between two values.").Default("1m").StringVar(&f.step)
	k.Flag("end", "RFC 3339 time at which the range ends; now by default.").StringVar(&f.end)
	k.Flag("prometheus", "Address of a Prometheus, or what speaks its API. By default that of the configuration, else http://localhost:9090.").StringVar(&f.options.Prometheus)
	k.Flag("config.file", "Configuration of the exporter, of which detection, groups, maintenance and rollouts are used, the feedback in its state directory, and http_client where it names the same server.").StringVar(&f.options.ConfigFile)
	k.Flag("sensitivity", "low, medium or high; by default that of the configuration.").
		EnumVar(&f.sensitivity, "", string(detect.Low), string(detect.Medium), string(detect.High))
	k.Flag("for", "How long the score must stay above 1, as `for` of an alert rule.").Default("1m").StringVar(&f.hold)
	k.Flag("name", "What to call results that have no metric name.").Default("query").StringVar(&f.options.Name)
	k.Flag("max-series", "Most series that the query may give.").Default("1000").IntVar(&f.options.MaxSeries)
	k.Flag("timeout", "Of one query.").Default("2m").StringVar(&f.timeout)
	k.Flag("plot", "Write a page with charts to this file.").PlaceHolder("OUT.HTML").StringVar(&f.plot)
	k.Flag("json", "Print JSON instead of a table.").BoolVar(&f.json)
	k.Flag("lines", "Most lines of the table; 0 prints all.").Default("50").IntVar(&f.lines)
	ended := -1
	k.Terminate(func(code int) { ended = code })
	_, err := k.Parse(args)
	if ended >= 0 {
		return ended
	}
	if err == nil {
		err = f.complete(time.Now())
	}
	if err != nil {
		fmt.Fprintf(errs, "%s %s: %s, try --help\n", app.Name, backtestName, err)
		return 2
	}
	if err := f.run(out, errs); err != nil {
		fmt.Fprintf(errs, "%s %s: %s\n", app.Name, backtestName, err)
		return 1
	}
	return 0
}

// complete reads the times.
func (f *backtestFlags) complete(now time.Time) error {
	o := &f.options
	o.Sensitivity = detect.Sensitivity(f.sensitivity)
	o.To = now
	if f.end != "" {
		t, err := time.Parse(time.RFC3339, f.end)
		if err != nil {
			return fmt.Errorf("--end %q: want RFC 3339, as in 2026-03-01T12:00:00Z", f.end)
		}
		o.To = t
	}
	var window time.Duration
	for _, d := range []struct {
		name, text string
		into       *time.Duration
	}{{"range", f.window, &window}, {"step", f.step, &o.Step}, {"for", f.hold, &o.Hold}, {"timeout", f.timeout, &o.Timeout}} {
		v, err := model.ParseDuration(d.text)
		if err != nil {
			return fmt.Errorf("--%s %q: want a duration such as 30d, 1h30m or 15s", d.name, d.text)
		}
		*d.into = time.Duration(v)
	}
	o.From = o.To.Add(-window)
	return nil
}

func (f *backtestFlags) run(out, errs io.Writer) (err error) {
	ctx, stop := web.SignalContext(context.Background())
	defer stop()
	bar, done := progress(errs, "replaying")
	f.options.Progress = bar
	report, err := app.Backtest(ctx, f.options)
	done()
	if err != nil {
		return err
	}
	if len(report.Series) == 0 {
		return errors.New("the query gives no series in this range: check it with the same range in Prometheus")
	}
	if f.plot != "" {
		if err := writePlot(f.plot, &report); err != nil {
			return err
		}
	}
	if f.json {
		e := json.NewEncoder(out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(report)
	}
	return report.Table(out, f.lines)
}

// writePlot writes the page whole or not at all.
func writePlot(path string, r *replay.Report) error {
	var b strings.Builder
	if err := r.HTML(&b); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

// progress shows a bar on a terminal, for work that takes longer than a second.
func progress(errs io.Writer, what string) (show func(float64), done func()) {
	file, ok := errs.(*os.File)
	if !ok || !isatty.IsTerminal(file.Fd()) {
		return func(float64) {}, func() {}
	}
	const whole = 1000
	bar := progressbar.NewOptions(whole, progressbar.OptionSetWriter(file), progressbar.OptionSetDescription(what),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionSetRenderBlankState(false))
	start := time.Now()
	return func(v float64) {
			if time.Since(start) > time.Second {
				_ = bar.Set(int(v * whole)) // only a picture
			}
		}, func() {
			_ = bar.Finish()
		}
}
