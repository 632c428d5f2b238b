package sqlstore

import (
	"context"
	"slices"
)

// DraftsWaiting returns those of the incidents whose ticket waits for somebody to approve it.
func (s *Store) DraftsWaiting(ctx context.Context, incidentIDs []string) (map[string]bool, error) {
	out := map[string]bool{}
	for part := range slices.Chunk(incidentIDs, maxRows) {
		var w where
		inList(&w, "incident_id", part)
		w.add("state = ?", "held")
		w.add("kind = ?", "create")
		//nolint:sqlclosecheck // eachRow closes them
		rows, err := s.r.QueryContext(ctx, `SELECT DISTINCT incident_id FROM outbox`+w.String(), w.args...)
		err = eachRow(rows, err, func() error {
			var id string
			err := rows.Scan(&id)
			out[id] = true
			return err
		})
		if err != nil {
			return nil, s.reading("drafts", err)
		}
	}
	return out, nil
}
