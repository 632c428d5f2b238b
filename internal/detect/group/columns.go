package group

import (
	"math"

	"github.com/portent-dev/portent/internal/detect"
)

// Columns is the joint score of a few series that come in rows, such as the columns
// of a table. It is not safe for concurrent use.
type Columns struct {
	members  []jointMember
	joint    joint
	last     int64
	step     float64
	periodMs float64
	parts    []float64
}

// NewColumns makes the joint score of n columns. The sensitivity is a known one.
func NewColumns(s detect.Sensitivity, n int) *Columns {
	period, err := s.Period()
	if err != nil {
		panic("BUG: group: " + err.Error())
	}
	return &Columns{members: make([]jointMember, n), periodMs: float64(period.Milliseconds())}
}

// Joint returns the score of a row at t (Unix ms): of all columns together, and at
// least that of the most anomalous one. sampled says which columns have a sample.
func (c *Columns) Joint(t int64, outs []detect.Output, sampled []bool) float64 {
	if c.last != 0 && t > c.last {
		dt := float64(t - c.last)
		if c.step == 0 {
			c.step = dt
		}
		c.step += math.Max(-c.step/2, math.Min(c.step/8, dt-c.step))
	}
	c.last = t
	step := c.step
	if step == 0 {
		step = 60_000
	}
	most := 0.0
	c.parts = c.parts[:0]
	for i := range c.members {
		if !sampled[i] {
			continue
		}
		most = math.Max(most, outs[i].Score)
		c.parts = append(c.parts, c.members[i].follow(normal(outs[i]), step, 0))
	}
	if len(c.parts) < 2 {
		return most
	}
	score, ready := c.joint.observe(c.parts, step, c.periodMs)
	if !ready {
		return most
	}
	return math.Min(detect.MaxScore, math.Max(most, score))
}
