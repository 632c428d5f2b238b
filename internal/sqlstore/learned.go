package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// PutLearned keeps what was learned under a name, in place of what was kept before.
func (s *Store) PutLearned(ctx context.Context, name string, body []byte) error {
	return s.write(ctx, "what was learned", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO learned (name, at, body) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET at = excluded.at, body = excluded.body`, text(name), nano(time.Now()), body)
		return err
	})
}

// Learned returns what was kept under a name, nil when nothing was.
func (s *Store) Learned(ctx context.Context, name string) (body []byte, err error) {
	err = s.r.QueryRowContext(ctx, `SELECT body FROM learned WHERE name = $1`, text(name)).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return body, s.reading("what was learned", err)
}
