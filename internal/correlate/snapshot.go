package correlate

import (
	"bytes"
	"cmp"
	"encoding/gob"
	"fmt"
	"maps"
	"slices"
)

// A snapshot is what is kept of a memory: all counts, and the histories that a day still asks for.
type snapshot struct {
	Version                             int
	Until                               int64 // the latest start that was learned
	Alerts                              float64
	Entities, Namespaces, Names, Paired map[word]float32
	Fired, Rules                        map[word]past1
	Near                                map[word][]word
	Hours                               map[word]*hours
	Bursts, Roots, Among                map[word]float32
	Pods                                map[word]string
}

// past1 is a history as it is kept.
type past1 struct {
	Starts         []int64
	Duration       float64
	Ended          int
	Long, Open, At int64
}

const (
	snapshotVersion = 1
	// maxKept bounds the histories of a snapshot, those heard of last: 6 MB of each kind.
	maxKept = 20_000
	// maxSnapshot bounds what is read back.
	maxSnapshot = 64 << 20
)

// Snapshot returns what the engine learned, for Restore: which names are rare, what recurs, what fires together. It is
// some MB for a site of ten thousand alerts, 40 at most.
func (e *Engine) Snapshot() ([]byte, error) {
	m := &e.memory
	s := snapshot{
		Version: snapshotVersion, Until: m.until, Alerts: m.alerts, Entities: m.entities, Namespaces: m.namespaces, Names: m.names, Paired: m.together,
		Fired: kept(m.fired), Rules: kept(m.rules), Near: m.near, Hours: m.hours, Bursts: m.bursts, Roots: m.roots, Among: m.among, Pods: m.pods,
	}
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(s)
	return b.Bytes(), err
}

// kept returns the histories that were heard of last.
func kept(hs map[word]*history) map[word]past1 {
	ws := slices.Collect(maps.Keys(hs))
	if len(ws) > maxKept {
		slices.SortFunc(ws, func(a, b word) int { return cmp.Or(cmp.Compare(hs[b].last, hs[a].last), cmp.Compare(a, b)) })
		ws = ws[:maxKept]
	}
	out := make(map[word]past1, len(ws))
	for _, w := range ws {
		h := hs[w]
		out[w] = past1{
			Starts: slices.Sorted(slices.Values(h.starts[:min(h.n, historyDepth)])), Duration: h.duration, Ended: h.ended, Long: h.long, Open: h.open, At: h.last,
		}
	}
	return out
}

// Restore takes up what a Snapshot holds, before alerts are added. Alerts that it has learned from already are not
// learned from again. An error leaves the engine as new.
func (e *Engine) Restore(b []byte) error {
	if len(b) > maxSnapshot {
		return fmt.Errorf("restore what was learned: %d bytes, want at most %d", len(b), maxSnapshot)
	}
	var s snapshot
	if err := gob.NewDecoder(bytes.NewReader(b)).Decode(&s); err != nil {
		return fmt.Errorf("restore what was learned: %w", err)
	}
	if s.Version != snapshotVersion {
		return fmt.Errorf("restore what was learned: version %d, want %d", s.Version, snapshotVersion)
	}
	m := newMemory()
	m.alerts, m.until, m.learned = s.Alerts, s.Until, s.Until
	for _, x := range []struct {
		to   counts
		from map[word]float32
	}{{m.entities, s.Entities}, {m.namespaces, s.Namespaces}, {m.names, s.Names}, {m.together, s.Paired}, {m.bursts, s.Bursts}, {m.roots, s.Roots}, {m.among, s.Among}} {
		for w, n := range x.from {
			if len(x.to) < maxCounts && n > 0 && n < 1e9 {
				x.to[w] = n
			}
		}
	}
	for _, x := range []struct {
		to   map[word]*history
		from map[word]past1
	}{{m.fired, s.Fired}, {m.rules, s.Rules}} {
		for w, p := range x.from {
			if len(x.to) >= maxHistories {
				break
			}
			h := &history{duration: p.Duration, ended: p.Ended, long: p.Long, open: p.Open}
			for _, start := range p.Starts[max(0, len(p.Starts)-historyDepth):] {
				h.add(start)
			}
			h.last = p.At
			x.to[w] = h
		}
	}
	for w, near := range s.Near {
		if len(m.near) < maxCounts {
			m.near[w] = near[:min(len(near), maxNear)]
		}
	}
	for w, h := range s.Hours {
		if h != nil && len(m.hours) < maxHistories {
			m.hours[w] = h
		}
	}
	for w, p := range s.Pods {
		if len(m.pods) < maxPods && len(p) < 512 {
			m.pods[w] = p
		}
	}
	e.memory = m
	return nil
}
