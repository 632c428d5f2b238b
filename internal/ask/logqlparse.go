package ask

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// Bounds of a LogQL text.
const (
	maxLogQLBytes = 8192
	maxLogQLDepth = 32
)

// rangeFuncs are the range aggregations, true for those that need an unwrap.
var rangeFuncs = map[string]bool{
	"rate": false, "count_over_time": false, "bytes_over_time": false, "bytes_rate": false, "absent_over_time": false,
	"sum_over_time": true, "avg_over_time": true, "min_over_time": true, "max_over_time": true, "stddev_over_time": true,
	"stdvar_over_time": true, "quantile_over_time": true, "first_over_time": true, "last_over_time": true, "rate_counter": true,
}

var vectorOps = []string{"sum", "avg", "min", "max", "count", "stddev", "stdvar", "topk", "bottomk", "sort", "sort_desc"}

// ParseLogQL reads the part of LogQL that LogExpr can hold. Everything else, right
// or wrong, is an error that says where: what is not known is not let through.
func ParseLogQL(text string) (LogExpr, error) {
	if len(text) > maxLogQLBytes {
		return nil, fmt.Errorf("the query has %d bytes, at most %d are read", len(text), maxLogQLBytes)
	}
	toks, err := lexLogQL(text)
	if err != nil {
		return nil, err
	}
	p := &logParser{toks: toks}
	e, err := p.expr(0)
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != 'e' {
		return nil, p.unexpected("the end")
	}
	return e, nil
}

// logToken is a token: 'i' a name, 's' a string, 'n' a number, 'd' a duration or
// size, 'o' an operator or bracket, 'e' the end.
type logToken struct {
	kind byte
	text string // strings unquoted
	at   int
}

var (
	reLogName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*`)
	reLogSize = regexp.MustCompile(`^(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|[smhdwy]|[kKMGT]?i?B))+`)
	reLogNum  = regexp.MustCompile(`^\d+(?:\.\d+)?(?:[eE][+-]?\d+)?`)
	logOps    = []string{"|=", "!=", "|~", "!~", "=~", "==", ">=", "<=", "=", ">", "<", "|", "{", "}", "(", ")", "[", "]", ",", "+", "-", "*", "/", "%", "^"}
)

func lexLogQL(s string) ([]logToken, error) {
	var out []logToken
	for i := 0; i < len(s); {
		switch c := s[i]; c {
		case ' ', '\t', '\n', '\r':
			i++
		case '"', '`':
			q, err := strconv.QuotedPrefix(s[i:])
			if err != nil {
				return nil, fmt.Errorf("at byte %d: a string that does not end", i)
			}
			text, err := strconv.Unquote(q)
			if err != nil {
				return nil, fmt.Errorf("at byte %d: %w", i, err)
			}
			out = append(out, logToken{'s', text, i})
			i += len(q)
		default:
			t := logToken{at: i}
			if m := reLogName.FindString(s[i:]); m != "" {
				t.kind, t.text = 'i', m
			} else if m := reLogSize.FindString(s[i:]); m != "" {
				t.kind, t.text = 'd', m
			} else if m := reLogNum.FindString(s[i:]); m != "" {
				t.kind, t.text = 'n', m
			} else if at := slices.IndexFunc(logOps, func(op string) bool { return strings.HasPrefix(s[i:], op) }); at >= 0 {
				t.kind, t.text = 'o', logOps[at]
			} else {
				return nil, fmt.Errorf("at byte %d: %q is not known here", i, s[i:min(len(s), i+1)])
			}
			out = append(out, t)
			i += len(t.text)
		}
	}
	return append(out, logToken{'e', "the end", len(s)}), nil
}

type logParser struct {
	toks  []logToken
	at    int
	depth int
}

func (p *logParser) peek() logToken { return p.toks[p.at] }

func (p *logParser) next() logToken {
	t := p.toks[p.at]
	if t.kind != 'e' {
		p.at++
	}
	return t
}

func (p *logParser) unexpected(want string) error {
	t := p.peek()
	return fmt.Errorf("at byte %d: got %q, want %s", t.at, t.text, want)
}

