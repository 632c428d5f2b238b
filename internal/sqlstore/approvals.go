package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/outbox"
)

var _ outbox.Approvals = (*Store)(nil)

// lockTask reads a create and keeps others from changing it until the commit.
func (s *Store) lockTask(ctx context.Context, tx *sql.Tx, id int64) (outbox.Task, error) {
	lock := s.d.forUpdate
	if lock != "" {
		lock += " OF o"
	}
	rows, err := tx.QueryContext(ctx, `SELECT `+taskColumns+taskTables+` WHERE o.id = $1 AND o.kind = 'create'`+lock, id)
	found, err := scanTasks(rows, err)
	if err != nil {
		return outbox.Task{}, err
	}
	if len(found) == 0 {
		return outbox.Task{}, fmt.Errorf("draft %d: %w", id, incident.ErrNotFound)
	}
	t := found[0]
	if got := incident.PayloadHash(t.Payload); t.Hash != "" && t.Hash != got {
		return t, fmt.Errorf("%w: draft %d has hash %s and was written with %s", incident.ErrDamaged, id, got, t.Hash)
	}
	return t, nil
}

// waits reports whether a create may still be approved or edited.
func waits(t outbox.Task) bool {
	switch t.State {
	case outbox.StateHeld, outbox.StateRecorded:
		return true
	case outbox.StatePending: // under the kill switch
		return !t.ByPerson && t.Attempts == 0 && t.FirstTried.IsZero()
	case outbox.StateInflight, outbox.StateDone, outbox.StateDead, outbox.StateDropped:
	}
	return false
}

