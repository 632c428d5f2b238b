package stat

import "math"

// Tail models how often magnitudes beyond x occur, far beyond what was seen, in a
// little over a hundred bytes. The zero value is empty.
//
// The body is a histogram of logarithmic bins with exponential forgetting. From it
// come two quantiles: z1, exceeded by the share P1 (a twentieth or more), and z2,
// exceeded by the share P2 (a few values a day). Beyond z2 the tail is
// extrapolated by the slope between the two:
//
//	light tails  ln S(x) = ln P2 · (x/z2)^(1/θ),   θ = ln(z2/z1) / ln(ln P2 / ln P1)
//	heavy tails  ln S(x) = ln P2 - α·ln(x/z2),     α = ln(P1/P2) / ln(z2/z1)
//
// where all chances are relative to the share of values that are not zero and begin
// an event: in a series that is mostly zero only the others have a tail, and in a
// smooth one many values are one event.
//
// The first is a Weibull tail (exact for normal, θ → 1/2, and exponential, θ = 1;
// Gardes and Girard, "Estimating extreme quantiles of Weibull tail distributions",
// Comm. Statist. Theory Methods 34, 2005), the second Pareto's (Hill, Ann. Statist.
// 3, 1975). θ from 1 to 1.4 goes over from one to the other: a lognormal lies
// between them.
//
// SPOT (Siffer, Fouque, Termier, Largouët, KDD 2017) fits a generalised Pareto
// distribution to all peaks instead. Its parameters follow the highest peaks, which
// in a monitored series are the incidents themselves: a few of them a month make
// the next one look ordinary. Here what is rarer than P2 has no say in the slope.
type Tail struct {
	Z1, Z2 float32 // quantiles
	L1, L2 float32 // ln P1, ln P2
	Peak   float32 // highest value beyond z2 of the event that goes on, 0 if there is none
	Lx     float32 // logarithm of the share that is not 0 and begins an event
	Theta  float32
	N      uint16 // values in Bins
	Rises  uint16 // how often values rose beyond z1
	Since  uint16 // values since that event began
	Fresh  uint8  // values since the last fit
	Bits   uint8  // tailAbove, tailOdd
	Bins   [tailBins]uint16
}

const (
	tailAbove = 1 << iota // the newest value was beyond z1
	tailOdd               // rounding of the next halving
)

// Bins are four an octave, from 2^-2 to 2^8: magnitudes come divided by about their
// mean, so that hardly any lies outside. The first also takes everything smaller.
const (
	tailBins   = 40
	tailLowest = -2
	// fitEvery is how many values share a fit, which costs some 150 ns.
	fitEvery = 16
	// maxMemory keeps a bin from overflowing.
	maxMemory = 60000
)

// TailOptions say what a tail is fitted for. They may change between calls.
type TailOptions struct {
	Memory float64 // values after which half are forgotten, at most 60000
	Rare   float64 // P2 aimed at: values rarer than this do not shape the tail
	// Hold is after how many values an event ends that began beyond z2: of what comes
	// closer together, the highest counts (declustering by runs; Davison and Smith,
	// "Models for Exceedances over High Thresholds", J. R. Statist. Soc. B 52, 1990).
	Hold float64
	// Steep is the least ratio z2/z1 believed. Values that are smoothed over time
	// have few independent peaks, and their tail looks shorter than it is.
	Steep float64
}

// Ready reports whether enough was seen to speak of a tail.
func (t *Tail) Ready() bool { return t.Theta > 0 }

// Observe adds a magnitude, at least 0.
func (t *Tail) Observe(x float64, o TailOptions) {
	if t.Since < math.MaxUint16 {
		t.Since++
	}
	if above := x > float64(t.Z1); t.Theta > 0 && above != (t.Bits&tailAbove != 0) {
		t.Bits ^= tailAbove
		if above && t.Rises < math.MaxUint16 {
			t.Rises++
		}
	}
	if t.Peak > 0 && float64(t.Since) >= min(o.Hold, math.MaxUint16) {
		t.add(float64(t.Peak), o)
		t.Peak = 0
	}
	if o.Hold > 1 && t.Theta > 0 && x > float64(t.Z2) {
		if t.Peak == 0 {
			t.Since = 0
		}
		t.Peak = max(t.Peak, float32(min(x, math.MaxFloat32)))
		return
	}
	t.add(x, o)
}

