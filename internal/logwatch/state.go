package logwatch

import (
	"slices"
	"strings"

	"github.com/portent-dev/portent/internal/logmine"
)

// State is what a Watch knows, for a file. Counts of the running miner are not in it:
// they begin anew with the process.
type State struct {
	SinceMs  int64          `json:"since"`
	Streams  []StreamState  `json:"streams"`
	Findings []SavedFinding `json:"findings,omitempty"`
}

// StreamState is a stream and its tracks.
type StreamState struct {
	Name    string       `json:"name"`
	SinceMs int64        `json:"since"`
	Tracks  []TrackState `json:"tracks"`
}

// TrackState is a pattern over time.
type TrackState struct {
	ID       string           `json:"id"`
	IDs      []string         `json:"ids,omitempty"` // others that it goes by
	Began    string           `json:"began,omitempty"`
	Template string           `json:"template"`
	Severity logmine.Severity `json:"severity,omitempty"`
	FirstMs  int64            `json:"first"`
	LastMs   int64            `json:"last"`
	Novel    bool             `json:"new,omitempty"`
	Fresh    bool             `json:"fresh,omitempty"`
	Told     bool             `json:"told,omitempty"`
	Most     []float64        `json:"most,omitempty"`
	Least    []float64        `json:"least,omitempty"`
	Gap      float64          `json:"gap,omitempty"`
	Events   int64            `json:"events,omitempty"`
	Early    int32            `json:"early,omitempty"`
	// Hours holds pairs: how many hours after the pair before (the first: Unix hours), and
	// the lines of that hour.
	Hours []int64 `json:"hours,omitempty"`
}

// SavedFinding is a finding and the track that it is about.
type SavedFinding struct {
	Finding
	Track string `json:"track"`
}

// State returns a copy of what the Watch knows, in an order of its own.
func (w *Watch) State() State {
	out := State{SinceMs: w.sinceMs}
	for _, s := range w.streams {
		ss := StreamState{Name: s.name, SinceMs: s.sinceMs}
		for _, t := range s.tracks {
			ss.Tracks = append(ss.Tracks, t.state())
		}
		slices.SortFunc(ss.Tracks, func(a, b TrackState) int { return strings.Compare(a.ID, b.ID) })
		out.Streams = append(out.Streams, ss)
	}
	slices.SortFunc(out.Streams, func(a, b StreamState) int { return strings.Compare(a.Name, b.Name) })
	for k, f := range w.findings {
		out.Findings = append(out.Findings, SavedFinding{*f, k.track})
	}
	slices.SortFunc(out.Findings, func(a, b SavedFinding) int { return strings.Compare(a.Track+string(a.Kind), b.Track+string(b.Kind)) })
	return out
}

func (t *track) state() TrackState {
	ts := TrackState{
		ID: t.id, Template: t.template, Severity: t.severity, FirstMs: t.firstMs, LastMs: t.lastMs, Novel: t.novel, Fresh: t.fresh,
		Events: t.events, Early: t.early, Told: t.told,
	}
	if t.usual.known {
		ts.Most, ts.Least, ts.Gap = slices.Clone(t.usual.most[:]), slices.Clone(t.usual.least[:]), t.usual.gap
	}
	if t.root() != t.id {
		ts.Began = t.root()
	}
	for _, id := range t.ids {
		if id != t.id {
			ts.IDs = append(ts.IDs, id)
		}
	}
	before := int64(0)
	for _, h := range t.hours {
		ts.Hours = append(ts.Hours, h.hour-before, h.lines)
		before = h.hour
	}
	return ts
}

// Restore puts a State into a new Watch, at a time. What lies in the future, as after a
// clock that was wrong, is taken to be of now.
func (w *Watch) Restore(st State, nowMs int64) {
	w.sinceMs = min(st.SinceMs, nowMs)
	for i := range st.Streams {
		ss := &st.Streams[i]
		s := &stream{name: ss.Name, sinceMs: min(ss.SinceMs, nowMs), byID: map[string]*track{}, minute: nowMs / minuteMs}
		for j := range ss.Tracks {
			t := ss.Tracks[j].track(nowMs)
			if t == nil || s.byID[t.id] != nil {
				continue
			}
			s.tracks = append(s.tracks, t)
			for _, id := range t.ids {
				s.byID[id] = t
			}
			w.tracks++
		}
		w.streams[s.name] = s
	}
	for i := range st.Findings {
		f := st.Findings[i].Finding
		f.seenMs = nowMs
		switch f.Kind {
		case KindNew, KindGrown, KindShrunk:
			w.findings[findingKey{f.Stream, st.Findings[i].Track, f.Kind}] = &f
		}
	}
	w.Expire(nowMs)
	if w.tracks > w.o.MaxTracks {
		w.forget(w.tracks - w.o.MaxTracks)
	}
}

func (ts *TrackState) track(nowMs int64) *track {
	if ts.ID == "" || ts.Template == "" {
		return nil
	}
	t := &track{
		id: ts.ID, began: ts.Began, template: ts.Template, severity: min(ts.Severity, logmine.Critical), firstMs: min(ts.FirstMs, nowMs),
		lastMs: min(ts.LastMs, nowMs), novel: ts.Novel, fresh: ts.Fresh, events: ts.Events, early: ts.Early, told: ts.Told,
	}
	if len(ts.Most) == len(windows) && len(ts.Least) == len(windows) {
		t.usual.most, t.usual.least, t.usual.gap, t.usual.known = [len(windows)]float64(ts.Most), [len(windows)]float64(ts.Least), ts.Gap, true
	}
	t.ids = append(slices.Clone(ts.IDs[:min(len(ts.IDs), maxIDs-1)]), ts.ID)
	hour := int64(0)
	for i := 0; i+1 < len(ts.Hours) && i < 2*weekHours; i += 2 {
		if hour += ts.Hours[i]; hour <= nowMs/hourMs && hour > nowMs/hourMs-weekHours && ts.Hours[i+1] > 0 {
			t.addHour(hour, ts.Hours[i+1])
		}
	}
	return t
}

// Replay takes a first sight out of a journal: of a pattern that came after the State
// was saved.
func (w *Watch) Replay(f FirstSight, nowMs int64) {
	if f.ID == "" || f.Template == "" {
		return
	}
	s := w.streams[f.Stream]
	if s == nil {
		s = &stream{name: f.Stream, sinceMs: min(f.FirstMs, nowMs), byID: map[string]*track{}, minute: nowMs / minuteMs}
		w.streams[f.Stream] = s
	}
	if s.byID[f.ID] != nil || w.tracks >= w.o.MaxTracks {
		return
	}
	t := &track{id: f.ID, ids: []string{f.ID}, template: f.Template, firstMs: min(f.FirstMs, nowMs), lastMs: min(f.FirstMs, nowMs), novel: f.Novel}
	s.tracks = append(s.tracks, t)
	s.byID[f.ID] = t
	w.tracks++
}

// Shrink forgets the n-th part of the tracks, those unseen for longest, and returns how
// many: for a file that is over its size.
func (w *Watch) Shrink(part int) int {
	before := w.tracks
	w.forget(max(1, w.tracks/part))
	if before == w.tracks { // all of them are live
		for _, s := range w.streams {
			for _, t := range s.tracks {
				before += len(t.hours)
				t.hours = slices.Clone(t.hours[len(t.hours)/2:])
				before -= len(t.hours)
			}
		}
	}
	return before - w.tracks
}
