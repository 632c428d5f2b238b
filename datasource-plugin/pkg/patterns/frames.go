package patterns

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"strings"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/data"

	"github.com/portent-dev/portent/datasource-plugin/pkg/dataplane"
	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
	"github.com/portent-dev/portent/internal/logmine"
	"github.com/portent-dev/portent/internal/logquery"
)

// Names of the columns, which dashboards refer to.
const (
	columnCount        = "Count"
	columnShare        = "Share"
	columnSeverity     = "Severity"
	columnTemplate     = "Template"
	columnTrend        = "Trend"
	columnChange       = "Change"
	columnBefore       = "Before"
	columnSignificance = "Significance"
	columnFirst        = "First seen"
	columnLast         = "Last seen"
	columnEntities     = "Entities"
	columnExample      = "Example"
	columnPattern      = "Pattern"
	columnQuery        = "Query"
	columnExact        = "Query gives"
	columnRank         = "Rank"
	columnConfidence   = "Confidence"
	columnWhy          = "Why"
)

// sizes of columns in pixels, so that the template is in sight. It is read only.
var sizes = map[string]map[string]any{
	columnCount: {"width": 90}, columnShare: {"width": 75}, columnSeverity: {"width": 85}, columnTemplate: {"minWidth": 350},
	columnTrend: {"width": 160}, columnChange: {"width": 85}, columnBefore: {"width": 90}, columnSignificance: {"width": 100},
	columnFirst: {"width": 165}, columnLast: {"width": 165}, columnEntities: {"minWidth": 200}, columnExample: {"minWidth": 250},
	columnPattern: {"width": 125}, columnQuery: {"minWidth": 200}, columnExact: {"width": 150},
	columnRank: {"width": 60}, columnConfidence: {"width": 95}, columnWhy: {"minWidth": 350},
}

// Colours by value. They are read only.
var (
	severityColours = map[string]string{"critical": "purple", "error": "red", "warning": "orange", "info": "green", "debug": "blue", "unknown": "text"}
	changeColours   = map[string]string{"new": "red", "grown": "orange", "gone": "blue", "shrunk": "blue", "same": "text"}
)

func field(name string, values any, c data.FieldConfig) *data.Field {
	f := data.NewField(name, nil, values)
	f.Config = &c
	if size := sizes[name]; size != nil {
		custom := maps.Clone(size)
		maps.Copy(custom, c.Custom)
		c.Custom = custom
	}
	return f
}

func colours(of map[string]string) data.FieldConfig {
	m := data.ValueMapper{}
	for value, colour := range of {
		m[value] = data.ValueMappingResult{Text: value, Color: colour}
	}
	return data.FieldConfig{
		Mappings: data.ValueMappings{m},
		Custom:   map[string]any{"cellOptions": map[string]any{"type": "color-text"}},
	}
}

func share() data.FieldConfig { return *(&data.FieldConfig{Unit: "percentunit"}).SetMin(0).SetMax(1) }

