package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/portent-dev/portent/internal/incident"
)

// The states of a row in notifications.
const (
	notePending = 0
	noteDone    = 1
	noteAside   = 2
)

// A batch is bounded so that a commit stays short: at 5 kB a notification the
// rows come first, at more the bytes.
const (
	batchRows  = 512
	batchBytes = 8 << 20
)

type putRequest struct {
	ns   []incident.Notification
	size int
	done chan error
}

// Put stores notifications. Calls that come while a transaction is being
// written share the next one, so the cost of reaching the disk is paid once for
// all of them. When ctx ends first the notifications may be stored all the same.
func (s *Store) Put(ctx context.Context, ns ...incident.Notification) error {
	if len(ns) == 0 {
		return nil
	}
	r := &putRequest{ns: ns, done: make(chan error, 1)}
	for i := range ns {
		r.size += len(ns[i].Body)
	}
	select {
	case s.puts <- r:
	case <-ctx.Done():
		return fmt.Errorf("store notification: %w", ctx.Err())
	case <-s.closing:
		return fmt.Errorf("store notification: %w", incident.ErrClosed)
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("store notification: %w", ctx.Err())
	}
}

// commitPuts is the one goroutine that writes what Put was given. The channel
// has no buffer: whoever waits in it has not been taken, and gets ErrClosed.
func (s *Store) commitPuts() {
	for {
		var batch []*putRequest
		select {
		case r := <-s.puts:
			batch = append(batch, r)
		case <-s.closing:
			return
		}
		rows, bytes := len(batch[0].ns), batch[0].size
	more:
		for rows < batchRows && bytes < batchBytes {
			select {
			case r := <-s.puts:
				batch = append(batch, r)
				rows += len(r.ns)
				bytes += r.size
			default:
				break more
			}
		}
		err := s.commitBatch(batch, rows)
		for _, r := range batch {
			r.done <- err
		}
	}
}

func (s *Store) commitBatch(batch []*putRequest, n int) error {
	start := time.Now()
	rows := make([][]any, 0, n)
	for _, r := range batch {
		for _, m := range r.ns {
			rows = append(rows, noteRow(m, notePending, ""))
		}
	}
	// Not the context of one caller: the others must not fail with it.
	ctx := context.Background()
	var stored int64
	err := s.write(ctx, "notifications", func(tx *sql.Tx) error {
		err := s.checkReserve(ctx, tx)
		if err == nil {
			stored, err = s.insertNotes(ctx, tx, rows)
		}
		return err
	})
	s.metrics.commit.Observe(time.Since(start).Seconds())
	if err == nil {
		s.metrics.batch.Observe(float64(n))
		s.metrics.stored.Add(float64(stored))
		s.metrics.duplicate.Add(float64(int64(n) - stored))
	}
	return err
}

// checkReserve refuses what is new before a bounded database is full: the rest
// is for processing what was acknowledged, and for making room.
func (s *Store) checkReserve(ctx context.Context, tx *sql.Tx) error {
	if s.o.MaxBytes == 0 || s.d.used == "" {
		return nil
	}
	var used int64
	if err := tx.QueryRowContext(ctx, s.d.used).Scan(&used); err != nil {
		return err
	}
	if most := s.o.MaxBytes - reserve(s.o.MaxBytes); used > most {
		return fmt.Errorf("%w: %d bytes are used and %d of %d are for new notifications; raise the limit or shorten the retention", incident.ErrFull, used, most, s.o.MaxBytes)
	}
	return nil
}

// reserve is a tenth of the limit, or 8 MiB where that is more, which is some
// thousand alerts; never more than half.
func reserve(maxBytes int64) int64 { return min(max(maxBytes/10, 8<<20), maxBytes/2) }

func (s *Store) insertNotes(ctx context.Context, tx *sql.Tx, rows [][]any) (stored int64, err error) {
	return s.insert(ctx, tx, `INSERT INTO notifications (source, received_at, clock, digest, body, state, reason, done_at)`,
		`ON CONFLICT (digest) WHERE state = 0 DO NOTHING`, rows)
}

func noteRow(m incident.Notification, state int, reason string) []any {
	if m.Digest == "" {
		m.Digest = incident.BodyDigest(m)
	}
	if m.ReceivedAt.IsZero() {
		m.ReceivedAt = time.Now()
	}
	var done int64
	if state != notePending {
		done = nano(m.ReceivedAt)
	}
	return []any{text(m.Source), nano(m.ReceivedAt), nano(m.Clock), m.Digest, m.Body, state, text(reason), done}
}

const noteColumns = `id, source, received_at, clock, digest, body`

// nextBytes bounds what Next returns, but for one notification, which is
// bounded by the webhook.
const nextBytes = 32 << 20

// Next returns the oldest pending notifications.
func (s *Store) Next(ctx context.Context, limit int) ([]incident.Notification, error) {
	rows, err := s.r.QueryContext(ctx, `SELECT `+noteColumns+`, '' FROM notifications WHERE state = 0 ORDER BY id LIMIT $1`, limit)
	aside, err := scanNotes(rows, err, nextBytes)
	out := make([]incident.Notification, len(aside))
	for i := range aside {
		out[i] = aside[i].Notification
	}
	return out, s.reading("notifications", err)
}

// Pending counts the pending notifications.
func (s *Store) Pending(ctx context.Context) (n int, err error) {
	err = s.r.QueryRowContext(ctx, `SELECT COUNT(*) FROM notifications WHERE state = 0`).Scan(&n)
	return n, s.reading("notifications", err)
}

// maxAside bounds the bodies that are kept for a person to look at.
const maxAside = 1000

// Refuse keeps a body that cannot be processed.
func (s *Store) Refuse(ctx context.Context, m incident.Notification, reason string) error {
	return s.write(ctx, "refused notification", func(tx *sql.Tx) error {
		_, err := s.insertNotes(ctx, tx, [][]any{noteRow(m, noteAside, reason)})
		return err
	})
}

// Aside returns refused and set aside bodies, newest first.
func (s *Store) Aside(ctx context.Context, n int) ([]incident.AsideNotification, error) {
	rows, err := s.r.QueryContext(ctx, `SELECT `+noteColumns+`, reason FROM notifications WHERE state = 2 ORDER BY id DESC LIMIT $1`, limit(n))
	out, err := scanNotes(rows, err, nextBytes)
	return out, s.reading("notifications set aside", err)
}

func scanNotes(rows *sql.Rows, err error, maxBytes int) ([]incident.AsideNotification, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []incident.AsideNotification
	for bytes := 0; bytes < maxBytes && rows.Next(); {
		var m incident.AsideNotification
		var received, clock int64
		if err := rows.Scan(&m.ID, &m.Source, &received, &clock, &m.Digest, &m.Body, &m.Reason); err != nil {
			return nil, err
		}
		m.ReceivedAt, m.Clock = fromNano(received), fromNano(clock)
		bytes += len(m.Body)
		out = append(out, m)
	}
	return out, rows.Err()
}
