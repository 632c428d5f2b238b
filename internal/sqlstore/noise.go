package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/portent-dev/portent/internal/noise"
)

// putNoise adds counts to those of their days.
func (s *Store) putNoise(ctx context.Context, tx *sql.Tx, cs []noise.Count) error {
	rows := make([][]any, len(cs))
	for i, c := range cs {
		rows[i] = []any{nano(c.Day), text(c.Rule), text(c.Team), text(c.Kept), c.Notices, c.Alerts, c.Incidents, c.Tickets}
	}
	_, err := s.insert(ctx, tx, `INSERT INTO noise (day, rule, team, kept, notices, alerts, incidents, tickets)`,
		`ON CONFLICT (day, rule, team, kept) DO UPDATE SET notices = noise.notices + excluded.notices, alerts = noise.alerts + excluded.alerts,
		incidents = noise.incidents + excluded.incidents, tickets = noise.tickets + excluded.tickets`, rows)
	return err
}

// Noise returns what was counted from the day of since on, by day. The zero time stands for all that is kept.
func (s *Store) Noise(ctx context.Context, since time.Time) ([]noise.Count, error) {
	if !since.IsZero() {
		since = since.UTC().Truncate(24 * time.Hour)
	}
	var out []noise.Count
	rows, err := s.r.QueryContext(ctx, `SELECT day, rule, team, kept, notices, alerts, incidents, tickets FROM noise WHERE day >= $1
		ORDER BY day, rule, team, kept`, nano(since))
	err = eachRow(rows, err, func() error {
		var c noise.Count
		var day int64
		err := rows.Scan(&day, &c.Rule, &c.Team, &c.Kept, &c.Notices, &c.Alerts, &c.Incidents, &c.Tickets)
		c.Day = fromNano(day)
		out = append(out, c)
		return err
	})
	return out, s.reading("noise", err)
}
