package enrich

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/portent-dev/portent/internal/incident"
)

// before is how long before its start an incident is looked into: what broke it mostly
// happened in the quarter of an hour before the first alert, whose own hold (`for`) is minutes.
const before = 30 * time.Minute

// Bounds of what is asked for: an incident of a whole data centre names its namespaces, not its pods.
const (
	maxValues    = 20
	maxValueLong = 253 // bytes of a Kubernetes name; a longer value names nothing
)

// A Subject is what an incident is about, in the terms that sources can ask for.
type Subject struct {
	Incident incident.Incident
	// From and To are the window to look into.
	From, To time.Time
	// Values are the values of the labels that say where it is (namespace, pod, node, …), of
	// each the most frequent first, at most 20.
	Values map[string][]string
	// Clusters are the clusters of the alerts. Telemetry may not carry them: what names another
	// cluster is not about the incident, what names none may be.
	Clusters []string
}

// where are the labels that say where an alert is, narrow ones first: a source asks for the first that
// the alerts have.
var where = [][]string{
	{"namespace", "pod"},
	{"namespace", "deployment"},
	{"namespace", "statefulset"},
	{"namespace", "daemonset"},
	{"namespace", "service"},
	{"namespace", "persistentvolumeclaim"},
	{"namespace"},
	{"node"},
	{"instance"},
	{"service"},
	{"app"},
	{"job"},
}

// NewSubject takes from an incident with its alerts what can be asked for. The window
// ends at the end of the incident, or at now while it goes on.
func NewSubject(inc incident.Incident, now time.Time) Subject {
	s := Subject{Incident: inc, From: inc.StartedAt.Add(-before), To: now, Values: map[string][]string{}}
	if !inc.EndedAt.IsZero() && inc.EndedAt.Before(now) {
		s.To = inc.EndedAt
	}
	if !s.To.After(s.From) {
		s.To = s.From.Add(before)
	}
	for _, names := range where {
		for _, name := range names {
			if _, ok := s.Values[name]; !ok {
				s.Values[name] = frequent(inc.Alerts, name)
			}
		}
	}
	s.Clusters = frequent(inc.Alerts, "cluster")
	return s
}

// frequent returns the values of a label, the most frequent first, then by name.
func frequent(alerts []incident.Alert, label string) []string {
	n := map[string]int{}
	for _, a := range alerts {
		if v := a.Labels[label]; v != "" && len(v) <= maxValueLong {
			n[v]++
		}
	}
	values := make([]string, 0, len(n))
	for v := range n {
		values = append(values, v)
	}
	slices.SortFunc(values, func(a, b string) int { return cmp.Or(cmp.Compare(n[b], n[a]), strings.Compare(a, b)) })
	return values[:min(len(values), maxValues)]
}

// Selectors returns the matchers of the series that the incident may be about: those of its
// namespaces, of its nodes, and of its instances where it has no namespace. Each stands for
// one selector; none means that nothing can be asked for.
func (s Subject) Selectors() [][]*labels.Matcher {
	var out [][]*labels.Matcher
	for _, name := range []string{"namespace", "node"} {
		if m := OneOf(name, s.Values[name]); m != nil {
			out = append(out, []*labels.Matcher{m})
		}
	}
	if len(out) > 0 {
		return out
	}
	for _, name := range []string{"instance", "service", "app", "job"} {
		if m := OneOf(name, s.Values[name]); m != nil {
			return [][]*labels.Matcher{{m}}
		}
	}
	return nil
}

// OneOf returns a matcher for a label that has one of the values, nil when there is none.
func OneOf(label string, values []string) *labels.Matcher {
	switch len(values) {
	case 0:
		return nil
	case 1:
		return labels.MustNewMatcher(labels.MatchEqual, label, values[0])
	}
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = regexp.QuoteMeta(v)
	}
	return labels.MustNewMatcher(labels.MatchRegexp, label, strings.Join(quoted, "|"))
}

// Elsewhere reports whether telemetry with these labels is of another cluster.
func (s Subject) Elsewhere(cluster string) bool {
	return cluster != "" && len(s.Clusters) > 0 && !slices.Contains(s.Clusters, cluster)
}
