// Package noise counts what became of what Alertmanager sent: notices of alerts, alerts, incidents and tickets, by
// rule, team and day, so that people see which rules cost attention and bring nothing. It imports nothing of ours
// and keeps nothing: triage counts, a store keeps, Summarize adds up.
package noise

import (
	"cmp"
	"slices"
	"time"
)

// A Count is what one rule did on one day.
type Count struct {
	// Day is midnight UTC of the day, by the time of the alerts.
	Day time.Time
	// Rule is the alert name, empty in the one row a day that counts whole notifications; Others when a day has more
	// rules than are counted apart. Team is the team of its alerts, empty when they name none.
	Rule, Team string
	// Kept is the rule or window of maintenance that kept the alerts out of incidents, empty when they were not.
	Kept string
	// Notices are the mentions of alerts in notifications, in the row without rule the notifications. Alerts are
	// firings. An incident counts for the rule of its first alert, and so do its tickets.
	Notices, Alerts, Incidents, Tickets int64
}

// Compare orders counts by day and name.
func (c Count) Compare(o Count) int {
	return cmp.Or(c.Day.Compare(o.Day), cmp.Compare(c.Rule, o.Rule), cmp.Compare(c.Team, o.Team), cmp.Compare(c.Kept, o.Kept))
}

// Others stands for rules beyond the bound of a day.
const Others = "(others)"

// Figures are added up.
type Figures struct {
	Notices, Alerts, KeptOut, Incidents, Tickets int64
}

func (f *Figures) add(c Count) {
	f.Notices += c.Notices
	f.Alerts += c.Alerts
	f.Incidents += c.Incidents
	f.Tickets += c.Tickets
	if c.Kept != "" {
		f.KeptOut += c.Alerts
	}
}

// A Row is what one rule, team or week did.
type Row struct {
	Name string
	Figures
}

// A Report says how much of what came was worth something.
type Report struct {
	// Notifications are webhook requests; the figures of Total count alerts in them.
	Notifications int64
	Total         Figures
	// Rules, Teams and Kept (rules that keep alerts out) have the most alerts first; Weeks, named as in 2026-W47, go by
	// time.
	Rules, Teams, Kept, Weeks []Row
}

// Summarize adds up, in time and memory of the number of counts.
func Summarize(cs []Count) Report {
	var r Report
	rules, teams, kept, weeks := table{}, table{}, table{}, table{}
	for _, c := range cs {
		if c.Rule == "" {
			r.Notifications += c.Notices
			continue
		}
		r.Total.add(c)
		rules.add(c.Rule, c)
		teams.add(c.Team, c)
		weeks.add(week(c.Day), c)
		if c.Kept != "" {
			kept.add(c.Kept, c)
		}
	}
	most := func(a, b Row) int { return cmp.Or(cmp.Compare(b.Alerts, a.Alerts), cmp.Compare(a.Name, b.Name)) }
	r.Rules, r.Teams, r.Kept = rules.rows(most), teams.rows(most), kept.rows(most)
	r.Weeks = weeks.rows(func(a, b Row) int { return cmp.Compare(a.Name, b.Name) })
	return r
}

type table map[string]*Figures

func (t table) add(name string, c Count) {
	if t[name] == nil {
		t[name] = &Figures{}
	}
	t[name].add(c)
}

func (t table) rows(order func(a, b Row) int) []Row {
	out := make([]Row, 0, len(t))
	for name, f := range t {
		out = append(out, Row{name, *f})
	}
	slices.SortFunc(out, order)
	return out
}

// week is the ISO 8601 week of a day.
func week(day time.Time) string {
	y, w := day.ISOWeek()
	return time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC).Format("2006") + "-W" + string([]byte{'0' + byte(w/10), '0' + byte(w%10)})
}
