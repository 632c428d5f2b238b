package ask

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// Mode says what happens with a query that costs more than the limits.
type Mode string

// The modes: cost is not looked at, is told, or forbids. Everything else that Check
// looks at forbids in each of them.
const (
	Off     Mode = "off"
	Warn    Mode = "warn"
	Enforce Mode = "enforce"
)

// Limits bound what a query may cost. Zero fields take the defaults.
type Limits struct {
	Series  int           // of one selector; 20,000: the pods of a large cluster, twice
	Samples int64         // looked at in all; 50 million, Prometheus's own limit
	Range   time.Duration // from the oldest sample to the newest; 31 days
	Points  int           // of one series; 11,000, Prometheus's own limit
	Bytes   uint64        // of log lines read; 20 GiB: about a minute of a small Loki
	// Interval is how far apart samples are thought to lie; 15 s.
	Interval time.Duration
}

func (l Limits) withDefaults() Limits {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&l.Series, 20_000)
	set(&l.Points, 11_000)
	if l.Samples == 0 {
		l.Samples = 50_000_000
	}
	if l.Range == 0 {
		l.Range = 31 * 24 * time.Hour
	}
	if l.Bytes == 0 {
		l.Bytes = 20 << 30
	}
	if l.Interval == 0 {
		l.Interval = 15 * time.Second
	}
	return l
}

// Meter tells what a query would touch, by the servers' indexes.
type Meter interface {
	// CountSeries counts the series of a PromQL selector, to limit at most.
	CountSeries(ctx context.Context, selector string, start, end time.Time, limit int) (int, error)
	// LogBytes returns the bytes that the streams of a LogQL selector hold.
	LogBytes(ctx context.Context, selector string, start, end time.Time) (uint64, error)
}

// Gate is what Check holds a query to. The zero value lets pass what parses.
type Gate struct {
	// Forced matchers are put on every selector. A query cannot see past them,
	// whatever it says.
	Forced []*labels.Matcher
	// Metrics and Logs tell what exists; nil asks for nothing to exist.
	Metrics *Catalog
	Logs    *Logs
	Mode    Mode // "" is Off
	Limits  Limits
	Meter   Meter // needed by Warn and Enforce
}

// Checked is a query that may run.
type Checked struct {
	Query    string // with the forced matchers
	Warnings []string
	Series   int    // most of one selector, if counted
	Bytes    uint64 // of log lines, if asked for
}

// Violation is why a query may not run.
type Violation struct { //nolint:errname // reads as what it is
	Rule   string // parse, read_only, metric, label, scope, cost
	Reason string
}

// Error returns the reason.
func (v *Violation) Error() string { return v.Reason }

func violation(rule, format string, args ...any) error {
	return &Violation{rule, fmt.Sprintf(format, args...)}
}

// maxQueryBytes bounds the text of a query.
const maxQueryBytes = 16 << 10

// maxSelectors bounds how many selectors a query has: each may cost a call.
const maxSelectors = 32

// Check holds a query to the gate, whoever wrote it: a person, rules or a model. It
// returns the query to run, or a *Violation; any other error is a server's.
func (g Gate) Check(ctx context.Context, tr Translation) (Checked, error) {
	if len(tr.Query) > maxQueryBytes {
		return Checked{}, violation("parse", "the query has %d bytes, at most %d are read", len(tr.Query), maxQueryBytes)
	}
	g.Limits = g.Limits.withDefaults()
	if err := g.span(tr); err != nil {
		return Checked{}, err
	}
	switch tr.Language {
	case PromQL:
		return g.checkPromQL(ctx, tr)
	case LogQL:
		return g.checkLogQL(ctx, tr)
	}
	return Checked{}, violation("parse", "%q is no query language that is known here", tr.Language)
}

// span checks the range that the query is to run over.
func (g Gate) span(tr Translation) error {
	if tr.Range == nil {
		return nil
	}
	r := *tr.Range
	if !r.End.After(r.Start) {
		return violation("cost", "the range ends before it starts")
	}
	if tr.Language == LogQL && r.Step == 0 {
		return nil
	}
	if r.Step <= 0 {
		return violation("cost", "the range has no step")
	}
	if points := int64(r.End.Sub(r.Start)/r.Step) + 1; points > int64(g.Limits.Points) {
		return violation("cost", "%d points, at most %d can be shown", points, g.Limits.Points)
	}
	return nil
}

