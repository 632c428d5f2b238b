package ask

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
)

// Result is what a query gave; one of its parts is set. A zero Result is an empty
// vector.
type Result struct {
	Vector model.Vector // of an instant query; a scalar is a vector of one
	Matrix model.Matrix // of a range query
	Lines  []Entry      // of a log query
	Cut    bool         // the server had more than was asked for
}

// Entry is a log line with its time.
type Entry struct {
	Time   time.Time         `json:"time"`
	Labels map[string]string `json:"labels"`
	Line   string            `json:"line"`
}

// Empty reports whether nothing was found.
func (r Result) Empty() bool { return len(r.Vector)+len(r.Matrix)+len(r.Lines) == 0 }

// maxNamed is how many rows a sentence names.
const maxNamed = 3

// Answer says the result in a sentence. source may be nil; it tells why a result is
// empty. Text of labels in it is quoted as it is: whoever shows it must escape it.
func Answer(ctx context.Context, tr Translation, r Result, source Source) string {
	switch {
	case r.Empty():
		return emptiness(ctx, tr, source)
	case len(r.Lines) > 0:
		return linesAnswer(r)
	case len(r.Matrix) > 0:
		return matrixAnswer(tr, r.Matrix)
	}
	return vectorAnswer(tr, r.Vector)
}

func vectorAnswer(tr Translation, v model.Vector) string {
	kept := slices.DeleteFunc(slices.Clone(v), func(s *model.Sample) bool { return s == nil || math.IsNaN(float64(s.Value)) })
	if len(kept) == 0 {
		return "The result is not a number: there was nothing to divide by."
	}
	subject := tr.Concept
	if subject == "" || subject == "logs" {
		subject = "The answer"
	}
	if len(kept) == 1 && len(names(kept[0].Metric, kept)) == 0 {
		return fmt.Sprintf("%s: %s.", capital(subject), Format(float64(kept[0].Value), tr.Unit))
	}
	if condition(tr) {
		if all := same(kept); all {
			return fmt.Sprintf("%s: %d found: %s.", capital(subject), len(kept), list(kept, tr.Unit, false))
		}
	}
	slices.SortStableFunc(kept, func(a, b *model.Sample) int {
		switch {
		case a.Value > b.Value:
			return -1
		case a.Value < b.Value:
			return 1
		}
		return 0
	})
	return fmt.Sprintf("%s: %d %s: %s.", capital(subject), len(kept), plural(len(kept), "result"), list(kept, tr.Unit, true))
}

// condition reports whether the query lists what is in a state.
func condition(tr Translation) bool {
	return tr.Language == PromQL && (strings.Contains(tr.Query, " == ") || strings.Contains(tr.Query, " > ") || strings.Contains(tr.Query, " < "))
}

func same(v model.Vector) bool {
	return !slices.ContainsFunc(v, func(s *model.Sample) bool { return s.Value != v[0].Value })
}

func list(v model.Vector, unit string, values bool) string {
	var parts []string
	for _, s := range v[:min(len(v), maxNamed)] {
		p := strings.Join(names(s.Metric, v), " ")
		if p == "" {
			p = "in all"
		}
		if values {
			p += " with " + Format(float64(s.Value), unit)
		}
		parts = append(parts, p)
	}
	out := strings.Join(parts, ", ")
	if len(v) > maxNamed {
		out += fmt.Sprintf(" and %d more", len(v)-maxNamed)
	}
	return out
}

// names returns the label values that tell a row from the others, at most three.
func names(m model.Metric, all model.Vector) []string {
	var keys []string
	for k := range m {
		if k == model.MetricNameLabel || len(all) > 1 && constant(string(k), all) {
			continue
		}
		keys = append(keys, string(k))
	}
	slices.SortFunc(keys, func(a, b string) int { return place(a) - place(b) })
	var out []string
	for _, k := range keys[:min(len(keys), maxNamed)] {
		out = append(out, string(m[model.LabelName(k)]))
	}
	return out
}

// place orders labels as they are read: cluster, namespace, then the thing.
func place(label string) int {
	if i := slices.Index(labelOrder, label); i >= 0 {
		return i
	}
	return len(labelOrder)
}

