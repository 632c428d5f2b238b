package app

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/allowance"
	"github.com/portent-dev/portent/internal/analyze"
	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/detect/group"
	"github.com/portent-dev/portent/internal/finding"
	"github.com/portent-dev/portent/internal/ingest"
)

// movement is a series of the same workload or machine that is anomalous too.
type movement struct {
	Labels map[string]string `json:"labels"`
	Name   string            `json:"name"` // as people call it
	Score  float64           `json:"score"`
	Since  time.Time         `json:"since"`
	Change *float64          `json:"changePercent"` // against what was expected; null where that is 0
	First  bool              `json:"first,omitempty"`
}

// shownLimit is when a series meets its limit if it goes on like this.
type shownLimit struct {
	Value    float64    `json:"value"`
	At       *time.Time `json:"at"` // null: not within a day
	Earliest *time.Time `json:"earliest,omitempty"`
	Latest   *time.Time `json:"latest,omitempty"`
}

// Bounds of what is said of one place.
const (
	mostMoved  = 50 // movements that are remembered
	shownMoved = 10 // and listed
	toldMoved  = 3  // and told in the sentence
)

// place is where a series belongs: its workload, or else its machine.
func placeOf(labels []ingest.Label) allowance.Workload {
	w := allowance.WorkloadOf(labels)
	if w.Name == "" {
		for _, name := range [...]string{"node", "instance"} {
			for _, l := range labels {
				if l.Name == name {
					w.Name = l.Value
					return w
				}
			}
		}
	}
	return w
}

// surroundings are what is known of the series of one place.
type surroundings struct {
	moved []scored
	told  []movement // the first of moved, as they are told of each other; by tell
	load  string     // a metric of its load that is as usual, "" if none is known
	risen *scored    // the first of moved that is load
}

// look finds what is around the anomalies.
func (v *anomaliesView) look(top []scored) map[allowance.Workload]*surroundings {
	around := map[allowance.Workload]*surroundings{}
	for _, s := range top {
		if p := placeOf(s.labels); p.Name != "" {
			around[p] = &surroundings{load: v.loads.unchanged(p)}
		}
	}
	if len(around) == 0 {
		return around
	}
	v.unquiet(func(labels []ingest.Label, o detect.Output) bool {
		if o, _ = v.show(labels, o); o.Score > 1 {
			if p := around[placeOf(labels)]; p != nil && len(p.moved) < mostMoved {
				p.moved = append(p.moved, scored{slices.Clone(labels), o})
			}
		}
		return true
	})
	names := map[string]bool{} // whether it is load
	for _, p := range around {
		slices.SortFunc(p.moved, func(a, b scored) int {
			return cmp.Or(cmp.Compare(a.out.Since, b.out.Since), cmp.Compare(b.out.Score, a.out.Score), slices.CompareFunc(a.labels, b.labels, compareLabels))
		})
		for i := range p.moved {
			name := metricNameOf(p.moved[i].labels)
			load, known := names[name]
			if !known {
				load = analyze.IsLoad(name)
				names[name] = load
			}
			if load && p.risen == nil {
				p.risen = &p.moved[i]
			}
		}
	}
	return around
}

// name finds out what to call everything that is told.
func (v *anomaliesView) name(top []scored, around map[allowance.Workload]*surroundings) {
	v.names = v.actions.Names()
	asked := false
	ask := func(labels []ingest.Label) { v.names.Ask(labelMap(labels)); asked = true }
	for _, s := range top {
		ask(s.labels)
	}
	for _, p := range around {
		for _, m := range p.moved[:min(len(p.moved), shownMoved+1)] {
			ask(m.labels)
		}
	}
	if v.groups != nil {
		v.groups.Results(func(r group.Result) bool {
			if r.Ready && r.Score > 1 {
				for _, s := range r.Shares {
					ask(s.Labels)
				}
			}
			return true
		})
	}
	if asked {
		v.each(func(labels []ingest.Label, _ detect.Output) bool { v.names.See(labels); return true })
	}
	for _, p := range around {
		for _, m := range p.moved[:min(len(p.moved), shownMoved+1)] { // one of them is the one that is explained
			p.told = append(p.told, v.movement(m))
		}
	}
}

func metricNameOf(labels []ingest.Label) string {
	for _, l := range labels {
		if l.Name == ingest.MetricName {
			return l.Value
		}
	}
	return ""
}

