package detect

import (
	"math"

	"github.com/portent-dev/portent/internal/stat"
)

// seasonal is the state of the robust level and spread with a profile of the day.
type seasonal struct {
	Last  int64   // Unix ms of the newest sample
	Step  float32 // typical time between samples, ms
	N     uint32
	Level float64
	Scale float64
	Up    stat.Tail
}

func (s *seasonal) observe(e *env, t int64, v float64, out *Output) {
	if s.N > 0 {
		dt := float32(t - s.Last)
		if s.Step == 0 {
			s.Step = dt
		}
		s.Step += max(-s.Step/2, min(s.Step/8, dt-s.Step))
	}
	s.Last = t
	s.N = min(s.N+1, 1<<30)
	if s.N == 1 {
		s.Level = v
		s.Scale = 0
		return
	}
	r := v - s.Level
	gain := max(1/float64(s.N), 0.05)
	scale := max(s.Scale, 1e-9*math.Abs(s.Level), 1e-300)
	z := math.Abs(r) / scale
	if s.N > 30 {
		limit := math.Log(float64(s.Step) / e.periodMs)
		out.Ready = true
		out.Score = s.Up.LogSurvival(z) / limit
		out.Expected = s.Level
		d := 0.0
		lo, hi := 0.0, 1e6
		for range 60 {
			d = (lo + hi) / 2
			if s.Up.LogSurvival(d)/limit > 1 {
				hi = d
			} else {
				lo = d
			}
		}
		out.Lower, out.Upper = s.Level-lo*scale, s.Level+lo*scale
		if out.Score > 1 {
			out.Reason = ReasonLevel
		}
	}
	s.Up.Observe(min(z, 50))
	clip := max(-4*scale, min(4*scale, r))
	s.Level += gain * clip
	if s.N < 4 {
		clip = r
	}
	s.Scale += max(1/float64(s.N), 0.01) * (math.Abs(clip) - s.Scale)
}

func (s *seasonal) whole() bool { return s.Step >= 0 }
