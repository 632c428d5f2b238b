package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/outbox"
)

// Apply writes a change in one transaction.
func (s *Store) Apply(ctx context.Context, c incident.Change) error {
	if c.Empty() {
		return nil
	}
	return s.write(ctx, "change", func(tx *sql.Tx) error { return s.apply(ctx, tx, c) })
}

// apply stays in one piece: it is the list of what a change consists of. The
// audit chain comes last, since its head is locked until the commit.
func (s *Store) apply(ctx context.Context, tx *sql.Tx, c incident.Change) error {
	if err := noteStates(ctx, tx, c); err != nil {
		return err
	}
	// What stops being open comes before what becomes open with the same key.
	for _, opens := range []bool{false, true} {
		for _, i := range c.Incidents {
			if (i.Status == incident.StatusOpen && i.MergedInto == "") == opens {
				if err := putIncident(ctx, tx, i); err != nil {
					return err
				}
			}
		}
	}
	if err := s.putAlerts(ctx, tx, c.Alerts); err != nil {
		return err
	}
	if err := s.putEvents(ctx, tx, c.Events); err != nil {
		return err
	}
	if err := s.putNoise(ctx, tx, c.Noise); err != nil {
		return err
	}
	now := time.Now()
	if err := s.settleDrafts(ctx, tx, c, now); err != nil {
		return err
	}
	for _, t := range c.Tasks {
		if err := addTask(ctx, tx, t, now, time.Time{}); err != nil {
			return err
		}
	}
	if err := s.putFeedback(ctx, tx, c.Feedback); err != nil {
		return err
	}
	return s.appendAudit(ctx, tx, c.Records)
}

// noteStates takes the processed notifications out of the inbox. One that is
// not there any more was processed by somebody else.
func noteStates(ctx context.Context, tx *sql.Tx, c incident.Change) error {
	if err := setNotes(ctx, tx, c.Done, noteDone, ""); err != nil {
		return err
	}
	for id, reason := range c.Aside {
		if err := setNotes(ctx, tx, []int64{id}, noteAside, reason); err != nil {
			return err
		}
	}
	return nil
}

func setNotes(ctx context.Context, tx *sql.Tx, ids []int64, state int, reason string) error {
	for part := range slices.Chunk(ids, maxRows) {
		var w where
		w.add("state = ?", notePending)
		inList(&w, "id", part)
		n := len(w.args)
		w.args = append(w.args, state, nano(time.Now()), text(reason))
		res, err := tx.ExecContext(ctx, fmt.Sprintf(`UPDATE notifications SET state = $%d, done_at = $%d, reason = $%d`, n+1, n+2, n+3)+w.String(), w.args...)
		if err != nil {
			return err
		}
		met, err := res.RowsAffected()
		if err != nil {
			return err
		}
		if met != int64(len(part)) {
			return fmt.Errorf("%d of %d notifications are not pending: %w", int64(len(part))-met, len(part), incident.ErrConflict)
		}
	}
	return nil
}

// one checks that a statement met exactly one row, else it is a conflict.
func one(what string) func(sql.Result, error) error {
	return func(res sql.Result, err error) error {
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return err
		}
		if n != 1 {
			return fmt.Errorf("%s: %w", what, incident.ErrConflict)
		}
		return nil
	}
}

func putIncident(ctx context.Context, tx *sql.Tx, i incident.Incident) error {
	trackers, err := json.Marshal(i.Trackers)
	if err != nil {
		return err
	}
	causes := []byte("[]")
	if len(i.Causes) > 0 {
		if causes, err = json.Marshal(i.Causes); err != nil {
			return err
		}
	}
	args := []any{
		i.ID, text(i.Key), i.Version + 1, string(i.Status), string(i.Severity), text(i.Title), text(i.Summary), nano(i.StartedAt), nano(i.EndedAt),
		nano(i.UpdatedAt), nano(i.ToldAt), labels(i.Labels), text(i.RootCause.Entity), text(i.RootCause.Alertname), i.RootCause.Confidence,
		i.Firing, i.Total, text(string(trackers)), flag(i.Pinned), i.MergedInto, text(string(causes)), nano(time.Now()),
	}
	if i.Version == 0 {
		return one("incident " + i.ID)(tx.ExecContext(ctx, `INSERT INTO incidents (`+incidentColumns+`, touched_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)`, args...))
	}
	return one("incident " + i.ID)(tx.ExecContext(ctx, `UPDATE incidents SET ckey = $2, version = $3, status = $4, severity = $5, title = $6, summary = $7,
		started_at = $8, ended_at = $9, updated_at = $10, told_at = $11, labels = $12, cause_entity = $13, cause_alertname = $14, cause_confidence = $15,
		firing = $16, total = $17, trackers = $18, pinned = $19, merged_into = $20, causes = $21, touched_at = $22 WHERE id = $1 AND version = $23`, append(args, i.Version)...))
}

