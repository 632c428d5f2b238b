package app

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/report"
	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/local"
)

// Bounds of one page. An outage has thousands of alerts: the page stays quick and says how many it left out.
const (
	maxPageAlerts = 100
	maxPageEvents = 200
	maxPageAudit  = 30
)

type incidentView struct {
	Page                             page
	Title, Summary, Severity, Status string
	Cause                            string
	Notes                            []note
	Tickets                          []ticketView
	NoTicket                         string
	Facts                            []fact
	Actions                          []formView
	Causes                           []causeView
	Drafts                           []draftView
	Firing, Week                     *chart
	Audit                            []auditRow
	Account                          *accountView
	Evidence                         []evidenceView
	Missing                          []string
	Routing                          *routing
	AlertCount                       string
	Glance                           glance
	Steps                            template.HTML
	Scale                            struct{ From, To stamp }
	Groups                           []alertGroup
	Timeline                         []eventView
	MoreEvents                       string
}

// note is something to know before one trusts the page.
type note struct {
	Text, Href string
	Bad        bool
}

type ticketView struct {
	Tracker, Key, Href, Status string
	Waiting                    []string
}

// causeView is one of the likeliest causes.
type causeView struct{ Name, Why, Share string }

// causes are those besides the first, with the first, when there are several.
func causes(inc incident.Incident) []causeView {
	if len(inc.Causes) < 2 {
		return nil
	}
	var out []causeView
	for _, c := range inc.Causes {
		name := strings.Trim(ticket.OneLine(c.Entity, 120)+", "+ticket.OneLine(c.Alertname, 120), ", ")
		out = append(out, causeView{Name: name, Why: ticket.OneLine(c.Why, 300), Share: fmt.Sprintf("%.0f %%", 100*c.Confidence)})
	}
	return out
}

type fact struct {
	Name, Value string
	Time        stamp
}

type alertView struct {
	Fold                                                   string // names it from one look to the next
	Name, Subject, Severity, Status, Text, Span, Why, Expr string
	X, W                                                   int // of the bar, in thousandths of the incident
	Labels                                                 []string
	Links                                                  []link
}

type eventView struct {
	At                stamp
	Kind, Actor, Text string
}

// pageIncident shows one incident.
func (s *server) pageIncident(w http.ResponseWriter, r *http.Request, p principal) {
	inc, whole, err := s.see(r.Context(), p, r.PathValue("id"))
	if err != nil {
		s.failed(w, r, err)
		return
	}
	ts, _, err := s.tasks.ListTasks(r.Context(), outbox.Query{IncidentID: inc.ID})
	if err != nil {
		s.failed(w, r, err)
		return
	}
	g := s.pages.frame(headline(inc.Title), navIncidents, 1, p)
	now := s.now()
	v := incidentView{
		Page: g, Title: headline(inc.Title), Cause: cause(inc), Summary: inc.Summary, Severity: string(inc.Severity), Status: string(inc.Status),
		Facts: facts(now, inc), AlertCount: alertCount(inc.Total, inc.Firing),
	}
	if inc.MergedInto != "" && !p.scoped() {
		v.Notes = append(v.Notes, note{Text: "This incident was merged into another: " + inc.MergedInto + "."})
	}
	v.Page.Live = inc.ID
	v.Causes = causes(inc)
	from, to := extent(inc, now)
	v.Firing = firingChart(inc, from, to)
	if whole {
		incs, err := s.lately(r.Context(), p)
		if err != nil {
			s.failed(w, r, err)
			return
		}
		v.Week = weekChart(now, inc, incs)
		if err := s.addAudit(r.Context(), &v, inc, p); err != nil {
			s.failed(w, r, err)
			return
		}
		d, err := s.dossier(r.Context(), inc.ID)
		if err != nil {
			s.failed(w, r, err)
			return
		}
		v.addEvidence(p.dossier(d))
	}
	s.addTickets(&v, g.Root, inc, ts, whole)
	s.addAlerts(&v, inc)
	addTimeline(&v, inc)
	if whole {
		if p.role.may(RoleAnalyst) && inc.MergedInto == "" {
			v.Actions = actionsOn(inc)
		}
		if err := s.addDrafts(r.Context(), &v, inc, p); err != nil {
			s.failed(w, r, err)
			return
		}
	}
	if inc.Status == incident.StatusOpen {
		v.Steps = s.settings.Load().words.Steps(inc).HTML()
	}
	v.Glance = glanceOf(now, inc, &v)
	s.show(w, r, "incident.html", v)
}

