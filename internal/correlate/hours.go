package correlate

import (
	"math"
	"slices"
)

const (
	// dayHours is how many hours of a scope are counted.
	dayHours = 24
	// fewHours is how many must be known before they tell how busy a scope is, and
	// usualHour what it is taken for until then.
	fewHours  = 3
	usualHour = 2
	// ordinary is the density up to which meetings by chance are as the weights have them:
	// six alerts in a usual hour.
	ordinary = 1.95
)

// hours count the alerts of a scope by the hour, the last day of it.
type hours struct {
	Since, Last int64 // hours since 1970
	N           [dayHours]uint32
	at          int64 // the hour that median is of
	median      float64
}

// count takes in an alert.
func (m *memory) count(scope word, start int64) {
	at := start / hour
	h := m.hours[scope]
	if h == nil {
		if len(m.hours) >= maxHistories {
			m.hours = map[word]*hours{}
		}
		h = &hours{Since: at, Last: at}
		m.hours[scope] = h
	}
	if at <= h.Last-dayHours {
		return
	}
	for h.Last < at {
		if at-h.Last > dayHours {
			h.Last, h.N = at, [dayHours]uint32{}
			break
		}
		h.Last++
		h.N[h.Last%dayHours] = 0
	}
	h.N[at%dayHours]++
}

// density is how many alerts begin in a usual hour of a scope, as a logarithm: the
// median of the day before, so that an outage does not make a noisy scope of it.
func (m *memory) density(scope word, start int64) float64 {
	h, at := m.hours[scope], start/hour
	if h == nil || at-h.Since < fewHours {
		return math.Log1p(usualHour)
	}
	if h.at != at {
		h.at = at
		var ns []uint32
		for i := max(at-dayHours+1, h.Since); i < at; i++ {
			if i <= h.Last && i > h.Last-dayHours {
				ns = append(ns, h.N[i%dayHours])
			} else {
				ns = append(ns, 0)
			}
		}
		slices.Sort(ns)
		h.median = math.Log1p(float64(ns[len(ns)/2]))
	}
	return h.median
}