// op takes an operator if it is next.
func (p *logParser) op(text string) bool {
	if t := p.peek(); t.kind == 'o' && t.text == text {
		p.at++
		return true
	}
	return false
}

func (p *logParser) want(text string) error {
	if !p.op(text) {
		return p.unexpected(text)
	}
	return nil
}

// precedence of the binary operators, as PromQL has it.
var precedence = map[string]int{"==": 1, "!=": 1, ">": 1, ">=": 1, "<": 1, "<=": 1, "+": 2, "-": 2, "*": 3, "/": 3, "%": 3, "^": 4}

func (p *logParser) expr(above int) (LogExpr, error) {
	if p.depth++; p.depth > maxLogQLDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxLogQLDepth)
	}
	defer func() { p.depth-- }()
	l, err := p.operandExpr()
	if err != nil {
		return nil, err
	}
	for {
		t := p.peek()
		prec := precedence[t.text]
		if t.kind != 'o' || prec == 0 || prec <= above {
			return l, nil
		}
		p.at++
		b := &LogBinary{Op: t.text, L: l}
		if n := p.peek(); n.kind == 'i' && n.text == "bool" && prec == 1 {
			p.at++
			b.Bool = true
		}
		r, err := p.expr(prec)
		if err != nil {
			return nil, err
		}
		if !isMetric(l) || !isMetric(r) {
			return nil, fmt.Errorf("at byte %d: %s joins numbers, not log lines", t.at, t.text)
		}
		b.R = r
		l = b
	}
}

func (p *logParser) operandExpr() (LogExpr, error) {
	t := p.peek()
	switch {
	case t.kind == 'n':
		p.at++
		f, err := strconv.ParseFloat(t.text, 64)
		return LogNumber(f), err
	case t.kind == 'o' && t.text == "(":
		p.at++
		e, err := p.expr(0)
		if err != nil {
			return nil, err
		}
		return e, p.want(")")
	case t.kind == 'o' && t.text == "{":
		return p.streams()
	case t.kind == 'i':
		if _, ok := rangeFuncs[t.text]; ok {
			return p.rangeAgg()
		}
		if slices.Contains(vectorOps, t.text) {
			return p.vectorAgg()
		}
		return nil, fmt.Errorf("at byte %d: function %q is not known here", t.at, t.text)
	}
	return nil, p.unexpected("a selector, a number or a function")
}

func (p *logParser) streams() (*LogStreams, error) {
	s := &LogStreams{}
	if err := p.want("{"); err != nil {
		return nil, err
	}
	for !p.op("}") {
		if len(s.Matchers) > 0 {
			if err := p.want(","); err != nil {
				return nil, err
			}
		}
		m, err := p.matcher()
		if err != nil {
			return nil, err
		}
		s.Matchers = append(s.Matchers, m)
	}
	for {
		st, err := p.stage()
		if err != nil {
			return nil, err
		}
		if st == nil {
			return s, nil
		}
		s.Stages = append(s.Stages, st)
	}
}

var matchTypes = map[string]labels.MatchType{"=": labels.MatchEqual, "!=": labels.MatchNotEqual, "=~": labels.MatchRegexp, "!~": labels.MatchNotRegexp}

func (p *logParser) matcher() (*labels.Matcher, error) {
	name := p.next()
	if name.kind != 'i' {
		p.at--
		return nil, p.unexpected("a label")
	}
	op := p.next()
	typ, ok := matchTypes[op.text]
	if op.kind != 'o' || !ok {
		return nil, fmt.Errorf("at byte %d: got %q, want = != =~ or !~", op.at, op.text)
	}
	val := p.next()
	if val.kind != 's' {
		return nil, fmt.Errorf("at byte %d: got %q, want a string", val.at, val.text)
	}
	m, err := labels.NewMatcher(typ, name.text, val.text)
	if err != nil {
		return nil, fmt.Errorf("at byte %d: %w", val.at, err)
	}
	return m, nil
}

