package ask

import (
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// LogText is what a line is looked through for: a text, or the addresses of an IP range.
type LogText struct {
	Text string
	IP   bool
}

// LineFilters keeps lines with any of several texts, or with none of them where Op is !=, !~ or !>. Op is that of a
// LineFilter, or |> or !>: a pattern with <_> for what may be anything.
type LineFilters struct {
	Op  string
	Any []LogText // at least one
}

// FieldParser takes some labels out of a line, under names of their own, or parses with flags. Kind is json or logfmt.
type FieldParser struct {
	Kind   string
	Flags  []string // of logfmt: --strict, --keep-empty
	Fields []LogField
}

// LogField is a label and where it stands in the line; Path "" is the field of that name.
type LogField struct{ Name, Path string }

// LabelLogic joins two conditions. Op is and or or.
type LabelLogic struct {
	Op   string
	L, R LogCondition
}

// LogCondition is a condition on labels: LabelFilter, LabelAddress or LabelLogic.
type LogCondition interface {
	LogStage
	condition() string
}

// LabelAddress keeps lines by an address in a label. Op is = or !=.
type LabelAddress struct{ Name, Op, Range string }

// LineFormat writes the line anew with a Go template.
type LineFormat struct{ Template string }

// LabelFormat sets labels, each from another label or by a Go template.
type LabelFormat struct{ Set []LogAssign }

// LogAssign sets a label.
type LogAssign struct {
	Name, From string
	Template   bool // From is a template, else a label that is renamed
}

// Decolorize takes the colours of a terminal out of the line.
type Decolorize struct{}

// LabelPick keeps or drops labels. Kind is keep or drop.
type LabelPick struct {
	Kind string
	Of   []LogPicked
}

// LogPicked is a label, and with a Matcher only where it has such a value.
type LogPicked struct {
	Name    string
	Matcher *labels.Matcher
}

// String prints the text, or ip("…").
func (t LogText) String() string {
	if t.IP {
		return "ip(" + strconv.Quote(t.Text) + ")"
	}
	return strconv.Quote(t.Text)
}

// String prints |= "a" or "b".
func (f LineFilters) String() string { return f.Op + " " + joined(f.Any, " or ") }

// String prints | json a="b.c".
func (p FieldParser) String() string {
	out := strings.Join(append([]string{"| " + p.Kind}, p.Flags...), " ")
	if len(p.Fields) > 0 {
		out += " " + joined(p.Fields, ", ")
	}
	return out
}

// String prints name="path".
func (f LogField) String() string {
	if f.Path == "" {
		return f.Name
	}
	return f.Name + "=" + strconv.Quote(f.Path)
}

// String prints | (a and b).
func (l LabelLogic) String() string { return "| " + l.condition() }

func (l LabelLogic) condition() string {
	return "(" + l.L.condition() + " " + l.Op + " " + l.R.condition() + ")"
}

// String prints | label=ip("…").
func (a LabelAddress) String() string { return "| " + a.condition() }

func (a LabelAddress) condition() string { return a.Name + a.Op + "ip(" + strconv.Quote(a.Range) + ")" }

// String prints | line_format "…".
func (f LineFormat) String() string { return "| line_format " + strconv.Quote(f.Template) }

// String prints | label_format a=b, c="…".
func (f LabelFormat) String() string { return "| label_format " + joined(f.Set, ", ") }

// String prints a=b or a="…".
func (a LogAssign) String() string {
	if a.Template {
		return a.Name + "=" + strconv.Quote(a.From)
	}
	return a.Name + "=" + a.From
}

// String prints | decolorize.
func (Decolorize) String() string { return "| decolorize" }

// String prints | keep a, b="c".
func (p LabelPick) String() string { return "| " + p.Kind + " " + joined(p.Of, ", ") }

// String prints the label, or the matcher.
func (p LogPicked) String() string {
	if p.Matcher == nil {
		return p.Name
	}
	return printMatcher(p.Matcher)
}

// printMatcher prints name="value". A name is what an identifier of LogQL may be.
func printMatcher(m *labels.Matcher) string { return m.Name + m.Type.String() + strconv.Quote(m.Value) }

func joined[T interface{ String() string }](parts []T, by string) string {
	out := make([]string, len(parts))
	for i, p := range parts {
		out[i] = p.String()
	}
	return strings.Join(out, by)
}
