package questions

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/data"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"golang.org/x/sync/errgroup"

	"github.com/portent-dev/portent/datasource-plugin/pkg/dataplane"
	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
	"github.com/portent-dev/portent/internal/ask"
)

// Bounds of the annotations of one answer, and of one of them.
const (
	maxAnnotations = 500 // more than a graph can show
	maxTextRunes   = 300 // of a line or a question
	maxTags        = 10
	maxTagRunes    = 60
)

// drawn is one query whose result is drawn as annotations.
type drawn struct {
	plan   plan
	result ask.Result
	title  string             // of the finding; empty for a question that takes one query
	counts func(float64) bool // whether a value, which is a number, is drawn
}

// mark is one annotation before it has its words.
type mark struct {
	from, to time.Time
	open     bool // to is the last step
	peak     float64
	line     *ask.Entry // nil for a stretch of a series
	metric   model.Metric
	key      string
	of       *drawn
}

// stretchesOf returns the stretches of consecutive steps at which a series has a value that counts. A step without a
// number ends one: Prometheus bridges missed scrapes itself.
func (d *drawn) stretchesOf(s *model.SampleStream) []mark {
	var out []mark
	var last time.Time
	g := d.plan.grid
	for _, v := range s.Values {
		t, f := v.Timestamp.Time().UTC(), float64(v.Value)
		if math.IsNaN(f) || !d.counts(f) {
			continue
		}
		if len(out) == 0 || t.Sub(last) > g.Step {
			out = append(out, mark{from: t, peak: f, metric: s.Metric, of: d})
		}
		m := &out[len(out)-1]
		m.to, m.peak, m.open = t, max(m.peak, f), t.Add(g.Step).After(g.To)
		last = t
	}
	return out
}

func (d *drawn) marks() []mark {
	var out []mark
	for i, l := range d.result.Lines {
		out = append(out, mark{from: l.Time, to: l.Time, line: &d.result.Lines[i], of: d})
	}
	for _, s := range d.result.Matrix {
		key := s.Metric.String()
		for _, m := range d.stretchesOf(s) {
			m.key = key
			out = append(out, m)
		}
	}
	return out
}

// annotations of at most limit marks, those that ended last, in the order of time; the text says what was left out.
func (r Request) annotations(all []*drawn, e Explained, limit int) (*data.Frame, string) {
	var marks []mark
	more := ""
	for _, d := range all {
		marks = append(marks, d.marks()...)
		if d.result.Cut {
			more = fmt.Sprintf("At most %d lines are read, the newest.", d.plan.lines)
		}
	}
	if n := len(marks); n > limit {
		slices.SortFunc(marks, func(a, b mark) int {
			return cmp.Or(b.to.Compare(a.to), b.from.Compare(a.from), strings.Compare(a.of.title, b.of.title), strings.Compare(a.key, b.key))
		})
		marks = marks[:limit]
		more = fmt.Sprintf("%d of %d annotations are shown, the newest.", limit, n)
	}
	slices.SortStableFunc(marks, func(a, b mark) int {
		return cmp.Or(a.from.Compare(b.from), strings.Compare(a.of.title, b.of.title), strings.Compare(a.key, b.key))
	})
	sets := map[*drawn][]model.Metric{}
	for _, m := range marks {
		sets[m.of] = append(sets[m.of], m.metric)
	}
	question := clipped(cmp.Or(e.Question, e.Text, e.Explanation), maxTextRunes)
	list := make(dataplane.Annotations, 0, len(marks))
	for _, m := range marks {
		list = append(list, r.annotation(m, question, distinct(sets[m.of])))
	}
	return list.Frame(), more
}

// distinct is the sets without those that stand beside themselves: the stretches of one series.
func distinct(sets []model.Metric) []model.Metric {
	if slices.ContainsFunc(sets, func(m model.Metric) bool { return !m.Equal(sets[0]) }) {
		return sets
	}
	return sets[:min(len(sets), 1)]
}

func (r Request) annotation(m mark, question string, sets []model.Metric) dataplane.Annotation {
	p := m.of.plan
	a := dataplane.Annotation{Time: m.from, End: m.to, Now: p.end}
	var title string
	if m.line != nil {
		labels := model.Metric{}
		for n, v := range m.line.Labels {
			labels[model.LabelName(n)] = model.LabelValue(v)
		}
		title = cmp.Or(stream(labels), capital(p.f.Concept), "Log line")
		a.Text, a.Tags = dataplane.Text(clipped(m.line.Line, maxTextRunes)), tags(labels)
	} else {
		title = p.name(r, m.metric, sets)
		text := "Largest value: " + ask.Format(m.peak, p.f.Unit)
		if m.open {
			a.End = time.Time{}
			if p.end.Equal(r.To) {
				text += ", still going on"
			}
		}
		a.Text, a.Tags = dataplane.Text(question)+"<br>"+dataplane.Text(text), tags(m.metric)
	}
	if m.of.title != "" {
		title = capital(m.of.title) + ": " + title
	}
	a.Title = dataplane.Text(title)
	return a
}

