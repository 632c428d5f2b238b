package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/outbox"
)

var _ outbox.Prompts = (*Store)(nil)

// What a prompt has to show, of task o of incident i.
const (
	promptWaits     = `CASE WHEN o.state = 'held' OR o.state = 'recorded' AND o.phase = 'suggest' AND i.status = 'open' THEN 1 ELSE 0 END`
	promptApprovals = `(SELECT COUNT(*) FROM approvals a WHERE a.task_id = o.id AND a.payload_sha256 = o.payload_sha256)`
)

// Unasked returns drafts that nobody was asked about.
func (s *Store) Unasked(ctx context.Context, messenger string, except []string, n int) ([]outbox.Asked, error) {
	args := []any{text(messenger)}
	but := []string{"$1"}
	for _, e := range except {
		args = append(args, text(e))
		but = append(but, "$"+strconv.Itoa(len(args)))
	}
	args = append(args, limit(n))
	return s.asked(ctx, `SELECT o.id, '', '', 0, 0, `+promptApprovals+`, 1 FROM outbox o JOIN incidents i ON i.id = o.incident_id
		WHERE o.state IN ('held', 'recorded') AND o.kind = 'create' AND `+promptWaits+` = 1 AND o.tracker NOT IN (`+strings.Join(but, ", ")+`)
		AND EXISTS (SELECT 1 FROM outbox m WHERE m.incident_id = o.incident_id AND m.tracker = $1 AND m.kind = 'create')
		AND NOT EXISTS (SELECT 1 FROM prompts p WHERE p.task_id = o.id AND p.messenger = $1)
		ORDER BY o.id LIMIT $`+strconv.Itoa(len(args)), messenger, args...)
}

// OutdatedPrompts returns drafts whose prompt shows something else.
func (s *Store) OutdatedPrompts(ctx context.Context, messenger string, n int) ([]outbox.Asked, error) {
	return s.asked(ctx, `SELECT o.id, p.ref, p.hash, p.approvals, p.waiting, `+promptApprovals+`, `+promptWaits+`
		FROM prompts p JOIN outbox o ON o.id = p.task_id JOIN incidents i ON i.id = o.incident_id
		WHERE p.messenger = $1 AND (p.waiting <> `+promptWaits+` OR p.waiting = 1 AND (p.hash <> o.payload_sha256 OR p.approvals <> `+promptApprovals+`))
		ORDER BY o.id LIMIT $2`, messenger, text(messenger), limit(n))
}

// asked reads the drafts that a query finds.
func (s *Store) asked(ctx context.Context, query, messenger string, args ...any) ([]outbox.Asked, error) {
	var out []outbox.Asked
	rows, err := s.r.QueryContext(ctx, query, args...)
	err = eachRow(rows, err, func() error {
		var a outbox.Asked
		var shown, waits int
		err := rows.Scan(&a.Prompt.TaskID, &a.Prompt.Ref, &a.Prompt.Hash, &a.Prompt.Approvals, &shown, &a.Approvals, &waits)
		a.Prompt.Messenger, a.Prompt.Waiting, a.Waiting = messenger, shown != 0, waits != 0
		out = append(out, a)
		return err
	})
	for k := range out {
		if err != nil {
			break
		}
		var ts []outbox.Task
		rows, qerr := s.r.QueryContext(ctx, `SELECT `+taskColumns+taskTables+` WHERE o.id = $1`, out[k].Prompt.TaskID)
		if ts, err = scanTasks(rows, qerr); err == nil && len(ts) == 1 {
			out[k].Task, out[k].Prompt.IncidentID = ts[0], ts[0].IncidentID
		}
	}
	return out, s.reading("prompts", err)
}

// PutPrompt keeps what a messenger asked.
func (s *Store) PutPrompt(ctx context.Context, p outbox.Prompt) error {
	return s.write(ctx, "prompt", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO prompts (task_id, messenger, incident_id, ref, hash, approvals, waiting) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (task_id, messenger) DO UPDATE SET ref = excluded.ref, hash = excluded.hash, approvals = excluded.approvals, waiting = excluded.waiting`,
			p.TaskID, text(p.Messenger), text(p.IncidentID), text(p.Ref), p.Hash, p.Approvals, flag(p.Waiting))
		return err
	})
}

// Prompt returns what a messenger asked about a draft.
func (s *Store) Prompt(ctx context.Context, task int64, messenger string) (outbox.Prompt, error) {
	p := outbox.Prompt{TaskID: task, Messenger: messenger}
	var waiting int
	err := s.r.QueryRowContext(ctx, `SELECT incident_id, ref, hash, approvals, waiting FROM prompts WHERE task_id = $1 AND messenger = $2`, task, text(messenger)).
		Scan(&p.IncidentID, &p.Ref, &p.Hash, &p.Approvals, &waiting)
	if errors.Is(err, sql.ErrNoRows) {
		err = incident.ErrNotFound
	}
	p.Waiting = waiting != 0
	return p, s.reading("prompt", err)
}
