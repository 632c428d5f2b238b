package sqlstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/outbox"
)

const taskColumns = `o.id, o.incident_id, o.tracker, o.key, o.kind, o.payload, o.state, o.attempts, o.not_before, o.created_at,
	o.first_tried, o.uncertain, o.last_error, o.reason,
	o.phase, o.rule, o.policy, o.why, o.needs, o.expires_at, o.decided_at, o.payload_sha256, o.authorized, o.by_person, o.edited_by,
	COALESCE(t.key, ''), COALESCE(t.ext_id, ''), COALESCE(t.url, ''), COALESCE(t.status, '')`

const taskTables = ` FROM outbox o LEFT JOIN tickets t ON t.incident_id = o.incident_id AND t.tracker = o.tracker`

func scanTasks(rows *sql.Rows, err error) ([]outbox.Task, error) {
	var out []outbox.Task
	err = eachRow(rows, err, func() error {
		var t outbox.Task
		var payload string
		var notBefore, created, first, uncertain, expires, decided int64
		var why string
		var byPerson int
		err := rows.Scan(&t.ID, &t.IncidentID, &t.Tracker, &t.Key, &t.Kind, &payload, &t.State, &t.Attempts, &notBefore, &created,
			&first, &uncertain, &t.LastError, &t.Reason,
			&t.Gate.Phase, &t.Gate.Rule, &t.Gate.Policy, &why, &t.Gate.Approvals, &expires, &decided, &t.Hash, &t.Authorized, &byPerson, &t.EditedBy, &t.Ticket.Key, &t.Ticket.ID, &t.Ticket.URL, &t.Ticket.Status)
		t.Payload = json.RawMessage(payload)
		t.NotBefore, t.CreatedAt, t.FirstTried, t.Uncertain = fromNano(notBefore), fromNano(created), fromNano(first), fromNano(uncertain)
		t.Gate.Expires, t.Gate.DecidedAt, t.ByPerson = fromNano(expires), fromNano(decided), byPerson != 0
		if err == nil && why != "[]" {
			err = json.Unmarshal([]byte(why), &t.Gate.Why)
		}
		if t.Ticket.Key != "" {
			t.Ticket.Tracker = t.Tracker
		}
		out = append(out, t)
		return err
	})
	return out, err
}

