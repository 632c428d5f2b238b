package logquery

import (
	"cmp"
	"math"
	"slices"
)

// Change says what a pattern did between two windows.
type Change string

// The changes.
const (
	New    Change = "new"    // none of its lines in the window before
	Gone   Change = "gone"   // none now
	Grown  Change = "grown"  // more often than chance explains
	Shrunk Change = "shrunk" // less often than chance explains
	Same   Change = "same"
)

const (
	// falseShare is how many of the changes that are called significant may be chance.
	falseShare = 0.05
	// leastRatio is how much a rate must change to be called grown or shrunk: in many
	// lines even a tenth more is no chance, and nobody cares.
	leastRatio = 1.5
	// enoughLines in the window before tell how much a pattern varies by itself.
	enoughLines = 10
)

// exposure says how much of each window was looked at.
type exposure struct{ a *Answer }

// of returns the time that a pattern was observed in each window, in seconds, less
// what sampling left out.
func (e *exposure) of(c *collector, p *Pattern) (now1, before1 float64) {
	var byPart [numParts]float64
	sum := 0.0
	for _, r := range p.refs {
		for _, t := range c.refs[r].win {
			for i, n := range t.parts {
				byPart[i] += n
				sum += n
			}
		}
	}
	seen := func(r *Read, part Part) float64 {
		if r.Sampled == "" {
			return 1
		}
		if r.total[part] == 0 && part == All { // one window was sampled in parts, the other was not
			return r.fraction(Others)
		}
		return r.fraction(part)
	}
	f1, f0 := 0.0, 0.0
	for i, n := range byPart {
		f1 += n / sum * seen(&e.a.Read, Part(i))
		f0 += n / sum * seen(e.a.Before, Part(i))
	}
	return f1 * e.a.Read.Window.Length().Seconds(), f0 * e.a.Before.Window.Length().Seconds()
}

// compare tells what each pattern did, and how likely that is by chance.
//
// Given how many lines both windows have, those of one are binomial if the rate is the
// same (Przyborowski, Wilenski, "Homogeneity of results in testing samples from Poisson
// series", Biometrika 31, 1940). Lines come in bursts, so counts vary more than
// Poisson's: both are divided by the dispersion φ, the mean of squared residuals over
// the mean of the steps of the window before (quasi-likelihood: McCullagh, Nelder,
// "Generalized Linear Models", 2nd ed. 1989, ch. 9). A pattern with too few lines to
// tell its own takes the median of the others, as Robinson and Smyth share a common
// dispersion (Biostatistics 9, 2008). The binomial tail is the incomplete beta function,
// which takes divided counts as well. Significance holds the expected share of false
// ones among all that are called significant at 5 % (Benjamini, Hochberg, J. R. Statist.
// Soc. B 57, 1995).
func (c *collector) compare(all []*Pattern, a *Answer) {
	phi, common := c.dispersions(all, a)
	e := exposure{a}
	for _, p := range all {
		now1, before1 := e.of(c, p)
		d := cmp.Or(phi[p], common)
		p.P = twoSided(p.read/d, p.readBefore/d, now1, before1)
		p.ratio = (p.read / max(now1, 1e-9)) / (p.readBefore / max(before1, 1e-9))
	}
	adjust(all)
	whole := a.Before.Sampled == "" && !a.Before.Truncated && len(a.Before.Partial) == 0
	wholeNow := a.Read.Sampled == "" && !a.Read.Truncated && len(a.Read.Partial) == 0
	for _, p := range all {
		p.significant = p.P <= falseShare
		switch {
		case p.readBefore == 0 && p.read > 0 && (whole || p.significant):
			p.Change = New
		case p.read == 0 && p.readBefore > 0 && (wholeNow || p.significant):
			p.Change = Gone
		case p.significant && p.ratio >= leastRatio:
			p.Change = Grown
		case p.significant && p.ratio <= 1/leastRatio:
			p.Change = Shrunk
		default:
			p.Change = Same
		}
	}
}

