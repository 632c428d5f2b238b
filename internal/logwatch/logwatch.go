// Package logwatch watches the patterns of log streams over time: which were never
// seen in their stream before, and which come much more or much less often than they
// did. It keeps when each pattern was first seen and a week of its counts.
//
// A pattern's id changes when its template grows more general, when a template takes
// the form that most of its lines have, and while a miner that was restarted learns
// it again. All ids that are alike (logmine.Alike) are one track here: none of this
// makes a pattern new, silent or frequent.
//
// The package is pure: no clock, no goroutine, no I/O. Time comes with the data. It
// must not know where patterns come from nor who is told.
package logwatch

import (
	"cmp"
	"slices"
	"time"

	"github.com/portent-dev/portent/internal/logmine"
)

// Options bounds a Watch and says when it speaks. The zero value takes the defaults.
type Options struct {
	// Learning is how long a stream is watched before a pattern of it is called new.
	// Negative: not at all. 0 = 1 h.
	Learning time.Duration
	// NewFor is how long a new pattern stays new. 0 = 1 h.
	NewFor time.Duration
	// Baseline is how long a pattern must be known before its rate is judged. 0 = 3 h.
	Baseline time.Duration
	// Retention is how long a pattern that does not come any more is remembered.
	// 0 = 30 days. Counts by the hour are kept for a week.
	Retention time.Duration
	// MaxTracks bounds the patterns remembered, of all streams: 0.3 to 2 KiB each. Past
	// it those unseen for longest are forgotten. 0 = 20,000.
	MaxTracks int
	// MinSeverity is from which severity on a new pattern is a finding; others are only
	// remembered. 0 = Warning.
	MinSeverity logmine.Severity
	// MaxFindings bounds those that are active at one time; more are counted as
	// suppressed. 0 = 500.
	MaxFindings int
}

func (o *Options) complete() {
	fill := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	fill(&o.Learning, time.Hour)
	fill(&o.NewFor, time.Hour)
	fill(&o.Baseline, 3*time.Hour)
	fill(&o.Retention, 30*24*time.Hour)
	if o.MaxTracks <= 0 {
		o.MaxTracks = 20_000
	}
	if o.MinSeverity == logmine.Unknown {
		o.MinSeverity = logmine.Warning
	}
	if o.MaxFindings <= 0 {
		o.MaxFindings = 500
	}
}

// Stats counts what a Watch did. All but Tracks and Streams only grow.
type Stats struct {
	Tracks, Streams int
	New             int64 // patterns first seen after the learning of their stream
	Forgotten       int64 // tracks given up for MaxTracks or Retention
	Suppressed      int64 // findings left out for MaxFindings
	Deferred        int64 // looks at a new pattern that had to wait: too many at once
}

// Watch is not safe for concurrent use.
type Watch struct {
	o        Options
	sinceMs  int64
	streams  map[string]*stream
	tracks   int
	findings map[findingKey]*Finding
	stats    Stats
	first    []FirstSight // not taken yet
	score    func(stream, id string) (Verdict, bool)
}

// stream is what is known of one stream of lines.
type stream struct {
	name     string
	sinceMs  int64 // of its first line
	byID     map[string]*track
	tracks   []*track
	minute   int64 // the last one that was judged, Unix minutes
	novelMs  [deployPatterns]int64
	novelAt  int
	lastSeen int64
}

// New makes a Watch that begins to learn at a time, Unix ms.
func New(o Options, nowMs int64) *Watch {
	o.complete()
	return &Watch{o: o, sinceMs: nowMs, streams: map[string]*stream{}, findings: map[findingKey]*Finding{}}
}

// SetOptions changes what can change while it runs.
func (w *Watch) SetOptions(o Options) {
	o.complete()
	w.o = o
}

// SetScores gives the verdict of a detector on the rate of a pattern, lines a minute.
// nil: there is none.
func (w *Watch) SetScores(f func(stream, id string) (Verdict, bool)) { w.score = f }

