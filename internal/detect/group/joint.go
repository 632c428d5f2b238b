package group

import (
	"math"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/stat"
)

// joint is the statistic of many small deviations.
//
// Each member's score is turned back into the normal deviation that has its chance,
// smoothed over some minutes, so that what stays adds up and noise does not, and
// divided by how large it usually is. Their mean square, without the largest one, is
// the statistic: what a single member does is told by that member's own score.
//
// Members of a group move together, so no law of independent variables holds for
// it. Its tail is therefore learnt from the statistic itself, group by group, as
// detect learns that of a series: correlation is in it. (Combining p-values under
// dependence: Brown, "A Method for Combining Non-Independent, One-Sided Tests of
// Significance", Biometrics 31, 1975, corrects the law by the covariance; here the
// law is observed.) What all members do alike, such as the load of the hour, would
// hide what they do differently, so the same is told of what is left of each after
// the mean of all, with a tail of its own; the higher score counts.
type joint struct {
	all   stat.Tail
	apart stat.Tail
	n     uint32 // ticks
	hold  uint32 // ticks of the present report
	// scale is the mean one of grown members, 0 before there were any: all of them may go at
	// once, in a rollout.
	scale float64
}

// jointMember is what joint keeps of a member.
type jointMember struct {
	mean  float64 // smoothed deviation
	scale float64 // its mean magnitude
	n     uint32  // ticks
}

const (
	minute = 60e3 // ms
	day    = 24 * 60 * minute

	smoothMs    = 5 * minute
	scaleMs     = 3 * day
	memberReady = 40 // ticks
	// jointReady is in ticks, too: until the members know their scales the statistic is
	// wild, and after as many again its tail is known well enough.
	jointReady = 120
	// mostShare bounds what one member's deviation counts for, in its usual ones.
	mostShare = 4
	// leastScale is far below the smoothed deviation of a member that is noise: that of
	// one whose score is 0 nearly always.
	leastScale  = 0.05
	tailMs      = 60 * day
	oneEventMs  = 30 * minute
	habitPerDay = 1
	// steep is the least steepness of a tail believed; see stat.TailOptions.
	steep = 1.3
	// logChance is the logarithm of the chance at a score of 1, about: that of one
	// sample in a quarter at one every 15 to 60 seconds. The scale of a member takes
	// out what it is wrong by.
	logChance = 12.5
	// toldMs is for how long a group is told, and for toldTicks at least, until its score
	// falls to explained.
	toldMs    = 30 * minute
	toldTicks = 2
	// explained is the score of what is no news.
	explained = 0.85
)

// normal returns the deviation, in standard deviations, that has the chance of a score.
func normal(o detect.Output) float64 {
	if !o.Ready {
		return 0
	}
	p := math.Exp(-logChance * min(o.Score, 4))
	z := math.Sqrt2 * math.Erfcinv(p)
	if o.Value < o.Expected {
		return -z
	}
	return z
}

// follow takes the deviation of a tick and returns the smoothed one in its usual
// magnitude, 0 before that is known. The magnitude counts as at least least.
func (m *jointMember) follow(z, stepMs, least float64) float64 {
	m.n++
	m.mean += min(1, 1/float64(m.n)+min(1, stepMs/smoothMs)) * (z - m.mean) // as a mean, at first
	x := 0.0
	scale := max(m.scale, least, leastScale)
	if m.n > memberReady {
		x = stat.Clamp(m.mean/(1.25*scale), mostShare)
	}
	learn := math.Abs(m.mean)
	if m.n > memberReady {
		learn = min(learn, 3*scale)
	}
	m.scale += stat.Gain(m.n, max(1, scaleMs/stepMs)) * (learn - m.scale)
	return x
}

// observe takes the deviations of a tick, and returns their score and whether there is
// one. If it is what is left after the mean that scores higher, parts is that.
func (j *joint) observe(parts []float64, stepMs, periodMs float64) (score float64, ready bool) {
	j.n++
	limit := math.Log(min(1e-3, max(1, stepMs)/periodMs))
	o := tailOptions(stepMs)
	ready = j.n > 2*jointReady && j.all.Ready() && j.apart.Ready()
	together := statistic(parts)
	mean := 0.0
	for _, x := range parts {
		mean += x / float64(len(parts))
	}
	for i := range parts {
		parts[i] -= mean
	}
	left := statistic(parts)
	if ready {
		score = max(0, j.all.LogSurvival(together)/limit)
		if other := j.apart.LogSurvival(left) / limit; other > score {
			score = other
		} else {
			for i := range parts {
				parts[i] += mean
			}
		}
	}
	if j.n > jointReady {
		j.all.Observe(together, o)
		j.apart.Observe(left, o)
	}
	if score <= 1 {
		j.hold = 0
		return score, ready
	}
	if j.hold++; j.hold > toldTicks && float64(j.hold)*stepMs > toldMs {
		score = explained
	}
	return score, ready
}

func tailOptions(stepMs float64) stat.TailOptions {
	return stat.TailOptions{
		Memory: max(1500, tailMs/stepMs),
		Rare:   max(5e-5, min(0.02, habitPerDay*stepMs/day)),
		Hold:   max(1, oneEventMs/stepMs),
		Steep:  steep,
	}
}

// statistic returns the mean square without the largest part.
func statistic(parts []float64) float64 {
	if len(parts) < 2 {
		return 0
	}
	sum, most := 0.0, 0.0
	for _, x := range parts {
		sum += x * x
		most = max(most, x*x)
	}
	return max(0, sum-most) / float64(len(parts)-1)
}

const (
	// grownMs is how old a member is whose own scale is known. Before, that of its elders
	// is the least: a pod that a rollout has made has too short a past to say how large
	// its deviations usually are. Without this each rollout of a fleet was an alarm or
	// more (TestUnchangedFleet).
	grownMs = 6 * 60 * minute
	// At the age of two days a series begins to be judged by the course of the day, which
	// is known by little then. For a day its group learns what that does and tells nothing:
	// groups of one age had tens of alarms that day.
	turnsMs, turnedMs = 2 * day, 3 * day
)

func (g *state) judgeJoint(w *Watch, now int64, stepMs float64) {
	parts, members := w.parts[:0], w.of[:0]
	elder, elders, turning := 0.0, 0.0, 0
	for _, m := range g.members {
		if now-m.begun >= grownMs && m.seen == w.ticks {
			elder, elders = elder+m.scale, elders+1
		}
	}
	if elders > 0 {
		g.joint.scale = elder / elders
	}
	for _, m := range g.members {
		if m.seen != w.ticks {
			continue
		}
		z := normal(m.out)
		if m.out.Score > 1 && w.contexts.explain(m.key, m.roles) != "" {
			z = 0
		}
		age := now - m.begun
		least := g.joint.scale
		if age >= grownMs {
			least = 0
		}
		if age >= turnsMs && age < turnedMs {
			turning++
		}
		parts, members = append(parts, m.follow(z, stepMs, least)), append(members, m)
	}
	w.parts, w.of = parts, members
	g.result.Score, g.result.Ready = g.joint.observe(parts, stepMs, w.periodMs)
	if 2*turning > g.present {
		g.result.Ready = false
	}
	if g.result.Ready && g.result.Score > shareFrom {
		sum := 0.0
		for _, x := range parts {
			sum += x * x
		}
		for i, x := range parts {
			g.share(members[i], x*x/sum, x, members[i].out.Score)
		}
	}
}

// shareFrom is the score from which shares are told: below, nobody asks.
const shareFrom = 0.5
