package anomalies

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/data"

	"github.com/portent-dev/portent/datasource-plugin/pkg/dataplane"
)

// maxAnnotations in one answer: more than a graph can show.
const maxAnnotations = 1000

// annotations is one region for each stretch of time in which a series was anomalous, oldest first.
func (a *asker) annotations(ctx context.Context) (data.Frames, error) {
	g := a.steps(a.MaxPoints, false)
	a.build.window = a.To.Sub(g.from)
	scores, err := a.matrix(ctx, "scores", a.build.scoreSteps(g.step, a.Scrape), g)
	if err != nil {
		return nil, err
	}
	type region struct {
		episode
		series *series
	}
	var regions []region
	for _, m := range scores {
		s := newSeries(m.Metric)
		for _, e := range episodes(m.Values, a.episodeThreshold(), g) {
			regions = append(regions, region{e, s})
		}
	}
	slices.SortFunc(regions, func(x, y region) int {
		return cmp.Or(x.from.Compare(y.from), cmp.Compare(x.series.key, y.series.key))
	})
	var notice string
	if n := len(regions); n > maxAnnotations {
		notice = fmt.Sprintf("%d of %d anomalies are shown.", maxAnnotations, n)
		regions = regions[:maxAnnotations]
	}
	var list dataplane.Annotations
	for _, r := range regions {
		text := dataplane.SeriesName(r.series.metric(), r.series.input())
		state := "ended"
		end := r.to
		if r.open {
			state, end = "lasting", time.Time{}
		}
		list = append(list, dataplane.Annotation{
			Time: r.from, End: end, Now: a.To, Title: dataplane.Text("Anomaly: " + r.series.metric()),
			Text: dataplane.Text(fmt.Sprintf("%s: score up to %.2f", text, r.peak)), Tags: []string{"anomaly", state},
		})
	}
	return dataplane.Finish(data.Frames{list.Frame()}, a.log.executed(), a.notices(notice)), nil
}
