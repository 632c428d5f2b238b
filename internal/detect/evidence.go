package detect

import (
	"cmp"
	"math"
)

// evidence is what one model says about one sample.
type evidence struct {
	ready        bool
	score        float64
	expected     float64
	lower, upper float64 // outside, this evidence alone gives a score above 1
	reason       Reason
	by           float64 // the deviation it speaks of, signed; 0 = that of the value from expected
	rest         float64 // ms; see habit.hold. 0 = rest
	still        bool    // it speaks of no deviation: direction and size do not matter
}

// judge writes what models say about a sample to out: their joint score, as far as it
// matters in the class and held back by h, and the band that goes with it. The kth of
// all is always of the same kind.
//
// Scores are joined as the sixth root of the sum of sixth powers: near their
// maximum, and two that say 0.9 each say 1 together. What is held back joins none:
// it was told.
func judge(out *Output, e *env, h *habit, c *clock, all ...*evidence) {
	if c.age(out.T) < e.class.warmUpMs {
		return
	}
	sum, least := 0.0, 0.0
	var best *evidence
	for k, x := range all {
		if !x.ready {
			continue
		}
		e.class.filter(out.Value, x)
		var told bool
		if x.score, told = h.hold(k, min(MaxScore, x.score), cmp.Or(x.rest, rest), c); told {
			least = held
		} else {
			cube := x.score * x.score * x.score
			sum += cube * cube
		}
		if best == nil || x.score > max(1, best.score) {
			best = x
		}
	}
	if best == nil {
		return
	}
	out.Ready, out.Expected, out.Lower, out.Upper = true, best.expected, best.lower, best.upper
	for _, x := range all {
		if x.ready {
			out.Lower, out.Upper = max(out.Lower, x.lower), min(out.Upper, x.upper)
		}
	}
	out.Score = min(MaxScore, max(least, math.Cbrt(math.Sqrt(sum))))
	if out.Score > 1 && !e.class.passes(out.Value, best) {
		out.Score = held
	}
	if out.Score > 1 {
		out.Reason = best.reason
	}
	out.settle()
}

// settle makes the band agree with the score: the value lies outside exactly if the
// score is above 1. The two differ where models join, or where a score was held
// back; the score is right then.
func (o *Output) settle() {
	v := o.Value
	o.Expected = max(-math.MaxFloat64, min(math.MaxFloat64, o.Expected))
	o.Lower = max(-math.MaxFloat64, min(o.Lower, o.Expected))
	o.Upper = min(math.MaxFloat64, max(o.Upper, o.Expected))
	outside := v < o.Lower || v > o.Upper
	switch {
	case o.Score <= 1 && outside:
		o.Lower, o.Upper = min(o.Lower, v), max(o.Upper, v)
	case o.Score > 1 && !outside && v > o.Expected:
		o.Upper = max(o.Expected, math.Nextafter(v, math.Inf(-1)))
	case o.Score > 1 && !outside && v < o.Expected:
		o.Lower = min(o.Expected, math.Nextafter(v, math.Inf(1)))
	}
}
