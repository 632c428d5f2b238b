package followup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
)

// undoer is a tracker that does something besides keeping words, and can go back where that was declared. about is told what
// will be done, right before; its error stops it. did is empty when there was nothing to do.
type undoer interface {
	Undo(ctx context.Context, r ticket.Ref, about func(what string) error) (did string, err error)
}

// The records of what did not help.
const (
	actionFailed     = "remedy.failed"
	actionUndoBefore = "remedy.undo.before"
	actionUndoAfter  = "remedy.undo.after"

	actor = "portent/follow_up"
)

// maxRefusals bounds what is remembered of undoing that was refused; beyond it all is forgotten, and said once more.
const maxRefusals = 1000

// undo goes back to what there was before something that did not help, and says so in the audit chain before and after, and
// in the timeline. What cannot be recorded is not done. What the tracker refuses for good is said once.
func (w *Watch) undo(ctx context.Context, inc incident.Incident, t incident.Ticket, target ticket.Target) error {
	u, ok := target.Tracker.(undoer)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	did, err := u.Undo(ctx, ticket.Ref{Key: t.Key, ID: t.ID, URL: t.URL}, func(what string) error {
		return w.tell(ctx, inc.ID, "", actionUndoBefore, map[string]any{"tracker": t.Tracker, "ticket": t.Key, "what": what})
	})
	detail := map[string]any{"tracker": t.Tracker, "ticket": t.Key, "what": did}
	switch {
	case err != nil && did != "": // it may have had its effect: the next look tells
		detail["error"] = err.Error()
		return errors.Join(err, w.tell(ctx, inc.ID, t.Tracker+": not undone: "+err.Error(), actionUndoAfter, detail))
	case err != nil && ticket.AsError(err).Retry:
		return err
	case err != nil:
		if w.refused[inc.ID+"/"+t.Tracker] == err.Error() {
			return nil
		}
		if len(w.refused) >= maxRefusals {
			clear(w.refused)
		}
		w.refused[inc.ID+"/"+t.Tracker] = err.Error()
		detail["error"] = err.Error()
		return w.tell(ctx, inc.ID, t.Tracker+": "+ticket.AsError(err).Err.Error(), actionUndoAfter, detail)
	case did == "":
		return nil
	}
	return w.tell(ctx, inc.ID, fmt.Sprintf("%s: undone: %s", t.Tracker, did), actionUndoAfter, detail)
}

// failed says that what a ticket was to do did not help.
func (w *Watch) failed(ctx context.Context, id string, t incident.Ticket, status string) error {
	return w.tell(ctx, id, t.Tracker+": "+status, actionFailed, map[string]any{"tracker": t.Tracker, "ticket": t.Key, "status": status})
}

// tell writes a record, and a line into the timeline unless it is empty.
func (w *Watch) tell(ctx context.Context, id, line, action string, detail map[string]any) error {
	b, err := json.Marshal(detail)
	if err != nil {
		return err
	}
	at := w.o.Now().UTC().Truncate(time.Microsecond)
	c := incident.Change{Records: []audit.Entry{{At: at, Actor: actor, Action: action, Subject: id, Detail: b}}}
	if line != "" {
		c.Events = []incident.Event{{IncidentID: id, At: at, Kind: incident.EventTicket, Actor: "portent", Text: ticket.OneLine(line, 1000)}}
	}
	return w.o.Store.Apply(ctx, c)
}
