package plugin

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"

	"github.com/portent-dev/portent/datasource-plugin/pkg/questions"
)

// What is kept of the servers' catalogs, and for how long.
const (
	// knowFor is how old a catalog may be: a metric that is new can be asked for after that.
	knowFor = 10 * time.Minute
	// idleAfter is when nobody asks any more: a catalog of a large server takes up to 300 MiB.
	idleAfter = time.Hour
	// loadTimeout is how long a large server may take to list its labels.
	loadTimeout = 2 * time.Minute
	// failFor keeps a server that fails from being asked for its catalog by every panel of a dashboard.
	failFor = 5 * time.Second
	// maxCatalogs of users, where each sees another server.
	maxCatalogs = 8
)

// memory keeps what the servers have, so that a question costs no listing of all labels. One catalog serves all,
// unless the servers see who asks. It is refreshed in the background until it was not used for idleAfter or the
// instance is disposed of; a catalog of a user is read again when that user asks, with that user's rights.
type memory struct {
	load   func(ctx context.Context) (questions.Knowledge, error)
	shared bool
	life   context.Context //nolint:containedctx // that of the instance, which no call has
	end    context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	entries map[string]*catalog // by user; "" is everybody
}

// catalog is one reading. Its fields but ready are guarded by the memory's lock.
type catalog struct {
	ready chan struct{} // closed when know or err is set
	know  questions.Knowledge
	err   error
	at    time.Time // when it was read
	used  time.Time
}

func newMemory(shared bool, load func(context.Context) (questions.Knowledge, error)) *memory {
	m := &memory{load: load, shared: shared, entries: map[string]*catalog{}}
	m.life, m.end = context.WithCancel(context.Background())
	return m
}

// close ends what runs in the background and waits for it.
func (m *memory) close() {
	m.end()
	m.wg.Wait()
}

// errDisposed is the answer to a query that came while the settings were changed.
var errDisposed = errors.New("the settings of the data source were changed while the question was asked: ask again")

// get returns what the servers have, and reads it first where need be. A caller that goes away does not end the
// reading for the others.
func (m *memory) get(ctx context.Context) (questions.Knowledge, error) {
	user := ""
	if !m.shared {
		pc := backend.PluginConfigFromContext(ctx)
		if pc.User != nil {
			user = pc.User.Login
		}
	}
	m.mu.Lock()
	if m.life.Err() != nil {
		m.mu.Unlock()
		return questions.Knowledge{}, errDisposed
	}
	c := m.entries[user]
	if c == nil || m.stale(c) {
		c = m.begin(ctx, user)
	}
	c.used = time.Now()
	m.mu.Unlock()
	select {
	case <-c.ready:
		m.mu.Lock()
		defer m.mu.Unlock()
		return c.know, c.err
	case <-ctx.Done():
		return questions.Knowledge{}, ctx.Err()
	}
}

// stale reports whether c must be read again before it is used. The lock is held.
func (m *memory) stale(c *catalog) bool {
	select {
	case <-c.ready:
	default:
		return false // being read
	}
	if c.err != nil {
		return time.Since(c.at) > failFor
	}
	return !m.shared && time.Since(c.at) > knowFor
}

// begin starts to read. The lock is held.
func (m *memory) begin(ctx context.Context, user string) *catalog {
	c := &catalog{ready: make(chan struct{}), used: time.Now()}
	if len(m.entries) >= maxCatalogs {
		m.forgetOldest()
	}
	m.entries[user] = c
	// The reading keeps the rights of whoever asked and outlives the call, not the instance.
	from := context.WithoutCancel(ctx)
	if m.shared {
		from = m.life
	}
	m.wg.Go(func() {
		if m.read(from, c) == nil && m.shared {
			m.refresh(c)
		}
	})
	return c
}

func (m *memory) forgetOldest() {
	var oldest string
	var at time.Time
	for user, c := range m.entries {
		if at.IsZero() || c.used.Before(at) {
			oldest, at = user, c.used
		}
	}
	delete(m.entries, oldest)
}

// read fills c for the first time.
func (m *memory) read(ctx context.Context, c *catalog) error {
	know, err := m.bounded(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	c.know, c.err, c.at = know, err, time.Now()
	close(c.ready)
	return err
}

func (m *memory) bounded(ctx context.Context) (questions.Knowledge, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	defer context.AfterFunc(m.life, cancel)()
	return m.load(ctx)
}

// refresh reads again until nobody asks any more. While it reads, and when that fails, the old catalog serves.
func (m *memory) refresh(c *catalog) {
	tick := time.NewTicker(knowFor)
	defer tick.Stop()
	for {
		select {
		case <-m.life.Done():
			return
		case <-tick.C:
		}
		m.mu.Lock()
		if time.Since(c.used) > idleAfter {
			delete(m.entries, "")
			m.mu.Unlock()
			return
		}
		m.mu.Unlock()
		know, err := m.bounded(m.life)
		if err != nil {
			backend.Logger.Debug("catalog not refreshed", "error", err)
			continue
		}
		m.mu.Lock()
		c.know, c.at = know, time.Now()
		m.mu.Unlock()
	}
}