// addAudit shows what was recorded about an incident. The chain names what came and went, so whoever sees a part of it all
// is not shown it.
func (s *server) addAudit(ctx context.Context, v *incidentView, inc incident.Incident, p principal) error {
	if p.scoped() {
		return nil
	}
	records, err := s.audit.About(ctx, inc.ID, maxPageAudit)
	for _, a := range records {
		v.Audit = append(v.Audit, newAuditRow(v.Page.Root, a))
	}
	return err
}

func facts(now time.Time, inc incident.Incident) []fact {
	out := []fact{{Name: "Started", Time: exactly(inc.StartedAt), Value: ago(now, inc.StartedAt)}}
	if !inc.EndedAt.IsZero() {
		out = append(out, fact{Name: "Ended", Time: exactly(inc.EndedAt), Value: ago(now, inc.EndedAt)})
	} else {
		out = append(out, fact{Name: "Last change", Time: exactly(inc.UpdatedAt), Value: ago(now, inc.UpdatedAt)})
	}
	for _, x := range []struct{ name, label string }{{"Cluster", "cluster"}, {"Namespace", "namespace"}, {"Service", "service"}} {
		if v := inc.Labels[x.label]; v != "" {
			out = append(out, fact{Name: x.name, Value: v})
		}
	}
	for _, k := range sortedKeys(inc.Labels) {
		if k != "cluster" && k != "namespace" && k != "service" {
			out = append(out, fact{Name: upperFirst(k), Value: inc.Labels[k]})
		}
	}
	return append(out, fact{Name: "Id", Value: inc.ID})
}

// cause says what probably broke first, empty when that is not known.
func cause(inc incident.Incident) string {
	c := inc.RootCause
	if c.Entity == "" && c.Alertname == "" {
		return ""
	}
	v := c.Entity
	if c.Alertname != "" {
		v = strings.TrimLeft(v+", ", ", ") + c.Alertname
	}
	return fmt.Sprintf("%s (confidence %.0f %%)", v, 100*c.Confidence)
}

// headline is a title without the mark that tells automatic tickets from others: here all are.
func headline(title string) string { return strings.TrimPrefix(title, "[Auto] ") }

func sortedKeys(m map[string]string) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// addTickets lists the tickets, and what is still to be done with them. Errors of trackers may quote what
// they were sent, so whoever sees a part of the incident is not shown them.
func (s *server) addTickets(v *incidentView, root string, inc incident.Incident, ts []outbox.Task, whole bool) {
	waiting := map[string][]string{}
	for _, t := range ts {
		var text string
		switch t.State {
		case outbox.StatePending, outbox.StateInflight:
			text = "waits: " + string(t.Kind)
			if t.LastError != "" && whole {
				text += fmt.Sprintf(", %s failed (%s)", plural(t.Attempts, "attempt"), ticket.OneLine(t.LastError, 200))
			}
		case outbox.StateDead:
			text = "given up: " + string(t.Kind)
			if whole {
				text += " (" + ticket.OneLine(t.LastError, 200) + ")"
				v.Notes = append(v.Notes, note{Text: "A ticket action was given up: see the outbox", Bad: true, Href: root + "outbox"})
			}
		case outbox.StateHeld:
			text = "waits for approval: " + string(t.Kind)
		case outbox.StateRecorded:
			text = "would have been done: " + string(t.Kind)
		case outbox.StateDropped:
			if t.Kind != incident.TaskCreate {
				continue
			}
			text = "draft dropped: " + t.Reason
		case outbox.StateDone:
			continue
		}
		waiting[t.Tracker] = append(waiting[t.Tracker], text)
	}
	slices.SortFunc(v.Notes, func(a, b note) int { return strings.Compare(a.Text, b.Text) })
	v.Notes = slices.Compact(v.Notes)
	for _, t := range inc.Tickets {
		tv := ticketView{Tracker: t.Tracker, Key: t.Key, Href: s.ticketHref(root, t), Status: t.Status, Waiting: waiting[t.Tracker]}
		if t.Key == "" {
			tv.Key = "not filed yet"
		}
		v.Tickets = append(v.Tickets, tv)
		delete(waiting, t.Tracker)
	}
	for tracker, texts := range waiting {
		v.Tickets = append(v.Tickets, ticketView{Tracker: tracker, Key: "not filed yet", Waiting: texts})
	}
	slices.SortStableFunc(v.Tickets, func(a, b ticketView) int { return strings.Compare(a.Tracker, b.Tracker) })
	if len(v.Tickets) == 0 {
		v.NoTicket = "None. The routing or the policy asks for no ticket for this incident."
	}
}

