package detect

import "math"

// habit holds a score back once it has been told: an anomaly that lasts is reported
// for reportFor, then only if it grows. Without it a level that moved for good would
// stay an alarm until the model has learnt it, and one incident would look like a
// hundred.
type habit struct {
	Peak float32 // highest score lately, fading
	Run  int16   // samples of the present report; -1 once it was long enough
}

const (
	// reportFor is long enough for a rule that is evaluated every 15 to 60 seconds
	// and asks for some of them in a row; at least reportSamples, for slow series.
	reportFor     = 5 * 60 * 1000 // ms
	reportSamples = 5
	// fading is what is left of the peak from one sample to the next: after a
	// hundred samples a third, so that a like event is news again.
	fading = 0.99
	// growth is by how much a score must exceed the peak to be news before that.
	growth = 1.3
	// held is the score of an anomaly that is not news.
	held = 0.999
)

// hold takes the score of the models and returns the one to report.
func (h *habit) hold(score float64, c *clock) float64 {
	peak := float64(h.Peak)
	defer func() { h.Peak = float32(max(peak, score) * fading) }()
	if score <= 1 {
		h.Run = 0
		return score
	}
	switch {
	case h.Run == 0 && score > peak, h.Run < 0 && score > growth*peak:
		h.Run = 1
		return score
	case h.Run > 0 && float64(h.Run) < min(math.MaxInt16, c.samples(reportFor, reportSamples)):
		h.Run++
		return score
	}
	h.Run = -1
	return held
}

func (h *habit) whole() bool { return h.Peak >= 0 && h.Peak <= MaxScore && h.Run >= -1 }
