package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incidentapi"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/ticket"
)

// pageSize is how many rows a page lists: a few screens of a phone.
const pageSize = 50

// choice is one link of a filter.
type choice struct {
	Href, Text string
	More       string // shown where there is room, and said to those who hear the page
	Current    bool
	Counted    bool
	Count      int
}

type listView struct {
	Page       page
	Day        *chart
	Reload     string
	Notes      []note
	Statuses   []choice
	Severities []choice
	Rows       []listRow
	First      string
	Next       string
	Empty      emptyView
}

type listRow struct {
	Href, Title, Class, Severity, Status, Age, Alerts, Where string
	Started                                                  stamp
	ShowStatus                                               bool
	id                                                       string
	Waits                                                    bool // for somebody to approve its ticket
	Tickets                                                  []link
}

type link struct{ Href, Text string }

// emptyView says why there is nothing to see and what to do about it.
type emptyView struct{ Head, Text, Code, Href, Link string }

// pageList shows the incidents, open ones unless asked otherwise.
func (s *server) pageList(w http.ResponseWriter, r *http.Request, p principal) {
	v := r.URL.Query()
	want := v.Get("status")
	if !v.Has("status") {
		want = string(incident.StatusOpen)
	} else if want == "all" {
		want = ""
	}
	st, err := status(want)
	if err == nil {
		_, err = severity(v.Get("severity"))
	}
	if err != nil {
		s.pages.message(w, r, http.StatusBadRequest, err, "choose a filter on the list of incidents")
		return
	}
	q := incident.Query{Status: st, Severity: incident.Severity(v.Get("severity")), Limit: pageSize, Cursor: v.Get("cursor"), Brief: !p.scoped()}
	incs, next, err := s.list(r.Context(), p, q)
	if err != nil {
		s.failed(w, r, err)
		return
	}
	counts, err := s.store.Counts(r.Context())
	if err != nil {
		s.failed(w, r, err)
		return
	}
	g := s.pages.frame("Incidents", navIncidents, 0, p)
	g.Live = "all"
	view := listView{Page: g, Reload: g.Root + "?" + r.URL.RawQuery, Notes: s.notes(r, g.Root, p)}
	view.Statuses, view.Severities = filters(g.Root, q, counts, !p.scoped())
	for _, inc := range incs {
		row := s.listRow(g.Root, inc.Incident)
		row.ShowStatus = q.Status == ""
		view.Rows = append(view.Rows, row)
	}
	if q.Cursor == "" {
		incs, err := s.lately(r.Context(), p)
		if err != nil {
			s.failed(w, r, err)
			return
		}
		view.Day = dayChart(s.now(), incs)
	}
	if err := s.markDrafts(r.Context(), view.Rows); err != nil {
		s.failed(w, r, err)
		return
	}
	if q.Cursor != "" {
		view.First = listHref(g.Root, q.Status, q.Severity, "")
	}
	if next != "" {
		view.Next = listHref(g.Root, q.Status, q.Severity, next)
	}
	if len(view.Rows) == 0 {
		if p.scoped() { // how many others have is not theirs to know
			counts = nil
		}
		view.Empty = s.empty(g.Root, q, counts)
	}
	s.show(w, r, "list.html", view)
}

// show renders a page; a template that fails is a defect and says so.
func (s *server) show(w http.ResponseWriter, r *http.Request, name string, view any) {
	if err := s.pages.render(w, http.StatusOK, name, view); err != nil {
		s.failed(w, r, err)
	}
}

func (s *server) listRow(root string, inc incident.Incident) listRow {
	row := listRow{
		Href: root + "incidents/" + url.PathEscape(inc.ID), Title: headline(inc.Title), Severity: string(inc.Severity), Status: string(inc.Status),
		Class: string(inc.Severity), Age: age(s.now(), inc), Started: exactly(inc.StartedAt), Alerts: alertCount(inc.Total, inc.Firing), Where: place(inc.Labels), id: inc.ID,
	}
	if inc.Status != incident.StatusOpen {
		row.Class = string(inc.Status)
	}
	for _, t := range inc.Tickets {
		if t.Key != "" {
			row.Tickets = append(row.Tickets, link{s.ticketHref(root, t), t.Key})
		}
	}
	return row
}

