package allowance

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// stateVersion of the layout below.
const stateVersion = 1

type saved struct {
	Version   int           `json:"version"`
	Feedback  []Feedback    `json:"feedback"`
	Windows   []Window      `json:"windows"`
	Rollouts  []savedMarker `json:"rollouts"`
	Workloads []savedSeen   `json:"workloads"`
}

type savedMarker struct {
	Workload
	marker
}

type savedSeen struct {
	Workload
	Generation float64 `json:"generation"`
	At         int64   `json:"at"`
}

// Save returns what is to be kept over a restart, and the Changed that it stands for.
func (b *Book) Save() ([]byte, uint64, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	s := saved{Version: stateVersion, Windows: b.open}
	for _, c := range b.classes {
		s.Feedback = append(s.Feedback, c.verdicts...)
	}
	slices.SortFunc(s.Feedback, func(a, b Feedback) int { return int(max(-1, min(1, a.At-b.At))) })
	for w, m := range b.markers {
		s.Rollouts = append(s.Rollouts, savedMarker{w, m})
	}
	for w, g := range b.seen {
		s.Workloads = append(s.Workloads, savedSeen{w, g.value, g.at})
	}
	out, err := json.Marshal(s)
	return out, b.changed, err
}

// ErrState says that a file is none of Save's.
var ErrState = errors.New("not a book of allowances")

// LoadPast reads of what Save wrote what counts for a replay of the past, into an empty
// book: verdicts, as if they were given just then, and windows. What was seen of rollouts
// is left out: the replay sees it.
func (b *Book) LoadPast(data []byte) error {
	if err := b.Load(data); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.markers)
	clear(b.seen)
	return nil
}

// Load reads what Save wrote into an empty book. After an error the book is empty.
func (b *Book) Load(data []byte) error {
	var s saved
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("%w: %w", ErrState, err)
	}
	if s.Version != stateVersion {
		return fmt.Errorf("%w: version %d, want %d", ErrState, s.Version, stateVersion)
	}
	for i := range s.Windows {
		if err := s.Windows[i].Prepare(); err != nil {
			return fmt.Errorf("%w: windows[%d]: %w", ErrState, i, err)
		}
	}
	for i, f := range s.Feedback {
		if f.ID == "" || metricOf(fromMap(f.Labels)) == "" {
			return fmt.Errorf("%w: feedback[%d]", ErrState, i)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range s.Feedback {
		b.add(f, fromMap(f.Labels))
	}
	b.open = s.Windows
	for _, m := range s.Rollouts {
		b.markers[m.Workload] = m.marker
	}
	for _, g := range s.Workloads {
		b.seen[g.Workload] = generation{g.Generation, g.At}
	}
	return nil
}
