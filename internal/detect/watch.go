package detect

// watch is what combined sees besides level and jump: the kinds of change of which a
// value near its level says nothing. Each is evidence of its own.
type watch struct {
	Swing   swing
	Trend   trend // within minutes, until season knows what an hour usually brings
	Silence silence
	Shift   shift
}

// watchMargin is by how much spread and trend must exceed their bars here: most of
// what they see is seen by level and jump as well, and their false alarms add up.
const watchMargin = 1.4

// stepMargin is the same for steps: one of three spreads is seen by nothing else.
const stepMargin = 1.02

// observe returns the strongest evidence. They are not joined: each is held to its
// bar alone, and what moves one moves another.
func (w *watch) observe(e *env, c *clock, limit float64, gap bool, x sample) evidence {
	best := w.Silence.observe(c, limit, gap, x)
	step := w.Shift.observe(c, limit, gap, x)
	step.score *= watchMargin / stepMargin
	for _, y := range [...]evidence{step, w.Swing.observe(c, limit, gap, x), w.trend(e, c, gap, x)} {
		y.score /= watchMargin
		e.class.filter(x.v, &y)
		if y.ready && y.score > 1 && (!best.ready || y.score > best.score) {
			best = y
		}
	}
	if best.score <= 1 {
		best.ready = false // it says what others say better: that nothing happened
	}
	return best
}

func (w *watch) trend(e *env, c *clock, gap bool, x sample) evidence {
	if c.age(x.t) > seasonAfter {
		return evidence{}
	}
	return w.Trend.observe(e, c, gap, x, shortPace)
}

func (w *watch) whole() bool {
	return w.Swing.whole() && w.Trend.whole() && w.Silence.whole() && w.Shift.whole()
}
