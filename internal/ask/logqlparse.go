package ask

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
)

// Bounds of a LogQL text. Loki reads 128 KiB; nobody writes that.
const (
	maxLogQLBytes = 16 << 10
	maxLogQLDepth = 64
)

// rangeFuncs are the range aggregations, true for those that need an unwrap.
var rangeFuncs = map[string]bool{
	"rate": false, "count_over_time": false, "bytes_over_time": false, "bytes_rate": false, "absent_over_time": false,
	"sum_over_time": true, "avg_over_time": true, "min_over_time": true, "max_over_time": true, "stddev_over_time": true,
	"stdvar_over_time": true, "quantile_over_time": true, "first_over_time": true, "last_over_time": true, "rate_counter": true,
}

// groupedFuncs are those that may be grouped, and unwrapFuncs those that need no unwrap and may have one.
var (
	groupedFuncs = setOf("avg_over_time", "stddev_over_time", "stdvar_over_time", "quantile_over_time", "max_over_time", "min_over_time", "first_over_time", "last_over_time")
	unwrapFuncs  = setOf("rate", "absent_over_time")
)

var vectorOps = []string{"sum", "avg", "min", "max", "count", "stddev", "stdvar", "topk", "bottomk", "approx_topk", "sort", "sort_desc"}

// ParseLogQL reads LogQL as a Loki does and refuses what it refuses, templates, patterns and regular expressions
// included; see LogExpr. The error says where.
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
	if p.peek().kind != logEnd {
		return nil, p.unexpected("the end")
	}
	return e, nil
}

type logParser struct {
	toks  []logToken
	at    int
	depth int
}

func (p *logParser) peek() logToken { return p.toks[p.at] }

// ahead is the token after the next.
func (p *logParser) ahead() logToken { return p.toks[min(p.at+1, len(p.toks)-1)] }

func (p *logParser) next() logToken {
	t := p.toks[p.at]
	if t.kind != logEnd {
		p.at++
	}
	return t
}

func (p *logParser) unexpected(want string) error {
	t := p.peek()
	return fmt.Errorf("at byte %d: got %.40q, want %s", t.at, t.text, want)
}

func (p *logParser) is(kind logKind, text string) bool {
	t := p.peek()
	return t.kind == kind && t.text == text
}

// op takes an operator if it is next, and word a keyword.
func (p *logParser) op(text string) bool {
	if p.is(logOp, text) {
		p.at++
		return true
	}
	return false
}

func (p *logParser) word(text string) bool {
	if p.is(logWord, text) {
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

// take takes a token of a kind.
func (p *logParser) take(kind logKind, want string) (string, error) {
	if p.peek().kind != kind {
		return "", p.unexpected(want)
	}
	return p.next().text, nil
}

// deeper bounds how deep a text nests. The caller calls the function when it is done.
func (p *logParser) deeper() (func(), error) {
	if p.depth++; p.depth > maxLogQLDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxLogQLDepth)
	}
	return func() { p.depth-- }, nil
}

// precedence of the binary operators.
var precedence = map[string]int{
	"or": 1, "and": 2, "unless": 2, "==": 3, "!=": 3, ">": 3, ">=": 3, "<": 3, "<=": 3, "+": 4, "-": 4, "*": 5, "/": 5, "%": 5, "^": 6,
}

func (p *logParser) expr(above int) (LogExpr, error) {
	up, err := p.deeper()
	if err != nil {
		return nil, err
	}
	defer up()
	l, err := p.operandExpr()
	if err != nil {
		return nil, err
	}
	for {
		t := p.peek()
		prec := precedence[t.text]
		if t.kind != logOp && t.kind != logWord || prec == 0 || prec <= above {
			return l, nil
		}
		p.at++
		b := &LogBinary{Op: t.text, L: l}
		if err := p.modifier(b); err != nil {
			return nil, err
		}
		if t.text == "^" { // from the right
			prec--
		}
		if b.R, err = p.expr(prec); err != nil {
			return nil, err
		}
		switch {
		case !isMetric(b.L) || !isMetric(b.R):
			return nil, fmt.Errorf("at byte %d: %s joins numbers, not log lines", t.at, t.text)
		case prec <= 2 && (isConstant(b.L) || isConstant(b.R)):
			return nil, fmt.Errorf("at byte %d: %s joins vectors, not plain numbers", t.at, t.text)
		}
		l = b
	}
}

// isConstant reports whether an expression is a number, worked out or not.
func isConstant(e LogExpr) bool {
	switch e := e.(type) {
	case LogNumber:
		return true
	case *LogBinary:
		return isConstant(e.L) && isConstant(e.R)
	}
	return false
}

