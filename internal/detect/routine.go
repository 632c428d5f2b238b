package detect

import "math"

// routine remembers at what times of the day jumps of what size were reported: a
// nightly job is news twice and not every night. Hour profiles (season) do not hold
// it, for it lasts a few minutes, at a slightly different minute each day.
//
// A jump is followed by others of the same side, since what is near takes some samples
// to follow: for half an hour they are part of it, and no routine of their own.
//
// A series that jumps at all hours fills the slots with them before one is repeated,
// and has no routine. What comes once a week is none either: season knows it after some.
type routine struct {
	Slots [4]routineSlot
}

type routineSlot struct {
	By     float32 // usual deviation, signed
	Weight float32 // days on which it came, fading
	Last   uint32  // minutes since 1970, local, of the first report of the newest day
}

const (
	// routineNear is how many minutes from the last time of day it may lie.
	routineNear = 30
	// routineAlike is by what factor it may be larger or smaller than usual. Incidents
	// that come at the same hour by chance are rarely as alike.
	routineAlike = 1.2
	// routineFade is what a day leaves of a weight, routineKnown the weight from which
	// it is expected: seen twice, the last time at most two days ago.
	routineFade, routineKnown = 0.85, 1.2
	// routineFrom is the score from which a jump is looked up, routineScore what is
	// left of that of an expected one.
	routineFrom, routineScore = 0.7, 0.5
	routineFollow             = 0.3
	// routineLasts is for how many minutes after a report the jumps to the same side, as
	// large at most, belong to it; they are expected from routineSure on: seen on three
	// days. Nine of 334 incidents of KPI were lost at two days and an hour, four like this.
	routineLasts, routineSure = 30, 2.5
	dayMinutes                = 24 * 60
)

// expect returns the score of a jump by a deviation at a local time (ms since 1970),
// and learns from it.
func (m *routine) expect(local int64, by, score float64) float64 {
	if score < routineFrom {
		return score
	}
	at := uint32(max(0, local) / minute)
	if s := m.ongoing(at, by); s != nil {
		if s.Weight >= routineSure {
			return routineScore
		}
		return score
	}
	s := m.find(at, by)
	known := s != nil && s.weight(at) >= routineKnown
	switch {
	case s != nil && (known || score > 1):
		s.repeat(at, by)
	case score > 1:
		*m.weakest(at) = routineSlot{By: float32(by), Weight: 1, Last: at}
	}
	if known {
		return routineScore
	}
	return score
}

// find returns the slot of such a deviation at this time of the day, or nil.
func (m *routine) find(at uint32, by float64) *routineSlot {
	for i := range m.Slots {
		s := &m.Slots[i]
		apart := math.Abs(float64(at%dayMinutes) - float64(s.Last%dayMinutes))
		alike := by / float64(s.By)
		if min(apart, dayMinutes-apart) <= routineNear && alike <= routineAlike && alike >= 1/routineAlike {
			return s
		}
	}
	return nil
}

// ongoing returns the slot of a report that a jump after it belongs to, or nil.
func (m *routine) ongoing(at uint32, by float64) *routineSlot {
	for i := range m.Slots {
		s := &m.Slots[i]
		alike := by / float64(s.By)
		if s.Weight > 0 && at >= s.Last && at-s.Last <= routineLasts && alike > 0 && alike <= routineAlike {
			return s
		}
	}
	return nil
}

func (m *routine) weakest(at uint32) *routineSlot {
	s := &m.Slots[0]
	for i := range m.Slots {
		if m.Slots[i].weight(at) < s.weight(at) {
			s = &m.Slots[i]
		}
	}
	return s
}

// weight returns what is left of the weight at a time (minutes), whole days later.
func (s *routineSlot) weight(at uint32) float64 {
	days := float64(at/dayMinutes) - float64(s.Last/dayMinutes)
	return float64(s.Weight) * math.Pow(routineFade, max(0, days))
}

// repeat counts it once a day.
func (s *routineSlot) repeat(at uint32, by float64) {
	if at < s.Last+dayMinutes/2 {
		return
	}
	s.Weight = float32(s.weight(at) + 1)
	s.By += float32(routineFollow * (by - float64(s.By)))
	s.Last = at
}

func (m *routine) whole() bool {
	for _, s := range m.Slots {
		if !bounded(float64(s.By)) || !(s.Weight >= 0 && s.Weight < 2/(1-routineFade)) {
			return false
		}
	}
	return true
}