func constant(label string, all model.Vector) bool {
	return !slices.ContainsFunc(all, func(s *model.Sample) bool {
		return s.Metric[model.LabelName(label)] != all[0].Metric[model.LabelName(label)]
	})
}

func matrixAnswer(tr Translation, m model.Matrix) string {
	low, high, last := math.Inf(1), math.Inf(-1), math.NaN()
	points := 0
	for _, s := range m {
		for _, p := range s.Values {
			v := float64(p.Value)
			if math.IsNaN(v) {
				continue
			}
			low, high = min(low, v), max(high, v)
			points++
			last = v
		}
	}
	if points == 0 {
		return "There are points in that time, and none of them is a number."
	}
	if len(m) == 1 {
		return fmt.Sprintf("From %s to %s, at the end %s (%d points).", Format(low, tr.Unit), Format(high, tr.Unit), Format(last, tr.Unit), points)
	}
	return fmt.Sprintf("%d series from %s to %s (%d points).", len(m), Format(low, tr.Unit), Format(high, tr.Unit), points)
}

func linesAnswer(r Result) string {
	first, last := r.Lines[0].Time, r.Lines[0].Time
	for _, l := range r.Lines {
		if l.Time.Before(first) {
			first = l.Time
		}
		if l.Time.After(last) {
			last = l.Time
		}
	}
	more := ""
	if r.Cut {
		more = "the newest "
	}
	return fmt.Sprintf("%s%d %s, from %s to %s.", capital(more), len(r.Lines), plural(len(r.Lines), "line"), first.UTC().Format("15:04:05"), last.UTC().Format("15:04:05 MST"))
}

// emptiness says why nothing came.
func emptiness(ctx context.Context, tr Translation, source Source) string {
	if tr.Language == LogQL {
		if tr.Range != nil {
			return fmt.Sprintf("No such line between %s and %s: none is the answer.", clockOf(tr.Range.Start), clockOf(tr.Range.End))
		}
		return "No such line in that time: zero is the answer."
	}
	e, err := parser.NewParser(parser.Options{}).ParseExpr(tr.Query)
	if err != nil {
		return "Nothing was found."
	}
	if source != nil {
		var missing string
		selectors(e, func(v *parser.VectorSelector) {
			plain := &parser.VectorSelector{Name: v.Name, LabelMatchers: v.LabelMatchers}
			if ls, err := source.LabelNames(ctx, []string{plain.String()}, 1); err == nil && len(ls) == 0 && missing == "" {
				missing = plain.String()
			}
		})
		if missing != "" {
			return "No series is, or was, like " + missing + ": nothing of that kind is measured here."
		}
	}
	if condition(tr) {
		return "None: the series are there, and no one meets the condition."
	}
	return "The series exist, and have no data at that time."
}

func clockOf(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// Format prints a value for people, in its unit.
func Format(v float64, unit string) string {
	switch unit {
	case "bytes", "bytes per second":
		suffix := strings.TrimPrefix(unit, "bytes")
		if suffix != "" {
			suffix = "/s"
		}
		for _, u := range [...]struct {
			size float64
			name string
		}{{1 << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
			if math.Abs(v) >= u.size {
				return short(v/u.size) + " " + u.name + suffix
			}
		}
		return short(v) + " B" + suffix
	case "ratio":
		return short(v*100) + " %"
	case "percent", "percentage", "%":
		return short(v) + " %"
	case "seconds":
		switch a := math.Abs(v); {
		case a >= 2*86400:
			return short(v/86400) + " days"
		case a >= 2*3600:
			return short(v/3600) + " hours"
		case a >= 120:
			return short(v/60) + " minutes"
		case a < 1 && a > 0:
			return short(v*1000) + " ms"
		}
		return short(v) + " s"
	case "":
		return short(v)
	}
	if v == 1 && unit == "lines" {
		unit = "line"
	}
	return short(v) + " " + unit
}

// short prints at most three digits behind the point, and fewer of large values.
func short(v float64) string {
	switch a := math.Abs(v); {
	case math.IsInf(v, 0) || math.IsNaN(v):
		return fmt.Sprint(v)
	case a == math.Trunc(a) && a < 1e15:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 1:
		return strings.TrimRight(strings.TrimRight(strconv.FormatFloat(v, 'f', 2, 64), "0"), ".")
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