// dispersions returns how much each pattern varies by itself, and the median.
func (c *collector) dispersions(all []*Pattern, a *Answer) (of map[*Pattern]float64, common float64) {
	of = map[*Pattern]float64{}
	w := a.Before.Window
	if c.time.width == 0 || w.IsZero() {
		return of, 1
	}
	lo := floorDiv(w.From.UnixMilli()-c.time.origin, c.time.width)
	n := floorDiv(w.To.UnixMilli()-1-c.time.origin, c.time.width) - lo + 1
	if n < 4 || n > 4*maxBuckets {
		return of, 1
	}
	var known []float64
	for _, p := range all {
		if p.readBefore < enoughLines {
			continue
		}
		counts := make([]float64, n)
		for _, r := range p.refs {
			c.refs[r].win[before].series.into(&c.time, counts, int32(lo))
		}
		counts = counts[1 : n-1] // the first and the last may be shorter
		weight := float64(p.Before) / p.readBefore
		mean, sum := sumOf(counts)/float64(len(counts)), 0.0
		if mean == 0 {
			continue
		}
		for _, x := range counts {
			sum += (x - mean) * (x - mean)
		}
		of[p] = max(1, sum/mean/float64(len(counts)-1)/max(1, weight))
		known = append(known, of[p])
	}
	if len(known) == 0 {
		return of, 1
	}
	slices.Sort(known)
	return of, known[(len(known)-1)/2]
}

// twoSided is how likely counts as far apart as x and y are when both come at one
// rate, observed for t and u.
func twoSided(x, y, t, u float64) float64 {
	if x+y == 0 || t <= 0 || u <= 0 {
		return 1
	}
	q := t / (t + u)
	up, down := 1.0, 1.0 // P(X ≥ x), P(X ≤ x)
	if x > 0 {
		up = incompleteBeta(x, y+1, q)
	}
	if y > 0 {
		down = incompleteBeta(y, x+1, 1-q)
	}
	return min(1, 2*min(up, down))
}

// adjust makes P the least share of false ones at which the pattern would be called
// significant.
func adjust(all []*Pattern) {
	sorted := slices.SortedFunc(slices.Values(all), func(a, b *Pattern) int { return cmp.Compare(b.P, a.P) })
	least := 1.0
	for i, p := range sorted {
		rank := len(sorted) - i
		least = min(least, p.P*float64(len(sorted))/float64(rank))
		p.P = least
	}
}

// incompleteBeta is the regularised incomplete beta function I_x(a, b) for a, b > 0,
// by its continued fraction (DLMF 8.17.22, https://dlmf.nist.gov/8.17#v) evaluated by
// Lentz's method.
func incompleteBeta(a, b, x float64) float64 {
	if x <= 0 {
		return 0
	}
	if x >= 1 {
		return 1
	}
	if x > (a+1)/(a+b+2) { // where the fraction converges fast
		return 1 - incompleteBeta(b, a, 1-x)
	}
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	lab, _ := math.Lgamma(a + b)
	front := math.Exp(lab - la - lb + a*math.Log(x) + b*math.Log1p(-x))
	const tiny, enough, maxTerms = 1e-300, 1e-14, 20_000
	f, c, d := 1.0, 1.0, 0.0
	for i := range maxTerms {
		m := float64(i / 2)
		var term float64
		switch {
		case i == 0:
			term = 1
		case i%2 == 0:
			term = m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		default:
			term = -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		}
		d = 1 + term*d
		if math.Abs(d) < tiny {
			d = tiny
		}
		d = 1 / d
		c = 1 + term/c
		if math.Abs(c) < tiny {
			c = tiny
		}
		f *= c * d
		if math.Abs(1-c*d) < enough {
			break
		}
	}
	return min(1, front*(f-1)/a)
}
