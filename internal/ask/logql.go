package ask

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// LogExpr is a LogQL expression as a syntax tree: all of what a Loki reads, but for
// variants(), which is an experiment that Loki refuses unless it is switched on. Loki's
// own parser is not used: its module brings the whole server with it. What String
// prints, Loki reads as the same tree; TestLogQLOnRealLoki holds both to that.
type LogExpr interface {
	String() string
	// streams calls f for every stream selector below.
	streams(f func(*LogStreams))
}

// LogStreams selects streams and says what is done with each of their lines.
type LogStreams struct {
	Matchers []*labels.Matcher
	Stages   []LogStage
}

// LogStage is a step of a pipeline.
type LogStage interface{ String() string }

// LineFilter keeps lines: |= and != by text, |~ and !~ by regular expression.
type LineFilter struct{ Op, Text string }

// LineParser takes labels out of a line: json, logfmt, unpack, regexp or pattern, the
// last two with a Param.
type LineParser struct{ Kind, Param string }

// LabelFilter keeps lines by a label: = != =~ !~ with Text; > >= < <= == with a
// Number, and != with one if Numeric is set; all but the regular expressions with a Text
// that is a duration or a size (10ms, 5MB) if Quantity is set.
type LabelFilter struct {
	Name, Op string
	Text     string
	Number   float64
	Quantity bool
	Numeric  bool // != compares with Number
}

// Unwrap takes the values of a range aggregation from a label. Convert is "",
// "duration", "duration_seconds" or "bytes".
type Unwrap struct{ Label, Convert string }

// LogRange is an aggregation over a stretch of time.
type LogRange struct {
	Func    string
	Param   float64 // of quantile_over_time
	Streams *LogStreams
	Unwrap  *Unwrap
	// After are conditions on labels behind the unwrap.
	After   []LogStage
	Window  time.Duration
	Offset  time.Duration
	Grouped bool
	Without bool
	By      []string
}

// LogAggregate joins series.
type LogAggregate struct {
	Op      string
	K       int // of topk and bottomk
	Expr    LogExpr
	By      []string
	Grouped bool
	Without bool
}

// LogBinary joins two expressions.
type LogBinary struct {
	Op       string
	L, R     LogExpr
	Bool     bool
	Matching *LogMatching // nil: all labels
}

// LogMatching says which series of the two sides of an operation belong together.
type LogMatching struct {
	On      bool // these labels; else all but these
	Labels  []string
	Group   string   // "", "left" or "right": the side of which several may match one
	Include []string // labels of the other side that the result gets
}

// LogReplace writes a label anew, as label_replace does. It comes after the selectors and
// changes what a result is called, never which streams are read.
type LogReplace struct {
	Expr                         LogExpr
	Dst, Replacement, Src, Regex string
}

// LogVector is a number as a vector without labels.
type LogVector float64

// LogNumber is a number.
type LogNumber float64

func (s *LogStreams) streams(f func(*LogStreams))   { f(s) }
func (r *LogRange) streams(f func(*LogStreams))     { f(r.Streams) }
func (a *LogAggregate) streams(f func(*LogStreams)) { a.Expr.streams(f) }
func (b *LogBinary) streams(f func(*LogStreams))    { b.L.streams(f); b.R.streams(f) }
func (r *LogReplace) streams(f func(*LogStreams))   { r.Expr.streams(f) }
func (LogNumber) streams(func(*LogStreams))         {}
func (LogVector) streams(func(*LogStreams))         {}

// LogRanges calls f for every range aggregation of e. f may change it.
func LogRanges(e LogExpr, f func(*LogRange)) {
	switch e := e.(type) {
	case *LogRange:
		f(e)
	case *LogAggregate:
		LogRanges(e.Expr, f)
	case *LogReplace:
		LogRanges(e.Expr, f)
	case *LogBinary:
		LogRanges(e.L, f)
		LogRanges(e.R, f)
	}
}

// String prints the selector and the pipeline.
func (s *LogStreams) String() string {
	var b strings.Builder
	b.WriteByte('{')
	for i, m := range s.Matchers {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(printMatcher(m))
	}
	b.WriteByte('}')
	for _, st := range s.Stages {
		b.WriteString(" " + st.String())
	}
	return b.String()
}

// String prints |= "text".
func (f LineFilter) String() string { return f.Op + " " + strconv.Quote(f.Text) }

