package detect

import (
	"math"

	"github.com/portent-dev/portent/internal/stat"
)

// drift is the model of what deviations from the usual course come to over some
// hours: small ones of one sign, none of which says anything alone. It is the chart of
// exponentially weighted means (Roberts, "Control Chart Tests Based on Geometric
// Moving Averages", Technometrics 1, 1959), whose limits come from its own tail
// instead of the variance of independent values.
type drift struct {
	Mean  float32 // of clipped deviations
	Scale float32 // its usual magnitude
	N     uint16  // samples that Scale is the mean of
	Tail  stat.Tail
}

const (
	driftMemory = 3 * hour
	driftRest   = 6 * hour
	// driftShare is the share of samples that the tail is extrapolated from: of
	// hours' means there are too few to wait for rarer ones.
	driftShare = 0.01
	// driftLeast is the least usual magnitude, in that of the mean of independent
	// values: what happened to lie close together is no scale.
	driftLeast = 0.3
	driftClip  = 8
)

// observe takes a deviation from expected, and how large these usually are.
func (m *drift) observe(c *clock, limit, deviation, scale, expected float64) (x evidence) {
	a := stat.Gain(c.N-1, 1+c.samples(driftMemory, 0))
	before := float64(m.Mean)
	mean := before + a*(deviation-before)
	m.Mean = float32(mean)
	least := driftLeast * scale * math.Sqrt(a)

	m.N += min(1, math.MaxUint16-m.N)
	known := math.Abs(mean)
	if m.N > warmUp {
		known = min(known, driftClip*max(float64(m.Scale), least))
	}
	memory := min(scaleMost, c.samples(scaleMemory, scaleLeast))
	m.Scale += float32(stat.Gain(uint32(m.N), memory) * (known - float64(m.Scale)))
	unit := max(float64(m.Scale), least)
	z := math.Abs(mean) / unit
	if m.Tail.Ready() {
		x = evidence{ready: true, reason: ReasonShift, rest: driftRest, expected: expected, by: mean}
		x.smoothed(&m.Tail, limit, z, scale, unit, a, before)
	}
	o := c.tailOptions(0, seasonSteep)
	o.Rare, o.Hold = driftShare, 1
	m.Tail.Observe(z, o)
	return x
}

func (m *drift) whole() bool {
	return bounded(float64(m.Mean)) && spread(m.Scale) && m.Tail.Whole()
}
