package anomalies

import (
	"context"

	"github.com/grafana/grafana-plugin-sdk-go/data"

	"github.com/portent-dev/portent/datasource-plugin/pkg/dataplane"
)

// numeric is one number for each series: its score at the end of the range, the greatest first. Alert rules
// use it.
func (a *asker) numeric(ctx context.Context) (data.Frames, error) {
	a.build.window = a.To.Sub(a.From)
	vec, err := a.vector(ctx, "scores", a.build.top(a.build.above(a.build.scores())), a.To)
	if err != nil {
		return nil, err
	}
	byKey := map[string]*series{}
	for _, v := range vec {
		s := newSeries(v.Metric)
		s.peak = float64(v.Value)
		byKey[s.key] = s
	}
	var frames data.Frames
	for _, s := range ranked(byKey) {
		config := scoreField(&data.FieldConfig{DisplayNameFromDS: a.lineName(s, "score"), Color: map[string]any{"mode": "thresholds"}})
		frames = append(frames, dataplane.Number(MetricScore, s.labels, s.peak, config))
	}
	var why string
	if len(frames) == 0 {
		if why, err = a.whyEmpty(ctx, a.To); err != nil {
			return nil, err
		}
		frames = data.Frames{dataplane.Empty(data.FrameTypeNumericMulti)}
	}
	return dataplane.Finish(frames, a.log.executed(), a.notices(why)), nil
}
