// Package sqlstore keeps notifications, incidents, the outbox, the audit chain
// and local tickets in SQLite or PostgreSQL. It is the only place with SQL, and
// no caller sees a transaction.
//
// The SQL is one for both databases; what differs stands in a dialect. SQLite
// has one writing connection and several reading ones, and one process may have
// the database open. With PostgreSQL any number of processes may.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/ticket/local"
)

// Store keeps everything. It is safe for concurrent use. Its errors wrap those
// of package incident where there is one, and say what to do about it.
type Store struct {
	d   dialect
	dsn string // without a password
	log *slog.Logger
	// w and r are the same for PostgreSQL. With SQLite, w has one connection.
	w, r    *sql.DB
	release func() error // gives the database up for other processes
	o       Options
	metrics *metrics

	puts      chan *putRequest
	closing   chan struct{}
	closeOnce sync.Once
	closeErr  error
	committer sync.WaitGroup
	session   session
}

var (
	_ incident.Store  = (*Store)(nil)
	_ incident.Inbox  = (*Store)(nil)
	_ incident.Recall = (*Store)(nil)

	_ incident.Dossiers     = (*Store)(nil)
	_ incident.ObjectEvents = (*Store)(nil)

	_ outbox.Queue = (*Store)(nil)
	_ local.Store  = (*Store)(nil)
)

// Options of a store. DSN, Logger and Registerer are needed.
type Options struct {
	// DSN is sqlite:PATH or a postgres:// URL.
	DSN        string
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	// KeepBodies is how long the raw body of a processed notification is kept.
	// Zero: DefaultKeepBodies.
	KeepBodies time.Duration
	// KeepIncidents is how long incidents that ended, with their alerts, and
	// alerts that were kept out are kept. Zero: DefaultKeepIncidents.
	KeepIncidents time.Duration
	// MaxBytes bounds the size of an SQLite database; what would exceed it is
	// refused with incident.ErrFull. Notifications are refused a tenth (at least
	// 8 MiB, at most half) before, so that those which were acknowledged can be
	// processed. Zero: no bound but the disk.
	MaxBytes int64
}

// A week of raw bodies is enough to look into any doubt about what came in;
// at 5 kB a notification and one a second it takes 3 GB. Incidents of a bit
// more than a year let one season be compared with the last.
const (
	DefaultKeepBodies    = 7 * 24 * time.Hour
	DefaultKeepIncidents = 400 * 24 * time.Hour
)

// Open opens the database, checks it and brings its schema up to date. It fails
// with incident.ErrLocked when another process has it and incident.ErrDamaged
// when its content is not sound.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.KeepBodies == 0 {
		o.KeepBodies = DefaultKeepBodies
	}
	if o.KeepIncidents == 0 {
		o.KeepIncidents = DefaultKeepIncidents
	}
	if o.KeepBodies < 0 || o.KeepIncidents < 0 || o.MaxBytes < 0 {
		return nil, errors.New("open store: durations and sizes must not be negative")
	}
	s := &Store{o: o, log: o.Logger, puts: make(chan *putRequest), closing: make(chan struct{})}
	scheme, rest, _ := strings.Cut(o.DSN, ":")
	var err error
	switch scheme {
	case "sqlite":
		s.dsn = o.DSN
		err = s.openSQLite(ctx, rest)
	case "postgres", "postgresql":
		err = s.openPostgres(ctx, o.DSN)
	default:
		return nil, fmt.Errorf("open store: unknown kind %q; known are sqlite:PATH and postgres://USER@HOST/DATABASE", scheme)
	}
	if err == nil {
		err = s.migrate(ctx)
	}
	if err == nil && s.d.onlyProcess {
		// Whoever had tasks in flight is gone.
		_, err = s.w.ExecContext(ctx, `UPDATE outbox SET lease_until = 0 WHERE state = 'inflight'`)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", s.dsn, s.classify(err)), s.closeConnections())
	}
	s.metrics = newMetrics(o.Registerer)
	s.committer.Go(s.commitPuts)
	if !s.d.onlyProcess {
		s.committer.Go(s.keepSession)
	}
	return s, nil
}

// Close ends the store. Calls that wait get incident.ErrClosed, those that are
// being written are finished. It may be called more than once.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		close(s.closing)
		s.committer.Wait()
		s.closeErr = s.closeConnections()
	})
	return s.closeErr
}

func (s *Store) closeConnections() error {
	var errs []error
	if s.r != nil && s.r != s.w {
		errs = append(errs, s.r.Close())
	}
	if s.w != nil { // last, since closing the last connection moves the WAL into the database
		errs = append(errs, s.w.Close())
	}
	if s.release != nil {
		errs = append(errs, s.release())
	}
	return errors.Join(errs...)
}

// Ready reports whether Put would store a notification now, by writing.
func (s *Store) Ready(ctx context.Context) error {
	return s.write(ctx, "probe", func(tx *sql.Tx) error {
		if err := s.checkReserve(ctx, tx); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE probe SET at = $1 WHERE id = 1`, nano(time.Now()))
		return err
	})
}

// write runs f in a transaction that is durable when write returns nil. What
// says what is written, for the error.
func (s *Store) write(ctx context.Context, what string, f func(tx *sql.Tx) error) error {
	err := s.tryWrite(ctx, f)
	if err != nil {
		err = fmt.Errorf("write %s: %w", what, s.classify(err))
		s.metrics.failed(err)
	}
	return err
}

func (s *Store) tryWrite(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := s.w.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, ignore(tx.Rollback(), sql.ErrTxDone))
	}
	return tx.Commit()
}

// ignore is nil for the error that may be.
func ignore(err, may error) error {
	if errors.Is(err, may) {
		return nil
	}
	return err
}

// reading wraps the error of a query.
func (s *Store) reading(what string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("read %s: %w", what, s.classify(err))
	s.metrics.failed(err)
	return err
}

// classify puts the sentinel of package incident in front of an error of the
// database, with what to do.
func (s *Store) classify(err error) error {
	for _, known := range []error{
		incident.ErrNotFound, incident.ErrConflict, incident.ErrBadCursor, incident.ErrFull, incident.ErrLocked,
		incident.ErrClosed, incident.ErrDamaged, context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, known) {
			return err
		}
	}
	if errors.Is(err, sql.ErrConnDone) || strings.Contains(err.Error(), "sql: database is closed") {
		return fmt.Errorf("%w: %w", incident.ErrClosed, err)
	}
	if hint, class := s.d.classify(err); class != nil {
		if hint == "" {
			return fmt.Errorf("%w: %w", class, err)
		}
		return fmt.Errorf("%w: %w; %s", class, err, hint)
	}
	return err
}
