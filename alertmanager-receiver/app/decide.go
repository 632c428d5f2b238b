package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incidentapi"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/ticket"
)

// What people decide.
const (
	actionApprove  = "approve"
	actionDismiss  = "dismiss"
	actionEdit     = "edit"
	actionEscalate = "escalate"
	actionFeedback = "feedback"
	actionRedraft  = "redraft"
	actionReopen   = "reopen"
	actionReplay   = "replay"
	actionTake     = "take"
	actionSwitch   = "switch"
)

// actionRoles are the least roles that may decide about an incident.
var actionRoles = map[string]Role{
	actionApprove: RoleApprover, actionEdit: RoleApprover, actionRedraft: RoleApprover,
	actionDismiss: RoleAnalyst, actionEscalate: RoleAnalyst, actionFeedback: RoleAnalyst, actionReopen: RoleAnalyst, actionTake: RoleAnalyst,
}

// decision is what somebody decides about an incident. The API, the pages and callbacks of messengers that prove who
// somebody is all come to carryOut with one.
type decision struct {
	Incident, Do string
	incidentapi.Action
}

// ledger is the part of the store for what people decide.
type ledger interface {
	outbox.Approvals
	Apply(ctx context.Context, c incident.Change) error
	VerdictOn(ctx context.Context, incidentID string) (incident.Feedback, error)
	LastVerdicts(ctx context.Context, n int) ([]incident.Feedback, error)
	SetSwitch(ctx context.Context, w outbox.Switch) error
	// DraftsWaiting returns those of the incidents whose ticket waits for somebody.
	DraftsWaiting(ctx context.Context, incidentIDs []string) (map[string]bool, error)
	PolicyReport(ctx context.Context, since time.Time) ([]outbox.PolicyCount, error)
}

// errReason, errAction and errDraft are the caller's fault, errRole a matter of role, errPart one of scope.
var (
	errReason  = fmt.Errorf("a reason of 1 to %d characters is needed", maxReason)
	errAction  = errors.New("no such action")
	errRole    = errors.New("your role may not do this")
	errPart    = errors.New("the incident also holds alerts that you may not see")
	errVerdict = errors.New("want the verdict confirmed, dismissed, undo, or none")
	errDraft   = errors.New("the draft cannot be filed")
)

// carryOut does what p decided: it is the one way in for the API, the pages and signed callbacks. It checks role,
// scope and reason; what was approved is bound to the hash in d.
func (s *server) carryOut(ctx context.Context, p principal, d decision) (incident.Incident, error) {
	need, ok := actionRoles[d.Do]
	if !ok {
		return incident.Incident{}, errAction
	}
	if !p.role.may(need) {
		return incident.Incident{}, fmt.Errorf("%w: it needs role %s", errRole, need)
	}
	d.Reason = ticket.OneLine(d.Reason, maxReason+1)
	if d.Do == actionTake { // it says enough by itself
		d.Reason = cmp.Or(d.Reason, "on it")
	}
	if d.Reason == "" || utf8.RuneCountInString(d.Reason) > maxReason {
		return incident.Incident{}, errReason
	}
	inc, whole, err := s.see(ctx, p, d.Incident)
	if err != nil {
		return incident.Incident{}, err
	}
	if !whole {
		return incident.Incident{}, errPart
	}
	switch d.Do {
	case actionDismiss:
		inc, err = s.decide.Dismiss(ctx, inc.ID, p.name, d.Reason)
	case actionReopen:
		inc, err = s.decide.Reopen(ctx, inc.ID, p.name, d.Reason)
	case actionEscalate:
		inc, err = s.decide.Escalate(ctx, inc.ID, p.name, d.Reason, s.settings.Load().config.Policy.EscalateTo)
	case actionApprove:
		inc, err = s.approve(ctx, p, inc, d)
	case actionEdit:
		inc, err = s.edit(ctx, p, inc, d)
	case actionRedraft:
		inc, err = s.remake(ctx, p, inc, d)
	case actionTake:
		inc, err = s.take(ctx, p, inc, d)
	case actionFeedback:
		inc, err = s.giveFeedback(ctx, p, inc, d)
	}
	if err != nil {
		return incident.Incident{}, err
	}
	s.metrics.decisions.WithLabelValues(d.Do).Inc()
	s.wakeOutbox()
	return inc, nil
}

// after is what p may see of an incident once something was decided about it: others may have gone on with it meanwhile.
func (s *server) after(ctx context.Context, p principal, inc incident.Incident) (incidentapi.Incident, error) {
	seen, whole, ok := p.view(inc, s.settings.Load().words)
	if !ok {
		return incidentapi.Incident{}, fmt.Errorf("incident %.60q: %w", inc.ID, incident.ErrNotFound)
	}
	return s.incidentToAPI(ctx, p, seen, whole)
}