// modifier reads bool, on (…), ignoring (…), group_left (…) and group_right (…).
func (p *logParser) modifier(b *LogBinary) (err error) {
	b.Bool = p.word("bool")
	on := p.is(logWord, "on")
	if !on && !p.is(logWord, "ignoring") {
		return nil
	}
	p.at++
	m := &LogMatching{On: on}
	if m.Labels, err = p.names(); err != nil {
		return err
	}
	switch {
	case p.word("group_left"):
		m.Group = "left"
	case p.word("group_right"):
		m.Group = "right"
	}
	if m.Group != "" && p.is(logOp, "(") {
		if m.Include, err = p.names(); err != nil {
			return err
		}
	}
	if m.On || len(m.Labels) > 0 || m.Group != "" {
		b.Matching = m
	}
	return nil
}

func (p *logParser) operandExpr() (LogExpr, error) {
	t := p.peek()
	switch {
	case t.kind == logNumeral, t.kind == logOp && (t.text == "-" || t.text == "+"):
		v, err := p.number()
		return LogNumber(v), err
	case t.kind == logOp && t.text == "(":
		p.at++
		e, err := p.expr(0)
		if err != nil {
			return nil, err
		}
		return e, p.want(")")
	case t.kind == logOp && t.text == "{":
		return p.streams()
	case t.kind == logWord && t.text == "label_replace":
		return p.labelReplace()
	case t.kind == logWord && t.text == "vector":
		return p.vector()
	case t.kind == logWord:
		if _, ok := rangeFuncs[t.text]; ok {
			return p.rangeAgg()
		}
		if slices.Contains(vectorOps, t.text) {
			return p.vectorAgg()
		}
	}
	return nil, p.unexpected("a selector, a number or a function")
}

// number reads a number with a sign.
func (p *logParser) number() (float64, error) {
	neg := p.op("-")
	if !neg {
		p.op("+")
	}
	at := p.peek().at
	text, err := p.take(logNumeral, "a number")
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, fmt.Errorf("at byte %d: %w", at, err)
	}
	if neg {
		v = -v
	}
	return v, nil
}

func (p *logParser) vector() (LogExpr, error) {
	p.at++
	if err := p.want("("); err != nil {
		return nil, err
	}
	text, err := p.take(logNumeral, "a number")
	if err != nil {
		return nil, err
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, err
	}
	return LogVector(v), p.want(")")
}

func (p *logParser) labelReplace() (LogExpr, error) {
	at := p.next().at
	if err := p.want("("); err != nil {
		return nil, err
	}
	e, err := p.metricExpr("label_replace", at)
	if err != nil {
		return nil, err
	}
	r := &LogReplace{Expr: e}
	for _, to := range [...]*string{&r.Dst, &r.Replacement, &r.Src, &r.Regex} {
		if err := p.want(","); err != nil {
			return nil, err
		}
		if *to, err = p.take(logString, "a string"); err != nil {
			return nil, err
		}
	}
	if _, err := regexp.Compile("^(?:" + r.Regex + ")$"); err != nil {
		return nil, fmt.Errorf("at byte %d: %w", at, err)
	}
	return r, p.want(")")
}

// metricExpr reads an expression that must give numbers. who wants them is for the error.
func (p *logParser) metricExpr(who string, at int) (LogExpr, error) {
	e, err := p.expr(0)
	if err != nil {
		return nil, err
	}
	if !isMetric(e) {
		return nil, fmt.Errorf("at byte %d: %s takes numbers, not log lines", at, who)
	}
	return e, nil
}

func (p *logParser) vectorAgg() (LogExpr, error) {
	name := p.next()
	a := &LogAggregate{Op: name.text}
	err := p.group(&a.Grouped, &a.Without, &a.By)
	if err != nil {
		return nil, err
	}
	before := a.Grouped
	if err := p.want("("); err != nil {
		return nil, err
	}
	if keepsSome(a.Op) {
		t := p.peek()
		k, err := strconv.Atoi(t.text)
		if t.kind != logNumeral || err != nil || k < 1 {
			return nil, p.unexpected("how many")
		}
		p.at++
		a.K = k
		if err := p.want(","); err != nil {
			return nil, err
		}
	}
	if a.Expr, err = p.metricExpr(a.Op, name.at); err != nil {
		return nil, err
	}
	if err := p.want(")"); err != nil {
		return nil, err
	}
	if !before {
		if err := p.group(&a.Grouped, &a.Without, &a.By); err != nil {
			return nil, err
		}
	}
	switch {
	case a.Op == "approx_topk" && a.Grouped, (a.Op == "sort" || a.Op == "sort_desc") && len(a.By) > 0:
		return nil, fmt.Errorf("at byte %d: %s cannot be grouped", name.at, a.Op)
	}
	return a, nil
}

// group reads by (…) or without (…) if one is next.
func (p *logParser) group(grouped, without *bool, by *[]string) (err error) {
	switch {
	case p.word("by"):
	case p.word("without"):
		*without = true
	default:
		return nil
	}
	*grouped = true
	*by, err = p.names()
	return err
}

// names reads (a, b).
func (p *logParser) names() ([]string, error) {
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
		n, err := p.take(logName, "a label")
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}
