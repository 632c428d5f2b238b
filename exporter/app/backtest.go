package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/portent-dev/portent/internal/allowance"
	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/promapi"
	"github.com/portent-dev/portent/internal/replay"
)

// BacktestOptions says what to replay. Query, From, To and Step are required.
type BacktestOptions struct {
	ConfigFile  string // of the exporter: its detection, and its http_client for the same address; "" = defaults
	Prometheus  string // address; "" = that of the configuration, else http://localhost:9090
	Query       string
	Name        string // of results that have no metric name
	From, To    time.Time
	Step        time.Duration
	Hold        time.Duration      // how long a score must stay above 1
	Sensitivity detect.Sensitivity // "" = that of the configuration
	MaxSeries   int                // of the answer; more are refused and said
	Timeout     time.Duration      // of one query
	Progress    func(done float64) // called after each page
}

// Pages of a backtest.
const (
	// pageSamples is about how many samples a page should hold: 16 MB, and some 60 MB on the wire.
	pageSamples = 1_000_000
	// firstPage is how many steps are asked for before it is known how many series there are.
	firstPage = 240
	// backtestBytes bounds one answer. Series of a page beyond it make the page smaller.
	backtestBytes = 64 << 20
)

// Backtest replays what a query gave over a stretch of time through the detection of the configuration, its groups and what it allows
// to whom, and says what would have fired. It asks for pages of at most promapi.MaxPoints steps, and holds one page at a time.
func Backtest(ctx context.Context, o BacktestOptions) (replay.Report, error) {
	c, err := Load(o.ConfigFile)
	if err != nil {
		return replay.Report{}, err
	}
	if err := o.check(); err != nil {
		return replay.Report{}, err
	}
	client, err := backtestClient(&o, c)
	if err != nil {
		return replay.Report{}, err
	}
	d, err := c.Detection.engine()
	if err != nil {
		return replay.Report{}, err
	}
	d.Sensitivity = cmp.Or(o.Sensitivity, d.Sensitivity)
	d.MaxSeries = o.MaxSeries
	d.StaleAfter = max(d.StaleAfter, 3*o.Step) // a coarse step is no gap
	d.ExpireAfter = max(d.ExpireAfter, d.StaleAfter)
	c.Detection.Sensitivity = d.Sensitivity
	book, notes, err := pastBook(c)
	if err != nil {
		return replay.Report{}, err
	}
	watch, err := newWatch(&c.Detection, book)
	if err != nil {
		return replay.Report{}, err
	}
	past, err := replay.New(replay.Options{
		Detect: d, HoldMs: o.Hold.Milliseconds(), Book: book, Groups: watch, GroupsEveryMs: groupEvery.Milliseconds(), MaxGroups: o.MaxSeries,
	})
	if err != nil {
		return replay.Report{}, err
	}
	steps, rollouts := firstPage, true
	for from := o.From; !from.After(o.To); {
		to := from.Add(time.Duration(steps-1) * o.Step)
		if to.After(o.To) {
			to = o.To
		}
		page, samples, err := readPage(ctx, client, o, from, to)
		if err == nil && rollouts {
			page.Rollouts, err = readRollouts(ctx, client, o, from, to)
			if reason := promapi.ReasonOf(err); err != nil && reason != promapi.ReasonTooLarge && ctx.Err() == nil {
				notes = append(notes, fmt.Sprintf("rollouts are not taken into account: %s", err))
				rollouts, err = false, nil
			}
		}
		if promapi.ReasonOf(err) == promapi.ReasonTooLarge && steps > 1 {
			steps /= 2
			continue
		}
		if err != nil {
			return replay.Report{}, err
		}
		past.Take(page)
		from = to.Add(o.Step)
		if o.Progress != nil {
			o.Progress(min(1, float64(from.Sub(o.From))/float64(max(o.Step, o.To.Sub(o.From)))))
		}
		if samples < pageSamples/2 {
			steps = min(2*steps, promapi.MaxPoints)
		}
	}
	report := past.Report(o.Query)
	report.Notes = notes
	return report, nil
}

// pastBook returns what the exporter of this configuration allows to whom: the windows of the configuration, and the verdicts and
// windows that its state directory keeps, if there is one. Notes say what could not be read.
func pastBook(c Config) (book *allowance.Book, notes []string, err error) {
	options, windows, err := c.allowed()
	if err != nil {
		return nil, nil, err
	}
	book = allowance.New(options)
	book.Plan(windows)
	if c.State.Directory == "" {
		return book, nil, nil
	}
	path := filepath.Join(c.State.Directory, allowancesName)
	data, err := os.ReadFile(path)
	if err == nil {
		err = book.LoadPast(data)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		notes = append(notes, fmt.Sprintf("feedback and declared windows are not taken into account: %s: %s", path, err))
	}
	return book, notes, nil
}

