package app

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portent-dev/portent/internal/logmine"
	"github.com/portent-dev/portent/internal/web"
)

// lookEvery bounds how often the patterns of all groups are computed: scrapes and
// requests in between get what was found last.
const lookEvery = 5 * time.Second

// minedGroup is a group as it was when it was looked at.
type minedGroup struct {
	values   []string
	counts   logmine.Counts
	patterns []minedPattern
}

type minedPattern struct {
	logmine.Pattern
	sight
}

// look computes the patterns of all groups and takes note of which are new. The
// caller holds mu.
func (l *logs) look() []minedGroup {
	now := l.now()
	l.memory.compared = 0
	if !l.looked.IsZero() && now.Sub(l.looked) < lookEvery && now.After(l.looked) {
		return l.last
	}
	out := make([]minedGroup, 0, len(l.groups))
	for _, g := range l.groups {
		m := minedGroup{values: g.values, counts: g.miner.Counts()}
		for _, p := range g.miner.Patterns() {
			s, isNew := l.memory.see(p.ID, p.Template, now, time.Duration(l.config.Learning))
			if isNew {
				l.fresh.Inc()
			}
			m.patterns = append(m.patterns, minedPattern{p, s})
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b minedGroup) int { return slices.Compare(a.values, b.values) })
	l.looked, l.last = now, out
	return out
}

// Describe implements prometheus.Collector.
func (l *logs) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{l.size, l.known, l.forgotten, l.perPattern} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. Of each group the most frequent patterns
// are published, an equal number of each; the rest is one series named other, so that
// the series add up to the lines mined.
func (l *logs) Collect(ch chan<- prometheus.Metric) {
	l.mu.Lock()
	groups := l.look()
	known, forgotten := len(l.memory.seen), l.memory.forgotten
	l.mu.Unlock()
	total, each := 0, 0
	if len(groups) > 0 {
		each = max(0, l.config.MaxSeries/len(groups)-1)
	}
	for _, g := range groups {
		total += len(g.patterns)
		other := g.counts.Other
		for i := range g.patterns {
			p := &g.patterns[i]
			if i >= each {
				other += p.Count
				l.unexported.Inc()
				continue
			}
			ch <- prometheus.MustNewConstMetric(l.perPattern, prometheus.CounterValue, float64(p.Count), append([]string{p.ID, p.Severity().String()}, g.values...)...)
		}
		if l.config.MaxSeries > 0 {
			ch <- prometheus.MustNewConstMetric(l.perPattern, prometheus.CounterValue, float64(other), append([]string{"other", logmine.Unknown.String()}, g.values...)...)
		}
	}
	ch <- prometheus.MustNewConstMetric(l.size, prometheus.GaugeValue, float64(total))
	ch <- prometheus.MustNewConstMetric(l.known, prometheus.GaugeValue, float64(known))
	ch <- prometheus.MustNewConstMetric(l.forgotten, prometheus.CounterValue, float64(forgotten))
}

// What GET /api/v1/patterns answers. Lines are the sum of all counts and Other.
type patternsAnswer struct {
	Lines    int64         `json:"lines"`
	Other    int64         `json:"other"` // of no pattern, or of patterns beyond ?limit=
	Groups   int           `json:"groups"`
	Since    string        `json:"since"`    // first sights are known from here on
	Learning bool          `json:"learning"` // nothing is called new yet
	Patterns []patternJSON `json:"patterns"`
}

type patternJSON struct {
	Pattern   string                  `json:"pattern"`
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
	groups, since := l.look(), l.memory.since
	l.mu.Unlock()
	web.JSON(w, http.StatusOK, l.answer(groups, since, limit))
}

func (l *logs) answer(groups []minedGroup, since time.Time, limit int) patternsAnswer {
	now := l.now()
	out := patternsAnswer{Groups: len(groups), Since: stamp(since.UnixMilli()), Learning: now.Sub(since) < time.Duration(l.config.Learning), Patterns: []patternJSON{}}
	for _, g := range groups {
		out.Lines += g.counts.Lines
		out.Other += g.counts.Other
		for i := range g.patterns {
			p := &g.patterns[i]
			q := patternJSON{
				Pattern: p.ID, Labels: map[string]string{}, Template: p.Pattern.Template, Count: p.Count, Severity: p.Severity().String(),
				First: stamp(p.Pattern.First), Last: stamp(p.Pattern.Last), Example: p.Example, Entities: map[string][]entityJSON{},
				New: p.New && now.Sub(time.UnixMilli(p.sight.First)) < time.Duration(l.config.NewFor), FirstSeen: stamp(p.sight.First),
			}
			for i, v := range g.values {
				if v != "" {
					q.Labels[l.config.GroupBy[i]] = v
				}
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
