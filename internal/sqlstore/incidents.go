package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/portent-dev/portent/internal/incident"
)

const incidentColumns = `id, ckey, version, status, severity, title, summary, started_at, ended_at, updated_at, told_at,
	labels, cause_entity, cause_alertname, cause_confidence, firing, total, trackers, pinned, merged_into, causes`

func scanIncidents(rows *sql.Rows, err error) ([]incident.Incident, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []incident.Incident
	for rows.Next() {
		var i incident.Incident
		var started, ended, updated, told int64
		var ls, trackers, causes string
		var pinned int
		if err := rows.Scan(&i.ID, &i.Key, &i.Version, &i.Status, &i.Severity, &i.Title, &i.Summary, &started, &ended, &updated, &told,
			&ls, &i.RootCause.Entity, &i.RootCause.Alertname, &i.RootCause.Confidence, &i.Firing, &i.Total, &trackers, &pinned, &i.MergedInto, &causes); err != nil {
			return nil, err
		}
		i.StartedAt, i.EndedAt, i.UpdatedAt, i.ToldAt = fromNano(started), fromNano(ended), fromNano(updated), fromNano(told)
		if i.Labels, err = fromLabels(ls); err != nil {
			return nil, fmt.Errorf("incident %s: %w", i.ID, err)
		}
		if err := json.Unmarshal([]byte(trackers), &i.Trackers); err != nil {
			return nil, fmt.Errorf("%w: trackers of incident %s: %w", incident.ErrDamaged, i.ID, err)
		}
		if causes != "[]" {
			if err := json.Unmarshal([]byte(causes), &i.Causes); err != nil {
				return nil, fmt.Errorf("%w: causes of incident %s: %w", incident.ErrDamaged, i.ID, err)
			}
		}
		i.Pinned = pinned != 0
		out = append(out, i)
	}
	return out, rows.Err()
}

// Get returns one incident with everything.
func (s *Store) Get(ctx context.Context, id string) (incident.Incident, error) {
	found, err := s.get(ctx, id)
	return found, s.reading("incident "+strconv.Quote(id), err)
}

func (s *Store) get(ctx context.Context, id string) (incident.Incident, error) {
	// One transaction, so that header, alerts and tickets are of one moment.
	tx, err := s.r.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: s.d.snapshot})
	if err != nil {
		return incident.Incident{}, err
	}
	defer tx.Rollback()
	rows, err := tx.QueryContext(ctx, `SELECT `+incidentColumns+` FROM incidents WHERE id = $1`, text(id))
	is, err := scanIncidents(rows, err)
	if err != nil {
		return incident.Incident{}, err
	}
	if len(is) == 0 {
		return incident.Incident{}, incident.ErrNotFound
	}
	if err := addParts(ctx, tx, is, 0); err != nil {
		return incident.Incident{}, err
	}
	is[0].Timeline, err = timeline(ctx, tx, is[0].ID)
	return is[0], err
}

// List returns a page of incidents, newest first.
func (s *Store) List(ctx context.Context, q incident.Query) ([]incident.Incident, string, error) {
	is, next, err := s.list(ctx, q)
	return is, next, s.reading("incidents", err)
}

func (s *Store) list(ctx context.Context, q incident.Query) ([]incident.Incident, string, error) {
	w := where{conds: []string{"merged_into = ''"}}
	if q.Cursor != "" {
		if q.Cursor[0] != 'i' {
			return nil, "", fmt.Errorf("%w %.40q: use one that a page gave as next", incident.ErrBadCursor, q.Cursor)
		}
		w.add("id < ?", text(q.Cursor[1:]))
	}
	if q.Status != "" {
		w.add("status = ?", string(q.Status))
	}
	if q.Severity != "" {
		w.add("severity = ?", string(q.Severity))
	}
	if !q.Since.IsZero() {
		w.add("(ended_at = 0 OR ended_at >= ?)", nano(q.Since))
	}
	if !q.Until.IsZero() {
		w.add("started_at < ?", nano(q.Until))
	}
	if !q.UpdatedSince.IsZero() {
		w.add("updated_at >= ?", nano(q.UpdatedSince))
	}
	if q.Firing {
		w.add("firing > ?", 0)
	}
	tx, err := s.r.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: s.d.snapshot})
	if err != nil {
		return nil, "", err
	}
	defer tx.Rollback()
	n := limit(q.Limit)
	w.args = append(w.args, n+1)
	// The inner query walks an index alone; only the rows of the page are read.
	rows, err := tx.QueryContext(ctx, `SELECT `+incidentColumns+` FROM incidents WHERE id IN (SELECT id FROM incidents`+w.String()+
		` ORDER BY id DESC LIMIT $`+strconv.Itoa(len(w.args))+`) ORDER BY id DESC`, w.args...)
	is, err := scanIncidents(rows, err)
	if err != nil {
		return nil, "", err
	}
	next := ""
	if len(is) > n {
		is = is[:n]
		next = "i" + is[n-1].ID
	}
	each := q.AlertsEach
	if q.Brief {
		each = noAlerts
	}
	return is, next, addParts(ctx, tx, is, each)
}

