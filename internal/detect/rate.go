package detect

import (
	"math"

	"github.com/portent-dev/portent/internal/ingest"
)

// A rate over a longer pause than this (both bounds) would be a mean over a time of
// which nothing is known; the counter starts anew instead.
const (
	gapSteps = 10
	gapMs    = 5 * 60 * 1000
)

// rate returns the per-second rate of a counter at its new sample x, and false when
// there is none: at the first sample, after a stale marker, and after a long gap.
//
// A counter that fell was reset and has counted up from zero since, as Prometheus
// assumes (promql rate): what it shows is its growth, a lower bound. So was one whose
// start, where it is known, lies after its last sample: it may have passed its old value
// since.
// A counter that is not a finite number of at least zero gives NaN.
func (s *shardState) rate(r *series, x ingest.Sample) (float64, bool) {
	if math.IsNaN(x.V) || math.IsInf(x.V, 0) || x.V < 0 {
		r.flags &^= based
		return math.NaN(), true
	}
	had := r.flags&based != 0
	r.flags |= based
	if !had {
		return 0, false
	}
	dt := x.T - r.last
	if r.step > 0 && dt > gapMs && float64(dt) > gapSteps*float64(r.step) {
		return 0, false
	}
	growth := x.V - r.raw
	if growth < 0 || x.Start > r.last && x.Start <= x.T {
		s.stats.CounterResets++
		growth = x.V
	}
	return growth * 1000 / float64(dt), true
}
