package questions

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/data"
	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/datasource-plugin/pkg/dataplane"
	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
	"github.com/portent-dev/portent/internal/ask"
)

// frames makes the answer in the shape of the plan's view. The first frame says how the question was understood.
func (p plan) frames(r Request, e Explained, res ask.Result) data.Frames {
	var (
		out  data.Frames
		more string
	)
	switch {
	case p.annotated:
		out, more = p.annotate(r, e, res)
	case p.isLines:
		out = data.Frames{lines(res.Lines)}
	case p.view == query.ViewTimeSeries:
		out, more = p.series(r, res)
	case p.view == query.ViewNumeric:
		out, more = p.numbers(r, sorted(p.query, res.Vector))
	default:
		out, more = p.table(sorted(p.query, res.Vector))
	}
	return dataplane.Finish(described(out, e), p.query, notices(e, more))
}

// described puts what was understood into the metadata of the first frame, where the editor finds it.
func described(frames data.Frames, e Explained) data.Frames {
	frames[0].Meta.Custom = map[string]any{"ask": e}
	return frames
}

// notices are for the person before the panel: the answer in a sentence, how the question was understood, and what
// the servers warned of.
func notices(e Explained, more string) []data.Notice {
	var out []data.Notice
	info := func(text string) {
		if text != "" {
			out = append(out, data.Notice{Severity: data.NoticeSeverityInfo, Text: text})
		}
	}
	info(e.Answer)
	if e.Explanation != "" {
		by := ""
		if e.Translator == "model" {
			by = " (by a language model)"
		}
		info("Understood as " + e.Explanation + by + ".")
	}
	info(more)
	for _, w := range e.Warnings {
		out = append(out, data.Notice{Severity: data.NoticeSeverityWarning, Text: w})
	}
	return out
}

// refused is the answer to a question that cannot be answered: no data, and why.
func refused(r Request, e Explained) *data.Frame {
	kind := data.FrameTypeTable
	switch r.Query.View {
	case query.ViewTimeSeries, query.ViewVolume:
		kind = data.FrameTypeTimeSeriesMulti
	case query.ViewNumeric:
		kind = data.FrameTypeNumericMulti
	case query.ViewLogs:
		kind = data.FrameTypeLogLines
	case query.ViewAuto, query.ViewTable, query.ViewAnnotations, query.ViewCauses:
	}
	f := dataplane.Empty(kind)
	f.Meta.Custom = map[string]any{"ask": e}
	text := "Not answered: " + e.Reason + "."
	if len(e.Suggestions) > 0 {
		text += " Near to it: " + strings.Join(e.Suggestions, "; ") + "."
	}
	f.AppendNotices(data.Notice{Severity: data.NoticeSeverityWarning, Text: text})
	return f
}

// sorted is the rows without those that are no number, the greatest first unless the query asks for the least.
func sorted(expr string, v model.Vector) model.Vector {
	v = slices.DeleteFunc(slices.Clone(v), func(s *model.Sample) bool { return s == nil || math.IsNaN(float64(s.Value)) })
	if strings.HasPrefix(expr, "bottomk(") || strings.HasPrefix(expr, "bottomk ") || strings.HasPrefix(expr, "sort(") {
		return v
	}
	slices.SortStableFunc(v, func(a, b *model.Sample) int {
		return cmp.Or(cmp.Compare(b.Value, a.Value), strings.Compare(a.Metric.String(), b.Metric.String()))
	})
	return v
}

// cut says how much was left out.
func cut(shown, all int, what string) string {
	if shown >= all {
		return ""
	}
	return fmt.Sprintf("%d of %d %s are shown.", shown, all, what)
}

// valueField is the name of the values of all answers. What they are is their display name.
const valueField = "Value"

