package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/incident"
)

const (
	// keepObjectEvents is longer than Kubernetes itself keeps events (an hour), and long enough to look at an
	// incident of the weekend on Monday.
	keepObjectEvents = 7 * 24 * time.Hour
	// maxObjectEvents bounds them: at 400 bytes each this is 80 MB.
	maxObjectEvents = 200_000
)

// PutDossier replaces the dossier of an incident.
func (s *Store) PutDossier(ctx context.Context, incidentID string, d incident.Dossier) error {
	body, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return s.write(ctx, "dossier of incident "+incidentID, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO dossiers (incident_id, at, body) VALUES ($1, $2, $3)
			ON CONFLICT (incident_id) DO UPDATE SET at = excluded.at, body = excluded.body`, text(incidentID), nano(d.At), text(string(body)))
		return err
	})
}

// Dossier returns what was found about an incident.
func (s *Store) Dossier(ctx context.Context, incidentID string) (incident.Dossier, error) {
	var d incident.Dossier
	var body string
	err := s.r.QueryRowContext(ctx, `SELECT body FROM dossiers WHERE incident_id = $1`, text(incidentID)).Scan(&body)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		err = incident.ErrNotFound
	case err == nil:
		if err = json.Unmarshal([]byte(body), &d); err != nil {
			err = fmt.Errorf("%w: %w", incident.ErrDamaged, err)
		}
	}
	return d, s.reading("dossier of incident "+strconv.Quote(incidentID), err)
}

// DossiersOf returns the dossiers of several incidents; those without any are left out.
func (s *Store) DossiersOf(ctx context.Context, incidentIDs []string) (map[string]incident.Dossier, error) {
	out := map[string]incident.Dossier{}
	for part := range slices.Chunk(incidentIDs, maxRows) {
		if err := s.dossiers(ctx, part, out); err != nil {
			return nil, s.reading("dossiers", err)
		}
	}
	return out, nil
}

func (s *Store) dossiers(ctx context.Context, ids []string, into map[string]incident.Dossier) error {
	var w where
	inList(&w, "incident_id", ids)
	//nolint:sqlclosecheck // eachRow closes them
	rows, err := s.r.QueryContext(ctx, `SELECT incident_id, body FROM dossiers`+w.String(), w.args...)
	return eachRow(rows, err, func() error {
		var id, body string
		if err := rows.Scan(&id, &body); err != nil {
			return err
		}
		var d incident.Dossier
		if err := json.Unmarshal([]byte(body), &d); err != nil {
			return fmt.Errorf("%w: dossier of incident %s: %w", incident.ErrDamaged, id, err)
		}
		into[id] = d
		return nil
	})
}

// PutObjectEvents stores events; the same UID again replaces what was known.
func (s *Store) PutObjectEvents(ctx context.Context, events ...incident.ObjectEvent) error {
	if len(events) == 0 {
		return nil
	}
	// PostgreSQL refuses to touch a row twice in one statement: the last wins.
	last := make(map[string]int, len(events))
	for i := range events {
		last[events[i].UID] = i
	}
	rows := make([][]any, 0, len(last))
	for i, e := range events {
		if last[e.UID] == i {
			rows = append(rows, []any{
				text(e.UID), nano(e.At), text(e.Cluster), text(e.Namespace), text(e.Kind), text(e.Name), text(e.Node), text(e.Reason), text(e.Message),
				flag(e.Warning), e.Count,
			})
		}
	}
	return s.write(ctx, "events of objects", func(tx *sql.Tx) error {
		_, err := s.insert(ctx, tx, `INSERT INTO object_events (`+objectEventColumns+`)`, `ON CONFLICT (uid) DO UPDATE SET
			at = excluded.at, cluster = excluded.cluster, message = excluded.message, warning = excluded.warning, count = excluded.count`, rows)
		return err
	})
}

const objectEventColumns = `uid, at, cluster, namespace, kind, name, node, reason, message, warning, count`

// ListObjectEvents returns events, newest first.
func (s *Store) ListObjectEvents(ctx context.Context, q incident.ObjectEventQuery) ([]incident.ObjectEvent, error) {
	if len(q.Namespaces)+len(q.Nodes) == 0 {
		return nil, nil
	}
	// One query for each index; an event may be found by both.
	found := map[string]incident.ObjectEvent{}
	for _, by := range []struct {
		column string
		values []string
	}{{"namespace", q.Namespaces}, {"node", q.Nodes}} {
		if len(by.values) == 0 {
			continue
		}
		if err := s.objectEvents(ctx, q, by.column, by.values, found); err != nil {
			return nil, s.reading("events of objects", err)
		}
	}
	out := make([]incident.ObjectEvent, 0, len(found))
	for _, e := range found {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b incident.ObjectEvent) int {
		if c := b.At.Compare(a.At); c != 0 {
			return c
		}
		return strings.Compare(a.UID, b.UID)
	})
	return out[:min(len(out), limit(q.Limit))], nil
}

func (s *Store) objectEvents(ctx context.Context, q incident.ObjectEventQuery, column string, values []string, into map[string]incident.ObjectEvent) error {
	var w where
	clean := make([]string, len(values))
	for i, v := range values {
		clean[i] = text(v)
	}
	inList(&w, column, clean)
	w.add("at >= ?", nano(q.From))
	w.add("at <= ?", nano(q.To))
	w.args = append(w.args, limit(q.Limit))
	rows, err := s.r.QueryContext(ctx, `SELECT `+objectEventColumns+` FROM object_events`+w.String()+` ORDER BY at DESC, uid LIMIT $`+strconv.Itoa(len(w.args)), w.args...)
	return eachRow(rows, err, func() error {
		var e incident.ObjectEvent
		var at int64
		var warning int
		err := rows.Scan(&e.UID, &at, &e.Cluster, &e.Namespace, &e.Kind, &e.Name, &e.Node, &e.Reason, &e.Message, &warning, &e.Count)
		e.At, e.Warning = fromNano(at), warning != 0
		into[e.UID] = e
		return err
	})
}

// dropObjectEvents bounds their number: the oldest go.
func (s *Store) dropObjectEvents(ctx context.Context) error {
	return s.write(ctx, "retention of events of objects", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM object_events WHERE at <
			(SELECT at FROM object_events ORDER BY at DESC LIMIT 1 OFFSET $1)`, maxObjectEvents)
		return err
	})
}