// String prints | json, | regexp "…".
func (p LineParser) String() string {
	if p.Param == "" {
		return "| " + p.Kind
	}
	return "| " + p.Kind + " " + strconv.Quote(p.Param)
}

// String prints | label="text" or | label > 5.
func (f LabelFilter) String() string { return "| " + f.condition() }

func (f LabelFilter) condition() string {
	switch {
	case f.Quantity:
		return f.Name + " " + f.Op + " " + f.Text
	case f.numeric():
		return f.Name + " " + f.Op + " " + decimal(f.Number)
	}
	return f.Name + f.Op + strconv.Quote(f.Text)
}

// numeric reports whether the filter compares numbers.
func (f LabelFilter) numeric() bool {
	switch f.Op {
	case "=", "=~", "!~":
		return false
	case "!=":
		return f.Numeric
	}
	return true
}

// String prints | unwrap label.
func (u Unwrap) String() string {
	if u.Convert == "" {
		return "| unwrap " + u.Label
	}
	return "| unwrap " + u.Convert + "(" + u.Label + ")"
}

// String prints func(param, {…} [window] offset …) by (…).
func (r *LogRange) String() string {
	var b strings.Builder
	b.WriteString(r.Func + "(")
	if r.Func == "quantile_over_time" {
		b.WriteString(decimal(r.Param) + ", ")
	}
	b.WriteString(r.Streams.String())
	if r.Unwrap != nil {
		b.WriteString(" " + r.Unwrap.String())
		for _, s := range r.After {
			b.WriteString(" " + s.String())
		}
	}
	b.WriteString(" [" + model.Duration(r.Window).String() + "]")
	if r.Offset != 0 {
		b.WriteString(" offset " + printOffset(r.Offset))
	}
	b.WriteByte(')')
	if r.Grouped {
		b.WriteString(" " + grouping(r.Without, r.By))
	}
	return b.String()
}

// String prints op by (…) (…).
func (a *LogAggregate) String() string {
	head := a.Op
	if a.Grouped {
		head += " " + grouping(a.Without, a.By) + " "
	}
	if keepsSome(a.Op) {
		return fmt.Sprintf("%s(%d, %s)", head, a.K, a.Expr)
	}
	return head + "(" + a.Expr.String() + ")"
}

func grouping(without bool, by []string) string {
	if without {
		return "without (" + strings.Join(by, ", ") + ")"
	}
	return "by (" + strings.Join(by, ", ") + ")"
}

// String prints (l op r), with operands that are operations in parentheses.
func (b *LogBinary) String() string {
	op := b.Op
	if b.Bool {
		op += " bool"
	}
	if b.Matching != nil {
		op += b.Matching.String()
	}
	return operand(b.L) + " " + op + " " + operand(b.R)
}

func operand(e LogExpr) string {
	if _, ok := e.(*LogBinary); ok {
		return "(" + e.String() + ")"
	}
	return e.String()
}

// String prints on (…) group_left (…), with a space before it.
func (m *LogMatching) String() string {
	how := " ignoring ("
	if m.On {
		how = " on ("
	}
	out := how + strings.Join(m.Labels, ", ") + ")"
	if m.Group != "" {
		out += " group_" + m.Group + " (" + strings.Join(m.Include, ", ") + ")"
	}
	return out
}

// String prints label_replace(…).
func (r *LogReplace) String() string {
	return fmt.Sprintf("label_replace(%s, %q, %q, %q, %q)", r.Expr, r.Dst, r.Replacement, r.Src, r.Regex)
}

// String prints a number.
func (n LogNumber) String() string { return decimal(float64(n)) }

// String prints vector(number).
func (v LogVector) String() string { return "vector(" + decimal(float64(v)) + ")" }

// decimal prints a number as short as it can be, without an exponent.
func decimal(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// keepsSome reports whether an aggregation takes how many series it keeps.
func keepsSome(op string) bool { return op == "topk" || op == "bottomk" || op == "approx_topk" }

// printOffset prints a duration that may be negative, which Loki reads with the units of Go only.
func printOffset(d time.Duration) string {
	if d < 0 {
		return d.String()
	}
	return model.Duration(d).String()
}

// metric reports whether the expression gives numbers rather than lines.
func isMetric(e LogExpr) bool {
	_, lines := e.(*LogStreams)
	return !lines
}
