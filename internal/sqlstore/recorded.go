package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/portent-dev/portent/internal/noise"
)

const (
	// keepRecorded is a quarter: silences and rules are looked at that often.
	keepRecorded = 92 * 24 * time.Hour
	// maxRecorded bounds the rows: at 150 bytes each this is 150 MB.
	maxRecorded = 1_000_000
)

// PutRecorded keeps what Alertmanager did. What is there already is not counted again.
func (s *Store) PutRecorded(ctx context.Context, rs []noise.Recorded) error {
	if len(rs) == 0 {
		return nil
	}
	rows := make([][]any, len(rs))
	for i, r := range rs {
		rows[i] = []any{nano(r.Day), text(r.What), text(r.By), text(r.ID), text(r.Rule), text(r.Team)}
	}
	return s.write(ctx, "recorded events", func(tx *sql.Tx) error {
		_, err := s.insert(ctx, tx, `INSERT INTO recorded (day, what, by_, id, rule, team)`, `ON CONFLICT DO NOTHING`, rows)
		return err
	})
}

// Recorded counts what Alertmanager did from the day of since on. The zero time stands for all that is kept.
func (s *Store) Recorded(ctx context.Context, since time.Time) ([]noise.RecordedCount, error) {
	if !since.IsZero() {
		since = since.UTC().Truncate(24 * time.Hour)
	}
	var out []noise.RecordedCount
	rows, err := s.r.QueryContext(ctx, `SELECT what, by_, rule, team, COUNT(*) FROM recorded WHERE day >= $1 GROUP BY what, by_, rule, team ORDER BY what, by_, rule, team`, nano(since))
	err = eachRow(rows, err, func() error {
		var c noise.RecordedCount
		err := rows.Scan(&c.What, &c.By, &c.Rule, &c.Team, &c.N)
		out = append(out, c)
		return err
	})
	return out, s.reading("recorded events", err)
}

// dropRecorded bounds their number: the days longest ago go.
func (s *Store) dropRecorded(ctx context.Context) error {
	return s.write(ctx, "retention of recorded events", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM recorded WHERE day < (SELECT day FROM recorded ORDER BY day DESC LIMIT 1 OFFSET $1)`, maxRecorded)
		return err
	})
}
