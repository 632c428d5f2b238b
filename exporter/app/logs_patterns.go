package app

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/portent-dev/portent/internal/logmine"
	"github.com/portent-dev/portent/internal/logwatch"
	"github.com/portent-dev/portent/internal/patternrules"
	"github.com/portent-dev/portent/internal/web"
)

// lookEvery bounds how often the patterns of all groups are computed: scrapes and
// requests in between get what was found last.
const lookEvery = 5 * time.Second

// minedGroup is a group as it was when it was looked at.
type minedGroup struct {
	key      string
	values   []string
	counts   logmine.Counts
	patterns []minedPattern
	ignored  int64 // lines of patterns that a rule ignores
}

type minedPattern struct {
	patternrules.Pattern
	logwatch.Sight
}

// look computes the patterns of all groups and shows them to the watch. The caller
// holds mu.
func (l *logs) look() []minedGroup {
	now := l.now()
	if !l.looked.IsZero() && now.Sub(l.looked) < lookEvery && now.After(l.looked) {
		return l.last
	}
	l.flush()
	nowMs := now.UnixMilli()
	out := make([]minedGroup, 0, len(l.groups))
	for _, g := range l.groups {
		mined := g.miner.Patterns()
		l.watch.Observe(g.key, nowMs, mined)
		r := l.rules.Apply(mined, func(id string) []string { return l.watch.Aliases(g.key, id) })
		m := minedGroup{key: g.key, values: g.values, counts: g.miner.Counts(), ignored: r.Ignored}
		for i := range r.Patterns {
			p := minedPattern{Pattern: r.Patterns[i]}
			id := p.ID
			if len(p.Merged) > 0 {
				id = p.Merged[0]
			}
			p.Sight, _ = l.watch.Sight(g.key, id, nowMs) // absent while its turn to be compared has not come
			m.patterns = append(m.patterns, p)
		}
		slices.SortFunc(m.patterns, func(a, b minedPattern) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.ID, b.ID)) })
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b minedGroup) int { return slices.Compare(a.values, b.values) })
	l.metrics.unmatched.Set(float64(len(l.rules.Unmatched())))
	l.looked, l.last = now, out
	return out
}

// What GET /api/v1/patterns answers. Lines are the sum of all counts,
// Other and Ignored.
type patternsAnswer struct {
	Lines    int64         `json:"lines"`
	Other    int64         `json:"other"`   // of no pattern, or of patterns beyond ?limit=
	Ignored  int64         `json:"ignored"` // of patterns that a rule ignores
	Groups   int           `json:"groups"`
	Since    string        `json:"since"`    // first sights are known from here on
	Learning bool          `json:"learning"` // of some stream nothing is called new yet
	Patterns []patternJSON `json:"patterns"`
}

type patternJSON struct {
	Pattern   string                  `json:"pattern"`
	Name      string                  `json:"name,omitempty"`
	Pinned    bool                    `json:"pinned,omitempty"`
	Merged    []string                `json:"merged,omitempty"`
	Labels    map[string]string       `json:"labels"`
	Template  string                  `json:"template"`
	Count     int64                   `json:"count"`
	Share     float64                 `json:"share"`
	Severity  string                  `json:"severity"`
	First     string                  `json:"first,omitempty"` // of the lines' own times
	Last      string                  `json:"last,omitempty"`
	Example   string                  `json:"example"`
	Entities  map[string][]entityJSON `json:"entities"`
	New       bool                    `json:"new"`
	FirstSeen string                  `json:"firstSeen"`
	Week      [7]int64                `json:"week"` // lines of the last seven times 24 hours, today last
	Findings  []findingJSON           `json:"findings,omitempty"`
}

// findingJSON is a finding about the pattern that is active now.
type findingJSON struct {
	Kind     logwatch.Kind `json:"kind"`
	Since    string        `json:"since"`
	Sentence string        `json:"sentence"`
}

type entityJSON struct {
	Value string `json:"value"`
	Count int64  `json:"count"`
}

const defaultPatterns = 1000

var errLimit = errors.New("limit must be a number from 1 to 100000")

// ServeHTTP answers GET /api/v1/patterns[?limit=N].
func (l *logs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	limit := defaultPatterns
	if s := r.URL.Query().Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 100_000 {
			web.Error(w, http.StatusBadRequest, errLimit, "limit is how many patterns are answered, the most frequent first")
			return
		}
		limit = n
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	web.JSON(w, http.StatusOK, l.answer(l.look(), limit))
}

// answer writes the patterns. The caller holds mu.
func (l *logs) answer(groups []minedGroup, limit int) patternsAnswer {
	nowMs := l.now().UnixMilli()
	out := patternsAnswer{Groups: len(groups), Since: stamp(l.watch.Since()), Patterns: []patternJSON{}}
	findings := map[[2]string][]findingJSON{}
	for _, f := range l.findings(nowMs) {
		if f.EndMs == 0 {
			key := [2]string{f.Stream, f.ID}
			findings[key] = append(findings[key], findingJSON{f.Kind, stamp(f.SinceMs), f.Sentence()})
		}
	}
	for i := range groups {
		g := &groups[i]
		out.Lines += g.counts.Lines
		out.Other += g.counts.Other
		out.Ignored += g.ignored
		out.Learning = out.Learning || l.watch.Learning(g.key, nowMs)
		labels := groupLabels(g.key)
		for i := range g.patterns {
			p := &g.patterns[i]
			q := patternJSON{
				Pattern: p.ID, Name: p.Name, Pinned: p.Pinned, Merged: p.Merged, Labels: labels, Template: p.Template, Count: p.Count,
				Severity: p.Severity().String(), First: stamp(p.Pattern.First), Last: stamp(p.Pattern.Last), Example: p.Example,
				Entities: map[string][]entityJSON{}, New: p.New, FirstSeen: stamp(p.Sight.First), Week: p.Week, Findings: findings[[2]string{g.key, p.ID}],
			}
			for _, e := range p.Entities {
				q.Entities[e.Kind.String()] = append(q.Entities[e.Kind.String()], entityJSON{e.Value, e.Count})
			}
			out.Patterns = append(out.Patterns, q)
		}
	}
	slices.SortStableFunc(out.Patterns, func(a, b patternJSON) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Pattern, b.Pattern))
	})
	for i := range out.Patterns {
		if i >= limit {
			out.Other += out.Patterns[i].Count
			continue
		}
		out.Patterns[i].Share = float64(out.Patterns[i].Count) / float64(max(1, out.Lines))
	}
	out.Patterns = out.Patterns[:min(limit, len(out.Patterns))]
	return out
}

func stamp(ms int64) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format(time.RFC3339Nano)
}
