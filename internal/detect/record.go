package detect

import (
	"math"

	"github.com/portent-dev/portent/internal/stat"
)

// record is the model of how far a running mean of deviations ever came, up and down.
//
// Of values that do not change, whatever their distribution, the next one is the
// furthest of n with the chance 1/n on either side (Rényi, "Théorie des éléments saillants
// d'une suite d'observations", Ann. Fac. Sci. Clermont-Ferrand 8, 1962), and further by
// the factor f with the chance f^-a/n where their tail falls like x^-a. So it needs no
// tail, which of few values is a guess: what comes a third further than ever in two
// weeks is news, and so is after half a year what comes further at all.
//
// What was furthest is forgotten by stretches, and what is told raises what the
// next one has to exceed: one incident hides none that is larger.
type record struct {
	Mean        float32    // of deviations
	Up, Down    [2]float32 // furthest in the present stretch and in the one before
	Peak        float32    // of what goes on beyond that, signed; 0 = nothing
	Begin, Turn uint32     // when the earlier and the present stretch began, Unix minutes
	Since       uint32     // when what goes on began
}

const (
	// shortRecord and longRecord are what the two means are taken over: what happens
	// within a quarter of an hour is seen by jumps and tails, and what lasts longer than a
	// working day or a night is the new level.
	shortRecord = hour / 2
	longRecord  = 8 * hour

	recordStretch = 60 * day
	// recordAfter is for how long nothing is told of a course just begun: until each
	// hour of the day came twice.
	recordAfter = seasonAfter
	// recordEvent is for how long what goes on is measured by what was before it.
	recordEvent = 6 * hour
	// recordTail is a. Means fall faster than the values in them: these are rarely
	// heavier than x^-3, of which a few a quarter too many are told.
	recordTail = 8
	// recordLeast is the least that is far, in mean deviations of single values.
	recordLeast = 2
)

// observe takes a deviation at t (Unix ms) and how large these usually are, and returns
// the score of their mean over memory (ms).
func (m *record) observe(c *clock, limit float64, t int64, deviation, scale, memory float64) (score float64) {
	now := uint32(max(0, t) / minute)
	if m.Begin == 0 {
		m.Begin, m.Turn = now, now
	}
	if float64(now-m.Turn)*minute > recordStretch {
		m.Begin, m.Turn = m.Turn, now
		m.Up, m.Down = [2]float32{0, m.Up[0]}, [2]float32{0, m.Down[0]}
	}
	a := stat.Gain(c.N-1, 1+c.samples(memory, 0))
	m.Mean += float32(a * (deviation - float64(m.Mean)))

	if c.N <= warmUp {
		return 0 // a mean of few, from a level that is a guess
	}
	side := &m.Up
	if m.Mean < 0 {
		side = &m.Down
	}
	far, known := math.Abs(float64(m.Mean)), float64(max(side[0], side[1]))
	if m.Peak != 0 && (m.Peak*m.Mean < 0 || far < known || float64(now-m.Since)*minute > recordEvent) {
		m.settle()
		known = float64(max(side[0], side[1]))
	}
	if far <= known {
		side[0] = max(side[0], float32(far))
		return 0
	}
	if m.Peak == 0 {
		m.Since = now
	}
	if far > math.Abs(float64(m.Peak)) {
		m.Peak = m.Mean
	}
	age := min(2*recordStretch, float64(now-m.Begin)*minute)
	n := age / max(1, float64(c.Step))
	if f := far / max(known, recordLeast*scale); f > 1 && age > recordAfter && n > 4*warmUp {
		score = (math.Log(n/2) + recordTail*math.Log(f)) / -limit
	}
	return score
}

// settle makes what went on part of what is known.
func (m *record) settle() {
	if m.Peak > 0 {
		m.Up[0] = max(m.Up[0], m.Peak)
	} else {
		m.Down[0] = max(m.Down[0], -m.Peak)
	}
	m.Peak = 0
}

// told makes x speak of a record.
func (x *evidence) told(score float64, reason Reason, of *record) {
	x.score, x.reason, x.by = score, reason, float64(of.Mean)
	x.lower, x.upper = math.Inf(-1), math.Inf(1)
}

func (m *record) whole() bool {
	return bounded(float64(m.Mean)) && spread(m.Up[:]...) && spread(m.Down[:]...) && m.Begin <= m.Turn
}
