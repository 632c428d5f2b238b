package detect

import "math"

// bar is what a statistic must exceed to be news: at least what chance demands, and
// clearly more than it came to lately. It holds what is calibrated by theory to what
// the series does: values that depend on one another, or fall by another law.
//
// What exceeds the bar raises it slowly, so that one incident does not make the next
// one look ordinary, while what comes every day is a habit after some days.
type bar struct {
	Usual float32 // what the statistic came to at most, lately
}

const (
	barMargin = 1.25
	barMemory = 60 * day
	// barDoubling is how long a statistic stays above the bar until it has doubled.
	barDoubling = 1 * hour
	mostUsual   = 1e15
)

// judge returns how x compares with the bar, and learns from it: stepMs are covered
// by x, of an event that counts for eventMs, and of the first values nothing is news.
func (b *bar) judge(x, least, stepMs, eventMs float64, learning bool) (score float64) {
	u := float64(b.Usual)
	x = min(x, mostUsual)
	score = x / max(least, barMargin*u)
	u *= math.Max(0, 1-stepMs/barMemory)
	switch {
	case x <= u:
	case learning:
		u = min(x, least/barMargin) // the first ones are wild, by a spread that is a guess
	default:
		u = min(x, max(u, least/barMargin)*math.Exp2(min(1, eventMs/barDoubling)))
	}
	b.Usual = float32(u)
	return score
}

func (b *bar) whole() bool { return b.Usual >= 0 && b.Usual <= 2*mostUsual }

// normalReach is what a normal variable exceeds with the chance e^limit, in mean
// absolute deviations (of which the standard deviation is 1.25): sqrt(-2 ln p) is
// the first term of the normal quantile, too large by some 0.3 in the range used.
func normalReach(limit float64) float64 {
	return 1.25 * max(1, math.Sqrt(-2*limit)-0.3)
}
