package app

import (
	"context"
	"sync"
	"time"
)

// backlog knows how many notifications wait, not older than a second: the webhook asks for every
// notification, and counting is a query. Safe for concurrent use.
type backlog struct {
	count func(context.Context) (int, error)
	now   func() time.Time

	mu   sync.Mutex
	at   time.Time
	n    int
	busy bool
}

const backlogAge = time.Second

// pending returns the last known number; the first caller after it is too old counts anew, the others do not
// wait. An error leaves the last number: the store's own error is what the sender is told then.
func (b *backlog) pending(ctx context.Context) int {
	b.mu.Lock()
	if b.busy || b.now().Sub(b.at) < backlogAge {
		defer b.mu.Unlock()
		return b.n
	}
	b.busy = true
	b.mu.Unlock()

	n, err := b.count(ctx)

	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy, b.at = false, b.now()
	if err == nil {
		b.n = n
	}
	return b.n
}

// memory bounds the bytes of all bodies that are held at a time. The zero value is ready. Safe for concurrent use.
type memory struct {
	mu   sync.Mutex
	held int64
}

// acquire reserves room for a body of the announced length, or of the greatest allowed one when none was
// announced. ok is false when there is none now; otherwise release must be called.
func (m *memory) acquire(length, maxBody, maxHeld int64) (release func(), ok bool) {
	if length < 0 || length > maxBody {
		length = maxBody
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held > 0 && m.held+length > maxHeld {
		return nil, false
	}
	m.held += length
	return func() {
		m.mu.Lock()
		m.held -= length
		m.mu.Unlock()
	}, true
}

// repeatLog decides when something that repeats is logged: at once when it is new, then once a minute with how
// often it happened. Its keys come from a bounded set. Safe for concurrent use.
type repeatLog struct {
	now func() time.Time

	mu   sync.Mutex
	seen map[string]*repeat
}

type repeat struct {
	last  time.Time
	times int
}

const repeatEvery = time.Minute

// next counts one occurrence; ok says to log it, with the number since the last line.
func (l *repeatLog) next(key string) (times int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil {
		l.seen = map[string]*repeat{}
	}
	r := l.seen[key]
	if r == nil {
		r = &repeat{}
		l.seen[key] = r
	}
	r.times++
	if now := l.now(); r.last.IsZero() || now.Sub(r.last) >= repeatEvery {
		times, r.times, r.last = r.times, 0, now
		return times, true
	}
	return 0, false
}

// readiness asks the store at most once a second whether it can be written, as anybody may ask us at any rate.
type readiness struct {
	check func(context.Context) error
	now   func() time.Time

	mu  sync.Mutex
	at  time.Time
	err error
}

// readyTimeout is what a store may take to say that it can be written. A store that is slower is not ready.
const readyTimeout = 5 * time.Second

func (r *readiness) ready() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.at.IsZero() && r.now().Sub(r.at) < time.Second {
		return r.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	r.err, r.at = r.check(ctx), r.now()
	return r.err
}
