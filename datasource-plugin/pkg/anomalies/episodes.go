package anomalies

import (
	"time"

	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/datasource-plugin/pkg/query"
)

// episode is a stretch of steps in which the score stayed above the threshold.
type episode struct {
	from, to time.Time
	peak     float64
	open     bool // it reaches the last step
}

// episodes returns the stretches in order. A step without a score ends one: Prometheus bridges missed scrapes
// itself, so what is missing here has ended.
func episodes(points []model.SamplePair, threshold float64, g grid) []episode {
	var out []episode
	var last time.Time
	for _, p := range points {
		t, v := p.Timestamp.Time(), float64(p.Value)
		if v <= threshold {
			continue
		}
		if len(out) == 0 || t.Sub(last) > g.step {
			out = append(out, episode{from: t})
		}
		e := &out[len(out)-1]
		e.to, e.peak, e.open = t, max(e.peak, v), t.Add(g.step).After(g.to)
		last = t
	}
	return out
}

// episodeThreshold is that of the query, or where that is 0, which asks for all series, the score's own.
func (a *asker) episodeThreshold() float64 {
	if a.build.threshold > 0 {
		return a.build.threshold
	}
	return query.DefaultThreshold
}