// Counts counts incidents by status.
func (s *Store) Counts(ctx context.Context) (map[incident.Status]int, error) {
	out := map[incident.Status]int{incident.StatusOpen: 0, incident.StatusResolved: 0, incident.StatusDismissed: 0}
	//nolint:sqlclosecheck // eachRow closes them
	rows, err := s.r.QueryContext(ctx, `SELECT status, COUNT(*) FROM incidents WHERE merged_into = '' GROUP BY status`)
	err = eachRow(rows, err, func() error {
		var status incident.Status
		var n int
		err := rows.Scan(&status, &n)
		out[status] = n
		return err
	})
	return out, s.reading("incidents", err)
}

// maxAlertsEach bounds the alerts that are loaded of one incident, at 2 KB each: one that
// goes on for ever gathers hundreds of thousands, which nobody reads.
const maxAlertsEach = 20_000

// noAlerts is for addParts to load none.
const noAlerts = -1

// addParts loads the tickets, and so many alerts each (0: maxAlertsEach), of a page of
// incidents.
func addParts(ctx context.Context, tx *sql.Tx, is []incident.Incident, each int) error {
	if len(is) == 0 {
		return nil
	}
	at := make(map[string]int, len(is))
	ids := make([]string, len(is))
	for i := range is {
		at[is[i].ID], ids[i] = i, is[i].ID
		is[i].Tickets = []incident.Ticket{}
	}
	var w where
	inList(&w, "incident_id", ids)
	rows, err := tx.QueryContext(ctx, `SELECT incident_id, tracker, key, ext_id, url, status FROM tickets`+w.String()+` ORDER BY incident_id, tracker`, w.args...)
	err = eachRow(rows, err, func() error {
		var id string
		var t incident.Ticket
		err := rows.Scan(&id, &t.Tracker, &t.Key, &t.ID, &t.URL, &t.Status)
		is[at[id]].Tickets = append(is[at[id]].Tickets, t)
		return err
	})
	if err != nil || each == noAlerts {
		return err
	}
	if each == 0 {
		each = maxAlertsEach
	}
	return addAlerts(ctx, tx, is, at, each)
}

// addAlerts loads the alerts of incidents, at is where each stands: with one query, and one
// more for each that has too many.
func addAlerts(ctx context.Context, tx *sql.Tx, is []incident.Incident, at map[string]int, each int) error {
	var few []string
	for i := range is {
		if is[i].Total <= each+incident.FirstAlerts {
			few = append(few, is[i].ID)
			continue
		}
		rows, err := tx.QueryContext(ctx, `SELECT id, `+alertColumns+` FROM alerts WHERE id IN (
			SELECT id FROM (SELECT id FROM alerts WHERE incident_id = $1 ORDER BY id LIMIT $2) AS first UNION
			SELECT id FROM (SELECT id FROM alerts WHERE incident_id = $1 ORDER BY id DESC LIMIT $3) AS last) ORDER BY id`,
			is[i].ID, incident.FirstAlerts, each)
		if err := gather(is, at, rows, err); err != nil {
			return err
		}
	}
	if len(few) == 0 {
		return nil
	}
	var w where
	inList(&w, "incident_id", few)
	rows, err := tx.QueryContext(ctx, `SELECT id, `+alertColumns+` FROM alerts`+w.String()+` ORDER BY incident_id, id`, w.args...)
	return gather(is, at, rows, err)
}

// gather adds alerts to their incidents.
func gather(is []incident.Incident, at map[string]int, rows *sql.Rows, err error) error {
	alerts, err := scanAlerts(rows, err)
	for _, a := range alerts {
		i := at[a.IncidentID]
		is[i].Alerts = append(is[i].Alerts, a.Alert)
	}
	return err
}

func timeline(ctx context.Context, tx *sql.Tx, id string) ([]incident.Event, error) {
	var out []incident.Event
	rows, err := tx.QueryContext(ctx, `SELECT at, kind, actor, text FROM timeline WHERE incident_id = $1 ORDER BY id`, id)
	err = eachRow(rows, err, func() error {
		e := incident.Event{IncidentID: id}
		var at int64
		err := rows.Scan(&at, &e.Kind, &e.Actor, &e.Text)
		e.At = fromNano(at)
		out = append(out, e)
		return err
	})
	return out, err
}

