package app

import (
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incidentapi"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/ticket"
)

// draftView is a ticket that waits, or would have been filed, on the page of its incident.
type draftView struct {
	Task                           int64
	Tracker, State, Head           string
	Title, Summary, Text, Priority string
	Body                           template.HTML
	Hash, ShortHash                string
	Why                            []string
	Policy                         string
	Approved                       []string
	More                           string // who it still takes
	Expires                        stamp
	ExpiresIn, EditedBy            string
	ApproveHref, EditHref          string // empty for those who may not
	Hidden, RedraftHref            string // why the words are left out, and where to have others made
	Button                         string
	Waits                          bool // for somebody: shown first and open
}

// markDrafts marks the rows of incidents whose ticket waits for somebody.
func (s *server) markDrafts(ctx context.Context, rows []listRow) error {
	if len(rows) == 0 {
		return nil
	}
	ids := make([]string, len(rows))
	for i := range rows {
		ids[i] = rows[i].id
	}
	waiting, err := s.ledger.DraftsWaiting(ctx, ids)
	if err != nil {
		return err
	}
	for i := range rows {
		rows[i].Waits = waiting[rows[i].id]
	}
	return nil
}

// formView is one thing that a person may do, with its form.
type formView struct {
	Key, Name, Text, Button, Href string
	Verdict                       string
	Danger, Optional              bool // without a reason
}

// addDrafts shows what waits for somebody, to those who see all of the incident.
func (s *server) addDrafts(ctx context.Context, v *incidentView, inc incident.Incident, p principal) error {
	out, err := s.incidentToAPI(ctx, p, inc, true)
	if err != nil {
		return err
	}
	id := url.PathEscape(inc.ID)
	for _, d := range out.Drafts {
		if d.State != string(outbox.StateHeld) && d.State != string(outbox.StateRecorded) {
			continue
		}
		dv, err := s.draftView(d)
		if err != nil {
			return fmt.Errorf("draft %d of incident %s: %w", d.Task, inc.ID, err)
		}
		if p.role.may(RoleApprover) && inc.MergedInto == "" {
			dv.ApproveHref, dv.EditHref = id+"/approve", id+"/edit"
			if d.Hidden != "" {
				dv.ApproveHref, dv.EditHref, dv.RedraftHref = "", "", id+"/redraft"
			}
		}
		v.Drafts = append(v.Drafts, dv)
	}
	if p.scoped() && len(v.Actions) > 0 {
		v.Actions = append(v.Actions, feedbackForms(id, "")...)
	}
	if out.Routing != nil {
		v.Routing = routingView(*out.Routing)
		if p.role.may(RoleAnalyst) && inc.MergedInto == "" {
			v.Routing.Forms = feedbackForms(id, out.Routing.Verdict)
		}
	}
	return nil
}

func (s *server) draftView(d incidentapi.Draft) (draftView, error) {
	var draft ticket.Draft
	if d.Hidden == "" {
		if err := json.Unmarshal(d.Payload, &draft); err != nil {
			return draftView{}, err
		}
	}
	v := draftView{
		Hidden: d.Hidden,

		Task: d.Task, Tracker: d.Tracker, State: d.State, Title: draft.Title, Summary: draft.Summary, Text: draft.Body.Text(), Body: draft.Body.HTML(), Priority: draft.Priority,
		Hash: d.Hash, ShortHash: d.Hash[:min(12, len(d.Hash))], Why: d.Why, Policy: d.Policy, EditedBy: d.EditedBy, Waits: d.State == string(outbox.StateHeld),
	}
	for _, a := range d.Approvals {
		v.Approved = append(v.Approved, fmt.Sprintf("%s: %s", a.Actor, a.Reason))
	}
	v.Head, v.Button = "Ticket for "+d.Tracker+" waits for approval", "Approve and file"
	if !v.Waits {
		v.Head, v.Button = "Ticket for "+d.Tracker+" would have been filed", "File it"
	}
	if left := d.Needs - len(d.Approvals); d.Needs > 1 {
		v.More = fmt.Sprintf("It takes %s; %d of them so far.", plural(d.Needs, "person"), len(d.Approvals))
		if left > 1 {
			v.Button = "Approve"
		}
	}
	if d.ExpiresAt != nil {
		v.Expires = exactly(*d.ExpiresAt)
		v.ExpiresIn = ago(s.now(), *d.ExpiresAt)
	}
	return v, nil
}

// routing is the card about the confidence of a class.
type routing struct {
	Class, Cluster, Text string
	Percent              int
	Low, Width, Mean     int // of the bar, in thousandths
	Verdict              string
	Forms                []formView
}

func routingView(r incidentapi.Routing) *routing {
	v := &routing{
		Class: r.Class, Cluster: r.Cluster, Percent: int(r.Confidence*100 + .5), Low: int(r.Low * 1000), Mean: int(r.Confidence * 1000), Verdict: r.Verdict,
		Text: fmt.Sprintf("%d confirmed, %d dismissed lately; with 90 %% certainty between %.0f and %.0f %%", r.Confirmed, r.Dismissed, 100*r.Low, 100*r.High),
	}
	v.Width = max(6, int(r.High*1000)-v.Low)
	return v
}

func feedbackForms(id, verdict string) []formView {
	forms := []formView{
		{Key: "c", Name: "Worth a ticket", Text: "The next incident of this kind is trusted more.", Button: "Say it was worth a ticket", Href: id + "/feedback", Verdict: incidentapi.VerdictConfirmed},
		{Key: "n", Name: "Not worth one", Text: "The next incident of this kind is trusted less.", Button: "Say it was not", Href: id + "/feedback", Verdict: incidentapi.VerdictDismissed},
	}
	if verdict != "" {
		forms = append(forms, formView{Key: "u", Name: "Take it back", Text: "Forget what was said of this incident.", Button: "Take it back", Href: id + "/feedback", Verdict: incidentapi.VerdictUndo})
	}
	return forms
}