// flag is a bool as it is kept.
func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (s *Store) putAlerts(ctx context.Context, tx *sql.Tx, as []incident.Alert) error {
	// PostgreSQL refuses to touch a row twice in one statement: the last wins.
	last := make(map[incident.AlertID]int, len(as))
	for i := range as {
		last[as[i].ID()] = i
	}
	rows := make([][]any, 0, len(last))
	now := nano(time.Now())
	for i, a := range as {
		if last[a.ID()] != i {
			continue
		}
		rows = append(rows, []any{
			text(a.Fingerprint), nano(a.StartsAt), nano(a.EndsAt), string(a.Status), a.IncidentID, labels(a.Labels), labels(a.Annotations),
			text(a.GeneratorURL), text(a.ExternalURL), text(a.GroupKey), text(a.Receiver), nano(a.ReceivedAt), nano(a.UpdatedAt), flag(a.Expired), nano(a.ClaimedAt), text(a.Why), now,
		})
	}
	_, err := s.insert(ctx, tx, `INSERT INTO alerts (`+alertColumns+`, touched_at)`, `ON CONFLICT (fingerprint, starts_at) DO UPDATE SET
		ends_at = excluded.ends_at, status = excluded.status, incident_id = excluded.incident_id, labels = excluded.labels,
		annotations = excluded.annotations, generator_url = excluded.generator_url, external_url = excluded.external_url,
		group_key = excluded.group_key, receiver = excluded.receiver, received_at = excluded.received_at, updated_at = excluded.updated_at,
		expired = excluded.expired, claimed_at = excluded.claimed_at, why = excluded.why, touched_at = excluded.touched_at`, rows)
	return err
}

func (s *Store) putEvents(ctx context.Context, tx *sql.Tx, es []incident.Event) error {
	rows := make([][]any, len(es))
	for i, e := range es {
		rows[i] = []any{e.IncidentID, nano(e.At), text(e.Kind), text(e.Actor), text(e.Text)}
	}
	_, err := s.insert(ctx, tx, `INSERT INTO timeline (incident_id, at, kind, actor, text)`, ``, rows)
	return err
}

// addTask puts a task into the outbox. What follows from a create that is dead,
// held, recorded or dropped shares its state.
func addTask(ctx context.Context, tx *sql.Tx, t incident.Task, now, notBefore time.Time) error {
	state, reason := gated(t.Gate), ""
	if t.Kind != incident.TaskCreate {
		var err error
		if state, reason, err = behind(ctx, tx, t); err != nil {
			return err
		}
	}
	payload := text(string(t.Payload))
	hash, authorized := incident.PayloadHash([]byte(payload)), ""
	if state == outbox.StatePending || state == outbox.StateDead {
		authorized = hash
	}
	why, err := json.Marshal(t.Gate.Why)
	if err != nil {
		return err
	}
	if len(t.Gate.Why) == 0 {
		why = []byte("[]")
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO outbox (incident_id, tracker, key, kind, payload, state, attempts, not_before, lease_until,
		created_at, first_tried, uncertain, last_error, reason, phase, rule, policy, why, needs, expires_at, decided_at, payload_sha256, authorized, by_person)
		VALUES ($1, $2, $3, $4, $5, $6, 0, $7, 0, $8, 0, 0, '', $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`,
		t.IncidentID, text(t.Tracker), text(t.Key), string(t.Kind), payload, string(state), nano(notBefore), nano(now), reason,
		t.Gate.Phase, text(t.Gate.Rule), t.Gate.Policy, text(string(why)), t.Gate.Approvals, nano(t.Gate.Expires), nano(t.Gate.DecidedAt), hash, authorized,
		flag(t.Gate.Phase == incident.PhasePerson))
	return err
}

func gated(g incident.Gate) outbox.State {
	switch g.Outcome {
	case incident.GateHold:
		return outbox.StateHeld
	case incident.GateRecord:
		return outbox.StateRecorded
	default:
		return outbox.StatePending
	}
}

// behind is the state of a task that follows from a create.
func behind(ctx context.Context, tx *sql.Tx, t incident.Task) (outbox.State, string, error) {
	var state outbox.State
	err := tx.QueryRowContext(ctx, `SELECT state FROM outbox WHERE incident_id = $1 AND tracker = $2 AND kind = $3 ORDER BY id DESC LIMIT 1`,
		t.IncidentID, text(t.Tracker), string(incident.TaskCreate)).Scan(&state)
	if errors.Is(err, sql.ErrNoRows) {
		return outbox.StatePending, "", nil
	}
	switch state {
	case outbox.StateDead, outbox.StateHeld, outbox.StateRecorded, outbox.StateDropped:
		return state, outbox.ReasonBlocked, err
	case outbox.StatePending, outbox.StateInflight, outbox.StateDone:
	}
	return outbox.StatePending, "", err
}

// appendAudit puts entries at the end of the chain. Writers queue up at its head.
func (s *Store) appendAudit(ctx context.Context, tx *sql.Tx, es []audit.Entry) error {
	if len(es) == 0 {
		return nil
	}
	var head audit.Head
	if err := tx.QueryRowContext(ctx, `SELECT seq, hash FROM audit_head WHERE id = 1`+s.d.forUpdate).Scan(&head.Seq, &head.Hash); err != nil {
		return err
	}
	rows := make([][]any, len(es))
	for i, e := range es {
		r, err := audit.Append(head, e)
		if err != nil {
			return err
		}
		rows[i] = []any{r.Seq, nano(r.At), r.Actor, r.Action, r.Subject, string(r.Detail), r.Prev, r.Hash}
		head = r.Head()
	}
	if _, err := s.insert(ctx, tx, `INSERT INTO audit (seq, at, actor, action, subject, detail, prev, hash)`, ``, rows); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE audit_head SET seq = $1, hash = $2 WHERE id = 1`, head.Seq, head.Hash)
	return err
}