// table is one row for each pattern.
func (r Request) table(a *logquery.Answer) *data.Frame {
	n := len(a.Entries)
	count, shares, severity, template := make([]int64, n), make([]float64, n), make([]string, n), make([]string, n)
	trend, first, last := make([]json.RawMessage, n), make([]*time.Time, n), make([]*time.Time, n)
	entities, example, id, text, gives := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	change, before, p := make([]string, n), make([]int64, n), make([]*float64, n)
	for i := range a.Entries {
		e := &a.Entries[i]
		count[i], shares[i], severity[i], template[i] = e.Count, e.Share, e.Severity.String(), e.Template
		trend[i], first[i], last[i] = trendOf(e.Counts), moment(e.First), moment(e.Last)
		entities[i], example[i], id[i], text[i], gives[i] = entitiesOf(e), e.Example, e.ID, e.Query.Text, givesOf(e.Query)
		change[i], before[i] = string(e.Change), e.Before
		if e.Change != "" {
			p[i] = &e.P
		}
	}
	fields := []*data.Field{
		field(columnCount, count, data.FieldConfig{Description: "Lines in the time range; scaled to all when only some were read"}),
		field(columnShare, shares, share()),
		field(columnSeverity, severity, colours(severityColours)),
	}
	if a.Before != nil {
		fields = append(fields,
			field(columnChange, change, colours(changeColours)),
			field(columnBefore, before, data.FieldConfig{Description: "Lines in the window compared with"}),
			field(columnSignificance, p, *(&data.FieldConfig{Description: "How likely such a change is by chance, corrected for the number of patterns"}).SetDecimals(4)))
	}
	fields = append(fields,
		field(columnTemplate, template, data.FieldConfig{Links: r.links()}),
		field(columnTrend, trend, data.FieldConfig{Custom: map[string]any{"cellOptions": map[string]any{"type": "sparkline", "hideValue": true}}}),
		field(columnFirst, first, data.FieldConfig{}),
		field(columnLast, last, data.FieldConfig{}),
		field(columnEntities, entities, data.FieldConfig{Description: "What its lines name, with the number of lines at least"}),
		field(columnExample, example, data.FieldConfig{}),
		field(columnPattern, id, data.FieldConfig{}),
		field(columnQuery, text, data.FieldConfig{}),
		field(columnExact, gives, data.FieldConfig{Description: "Whether the query gives exactly the pattern's lines"}),
	)
	return dataplane.Table("Patterns", fields...)
}

// links lead from a row to its lines.
func (r Request) links() []data.DataLink {
	out := []data.DataLink{{
		Title: "Show its lines",
		Internal: &data.InternalDataLink{DatasourceUID: r.UID, Query: map[string]any{
			"queryType": string(query.TypePatterns),
			string(query.TypePatterns): map[string]any{
				"view": query.ViewLogs, "query": "${__data.fields." + columnQuery + "}",
			},
		}},
	}}
	if r.LokiUID != "" {
		out = append(out, data.DataLink{
			Title: "Open in Loki",
			Internal: &data.InternalDataLink{DatasourceUID: r.LokiUID, Query: map[string]any{
				"expr": "${__data.fields." + columnQuery + "}", "queryType": "range",
			}},
		})
	}
	return out
}

// givesOf says how exact a query is.
func givesOf(q logquery.Query) string {
	switch {
	case q.Exact:
		return "exactly its lines"
	case q.Text == "":
		return ""
	case q.Note != "":
		return q.Note
	}
	return "about its lines"
}