// actionsOn are what p may do to an incident.
func actionsOn(inc incident.Incident) []formView {
	id := url.PathEscape(inc.ID)
	if inc.Status == incident.StatusOpen {
		return []formView{
			{Key: "t", Name: "Take it", Text: "Tell the others that you look after it. Nothing else is done.", Button: "Take incident", Href: id + "/take", Optional: true},
			{Key: "e", Name: "Escalate", Text: "Make it critical and hand it on. Its tickets are told, and those to escalate to get one.", Button: "Escalate incident", Href: id + "/escalate"},
			{Key: "d", Name: "Dismiss", Text: "Close it as not worth anybody's time. Its tickets are told, and drafts are dropped.", Button: "Dismiss incident", Href: id + "/dismiss", Danger: true},
		}
	}
	return []formView{{Key: "r", Name: "Reopen", Text: "Open it again. Its tickets are told.", Button: "Reopen incident", Href: id + "/reopen"}}
}

// pageAction carries out what a form on an incident's page asks for and leads back to it.
func (s *server) pageAction(w http.ResponseWriter, r *http.Request, p principal) {
	r.Body = http.MaxBytesReader(w, r.Body, maxActionBytes)
	if err := r.ParseForm(); err != nil {
		s.pages.message(w, r, http.StatusBadRequest, fmt.Errorf("read the form: %w", err), "go back and send it again")
		return
	}
	d := decision{Incident: r.PathValue("id"), Do: r.PathValue("action")}
	d.Reason, d.Hash, d.Verdict = r.PostForm.Get("reason"), r.PostForm.Get("hash"), r.PostForm.Get("verdict")
	if v := r.PostForm.Get("task"); v != "" {
		var err error
		if d.Task, err = strconv.ParseInt(v, 10, 64); err != nil {
			s.pages.message(w, r, http.StatusBadRequest, fmt.Errorf("task %.20q is no number", v), "go back and send it again")
			return
		}
	}
	for name, to := range map[string]**string{"title": &d.Title, "summary": &d.Summary, "body": &d.Body, "priority": &d.Priority} {
		if r.PostForm.Has(name) {
			v := r.PostForm.Get(name)
			*to = &v
		}
	}
	if _, err := s.carryOut(r.Context(), p, d); err != nil {
		s.actionFailed(w, r, err)
		return
	}
	http.Redirect(w, r, "../"+url.PathEscape(d.Incident), http.StatusSeeOther)
}

type policyPage struct {
	Page      page
	Policy    incidentapi.Policy
	Phase     string
	Facts     []fact
	Rules     []ruleView
	Engaged   bool
	SwitchAt  stamp
	MayPull   bool
	MayLetGo  bool
	Classes   []*routing
	SinceDays int
}

type ruleView struct {
	Name, Phase, Matchers, More string
}

// pagePolicy shows what may happen without a person, what came of it, and the kill switch.
func (s *server) pagePolicy(w http.ResponseWriter, r *http.Request, p principal) {
	v, err := s.policyView(r.Context())
	if err != nil {
		s.failed(w, r, err)
		return
	}
	c := s.gater.policy.Load().Config()
	view := policyPage{
		Page: s.pages.frame("Policy", navPolicy, 0, p), Policy: v, Phase: string(c.Phase), Engaged: v.KillSwitch.Engaged,
		MayPull:   p.role.may(RoleApprover) && !v.KillSwitch.Engaged,
		MayLetGo:  p.role.may(RoleAdmin) && v.KillSwitch.Engaged && !v.KillSwitch.ByConfig,
		SinceDays: int(reportSpan.Hours() / 24),
	}
	if v.KillSwitch.At != nil {
		view.SwitchAt = exactly(*v.KillSwitch.At)
	}
	view.Facts = []fact{
		{Name: "Version", Value: v.Version},
		{Name: "Confidence", Value: fmt.Sprintf("auto wants at least %.2f", c.MinConfidence)},
		{Name: "Approvals", Value: plural(c.Approvals, "person")},
		{Name: "Drafts lapse", Value: "after " + c.DraftTTL.String()},
		{Name: "Bounds", Value: bounds(c.MaxPerHour, c.MaxPerDay)},
		{Name: "Escalate to", Value: orNone(c.EscalateTo)},
	}
	for _, x := range c.Rules {
		rv := ruleView{Name: x.Name, Phase: string(x.Phase), Matchers: strings.Join(x.Matchers, ", ")}
		if x.Hours != "" {
			h := c.Hours[x.Hours]
			zone := h.TimeZone
			if zone == "" {
				zone = "UTC"
			}
			rv.More = fmt.Sprintf("within %s (%s to %s, %s), else %s", x.Hours, h.From, h.To, zone, x.Outside)
		}
		view.Rules = append(view.Rules, rv)
	}
	for _, x := range v.Classes {
		view.Classes = append(view.Classes, routingView(x))
	}
	s.show(w, r, "policy.html", view)
}

func bounds(hour, day int) string {
	var parts []string
	if hour > 0 {
		parts = append(parts, fmt.Sprintf("%d an hour", hour))
	}
	if day > 0 {
		parts = append(parts, fmt.Sprintf("%d a day", day))
	}
	return orNone(parts)
}

func orNone(parts []string) string {
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