// Claim marks due tasks in flight. In PostgreSQL rows that another worker is
// about to claim are passed over.
func (s *Store) Claim(ctx context.Context, c outbox.Claim) ([]outbox.Task, error) {
	var out []outbox.Task
	// Most looks find nothing; they shall not queue up for the writer.
	var due int
	err := s.r.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM outbox o WHERE o.tracker = $1 AND ((o.state = 'pending' AND o.not_before <= $2)
		OR (o.state = 'inflight' AND (o.lease_until <= $2`+s.d.ownerGone+`))) LIMIT 1) AS due`, text(c.Tracker), nano(c.Now)).Scan(&due)
	if err != nil || due == 0 {
		return nil, s.reading("tasks", err)
	}
	err = s.write(ctx, "claim of tasks", func(tx *sql.Tx) error {
		now := nano(c.Now)
		rows, err := tx.QueryContext(ctx, `SELECT `+taskColumns+taskTables+`
			WHERE o.tracker = $1
			AND ((o.state = 'pending' AND o.not_before <= $2) OR (o.state = 'inflight' AND (o.lease_until <= $2`+s.d.ownerGone+`)))
			AND (o.kind = 'sweep' OR NOT EXISTS (SELECT 1 FROM outbox e WHERE e.incident_id = o.incident_id AND e.tracker = o.tracker
				AND e.id < o.id AND e.kind <> 'sweep' AND e.state IN ('pending', 'inflight')))
			AND (o.by_person = 1 OR $4 = 0 AND NOT EXISTS (SELECT 1 FROM switches WHERE name = 'kill' AND engaged = 1))
			ORDER BY o.id LIMIT $3`+s.d.skipLocked, text(c.Tracker), now, c.Limit, flag(c.OnlyByPerson))
		if out, err = scanTasks(rows, err); err != nil {
			return err
		}
		early, err := leased(ctx, tx, out, now)
		if err != nil {
			return err
		}
		owner := s.session.current()
		entries := make([]audit.Entry, len(out))
		for i := range out {
			t := &out[i]
			if t.State == outbox.StateInflight {
				t.Uncertain = c.Now // interrupted: it may have had its effect up to now
				if early[t.ID] {
					t.Uncertain = c.Now.Add(deadGrace)
				}
			}
			t.State = outbox.StateInflight
			t.Attempts++
			if t.FirstTried.IsZero() {
				t.FirstTried = c.Now
			}
			_, err := tx.ExecContext(ctx, `UPDATE outbox SET state = 'inflight', attempts = $1, first_tried = $2, uncertain = $3, lease_until = $4, owner = $5 WHERE id = $6`,
				t.Attempts, nano(t.FirstTried), nano(t.Uncertain), nano(c.Now.Add(c.Lease)), owner, t.ID)
			if err != nil {
				return err
			}
			entries[i] = before(c, *t)
		}
		return s.appendAudit(ctx, tx, entries)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// leased returns which tasks in flight have a lease yet, though their owner is gone.
func leased(ctx context.Context, tx *sql.Tx, ts []outbox.Task, now int64) (map[int64]bool, error) {
	var w where
	w.add("lease_until > ?", now)
	var ids []int64
	for _, t := range ts {
		if t.State == outbox.StateInflight {
			ids = append(ids, t.ID)
		}
	}
	if len(ids) == 0 {
		return nil, nil //nolint:nilnil // reading from it is fine
	}
	inList(&w, "id", ids)
	early := map[int64]bool{}
	//nolint:sqlclosecheck // eachRow closes them
	rows, err := tx.QueryContext(ctx, `SELECT id FROM outbox`+w.String(), w.args...)
	err = eachRow(rows, err, func() error {
		var id int64
		err := rows.Scan(&id)
		early[id] = true
		return err
	})
	return early, err
}

// before is the record of what is about to be sent.
func before(c outbox.Claim, t outbox.Task) audit.Entry {
	sum := sha256.Sum256(t.Payload)
	detail, err := json.Marshal(map[string]any{
		"task": t.ID, "tracker": t.Tracker, "key": t.Key, "attempt": t.Attempts, "payloadSha256": hex.EncodeToString(sum[:]),
	})
	if err != nil {
		panic("BUG: audit detail cannot be encoded: " + err.Error())
	}
	return audit.Entry{At: c.Now, Actor: c.Actor, Action: "ticket." + string(t.Kind) + ".before", Subject: t.IncidentID, Detail: detail}
}

// end writes the outcome of an attempt: the task's new state and what goes with
// it. The number of the attempt tells it from a later one of another worker.
func (s *Store) end(ctx context.Context, t outbox.Task, state outbox.State, o outbox.Outcome) error {
	return s.write(ctx, fmt.Sprintf("outcome of task %d", t.ID), func(tx *sql.Tx) error {
		attempts := t.Attempts
		if o.Uncounted {
			attempts--
		}
		err := one("task")(tx.ExecContext(ctx, `UPDATE outbox SET state = $1, attempts = $2, not_before = $3, uncertain = $4, last_error = $5, reason = $6,
			lease_until = 0 WHERE id = $7 AND state = 'inflight' AND attempts = $8`,
			string(state), attempts, nano(o.NotBefore), nano(o.Uncertain), text(o.Error), text(o.Reason), t.ID, t.Attempts))
		if err != nil {
			return err
		}
		if state == outbox.StateDead && t.Kind == incident.TaskCreate {
			if err := block(ctx, tx, t); err != nil {
				return err
			}
		}
		if err := putTicket(ctx, tx, t, o.Ticket); err != nil {
			return err
		}
		if !o.Sweep.IsZero() {
			sweep := t.Task
			sweep.Kind, sweep.Payload = incident.TaskSweep, json.RawMessage(`{}`)
			if err := addTask(ctx, tx, sweep, o.At, o.Sweep); err != nil {
				return err
			}
		}
		if err := s.putEvents(ctx, tx, o.Events); err != nil {
			return err
		}
		return s.appendAudit(ctx, tx, o.Records)
	})
}

func block(ctx context.Context, tx *sql.Tx, create outbox.Task) error {
	_, err := tx.ExecContext(ctx, `UPDATE outbox SET state = 'dead', reason = $1 WHERE incident_id = $2 AND tracker = $3 AND id > $4 AND state = 'pending'`,
		outbox.ReasonBlocked, create.IncidentID, create.Tracker, create.ID)
	return err
}

func putTicket(ctx context.Context, tx *sql.Tx, of outbox.Task, t incident.Ticket) error {
	if t.Key == "" {
		return nil
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO tickets (incident_id, tracker, key, ext_id, url, status) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (incident_id, tracker) DO UPDATE SET key = excluded.key, ext_id = excluded.ext_id, url = excluded.url, status = excluded.status`,
		of.IncidentID, of.Tracker, text(t.Key), text(t.ID), text(t.URL), text(t.Status))
	return err
}