// Verdict is what a detector says of a series now.
type Verdict struct {
	Score           float64 // above 1 it is anomalous
	Value, Expected float64
}

// Since returns when it began to learn, Unix ms.
func (w *Watch) Since() int64 { return w.sinceMs }

// Stats returns the counts.
func (w *Watch) Stats() Stats {
	s := w.stats
	s.Tracks, s.Streams = w.tracks, len(w.streams)
	return s
}

// Sight is what is known of a pattern.
type Sight struct {
	First int64 // Unix ms
	Last  int64
	New   bool     // it came after the learning, less than NewFor ago
	Week  [7]int64 // lines of the last seven times 24 hours, the current one last
}

// Sight returns what is known of a pattern of a stream.
func (w *Watch) Sight(streamName, id string, nowMs int64) (Sight, bool) {
	s := w.streams[streamName]
	if s == nil {
		return Sight{}, false
	}
	t := s.byID[id]
	if t == nil {
		return Sight{}, false
	}
	return Sight{First: t.firstMs, Last: t.lastMs, New: t.novel && nowMs-t.firstMs < w.o.NewFor.Milliseconds(), Week: t.week(nowMs)}, true
}

// Learning reports whether a stream is still learnt, so that nothing of it is new.
func (w *Watch) Learning(streamName string, nowMs int64) bool {
	s := w.streams[streamName]
	return s == nil || w.learning(s, nowMs)
}

func (w *Watch) learning(s *stream, nowMs int64) bool {
	return nowMs-s.sinceMs < w.o.Learning.Milliseconds()
}

// maxCompared bounds the new patterns of one look that are compared with those known,
// at up to 1 ms each. In a flood the others wait for the next looks.
const maxCompared = 200

// Observe takes the patterns of a stream as they are now, with counts since the start
// of the miner. Times of successive calls must not go back; a clock that does is
// taken to stand still.
func (w *Watch) Observe(name string, nowMs int64, patterns []logmine.Pattern) {
	s := w.streams[name]
	if s == nil {
		if len(patterns) == 0 {
			return
		}
		s = &stream{name: name, sinceMs: nowMs, byID: map[string]*track{}, minute: nowMs / minuteMs}
		w.streams[name] = s
	}
	nowMs = max(nowMs, s.lastSeen)
	s.lastSeen = nowMs
	for _, t := range s.tracks {
		t.wasLive, t.live, t.total = t.live, 0, 0
		t.changed = false
	}
	var unknown []*logmine.Pattern
	for i := range patterns {
		p := &patterns[i]
		if t := s.byID[p.ID]; t != nil {
			t.see(p)
		} else {
			unknown = append(unknown, p)
		}
	}
	w.place(s, nowMs, unknown)
	s.count(nowMs)
	w.judgeNew(s, nowMs)
	for m := nowMs / minuteMs; s.minute < m; s.minute = m {
		w.judgeRates(s, nowMs)
	}
}

// place finds the tracks of patterns whose ids are not known, or begins new ones. More
// general templates go first, so that they gather what they cover.
func (w *Watch) place(s *stream, nowMs int64, unknown []*logmine.Pattern) {
	slices.SortFunc(unknown, func(a, b *logmine.Pattern) int {
		return cmp.Or(cmp.Compare(len(b.Kinds), len(a.Kinds)), cmp.Compare(a.Template, b.Template))
	})
	for i, p := range unknown {
		if i >= maxCompared {
			w.stats.Deferred += int64(len(unknown) - i)
			return
		}
		t, known := w.find(s, p)
		if t == nil {
			t = &track{id: p.ID, template: p.Template, firstMs: nowMs, lastMs: nowMs}
			if known != nil {
				t.firstMs, t.novel = known.firstMs, known.novel
			} else {
				t.novel = !w.learning(s, nowMs)
				t.fresh = t.novel
			}
			if t.fresh {
				w.stats.New++
				s.novelMs[s.novelAt%deployPatterns] = nowMs
				s.novelAt++
			}
			s.tracks = append(s.tracks, t)
			w.tracks++
			w.first = append(w.first, FirstSight{Stream: s.name, ID: t.id, Template: t.template, FirstMs: t.firstMs, Novel: t.novel})
		}
		s.attach(t, p)
		t.see(p)
	}
	if w.tracks > w.o.MaxTracks {
		w.forget(w.tracks - w.o.MaxTracks + w.o.MaxTracks/10)
	}
}