// ticketHref leads to a ticket: to our own page for a local one, whatever address it was filed under.
func (s *server) ticketHref(root string, t incident.Ticket) string {
	if s.isLocal(t.Tracker) {
		return root + "tickets/" + url.PathEscape(t.Key)
	}
	if u, ok := ticket.SafeURL(t.URL); ok {
		return u
	}
	return ""
}

func (s *server) isLocal(tracker string) bool {
	for _, t := range s.settings.Load().config.Trackers {
		if t.Name == tracker {
			return t.Type == TrackerLocal
		}
	}
	return false
}

// listHref is the address of the list with these filters. The list without any shows open incidents.
func listHref(root string, st incident.Status, sev incident.Severity, cursor string) string {
	v := url.Values{}
	switch st {
	case incident.StatusOpen:
	case "":
		v.Set("status", "all")
	default:
		v.Set("status", string(st))
	}
	if sev != "" {
		v.Set("severity", string(sev))
	}
	if cursor != "" {
		v.Set("cursor", cursor)
	}
	if len(v) == 0 {
		return root
	}
	return root + "?" + v.Encode()
}

func filters(root string, q incident.Query, counts map[incident.Status]int, counted bool) (statuses, severities []choice) {
	all := 0
	for _, n := range counts {
		all += n
	}
	for _, x := range []struct {
		status incident.Status
		text   string
		n      int
	}{
		{incident.StatusOpen, "Open", counts[incident.StatusOpen]},
		{incident.StatusResolved, "Resolved", counts[incident.StatusResolved]},
		{incident.StatusDismissed, "Dismissed", counts[incident.StatusDismissed]},
		{"", "All", all},
	} {
		statuses = append(statuses, choice{Href: listHref(root, x.status, q.Severity, ""), Text: x.text, Current: x.status == q.Status, Counted: counted, Count: x.n})
	}
	for _, x := range []struct {
		severity incident.Severity
		text     string
	}{{"", "Any"}, {incident.SeverityCritical, "Critical"}, {incident.SeverityWarning, "Warning"}, {incident.SeverityInfo, "Info"}} {
		c := choice{Href: listHref(root, q.Status, x.severity, ""), Text: x.text, Current: x.severity == q.Severity}
		if x.severity == "" {
			c.More = "severity"
		}
		severities = append(severities, c)
	}
	return statuses, severities
}

// notes are what somebody who looks at the list must know before they trust it.
func (s *server) notes(r *http.Request, root string, p principal) []note {
	var out []note
	if err := s.ready(); err != nil {
		out = append(out, note{Text: "The receiver does not take notifications now: " + err.Error() + ". Alertmanager sends them again.", Bad: true})
	}
	if n := s.backlog.pending(r.Context()); n > backlogNote {
		many := plural(n, "notification")
		if p.scoped() {
			many = "Notifications"
		}
		out = append(out, note{Text: many + " wait to be processed: the list is not complete yet.", Bad: true})
	}
	if p.scoped() {
		return append(out, note{Text: "You see the part of the incidents that your access allows."})
	}
	if st, err := s.tasks.Stats(r.Context()); err == nil {
		if n := sum(st.Dead); n > 0 {
			out = append(out, note{Text: plural(n, "ticket action") + " given up: see the outbox", Bad: true, Href: root + "outbox"})
		}
	}
	return out
}

// backlogNote is the backlog that is told on the list; a smaller one is gone before somebody has read it.
const backlogNote = 500

func sum(m map[string]int) int {
	n := 0
	for _, x := range m {
		n += x
	}
	return n
}