func (g Gate) checkPromQL(ctx context.Context, tr Translation) (Checked, error) {
	// No experimental function: info() reads series that no selector names.
	e, err := parser.NewParser(parser.Options{}).ParseExpr(tr.Query)
	if err != nil {
		return Checked{}, violation("parse", "the query does not parse: %v", err)
	}
	if e.Type() == parser.ValueTypeMatrix || e.Type() == parser.ValueTypeString {
		return Checked{}, violation("parse", "the query gives a %s, not numbers", parser.DocumentedType(e.Type()))
	}
	var all []*parser.VectorSelector
	selectors(e, func(v *parser.VectorSelector) { all = append(all, v) })
	if len(all) > maxSelectors {
		return Checked{}, violation("cost", "%d selectors, at most %d", len(all), maxSelectors)
	}
	known := map[string]bool{model.MetricNameLabel: true, "le": true}
	for _, v := range all {
		if err := g.selector(ctx, v, known); err != nil {
			return Checked{}, err
		}
	}
	if err := g.grouped(e, known); err != nil {
		return Checked{}, err
	}
	for _, v := range all {
		for _, m := range g.Forced {
			constrain(v, m)
		}
	}
	out := Checked{Query: e.String()}
	if err := g.promCost(ctx, e, tr, &out); err != nil {
		return Checked{}, err
	}
	return out, nil
}

// selector checks that a selector names one metric that exists, and labels that the
// metric has, and adds those to known.
func (g Gate) selector(ctx context.Context, v *parser.VectorSelector, known map[string]bool) error {
	name := ""
	for _, m := range v.LabelMatchers {
		if m.Name != model.MetricNameLabel {
			continue
		}
		if m.Type != labels.MatchEqual || m.Value == "" {
			return violation("metric", "%s does not name its metric", v)
		}
		name = m.Value
	}
	if name == "" {
		return violation("metric", "%s does not name its metric", v)
	}
	if g.Metrics == nil {
		return nil
	}
	if !g.Metrics.Has(name) {
		return violation("metric", "there is no metric %q", name)
	}
	has, err := g.Metrics.LabelsOf(ctx, name)
	if err != nil {
		return err
	}
	for _, l := range has {
		known[l] = true
	}
	for _, m := range v.LabelMatchers {
		if m.Name != model.MetricNameLabel && !slices.Contains(has, m.Name) && !g.forces(m.Name) {
			return violation("label", "metric %s has no label %q", name, m.Name)
		}
	}
	return nil
}

func (g Gate) forces(label string) bool {
	return slices.ContainsFunc(g.Forced, func(m *labels.Matcher) bool { return m.Name == label })
}

// grouped checks the labels that results are grouped and joined by.
func (g Gate) grouped(e parser.Expr, known map[string]bool) error {
	var used []string
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.AggregateExpr:
			used = append(used, n.Grouping...)
			if s, ok := n.Param.(*parser.StringLiteral); ok { // count_values makes a label
				known[s.Val] = true
			}
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				used = append(append(used, n.VectorMatching.MatchingLabels...), n.VectorMatching.Include...)
			}
		case *parser.Call:
			if n.Func.Name == "label_replace" || n.Func.Name == "label_join" {
				if s, ok := n.Args[1].(*parser.StringLiteral); ok {
					known[s.Val] = true
				}
			}
		}
		return nil
	})
	if g.Metrics == nil {
		return nil
	}
	for _, l := range used {
		if !known[l] && !g.forces(l) {
			return violation("label", "none of the metrics has a label %q", l)
		}
	}
	return nil
}

// reach is how far back a node looks, and how often it is evaluated for one point.
type reach struct {
	back  time.Duration
	times int64
}

// lookback is how old the newest sample of a series may be.
const lookback = 5 * time.Minute

// promCost estimates what a query reads: for each selector its series, by the index,
// times the samples of its window, times the points of the result.
func (g Gate) promCost(ctx context.Context, e parser.Expr, tr Translation, out *Checked) error {
	if g.Mode == Off || g.Mode == "" {
		return nil
	}
	points, span, end := int64(1), time.Duration(0), tr.Time
	if tr.Range != nil {
		points, span, end = int64(tr.Range.End.Sub(tr.Range.Start)/tr.Range.Step)+1, tr.Range.End.Sub(tr.Range.Start), tr.Range.End
	}
	type use struct {
		v *parser.VectorSelector
		reach
		window time.Duration
	}
	var uses []use
	parser.Inspect(e, func(n parser.Node, path []parser.Node) error {
		v, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		u := use{v: v, reach: reach{max(0, v.OriginalOffset), 1}} // an offset ahead earns nothing
		if v.Timestamp != nil {
			u.back += max(0, end.Sub(time.UnixMilli(*v.Timestamp)))
		}
		for _, p := range path {
			switch p := p.(type) {
			case *parser.MatrixSelector:
				u.window = p.Range
			case *parser.SubqueryExpr:
				step := p.Step
				if step <= 0 {
					step = time.Minute
				}
				u.back += p.Range + max(0, p.OriginalOffset)
				if p.Timestamp != nil {
					u.back += max(0, end.Sub(time.UnixMilli(*p.Timestamp)))
				}
				u.times *= int64(p.Range/step) + 1
			}
		}
		uses = append(uses, u)
		return nil
	})
	var samples int64
	for _, u := range uses {
		if back := u.back + u.window + span; back > g.Limits.Range {
			if err := g.over(out, "it reads %s back, at most %s are allowed", model.Duration(back), model.Duration(g.Limits.Range)); err != nil {
				return err
			}
		}
		if g.Meter == nil {
			return errors.New("BUG: a gate that looks at cost needs a meter")
		}
		sel := (&parser.VectorSelector{Name: u.v.Name, LabelMatchers: u.v.LabelMatchers}).String()
		n, err := g.Meter.CountSeries(ctx, sel, end.Add(-span-u.back-u.window-lookback), end, g.Limits.Series+1)
		if err != nil {
			if err := g.over(out, "what it costs cannot be told: %v", err); err != nil {
				return err
			}
			continue
		}
		out.Series = max(out.Series, n)
		if n > g.Limits.Series {
			if err := g.over(out, "%s has more than %d series", sel, g.Limits.Series); err != nil {
				return err
			}
		}
		samples = saturating(samples, int64(n), points, u.times, 1+int64(u.window/g.Limits.Interval))
	}
	if samples > g.Limits.Samples {
		return g.over(out, "it looks at about %s samples, at most %s are allowed", thousands(samples), thousands(g.Limits.Samples))
	}
	return nil
}