func (p plan) series(r Request, res ask.Result) (data.Frames, string) {
	m := res.Matrix
	slices.SortStableFunc(m, func(a, b *model.SampleStream) int {
		return cmp.Or(cmp.Compare(newest(b), newest(a)), strings.Compare(a.Metric.String(), b.Metric.String()))
	})
	shown := m[:min(len(m), p.limit)]
	sets := make([]model.Metric, len(shown))
	for i, s := range shown {
		sets[i] = s.Metric
	}
	var out data.Frames
	for _, s := range shown {
		times, values := make([]time.Time, len(s.Values)), make([]*float64, len(s.Values))
		for i, v := range s.Values {
			times[i] = v.Timestamp.Time().UTC()
			if f := float64(v.Value); !math.IsNaN(f) && !math.IsInf(f, 0) {
				values[i] = &f
			}
		}
		config := &data.FieldConfig{Unit: Unit(p.f.Unit), DisplayNameFromDS: p.name(r, s.Metric, sets)}
		if p.byLevel {
			level(config, string(s.Metric["detected_level"]))
		}
		out = append(out, dataplane.Series(valueField, plain(s.Metric), times, values, p.grid.Step, config))
	}
	if len(out) == 0 {
		out = data.Frames{dataplane.Empty(data.FrameTypeTimeSeriesMulti)}
	}
	return out, cut(len(shown), len(m), "series")
}

// newest is the last value that is a number.
func newest(s *model.SampleStream) float64 {
	for _, v := range slices.Backward(s.Values) {
		if f := float64(v.Value); !math.IsNaN(f) {
			return f
		}
	}
	return math.Inf(-1)
}

func (p plan) numbers(r Request, v model.Vector) (data.Frames, string) {
	shown := v[:min(len(v), p.limit)]
	sets := metrics(shown)
	var out data.Frames
	for _, s := range shown {
		config := &data.FieldConfig{Unit: Unit(p.f.Unit), DisplayNameFromDS: p.name(r, s.Metric, sets)}
		out = append(out, dataplane.Number(valueField, plain(s.Metric), float64(s.Value), config))
	}
	if len(out) == 0 {
		out = data.Frames{dataplane.Empty(data.FrameTypeNumericMulti)}
	}
	return out, cut(len(shown), len(v), "numbers")
}

// table has a column for each label and one for the value.
func (p plan) table(v model.Vector) (data.Frames, string) {
	if len(v) == 0 {
		return data.Frames{dataplane.Empty(data.FrameTypeTable)}, ""
	}
	shown := v[:min(len(v), p.limit)]
	var fields []*data.Field
	for _, name := range columns(metrics(shown)) {
		values, same := make([]string, len(shown)), true
		for i, s := range shown {
			values[i] = string(s.Metric[model.LabelName(name)])
			same = same && values[i] == values[0]
		}
		f := data.NewField(name, nil, values)
		if same && len(shown) > 1 && !slices.Contains(telling, name) {
			f.Config = &data.FieldConfig{Custom: map[string]any{"hidden": true}}
		}
		fields = append(fields, f)
	}
	values := make([]float64, len(shown))
	for i, s := range shown {
		values[i] = float64(s.Value)
	}
	value := data.NewField(valueField, nil, values)
	value.Config = &data.FieldConfig{Unit: Unit(p.f.Unit), DisplayNameFromDS: capital(p.f.Concept)}
	return data.Frames{dataplane.Table("", append(fields, value)...)}, cut(len(shown), len(v), "rows")
}

func metrics(v model.Vector) []model.Metric {
	out := make([]model.Metric, len(v))
	for i, s := range v {
		out[i] = s.Metric
	}
	return out
}

// telling are the labels that say of what a value is, in the order in which they are read.
var telling = []string{ // read only
	"cluster", "namespace", "service_name", "service", "app", "workload", "deployment", "statefulset", "daemonset", "job_name", "pod", "container",
	"node", "persistentvolumeclaim", "name", "instance", "job",
}

