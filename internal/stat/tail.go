// Package stat is streaming statistics: arithmetic only, no allocation, every state
// a small struct of fixed size whose zero value is empty. It knows nothing of
// series, time zones or scores.
package stat

import "math"

// Tail models the upper tail of a stream of magnitudes by peaks over a threshold:
// what lies beyond a high quantile follows, in the limit, a generalised Pareto
// distribution (Pickands 1975), so that the chance of values never seen can be
// told. The idea of using it for streams is SPOT (Siffer, Fouque, Termier, Largouet,
// "Anomaly Detection in Streams with Extreme Value Theory", KDD 2017,
// https://doi.org/10.1145/3097983.3098144).
//
// Where we differ: the threshold is a streaming quantile that follows the stream
// (Tierney's stochastic approximation) instead of a fixed one, and the shape comes
// from the first two moments of the excesses, forgotten exponentially, instead of a
// likelihood search over kept peaks (Hosking and Wallis 1987, Technometrics 29(3)),
// so that a tail is 20 bytes. The zero value is empty.
type Tail struct {
	Threshold float32 // u: estimate of the quantile 1-TailShare
	Mean      float32 // of the excesses over u
	Square    float32 // mean of their squares
	Share     float32 // measured share of values over u
	Seen      uint32  // values, up to a limit
}

// TailShare is the share of values that counts as tail: one in fifty, as the 98 %
// quantile that SPOT starts from.
const TailShare = 0.02

// tailMemory is after how many peaks an excess has lost 1/e of its weight. SPOT keeps
// all; a few hundred is where the moments stop gaining and a change is still learnt.
const tailMemory = 200

// Observe adds a magnitude, at least 0.
func (t *Tail) Observe(x float64) {
	if t.Seen < math.MaxUint32 {
		t.Seen++
	}
	n := float64(t.Seen)
	if t.Seen == 1 {
		t.Threshold, t.Mean, t.Share = float32(x), float32(x/2), 1
		t.Square = float32(x * x / 2)
		return
	}
	u := float64(t.Threshold)
	over := 0.0
	if x > u {
		over = 1
		rate := max(1/(n*TailShare+1), 1.0/tailMemory)
		e := x - u
		t.Mean += float32(rate * (e - float64(t.Mean)))
		t.Square += float32(rate * (e*e - float64(t.Square)))
	}
	t.Share += float32(max(1/n, TailShare/tailMemory) * (over - float64(t.Share)))
	// The step is the spread of the tail, so that u finds its place at any scale.
	gain := max(1/n, 0.002)
	t.Threshold = float32(max(0, u+gain*8*max(float64(t.Mean), 1e-3*u)*(over-TailShare)/1))
}

// Survival returns the chance that a value is larger than x: exact in the body as
// far as the threshold, of the fitted tail beyond.
func (t *Tail) Survival(x float64) float64 {
	return math.Exp(t.LogSurvival(x))
}

// LogSurvival is the logarithm of Survival, precise far beyond what a float64 can
// hold as a chance.
func (t *Tail) LogSurvival(x float64) float64 {
	u := float64(t.Threshold)
	share := math.Log(max(float64(t.Share), TailShare/4))
	if x <= u || u <= 0 && x <= 0 {
		if u <= 0 {
			return 0
		}
		return share * x / u
	}
	sigma, xi := t.gpd()
	y := (x - u) / sigma
	if xi < 1e-6 {
		return share - y
	}
	return share - math.Log1p(xi*y)/xi
}

// gpd returns scale and shape by the method of moments, the shape bounded to
// 0..0.45: a bounded tail (negative shape) would call anything beyond its end
// impossible after too few peaks, and from 1/2 on the second moment is infinite.
func (t *Tail) gpd() (sigma, xi float64) {
	m := max(float64(t.Mean), 1e-6*float64(t.Threshold), 1e-12)
	ratio := m * m / max(float64(t.Square)-m*m, 1e-12*m*m)
	xi = max(0, min(0.45, (1-ratio)/2))
	return m * (1 - xi), xi
}
