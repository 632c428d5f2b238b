package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"hash/fnv"
	"time"
)

// leadEvery is how often leadership is asked for, and checked once it is held.
const leadEvery = time.Second

// Lead waits until this process is the only one that leads name. The returned
// context ends when leadership is lost or release is called. With SQLite, which
// one process has, there is nothing to wait for.
//
// In PostgreSQL it is an advisory lock of a session: it is free when the process
// or its connection is gone. A process that does not know yet that it lost it is
// stopped by the versions in Apply.
func (s *Store) Lead(ctx context.Context, name string) (held context.Context, release func(), err error) {
	held, cancel := context.WithCancel(ctx)
	if s.d.onlyProcess {
		return held, cancel, nil
	}
	key := leadKey(name)
	for {
		conn, err := s.takeLead(ctx, key)
		if err == nil && conn != nil {
			done := make(chan struct{})
			go func() { defer close(done); keepLead(held, cancel, conn) }()
			return held, func() { cancel(); <-done }, nil
		}
		if err != nil {
			s.log.Warn("lead_not_asked_for", "name", name, "err", err)
		}
		select {
		case <-time.After(leadEvery):
		case <-ctx.Done():
			cancel()
			return nil, nil, fmt.Errorf("lead %s: %w", name, ctx.Err())
		}
	}
}

// takeLead returns the connection that holds the lock, nil when another one does.
func (s *Store) takeLead(ctx context.Context, key int64) (*sql.Conn, error) {
	conn, err := s.w.Conn(ctx)
	if err != nil {
		return nil, err
	}
	var got bool
	if err = conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1)`, key).Scan(&got); err == nil && got {
		return conn, nil
	}
	if closing := conn.Close(); err == nil {
		err = closing
	}
	return nil, err
}

// keepLead holds the connection until held ends or the connection breaks.
func keepLead(held context.Context, cancel func(), conn *sql.Conn) {
	defer cancel()
	for held.Err() == nil {
		select {
		case <-time.After(leadEvery):
		case <-held.Done():
		}
		bounded, stop := context.WithTimeout(context.WithoutCancel(held), 5*time.Second)
		_, err := conn.ExecContext(bounded, `SELECT 1`)
		stop()
		if err != nil {
			break
		}
	}
	// The session ends with its locks; the pool must not give it to others.
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = conn.Close()
}

func leadKey(name string) int64 {
	h := fnv.New64a()
	h.Write([]byte("portent/" + name))
	return int64(h.Sum64())
}