// columns are the label names of all sets, those that tell first.
func columns(sets []model.Metric) []string {
	seen := map[string]bool{}
	for _, m := range sets {
		for n := range m {
			if n != model.MetricNameLabel {
				seen[string(n)] = true
			}
		}
	}
	out := make([]string, 0, len(seen))
	for n := range seen {
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(cmp.Compare(place(a), place(b)), strings.Compare(a, b)) })
	return out
}

func place(label string) int {
	if i := slices.Index(telling, label); i >= 0 {
		return i
	}
	return len(telling)
}

// name is how a series is called: by the legend, else by the labels that tell it from the others.
func (p plan) name(r Request, m model.Metric, all []model.Metric) string {
	if r.Query.Legend != "" {
		return dataplane.Legend(r.Query.Legend, plain(m))
	}
	var parts []string
	for _, n := range columns([]model.Metric{m}) {
		differs := slices.ContainsFunc(all, func(o model.Metric) bool { return o[model.LabelName(n)] != m[model.LabelName(n)] })
		if differs || len(all) == 1 && slices.Contains(telling, n) {
			parts = append(parts, string(m[model.LabelName(n)]))
		}
	}
	if len(parts) == 0 {
		return cmp.Or(capital(p.f.Concept), string(m[model.MetricNameLabel]), valueField)
	}
	return strings.Join(parts, " ")
}

// plain is the labels without the name.
func plain(m model.Metric) data.Labels {
	out := make(data.Labels, len(m))
	for n, v := range m {
		if n != model.MetricNameLabel {
			out[string(n)] = string(v)
		}
	}
	return out
}

func capital(s string) string {
	if s == "" || s == "logs" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// lines is log lines, the newest first, as the logs panel and Explore read them.
func lines(entries []ask.Entry) *data.Frame {
	slices.SortStableFunc(entries, func(a, b ask.Entry) int { return b.Time.Compare(a.Time) })
	n := len(entries)
	times, bodies, severities, ids, labels := make([]time.Time, n), make([]string, n), make([]string, n), make([]string, n), make([]json.RawMessage, n)
	seen := map[string]int{}
	for i, l := range entries {
		times[i], bodies[i], severities[i] = l.Time.UTC(), strings.ToValidUTF8(l.Line, "\uFFFD"), l.Labels["detected_level"]
		raw, err := json.Marshal(l.Labels)
		if err != nil {
			raw = []byte("{}") // BUG: strings can always be written
		}
		labels[i] = raw
		// The same line twice at one time of one stream is two lines.
		sum := sha256.Sum256(fmt.Appendf(nil, "%d\x00%s\x00%s", l.Time.UnixNano(), raw, l.Line))
		id := hex.EncodeToString(sum[:8])
		if seen[id]++; seen[id] > 1 {
			id = fmt.Sprintf("%s-%d", id, seen[id])
		}
		ids[i] = id
	}
	f := data.NewFrame("", data.NewField("timestamp", nil, times), data.NewField("body", nil, bodies), data.NewField("severity", nil, severities),
		data.NewField("id", nil, ids), data.NewField("labels", nil, labels))
	f.Meta = &data.FrameMeta{Type: data.FrameTypeLogLines, TypeVersion: data.FrameTypeVersion{0, 0}, PreferredVisualization: data.VisTypeLogs}
	return f
}

// level is how a bar of Explore's log volume looks.
func level(c *data.FieldConfig, name string) {
	color := map[string]string{
		"critical": "purple", "fatal": "purple", "error": "red", "warn": "yellow", "warning": "yellow", "info": "green", "debug": "blue", "trace": "light-blue",
	}[name]
	if name == "" {
		name = "unknown"
	}
	c.DisplayNameFromDS = name
	c.Color = map[string]any{"mode": "fixed", "fixedColor": cmp.Or(color, "gray")}
	c.Custom = map[string]any{"drawStyle": "bars", "fillOpacity": 100, "lineWidth": 0, "pointSize": 0, "stacking": map[string]any{"mode": "normal", "group": "A"}}
}
