package detecttest

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/portent-dev/portent/internal/detect"
)

// Family makes series that do not change: whatever a detector says about them after
// its warm-up is a false alarm.
type Family struct {
	Name string
	// New returns the series of a seed: its values one after the other, step apart.
	New func(seed uint64, step time.Duration) func() float64
}

// Families are ten kinds of unchanged series, as monitored systems have them: no
// noise, light tails and heavy ones, counts, mostly nothing, bursts, a bound, a
// ramp that resets, a day.
func Families() []Family {
	return []Family{
		{"constant", func(seed uint64, _ time.Duration) func() float64 {
			v := float64(seed) * 17
			return func() float64 { return v }
		}},
		{"normal", func(seed uint64, _ time.Duration) func() float64 {
			r := source(seed)
			return func() float64 { return 50 + 3*r.NormFloat64() }
		}},
		{"autoregressive", func(seed uint64, _ time.Duration) func() float64 {
			r, x := source(seed), 0.0
			return func() float64 { x = 0.9*x + r.NormFloat64(); return 200 + x }
		}},
		{"lognormal", func(seed uint64, _ time.Duration) func() float64 {
			r := source(seed)
			return func() float64 { return math.Exp(0.8 * r.NormFloat64()) }
		}},
		{"heavy", func(seed uint64, _ time.Duration) func() float64 {
			r := source(seed) // Student's t with three degrees of freedom
			return func() float64 {
				a, b, c := r.NormFloat64(), r.NormFloat64(), r.NormFloat64()
				return 10 + r.NormFloat64()/math.Sqrt((a*a+b*b+c*c)/3)
			}
		}},
		{"counts", func(seed uint64, _ time.Duration) func() float64 {
			r := source(seed)
			return func() float64 { return poisson(r, 2.5) }
		}},
		{"mostly zero", func(seed uint64, _ time.Duration) func() float64 {
			r := source(seed)
			return func() float64 {
				if r.Float64() > 0.05 {
					return 0
				}
				return 10 * r.ExpFloat64()
			}
		}},
		{"bursts", bursts},
		{"ratio", func(seed uint64, _ time.Duration) func() float64 {
			r := source(seed) // a hit rate: at most 1, mostly close to it
			return func() float64 { return 1 - min(1, 0.01*r.ExpFloat64()) }
		}},
		{"sawtooth", func(seed uint64, step time.Duration) func() float64 {
			r, x := source(seed), 0.0
			perStep := step.Hours() / 6 // fills in six hours, then starts again
			return func() float64 {
				if x += perStep * (1 + 0.05*r.NormFloat64()); x > 1 {
					x = 0
				}
				return 1e9 * (0.2 + 0.6*x)
			}
		}},
		{"day", func(seed uint64, step time.Duration) func() float64 {
			r, at := source(seed), 0.0
			return func() float64 {
				at += step.Hours() / 24
				return 100 + 60*math.Sin(2*math.Pi*at) + 20*math.Sin(4*math.Pi*at) + 5*r.NormFloat64()
			}
		}},
	}
}

// bursts is quiet, and some fifteen times a day busy for a while.
func bursts(seed uint64, step time.Duration) func() float64 {
	r, busy := source(seed), false
	begin, end := step.Hours()*15/24, 0.15
	return func() float64 {
		if busy {
			busy = r.Float64() > end
		} else {
			busy = r.Float64() < begin
		}
		if busy {
			return 20 * math.Exp(0.5*r.NormFloat64())
		}
		return 5 + r.NormFloat64()
	}
}

func source(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x706f7274656e74)) }

func poisson(r *rand.Rand, mean float64) float64 {
	n, p, limit := 0.0, r.Float64(), math.Exp(-mean)
	for p > limit {
		n++
		p *= r.Float64()
	}
	return n
}

// Alarms runs a detector over the series of a family and returns how often the
// score went above 1 after the warm-up, and for how long it was watched then.
func Alarms(row detect.Row, s detect.Sensitivity, f Family, seed uint64, step, warmUp, length time.Duration) (alarms int, watched time.Duration) {
	bank := row.Open(detect.Config{Sensitivity: s})
	bank.Reset(0)
	next := f.New(seed, step)
	var out detect.Output
	t := int64(1_700_000_000_000)
	for at := time.Duration(0); at < warmUp+length; at += step {
		before := out.Score
		bank.Observe(0, t+at.Milliseconds(), next(), &out)
		if at >= warmUp && out.Score > 1 && before <= 1 {
			alarms++
		}
	}
	return alarms, length
}
