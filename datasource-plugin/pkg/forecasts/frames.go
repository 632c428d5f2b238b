package forecasts

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/data"
	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/datasource-plugin/pkg/anomalies"
	"github.com/portent-dev/portent/datasource-plugin/pkg/dataplane"
	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
)

func (r Request) frames(all []*future, g dataplane.Grid) data.Frames {
	switch r.Query.View {
	case query.ViewNumeric:
		return r.numbers(all)
	case query.ViewTable:
		return r.table(all)
	default:
		return r.lines(all, g)
	}
}

// lines is up to four lines for each series: what was, what comes, and the band in which it does. What comes begins
// with the newest value, so that the lines join.
func (r Request) lines(all []*future, g dataplane.Grid) data.Frames {
	var out data.Frames
	for _, f := range all {
		ls, name := plain(f.metric), r.name(f, all)
		add := func(field, suffix string, times []time.Time, values []*float64, style map[string]any) {
			config := &data.FieldConfig{Unit: r.unit(f), Custom: style, DisplayNameFromDS: strings.TrimSpace(name + " " + suffix)}
			out = append(out, dataplane.Series(field, ls, times, values, g.Step, config))
		}
		if r.Query.Shows(query.PartHistory) && len(f.times) > 0 {
			add("Value", "", f.times, f.values, nil)
		}
		if f.refused != nil {
			continue
		}
		times, mid, low, high := f.ahead()
		if r.Query.Shows(query.PartForecast) {
			add("forecast", "forecast", times, mid, map[string]any{"lineStyle": map[string]any{"fill": "dash", "dash": []int{8, 6}}})
		}
		if r.Query.Shows(query.PartBand) {
			// The band is the area between two lines that are not drawn.
			add("lower", "lower", times, low, map[string]any{"lineWidth": 0})
			add("upper", "upper", times, high, map[string]any{"lineWidth": 0, "fillOpacity": 20, "fillBelowTo": name + " lower"})
		}
	}
	if len(out) == 0 {
		out = data.Frames{dataplane.Empty(data.FrameTypeTimeSeriesMulti)}
	}
	return out
}

// ahead is the forecast with the newest value before it.
func (f *future) ahead() (times []time.Time, mid, low, high []*float64) {
	add := func(ms int64, m, l, h float64) {
		times = append(times, time.UnixMilli(ms).UTC())
		mid, low, high = append(mid, &m), append(low, &l), append(high, &h)
	}
	add(f.next.LastT, f.next.Last, f.next.Last, f.next.Last)
	for _, p := range f.next.Points {
		add(p.T, p.Value, p.Lower, p.Upper)
	}
	return times, mid, low, high
}

// numbers is one number a series: the time until the limit is met where one is given, else the value at the horizon.
// A series that does not meet the limit has the horizon: an alert on "less than two days" needs a number that is not
// less, and no data would be another answer.
func (r Request) numbers(all []*future) data.Frames {
	var out data.Frames
	horizon := r.Query.HorizonOf()
	for _, f := range all {
		if f.refused != nil {
			continue
		}
		if r.Query.Until == nil {
			config := &data.FieldConfig{Unit: r.unit(f), DisplayNameFromDS: r.name(f, all)}
			out = append(out, dataplane.Number("forecast", plain(f.metric), f.next.Points[len(f.next.Points)-1].Value, config))
			continue
		}
		config := &data.FieldConfig{Unit: "s", DisplayNameFromDS: r.name(f, all)}
		most := horizon.Seconds()
		config.Mappings = data.ValueMappings{data.RangeValueMapper{From: (*data.ConfFloat64)(&most), Result: data.ValueMappingResult{Text: "not within " + r.Query.Horizon}}}
		out = append(out, dataplane.Number("time until the limit", plain(f.metric), f.until(horizon).Seconds(), config))
	}
	if len(out) == 0 {
		out = data.Frames{dataplane.Empty(data.FrameTypeNumericMulti)}
	}
	return out
}

// until is how long after its newest value the series meets the limit, at most the horizon.
func (f *future) until(horizon time.Duration) time.Duration {
	if f.meets.At == 0 {
		return horizon
	}
	return min(time.Duration(f.meets.At-f.next.LastT)*time.Millisecond, horizon)
}

// table is a row a series: where it is, where it will be, and when it meets the limit.
func (r Request) table(all []*future) data.Frames {
	all = slices.DeleteFunc(slices.Clone(all), func(f *future) bool { return f.refused != nil })
	if len(all) == 0 {
		return data.Frames{dataplane.Empty(data.FrameTypeTable)}
	}
	var fields []*data.Field
	for _, name := range labelNames(all) {
		values := make([]string, len(all))
		for i, f := range all {
			values[i] = string(f.metric[model.LabelName(name)])
		}
		fields = append(fields, data.NewField(name, nil, values))
	}
	column := func(name string, get func(f *future) float64) {
		values := make([]float64, len(all))
		for i, f := range all {
			values[i] = get(f)
		}
		field := data.NewField(name, nil, values)
		field.Config = &data.FieldConfig{Unit: r.unit(all[0])}
		fields = append(fields, field)
	}
	last := func(f *future) int { return len(f.next.Points) - 1 }
	column("Now", func(f *future) float64 { return f.next.Last })
	column("In "+r.Query.Horizon, func(f *future) float64 { return f.next.Points[last(f)].Value })
	column("Lower", func(f *future) float64 { return f.next.Points[last(f)].Lower })
	column("Upper", func(f *future) float64 { return f.next.Points[last(f)].Upper })
	if r.Query.Until != nil {
		when := func(name string, get func(f *future) int64) {
			values := make([]*time.Time, len(all))
			for i, f := range all {
				if ms := get(f); ms != 0 {
					values[i] = new(time.UnixMilli(ms).UTC())
				}
			}
			fields = append(fields, data.NewField(name, nil, values))
		}
		when("Meets the limit", func(f *future) int64 { return f.meets.At })
		when("Earliest", func(f *future) int64 { return f.meets.Earliest })
		when("Latest", func(f *future) int64 { return f.meets.Latest })
	}
	return data.Frames{dataplane.Table("Forecast", fields...)}
}

func (r Request) unit(f *future) string {
	return cmp.Or(r.Query.Unit, anomalies.UnitOf(cmp.Or(r.Query.Metric, string(f.metric[model.MetricNameLabel]))))
}

// name is how a series is called: by the legend, else by the labels that tell it from the others.
func (r Request) name(f *future, all []*future) string {
	if r.Query.Legend != "" {
		return dataplane.Legend(r.Query.Legend, plain(f.metric))
	}
	var parts []string
	for _, n := range labelNames([]*future{f}) {
		l := model.LabelName(n)
		if slices.ContainsFunc(all, func(o *future) bool { return o.metric[l] != f.metric[l] }) {
			parts = append(parts, string(f.metric[l]))
		}
	}
	if len(parts) > 0 {
		return strings.Join(parts, " ")
	}
	return cmp.Or(r.Query.Metric, string(f.metric[model.MetricNameLabel]), "Value")
}

func labelNames(all []*future) []string {
	var out []string
	for _, f := range all {
		for n := range f.metric {
			if n != model.MetricNameLabel && !slices.Contains(out, string(n)) {
				out = append(out, string(n))
			}
		}
	}
	slices.Sort(out)
	return out
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
