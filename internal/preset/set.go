package preset

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/detect/group"
	"github.com/portent-dev/portent/internal/ingest"
)

// Set is some presets, ready for use. It is read-only and safe for concurrent use.
type Set struct {
	entries  []*Entry // of class i
	matchers []matcher
	classes  []detect.Class
	byName   map[string][]int // entries that name the metric, in order
	rest     []int            // entries that do not
	names    candidates
	groups   []joint
	queries  []Query
	limitOf  map[int]*limit      // by the class whose limit it is
	limitBy  map[string][]*limit // by the metric that tells it
}

// matcher is a selector, parsed.
type matcher []*labels.Matcher

// joint is a group that entries are in.
type joint struct {
	name    string
	by      []string
	members map[int]bool
}

// Query is what Prometheus is to be asked.
type Query struct {
	Name, Expr string // the results bear the name
	Interval   time.Duration
}

// New makes a set of presets. An entry of a later preset replaces that of the same
// preset and name in an earlier one, and a series that several entries take belongs to
// the latest preset's first: so users override what comes with the program.
func New(presets []Preset) (*Set, error) {
	merged, err := merge(presets)
	if err != nil {
		return nil, err
	}
	s := &Set{byName: map[string][]int{}}
	for i := range merged {
		for j := range merged[i].Entries {
			if err := s.add(&merged[i].Entries[j]); err != nil {
				return nil, fmt.Errorf("preset %s: entry %s: %w", merged[i].Name, merged[i].Entries[j].Name, err)
			}
		}
	}
	if len(s.classes) > detect.MaxClasses {
		return nil, fmt.Errorf("%d entries in all presets: want at most %d", len(s.classes), detect.MaxClasses)
	}
	for i := range merged {
		for name, by := range merged[i].Groups {
			s.group(name, by)
		}
	}
	slices.SortFunc(s.groups, func(a, b joint) int { return strings.Compare(a.name, b.name) })
	for class, e := range s.entries {
		for _, name := range e.In {
			for i := range s.groups {
				if s.groups[i].name == name {
					s.groups[i].members[class] = true
				}
			}
		}
	}
	return s, nil
}

// merge puts presets of one name together and the latest first.
func merge(presets []Preset) ([]Preset, error) {
	var merged []Preset
	groups := map[string][]string{}
	var errs []error
	for _, p := range presets {
		for name, by := range p.Groups {
			if known, ok := groups[name]; ok && !slices.Equal(known, by) {
				errs = append(errs, fmt.Errorf("preset %s: groups.%s: %q here, %q in another preset", p.Name, name, by, known))
			}
			groups[name] = by
		}
		at := slices.IndexFunc(merged, func(m Preset) bool { return m.Name == p.Name })
		if at < 0 {
			p.Entries = slices.Clone(p.Entries)
			merged = slices.Insert(merged, 0, p)
			continue
		}
		old := merged[at]
		for _, e := range old.Entries {
			if !slices.ContainsFunc(p.Entries, func(n Entry) bool { return n.Name == e.Name }) {
				p.Entries = append(p.Entries, e)
			}
		}
		for name, by := range old.Groups {
			if p.Groups == nil {
				p.Groups = map[string][]string{}
			}
			p.Groups[name] = by
		}
		merged = slices.Insert(slices.Delete(merged, at, at+1), 0, p)
	}
	return merged, errors.Join(errs...)
}

func (s *Set) add(e *Entry) error {
	text := e.Match
	if e.Query != "" {
		text = fmt.Sprintf("{%s=%q}", ingest.MetricName, e.Name)
		if e.As != Ignore {
			s.queries = append(s.queries, Query{Name: e.Name, Expr: strings.TrimSpace(e.Query), Interval: time.Duration(e.Interval)})
		}
	}
	m, err := selector(text)
	if err != nil {
		return err
	}
	class := len(s.classes)
	s.entries, s.matchers, s.classes = append(s.entries, e), append(s.matchers, m), append(s.classes, e.class())
	if e.LimitOf != nil {
		if err := s.addLimit(class, e.LimitOf); err != nil {
			return err
		}
	}
	if name, ok := m.metric(); ok {
		s.byName[name] = append(s.byName[name], class)
	} else {
		s.rest = append(s.rest, class)
	}
	return nil
}

