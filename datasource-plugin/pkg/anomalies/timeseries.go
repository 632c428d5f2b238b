package anomalies

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/data"
	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/datasource-plugin/pkg/dataplane"
	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
)

// Keys of series.points beside the names of our metrics.
const (
	partSteps    = "steps"    // scores at the steps of the range
	partObserved = "observed" // the input series
)

// timeSeries is one frame for each series and part, the greatest peak first.
func (a *asker) timeSeries(ctx context.Context) (data.Frames, error) {
	grid := a.steps(a.MaxPoints, true)
	a.build.window = grid.to.Sub(grid.from)
	all, err := a.seriesWithBands(ctx, grid)
	if err != nil {
		return nil, err
	}
	var notices []string
	if len(all) == 0 {
		why, err := a.whyEmpty(ctx, grid.to)
		if err != nil {
			return nil, err
		}
		frames := data.Frames{dataplane.Empty(data.FrameTypeTimeSeriesMulti)}
		return dataplane.Finish(frames, a.log.executed(), a.notices(why)), nil
	}
	if a.Query.Shows(query.PartObserved) {
		complete, err := a.observedMatrix(ctx, all, grid)
		if err != nil {
			return nil, err
		}
		if !complete {
			notices = append(notices, fmt.Sprintf("Observed values are looked up for the first %d series and %d metrics.", maxObserved, maxObservedMetrics))
		}
		notices = append(notices, missing(all))
	}
	var frames data.Frames
	for _, s := range all {
		frames = append(frames, a.frames(s, grid)...)
	}
	if len(frames) == 0 {
		frames = data.Frames{dataplane.Empty(data.FrameTypeTimeSeriesMulti)}
	}
	return dataplane.Finish(frames, a.log.executed(), a.notices(notices...)), nil
}

// seriesWithBands asks for the scores, which decide which series there are and in which order, and where they
// are shown for the expected values.
func (a *asker) seriesWithBands(ctx context.Context, grid grid) ([]*series, error) {
	var scores, bands model.Matrix
	g, gctx := group(ctx)
	g.Go(func() (err error) {
		scores, err = a.matrix(gctx, "scores", a.build.scoreSteps(grid.step, a.Scrape), grid)
		return err
	})
	if names := a.bandMetrics(); len(names) > 0 {
		g.Go(func() (err error) {
			bands, err = a.matrix(gctx, "expected", a.build.named(a.build.top(a.build.peaks(true)), names...), grid)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	byKey := map[string]*series{}
	for _, m := range scores {
		s := newSeries(m.Metric)
		s.points[MetricScore] = m.Values
		for _, p := range m.Values {
			s.peak = max(s.peak, float64(p.Value))
		}
		byKey[s.key] = s
	}
	for _, m := range bands {
		if s := byKey[newSeries(m.Metric).key]; s != nil {
			s.points[string(m.Metric[model.MetricNameLabel])] = m.Values
		}
	}
	return ranked(byKey), nil
}

func (a *asker) bandMetrics() []string {
	var names []string
	if a.Query.Shows(query.PartExpected) {
		names = append(names, metricExpected)
	}
	if a.Query.Shows(query.PartBand) {
		names = append(names, metricLower, metricUpper)
	}
	return names
}

// missing says that the input of some series is not in this Prometheus: it came by remote write only, or
// under the name of a configured query.
func missing(all []*series) string {
	n := 0
	for _, s := range all[:min(len(all), maxObserved)] {
		if len(s.points[partObserved]) == 0 {
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("The input of %d series is not in this Prometheus under its name and labels, so it is not drawn.", n)
}

// frames returns the parts of one series in the order in which they are drawn.
func (a *asker) frames(s *series, g grid) data.Frames {
	var out data.Frames
	unit := UnitOf(s.metric())
	add := func(part query.Part, name, suffix string, points []model.SamplePair, config *data.FieldConfig) {
		if !a.Query.Shows(part) || len(points) == 0 {
			return
		}
		labels := data.Labels(s.labels)
		if part == query.PartObserved {
			labels = s.input()
		}
		config.DisplayNameFromDS = a.lineName(s, suffix)
		out = append(out, dataplane.Series(name, labels, times(points), values(points), g.step, config))
	}
	line := func(style map[string]any) *data.FieldConfig { return &data.FieldConfig{Unit: unit, Custom: style} }

	add(query.PartScore, MetricScore, "score", s.points[MetricScore], a.scoreLine())
	add(query.PartObserved, s.metric(), "observed", s.points[partObserved], line(nil))
	add(query.PartExpected, metricExpected, "expected", s.points[metricExpected], line(map[string]any{
		"lineStyle": map[string]any{"fill": "dash", "dash": []int{8, 6}},
	}))
	// The band is the area between two lines that are not drawn.
	add(query.PartBand, metricLower, "lower", s.points[metricLower], line(map[string]any{"lineWidth": 0}))
	add(query.PartBand, metricUpper, "upper", s.points[metricUpper], line(map[string]any{
		"lineWidth": 0, "fillOpacity": 20, "fillBelowTo": a.lineName(s, "lower"),
	}))
	return out
}

// scoreLine puts the score on an axis of its own when lines of another unit share the panel.
func (a *asker) scoreLine() *data.FieldConfig {
	c := scoreField(&data.FieldConfig{})
	if len(a.Query.Show) > 1 {
		c.Custom = map[string]any{"axisPlacement": "right", "axisLabel": "score"}
	}
	return c
}

// legendLabel is {{label}} in a legend, as Grafana's Prometheus data source writes it.
var legendLabel = regexp.MustCompile(`\{\{\s*([^{}]+?)\s*\}\}`)

// lineName names one line. The part is added when there is more than one, or else two lines had one name.
func (a *asker) lineName(s *series, part string) string {
	name := dataplane.SeriesName(s.metric(), s.input())
	if a.Query.Legend != "" {
		name = legendLabel.ReplaceAllStringFunc(a.Query.Legend, func(m string) string {
			return s.labels[legendLabel.FindStringSubmatch(m)[1]]
		})
	}
	if len(a.Query.Show) > 1 || a.Query.Shows(query.PartBand) {
		return name + " " + part
	}
	return name
}

func times(points []model.SamplePair) []time.Time {
	out := make([]time.Time, len(points))
	for i, p := range points {
		out[i] = p.Timestamp.Time().UTC()
	}
	return out
}

func values(points []model.SamplePair) []*float64 {
	out := make([]*float64, len(points))
	for i, p := range points {
		out[i] = new(float64(p.Value))
	}
	return out
}
