package app

import "time"

const (
	// jumpTolerance is more than an NTP client slews and less than anything that models or staleness would notice.
	jumpTolerance = 30 * time.Second
	// jumpGrace is how long nothing is forgotten after the clock jumped: long enough that every living series has brought a
	// sample with a time after the jump, or that the clock was set right again.
	jumpGrace = 15 * time.Minute
)

// clock watches the wall clock against the monotonic one. A wall clock that jumps ahead by a day would make every series look
// ended and throw away all that was learnt. The zero value is ready; not safe for concurrent use.
type clock struct {
	wall   time.Time
	mono   time.Duration
	begun  bool
	jumped time.Duration // monotonic time of the last jump
	shaken bool          // there was a jump
}

// tick takes the two clocks and returns by how much the wall clock jumped since the last call, 0 if it did not. Negative is
// back. A machine that was suspended sees a jump ahead, since its monotonic clock stood still.
func (c *clock) tick(wall time.Time, mono time.Duration) (jump time.Duration) {
	if c.begun {
		jump = wall.Round(0).Sub(c.wall) - (mono - c.mono)
	}
	c.wall, c.mono, c.begun = wall.Round(0), mono, true
	if jump.Abs() <= jumpTolerance {
		return 0
	}
	c.jumped, c.shaken = mono, true
	return jump
}

// steady reports whether the wall clock can be trusted to say that a series ended.
func (c *clock) steady() bool { return !c.shaken || c.mono-c.jumped >= jumpGrace }