// Finish marks a task done.
func (s *Store) Finish(ctx context.Context, t outbox.Task, o outbox.Outcome) error {
	return s.end(ctx, t, outbox.StateDone, o)
}

// Retry makes a task pending again.
func (s *Store) Retry(ctx context.Context, t outbox.Task, o outbox.Outcome) error {
	return s.end(ctx, t, outbox.StatePending, o)
}

// Bury makes a task dead.
func (s *Store) Bury(ctx context.Context, t outbox.Task, o outbox.Outcome) error {
	return s.end(ctx, t, outbox.StateDead, o)
}

// Replay gives a dead task, and what it blocked, another life.
func (s *Store) Replay(ctx context.Context, id int64, actor string, at time.Time) error {
	return s.write(ctx, fmt.Sprintf("replay of task %d", id), func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT `+taskColumns+taskTables+` WHERE o.id = $1 AND o.state = 'dead'`, id)
		found, err := scanTasks(rows, err)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return fmt.Errorf("dead task: %w", incident.ErrNotFound)
		}
		t := found[0]
		if t.Reason == outbox.ReasonBlocked {
			return fmt.Errorf("task waits for the create before it, replay that one: %w", incident.ErrConflict)
		}
		const revive = `UPDATE outbox SET state = 'pending', attempts = 0, not_before = 0, reason = '' WHERE state = 'dead' AND `
		if err := one("task")(tx.ExecContext(ctx, revive+`id = $1`, id)); err != nil {
			return err
		}
		if t.Kind == incident.TaskCreate {
			_, err := tx.ExecContext(ctx, revive+`incident_id = $1 AND tracker = $2 AND reason = $3`, t.IncidentID, t.Tracker, outbox.ReasonBlocked)
			if err != nil {
				return err
			}
		}
		return s.appendAudit(ctx, tx, []audit.Entry{t.Entry(at, actor, "outbox.replay", map[string]any{
			"kind": t.Kind, "error": t.LastError, "payloadSha256": incident.PayloadHash(t.Payload),
		})})
	})
}

// Stats counts tasks.
func (s *Store) Stats(ctx context.Context) (outbox.Stats, error) {
	st := outbox.Stats{Todo: map[string]int{}, Dead: map[string]int{}}
	rows, err := s.r.QueryContext(ctx, `SELECT tracker, state, COUNT(*), MIN(created_at) FROM outbox
		WHERE state IN ('pending', 'inflight', 'dead') GROUP BY tracker, state`)
	err = eachRow(rows, err, func() error {
		var tracker string
		var state outbox.State
		var n int
		var created int64
		if err := rows.Scan(&tracker, &state, &n, &created); err != nil {
			return err
		}
		if state == outbox.StateDead {
			st.Dead[tracker] += n
			return nil
		}
		st.Todo[tracker] += n
		if at := fromNano(created); st.Oldest.IsZero() || at.Before(st.Oldest) {
			st.Oldest = at
		}
		return nil
	})
	return st, s.reading("outbox", err)
}

// ListTasks returns a page of tasks, newest first.
func (s *Store) ListTasks(ctx context.Context, q outbox.Query) ([]outbox.Task, string, error) {
	before, err := cursorID('t', q.Cursor)
	if err != nil {
		return nil, "", err
	}
	var w where
	if before > 0 {
		w.add("o.id < ?", before)
	}
	if q.State != "" {
		w.add("o.state = ?", string(q.State))
	}
	if q.IncidentID != "" {
		w.add("o.incident_id = ?", text(q.IncidentID))
	}
	n := limit(q.Limit)
	w.args = append(w.args, n+1)
	rows, err := s.r.QueryContext(ctx, `SELECT `+taskColumns+taskTables+w.String()+` ORDER BY o.id DESC LIMIT $`+strconv.Itoa(len(w.args)), w.args...)
	ts, err := scanTasks(rows, err)
	if err != nil {
		return nil, "", s.reading("tasks", err)
	}
	next := ""
	if len(ts) > n {
		ts = ts[:n]
		next = newCursor('t', ts[n-1].ID)
	}
	return ts, next, nil
}