// approve lets the drafts go that the decision is about: the task it names, those with its hash, or all that wait.
func (s *server) approve(ctx context.Context, p principal, inc incident.Incident, d decision) (incident.Incident, error) {
	drafts, err := s.draftsOf(ctx, inc.ID)
	if err != nil {
		return inc, err
	}
	chosen := slices.DeleteFunc(slices.Clone(drafts), func(t outbox.Task) bool {
		switch {
		case d.Task != 0:
			return t.ID != d.Task
		case d.Hash != "":
			return t.Hash != d.Hash
		}
		return t.State != outbox.StateHeld // what would have been done is asked for by name only
	})
	if len(chosen) == 0 {
		if d.Hash != "" && slices.ContainsFunc(drafts, func(t outbox.Task) bool { return t.State == outbox.StateHeld }) {
			return inc, outbox.ErrStale
		}
		return inc, outbox.ErrNotHeld
	}
	for _, t := range chosen { // all of them, before any goes
		if err := p.seesDraft(t.Payload, inc); err != nil {
			return inc, err
		}
	}
	cluster, class := inc.Class()
	for _, t := range chosen {
		now := s.now().UTC()
		a := outbox.Approval{
			TaskID: t.ID, IncidentID: inc.ID, Actor: p.name, Reason: d.Reason, Hash: cmp.Or(d.Hash, t.Hash), At: now, Needs: s.gater.needs(now, inc, t.Tracker),
		}
		f := incident.Feedback{IncidentID: inc.ID, Cluster: cluster, Class: class, Verdict: incident.VerdictConfirmed, Actor: p.name, Reason: d.Reason, At: now}
		if _, _, err := s.ledger.Approve(ctx, a, f); err != nil {
			return inc, err
		}
	}
	return s.store.Get(ctx, inc.ID)
}

// draftsOf returns the creates of an incident that some policy decided about, oldest first.
func (s *server) draftsOf(ctx context.Context, id string) ([]outbox.Task, error) {
	ts, _, err := s.tasks.ListTasks(ctx, outbox.Query{IncidentID: id, Limit: incident.MaxLimit})
	if err != nil {
		return nil, err
	}
	var out []outbox.Task
	for _, t := range slices.Backward(ts) {
		if t.Kind == incident.TaskCreate && t.Gate.Phase != "" {
			out = append(out, t)
		}
	}
	return out, nil
}

// Bounds of what a person may write into a draft, in runes.
const (
	maxDraftTitle = 255
	maxDraftBody  = 20_000
)

// edit replaces the words of a draft.
func (s *server) edit(ctx context.Context, p principal, inc incident.Incident, d decision) (incident.Incident, error) {
	return s.replace(ctx, p, inc, d, func(t outbox.Task) (ticket.Draft, error) {
		var draft ticket.Draft
		if err := p.seesDraft(t.Payload, inc); err != nil {
			return draft, err
		}
		if err := json.Unmarshal(t.Payload, &draft); err != nil {
			return draft, fmt.Errorf("%w: draft %d: %w", incident.ErrDamaged, t.ID, err)
		}
		if draft.Origin != nil && !p.scoped() {
			draft.Origin.Words = true
		}
		return draft, rewrite(&draft, d.Action)
	})
}

// remake makes a draft anew from what p sees of its incident now. Somebody who sees a part of what is known can so approve a
// ticket that tells of that part alone.
func (s *server) remake(ctx context.Context, p principal, inc incident.Incident, d decision) (incident.Incident, error) {
	return s.replace(ctx, p, inc, d, func(t outbox.Task) (ticket.Draft, error) {
		dossier, err := s.dossier(ctx, inc.ID)
		if err != nil {
			return ticket.Draft{}, err
		}
		inc.Dossier = p.dossier(dossier)
		return draftOf(s.settings.Load().words, t.Key, inc), nil
	})
}

// replace puts another draft in the place of the one that a decision is about.
func (s *server) replace(ctx context.Context, p principal, inc incident.Incident, d decision, made func(t outbox.Task) (ticket.Draft, error)) (incident.Incident, error) {
	drafts, err := s.draftsOf(ctx, inc.ID)
	if err != nil {
		return inc, err
	}
	i := slices.IndexFunc(drafts, func(t outbox.Task) bool {
		return t.ID == d.Task || d.Task == 0 && (d.Hash == "" && t.State == outbox.StateHeld || d.Hash != "" && t.Hash == d.Hash)
	})
	if i < 0 {
		return inc, outbox.ErrNotHeld
	}
	t := drafts[i]
	draft, err := made(t)
	if err != nil {
		return inc, err
	}
	draft.Does, draft.Declaration = s.gater.declared(t.Tracker)
	payload, err := json.Marshal(draft)
	if err != nil {
		return inc, err
	}
	e := outbox.Edit{TaskID: t.ID, Actor: p.name, Reason: d.Reason, Hash: cmp.Or(d.Hash, t.Hash), Payload: payload, At: s.now().UTC()}
	if _, err := s.ledger.Edit(ctx, e); err != nil {
		return inc, err
	}
	return s.store.Get(ctx, inc.ID)
}

