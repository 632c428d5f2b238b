package questions

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/datasource-plugin/pkg/dataplane"
	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
	"github.com/portent-dev/portent/internal/ask"
)

// maxPoints of a series. Prometheus refuses more than 11,000 points in a range query.
const maxPoints = 10_000

// plan is a stored query made ready for one time range and one way to show it.
type plan struct {
	f          query.Frozen
	query      string
	start, end time.Time
	grid       *dataplane.Grid // nil for the moment at the end, and for log lines
	isLines    bool            // the result is log lines
	lines      int             // that are wanted at most
	byLevel    bool            // the result is log lines counted by level
	annotated  bool            // the result is drawn as annotations
	limit      int             // of series
	view       query.View      // how it is shown
}

// plan chooses times, step and view. An error is one for the person who wrote the query.
func (r Request) plan(f query.Frozen) (plan, error) {
	p := plan{f: f, limit: cmp.Or(r.Query.Limit, query.DefaultAskSeries), lines: cmp.Or(r.Query.Limit, query.DefaultAskLines), view: r.Query.View}
	if p.view == query.ViewAnnotations { // stretches of a graph, or lines
		p.view, p.annotated = query.ViewTimeSeries, true
		p.limit = min(cmp.Or(r.Query.Limit, maxAnnotations), maxAnnotations)
		p.lines = p.limit
	}
	asked, now := stretches(f, r.To)
	span, ago := f.SpanOf(), f.AgoOf()
	if span > 0 && now.Window > 0 {
		span, ago = now.Window, now.Ago
	}
	p.end = r.To.Add(-ago)
	p.start = r.From.Add(-ago)
	if span > 0 {
		p.start = p.end.Add(-span)
	}
	g := dataplane.Span{From: p.start, To: p.end, Points: r.MaxPoints, MaxPoints: maxPoints, Interval: r.Interval, Scrape: r.Scrape}.Steps()
	p.query = macros(f.Query, g, p.end.Sub(p.start), r.Scrape, f.Graph || p.view == query.ViewTimeSeries)
	var err error
	if p.query, err = ask.Retime(ask.Language(f.Language), p.query, asked, now); err != nil {
		return p, &ask.Violation{Rule: "parse", Reason: fmt.Sprintf("the query does not parse: %v", err)}
	}
	if f.Language == query.LogQL {
		return p.planLogs(r, g)
	}
	switch p.view {
	case query.ViewLogs, query.ViewVolume:
		return p, &query.Error{Text: fmt.Sprintf("view %q: this question is answered with numbers, not with log lines", p.view)}
	case query.ViewTimeSeries:
		p.grid = &g
	case query.ViewAuto:
		if p.view = query.ViewTable; f.Graph {
			p.grid, p.view = &g, query.ViewTimeSeries
		}
		if r.Unattended && p.grid == nil {
			p.view = query.ViewNumeric
		}
	case query.ViewNumeric, query.ViewTable:
	default:
		return p, fmt.Errorf("BUG: view %q", p.view)
	}
	return p, nil
}

// stretches are what the words of a stored query named when it was asked, and what they name now: both 0 where they
// name no time by the clock.
func stretches(f query.Frozen, now time.Time) (asked, at ask.Stretch) {
	if f.When == "" {
		return asked, at
	}
	of := func(t time.Time) ask.Stretch {
		t = f.NowIs(t.Truncate(time.Millisecond))
		return ask.StretchOf(ask.Question{Text: f.When, Now: t, Location: t.Location()})
	}
	return of(time.UnixMilli(f.Asked)), of(now)
}