func (t *Tail) add(x float64, o TailOptions) {
	t.Bins[tailBin(x)]++
	t.N++
	if float64(t.N) > min(o.Memory, maxMemory) {
		t.halve()
	}
	if t.Fresh++; t.Fresh >= fitEvery {
		t.Fresh = 0
		t.fit(o)
	}
}

// halve forgets half of all values; odd counts are rounded up and down by turns.
func (t *Tail) halve() {
	t.Bits ^= tailOdd
	odd := uint16(t.Bits&tailOdd) / tailOdd
	t.N = 0
	t.Rises /= 2
	for i, c := range t.Bins {
		c = (c + (uint16(i)+odd)&1) / 2
		t.Bins[i] = c
		t.N += c
	}
}

// tailBin returns the bin of x: exponent and the two highest bits of the mantissa.
func tailBin(x float64) int {
	i := int(math.Float32bits(float32(x))>>21) - (127+tailLowest)*4
	return max(0, min(tailBins-1, i))
}

// tailEdge returns the lower edge of bin i.
func tailEdge(i int) float64 {
	return math.Ldexp(1+float64(i&3)/4, i>>2+tailLowest)
}

// quantile returns what the share p of the values exceeds.
func (t *Tail) quantile(p float64) float64 {
	need := p * float64(t.N)
	above := 0.0
	for i := tailBins - 1; i > 0; i-- {
		if c := float64(t.Bins[i]); above+c >= need && c > 0 {
			lo, hi := tailEdge(i), tailEdge(i+1)
			return hi - (hi-lo)*(need-above)/c
		}
		above += float64(t.Bins[i])
	}
	return tailEdge(1)
}

// A tail begins where a twentieth of the values lies beyond, and ends where it is
// extrapolated from with at least minPeaks values beyond.
const (
	tailShare = 0.05
	minPeaks  = 8
	// The prior speaks like priorPeaks values in the tail, of an exponential
	// distribution whose mean is 1: what is known before anything was seen.
	priorPeaks = 4
	priorZ1    = 3
	priorTheta = 1.2
)

func (t *Tail) fit(o TailOptions) {
	n := float64(t.N)
	// Of values that are mostly zero, the others alone have a tail.
	some := max(1-float64(t.Bins[0])/n, 2*minPeaks/n)
	p1 := min(max(tailShare, min(0.2, 8*o.Rare)), some/2)
	p2 := min(max(o.Rare, minPeaks/n), p1/3)
	z1 := t.quantile(p1)
	lx := math.Log(some * t.alone(p1))
	l1 := math.Log(p1 / some)
	l2 := min(math.Log(p2)-lx, l1-1)
	slope := math.Log(max(t.quantile(p2)/z1, o.Steep))
	theta := slope / math.Log(l2/l1)
	if seen := n * p1; seen < 20*priorPeaks {
		w := priorPeaks / (seen + priorPeaks)
		z1 = math.Exp((1-w)*math.Log(z1) + w*math.Log(priorZ1))
		theta = (1-w)*theta + w*priorTheta
	}
	theta = max(theta, minTheta)
	t.Z1, t.L1, t.L2, t.Lx, t.Theta = float32(z1), float32(l1), float32(l2), float32(lx), float32(theta)
	t.Z2 = float32(z1 * math.Pow(l2/l1, theta))
}

// alone returns how many of the values beyond z1 begin a stay there: nearly all of
// independent values, few of smooth ones (the extremal index; Leadbetter, "Extremes
// and local dependence in stationary sequences", Z. Wahrsch. 65, 1983). It is what
// lies between a share of values and a rate of events.
func (t *Tail) alone(p1 float64) float64 {
	if t.Theta <= 0 {
		return 1
	}
	const prior = 10 // stays as of independent values, until there are some
	rises := (float64(t.Rises) + prior) / (float64(t.N) + prior/p1)
	return max(0.02, min(1, rises/(p1*(1-p1))))
}

