package ask

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// build makes the query of what was found.
func (t *logTask) build() (Translation, error) {
	if t.strict && len(t.filters)+len(t.fields) == 0 && !slices.ContainsFunc(t.words, t.sample.isField) {
		return Translation{}, t.refuse("nothing in it is about log lines")
	}
	tr := Translation{Language: LogQL, Time: t.q.Now, Translator: "rules", Concept: "logs", Timed: t.when.told}
	dims, field := t.dimensions()
	measured, err := t.measured()
	if err != nil {
		return Translation{}, err
	}
	var e LogExpr
	switch {
	case measured != nil:
		e = t.unwrapped(measured, dims, field)
		tr.Unit = t.unitOfField(measured)
	case !t.counts(dims):
		e = t.lines(nil)
	default:
		e, tr.Unit = t.counted(dims, field)
	}
	e = t.finish(e, dims)
	tr.Query = e.String()
	if !isMetric(e) || t.in.graph {
		w := t.window(defaultGraph)
		tr.Range = &Range{Start: t.q.Now.Add(-w - t.when.end), End: t.q.Now.Add(-t.when.end), Step: t.step(w)}
	}
	tr.Confidence = t.confidence()
	tr.Explanation = t.explain(dims, e)
	return tr, nil
}

func (t *logTask) window(d time.Duration) time.Duration {
	if t.when.window > 0 {
		return t.when.window
	}
	return d
}

func (t *logTask) step(w time.Duration) time.Duration {
	if rePerMinute.MatchString(t.norm) {
		return time.Minute
	}
	return max(w/maxGraphStep, time.Minute).Round(time.Minute)
}

// counts reports whether a number is asked for rather than lines.
func (t *logTask) counts(dims []string) bool {
	return t.in.count || len(dims) > 0 || t.in.rank != 0 || t.when.compare || t.in.graph || reFraction.MatchString(t.norm) || rePerSecond.MatchString(t.norm) ||
		rePerMinute.MatchString(t.norm) || reEntries.MatchString(t.norm) || t.in.threshold != nil || reThings.MatchString(t.norm) && !reShow.MatchString(t.norm)
}

// dimensions returns the labels that the answer is wanted by, and the field among
// them that lines must be parsed for.
func (t *logTask) dimensions() (dims []string, field *logField) {
	sample := t.sample
	if len(t.hits) > 0 {
		sample = look(t.hits)
	} else if f := t.filters; len(f) > t.last {
		if lines, err := t.read(t.selector(), hitLines); err == nil && len(lines) > 0 {
			sample = look(lines)
		}
	}
	for i, w := range t.words {
		kind := kindWords[w.stem] != nil || w.stem == "message" && t.in.rank != 0
		wanted := kind && (t.in.rank != 0 || t.in.threshold != nil || t.asks(i))
		if w.used || !t.introduced(i) && !wanted {
			continue
		}
		if t.isNameHint(i) && !t.introduced(i) {
			continue
		}
		names := append(slices.Clone(kindWords[w.stem]), w.text, w.stem)
		if w.stem == "message" {
			names = []string{"msg", "message"}
		}
		if at := slices.IndexFunc(names, func(n string) bool { return slices.Contains(t.l.labels, n) && t.hasLabel(n) }); at >= 0 {
			if !slices.Contains(dims, names[at]) {
				dims = append(dims, names[at])
			}
			continue
		}
		if w.stem == "level" && len(t.sample.levels) > 0 {
			dims = append(dims, "detected_level")
			continue
		}
		if f := sample.find(names...); f != nil {
			if slices.ContainsFunc(t.fields, func(st LogStage) bool { l, ok := st.(LabelFilter); return ok && l.Name == f.name && l.Op == "=" }) {
				continue // "by operator ben"
			}
			field = f
			dims = append(dims, f.name)
			if t.sample.format == "plain" && sample.format != "plain" {
				t.sample.format = sample.format
			}
		}
	}
	if len(dims) == 0 && t.slowest() {
		if f := sample.find("path", "route", "url", "uri", "endpoint", "handler", "query"); f != nil {
			return []string{f.name}, f
		}
	}
	return dims, field
}

// hasLabel reports whether the sampled streams have the label.
func (t *logTask) hasLabel(name string) bool {
	return len(t.sample.lines) == 0 || slices.ContainsFunc(t.sample.lines, func(l LogLine) bool { return l.Labels[name] != "" })
}

