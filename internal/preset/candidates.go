package preset

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/portent-dev/portent/internal/ingest"
)

// candidates remember by metric name which entries can take a series of that name at all:
// for most names none can, and a million series need not be held against some sixty
// regular expressions each, and that again for each rule of groups.
type candidates struct {
	byName sync.Map // of names to []int
	names  atomic.Int64
}

// mostNames bounds the names that are remembered; further ones are looked at each time.
const mostNames = 100_000

// named returns the classes that can take a series of this name, the first to ask first.
// The name is valid during the call only.
func (s *Set) named(name string) []int {
	if known, ok := s.names.byName.Load(name); ok {
		return known.([]int) //nolint:forcetypeassert // ours
	}
	all := slices.Clone(s.byName[name])
	for _, class := range s.rest {
		if s.matchers[class].takesName(name) {
			all = append(all, class)
		}
	}
	if s.names.names.Add(1) <= mostNames {
		s.names.byName.Store(strings.Clone(name), all)
	}
	return all
}

// takesName reports whether a selector can take a series of this name.
func (m matcher) takesName(name string) bool {
	for _, x := range m {
		if x.Name == ingest.MetricName && !x.Matches(name) {
			return false
		}
	}
	return true
}