// Approve writes the word of one person.
func (s *Store) Approve(ctx context.Context, a outbox.Approval, f incident.Feedback) (t outbox.Task, more int, err error) {
	err = s.write(ctx, fmt.Sprintf("approval of task %d", a.TaskID), func(tx *sql.Tx) error {
		if t, err = s.lockTask(ctx, tx, a.TaskID); err != nil {
			return err
		}
		again, err := s.approvedBefore(ctx, tx, a)
		if err != nil {
			return err
		}
		switch {
		case again && (!waits(t) || t.State == outbox.StatePending):
			return nil // a second click: it went already
		case !waits(t):
			return fmt.Errorf("the task is %s: %w", t.State, outbox.ErrNotHeld)
		case a.Hash != t.Hash:
			return outbox.ErrStale
		case t.State == outbox.StateHeld && !t.Gate.Expires.IsZero() && !a.At.Before(t.Gate.Expires):
			return fmt.Errorf("the draft lapsed: %w", outbox.ErrNotHeld) // whoever drops it has not come by yet
		}
		if !again {
			if _, err := tx.ExecContext(ctx, `INSERT INTO approvals (task_id, incident_id, actor, reason, payload_sha256, at) VALUES ($1, $2, $3, $4, $5, $6)`,
				a.TaskID, t.IncidentID, text(a.Actor), text(a.Reason), a.Hash, nano(a.At)); err != nil {
				return err
			}
		}
		var have int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM approvals WHERE task_id = $1 AND payload_sha256 = $2`, a.TaskID, a.Hash).Scan(&have); err != nil {
			return err
		}
		more = max(0, max(1, t.Gate.Approvals, a.Needs)-have)
		if again && more > 0 {
			return nil // a second click: it takes somebody else
		}
		return s.letGo(ctx, tx, &t, a, more, f)
	})
	return t, more, err
}

func (s *Store) approvedBefore(ctx context.Context, tx *sql.Tx, a outbox.Approval) (bool, error) {
	var n int
	err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM approvals WHERE task_id = $1 AND payload_sha256 = $2 AND actor = $3`, a.TaskID, a.Hash, text(a.Actor)).Scan(&n)
	return n > 0, err
}

// letGo moves an approved create on: into the queue, or to wait for the next person.
func (s *Store) letGo(ctx context.Context, tx *sql.Tx, t *outbox.Task, a outbox.Approval, more int, f incident.Feedback) error {
	var line string
	was := t.State
	if more > 0 {
		t.State = outbox.StateHeld
		line = fmt.Sprintf("%s: ticket draft approved; %d more person has to", t.Tracker, more)
		if _, err := tx.ExecContext(ctx, `UPDATE outbox SET state = 'held' WHERE incident_id = $1 AND tracker = $2 AND state = 'recorded'`, t.IncidentID, t.Tracker); err != nil {
			return err
		}
	} else {
		t.State, t.Authorized, t.ByPerson = outbox.StatePending, a.Hash, true
		line = t.Tracker + ": ticket draft approved"
		if err := one("task")(tx.ExecContext(ctx, `UPDATE outbox SET state = 'pending', authorized = $1, by_person = 1, reason = '', not_before = 0 WHERE id = $2`, a.Hash, t.ID)); err != nil {
			return err
		}
		if was != outbox.StatePending {
			if _, err := tx.ExecContext(ctx, `UPDATE outbox SET state = 'pending', authorized = payload_sha256, reason = '' WHERE incident_id = $1 AND tracker = $2
				AND kind <> 'create' AND state IN ('held', 'recorded')`, t.IncidentID, t.Tracker); err != nil {
				return err
			}
		}
		if err := s.putFeedback(ctx, tx, []incident.Feedback{f}); err != nil {
			return err
		}
	}
	if a.Reason != "" {
		line += ": " + a.Reason
	}
	if err := s.putEvents(ctx, tx, []incident.Event{{IncidentID: t.IncidentID, At: a.At, Kind: incident.EventApproved, Actor: a.Actor, Text: line}}); err != nil {
		return err
	}
	return s.appendAudit(ctx, tx, []audit.Entry{t.Entry(a.At, a.Actor, "ticket.approved", map[string]any{
		"reason": a.Reason, "payloadSha256": a.Hash, "more": more,
	})})
}

// Edit replaces the payload of a draft.
func (s *Store) Edit(ctx context.Context, e outbox.Edit) (t outbox.Task, err error) {
	err = s.write(ctx, fmt.Sprintf("edit of task %d", e.TaskID), func(tx *sql.Tx) error {
		if t, err = s.lockTask(ctx, tx, e.TaskID); err != nil {
			return err
		}
		switch {
		case !waits(t) || t.State == outbox.StatePending:
			return fmt.Errorf("the task is %s: %w", t.State, outbox.ErrNotHeld)
		case e.Hash != t.Hash, e.Redraft && t.EditedBy != "":
			return outbox.ErrStale
		}
		old := t.Hash
		t.Payload = json.RawMessage(text(string(e.Payload)))
		t.Hash = incident.PayloadHash(t.Payload)
		if !e.Redraft {
			t.EditedBy = e.Actor
		}
		if err := one("task")(tx.ExecContext(ctx, `UPDATE outbox SET payload = $1, payload_sha256 = $2, edited_by = $3 WHERE id = $4`,
			string(t.Payload), t.Hash, text(t.EditedBy), t.ID)); err != nil {
			return err
		}
		action := "ticket.edited"
		if e.Redraft {
			action = "ticket.redrafted"
			if _, err := tx.ExecContext(ctx, `UPDATE outbox SET state = 'dropped', reason = $1 WHERE incident_id = $2 AND tracker = $3 AND kind = 'update'
				AND state = $4`, outbox.ReasonSuperseded, t.IncidentID, t.Tracker, string(t.State)); err != nil {
				return err
			}
		} else if err := s.putEvents(ctx, tx, []incident.Event{{IncidentID: t.IncidentID, At: e.At, Kind: incident.EventNote, Actor: e.Actor, Text: t.Tracker + ": ticket draft edited"}}); err != nil {
			return err
		}
		return s.appendAudit(ctx, tx, []audit.Entry{t.Entry(e.At, e.Actor, action, map[string]any{"reason": e.Reason, "from": old, "payloadSha256": t.Hash})})
	})
	return t, err
}

// Lapse drops drafts that nobody approved in time.
func (s *Store) Lapse(ctx context.Context, now time.Time) (n int, err error) {
	// Mostly there is none; nobody shall wait for the writer then.
	err = s.r.QueryRowContext(ctx, `SELECT COUNT(*) FROM outbox WHERE state = 'held' AND kind = 'create' AND expires_at > 0 AND expires_at <= $1`, nano(now)).Scan(&n)
	if err != nil || n == 0 {
		return 0, s.reading("drafts", err)
	}
	err = s.write(ctx, "lapse of drafts", func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT `+taskColumns+taskTables+` WHERE o.state = 'held' AND o.kind = 'create' AND o.expires_at > 0 AND o.expires_at <= $1
			ORDER BY o.id LIMIT $2`, nano(now), maxRows)
		ts, err := scanTasks(rows, err)
		if err != nil {
			return err
		}
		n = len(ts)
		for _, t := range ts {
			if err := s.drop(ctx, tx, t, "portent", outbox.ReasonLapsed, t.Tracker+": nobody approved the ticket draft in time: it lapsed", now); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

// drop gives up a draft and what waits for it.
func (s *Store) drop(ctx context.Context, tx *sql.Tx, t outbox.Task, actor, why, line string, now time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE outbox SET state = 'dropped', reason = $1 WHERE incident_id = $2 AND tracker = $3 AND state IN ('held', 'recorded')`,
		why, t.IncidentID, t.Tracker)
	if err != nil {
		return err
	}
	if err := s.putEvents(ctx, tx, []incident.Event{{IncidentID: t.IncidentID, At: now, Kind: incident.EventTicket, Actor: actor, Text: line}}); err != nil {
		return err
	}
	return s.appendAudit(ctx, tx, []audit.Entry{t.Entry(now, actor, "ticket.dropped", map[string]any{"reason": why, "payloadSha256": t.Hash})})
}

// settleDrafts drops the drafts of incidents that a change dismisses or merges
// away, and brings back those of dismissed ones that it reopens.
func (s *Store) settleDrafts(ctx context.Context, tx *sql.Tx, c incident.Change, now time.Time) error {
	for _, i := range c.Incidents {
		why := ""
		switch {
		case i.MergedInto != "":
			why = outbox.ReasonMerged
		case i.Status == incident.StatusDismissed:
			why = outbox.ReasonDismissed
		}
		if i.Version == 0 || len(i.Trackers) == 0 {
			continue
		}
		if why == "" {
			if i.Status == incident.StatusOpen {
				if err := revive(ctx, tx, i.ID); err != nil {
					return err
				}
			}
			continue
		}
		rows, err := tx.QueryContext(ctx, `SELECT `+taskColumns+taskTables+` WHERE o.incident_id = $1 AND o.kind = 'create' AND o.state IN ('held', 'recorded')`, i.ID)
		ts, err := scanTasks(rows, err)
		if err != nil {
			return err
		}
		for _, t := range ts {
			if err := s.drop(ctx, tx, t, "portent", why, t.Tracker+": ticket draft dropped, the incident was "+why, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// revive makes drafts wait again whose incident was dismissed and is open again.
func revive(ctx context.Context, tx *sql.Tx, incidentID string) error {
	_, err := tx.ExecContext(ctx, `UPDATE outbox SET state = CASE WHEN phase IN ('observe', 'suggest') THEN 'recorded' ELSE 'held' END, reason = ''
		WHERE incident_id = $1 AND kind = 'create' AND state = 'dropped' AND reason = $2`, incidentID, outbox.ReasonDismissed)
	return err
}

// Outdated returns drafts that comments wait for.
func (s *Store) Outdated(ctx context.Context, n int) ([]outbox.Task, error) {
	rows, err := s.r.QueryContext(ctx, `SELECT `+taskColumns+taskTables+` WHERE o.state = 'held' AND o.kind = 'create' AND o.edited_by = ''
		AND EXISTS (SELECT 1 FROM outbox u WHERE u.incident_id = o.incident_id AND u.tracker = o.tracker AND u.kind = 'update' AND u.state = 'held')
		ORDER BY o.id LIMIT $1`, limit(n))
	ts, err := scanTasks(rows, err)
	return ts, s.reading("drafts", err)
}

// ApprovalsOf returns what people approved of an incident.
func (s *Store) ApprovalsOf(ctx context.Context, incidentID string) ([]outbox.Approval, error) {
	rows, err := s.r.QueryContext(ctx, `SELECT task_id, incident_id, actor, reason, payload_sha256, at FROM approvals WHERE incident_id = $1 ORDER BY id LIMIT 1000`, text(incidentID))
	out := []outbox.Approval{}
	err = eachRow(rows, err, func() error {
		var a outbox.Approval
		var at int64
		err := rows.Scan(&a.TaskID, &a.IncidentID, &a.Actor, &a.Reason, &a.Hash, &at)
		a.At = fromNano(at)
		out = append(out, a)
		return err
	})
	return out, s.reading("approvals", err)
}

// FiledBy returns what a rule filed by itself.
func (s *Store) FiledBy(ctx context.Context, rule string, since time.Time, n int) (map[string]time.Time, error) {
	out := map[string]time.Time{}
	//nolint:sqlclosecheck // eachRow closes them
	rows, err := s.r.QueryContext(ctx, `SELECT incident_id, tracker, decided_at FROM outbox WHERE rule = $1 AND decided_at >= $2 AND kind = 'create' AND phase = 'auto'
		ORDER BY decided_at DESC LIMIT $3`, text(rule), nano(since), n)
	err = eachRow(rows, err, func() error {
		var id, tracker string
		var at int64
		err := rows.Scan(&id, &tracker, &at)
		out[id+"/"+tracker] = fromNano(at)
		return err
	})
	return out, s.reading("filed tickets", err)
}

// Switch returns a switch; one that nobody ever touched is off.
func (s *Store) Switch(ctx context.Context, name string) (outbox.Switch, error) {
	out := outbox.Switch{Name: name}
	var engaged int
	var at int64
	err := s.r.QueryRowContext(ctx, `SELECT engaged, actor, reason, at FROM switches WHERE name = $1`, name).Scan(&engaged, &out.Actor, &out.Reason, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return out, nil
	}
	out.Engaged, out.At = engaged != 0, fromNano(at)
	return out, s.reading("switch", err)
}

// SetSwitch sets a switch and writes it into the audit chain.
func (s *Store) SetSwitch(ctx context.Context, w outbox.Switch) error {
	return s.write(ctx, "switch", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO switches (name, engaged, actor, reason, at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (name) DO UPDATE SET engaged = excluded.engaged, actor = excluded.actor, reason = excluded.reason, at = excluded.at`,
			w.Name, flag(w.Engaged), text(w.Actor), text(w.Reason), nano(w.At))
		if err != nil {
			return err
		}
		detail, err := json.Marshal(map[string]any{"engaged": w.Engaged, "reason": w.Reason})
		if err != nil {
			return err
		}
		return s.appendAudit(ctx, tx, []audit.Entry{{At: w.At, Actor: w.Actor, Action: "switch." + w.Name, Subject: w.Name, Detail: detail}})
	})
}

// PolicyReport counts what became of the tickets that were decided about since a time.
func (s *Store) PolicyReport(ctx context.Context, since time.Time) ([]outbox.PolicyCount, error) {
	rows, err := s.r.QueryContext(ctx, `SELECT rule, phase, state, by_person, COUNT(*) FROM outbox WHERE kind = 'create' AND phase <> '' AND created_at >= $1
		GROUP BY rule, phase, state, by_person ORDER BY rule, phase, state, by_person`, nano(since))
	out := []outbox.PolicyCount{}
	err = eachRow(rows, err, func() error {
		var c outbox.PolicyCount
		var byPerson int
		err := rows.Scan(&c.Rule, &c.Phase, &c.State, &byPerson, &c.N)
		c.ByPerson = byPerson != 0
		out = append(out, c)
		return err
	})
	return out, s.reading("policy report", err)
}
