package anomalies

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/data"
	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/datasource-plugin/pkg/dataplane"
	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
)

// maxLabelColumns of the table. More are left out with a notice; nobody reads so many.
const maxLabelColumns = 40

// table is one row for each series that was anomalous in the range, the greatest peak first.
func (a *asker) table(ctx context.Context) (data.Frames, error) {
	grid := a.steps(0, false)
	a.build.window = a.To.Sub(grid.from)
	var (
		peaks, now, total model.Vector
		scores            model.Matrix
	)
	g, gctx := group(ctx)
	g.Go(func() (err error) {
		peaks, err = a.vector(gctx, "peaks", a.build.top(a.build.peaks(false)), a.To)
		return err
	})
	g.Go(func() (err error) {
		top := a.build.top(a.build.peaks(false))
		now, err = a.vector(gctx, "now", a.build.named(top, MetricScore, metricExpected, metricLower, metricUpper), a.To)
		return err
	})
	g.Go(func() (err error) {
		total, err = a.vector(gctx, "number of series", count(a.build.peaks(false)), a.To)
		return err
	})
	g.Go(func() (err error) {
		scores, err = a.matrix(gctx, "scores", a.build.scoreSteps(grid.step, a.Scrape), grid)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}

	byKey := map[string]*series{}
	for _, s := range peaks {
		one := newSeries(s.Metric)
		one.peak = float64(s.Value)
		byKey[one.key] = one
	}
	for _, s := range now {
		if one := byKey[newSeries(s.Metric).key]; one != nil {
			one.points[string(s.Metric[model.MetricNameLabel])] = []model.SamplePair{{Timestamp: s.Timestamp, Value: s.Value}}
		}
	}
	for _, s := range scores {
		if one := byKey[newSeries(s.Metric).key]; one != nil {
			one.points[partSteps] = s.Values
		}
	}
	return a.tableFrames(ctx, ranked(byKey), grid, total)
}

func (a *asker) tableFrames(ctx context.Context, rows []*series, g grid, total model.Vector) (data.Frames, error) {
	var notices []string
	if len(rows) == 0 {
		why, err := a.whyEmpty(ctx, a.To)
		if err != nil {
			return nil, err
		}
		notices = append(notices, why)
	}
	complete, err := a.observedVector(ctx, rows, a.To)
	if err != nil {
		return nil, err
	}
	if !complete {
		notices = append(notices, fmt.Sprintf("Observed values are looked up for the first %d series and %d metrics.", maxObserved, maxObservedMetrics))
	}
	if len(total) == 1 && int(total[0].Value) > len(rows) {
		notices = append(notices, fmt.Sprintf("%d of %d series are shown: those with the greatest peaks.", len(rows), int(total[0].Value)))
	}
	names, left := labelColumns(rows)
	if left > 0 {
		notices = append(notices, fmt.Sprintf("%d labels are not shown: %d columns are enough for a table.", left, maxLabelColumns))
	}
	frame := dataplane.Table("Anomalies", a.columns(rows, names, g)...)
	return dataplane.Finish(data.Frames{frame}, a.log.executed(), a.notices(notices...)), nil
}

// labelColumns returns the labels that any row has, but for metric, which has a column of its own.
func labelColumns(rows []*series) (names []string, left int) {
	seen := map[string]string{}
	for _, r := range rows {
		for n := range r.labels {
			if n != LabelMetric {
				seen[n] = ""
			}
		}
	}
	names = sortedKeys(seen)
	if len(names) > maxLabelColumns {
		return names[:maxLabelColumns], len(names) - maxLabelColumns
	}
	return names, 0
}

// Names of the columns, which dashboards refer to.
const (
	columnSince    = "Since"
	columnUntil    = "Until"
	columnMetric   = "Metric"
	columnScore    = "Score"
	columnPeak     = "Peak"
	columnObserved = "Observed"
	columnExpected = "Expected"
	columnLower    = "Lower"
	columnUpper    = "Upper"
)

// widths of these columns in pixels, so that the labels are in sight too; 0 takes what is left. It is read only.
var widths = [...]int{165, 165, 0, 75, 75, 100, 100, 100, 100}

func (a *asker) columns(rows []*series, names []string, g grid) []*data.Field {
	since, until := make([]*time.Time, len(rows)), make([]*time.Time, len(rows))
	metric, peak := make([]string, len(rows)), make([]*float64, len(rows))
	for i, r := range rows {
		if es := episodes(r.points[partSteps], a.episodeThreshold(), g); len(es) > 0 {
			last := es[len(es)-1]
			since[i] = &last.from
			if !last.open {
				until[i] = &last.to
			}
		}
		metric[i], peak[i] = r.metric(), &r.peak
	}
	unit := commonUnit(rows)
	fields := []*data.Field{
		column(columnSince, since, "Start of the last stretch above the threshold, as fine as the steps of the range"),
		column(columnUntil, until, "End of that stretch; empty while it lasts"),
		column(columnMetric, metric, ""),
		scoreConfig(column(columnScore, lasts(rows, MetricScore), "Score at the end of the range: above 1 is anomalous")),
		scoreConfig(column(columnPeak, peak, "Greatest score in the range")),
		column(columnObserved, lasts(rows, partObserved), "The input at the end of the range; a counter as rate a second"),
		column(columnExpected, lasts(rows, metricExpected), "What was expected at the end of the range"),
		column(columnLower, lasts(rows, metricLower), "Lower end of what counts as normal"),
		column(columnUpper, lasts(rows, metricUpper), "Upper end of what counts as normal"),
	}
	for i, f := range fields {
		if width := widths[i]; width > 0 {
			f.Config.Custom = merge(f.Config.Custom, map[string]any{"width": width})
		}
		if i >= 5 {
			f.Config.Unit = unit
		}
	}
	fixed := map[string]bool{}
	for _, f := range fields {
		fixed[f.Name] = true
	}
	titles := map[string]string{}
	for _, name := range names {
		title := name
		for fixed[title] {
			title += " (label)"
		}
		titles[name] = title
		values := make([]string, len(rows))
		for i, r := range rows {
			values[i] = r.labels[name]
		}
		f := column(title, values, "")
		f.Config.SetFilterable(true)
		fields = append(fields, f)
	}
	fields[2].Config.SetFilterable(true)
	fields[2].Config.Custom = map[string]any{"minWidth": 230} // most names of metrics
	fields[2].Config.Links = a.link(titles, names)
	return fields
}

func column[T any](name string, values []T, description string) *data.Field {
	f := data.NewField(name, nil, values)
	f.Config = &data.FieldConfig{Description: description}
	return f
}

func merge(into, more map[string]any) map[string]any {
	if into == nil {
		return more
	}
	maps.Copy(into, more)
	return into
}

// lasts returns the last point of one part of each row.
func lasts(rows []*series, part string) []*float64 {
	out := make([]*float64, len(rows))
	for i, r := range rows {
		if ps := r.points[part]; len(ps) > 0 {
			v := float64(ps[len(ps)-1].Value)
			out[i] = &v
		}
	}
	return out
}

// scoreConfig colours a score by its own contract.
func scoreConfig(f *data.Field) *data.Field {
	f.Config = scoreField(f.Config)
	f.Config.Color = map[string]any{"mode": "thresholds"}
	f.Config.Custom = map[string]any{"cellOptions": map[string]any{"type": "color-text"}}
	return f
}

// link opens the series of a row in Explore, with its band.
func (a *asker) link(titles map[string]string, names []string) []data.DataLink {
	type matcher = query.Matcher
	matchers := make([]matcher, 0, len(names))
	for _, n := range names {
		matchers = append(matchers, matcher{Label: n, Op: "=", Value: fmt.Sprintf(`${__data.fields[%q]}`, titles[n])})
	}
	return []data.DataLink{{
		Title: "Show the score and what was expected",
		Internal: &data.InternalDataLink{
			DatasourceUID: a.UID,
			Query: map[string]any{
				"queryType": string(query.TypeAnomalies),
				string(query.TypeAnomalies): map[string]any{
					"view": query.ViewTimeSeries, "metric": "${__data.fields." + columnMetric + "}", "matchers": matchers,
					"show": []query.Part{query.PartScore, query.PartObserved, query.PartExpected, query.PartBand},
				},
			},
		},
	}}
}
