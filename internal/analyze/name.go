package analyze

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/portent-dev/portent/internal/ingest"
)

// Names calls series what people call them: "working set of checkout-0". Where several
// series would be called the same, as the modes of a processor are, the labels that
// tell them apart stand behind: "CPU use of db-1 (cpu 0, mode user)". Make it with
// Actions.Names, say with Ask what will be named, and show it with See all series
// there are. The zero value is not useful. It is for one goroutine; it remembers one
// series for each metric and owner that was asked for.
type Names struct {
	actions *Actions
	asked   map[string]map[string]*alike // by metric and owner
}

// alike is what is known of the series of one metric and owner.
type alike struct {
	first   map[string]string
	differs map[string]bool // labels in which others differ from the first
}

// Bounds of a name.
const (
	mostApart  = 3  // labels that tell a series from its siblings
	mostValue  = 64 // runes of a label's value
	briefValue = 40 // runes beyond which a value tells nobody anything if a shorter one is there
)

// Names returns a Names that knows no series.
func (a *Actions) Names() *Names { return &Names{a, map[string]map[string]*alike{}} }

// Ask says that a series will be named.
func (n *Names) Ask(labels map[string]string) {
	metric := labels[ingest.MetricName]
	owners := n.asked[metric]
	if owners == nil {
		owners = map[string]*alike{}
		n.asked[metric] = owners
	}
	_, owner := ownerOf(labels)
	if owners[owner] == nil {
		owners[owner] = &alike{}
	}
}

// See takes a series that is there, the asked ones included. It costs a look-up for one
// whose metric nobody asked for. labels are valid during the call only.
func (n *Names) See(labels []ingest.Label) {
	owners := n.asked[labelOf(labels, ingest.MetricName)]
	if owners == nil {
		return
	}
	owner := ""
	for _, name := range owning {
		if owner = labelOf(labels, name); owner != "" {
			break
		}
	}
	a := owners[owner]
	if a == nil {
		return
	}
	if a.first == nil {
		a.first = make(map[string]string, len(labels))
		for _, l := range labels {
			a.first[strings.Clone(l.Name)] = strings.Clone(l.Value)
		}
		return
	}
	for _, l := range labels {
		if a.first[l.Name] != l.Value && !a.differs[l.Name] {
			a.differ(strings.Clone(l.Name))
		}
	}
	for name := range a.first {
		if labelOf(labels, name) == "" {
			a.differ(name)
		}
	}
}

func (a *alike) differ(name string) {
	if a.differs == nil {
		a.differs = map[string]bool{}
	}
	a.differs[name] = true
}

// NameOf returns what people call a series. owner takes the place of what the labels say,
// if it is not empty; it stands for several series, which nothing tells apart. known is
// false when the labels do not say whose it is.
func (n *Names) NameOf(labels map[string]string, owner string) (name string, known bool) {
	name, known = n.actions.nameOf(labels, owner)
	if owner != "" || !known {
		return name, known
	}
	if apart := n.apart(labels); apart != "" {
		name += " (" + apart + ")"
	}
	return name, true
}

// apart returns what tells a series from its siblings, "" if it has none.
func (n *Names) apart(labels map[string]string) string {
	by, owner := ownerOf(labels)
	a := n.asked[labels[ingest.MetricName]][owner]
	if a == nil || len(a.differs) == 0 {
		return ""
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(a.differs)) {
		if labels[name] != "" && name != by && name != ingest.MetricName {
			names = append(names, name)
		}
	}
	slices.SortStableFunc(names, func(x, y string) int { return cmp.Compare(len(labels[x]), len(labels[y])) })
	var told []string
	for _, name := range names {
		if len(told) == mostApart || len(told) > 0 && len(labels[name]) > briefValue {
			break
		}
		told = append(told, name+" "+plainValue(labels[name]))
	}
	return strings.Join(told, ", ")
}

// nameOf names a series by its metric and owner alone.
func (a *Actions) nameOf(labels map[string]string, owner string) (name string, known bool) {
	metric := labels[ingest.MetricName]
	if name = a.subject(metric); name == "" {
		name = plainName(metric)
	}
	if owner == "" {
		_, owner = ownerOf(labels)
	}
	if owner == "" {
		return name, false
	}
	return name + " of " + plainValue(owner), true
}

// Knows reports whether the table has a name for a metric.
func (a *Actions) Knows(metric string) bool { return a.subject(metric) != "" }

// Suggest returns what a person would look at or do first about a metric that lies above or
// below what was expected, for the type of analysis that comes nearest.
func (a *Actions) Suggest(metric string, of Type, direction string) []string {
	return a.suggest(metric, of, direction)
}

// plainValue makes a label's value fit for a sentence: one line, and not too long. Labels are
// what strangers wrote.
func plainValue(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > mostValue {
		return string(runes[:mostValue-1]) + "…"
	}
	return s
}

func labelOf(labels []ingest.Label, name string) string {
	for i := range labels {
		if labels[i].Name == name {
			return labels[i].Value
		}
	}
	return ""
}

// labelsOf returns labels in the form in which series stream by.
func labelsOf(m map[string]string) []ingest.Label {
	out := make([]ingest.Label, 0, len(m))
	for name, v := range m {
		out = append(out, ingest.Label{Name: name, Value: v})
	}
	return out
}