func (s *server) empty(root string, q incident.Query, counts map[incident.Status]int) emptyView {
	all := sum2(counts)
	switch {
	case counts == nil && q.Cursor == "":
		return emptyView{Head: "Nothing of yours", Text: "No incident with this status and severity is within what your access covers.", Href: listHref(root, "", "", ""), Link: "Show all"}
	case all == 0 && counts != nil:
		return emptyView{
			Head: "No incident yet",
			Text: "Incidents appear here as soon as Alertmanager sends an alert. Add this to its configuration and reload it:",
			Code: s.snippet(),
			Href: root + "suppressed", Link: "See what was kept out",
		}
	case q.Cursor != "":
		return emptyView{Head: "No more incidents", Text: "This is the end of the list.", Href: listHref(root, q.Status, q.Severity, ""), Link: "Newest"}
	case q.Status == incident.StatusOpen && q.Severity == "":
		return emptyView{Head: "Nothing is open", Text: fmt.Sprintf("All quiet. %s over.", count(all, "incident", "is", "are")), Href: listHref(root, "", "", ""), Link: "Show all"}
	default:
		return emptyView{Head: "No incident matches", Text: "There are incidents, but none with this status and severity.", Href: listHref(root, "", "", ""), Link: "Show all"}
	}
}

func count(n int, noun, one, many string) string {
	if n == 1 {
		return plural(n, noun) + " " + one
	}
	return plural(n, noun) + " " + many
}

func sum2(m map[incident.Status]int) int {
	n := 0
	for _, x := range m {
		n += x
	}
	return n
}

// snippet is what Alertmanager's configuration needs.
func (s *server) snippet() string {
	set := s.settings.Load()
	out := "route:\n  receiver: portent\nreceivers:\n  - name: portent\n    webhook_configs:\n      - url: " + set.config.ExternalURL + "/api/v1/webhook/alertmanager\n        send_resolved: true"
	if set.access.webhook != nil {
		out += "\n        http_config:\n          authorization:\n            credentials_file: /path/to/the/webhook/token"
	}
	return out
}

type suppressedView struct {
	Page        page
	Reload      string
	Try, Wrong  string               // matchers that somebody tries, and what is wrong with them
	Tried       *incidentapi.Preview // what they, or the configured rules, would keep out; nil when nobody asked
	Whole       bool                 // may ask about the configured rules
	Rows        []suppressedRow
	First, Next string
}

type suppressedRow struct {
	Name, Subject, Severity, Status, Why, Span string
	Labels                                     []string
}

// pageSuppressed lists alerts that belong to no incident.
func (s *server) pageSuppressed(w http.ResponseWriter, r *http.Request, p principal) {
	v := r.URL.Query()
	q := incident.AlertQuery{Suppressed: true, Limit: pageSize, Cursor: v.Get("cursor")}
	alerts, next, err := s.listAlerts(r.Context(), p, q)
	if err != nil {
		s.failed(w, r, err)
		return
	}
	g := s.pages.frame("Kept out", navSuppressed, 0, p)
	view := suppressedView{Page: g, Reload: g.Root + "suppressed?" + r.URL.RawQuery, Try: v.Get("try"), Whole: !p.scoped()}
	if err := s.tryRule(r.Context(), &view, p, v.Has("try")); err != nil {
		s.failed(w, r, err)
		return
	}
	for _, a := range alerts {
		view.Rows = append(view.Rows, suppressedRow{
			Name: alertName(a), Subject: subject(a), Severity: severityClass(a.Labels["severity"]), Status: string(a.Status), Why: a.Why,
			Span: firing(s.now(), a), Labels: sortedLabels(a.Labels),
		})
	}
	if q.Cursor != "" {
		view.First = g.Root + "suppressed"
	}
	if next != "" {
		view.Next = g.Root + "suppressed?cursor=" + url.QueryEscape(next)
	}
	s.show(w, r, "suppressed.html", view)
}

// tryRule shows what a rule that somebody thinks of would keep out; with nothing written, what the configured ones would.
func (s *server) tryRule(ctx context.Context, view *suppressedView, p principal, asked bool) error {
	if !asked || view.Try == "" && p.scoped() {
		return nil
	}
	var matchers []string
	if view.Try != "" {
		matchers = []string{view.Try}
	}
	out, err := s.preview(ctx, p, matchers)
	if errors.Is(err, errMatchers) {
		view.Wrong = ticket.OneLine(err.Error(), 300)
		return nil
	}
	view.Tried = &out
	return err
}

type outboxView struct {
	Page        page
	Reload      string
	States      []choice
	Rows        []outboxRow
	Empty       string
	First, Next string
}

type outboxRow struct {
	ID                                            int64
	What, State, Class, Incident, Attempts, Error string
	Created, NotBefore                            stamp
	Replay                                        string
}