func (s *server) addAlerts(v *incidentView, inc incident.Incident) {
	now := s.now()
	links := s.settings.Load().links
	from, to := extent(inc, now)
	alerts := slices.Clone(inc.Alerts)
	slices.SortStableFunc(alerts, func(a, b incident.Alert) int {
		if a.Status != b.Status {
			return strings.Compare(string(a.Status), string(b.Status)) // firing before resolved
		}
		return a.StartsAt.Compare(b.StartsAt)
	})
	if len(alerts) > 0 {
		v.Scale.From, v.Scale.To = briefly(from), briefly(to)
	}
	v.Groups = groupAlerts(now, from, to, inc.RootCause.Alertname, alerts, func(a incident.Alert) alertView {
		av := alertView{
			Fold: a.Fingerprint + a.StartsAt.Format(time.RFC3339), Name: alertName(a), Subject: subject(a), Severity: severityClass(a.Labels["severity"]), Status: string(a.Status), Text: description(a),
			Span: firing(now, a), Why: a.Why, Expr: report.Expr(a), Labels: sortedLabels(a.Labels),
		}
		end := a.EndsAt
		if end.IsZero() {
			end = to
		}
		av.X, av.W = bar(from, to, a.StartsAt, end)
		for _, l := range []link{{links.Graph(a, from, to), "Graph in Prometheus"}, {links.Alertmanager(a), "Alertmanager"}, {report.Runbook(a), "Runbook"}} {
			if l.Href != "" {
				av.Links = append(av.Links, l)
			}
		}
		return av
	})
}

// extent is the stretch of time that the bars show: from the first start to the end, or to now while open.
func extent(inc incident.Incident, now time.Time) (from, to time.Time) {
	from, to = inc.StartedAt, inc.EndedAt
	for _, a := range inc.Alerts {
		if a.StartsAt.Before(from) {
			from = a.StartsAt
		}
		if a.EndsAt.After(to) {
			to = a.EndsAt
		}
		if a.StartsAt.After(to) {
			to = a.StartsAt
		}
	}
	if inc.Status == incident.StatusOpen && now.After(to) {
		to = now
	}
	return from, to
}

// bar places [start, end] within [from, to] in thousandths, at least 6 wide so that it can be seen.
func bar(from, to, start, end time.Time) (x, w int) {
	const full, least = 1000, 6
	total := to.Sub(from)
	if total <= 0 {
		return 0, full
	}
	x = int(full * start.Sub(from).Seconds() / total.Seconds())
	w = int(full*end.Sub(from).Seconds()/total.Seconds()) - x
	x = min(max(x, 0), full-least)
	return x, min(max(w, least), full-x)
}

