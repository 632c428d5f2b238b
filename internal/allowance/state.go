package allowance

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// stateVersion of the layout below.
const stateVersion = 1

type saved struct {
	Version   int                  `json:"version"`
	Feedback  []Feedback           `json:"feedback"`
	Windows   []Window             `json:"windows"`
	Rollouts  []savedMarker        `json:"rollouts"`
	Workloads []savedSeen          `json:"workloads"`
	Routines  map[string][]episode `json:"routines,omitempty"` // by key, as hexadecimal: JSON has no 64 bits
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
	if len(b.routines) > 0 {
		s.Routines = make(map[string][]episode, len(b.routines))
		for key, r := range b.routines {
			s.Routines[strconv.FormatUint(key, 16)] = r.episodes
		}
	}
	out, err := json.Marshal(s)
	return out, b.changed, err
}

// ErrState says that a file is none of Save's.
var ErrState = errors.New("not a book of allowances")

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
	routines := map[uint64]*routine{}
	for key, episodes := range s.Routines {
		k, err := strconv.ParseUint(key, 16, 64)
		if err != nil || len(episodes) == 0 || len(episodes) > maxEpisodes || len(routines) >= maxRoutines {
			return fmt.Errorf("%w: routines[%q]", ErrState, key)
		}
		routines[k] = &routine{episodes}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.routines = routines
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