// explain fills in what was around, and says all of it in sentences.
func (v *anomaliesView) explain(a *anomaly, s scored, around *surroundings) {
	class := v.class(s.out)
	f := s.out.Finding(s.labels, v.detector)
	f.Unit = cmp.Or(class.Unit, f.Unit)
	subject := v.subject(a.Labels, f, s, around)
	var b strings.Builder
	b.WriteString(subject + " " + phrase(s.out, f))
	if around != nil {
		b.WriteString(v.load(s, around))
	}
	b.WriteString(".")
	if around != nil {
		v.addMoved(a, s, around, &b)
	}
	v.addLimit(a, s, f.Unit, &b)
	if class.Means != "" && !v.actions.Knows(f.What) {
		fmt.Fprintf(&b, " (%s: %s.)", f.What, class.Means)
	}
	a.Explanation = b.String()
	a.Unit = f.Unit
	a.Suggested = v.actions.Suggest(f.What, analysisOf(s.out.Reason), string(f.Direction))
}

// subject names the series as people do; one of several of a workload that moved alike by all of them.
func (v *anomaliesView) subject(labels map[string]string, f finding.Finding, s scored, around *surroundings) string {
	owner := ""
	if around != nil {
		alike := 0
		for _, m := range around.moved {
			if metricNameOf(m.labels) == f.What && finding.Side(m.out.Value, m.out.Expected) == f.Direction {
				alike++
			}
		}
		if w := allowance.WorkloadOf(s.labels); alike > 1 && w.Name != "" {
			owner = w.Name + "-*"
		}
	}
	name, known := v.names.NameOf(labels, owner)
	if !known {
		return f.Subject()
	}
	return name
}

// moved reports whether a silence that has broken is that of a constant which moves, and not that of a series which stands still:
// the value lies farther from what was expected than what is usual does to the other side.
func moved(o detect.Output) bool {
	other := o.Expected - o.Lower
	if o.Value < o.Expected {
		other = o.Upper - o.Expected
	}
	return o.Value != o.Expected && other <= math.Abs(o.Value-o.Expected)
}

// phrase says what is unusual, against what, and since when.
func phrase(o detect.Output, f finding.Finding) string {
	since := ""
	if !f.Since.IsZero() {
		since = " since " + clockOf(f.Since, f.At) + " UTC"
	}
	if o.Missing {
		return "brings no samples any more," + since + "; the newest was " + finding.Quantity(f.Observed, f.Unit)
	}
	amount := "is " + finding.Quantity(f.Observed, f.Unit) + " in place of " + finding.Quantity(f.Expected, f.Unit)
	beside := " (" + finding.Quantity(f.Observed, f.Unit) + " in place of " + finding.Quantity(f.Expected, f.Unit) + ")"
	if share, ok := f.Change(); ok && f.Direction != finding.Neither && math.Abs(share) >= 0.005 && math.Abs(share) < 10 {
		amount = fmt.Sprintf("is %.0f %% %s", 100*math.Abs(share), f.Direction)
	} else {
		beside = ""
	}
	switch o.Reason {
	case detect.ReasonShift:
		return amount + " the level it had," + since + beside
	case detect.ReasonSpread:
		return "moves much more, or much less, than it did," + since + beside
	case detect.ReasonTrend:
		word := "rising"
		if f.Direction == finding.Below {
			word = "falling"
		}
		return "is " + word + " steadily" + since + ": it " + amount + " its own history" + beside
	case detect.ReasonShape:
		return "takes an unusual course within its usual range," + since + beside
	case detect.ReasonNone, detect.ReasonLevel:
	case detect.ReasonSilence:
		if o.Value == 0 {
			return "has fallen silent: it is 0," + since + " (usual is " + finding.Quantity(f.Expected, f.Unit) + ")"
		}
		value, usual := finding.Quantity(f.Observed, f.Unit), finding.Quantity(f.Expected, f.Unit)
		if moved(o) {
			return "has moved to " + value + " where it stood still at " + usual + "," + since
		}
		return "stands still at " + value + " where it usually moves," + since
	}
	if beside == "" {
		return amount + " that this hour usually shows," + since
	}
	return amount + " what this hour usually shows," + since + beside
}

// clockOf writes a time as people say it; with the day where it is another.
func clockOf(t, now time.Time) string {
	if now.Sub(t) >= 20*time.Hour {
		return t.UTC().Format("2006-01-02 15:04")
	}
	return t.UTC().Format("15:04")
}