// firing says when an alert fired, for a person.
func firing(now time.Time, a incident.Alert) string {
	at := exactly(a.StartsAt).Text // with its zone
	if a.Status != incident.AlertResolved || a.EndsAt.IsZero() {
		return "since " + at + ", " + span(now.Sub(a.StartsAt))
	}
	out := at + ", for " + span(a.EndsAt.Sub(a.StartsAt))
	if a.Expired {
		out += "; its end was never told, it was not heard of for too long"
	}
	return out
}

func alertName(a incident.Alert) string {
	if n := ticket.OneLine(a.Name(), 120); n != "" {
		return n
	}
	return "unnamed alert"
}

// subject is the most telling of an alert's labels.
func subject(a incident.Alert) string { return report.Subject(a) }

func description(a incident.Alert) string {
	for _, k := range []string{"summary", "description", "message"} {
		if s := ticket.OneLine(a.Annotations[k], 1000); s != "" {
			return s
		}
	}
	return ""
}

func addTimeline(v *incidentView, inc incident.Incident) {
	events := inc.Timeline
	if n := len(events) - maxPageEvents; n > 0 {
		v.MoreEvents = fmt.Sprintf("%d earlier events are not shown; the API gives them all.", n)
		events = events[n:]
	}
	for _, e := range slices.Backward(events) { // newest first: that is what one looks for
		v.Timeline = append(v.Timeline, eventView{exactly(e.At), e.Kind, e.Actor, e.Text})
	}
}

type localTicketView struct {
	Page                                 page
	Back, BackText                       string
	Key, Title, Summary, Severity, State string
	Created, Updated                     stamp
	Body                                 template.HTML
	Comments                             []commentView
	BodyHidden, CommentsHidden           bool
}

type commentView struct {
	At   stamp
	Body template.HTML
}

// pageTicket shows a ticket of the local tracker. Whoever sees a part of its incident must not see it, as it
// tells of the whole.
func (s *server) pageTicket(w http.ResponseWriter, r *http.Request, p principal) {
	key := r.PathValue("key")
	t, err := s.tickets.Ticket(r.Context(), ticket.Ref{Key: key})
	if errors.Is(err, ticket.ErrNotFound) {
		s.pages.message(w, r, http.StatusNotFound, fmt.Errorf("there is no ticket %.60q", key), "the list of incidents shows their tickets")
		return
	}
	if err != nil {
		s.failed(w, r, err)
		return
	}
	id := strings.TrimPrefix(t.DraftKey, "portent-")
	v := localTicket(s.pages.frame(key+" "+t.Draft.Title, navIncidents, 1, p), t, id)
	if p.scoped() {
		inc, whole, err := s.see(r.Context(), p, id)
		if err != nil || !whole {
			s.pages.message(w, r, http.StatusNotFound, fmt.Errorf("there is no ticket %.60q", key), "the list of incidents shows their tickets")
			return
		}
		v.restrict(p, t, inc)
	}
	s.show(w, r, "ticket.html", v)
}

// restrict leaves out what a ticket tells of more than the principal sees of its incident. Comments do not say what they were
// made of.
func (v *localTicketView) restrict(p principal, t local.Ticket, inc incident.Incident) {
	v.Comments, v.CommentsHidden = nil, len(t.Comments) > 0
	if t.Draft.Origin == nil || !p.seesOrigin(*t.Draft.Origin, inc) {
		v.Page.Head, v.Title, v.Summary, v.Body, v.BodyHidden = v.Key, headline(inc.Title), "", "", true
	}
}

func localTicket(g page, t local.Ticket, id string) localTicketView {
	v := localTicketView{
		Page: g, Back: g.Root + "incidents/" + url.PathEscape(id), BackText: "Its incident", Key: local.Key(t.Number), Title: headline(t.Draft.Title), Summary: t.Draft.Summary,
		Severity: severityClass(t.Draft.Severity), State: string(t.State), Created: exactly(t.CreatedAt), Updated: exactly(t.UpdatedAt), Body: t.Draft.Body.HTML(),
	}
	for _, c := range t.Comments {
		v.Comments = append(v.Comments, commentView{exactly(c.At), c.Body.HTML()})
	}
	return v
}
