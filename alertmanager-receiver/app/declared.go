package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/ticket"
)

// voidDrafts makes drafts anew that wait for somebody and whose tracker would do something else by now: the approvals that they
// have are for what was declared before, and count no more. A draft that a person edited stays as it is; its tracker refuses it.
func (s *server) voidDrafts(ctx context.Context) error {
	if !s.redeclare.CompareAndSwap(true, false) {
		return nil
	}
	q := outbox.Query{State: outbox.StateHeld, Limit: incident.MaxLimit}
	for {
		ts, next, err := s.tasks.ListTasks(ctx, q)
		for i := 0; err == nil && i < len(ts); i++ {
			err = s.voidDraft(ctx, ts[i])
		}
		if err != nil {
			s.redeclare.Store(true) // again in the next round
			return err
		}
		if q.Cursor = next; next == "" {
			return nil
		}
	}
}

func (s *server) voidDraft(ctx context.Context, t outbox.Task) error {
	if t.Kind != incident.TaskCreate {
		return nil
	}
	var d ticket.Draft
	if err := json.Unmarshal(t.Payload, &d); err != nil {
		return fmt.Errorf("%w: draft %d: %w", incident.ErrDamaged, t.ID, err)
	}
	does, declaration := s.gater.declared(t.Tracker)
	if d.Declaration == declaration {
		return nil
	}
	was := d.Does
	d.Does, d.Declaration = does, declaration
	payload, err := json.Marshal(d)
	if err != nil {
		return err
	}
	now := s.now().UTC()
	reason := fmt.Sprintf("what is declared changed from %q to %q: approvals of before are void", ticket.OneLine(was, 200), ticket.OneLine(does, 200))
	_, err = s.ledger.Edit(ctx, outbox.Edit{TaskID: t.ID, Actor: "portent", Reason: reason, Hash: t.Hash, Payload: payload, At: now, Redraft: true})
	if errors.Is(err, outbox.ErrStale) || errors.Is(err, outbox.ErrNotHeld) { // somebody was faster, or edited it
		return nil
	}
	if err != nil {
		return err
	}
	return s.ledger.Apply(ctx, incident.Change{Events: []incident.Event{{
		IncidentID: t.IncidentID, At: now, Kind: incident.EventNote, Actor: "portent", Text: t.Tracker + ": " + reason,
	}}})
}
