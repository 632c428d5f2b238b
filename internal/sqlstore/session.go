package sqlstore

import (
	"context"
	"database/sql/driver"
	"math/rand/v2"
	"sync"
	"time"
)

// A session tells other replicas that this process lives: an advisory lock of a connection
// to PostgreSQL, named by a random number that goes with each task the process has in
// flight. The server lets go of it at once when the process is killed, so that others need
// not wait for the lease. With SQLite there are no others.
type session struct {
	mu    sync.Mutex
	owner int64         // 0: there is none
	lost  chan struct{} // closed when it is lost
}

const (
	// sessionClass is the first key of the lock, "port" in ASCII; the second is the owner.
	sessionClass = 0x706f7274
	// deadGrace is how long a process that lives on may take to notice that it lost its
	// session, and to break off its calls: a look at it each second, which may take
	// sessionCheck.
	deadGrace    = 15 * time.Second
	sessionCheck = 5 * time.Second
)

// ownerGone ends the condition that a task in flight is free: the session of whoever has
// it is gone.
const ownerGone = ` OR (o.owner <> 0 AND NOT EXISTS (SELECT 1 FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
	AND l.classid::bigint = 1886351988 AND l.objid::bigint = o.owner AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())))`

// SessionLost returns a channel that is closed when others may take what this process has
// in flight, and all calls are to be broken off; nil where that cannot be.
func (s *Store) SessionLost() <-chan struct{} {
	s.session.mu.Lock()
	defer s.session.mu.Unlock()
	return s.session.lost
}

func (s *session) current() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owner
}

func (s *session) set(owner int64, lost chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owner, s.lost = owner, lost
}

// keepSession has a session until the store is closed, a new one when it lost one.
func (s *Store) keepSession() {
	for {
		s.oneSession()
		select {
		case <-s.closing:
			return
		case <-time.After(leadEvery):
		}
	}
}

// oneSession opens a session and holds it until it is lost or the store is closed.
func (s *Store) oneSession() {
	ctx, cancel := context.WithTimeout(context.Background(), sessionCheck)
	defer cancel()
	conn, err := s.w.Conn(ctx)
	if err != nil {
		return // whoever writes says so
	}
	defer func() { _ = conn.Close() }() // broken by then
	owner := int64(rand.Int32N(1<<31-2)) + 1
	var got bool
	if err := conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1::int, $2::int)`, sessionClass, owner).Scan(&got); err != nil || !got {
		return
	}
	lost := make(chan struct{})
	s.session.set(owner, lost)
	for alive := true; alive; {
		select {
		case <-time.After(leadEvery):
			bounded, stop := context.WithTimeout(context.Background(), sessionCheck)
			_, err := conn.ExecContext(bounded, `SELECT 1`)
			stop()
			alive = err == nil
		case <-s.closing:
			alive = false
		}
	}
	s.session.set(0, lost)
	close(lost)
	_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // the lock goes with the connection
}