// pageOutbox lists the actions on trackers, those that were given up unless asked otherwise.
func (s *server) pageOutbox(w http.ResponseWriter, r *http.Request, p principal) {
	q := outbox.Query{State: outbox.StateDead, Limit: pageSize, Cursor: r.URL.Query().Get("cursor")}
	if v := r.URL.Query().Get("state"); v != "" {
		q.State = outbox.State(v)
	}
	stats, err := s.tasks.Stats(r.Context())
	if err != nil {
		s.failed(w, r, err)
		return
	}
	g := s.pages.frame("Outbox", navOutbox, 0, p)
	view := outboxView{Page: g, Reload: g.Root + "outbox?" + r.URL.RawQuery}
	for _, x := range []choice{
		{Href: "dead", Text: "Given up", Counted: true, Count: sum(stats.Dead)},
		{Href: "pending", Text: "Waiting"},
		{Href: "inflight", Text: "Being sent"},
		{Href: "done", Text: "Done"},
		{Href: "held", Text: "For approval"},
		{Href: "recorded", Text: "Would have been done"},
		{Href: "dropped", Text: "Dropped"},
	} {
		x.Current = x.Href == string(q.State)
		x.Href = g.Root + "outbox?state=" + x.Href
		view.States = append(view.States, x)
	}
	if !anyCurrent(view.States) {
		s.pages.message(w, r, http.StatusBadRequest, fmt.Errorf("no such state %.20q", string(q.State)), "choose one on the page Outbox")
		return
	}
	ts, next, err := s.tasks.ListTasks(r.Context(), q)
	if err != nil {
		s.failed(w, r, err)
		return
	}
	for _, t := range ts {
		view.Rows = append(view.Rows, outboxRowOf(g.Root, t, p))
	}
	view.Empty = map[outbox.State]string{
		outbox.StateDead: "Nothing was given up", outbox.StatePending: "Nothing waits", outbox.StateInflight: "Nothing is being sent", outbox.StateDone: "Nothing was done yet",
		outbox.StateHeld: "Nothing waits for approval", outbox.StateRecorded: "Nothing would have been done", outbox.StateDropped: "No draft was dropped",
	}[q.State]
	if q.Cursor != "" {
		view.First = g.Root + "outbox?state=" + string(q.State)
	}
	if next != "" {
		view.Next = g.Root + "outbox?state=" + string(q.State) + "&cursor=" + url.QueryEscape(next)
	}
	s.show(w, r, "outbox.html", view)
}

func anyCurrent(cs []choice) bool {
	for _, c := range cs {
		if c.Current {
			return true
		}
	}
	return false
}

func outboxRowOf(root string, t outbox.Task, p principal) outboxRow {
	row := outboxRow{
		ID: t.ID, What: upperFirst(string(t.Kind)) + " in " + t.Tracker, State: string(t.State), Incident: root + "incidents/" + url.PathEscape(t.IncidentID),
		Attempts: count(t.Attempts, "attempt", "so far", "so far"), Created: exactly(t.CreatedAt), Error: ticket.OneLine(t.LastError, 400),
	}
	switch t.State {
	case outbox.StateDead:
		row.State, row.Class = "given up", "critical"
		if p.role.may(RoleApprover) && t.Reason != outbox.ReasonBlocked {
			row.Replay = fmt.Sprintf("%soutbox/%d/replay", root, t.ID)
		}
	case outbox.StatePending:
		row.NotBefore = exactly(t.NotBefore)
		if t.LastError != "" {
			row.Class = "warning"
		}
	case outbox.StateDone:
		row.Class = "resolved"
	case outbox.StateHeld:
		row.State, row.Class = "waits for approval", "warning"
	case outbox.StateRecorded:
		row.State = "would have been done"
	case outbox.StateDropped:
		row.State = "dropped: " + t.Reason
	case outbox.StateInflight:
	}
	return row
}

// pageReplay tries a task again and leads back.
func (s *server) pageReplay(w http.ResponseWriter, r *http.Request, p principal) {
	if err := s.replay(r, p); err != nil {
		s.failed(w, r, err)
		return
	}
	http.Redirect(w, r, "../../outbox", http.StatusSeeOther)
}
