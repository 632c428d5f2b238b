package policy

import "math"

// A Tally counts what people said about incidents of one class, of the last
// Window verdicts. The zero value is a class that nobody has said anything of.
type Tally struct {
	Confirmed, Dismissed int
}

// The prior of a class: as if four incidents had been worth a ticket and one had
// not, so that a new class has confidence 0.8 and nine dismissals bring it below
// 0.3. With the window the confidence stays between 0.07 and 0.98: a class can
// always be won back, and lost.
const (
	priorConfirmed = 4
	priorDismissed = 1
	// Window is how many verdicts of a class count, the newest: a rule that was
	// mended a year ago is not held to what people said of it before.
	Window = 50
)

// Confidence is the mean of the Beta posterior: the probability that the next
// incident of the class is worth a ticket.
func (t Tally) Confidence() float64 {
	a, b := t.params()
	return a / (a + b)
}

func (t Tally) params() (a, b float64) {
	return float64(priorConfirmed + max(0, t.Confirmed)), float64(priorDismissed + max(0, t.Dismissed))
}

// Interval is the central part of the posterior that holds the given
// probability, as [0.05, 0.95] of it for 0.9.
func (t Tally) Interval(probability float64) (low, high float64) {
	a, b := t.params()
	tail := (1 - probability) / 2
	return quantile(a, b, tail), quantile(a, b, 1-tail)
}

// quantile inverts the distribution by halving: 50 steps give 15 digits.
func quantile(a, b, p float64) float64 {
	lo, hi := 0.0, 1.0
	for range 50 {
		mid := (lo + hi) / 2
		if betaCDF(a, b, mid) < p {
			lo = mid
		} else {
			hi = mid
		}
	}
	return (lo + hi) / 2
}

// betaCDF is the distribution of Beta(a, b) for whole a and b: the probability
// that of a+b-1 trials with success x at least a succeed (Abramowitz and Stegun,
// 26.5.24, 1964, https://dlmf.nist.gov/8.17#i).
func betaCDF(a, b, x float64) float64 {
	if x <= 0 {
		return 0
	}
	if x >= 1 {
		return 1
	}
	n := a + b - 1
	lgn, _ := math.Lgamma(n + 1)
	sum := 0.0
	for j := a; j <= n; j++ {
		lj, _ := math.Lgamma(j + 1)
		lr, _ := math.Lgamma(n - j + 1)
		sum += math.Exp(lgn - lj - lr + j*math.Log(x) + (n-j)*math.Log1p(-x))
	}
	return min(sum, 1)
}
