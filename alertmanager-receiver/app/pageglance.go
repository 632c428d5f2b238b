package app

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/report"
	"github.com/portent-dev/portent/internal/ticket"
)

// glance is what somebody who was woken wants to know first: since when, how bad, who is on it, and what to do next.
type glance struct {
	Since stamp
	For   string
	Bad   string
	Who   string
	When  string // that somebody did something, empty when nobody has
	Next  string
	Href  string
	Key   string // that leads there
}

// glanceOf looks at what is shown of an incident: drafts, actions and alerts must be there already.
func glanceOf(now time.Time, inc incident.Incident, v *incidentView) glance {
	g := glance{Since: exactly(inc.StartedAt), For: age(now, inc), Bad: reach(inc), Who: "nobody has done anything yet"}
	if e, ok := lastPerson(inc.Timeline); ok {
		g.Who, g.When = e.Actor, ago(now, e.At)+": "+ticket.OneLine(e.Text, 120)
	} else if len(inc.Timeline) == 1 && (inc.Timeline[0].Text == partLeftOut || inc.Timeline[0].Text == historyLeftOut) {
		g.Who = "you may not see what others did"
	}
	waits := slices.IndexFunc(v.Drafts, func(d draftView) bool { return d.Waits })
	runbook := ""
	for _, a := range inc.Alerts {
		if runbook = report.Runbook(a); runbook != "" && a.Name() == inc.RootCause.Alertname {
			break // that of the cause, else the first there is
		}
	}
	switch {
	case waits >= 0:
		g.Next, g.Href = "decide about the ticket that waits", fmt.Sprintf("#draft-%d", v.Drafts[waits].Task)
		if v.Drafts[waits].ApproveHref != "" {
			g.Key = "a"
		}
	case inc.Status != incident.StatusOpen:
		g.Next = "nothing: it is over"
	case runbook != "":
		g.Next, g.Href = "follow the runbook", runbook
	case len(v.Steps) > 0:
		g.Next, g.Href = "take the first steps", "#steps"
	}
	return g
}

// lastPerson is who last took an incident, else the last thing that a person did.
func lastPerson(events []incident.Event) (incident.Event, bool) {
	for _, e := range slices.Backward(events) {
		if e.Kind == incident.EventTaken {
			return e, true
		}
	}
	for _, e := range slices.Backward(events) {
		if e.Actor != "" && e.Actor != "portent" && !strings.HasPrefix(e.Actor, "portent/") {
			return e, true
		}
	}
	return incident.Event{}, false
}

// reach says how much of what is affected.
func reach(inc incident.Incident) string {
	out := alertCount(inc.Total, inc.Firing)
	var parts []string
	for _, x := range []struct{ label, one, many string }{{"service", "service", "services"}, {"pod", "pod", "pods"}, {"node", "node", "nodes"}, {"namespace", "namespace", "namespaces"}, {"cluster", "cluster", "clusters"}} {
		values := map[string]bool{}
		for _, a := range inc.Alerts {
			if v := a.Labels[x.label]; v != "" && (a.Status == incident.AlertFiring || inc.Firing == 0) {
				values[v] = true
			}
		}
		switch len(values) {
		case 0:
		case 1:
			parts = append(parts, "1 "+x.one)
		default:
			parts = append(parts, fmt.Sprintf("%d %s", len(values), x.many))
		}
	}
	if len(parts) > 0 {
		out += ": " + strings.Join(parts, ", ")
	}
	return out
}

const (
	// maxFlat is how many alerts are listed one by one: more of them are put together by their name.
	maxFlat = 8
	// maxInGroup bounds what is listed of one name.
	maxInGroup = 25
	// maxSubjects bounds what a group says it is about.
	maxSubjects = 3
)

// alertGroup is the alerts of one name.
type alertGroup struct {
	Name, Severity, Count, Subjects, Span, More string
	X, W                                        int
	Alerts                                      []alertView
}

// groupAlerts puts alerts together by name: that of the cause is first, then what fires most, among equals what began first. Up
// to maxFlat they stay as they are, in one group without a name.
func groupAlerts(now, from, to time.Time, cause string, as []incident.Alert, view func(incident.Alert) alertView) []alertGroup {
	if len(as) <= maxFlat {
		g := alertGroup{}
		for _, a := range as {
			g.Alerts = append(g.Alerts, view(a))
		}
		return []alertGroup{g}
	}
	byName := map[string][]incident.Alert{}
	for _, a := range as {
		byName[alertName(a)] = append(byName[alertName(a)], a)
	}
	firing := func(as []incident.Alert) (n int) {
		for _, a := range as {
			if a.Status == incident.AlertFiring {
				n++
			}
		}
		return n
	}
	first := func(as []incident.Alert) time.Time { return slices.MinFunc(as, byStart).StartsAt }
	names := slices.SortedFunc(maps.Keys(byName), func(a, b string) int {
		if (a == cause) != (b == cause) {
			if a == cause {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(firing(byName[b]), firing(byName[a])), first(byName[a]).Compare(first(byName[b])), cmp.Compare(a, b))
	})
	var out []alertGroup
	shown := 0
	for _, name := range names {
		all := byName[name]
		n := firing(all)
		g := alertGroup{Name: name, Count: alertCount(len(all), n), Subjects: subjects(all)}
		begin, end := first(all), time.Time{}
		for _, a := range all {
			if s := incident.Severity(a.Labels["severity"]); s.Rank() > incident.Severity(g.Severity).Rank() {
				g.Severity = string(s)
			}
			until := a.EndsAt
			if until.IsZero() {
				until = to
			}
			if until.After(end) {
				end = until
			}
		}
		g.X, g.W = bar(from, to, begin, end)
		g.Span = "since " + exactly(begin).Text + ", " + span(now.Sub(begin))
		if n == 0 {
			g.Span = exactly(begin).Text + ", for " + span(end.Sub(begin))
		}
		most := min(len(all), maxInGroup, max(0, maxPageAlerts-shown))
		for _, a := range all[:most] {
			g.Alerts = append(g.Alerts, view(a))
		}
		shown += most
		if most < len(all) {
			g.More = fmt.Sprintf("%d more are not shown; the API gives them all.", len(all)-most)
		}
		out = append(out, g)
	}
	return out
}

func byStart(a, b incident.Alert) int { return a.StartsAt.Compare(b.StartsAt) }

// subjects names what alerts are about, the first few.
func subjects(as []incident.Alert) string {
	var names []string
	for _, a := range as {
		if s := ticket.OneLine(subject(a), 80); s != "" && !slices.Contains(names, s) {
			names = append(names, s)
		}
	}
	if more := len(names) - maxSubjects; more > 0 {
		return strings.Join(names[:maxSubjects], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(names, ", ")
}
