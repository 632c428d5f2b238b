package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/portent-dev/portent/internal/incident"
)

// PutSession keeps who a session belongs to, under the hash of its cookie.
func (s *Store) PutSession(ctx context.Context, id string, data json.RawMessage, now, expires time.Time) error {
	return s.write(ctx, "session", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO sessions (id, data, created_at, expires_at) VALUES ($1, $2, $3, $4)`, id, text(string(data)), nano(now), nano(expires))
		return err
	})
}

// ExtendSession replaces what is kept of a session; one that is over or was dropped stays so.
func (s *Store) ExtendSession(ctx context.Context, id string, data json.RawMessage, now, expires time.Time) error {
	return s.write(ctx, "session", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE sessions SET data = $1, expires_at = $2 WHERE id = $3 AND expires_at > $4`, text(string(data)), nano(expires), text(id), nano(now))
		return err
	})
}

// Session returns what PutSession kept, and incident.ErrNotFound when it is over.
func (s *Store) Session(ctx context.Context, id string, now time.Time) (json.RawMessage, error) {
	var data string
	err := s.r.QueryRowContext(ctx, `SELECT data FROM sessions WHERE id = $1 AND expires_at > $2`, text(id), nano(now)).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("session: %w", incident.ErrNotFound)
	}
	return json.RawMessage(data), s.reading("session", err)
}

// DropSession ends a session.
func (s *Store) DropSession(ctx context.Context, id string) error {
	return s.write(ctx, "session", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE id = $1`, text(id))
		return err
	})
}

// Activity says what changed: incidents by the wall clock of their last write, and
// the timeline by its last line.
type Activity struct {
	Touched time.Time
	Line    int64
}

// Changed returns the incidents that changed after a, at most limit of them, and
// where to go on. With a zero Activity it returns only where to begin.
func (s *Store) Changed(ctx context.Context, a Activity, limit int) (ids []string, next Activity, err error) {
	next = a
	if a == (Activity{}) {
		var touched int64
		err = s.r.QueryRowContext(ctx, `SELECT COALESCE((SELECT MAX(touched_at) FROM incidents), 0), COALESCE((SELECT MAX(id) FROM timeline), 0)`).Scan(&touched, &next.Line)
		next.Touched = fromNano(max(touched, 1))
		return nil, next, s.reading("changes", err)
	}
	seen := map[string]bool{}
	add := func(id string) {
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	rows, err := s.r.QueryContext(ctx, `SELECT id, touched_at FROM incidents WHERE touched_at > $1 ORDER BY touched_at LIMIT $2`, nano(a.Touched), limit)
	err = eachRow(rows, err, func() error {
		var id string
		var at int64
		err := rows.Scan(&id, &at)
		add(id)
		next.Touched = fromNano(at)
		return err
	})
	if err != nil {
		return nil, a, s.reading("changes", err)
	}
	rows, err = s.r.QueryContext(ctx, `SELECT id, incident_id FROM timeline WHERE id > $1 ORDER BY id LIMIT $2`, a.Line, limit)
	err = eachRow(rows, err, func() error {
		var id string
		err := rows.Scan(&next.Line, &id)
		add(id)
		return err
	})
	return ids, next, s.reading("changes", err)
}