// planLogs is plan for LogQL, whose query is rewritten where lines are wanted as numbers.
func (p plan) planLogs(r Request, g dataplane.Grid) (plan, error) {
	e, err := ask.ParseLogQL(p.query)
	if err != nil {
		return p, &ask.Violation{Rule: "parse", Reason: fmt.Sprintf("the query does not parse: %v", err)}
	}
	streams, isLines := e.(*ask.LogStreams)
	if isLines && p.annotated {
		p.isLines, p.view = true, query.ViewLogs
		return p, nil
	}
	if isLines && p.view != query.ViewAuto && p.view != query.ViewLogs && p.view != query.ViewTable || isLines && r.Unattended {
		p.f.Unit, p.f.Concept = "lines", "lines" // counted
	}
	switch {
	case isLines && (p.view == query.ViewTimeSeries || p.view == query.ViewVolume):
		p.query, p.grid, p.byLevel, p.view = counted(streams, g.Step, "detected_level").String(), &g, true, query.ViewTimeSeries
	case isLines && (p.view == query.ViewNumeric || r.Unattended):
		p.query, p.view = counted(streams, max(p.end.Sub(p.start), time.Second), "").String(), query.ViewNumeric
	case isLines:
		p.isLines, p.view = true, query.ViewLogs
	case p.view == query.ViewVolume || p.view == query.ViewLogs:
		return p, &query.Error{Text: fmt.Sprintf("view %q: this question is answered with numbers, not with log lines", p.view)}
	case p.view == query.ViewTimeSeries || p.view == query.ViewAuto && p.f.Graph:
		widen(e, p.f.StepOf(), g.Step)
		p.query, p.grid, p.view = e.String(), &g, query.ViewTimeSeries
	case p.view == query.ViewAuto:
		if p.view = query.ViewTable; r.Unattended {
			p.view = query.ViewNumeric
		}
	}
	return p, nil
}

// counted counts lines over windows, by a label if one is given.
func counted(s *ask.LogStreams, window time.Duration, by string) ask.LogExpr {
	a := &ask.LogAggregate{Op: "sum", Expr: &ask.LogRange{Func: "count_over_time", Streams: s, Window: window}}
	if by != "" {
		a.By, a.Grouped = []string{by}, true
	}
	return a
}

// widen gives the windows that were as long as the step of a graph the length of its step now: else a graph that is
// zoomed out would count a part of the lines only.
func widen(e ask.LogExpr, from, to time.Duration) {
	ask.LogRanges(e, func(r *ask.LogRange) {
		if from > 0 && r.Window == from {
			r.Window = to
		}
	})
}

// macros replaces Grafana's names for durations, which the front end leaves to the backend because alert rules have
// no front end. They stand for numbers of ours only.
func macros(text string, g dataplane.Grid, span, scrape time.Duration, graph bool) string {
	if !strings.Contains(text, "$") {
		return text
	}
	span = max(span.Truncate(time.Second), time.Second)
	auto := span
	if graph {
		auto = g.Step
	}
	for _, m := range [...]struct {
		name string
		d    time.Duration
	}{{"rate_interval", max(g.Step+scrape, 4*scrape)}, {"interval", g.Step}, {"range", span}, {"auto", auto}} {
		plain := model.Duration(m.d.Truncate(time.Second)).String()
		for _, form := range [...]struct{ name, value string }{
			{m.name + "_ms", strconv.FormatInt(m.d.Milliseconds(), 10)}, {m.name + "_s", strconv.FormatInt(int64(m.d.Seconds()), 10)}, {m.name, plain},
		} {
			text = strings.ReplaceAll(text, "${__"+form.name+"}", form.value)
			text = strings.ReplaceAll(text, "$__"+form.name, form.value)
		}
	}
	return text
}

// translation is the plan as the gate and the answer want it.
func (p plan) translation() ask.Translation {
	tr := ask.Translation{
		Text: p.f.Text, Language: ask.Language(p.f.Language), Query: p.query, Time: p.end, Unit: p.f.Unit, Concept: p.f.Concept,
		Explanation: p.f.Explanation, Translator: p.f.Translator,
	}
	switch {
	case p.grid != nil:
		tr.Range = &ask.Range{Start: p.grid.From, End: p.grid.To, Step: p.grid.Step}
	case p.isLines:
		tr.Range = &ask.Range{Start: p.start, End: p.end}
	}
	return tr
}
