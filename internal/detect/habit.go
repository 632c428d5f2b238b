package detect

import "math"

// habit holds evidence back once it has been told: what lasts is reported for
// reportFor, then only if it becomes clearly worse. Without it a level that moved for
// good would stay an alarm until the model has learnt it, and one incident would look
// like a hundred. Each kind of evidence has a bar of its own, so that a change of
// kind is news; but what is told by one raises the bars of the slower ones after it,
// which see the same only later.
type habit struct {
	Bar [evidenceKinds]float32 // what a score must exceed to be news
	Run [evidenceKinds]int16   // samples of the present report
}

const (
	// evidenceKinds is how many models at most speak in one detector.
	evidenceKinds = 3
	// reportFor is long enough for a rule that is evaluated every 15 to 60 seconds
	// and asks for some of them in a row. A sample that comes more rarely stands for
	// so long by itself.
	reportFor = 5 * 60 * 1000 // ms
	// growth is by how much a score must exceed what was told to be news: half as
	// many digits again in the chance of it.
	growth = 1.3
	// rest is in what time the bar falls to a third once the evidence is normal again,
	// for evidence that says nothing else; in restSamples at most, where they come so
	// quickly that an hour is long.
	rest        = 1 * hour
	restSamples = 100
	// held is the score of an anomaly that is not news: above the threshold at which
	// the alert rules let go.
	held = 0.85
	// aftermath is by how much a score up to 1 must exceed what was told to be told.
	aftermath = 1.1
)

// hold takes the score of the kth evidence, and in what time (ms) it is to be
// forgotten, and returns the score to report, and whether it is held back as told.
//
// What nearly is an anomaly is told once as well, for rules whose threshold is lower
// than 1: then only if it becomes worse by aftermath. It raises no bar above 1, so
// that what grows into an anomaly is one.
func (h *habit) hold(k int, score, rest float64, c *clock) (news float64, told bool) {
	bar := float64(h.Bar[k])
	if score <= 1 {
		// The first terms of 1/e^x: a bar need not fall exactly.
		x := max(float64(c.Step)/hour, 1.0/restSamples) * (hour / rest)
		h.Bar[k], h.Run[k] = float32(bar/(1+x*(1+x/2))), 0
		if score > held {
			if score < aftermath*bar {
				return held, true
			}
			h.Bar[k] = max(h.Bar[k], float32(score))
		}
		return score, false
	}
	switch run := float64(h.Run[k]); {
	case run > 0 && run < min(math.MaxInt16, c.samples(reportFor, 1)):
		h.Run[k]++
	case score > bar:
		h.Run[k] = 1
	default:
		return held, true
	}
	for j := k; j < len(h.Bar); j++ {
		h.Bar[j] = max(h.Bar[j], float32(growth*score))
	}
	return score, false
}

func (h *habit) whole() bool {
	for k, bar := range h.Bar {
		if !(bar >= 0 && bar <= 2*MaxScore) || h.Run[k] < 0 {
			return false
		}
	}
	return true
}