// stage reads one stage of a pipeline; nil at its end, and before an unwrap.
func (p *logParser) stage() (LogStage, error) {
	t := p.peek()
	if t.kind != 'o' {
		return nil, nil //nolint:nilnil // no stage is no error
	}
	switch t.text {
	case "|=", "!=", "|~", "!~":
		if p.toks[p.at+1].kind != 's' {
			if t.text == "!=" { // a comparison of numbers, not a filter
				return nil, nil //nolint:nilnil // see above
			}
			p.at++
			return nil, p.unexpected("a string")
		}
		p.at++
		text := p.next().text
		if strings.HasSuffix(t.text, "~") {
			if _, err := regexp.Compile(text); err != nil {
				return nil, fmt.Errorf("at byte %d: %w", t.at, err)
			}
		}
		return LineFilter{t.text, text}, nil
	case "|":
		name := p.toks[p.at+1]
		if name.kind != 'i' {
			p.at++
			return nil, p.unexpected("a parser or a label")
		}
		if name.text == "unwrap" && p.toks[p.at+2].kind == 'i' {
			return nil, nil //nolint:nilnil // the range aggregation reads it
		}
		p.at += 2
		return p.pipe(name)
	}
	return nil, nil //nolint:nilnil // no stage is no error
}

func (p *logParser) pipe(name logToken) (LogStage, error) {
	n := p.peek()
	switch name.text {
	case "json", "logfmt", "unpack":
		if n.kind == 'i' && n.text != "offset" {
			return nil, fmt.Errorf("at byte %d: parameters of %s are not known here", n.at, name.text)
		}
		if n.kind != 'o' || !slices.Contains([]string{"=", "!=", "=~", "!~", "==", ">", ">=", "<", "<="}, n.text) || n.text == "!=" || n.text == "!~" {
			return LineParser{Kind: name.text}, nil
		}
	case "regexp", "pattern":
		if n.kind == 's' {
			p.at++
			if name.text == "regexp" {
				re, err := regexp.Compile(n.text)
				if err != nil || strings.Join(re.SubexpNames(), "") == "" {
					return nil, fmt.Errorf("at byte %d: want a regular expression with a named group: %w", n.at, errors.Join(err))
				}
			}
			return LineParser{name.text, n.text}, nil
		}
	}
	f, err := p.labelFilter(name)
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind == 'i' && (t.text == "or" || t.text == "and") || t.kind == 'o' && t.text == "," {
		return nil, fmt.Errorf("at byte %d: %q between label filters is not known here; write another stage", t.at, t.text)
	}
	return f, nil
}

func (p *logParser) labelFilter(name logToken) (LogStage, error) {
	op := p.next()
	if op.kind != 'o' {
		return nil, fmt.Errorf("at byte %d: %q is not known here", name.at, name.text)
	}
	val := p.next()
	f := LabelFilter{Name: name.text, Op: op.text, Text: val.text}
	switch op.text {
	case "=", "!=", "=~", "!~":
		if val.kind == 's' {
			if strings.HasSuffix(op.text, "~") {
				if _, err := regexp.Compile(val.text); err != nil {
					return nil, fmt.Errorf("at byte %d: %w", val.at, err)
				}
			}
			return f, nil
		}
	case ">", ">=", "<", "<=", "==":
		if val.kind == 'd' {
			f.Quantity = true
			return f, nil
		}
		if val.kind == 'n' {
			v, err := strconv.ParseFloat(val.text, 64)
			f.Number, f.Text = v, ""
			return f, err
		}
	}
	return nil, fmt.Errorf("at byte %d: got %q behind %s %s", val.at, val.text, name.text, op.text)
}