// maxRollouts bounds the series that tell of rollouts: a workload each.
const maxRollouts = 20_000

// readRollouts asks for what tells of rollouts, which the exporter sees in what it is sent. A server without it answers nothing.
func readRollouts(ctx context.Context, client *promapi.Client, o BacktestOptions, from, to time.Time) ([]replay.Series, error) {
	a, err := client.QueryRange(ctx, allowance.RolloutQuery, promapi.Range{Start: from, End: to, Step: o.Step}, 0)
	if err != nil {
		return nil, err
	}
	m, ok := a.Value.(model.Matrix)
	if !ok || len(m) > maxRollouts {
		return nil, fmt.Errorf("%d series tell of them, more than %d", len(m), maxRollouts)
	}
	var out []replay.Series
	for _, s := range m {
		out = append(out, seriesOf(s, ""))
	}
	return out, nil
}

func (o *BacktestOptions) check() error {
	if _, err := parser.NewParser(parser.Options{}).ParseExpr(o.Query); err != nil {
		return fmt.Errorf("query %q: %w", o.Query, err)
	}
	switch {
	case o.Step < time.Millisecond:
		return fmt.Errorf("step %s: want at least 1ms", o.Step)
	case !o.To.After(o.From):
		return errors.New("range: want more than 0s")
	case o.MaxSeries < 1:
		return fmt.Errorf("max series %d: want at least 1", o.MaxSeries)
	case o.Hold < 0:
		return fmt.Errorf("for %s: want no negative one", o.Hold)
	}
	// Multiples of the step, as the exporter evaluates: the same range gives the same answer in whatever second it is asked for.
	o.From, o.To = o.From.Truncate(o.Step), o.To.Truncate(o.Step)
	return nil
}

// backtestClient finds out whom to ask, and with what rights: a server that the configuration names is asked as it says there.
func backtestClient(o *BacktestOptions, c Config) (*promapi.Client, error) {
	known := map[string]config.HTTPClientConfig{}
	var first string
	for _, s := range c.PromQL.Servers {
		first = cmp.Or(first, s.URL)
		known[s.URL] = s.HTTPClient
	}
	if c.Backfill.URL != "" {
		first = cmp.Or(first, c.Backfill.URL)
		known[c.Backfill.URL] = c.Backfill.HTTPClient
	}
	url := cmp.Or(o.Prometheus, first, "http://localhost:9090")
	opts := promapi.Options{URL: url, Timeout: o.Timeout, MaxBytes: backtestBytes}
	if h, ok := known[url]; ok {
		client, err := config.NewClientFromConfig(h, "backtest")
		if err != nil {
			return nil, fmt.Errorf("http_client of %s: %w", url, err)
		}
		opts.Client = client
	}
	return promapi.New(opts)
}

func readPage(ctx context.Context, client *promapi.Client, o BacktestOptions, from, to time.Time) (page replay.Page, samples int, err error) {
	a, err := client.QueryRange(ctx, o.Query, promapi.Range{Start: from, End: to, Step: o.Step}, 0)
	if err != nil {
		return page, 0, err
	}
	m, ok := a.Value.(model.Matrix)
	if !ok {
		return page, 0, fmt.Errorf("the answer holds a %s, want series over time", a.Value.Type())
	}
	if len(m) > o.MaxSeries {
		return page, 0, fmt.Errorf("the query gives %d series, more than %d: aggregate it, or raise --max-series", len(m), o.MaxSeries)
	}
	for _, s := range m {
		b := seriesOf(s, o.Name)
		samples += len(b.Samples)
		page.Series = append(page.Series, b)
	}
	return page, samples, nil
}

// seriesOf returns a series of an answer. One without a metric name is called name.
func seriesOf(s *model.SampleStream, name string) replay.Series {
	b := replay.Series{}
	for n, v := range s.Metric {
		if v != "" {
			b.Labels = append(b.Labels, ingest.Label{Name: string(n), Value: string(v)})
		}
	}
	if s.Metric[model.MetricNameLabel] == "" && name != "" {
		b.Labels = append(b.Labels, ingest.Label{Name: ingest.MetricName, Value: name})
		b.Kind = ingest.KindGauge // the result of an expression is what it is
	}
	slices.SortFunc(b.Labels, func(a, b ingest.Label) int { return strings.Compare(a.Name, b.Name) })
	for _, p := range s.Values {
		b.Samples = append(b.Samples, ingest.Sample{T: int64(p.Timestamp), V: float64(p.Value)})
	}
	return b
}
