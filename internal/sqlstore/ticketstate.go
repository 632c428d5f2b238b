package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"strconv"

	"github.com/portent-dev/portent/internal/incident"
)

// SetTicketStatus notes the tracker's own word for the state of an incident's ticket. One that is not known is left
// alone.
func (s *Store) SetTicketStatus(ctx context.Context, incidentID, tracker, status string) error {
	return s.write(ctx, "ticket status", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE tickets SET status = $1 WHERE incident_id = $2 AND tracker = $3`, text(status), text(incidentID), text(tracker))
		return err
	})
}

// IncidentOfTicket returns the id of the incident whose ticket has this key or this id of the tracker's own,
// incident.ErrNotFound when there is none. The newest incident wins.
func (s *Store) IncidentOfTicket(ctx context.Context, key string) (string, error) {
	var id string
	err := s.r.QueryRowContext(ctx, `SELECT incident_id FROM tickets WHERE key = $1 OR (ext_id <> '' AND ext_id = $1) ORDER BY incident_id DESC LIMIT 1`, text(key)).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		err = incident.ErrNotFound
	}
	return id, s.reading("incident of ticket "+strconv.Quote(key), err)
}