// forget drops the n tracks that were seen last the longest ago and are not live.
func (w *Watch) forget(n int) {
	type held struct {
		s *stream
		t *track
	}
	var all []held
	for _, s := range w.streams {
		for _, t := range s.tracks {
			if t.live == 0 && t.wasLive == 0 {
				all = append(all, held{s, t})
			}
		}
	}
	slices.SortFunc(all, func(a, b held) int {
		return cmp.Or(cmp.Compare(a.t.lastMs, b.t.lastMs), cmp.Compare(a.s.name, b.s.name), cmp.Compare(a.t.id, b.t.id))
	})
	for _, x := range all[:min(n, len(all))] {
		w.drop(x.s, x.t)
	}
}

// Expire forgets what did not come for Options.Retention.
func (w *Watch) Expire(nowMs int64) {
	for name, s := range w.streams {
		for _, t := range slices.Clone(s.tracks) {
			if t.live == 0 && nowMs-t.lastMs > w.o.Retention.Milliseconds() {
				w.drop(s, t)
			}
		}
		if len(s.tracks) == 0 {
			delete(w.streams, name)
		}
	}
}

func (w *Watch) drop(s *stream, t *track) {
	for _, id := range t.ids {
		delete(s.byID, id)
	}
	s.tracks = slices.DeleteFunc(s.tracks, func(x *track) bool { return x == t })
	w.tracks--
	w.stats.Forgotten++
}

// FirstSight is a pattern that was seen for the first time.
type FirstSight struct {
	Stream   string `json:"stream"`
	ID       string `json:"id"`
	Template string `json:"template"`
	FirstMs  int64  `json:"first"`
	Novel    bool   `json:"new,omitempty"`
}

// TakeFirstSights returns the first sights since the last call, for a journal.
func (w *Watch) TakeFirstSights() []FirstSight {
	out := w.first
	w.first = nil
	return out
}

// Aliases returns the ids that the pattern with this id had in its stream.
func (w *Watch) Aliases(streamName, id string) []string {
	if s := w.streams[streamName]; s != nil {
		if t := s.byID[id]; t != nil {
			return append([]string{t.root()}, t.ids...)
		}
	}
	return nil
}

// minScored is how many lines a pattern must have had in an hour, on the mean of a day,
// for its rate to be a series that a detector can judge: below, most minutes are empty
// and detectors of values see noise where a count sees nothing unusual.
const minScored = 120

// Rates gives the lines of the last whole minute of the patterns that come often, at
// most n of them, the most frequent first.
func (w *Watch) Rates(nowMs int64, n int, f func(stream, id string, lines float64)) {
	type rate struct {
		s    *stream
		t    *track
		mean float64
	}
	var all []rate
	hour := nowMs / hourMs
	for _, s := range w.streams {
		for _, t := range s.tracks {
			from := max(s.sinceMs/hourMs+1, t.firstMs/hourMs+1, hour-24)
			if from >= hour || len(t.hours) == 0 || t.hours[len(t.hours)-1].hour < hour-24 {
				continue
			}
			sum := 0.0
			for h := from; h < hour; h++ {
				sum += t.hour(h)
			}
			if mean := sum / float64(hour-from); mean >= minScored {
				all = append(all, rate{s, t, mean})
			}
		}
	}
	slices.SortFunc(all, func(a, b rate) int {
		return cmp.Or(cmp.Compare(b.mean, a.mean), cmp.Compare(a.s.name, b.s.name), cmp.Compare(a.t.id, b.t.id))
	})
	for _, r := range all[:min(n, len(all))] {
		f(r.s.name, r.t.id, r.t.lines(nowMs/minuteMs-1, 1))
	}
}