// isNameHint reports whether word i only says what the name beside it is.
func (t *logTask) isNameHint(i int) bool {
	for _, n := range t.names {
		if slices.Contains(n.at, i-1) || slices.Contains(n.at, i+1) {
			return slices.Contains(kindWords[t.words[i].stem], n.label)
		}
	}
	return false
}

// asks reports whether "which", "what" or "whose" stands before word i.
func (t *logTask) asks(i int) bool {
	before := strings.Fields(t.norm[:min(t.words[i].start, len(t.norm))])
	for k := 1; k <= 2 && k <= len(before); k++ {
		switch before[len(before)-k] {
		case "which", "what", "whose", "every", "each", "many":
			return true
		}
	}
	return false
}

// lines is the selector with all filters, and the parser of field if it has none.
func (t *logTask) lines(field *logField) *LogStreams {
	s := &LogStreams{Matchers: t.sel}
	for _, f := range t.filters { // by text first: what it keeps out need not be parsed
		if _, ok := f.(LineFilter); ok {
			s.Stages = append(s.Stages, f)
		}
	}
	for _, f := range t.filters {
		if _, ok := f.(LineFilter); !ok {
			s.Stages = append(s.Stages, f)
		}
	}
	s.Stages = append(s.Stages, t.fields...)
	if field != nil {
		if p := t.sample.parser(field); p.Kind != t.parsed || p.Kind == "regexp" {
			s.Stages = append(s.Stages, p)
		}
	}
	return s
}

// counted builds how many lines or bytes, how fast, or which share.
func (t *logTask) counted(dims []string, field *logField) (LogExpr, string) {
	fn, unit, w := "count_over_time", "lines", t.window(defaultGraph)
	switch {
	case reEntries.MatchString(t.norm) && rePerSecond.MatchString(t.norm):
		fn, unit, w = "bytes_rate", "bytes per second", t.window(defaultRate)
	case reEntries.MatchString(t.norm):
		fn, unit = "bytes_over_time", "bytes"
	case rePerSecond.MatchString(t.norm) && !reFraction.MatchString(t.norm):
		fn, unit, w = "rate", "lines per second", t.window(defaultRate)
	}
	perMinute := rePerMinute.MatchString(t.norm)
	if t.in.graph {
		w = t.step(t.window(defaultGraph))
	}
	sum := func(s *LogStreams, offset time.Duration) LogExpr {
		return &LogAggregate{Op: "sum", Expr: &LogRange{Func: fn, Streams: s, Window: w, Offset: offset}, By: dims, Grouped: len(dims) > 0}
	}
	e := sum(t.lines(field), t.when.end)
	if perMinute && !t.in.graph && unit == "lines" {
		fn, unit, w = "rate", "lines per minute", t.window(defaultRate)
		e = &LogBinary{Op: "*", L: sum(t.lines(field), t.when.end), R: LogNumber(60)}
	}
	switch {
	case reFraction.MatchString(t.norm):
		return &LogBinary{Op: "/", L: e, R: sum(t.whole(field), t.when.end)}, "ratio"
	case t.when.compare && t.when.offset > 0:
		return &LogBinary{Op: "-", L: e, R: sum(t.lines(field), t.when.end+t.when.offset)}, unit
	}
	return e, unit
}

// reAreLevel asks which of some lines are of a level, rather than which of those of a level are something.
var reAreLevel = regexp.MustCompile(`\b(?:are|is|were|was|been)\b[a-z ]*\b(?:err(?:or)?s?|failures?|warn(?:ing)?s?|fatal|critical|info|debug)\b`)

// whole selects the lines that a share is of: those of the streams, with all that is said of them but their level where
// the question is which are of that level. The parser of field stays: what it is grouped by must be there.
func (t *logTask) whole(field *logField) *LogStreams {
	all := t.lines(field)
	s := &LogStreams{Matchers: t.sel}
	keep := len(t.levels) > 0 && reAreLevel.MatchString(t.norm)
	for _, st := range all.Stages {
		p, parser := st.(LineParser)
		l, label := st.(LabelFilter)
		switch {
		case parser && p.Kind != "regexp" && (field != nil || keep):
		case !keep || parser || label && (l.Name == "detected_level" || slices.Contains(levelKeys, l.Name)):
			continue
		}
		s.Stages = append(s.Stages, st)
	}
	if n := len(s.Stages); n == 1 && field == nil {
		if _, only := s.Stages[0].(LineParser); only {
			s.Stages = nil
		}
	}
	return s
}