// stream says in words of what a line is.
func stream(labels model.Metric) string {
	var words []string
	for _, n := range telling {
		if v := string(labels[model.LabelName(n)]); v != "" && !slices.Contains(words, v) {
			words = append(words, v)
		}
	}
	return strings.Join(words, " ")
}

// tags are the values of the labels, those that tell first. Grafana parts tags by commas.
func tags(m model.Metric) []string {
	var out []string
	for _, n := range columns([]model.Metric{m}) {
		v := strings.TrimSpace(strings.ReplaceAll(clipped(string(m[model.LabelName(n)]), maxTagRunes), ",", " "))
		if v != "" && !slices.Contains(out, v) {
			out = append(out, v)
		}
		if len(out) == maxTags {
			break
		}
	}
	return out
}

func clipped(s string, runes int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if r := []rune(s); len(r) > runes {
		return string(r[:runes]) + "…"
	}
	return s
}

// annotate draws the answer to a question that takes one query.
func (p plan) annotate(r Request, e Explained, res ask.Result) (data.Frames, string) {
	counts := func(v float64) bool { return v != 0 }
	if p.f.Language == query.PromQL && filters(p.query) {
		counts = func(float64) bool { return true } // up == 0: what is there is what was asked for
	}
	f, more := r.annotations([]*drawn{{plan: p, result: res, counts: counts}}, e, p.limit)
	return data.Frames{f}, more
}

// filters reports whether a query gives only what is in the state that was asked for, whatever its value.
func filters(expr string) bool {
	e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return false
	}
	return isFilter(e)
}

func isFilter(e parser.Expr) bool {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return isFilter(e.Expr)
	case *parser.AggregateExpr:
		return (e.Op == parser.TOPK || e.Op == parser.BOTTOMK) && isFilter(e.Expr)
	case *parser.Call:
		return (e.Func.Name == "sort" || e.Func.Name == "sort_desc") && isFilter(e.Args[0])
	case *parser.BinaryExpr:
		switch e.Op {
		case parser.LAND, parser.LUNLESS:
			return isFilter(e.LHS)
		case parser.LOR:
			return isFilter(e.LHS) && isFilter(e.RHS)
		}
		return e.Op.IsComparisonOperator() && !e.ReturnBool
	}
	return false
}

// annotateBundle draws the stretches in which each part of a question was a finding. What could not be looked at is
// said; where nobody reads that it is an error, because nothing drawn would mean that nothing was wrong.
func (s Servers) annotateBundle(ctx context.Context, r Request, e Explained) (Answer, error) {
	over := r.part()
	over.Query.View = query.ViewAnnotations
	all, errs := make([]*drawn, len(e.Parts)), make([]error, len(e.Parts))
	r.tell(Running)
	var g errgroup.Group // no shared context: one failure cancels nothing
	g.SetLimit(partsAtOnce)
	for i, p := range e.Parts {
		g.Go(func() error {
			d := &drawn{title: p.Title, counts: findingAbove(askPart(p))}
			d.plan, d.result, errs[i] = s.once(ctx, over, p.Frozen)
			all[i] = d
			return nil
		})
	}
	_ = g.Wait()
	var kept []*drawn
	var executed []string
	limit := min(cmp.Or(r.Query.Limit, maxAnnotations), maxAnnotations)
	for i, p := range e.Parts {
		executed = append(executed, "# "+p.Title, cmp.Or(all[i].plan.query, p.Query))
		switch err := errs[i]; {
		case err == nil:
			kept = append(kept, all[i])
		case r.Unattended || ctx.Err() != nil || i == len(e.Parts)-1 && len(kept) == 0:
			return Answer{}, fmt.Errorf("%s: %w", p.Title, err)
		default:
			e.Warnings = append(e.Warnings, fmt.Sprintf("Not looked at: %s – %v.", p.Title, err))
		}
	}
	f, more := r.annotations(kept, e, limit)
	r.tell(Answered)
	return Answer{e, dataplane.Finish(described(data.Frames{f}, e), strings.Join(executed, "\n"), notices(e, more))}, nil
}

// findingAbove tells which values of a part are a finding, as the table of findings has it.
func findingAbove(p ask.Part) func(float64) bool {
	if p.Found(ask.Result{Vector: model.Vector{{Value: model.SampleValue(math.Inf(-1))}}}) { // what is listed is in the state
		return func(float64) bool { return true }
	}
	return func(v float64) bool { return v > p.Above }
}