// saturating returns sum + the product of factors, or a very large number.
func saturating(sum int64, factors ...int64) int64 {
	const most = int64(1) << 60
	p := int64(1)
	for _, f := range factors {
		if f > 0 && p > most/f {
			return most
		}
		p *= f
	}
	return min(most, sum+p)
}

func thousands(n int64) string {
	if n < 10_000 {
		return strconv.FormatInt(n, 10)
	}
	return strconv.FormatFloat(float64(n), 'g', 3, 64)
}

// over tells of a limit that is passed, as the mode says.
func (g Gate) over(out *Checked, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if g.Mode == Enforce {
		return &Violation{"cost", text}
	}
	out.Warnings = append(out.Warnings, text)
	return nil
}

func (g Gate) checkLogQL(ctx context.Context, tr Translation) (Checked, error) {
	e, err := ParseLogQL(tr.Query)
	if err != nil {
		return Checked{}, violation("parse", "the query does not parse: %v", err)
	}
	var all []*LogStreams
	e.streams(func(s *LogStreams) { all = append(all, s) })
	if len(all) > maxSelectors {
		return Checked{}, violation("cost", "%d selectors, at most %d", len(all), maxSelectors)
	}
	for _, s := range all {
		if !slices.ContainsFunc(s.Matchers, func(m *labels.Matcher) bool { return !m.Matches("") }) {
			return Checked{}, violation("scope", "%s selects every stream", s)
		}
		for _, m := range append(slices.Clone(s.Matchers), g.Forced...) {
			if g.Logs != nil && !slices.Contains(g.Logs.labels, m.Name) {
				return Checked{}, violation("label", "the logs have no label %q", m.Name)
			}
		}
		for _, m := range g.Forced {
			if !slices.ContainsFunc(s.Matchers, func(o *labels.Matcher) bool { return o.Name == m.Name && o.Type == m.Type && o.Value == m.Value }) {
				s.Matchers = append(s.Matchers, m)
			}
		}
	}
	out := Checked{Query: e.String()}
	if err := g.logCost(ctx, e, tr, &out); err != nil {
		return Checked{}, err
	}
	return out, nil
}

// logCost asks the index how many bytes the streams of each selector hold.
func (g Gate) logCost(ctx context.Context, e LogExpr, tr Translation, out *Checked) error {
	if g.Mode == Off || g.Mode == "" {
		return nil
	}
	if g.Meter == nil {
		return errors.New("BUG: a gate that looks at cost needs a meter")
	}
	start, end := tr.Time, tr.Time
	if tr.Range != nil {
		start, end = tr.Range.Start, tr.Range.End
	}
	for _, r := range logReads(e) {
		from, to := start.Add(-r.back), end.Add(-r.offset)
		if to.Sub(from) > g.Limits.Range {
			if err := g.over(out, "it reads %s of logs, at most %s are allowed", model.Duration(to.Sub(from)), model.Duration(g.Limits.Range)); err != nil {
				return err
			}
		}
		sel := (&LogStreams{Matchers: r.streams.Matchers}).String()
		n, err := g.Meter.LogBytes(ctx, sel, from, to)
		if err != nil {
			if err := g.over(out, "what it costs cannot be told: %v", err); err != nil {
				return err
			}
			continue
		}
		out.Bytes += n
	}
	if out.Bytes > g.Limits.Bytes {
		return g.over(out, "it reads %s of logs, at most %s are allowed", Format(float64(out.Bytes), "bytes"), Format(float64(g.Limits.Bytes), "bytes"))
	}
	return nil
}

// logRead is a selector and how far back it reads.
type logRead struct {
	streams      *LogStreams
	back, offset time.Duration
}

func logReads(e LogExpr) []logRead {
	switch e := e.(type) {
	case *LogStreams:
		return []logRead{{streams: e}}
	case *LogRange:
		return []logRead{{e.Streams, e.Window + e.Offset, e.Offset}}
	case *LogAggregate:
		return logReads(e.Expr)
	case *LogReplace:
		return logReads(e.Expr)
	case *LogBinary:
		return append(logReads(e.L), logReads(e.R)...)
	}
	return nil
}
