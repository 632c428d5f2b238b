package group

import (
	"math"
	"slices"

	"github.com/portent-dev/portent/internal/stat"
)

// peers is the statistic of one member unlike its siblings: how far its value lies
// from their median, in their median absolute deviation (Hampel, "The Influence Curve
// and Its Role in Robust Estimation", J. Amer. Statist. Assoc. 69, 1974), less the
// difference that it always has, smoothed. The largest of all members has a tail of
// its own, learnt as that of a series is.
type peers struct {
	tail  stat.Tail
	scale float64 // mean magnitude of what is left of the differences
	n     uint32  // ticks
}

// peerMember is what peers keeps of a member.
type peerMember struct {
	usual     float64 // its difference from the median, over a day
	fresh     float64 // over some minutes
	peerN     uint32
	hold      uint32
	peerScore float64
}

const (
	leastPeers = 4
	peerSmooth = 3 * minute
	peerMemory = 1 * day
	// peerWarmUp is for how long a new member is like no other yet.
	peerWarmUp = 30 * minute
	mostApart  = 30 // a difference counts as so many deviations at most
	// alike is the spread, relative to the median, that siblings are granted: five
	// percent of difference is nobody's news.
	alike = 0.05
	tiny  = 1e-30
)

// judgePeers brings a group of peers up to date and returns how many are unlike the rest.
func (g *state) judgePeers(w *Watch, now int64, stepMs float64) (odd int32) {
	values, members := w.parts[:0], w.of[:0]
	for _, m := range g.members {
		m.peerScore = 0
		if m.seen == w.ticks && !math.IsNaN(m.out.Value) && !math.IsInf(m.out.Value, 0) {
			values, members = append(values, stat.Clamp(m.out.Value, mostValue)), append(members, m)
		}
	}
	w.parts, w.of = values, members
	if len(values) < leastPeers {
		return 0
	}
	p := &g.peers
	middle, spread := center(values)
	spread = max(1.4826*spread, alike*math.Abs(middle), tiny)
	limit := math.Log(min(1e-3, max(1, stepMs)/w.periodMs))
	p.n++
	ready := p.n > jointReady && p.tail.Ready()
	scale := max(p.scale, 0.05)
	most, sum := 0.0, 0.0
	var worst *member
	for i, m := range members {
		x := m.differ(stat.Clamp((values[i]-middle)/spread, mostApart), stepMs)
		left := math.Abs(x)
		sum += min(left, 4*scale)
		if now-m.begun < peerWarmUp {
			continue
		}
		if left > most {
			most, worst = left, m
		}
		if ready {
			m.peerScore = m.told(max(0, p.tail.LogSurvival(left/scale)/limit), stepMs)
			if m.peerScore > 1 {
				odd++
			}
		}
	}
	p.scale += stat.Gain(p.n, max(1, scaleMs/stepMs)) * (sum/float64(len(members)) - p.scale)
	if p.n > memberReady {
		p.tail.Observe(most/scale, tailOptions(stepMs))
	}
	g.result.Ready = ready
	if worst == nil {
		return odd
	}
	g.result.Score = worst.peerScore
	if ready && worst.peerScore > shareFrom {
		for _, m := range members {
			if m == worst || m.peerScore > 1 {
				g.share(m, m.peerScore/math.Max(1, worst.peerScore), m.fresh-m.usual, m.peerScore)
			}
		}
	}
	return odd
}

// differ takes a member's difference and returns by how much it is another lately
// than it always is.
func (m *peerMember) differ(d, stepMs float64) float64 {
	m.peerN++
	m.fresh += stat.Gain(m.peerN, max(1, peerSmooth/stepMs)) * (d - m.fresh)
	x := m.fresh - m.usual
	// What lasts is the way the member is, after a day; an incident is not.
	learn := d - m.usual
	if m.peerN > memberReady {
		learn = stat.Clamp(learn, 5)
	}
	m.usual += stat.Gain(m.peerN, max(1, peerMemory/stepMs)) * learn
	return x
}

// told holds a score back that has been told for long.
func (m *peerMember) told(score, stepMs float64) float64 {
	if score <= 1 {
		m.hold = 0
		return score
	}
	if m.hold++; m.hold > toldTicks && float64(m.hold)*stepMs > toldMs {
		return explained
	}
	return score
}

// center returns the median of values and the median distance from it. It sorts values
// in place of a copy, which the caller owns.
func center(values []float64) (middle, spread float64) {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	middle = median(sorted)
	for i, v := range sorted {
		sorted[i] = math.Abs(v - middle)
	}
	slices.Sort(sorted)
	return middle, median(sorted)
}

func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