// load says whether the load of the same place moved too.
func (v *anomaliesView) load(s scored, around *surroundings) string {
	if around.risen == nil && around.load == "" || analyze.IsLoad(metricNameOf(s.labels)) {
		return ""
	}
	if m := around.risen; m != nil {
		return fmt.Sprintf("; %s is %s what is usual too", analyze.LoadName(metricNameOf(m.labels)), sideOf(m.out))
	}
	return "; " + analyze.LoadName(around.load) + " is unchanged"
}

func sideOf(o detect.Output) string {
	f := finding.Finding{Observed: o.Value, Expected: o.Expected}
	side := finding.Side(o.Value, o.Expected)
	if share, ok := f.Change(); ok && math.Abs(share) < 10 {
		return fmt.Sprintf("%.0f %% %s", 100*math.Abs(share), side)
	}
	return "far " + string(side)
}

// addMoved says what else moved in the same place, and what was first.
func (v *anomaliesView) addMoved(a *anomaly, s scored, around *surroundings, b *strings.Builder) {
	a.Place = placeOf(s.labels).String()
	if len(around.moved) < 2 {
		return
	}
	// Of several that moved with the same sample none was the first.
	a.First = slices.Equal(around.moved[0].labels, s.labels) && s.out.Since < around.moved[1].out.Since
	here := placeOf(s.labels).Name
	var told []string
	for i, x := range around.told {
		m := &around.moved[i]
		if slices.Equal(m.labels, s.labels) {
			continue
		}
		x.First = i == 0 && m.out.Since < around.moved[1].out.Since
		if len(a.MovedWith) < shownMoved {
			a.MovedWith = append(a.MovedWith, x)
		}
		if len(told) < toldMoved {
			told = append(told, fmt.Sprintf("%s, %s since %s", without(x.Name, here), sideOf(m.out), clockOf(x.Since, a.Time)))
		}
	}
	if more := len(around.moved) - 1 - len(told); more > 0 {
		told = append(told, fmt.Sprintf("%d more", more))
	}
	fmt.Fprintf(b, " Also unusual in %s: %s.", a.Place, strings.Join(told, "; "))
	first := around.told[0]
	switch {
	case a.First:
		b.WriteString(" It was the first.")
	case around.moved[0].out.Since < min(s.out.Since, around.moved[1].out.Since):
		fmt.Fprintf(b, " The first was %s, at %s UTC.", without(first.Name, here), clockOf(first.Since, a.Time))
	}
}

// without leaves out of a name whose it is, where that is the place that is spoken of.
func without(name, place string) string {
	head, tail, found := strings.Cut(name, " of "+place)
	if !found || tail != "" && tail[0] != ' ' {
		return name
	}
	return head + tail
}

func (v *anomaliesView) movement(m scored) movement {
	x := movement{Labels: labelMap(m.labels), Score: m.out.Score, Since: time.UnixMilli(m.out.Since).UTC()}
	f := m.out.Finding(m.labels, v.detector)
	if name, known := v.names.NameOf(x.Labels, ""); known {
		x.Name = name
	} else {
		x.Name = f.Subject()
	}
	if share, ok := f.Change(); ok {
		percent := math.Round(1000*share) / 10
		x.Change = &percent
	}
	return x
}

// addLimit says when a known limit will be met.
func (v *anomaliesView) addLimit(a *anomaly, s scored, unit string, b *strings.Builder) {
	limit, known := v.limitOf(s.labels, s.out)
	if !known || s.out.Missing {
		return
	}
	at, earliest, latest := v.limits.meets(s.labels, limit)
	a.Limit = &shownLimit{Value: limit}
	if at.IsZero() {
		return
	}
	a.Limit.At = &at
	fmt.Fprintf(b, " If it goes on so, it meets its limit of %s at %s UTC", finding.Quantity(limit, unit), clockOf(at, at))
	if !earliest.IsZero() {
		a.Limit.Earliest = &earliest
		b.WriteString(", at the earliest at " + clockOf(earliest, at))
	}
	if !latest.IsZero() {
		a.Limit.Latest = &latest
	}
	b.WriteString(".")
}

// analysisOf returns the type of analysis that suggestions for a reason stand under.
func analysisOf(r detect.Reason) analyze.Type {
	switch r {
	case detect.ReasonTrend:
		return analyze.Trend
	case detect.ReasonShift:
		return analyze.LevelShift
	default:
		return analyze.Seasonal
	}
}

func labelMap(labels []ingest.Label) map[string]string {
	m := make(map[string]string, len(labels))
	for _, l := range labels {
		m[l.Name] = l.Value
	}
	return m
}