// trendOf writes counts as the list that a sparkline draws.
func trendOf(counts []float64) json.RawMessage {
	var b strings.Builder
	b.WriteByte('[')
	for i, c := range counts {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%d", int64(math.Round(c)))
	}
	b.WriteByte(']')
	return json.RawMessage(b.String())
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// maxEntities that one cell names.
const maxEntities = 4

// entitiesOf tells what most lines share, then what they name most.
func entitiesOf(p *logquery.Pattern) string {
	var parts []string
	seen := map[string]bool{}
	for _, s := range p.Shared {
		seen[s.Name+" "+s.Value] = true
		parts = append(parts, fmt.Sprintf("%s %s (%.0f %%)", s.Name, s.Value, 100*s.Share))
	}
	for _, e := range p.Entities {
		if one := e.Kind.String() + " " + e.Value; !seen[one] && e.Count > 1 && e.Count*10 >= p.Events {
			parts = append(parts, fmt.Sprintf("%s (%d)", one, e.Count))
		}
	}
	return strings.Join(parts[:min(len(parts), maxEntities)], ", ")
}

// causes is one row for each that may have begun it, the likeliest first.
func (r Request) causes(a *logquery.Answer) *data.Frame {
	n := len(a.Causes)
	rank, confidence, why := make([]int64, n), make([]float64, n), make([]string, n)
	id, template, change, severity := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	first, example, text := make([]*time.Time, n), make([]string, n), make([]string, n)
	for i, c := range a.Causes {
		p := c.Pattern
		rank[i], confidence[i], why[i] = int64(i+1), c.Confidence, strings.Join(c.Why, "; ")
		id[i], template[i], change[i], severity[i] = p.ID, p.Template, string(p.Change), p.Severity.String()
		first[i], example[i], text[i] = moment(p.First), p.Example, p.Query.Text
	}
	return dataplane.Table("Causes",
		field(columnRank, rank, data.FieldConfig{}),
		field(columnTemplate, template, data.FieldConfig{Links: r.links()}),
		field(columnWhy, why, data.FieldConfig{}),
		field(columnConfidence, confidence, share()),
		field(columnChange, change, colours(changeColours)),
		field(columnSeverity, severity, colours(severityColours)),
		field(columnFirst, first, data.FieldConfig{}),
		field(columnExample, example, data.FieldConfig{}),
		field(columnPattern, id, data.FieldConfig{}),
		field(columnQuery, text, data.FieldConfig{}),
	)
}

// fieldLines is the name of the values of patterns.
const fieldLines = "lines"

// maxLegend bounds a template in a legend and in a label, in runes.
const maxLegend = 100

func legend(p *logquery.Pattern) string {
	if r := []rune(p.Template); len(r) > maxLegend {
		return string(r[:maxLegend]) + "…"
	}
	return p.Template
}

func labelsOf(p *logquery.Pattern) data.Labels {
	return data.Labels{"pattern": p.ID, "severity": p.Severity.String(), "template": legend(p)}
}

func pointers(of []float64) []*float64 {
	out := make([]*float64, len(of))
	for i := range of {
		out[i] = new(math.Round(of[i]))
	}
	return out
}

// timeSeries is one frame for each pattern.
func timeSeries(a *logquery.Answer) data.Frames {
	var out data.Frames
	for i := range a.Entries {
		p := &a.Entries[i]
		out = append(out, dataplane.Series(fieldLines, labelsOf(p), a.Times, pointers(p.Counts), a.Step, &data.FieldConfig{DisplayNameFromDS: legend(p)}))
	}
	if len(out) == 0 {
		return data.Frames{dataplane.Empty(data.FrameTypeTimeSeriesMulti)}
	}
	return out
}

// numeric is the number of lines of each pattern.
func numeric(a *logquery.Answer) data.Frames {
	var out data.Frames
	for i := range a.Entries {
		p := &a.Entries[i]
		c := (&data.FieldConfig{DisplayNameFromDS: legend(p)}).SetDecimals(0)
		out = append(out, dataplane.Number(fieldLines, labelsOf(p), float64(p.Count), c))
	}
	if len(out) == 0 {
		return data.Frames{dataplane.Empty(data.FrameTypeNumericMulti)}
	}
	return out
}

// volumeColours are those that Grafana's own logs panel gives to levels. They are read only.
var volumeColours = map[logmine.Severity]string{
	logmine.Critical: "purple", logmine.Error: "red", logmine.Warning: "yellow", logmine.Info: "green", logmine.Debug: "blue", logmine.Unknown: "gray",
}

// volume is one frame for each severity, as Explore draws them above the lines.
func volume(a *logquery.Answer) data.Frames {
	var out data.Frames
	for _, v := range a.Volume {
		c := &data.FieldConfig{
			DisplayNameFromDS: v.Severity.String(), Color: map[string]any{"mode": "fixed", "fixedColor": volumeColours[v.Severity]},
			Custom: map[string]any{
				"drawStyle": "bars", "fillOpacity": 100, "lineWidth": 0, "pointSize": 0, "stacking": map[string]any{"mode": "normal", "group": "A"},
			},
		}
		out = append(out, dataplane.Series(fieldLines, data.Labels{"level": v.Severity.String()}, a.Times, pointers(v.Counts), a.Step, c))
	}
	if len(out) == 0 {
		return data.Frames{dataplane.Empty(data.FrameTypeTimeSeriesMulti)}
	}
	return out
}