func (p *logParser) rangeAgg() (LogExpr, error) {
	name := p.next()
	r := &LogRange{Func: name.text}
	if err := p.want("("); err != nil {
		return nil, err
	}
	if r.Func == "quantile_over_time" {
		q := p.next()
		v, err := strconv.ParseFloat(q.text, 64)
		if q.kind != 'n' || err != nil || v < 0 || v > 1 {
			return nil, fmt.Errorf("at byte %d: got %q, want a quantile from 0 to 1", q.at, q.text)
		}
		r.Param = v
		if err := p.want(","); err != nil {
			return nil, err
		}
	}
	if err := p.rangeBody(r); err != nil {
		return nil, err
	}
	if err := p.want(")"); err != nil {
		return nil, err
	}
	if needs := rangeFuncs[r.Func]; needs != (r.Unwrap != nil) && (needs || r.Func != "rate") {
		return nil, fmt.Errorf("at byte %d: %s and unwrap do not fit", name.at, r.Func)
	}
	if t := p.peek(); t.kind == 'i' && (t.text == "by" || t.text == "without") {
		var err error
		r.Grouped, r.Without = true, t.text == "without"
		if r.By, err = p.grouping(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (p *logParser) rangeBody(r *LogRange) (err error) {
	paren := p.op("(")
	if r.Streams, err = p.streams(); err != nil {
		return err
	}
	if t := p.peek(); t.kind == 'o' && t.text == "|" { // unwrap: nothing else stops a pipeline there
		p.at += 2
		u := &Unwrap{Label: p.next().text}
		if p.op("(") {
			if u.Convert = u.Label; !slices.Contains([]string{"duration", "duration_seconds", "bytes"}, u.Convert) {
				return fmt.Errorf("at byte %d: conversion %q is not known", t.at, u.Convert)
			}
			u.Label = p.next().text
			if err := p.want(")"); err != nil {
				return err
			}
		}
		r.Unwrap = u
		for {
			st, err := p.stage()
			if err != nil {
				return err
			}
			if st == nil {
				break
			}
			if _, ok := st.(LabelFilter); !ok {
				return fmt.Errorf("at byte %d: behind unwrap, only label filters are known", t.at)
			}
			r.After = append(r.After, st)
		}
	}
	if paren {
		if err := p.want(")"); err != nil {
			return err
		}
	}
	if err := p.want("["); err != nil {
		return err
	}
	if r.Window, err = p.duration(); err != nil {
		return err
	}
	if err := p.want("]"); err != nil {
		return err
	}
	if t := p.peek(); t.kind == 'i' && t.text == "offset" {
		p.at++
		neg := p.op("-")
		if r.Offset, err = p.duration(); err != nil {
			return err
		}
		if neg {
			r.Offset = -r.Offset
		}
	}
	return nil
}

func (p *logParser) duration() (time.Duration, error) {
	t := p.next()
	d, err := model.ParseDuration(t.text)
	if t.kind != 'd' || err != nil || d <= 0 {
		return 0, fmt.Errorf("at byte %d: got %q, want a duration", t.at, t.text)
	}
	return time.Duration(d), nil
}

func (p *logParser) grouping() ([]string, error) {
	p.at++ // by or without
	if err := p.want("("); err != nil {
		return nil, err
	}
	out := []string{}
	for !p.op(")") {
		if len(out) > 0 {
			if err := p.want(","); err != nil {
				return nil, err
			}
		}
		t := p.next()
		if t.kind != 'i' {
			return nil, fmt.Errorf("at byte %d: got %q, want a label", t.at, t.text)
		}
		out = append(out, t.text)
	}
	return out, nil
}

func (p *logParser) vectorAgg() (LogExpr, error) {
	name := p.next()
	a := &LogAggregate{Op: name.text}
	group := func() error {
		t := p.peek()
		if t.kind != 'i' || t.text != "by" && t.text != "without" {
			return nil
		}
		if a.Grouped {
			return fmt.Errorf("at byte %d: grouped twice", t.at)
		}
		var err error
		a.Grouped, a.Without = true, t.text == "without"
		a.By, err = p.grouping()
		return err
	}
	if err := group(); err != nil {
		return nil, err
	}
	if err := p.want("("); err != nil {
		return nil, err
	}
	if a.Op == "topk" || a.Op == "bottomk" {
		t := p.next()
		k, err := strconv.Atoi(t.text)
		if t.kind != 'n' || err != nil || k < 1 {
			return nil, fmt.Errorf("at byte %d: got %q, want how many", t.at, t.text)
		}
		a.K = k
		if err := p.want(","); err != nil {
			return nil, err
		}
	}
	e, err := p.expr(0)
	if err != nil {
		return nil, err
	}
	if !isMetric(e) {
		return nil, fmt.Errorf("at byte %d: %s joins numbers, not log lines", name.at, a.Op)
	}
	a.Expr = e
	if err := p.want(")"); err != nil {
		return nil, err
	}
	return a, group()
}
