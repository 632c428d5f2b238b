package logwatch

import (
	"slices"

	"github.com/portent-dev/portent/internal/logmine"
)

const (
	minuteMs = 60_000
	hourMs   = 60 * minuteMs
	// weekHours is how long counts by the hour are kept.
	weekHours = 7 * 24
	// ringMinutes is how long counts by the minute are kept.
	ringMinutes = 60
	// maxIDs bounds the ids that one track goes by; the oldest are forgotten.
	maxIDs = 16
)

// track is a pattern over time, under all the ids it had.
type track struct {
	id       string // the newest one
	began    string // the first one
	ids      []string
	template string
	example  string
	severity logmine.Severity
	firstMs  int64
	lastMs   int64 // when its count last grew
	novel    bool  // it came after the learning of its stream
	fresh    bool  // novel, and not judged to the end yet
	events   int64 // ever
	early    int32 // events in the first earlyMs
	hours    []hourCount
	ring     *[ringMinutes]uint32 // by minute modulo ringMinutes
	ringAt   int64                // the newest minute of the ring
	usual    extremes
	told     bool // it was a finding as a new one

	// Of this look and the one before.
	live, wasLive int   // ids that are there
	total, last   int64 // lines since the start of the miner
	lastEvents    int64
	totalEvents   int64
	changed       bool // an id was added
}

type hourCount struct {
	hour  int64 // Unix hours
	lines int64
}

func (t *track) see(p *logmine.Pattern) {
	t.live++
	if t.live == 1 {
		t.totalEvents = 0
	}
	t.total += p.Count
	t.totalEvents += p.Events
	t.severity = max(p.Severity(), t.severity*logmine.Severity(min(1, t.live-1)))
	if t.live == 1 || len(t.example) == 0 {
		t.example = p.Example
	}
}

// find returns the track that a pattern of an unknown id belongs to, or else one that
// it is alike but stands beside.
func (w *Watch) find(s *stream, p *logmine.Pattern) (t, beside *track) {
	var mine []*track
	for _, x := range s.tracks {
		if !logmine.Alike(x.template, p.Template) {
			continue
		}
		if x.live == 0 || logmine.Covers(x.template, p.Template) && logmine.Words(x.template) >= 2 {
			mine = append(mine, x)
		} else {
			beside = x
		}
	}
	if len(mine) == 0 {
		return nil, beside
	}
	t = mine[0]
	for _, x := range mine[1:] {
		if logmine.Covers(p.Template, x.template) && logmine.Covers(p.Template, t.template) {
			s.unite(t, x) // the pattern took both over
			w.tracks--
		} else if x.firstMs < t.firstMs {
			t = x
		}
	}
	return t, nil
}

// attach makes the pattern's id one of the track's.
func (s *stream) attach(t *track, p *logmine.Pattern) {
	if t.live == 0 || logmine.Covers(p.Template, t.template) {
		t.id, t.template = p.ID, p.Template
	}
	t.changed = true
	s.byID[p.ID] = t
	t.ids = append(t.ids, p.ID)
	if len(t.ids) > maxIDs {
		delete(s.byID, t.ids[0])
		t.ids = slices.Delete(t.ids, 0, 1)
	}
}

// unite makes two tracks one.
func (s *stream) unite(t, x *track) {
	t.firstMs, t.lastMs = min(t.firstMs, x.firstMs), max(t.lastMs, x.lastMs)
	t.novel, t.fresh = t.novel && x.novel, t.fresh && x.fresh
	t.events += x.events
	t.early = max(t.early, x.early)
	t.live += x.live
	t.total += x.total
	t.last += x.last
	t.lastEvents += x.lastEvents
	t.totalEvents += x.totalEvents
	for _, h := range x.hours {
		t.addHour(h.hour, h.lines)
	}
	for _, id := range x.ids {
		s.byID[id] = t
	}
	t.ids = append(t.ids, x.ids...)
	for len(t.ids) > maxIDs {
		delete(s.byID, t.ids[0])
		t.ids = slices.Delete(t.ids, 0, 1)
	}
	if x.ring != nil {
		for m := x.ringAt - ringMinutes + 1; m <= x.ringAt; m++ {
			if n := x.ring[mod(m)]; n > 0 {
				t.addMinute(m, int64(n))
			}
		}
	}
	x.ids = nil
	s.tracks = slices.DeleteFunc(s.tracks, func(y *track) bool { return y == x })
}

// count adds what came since the last look. What a track lost to another, as it does
// when templates are joined, is not new to that one.
func (s *stream) count(nowMs int64) {
	lost := int64(0)
	for _, t := range s.tracks {
		if t.live > 0 || t.wasLive > 0 {
			lost += max(0, t.last-t.total)
		}
	}
	for _, t := range s.tracks {
		n := max(0, t.total-t.last)
		events := max(0, t.totalEvents-t.lastEvents)
		if t.changed && lost > 0 {
			moved := min(n, lost)
			n -= moved
			lost -= moved
			events = min(events, n)
		}
		if t.live > 0 || t.wasLive > 0 {
			t.last, t.lastEvents = t.total, t.totalEvents
		}
		if t.live == 0 {
			t.totalEvents = 0
			continue
		}
		if n == 0 {
			continue
		}
		t.lastMs = nowMs
		t.events += events
		if nowMs-t.firstMs <= earlyMs {
			t.early += int32(min(events, 1<<20))
		}
		t.addHour(nowMs/hourMs, n)
		t.addMinute(nowMs/minuteMs, n)
	}
}

func (t *track) addHour(hour, n int64) {
	at, ok := slices.BinarySearchFunc(t.hours, hour, func(h hourCount, hour int64) int { return int(h.hour - hour) })
	if ok {
		t.hours[at].lines += n
	} else {
		t.hours = slices.Insert(t.hours, at, hourCount{hour, n})
	}
	newest := t.hours[len(t.hours)-1].hour
	for len(t.hours) > 0 && t.hours[0].hour <= newest-weekHours {
		t.hours = slices.Delete(t.hours, 0, 1)
	}
}

func mod(minute int64) int64 { return ((minute % ringMinutes) + ringMinutes) % ringMinutes }

func (t *track) addMinute(minute, n int64) {
	if t.ring == nil {
		t.ring = new([ringMinutes]uint32)
		t.ringAt = minute
	}
	if minute <= t.ringAt-ringMinutes {
		return
	}
	for ; t.ringAt < minute; t.ringAt++ {
		if minute-t.ringAt > ringMinutes {
			*t.ring = [ringMinutes]uint32{}
			t.ringAt = minute
			break
		}
		t.ring[mod(t.ringAt+1)] = 0
	}
	t.ring[mod(minute)] += uint32(min(n, 1<<30))
}

// lines returns how many came in the n minutes up to and with one.
func (t *track) lines(minute int64, n int64) float64 {
	if t.ring == nil {
		return 0
	}
	sum := 0.0
	for m := minute - n + 1; m <= minute; m++ {
		if m > t.ringAt-ringMinutes && m <= t.ringAt {
			sum += float64(t.ring[mod(m)])
		}
	}
	return sum
}

// hour returns the lines of an hour.
func (t *track) hour(hour int64) float64 {
	at, ok := slices.BinarySearchFunc(t.hours, hour, func(h hourCount, hour int64) int { return int(h.hour - hour) })
	if !ok {
		return 0
	}
	return float64(t.hours[at].lines)
}

func (t *track) week(nowMs int64) (out [7]int64) {
	now := nowMs / hourMs
	for _, h := range t.hours {
		if day := (now - h.hour) / 24; day >= 0 && day < 7 {
			out[6-day] += h.lines
		}
	}
	return out
}
