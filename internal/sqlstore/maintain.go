package sqlstore

import (
	"context"
	"database/sql"
	"time"
)

// maintainEvery is how often old rows are looked for; what is due an hour later
// does not matter, a long list of it at once does.
const maintainEvery = time.Minute

// chunk bounds what one transaction deletes, so that no writer waits long.
const chunk = 500

// A retention deletes old rows of one kind. In query, $1 is the Unix nanosecond
// before which they are old and $2 the most to delete.
type retention struct {
	what  string
	age   func(o Options) time.Duration
	query []string
}

// retained is what grows. Audit records stay for good: a chain with holes proves
// nothing. Open incidents stay, and so do their alerts. Age counts from the last
// write by the wall clock, since the times of alerts may be those of a replay.
var retained = []retention{
	{"bodies", func(o Options) time.Duration { return o.KeepBodies }, []string{
		`DELETE FROM notifications WHERE id IN (SELECT id FROM notifications WHERE state = 1 AND done_at < $1 LIMIT $2)`,
	}},
	{"suppressed_alerts", func(o Options) time.Duration { return o.KeepIncidents }, []string{
		`DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE touched_at < $1 AND incident_id = '' LIMIT $2)`,
	}},
	{"sessions", func(Options) time.Duration { return 0 }, []string{
		`DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at < $1 LIMIT $2)`,
	}},
	{"object_events", func(Options) time.Duration { return keepObjectEvents }, []string{
		`DELETE FROM object_events WHERE uid IN (SELECT uid FROM object_events WHERE at < $1 LIMIT $2)`,
	}},
	{"recorded", func(Options) time.Duration { return keepRecorded }, []string{
		`DELETE FROM recorded WHERE day IN (SELECT DISTINCT day FROM recorded WHERE day < $1 ORDER BY day LIMIT $2)`,
	}},
	{"noise", func(o Options) time.Duration { return o.KeepIncidents }, []string{
		`DELETE FROM noise WHERE day IN (SELECT DISTINCT day FROM noise WHERE day < $1 ORDER BY day LIMIT $2)`,
	}},
	{"incidents", func(o Options) time.Duration { return o.KeepIncidents }, []string{
		`DELETE FROM alerts WHERE incident_id IN (SELECT id FROM incidents WHERE ended_at > 0 AND touched_at < $1 ORDER BY touched_at, id LIMIT $2)`,
		`DELETE FROM timeline WHERE incident_id IN (SELECT id FROM incidents WHERE ended_at > 0 AND touched_at < $1 ORDER BY touched_at, id LIMIT $2)`,
		`DELETE FROM tickets WHERE incident_id IN (SELECT id FROM incidents WHERE ended_at > 0 AND touched_at < $1 ORDER BY touched_at, id LIMIT $2)`,
		`DELETE FROM approvals WHERE incident_id IN (SELECT id FROM incidents WHERE ended_at > 0 AND touched_at < $1 ORDER BY touched_at, id LIMIT $2)`,
		`DELETE FROM prompts WHERE incident_id IN (SELECT id FROM incidents WHERE ended_at > 0 AND touched_at < $1 ORDER BY touched_at, id LIMIT $2)`,
		`DELETE FROM feedback WHERE incident_id IN (SELECT id FROM incidents WHERE ended_at > 0 AND touched_at < $1 ORDER BY touched_at, id LIMIT $2)`,
		`DELETE FROM dossiers WHERE incident_id IN (SELECT id FROM incidents WHERE ended_at > 0 AND touched_at < $1 ORDER BY touched_at, id LIMIT $2)`,
		`DELETE FROM outbox WHERE incident_id IN (SELECT id FROM incidents WHERE ended_at > 0 AND touched_at < $1 ORDER BY touched_at, id LIMIT $2)`,
		`DELETE FROM incidents WHERE id IN (SELECT id FROM incidents WHERE ended_at > 0 AND touched_at < $1 ORDER BY touched_at, id LIMIT $2)`,
	}},
}

// RunMaintenance deletes what is older than configured and measures the size,
// until ctx ends. Errors are logged: the store works on without it.
func (s *Store) RunMaintenance(ctx context.Context) {
	for {
		if err := s.Maintain(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.log.Error("store_maintenance_failed", "err", err)
		}
		select {
		case <-time.After(maintainEvery):
		case <-ctx.Done():
			return
		}
	}
}

// Maintain does one round: everything that is old by now.
func (s *Store) Maintain(ctx context.Context, now time.Time) error {
	for _, r := range retained {
		for {
			var n int64
			err := s.write(ctx, "retention of "+r.what, func(tx *sql.Tx) error {
				for _, q := range r.query {
					res, err := tx.ExecContext(ctx, q, nano(now.Add(-r.age(s.o))), chunk)
					if err != nil {
						return err
					}
					if n, err = res.RowsAffected(); err != nil { // of the last one, which is what counts
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			s.metrics.deleted.WithLabelValues(r.what).Add(float64(n))
			if n < chunk {
				break
			}
		}
	}
	if err := s.dropAside(ctx); err != nil {
		return err
	}
	if err := s.dropObjectEvents(ctx); err != nil {
		return err
	}
	if err := s.dropRecorded(ctx); err != nil {
		return err
	}
	var size float64
	if err := s.r.QueryRowContext(ctx, s.d.size).Scan(&size); err != nil {
		return s.reading("size", err)
	}
	s.metrics.size.Set(size)
	return nil
}

// dropAside bounds the bodies that were set aside.
func (s *Store) dropAside(ctx context.Context) error {
	return s.write(ctx, "retention of notifications set aside", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM notifications WHERE state = 2 AND id <=
			(SELECT id FROM notifications WHERE state = 2 ORDER BY id DESC LIMIT 1 OFFSET $1)`, maxAside)
		return err
	})
}