func (s *Set) group(name string, by []string) {
	if !slices.ContainsFunc(s.groups, func(g joint) bool { return g.name == name }) {
		s.groups = append(s.groups, joint{name, by, map[int]bool{}})
	}
}

// Classes are those of detect.Options, Classify tells them apart.
func (s *Set) Classes() []detect.Class { return s.classes }

// Classify returns the class of a series, or -1. It is what detect.Options asks for.
func (s *Set) Classify(ls []ingest.Label) int {
	for _, class := range s.named(value(ls, ingest.MetricName)) {
		if s.matchers[class].takes(ls) {
			return class
		}
	}
	return -1
}

// Ignores reports whether a series is not worth a model.
func (s *Set) Ignores(ls []ingest.Label) bool {
	class := s.Classify(ls)
	return class >= 0 && s.entries[class].As == Ignore
}

// Entry returns what is known of a class.
func (s *Set) Entry(class int) (Entry, bool) {
	if class < 0 || class >= len(s.entries) {
		return Entry{}, false
	}
	return *s.entries[class], true
}

// Queries returns what Prometheus is to be asked, for what no series says as it is sent.
func (s *Set) Queries() []Query { return slices.Clone(s.queries) }

// Groups returns the rules and contexts of groups, in a stable order.
func (s *Set) Groups() (rules []group.Rule, contexts []group.Context) {
	for _, g := range s.groups {
		if len(g.members) == 0 {
			continue
		}
		rules = append(rules, group.Rule{
			Name: g.name, Kind: group.Joint, By: g.by,
			Match: func(ls []ingest.Label) bool { return g.members[s.Classify(ls)] },
		})
	}
	for class, e := range s.entries {
		only := func(ls []ingest.Label) bool { return s.Classify(ls) == class }
		if len(e.Peers) > 0 {
			rules = append(rules, group.Rule{Name: e.Name, Kind: group.Peers, By: e.Peers, Match: only})
		}
		if e.Unless == nil {
			continue
		}
		with, err := selector(e.Unless.Match)
		if err != nil {
			panic("BUG: preset: " + err.Error()) // Parse has checked it
		}
		contexts = append(contexts, group.Context{Name: e.Unless.Means, Match: only, With: with.takes, On: e.Unless.On})
	}
	return rules, contexts
}

func (e *Entry) kind() ingest.Kind {
	switch e.As {
	case Rate:
		return ingest.KindCounter
	case Ratio, Quantile:
		return ingest.KindGauge
	case Value, Ignore:
	}
	return ingest.KindUnknown
}

func selector(text string) (matcher, error) {
	m, err := parser.NewParser(parser.Options{}).ParseMetricSelector(text)
	if err != nil {
		return nil, fmt.Errorf("%q is no series selector such as node_load1{job=\"node\"}: %w", text, err)
	}
	return m, nil
}

// metric returns the one name that a selector asks for.
func (m matcher) metric() (string, bool) {
	for _, x := range m {
		if x.Name == ingest.MetricName && x.Type == labels.MatchEqual {
			return x.Value, true
		}
	}
	return "", false
}

func (m matcher) takes(ls []ingest.Label) bool {
	for _, x := range m {
		if !x.Matches(value(ls, x.Name)) { // a label that is not there is empty, as in PromQL
			return false
		}
	}
	return true
}

func value(ls []ingest.Label, name string) string {
	for i := range ls {
		if ls[i].Name == name {
			return ls[i].Value
		}
	}
	return ""
}