// minTheta is a little lighter than the normal tail's 1/2: what looks lighter still
// is bounded, or seen too briefly.
const minTheta = 0.4

// Between these the tail goes over from Weibull's to Pareto's.
const (
	weibullTheta = 1.0
	paretoTheta  = 1.4
)

// LogSurvival returns the logarithm of the chance that a value begins an event
// larger than x. 0 while the tail is not ready.
func (t *Tail) LogSurvival(x float64) float64 {
	if t.Theta <= 0 {
		return 0
	}
	z1, z2, l1, l2, lx := float64(t.Z1), float64(t.Z2), float64(t.L1), float64(t.L2), float64(t.Lx)
	if x <= z1 {
		return (l1 + lx) * x / z1
	}
	theta := float64(t.Theta)
	if x <= z2 {
		return lx + l1*math.Exp(math.Log(x/z1)/theta)
	}
	return lx + t.beyond(math.Log(x/z2), theta, l1, l2)
}

// beyond is the logarithm of the share of values beyond z2·e^y.
func (t *Tail) beyond(y, theta, l1, l2 float64) float64 {
	w := t.heaviness(theta)
	s := 0.0
	if w < 1 {
		s = (1 - w) * l2 * math.Exp(y/theta)
	}
	if w > 0 {
		alpha := (l1 - l2) / (theta * math.Log(l2/l1))
		s += w * (l2 - alpha*y)
	}
	return s
}

func (t *Tail) heaviness(theta float64) float64 {
	return max(0, min(1, (theta-weibullTheta)/(paretoTheta-weibullTheta)))
}

// Quantile returns the x at which LogSurvival is logp, within a thousandth. It is
// 0 while the tail is not ready.
func (t *Tail) Quantile(logp float64) float64 {
	if t.Theta <= 0 {
		return 0
	}
	z1, z2, l1, l2 := float64(t.Z1), float64(t.Z2), float64(t.L1), float64(t.L2)
	lx := float64(t.Lx)
	if logp >= l1+lx {
		return z1 * min(0, logp) / (l1 + lx)
	}
	logp -= lx
	theta := float64(t.Theta)
	if logp >= l2 {
		return z1 * math.Exp(theta*math.Log(logp/l1))
	}
	return z2 * math.Exp(t.beyondInverse(logp, theta, l1, l2))
}

// beyondInverse returns the y at which beyond is logp, which is less than l2. The pure
// forms have closed inverses; what lies between falls in y and is concave, so that
// Newton's steps from the right of both never pass the solution.
func (t *Tail) beyondInverse(logp, theta, l1, l2 float64) float64 {
	w := t.heaviness(theta)
	y := theta * math.Log(logp/l2)
	if w <= 0 {
		return y
	}
	alpha := (l1 - l2) / (theta * math.Log(l2/l1))
	pareto := (l2 - logp) / alpha
	if w >= 1 {
		return pareto
	}
	y = max(y, pareto)
	for range 20 {
		weibull := (1 - w) * l2 * math.Exp(y/theta)
		step := (weibull + w*(l2-alpha*y) - logp) / (weibull/theta - w*alpha)
		if y -= step; !(step > 1e-3) {
			break
		}
	}
	return max(0, y)
}

// Whole reports whether t can be the result of observations: what is read from a
// file may be anything.
func (t *Tail) Whole() bool {
	n := 0
	for _, c := range t.Bins {
		n += int(c)
	}
	if n != int(t.N) || !(t.Peak >= 0 && t.Peak <= math.MaxFloat32) || n > maxMemory+1 || t.Fresh >= fitEvery {
		return false
	}
	if t.Theta == 0 {
		return true
	}
	return t.Theta >= minTheta && t.Theta < 1e3 && t.Z1 > 0 && t.Z2 > t.Z1 && t.Z2 < math.MaxFloat32 && t.L1 < 0 && t.L2 < t.L1 && t.Lx <= 0 && t.Lx > -10
}