// eachRow calls f for each row and closes them.
func eachRow(rows *sql.Rows, err error, f func() error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(); err != nil {
			return err
		}
	}
	return rows.Err()
}

const alertColumns = `fingerprint, starts_at, ends_at, status, incident_id, labels, annotations, generator_url, external_url,
	group_key, receiver, received_at, updated_at, expired, claimed_at, why`

// A storedAlert is an alert with the id of its row.
type storedAlert struct {
	id int64
	incident.Alert
}

func scanAlerts(rows *sql.Rows, err error) ([]storedAlert, error) {
	var out []storedAlert
	err = eachRow(rows, err, func() error {
		var a storedAlert
		var starts, ends, received, updated, expired, claimed int64
		var ls, as string
		err := rows.Scan(&a.id, &a.Fingerprint, &starts, &ends, &a.Status, &a.IncidentID, &ls, &as, &a.GeneratorURL, &a.ExternalURL,
			&a.GroupKey, &a.Receiver, &received, &updated, &expired, &claimed, &a.Why)
		if err != nil {
			return err
		}
		a.StartsAt, a.EndsAt, a.ReceivedAt, a.UpdatedAt = fromNano(starts), fromNano(ends), fromNano(received), fromNano(updated)
		a.Expired, a.ClaimedAt = expired != 0, fromNano(claimed)
		if a.Labels, err = fromLabels(ls); err == nil {
			a.Annotations, err = fromLabels(as)
		}
		if err != nil {
			return fmt.Errorf("alert %s: %w", a.Fingerprint, err)
		}
		out = append(out, a)
		return nil
	})
	return out, err
}

// ListAlerts returns a page of alerts, oldest first.
func (s *Store) ListAlerts(ctx context.Context, q incident.AlertQuery) ([]incident.Alert, string, error) {
	after, err := cursorID('a', q.Cursor)
	if err != nil {
		return nil, "", err
	}
	var w where
	switch {
	case q.Suppressed:
		w.add("incident_id = ?", "")
	case q.IncidentID != "":
		w.add("incident_id = ?", text(q.IncidentID))
	default:
		w.add("incident_id <> ?", "")
	}
	w.add("id > ?", after)
	if q.Firing {
		w.add("status = ?", string(incident.AlertFiring))
	}
	if !q.Since.IsZero() {
		w.add("updated_at >= ?", nano(q.Since))
	}
	if !q.HeardBefore.IsZero() {
		w.add("updated_at < ?", nano(q.HeardBefore))
	}
	n := limit(q.Limit)
	w.args = append(w.args, n+1)
	rows, err := s.r.QueryContext(ctx, `SELECT id, `+alertColumns+` FROM alerts`+w.String()+` ORDER BY id LIMIT $`+strconv.Itoa(len(w.args)), w.args...)
	found, err := scanAlerts(rows, err)
	if err != nil {
		return nil, "", s.reading("alerts", err)
	}
	next := ""
	if len(found) > n {
		found = found[:n]
		next = newCursor('a', found[n-1].id)
	}
	out := make([]incident.Alert, len(found))
	for i := range found {
		out[i] = found[i].Alert
	}
	return out, next, nil
}

// Known returns the latest firings of each fingerprint.
func (s *Store) Known(ctx context.Context, fingerprints []string) ([]incident.Alert, error) {
	var out []incident.Alert
	for len(fingerprints) > 0 {
		n := min(len(fingerprints), 500)
		var w where
		inList(&w, "fingerprint", fingerprints[:n])
		rows, err := s.r.QueryContext(ctx, `SELECT id, `+alertColumns+` FROM (SELECT a.*, ROW_NUMBER() OVER (PARTITION BY fingerprint ORDER BY starts_at DESC) AS nth
			FROM alerts a`+w.String()+`) AS ranked WHERE nth <= `+strconv.Itoa(incident.RecallDepth)+` ORDER BY fingerprint, starts_at DESC`, w.args...)
		found, err := scanAlerts(rows, err)
		if err != nil {
			return nil, s.reading("known alerts", err)
		}
		for i := range found {
			out = append(out, found[i].Alert)
		}
		fingerprints = fingerprints[n:]
	}
	return out, nil
}

// Clock is the time that correlation had reached.
func (s *Store) Clock(ctx context.Context) (time.Time, error) {
	var n int64
	err := s.r.QueryRowContext(ctx, `SELECT COALESCE(MAX(updated_at), 0) FROM alerts`).Scan(&n)
	return fromNano(n), s.reading("clock", err)
}