// rewrite puts what a person wrote in the place of what was drafted.
func rewrite(draft *ticket.Draft, a incidentapi.Action) error {
	if a.Title != nil {
		draft.Title = ticket.OneLine(*a.Title, maxDraftTitle+1)
		if utf8.RuneCountInString(draft.Title) > maxDraftTitle {
			return fmt.Errorf("%w: a title has at most %d characters", errDraft, maxDraftTitle)
		}
	}
	if a.Summary != nil {
		draft.Summary = ticket.OneLine(*a.Summary, maxDraftBody)
	}
	if a.Priority != nil {
		draft.Priority = ticket.OneLine(*a.Priority, 100)
	}
	if a.Body != nil && normal(*a.Body) != normal(draft.Body.Text()) {
		if utf8.RuneCountInString(*a.Body) > maxDraftBody {
			return fmt.Errorf("%w: a body has at most %d characters", errDraft, maxDraftBody)
		}
		draft.Body = paragraphs(*a.Body)
	}
	if err := draft.Validate(); err != nil {
		return fmt.Errorf("%w: %w", errDraft, err)
	}
	return nil
}

// normal is text as a browser sends it back, without what a form does to line ends.
func normal(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n")) }

// paragraphs makes a document of plain text.
func paragraphs(s string) ticket.Doc {
	var out ticket.Doc
	for part := range strings.SplitSeq(normal(s), "\n\n") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, ticket.Paragraph(ticket.Text(ticket.Clean(part))))
		}
	}
	return out
}

// giveFeedback says whether an incident was worth a ticket, or takes that back.
func (s *server) giveFeedback(ctx context.Context, p principal, inc incident.Incident, d decision) (incident.Incident, error) {
	cluster, class := inc.Class()
	now := s.now().UTC()
	f := incident.Feedback{IncidentID: inc.ID, Cluster: cluster, Class: class, Actor: p.name, Reason: d.Reason, At: now}
	var text string
	switch d.Verdict {
	case incidentapi.VerdictConfirmed:
		f.Verdict, text = incident.VerdictConfirmed, "Said to be worth a ticket by "
	case incidentapi.VerdictDismissed:
		f.Verdict, text = incident.VerdictDismissed, "Said not to be worth a ticket by "
	case incidentapi.VerdictUndo:
		f.Verdict, text = incident.VerdictNone, "What was said of it is taken back by "
	case "":
		text = "Remark of "
	default:
		return inc, errVerdict
	}
	detail, err := json.Marshal(map[string]any{"verdict": d.Verdict, "reason": d.Reason, "cluster": cluster, "class": class})
	if err != nil {
		return inc, err
	}
	c := incident.Change{
		Events:  []incident.Event{{IncidentID: inc.ID, At: now, Kind: incident.EventNote, Actor: p.name, Text: text + p.name + ": " + d.Reason}},
		Records: []audit.Entry{{At: now, Actor: p.name, Action: "incident.feedback", Subject: inc.ID, Detail: detail}},
	}
	if d.Verdict != "" {
		c.Feedback = []incident.Feedback{f}
	}
	if err := s.ledger.Apply(ctx, c); err != nil {
		return inc, err
	}
	return s.store.Get(ctx, inc.ID)
}

// take says that p looks after an open incident. It binds nobody and moves nothing: it tells the others.
func (s *server) take(ctx context.Context, p principal, inc incident.Incident, d decision) (incident.Incident, error) {
	if inc.Status != incident.StatusOpen {
		return inc, fmt.Errorf("incident %s is %s: %w", inc.ID, inc.Status, incident.ErrConflict)
	}
	now := s.now().UTC()
	detail, err := json.Marshal(map[string]any{"reason": d.Reason})
	if err != nil {
		return inc, err
	}
	err = s.ledger.Apply(ctx, incident.Change{
		Events:  []incident.Event{{IncidentID: inc.ID, At: now, Kind: incident.EventTaken, Actor: p.name, Text: "Taken by " + p.name + ": " + d.Reason}},
		Records: []audit.Entry{{At: now, Actor: p.name, Action: "incident.taken", Subject: inc.ID, Detail: detail}},
	})
	if err != nil {
		return inc, err
	}
	return s.store.Get(ctx, inc.ID)
}
