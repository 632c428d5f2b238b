package servicenow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticketrest"
)

// Update comments, resolves or opens again, in one request. It can be repeated
// after any error: the work note carries its key in its last line and is looked
// for before it is written.
//
// Only a resolved incident is opened again. For a closed or cancelled one a new
// incident with the same key is made, with the closed one as its parent.
func (t *Tracker) Update(ctx context.Context, r ticket.Ref, u ticket.Update) error {
	if err := u.Validate(); err != nil {
		return &ticket.Error{Reason: ticket.ReasonInvalid, Err: err}
	}
	if t.cfg.Mode == ModeEvents {
		return t.follow(ctx, r, u)
	}
	i, err := t.read(ctx, r)
	if err != nil {
		return err
	}
	body := map[string]string{}
	if !u.Comment.Empty() {
		done, err := t.hasNote(ctx, i.id(), u.Key)
		if err != nil {
			return err
		}
		if !done {
			body["work_notes"] = note(u.Comment, u.Key)
		}
	}
	switch {
	case u.State == ticket.Unchanged || u.State == i.ticketState():
	case u.State == ticket.Resolved:
		notes := fit(u.Comment, maxCloseNotes)
		if notes == "" {
			notes = t.cfg.CloseNotes
		}
		body["state"], body["close_code"], body["close_notes"] = stateResolved, t.cfg.CloseCode, notes
	case i.final():
		return t.succeed(ctx, i, u)
	default:
		body["state"] = t.cfg.ReopenState
	}
	if len(body) == 0 {
		return nil
	}
	return t.change(ctx, i, body)
}

// change sends a change of an incident. When the state is refused, the words are
// written all the same.
func (t *Tracker) change(ctx context.Context, i record, body map[string]string) error {
	got, err := t.patch(ctx, i.id(), body)
	if err == nil {
		if want := body["state"]; want != "" && got.state() != want {
			return workflow(fmt.Errorf("servicenow: %s stays in state %s, want %s: a rule of the instance changed it back", i.number(), got.status(), stateNames[want]))
		}
		return nil
	}
	e := ticket.AsError(err)
	if e.Reason != ticket.ReasonPermission && e.Reason != ticket.ReasonInvalid || body["state"] == "" && !i.final() {
		return err
	}
	// 403 is both "may not" and "a data policy wants more": the words tell which.
	if words := body["work_notes"]; words != "" && body["state"] != "" {
		if _, err := t.patch(ctx, i.id(), map[string]string{"work_notes": words}); err != nil {
			return err
		}
	}
	return workflow(e.Err)
}

func workflow(err error) error { return &ticket.Error{Reason: ticket.ReasonWorkflow, Err: err} }

func (t *Tracker) patch(ctx context.Context, id string, body map[string]string) (record, error) {
	var got one
	err := t.c.Do(ctx, ticketrest.Call{
		Op: opUpdate, Method: http.MethodPatch, Path: table + "/" + id, Query: t.reading(nil), Body: body, Effect: true,
	}, &got)
	if err == nil && got.Result.id() != id {
		err = ticketrest.BadAnswer(true, errors.New("servicenow "+opUpdate+": the answer is another incident"))
	}
	return got.Result, err
}

// hasNote reports whether the incident has the work note of that update. Journal
// columns are empty in an answer of values; in one of display values they hold
// all their entries. Reading them there needs no right on sys_journal_field.
func (t *Tracker) hasNote(ctx context.Context, id, updateKey string) (bool, error) {
	var got one
	err := t.c.Do(ctx, ticketrest.Call{Op: opNotes, Method: http.MethodGet, Path: table + "/" + id, Query: url.Values{
		"sysparm_fields": {"sys_id,work_notes"}, "sysparm_display_value": {"true"},
	}}, &got)
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(got.Result["work_notes"])) {
		if strings.TrimSpace(line) == noteMark+updateKey {
			return true, nil
		}
	}
	return false, nil
}

// inherited are the columns that an incident in place of a closed one takes over.
var inherited = []string{"short_description", "description", "urgency", "impact", "assignment_group", "caller_id", "category", "cmdb_ci"}

// succeed makes an incident in place of one that is closed for good.
func (t *Tracker) succeed(ctx context.Context, old record, u ticket.Update) error {
	asked := map[string]string{}
	for _, k := range slices.Concat(inherited, slices.Collect(maps.Keys(t.cfg.Fields))) {
		asked[k] = ""
	}
	var got one
	err := t.c.Do(ctx, ticketrest.Call{Op: opRead, Method: http.MethodGet, Path: table + "/" + old.id(), Query: t.reading(asked)}, &got)
	if err != nil {
		return err
	}
	body := map[string]string{}
	for k := range asked {
		if v := string(got.Result[k]); v != "" {
			body[k] = v
		}
	}
	if body["short_description"] == "" {
		body["short_description"] = "Again: " + old.number()
	}
	body["correlation_id"], body["correlation_display"] = string(old["correlation_id"]), "Portent"
	body["parent_incident"] = old.id()
	doc := ticket.Doc{ticket.Paragraph(ticket.Text("The incident of " + old.number() + ", which is " + strings.ToLower(old.status()) + ", has begun again."))}
	body["work_notes"] = note(append(doc, u.Comment...), u.Key)
	_, err = t.insert(ctx, body)
	return err
}

// cancelDuplicates cancels what was made twice. What fails is logged and done
// again at the next look: the caller's answer is right without.
func (t *Tracker) cancelDuplicates(ctx context.Context, kept record, others []record) {
	for _, d := range others {
		if d.ticketState() == ticket.Resolved {
			continue // done before
		}
		if d["sys_created_by"] != kept["sys_created_by"] {
			t.dups.WithLabelValues(dupForeign).Inc()
			continue // a person's copy keeps the correlation_id
		}
		text := ticket.Doc{ticket.Paragraph(ticket.Text("Duplicate of " + kept.number() +
			": when this incident was made, ServiceNow's answer to the first attempt had been lost. All further updates go there."))}
		got, err := t.patch(ctx, d.id(), map[string]string{"state": stateCancelled, "work_notes": note(text, "duplicate-of-"+kept.number())})
		if err == nil && got.state() != stateCancelled {
			err = workflow(fmt.Errorf("it stays in state %s", got.status()))
		}
		if err != nil {
			t.dups.WithLabelValues(dupFailed).Inc()
			t.logger.Warn("second incident is not cancelled", "key", d.number(), "duplicate_of", kept.number(), "err", err)
			continue
		}
		t.dups.WithLabelValues(dupCancelled).Inc()
	}
}

// references are columns that may be given by a name and come back as a sys_id.
var references = []string{"assignment_group", "caller_id", "cmdb_ci", "parent_incident"}

// compare says what ServiceNow did not keep as it was sent: an unknown column is
// dropped without a word, and so is the end of a text that is too long.
func (t *Tracker) compare(sent map[string]string, got record) {
	var changed []string
	for _, k := range slices.Sorted(maps.Keys(sent)) {
		v, there := got[k]
		switch {
		case k == "work_notes": // always empty in an answer
		case !there, v == "" && sent[k] != "":
			changed = append(changed, k+" (dropped)")
		case string(v) != sent[k] && !slices.Contains(references, k) && !slices.Contains(slices.Collect(maps.Keys(t.cfg.Fields)), k):
			changed = append(changed, k+" (changed)")
		}
	}
	if len(changed) > 0 {
		t.dropped.Add(float64(len(changed)))
		t.logger.Warn("servicenow did not keep columns as sent", "key", got.number(), "columns", strings.Join(changed, ", "))
	}
}
