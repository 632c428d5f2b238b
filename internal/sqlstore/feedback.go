package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/portent-dev/portent/internal/incident"
)

// putFeedback replaces the verdicts on incidents. Their audit records come with
// what they follow from.
func (s *Store) putFeedback(ctx context.Context, tx *sql.Tx, fs []incident.Feedback) error {
	for _, f := range fs {
		if f.IncidentID == "" || f.Class == "" {
			continue // of an incident without a name nothing can be learned
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO feedback (incident_id, cluster, class, verdict, actor, reason, at, sent_at, tries, not_before)
			VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, 0)
			ON CONFLICT (incident_id) DO UPDATE SET cluster = excluded.cluster, class = excluded.class, verdict = excluded.verdict,
				actor = excluded.actor, reason = excluded.reason, at = excluded.at, tries = 0, not_before = 0`,
			f.IncidentID, text(f.Cluster), text(f.Class), string(f.Verdict), text(f.Actor), text(f.Reason), nano(f.At))
		if err != nil {
			return err
		}
	}
	return nil
}

const feedbackColumns = `incident_id, cluster, class, verdict, actor, reason, at`

func (s *Store) feedback(ctx context.Context, query string, args ...any) ([]incident.Feedback, error) {
	rows, err := s.r.QueryContext(ctx, `SELECT `+feedbackColumns+` FROM feedback `+query, args...)
	out := []incident.Feedback{}
	err = eachRow(rows, err, func() error {
		var f incident.Feedback
		var at int64
		err := rows.Scan(&f.IncidentID, &f.Cluster, &f.Class, &f.Verdict, &f.Actor, &f.Reason, &at)
		f.At = fromNano(at)
		out = append(out, f)
		return err
	})
	return out, s.reading("feedback", err)
}

// Verdicts returns the newest verdicts on a class, newest first, without those
// that were taken back.
func (s *Store) Verdicts(ctx context.Context, cluster, class string, n int) ([]incident.Feedback, error) {
	return s.feedback(ctx, `WHERE cluster = $1 AND class = $2 AND verdict <> '' ORDER BY at DESC, incident_id LIMIT $3`, text(cluster), text(class), limit(n))
}

// VerdictOn returns the verdict on an incident; the zero value when there is none.
func (s *Store) VerdictOn(ctx context.Context, incidentID string) (incident.Feedback, error) {
	fs, err := s.feedback(ctx, `WHERE incident_id = $1`, text(incidentID))
	if err != nil || len(fs) == 0 {
		return incident.Feedback{}, err
	}
	return fs[0], nil
}

// LastVerdicts returns the newest verdicts of all classes, newest first.
func (s *Store) LastVerdicts(ctx context.Context, n int) ([]incident.Feedback, error) {
	return s.feedback(ctx, `WHERE verdict <> '' ORDER BY at DESC, incident_id LIMIT $1`, limit(n))
}

// UnsentFeedback returns what the exporter was not told yet and is due, oldest first.
func (s *Store) UnsentFeedback(ctx context.Context, now time.Time, n int) ([]incident.Feedback, error) {
	return s.feedback(ctx, `WHERE sent_at < at AND not_before <= $1 ORDER BY not_before, at LIMIT $2`, nano(now), limit(n))
}

// FeedbackSent notes that the exporter knows f, unless there is a newer one.
func (s *Store) FeedbackSent(ctx context.Context, f incident.Feedback) error {
	return s.write(ctx, "feedback", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE feedback SET sent_at = $1 WHERE incident_id = $2 AND at = $1`, nano(f.At), f.IncidentID)
		return err
	})
}

// FeedbackFailed puts f off; after most tries it is given up. It reports whether.
func (s *Store) FeedbackFailed(ctx context.Context, f incident.Feedback, until time.Time, most int) (given bool, err error) {
	err = s.write(ctx, "feedback", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE feedback SET tries = tries + 1, not_before = $1 WHERE incident_id = $2 AND at = $3`, nano(until), f.IncidentID, nano(f.At)); err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, `UPDATE feedback SET sent_at = at WHERE incident_id = $1 AND at = $2 AND tries >= $3`, f.IncidentID, nano(f.At), most)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		given = n > 0
		return err
	})
	return given, err
}
