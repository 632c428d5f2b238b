package ask

import (
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// The pieces that queries are built of. Each returns a syntax tree.

func number(v float64) parser.Expr { return &parser.NumberLiteral{Val: v} }

func call(fn string, args ...parser.Expr) parser.Expr {
	return &parser.Call{Func: parser.Functions[fn], Args: args}
}

func aggregate(op parser.ItemType, e parser.Expr, by []string) parser.Expr {
	return &parser.AggregateExpr{Op: op, Expr: e, Grouping: by}
}

func topk(op parser.ItemType, k int, e parser.Expr) parser.Expr {
	return &parser.AggregateExpr{Op: op, Expr: e, Param: number(float64(k))}
}

var binaryOps = map[string]parser.ItemType{
	">": parser.GTR, ">=": parser.GTE, "<": parser.LSS, "<=": parser.LTE, "==": parser.EQLC, "!=": parser.NEQ,
	"-": parser.SUB, "+": parser.ADD, "*": parser.MUL, "/": parser.DIV,
}

func binary(op string, l, r parser.Expr) parser.Expr {
	b := &parser.BinaryExpr{Op: binaryOps[op], LHS: group(l), RHS: group(r)}
	if l.Type() == parser.ValueTypeVector && r.Type() == parser.ValueTypeVector {
		b.VectorMatching = &parser.VectorMatching{Card: parser.CardOneToOne}
	}
	return b
}

// group puts a binary expression into parentheses, as an operand.
func group(e parser.Expr) parser.Expr {
	if _, ok := e.(*parser.BinaryExpr); ok {
		return &parser.ParenExpr{Expr: e}
	}
	return e
}

func over(fn string, v parser.Expr, window time.Duration) parser.Expr {
	return call(fn, &parser.MatrixSelector{VectorSelector: v, Range: window})
}

func aggOp(name string) parser.ItemType {
	switch name {
	case "avg":
		return parser.AVG
	case "max":
		return parser.MAX
	case "min":
		return parser.MIN
	case "count":
		return parser.COUNT
	}
	return parser.SUM
}

// selector is a selector of a metric by name.
func selector(metric string, ms ...*labels.Matcher) *parser.VectorSelector {
	ms = append([]*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, metric)}, ms...)
	return &parser.VectorSelector{Name: metric, LabelMatchers: ms}
}

// selectors calls f for every vector selector below e.
func selectors(e parser.Expr, f func(*parser.VectorSelector)) {
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok {
			f(v)
		}
		return nil
	})
}

// constrain adds a matcher to a selector, unless it says the same already.
func constrain(v *parser.VectorSelector, m *labels.Matcher) {
	for _, have := range v.LabelMatchers {
		if have.Name == m.Name && have.Type == m.Type && have.Value == m.Value {
			return
		}
	}
	v.LabelMatchers = append(v.LabelMatchers, m)
}

// shift puts an offset on every selector of e, on top of what it has.
func shift(e parser.Expr, by time.Duration) {
	if by == 0 {
		return
	}
	selectors(e, func(v *parser.VectorSelector) { v.OriginalOffset += by })
}