// measured returns the field whose values are asked for, nil if lines are counted.
func (t *logTask) measured() (*logField, error) {
	if t.in.quantile == 0 && (t.in.agg == "" || t.in.agg == "sum" && !slices.ContainsFunc(t.words, func(w word) bool { return t.sample.fields[w.text] != nil && t.sample.fields[w.text].numbers > 0 })) {
		return nil, nil //nolint:nilnil // nothing is measured
	}
	s := t.sample
	if len(t.hits) > 0 {
		s = look(t.hits)
	}
	for i, w := range t.words {
		if t.introduced(i) || stopWords[w.text] && s.fields[w.text] == nil {
			continue
		}
		if f := s.find(w.text, w.stem); f != nil && f.numbers+f.times+f.sizes > 0 {
			return f, nil
		}
	}
	if f := t.duration(); f != nil {
		return f, nil
	}
	return nil, t.refuse("no field of these lines is known to hold that number")
}

func (t *logTask) unitOfField(f *logField) string {
	switch {
	case f.times > 0:
		return "seconds"
	case f.sizes > 0:
		return "bytes"
	}
	switch unitOf(f.name) {
	case 1e-3:
		return "ms"
	case 1e-6:
		return "us"
	case 1e-9:
		return "ns"
	}
	if strings.HasSuffix(f.name, "bytes") {
		return "bytes"
	}
	if strings.HasSuffix(f.name, "seconds") {
		return "seconds"
	}
	return ""
}

// unwrapped builds a quantile or another aggregation of the values of a field.
func (t *logTask) unwrapped(f *logField, dims []string, field *logField) LogExpr {
	fn := map[string]string{"avg": "avg_over_time", "max": "max_over_time", "min": "min_over_time", "sum": "sum_over_time"}[t.in.agg]
	if t.in.quantile > 0 {
		fn = "quantile_over_time"
	}
	u := &Unwrap{Label: f.name}
	switch {
	case f.times > f.numbers:
		u.Convert = "duration"
	case f.sizes > f.numbers:
		u.Convert = "bytes"
	}
	s := t.lines(f)
	if field != nil && t.sample.parser(field).Kind == "regexp" {
		s.Stages = append(s.Stages, t.sample.parser(field))
	}
	r := &LogRange{
		Func: fn, Param: t.in.quantile, Streams: s, Unwrap: u, Window: t.window(defaultGraph), Offset: t.when.end,
		After: []LogStage{LabelFilter{Name: "__error__", Op: "=", Text: ""}},
	}
	if t.in.graph {
		r.Window = t.step(t.window(defaultGraph))
	}
	if fn == "sum_over_time" {
		return &LogAggregate{Op: "sum", Expr: r, By: dims, Grouped: len(dims) > 0}
	}
	r.By, r.Grouped = dims, true
	return r
}

// finish puts threshold and ranking on numbers.
func (t *logTask) finish(e LogExpr, dims []string) LogExpr {
	if !isMetric(e) {
		return e
	}
	if s, ok := scale(t.in.unit); ok && s != 1 && reEntries.MatchString(t.norm) {
		e = &LogBinary{Op: "*", L: e, R: LogNumber(s)}
	}
	if th := t.in.threshold; th != nil {
		v := th.value
		if th.percent {
			v /= 100
		}
		return &LogBinary{Op: th.op, L: e, R: LogNumber(v)}
	}
	if t.in.rank != 0 && len(dims) > 0 {
		k := t.in.k
		if k <= 0 || k > 1000 {
			k = defaultTop
		}
		op := "topk"
		if t.in.rank < 0 {
			op = "bottomk"
		}
		return &LogAggregate{Op: op, K: k, Expr: e}
	}
	return e
}

// explain says how the question was understood.
func (t *logTask) explain(dims []string, e LogExpr) string {
	parts := []string{"log lines of " + (&LogStreams{Matchers: t.sel}).String()}
	parts = append(parts, t.told...)
	if isMetric(e) && len(dims) > 0 {
		parts = append(parts, "by "+strings.Join(dims, ", "))
	}
	if t.when.window > 0 {
		parts = append(parts, "over "+model.Duration(t.when.window).String())
	}
	return strings.Join(parts, "; ")
}
