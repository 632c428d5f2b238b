package questions

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/grafana/grafana-plugin-sdk-go/data"
	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/datasource-plugin/pkg/dataplane"
	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
	"github.com/portent-dev/portent/internal/ask"
)

// findings are the frames of a question that takes several queries.
//
//	auto         a table of what was looked at, then the series of each finding over the range, or its log lines
//	table        the same table, then a table of the things of each finding
//	timeseries   the series of all findings
//	numeric      how many things each query found, with the label finding: what an alert rule compares with 0
//
// The frames of auto and table are of several kinds, or several tables, which the data plane contract leaves open and
// Explore and the table panel show.
func (s Servers) findings(ctx context.Context, r Request, e Explained, all []looked, numbers bool) data.Frames {
	var executed []string
	for _, l := range all {
		executed = append(executed, "# "+l.part.Title, cmp.Or(l.plan.query, l.part.Query))
	}
	var out data.Frames
	switch {
	case numbers:
		for _, l := range all {
			if l.err == nil {
				out = append(out, dataplane.Number(valueField, data.Labels{"finding": l.part.Title}, float64(l.found), &data.FieldConfig{DisplayNameFromDS: capital(l.part.Title)}))
			}
		}
	case r.Query.View != query.ViewTimeSeries:
		out = append(out, looks(all))
	}
	for _, l := range all {
		if l.err != nil || l.found == 0 || numbers {
			continue
		}
		more, err := s.detail(ctx, r, l)
		if err != nil {
			e.Warnings = append(e.Warnings, fmt.Sprintf("Not shown over time: %s – %v.", l.part.Title, err))
		}
		out = append(out, more...)
	}
	if len(out) == 0 {
		out = data.Frames{dataplane.Empty(data.FrameTypeTimeSeriesMulti)}
	}
	return dataplane.Finish(described(out, e), strings.Join(executed, "\n"), notices(e, ""))
}

// detail is what is shown of one finding.
func (s Servers) detail(ctx context.Context, r Request, l looked) (data.Frames, error) {
	p, res := l.plan, l.result
	if p.isLines && r.Query.View != query.ViewTimeSeries {
		f := lines(res.Lines)
		f.Name = capital(l.part.Title)
		return data.Frames{f}, nil
	}
	var out data.Frames
	if r.Query.View == query.ViewTable {
		out, _ = p.table(findingsOf(l))
	} else {
		over := r.part()
		over.Query.View = query.ViewTimeSeries
		var err error
		if p, res, err = s.once(ctx, over, l.part.Frozen); err != nil {
			return nil, err
		}
		out, _ = p.series(over, res)
		out = slices.DeleteFunc(out, func(f *data.Frame) bool { return len(f.Fields) == 0 })
	}
	for _, f := range out {
		f.Name = capital(l.part.Title)
		if v := f.Fields[len(f.Fields)-1]; f.Meta.Type == data.FrameTypeTimeSeriesMulti && v.Config != nil {
			v.Config.DisplayNameFromDS = l.part.Title + ": " + v.Config.DisplayNameFromDS
			v.Labels["finding"] = l.part.Title // two findings may be of one pod
		}
	}
	return out, nil
}

// findingsOf are the rows of a part that are a finding, the greatest first.
func findingsOf(l looked) model.Vector {
	p := askPart(l.part)
	return slices.DeleteFunc(sorted(l.plan.query, l.result.Vector), func(s *model.Sample) bool { return !p.Found(ask.Result{Vector: model.Vector{s}}) })
}

// looks is the table of what was looked at: what was found first, then what could not be looked at, then what is fine.
func looks(all []looked) *data.Frame {
	rows := slices.Clone(all)
	rank := func(l looked) int {
		switch {
		case l.err != nil:
			return 1
		case l.found > 0:
			return 0
		}
		return 2
	}
	slices.SortStableFunc(rows, func(a, b looked) int { return cmp.Compare(rank(a), rank(b)) })
	n := len(rows)
	titles, states, counts, worst, said, queries := make([]string, n), make([]string, n), make([]*int64, n), make([]string, n), make([]string, n), make([]string, n)
	for i, l := range rows {
		titles[i], queries[i] = capital(l.part.Title), cmp.Or(l.plan.query, l.part.Query)
		if l.err != nil {
			states[i], said[i] = "not looked at", l.err.Error()
			continue
		}
		count := int64(l.found)
		counts[i], states[i] = &count, "no sign"
		if l.found > 0 {
			states[i], worst[i] = "found", most(l)
			said[i] = ask.Answer(context.Background(), l.plan.translation(), only(l), nil)
		}
	}
	state := data.NewField("State", nil, states)
	state.Config = &data.FieldConfig{
		Mappings: data.ValueMappings{data.ValueMapper{
			"found": {Text: "found", Color: "red"}, "no sign": {Text: "no sign", Color: "green"}, "not looked at": {Text: "not looked at", Color: "orange"},
		}},
		Custom: map[string]any{"cellOptions": map[string]any{"type": "color-text"}, "width": 110},
	}
	found := data.NewField("Found", nil, counts)
	found.Config = &data.FieldConfig{Description: "How many things are a finding", Custom: map[string]any{"width": 80}}
	high := data.NewField("Worst", nil, worst)
	high.Config = &data.FieldConfig{Custom: map[string]any{"width": 110}}
	f := dataplane.Table("Findings", data.NewField("Finding", nil, titles), state, found, high, data.NewField("Says", nil, said), data.NewField("Query", nil, queries))
	return f
}

// only is the result with what is a finding alone.
func only(l looked) ask.Result {
	res := l.result
	if len(res.Vector) > 0 {
		res.Vector = findingsOf(l)
	}
	return res
}

// most is the greatest value with its unit; empty of a list of things in a state, and of log lines.
func most(l looked) string {
	v := findingsOf(l)
	if len(v) == 0 || !slices.ContainsFunc(v, func(s *model.Sample) bool { return float64(s.Value) != 1 }) {
		return ""
	}
	high := math.Inf(-1)
	for _, s := range v {
		high = max(high, float64(s.Value))
	}
	return ask.Format(high, l.part.Unit)
}
