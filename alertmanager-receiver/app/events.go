package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/portent-dev/portent/internal/sqlstore"
	"github.com/portent-dev/portent/internal/web"
)

// activity tells what changed since a moment.
type activity interface {
	Changed(ctx context.Context, a sqlstore.Activity, limit int) (ids []string, next sqlstore.Activity, err error)
}

const (
	// watchEvery is how late a page is told: a glance. One look costs two indexed reads, for all who watch.
	watchEvery = time.Second
	// maxWatchers bounds the pages that are told by themselves; the others say so, and are reloaded by hand.
	maxWatchers = 200
	// maxChanges bounds one look; after a storm the rest comes with the next.
	maxChanges = 500
	// watcherRoom is how many changes one page may lag behind before it is only told to look anew.
	watcherRoom = 64
	// beatEvery keeps proxies from cutting a silent stream, and is how late a right that was taken away ends one.
	beatEvery = 15 * time.Second
	// streamWrite bounds one write to a page.
	streamWrite = 10 * time.Second
)

// hub tells pages what changed. It looks at the store, so that it sees what other replicas do, and only while somebody
// watches. Safe for concurrent use.
type hub struct {
	store activity
	log   *slog.Logger

	mu       sync.Mutex
	watchers map[*watcher]bool
	looking  bool
	began    chan struct{} // closed when the first look since somebody watches has found where to begin
	closed   chan struct{}
	once     sync.Once
}

// watcher is one open page.
type watcher struct {
	changes chan string // ids of incidents; empty: look anew, there were too many
	began   chan struct{}
}

func newHub(store activity, log *slog.Logger) *hub {
	return &hub{store: store, log: log, watchers: map[*watcher]bool{}, closed: make(chan struct{})}
}

// close ends all streams, so that the server can stop.
func (h *hub) close() { h.once.Do(func() { close(h.closed) }) }

// watch adds a page; false when there are too many. stop must be called.
func (h *hub) watch() (w *watcher, stop func(), ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.watchers) >= maxWatchers {
		return nil, nil, false
	}
	if !h.looking {
		h.looking, h.began = true, make(chan struct{})
		go h.look(h.began)
	}
	w = &watcher{changes: make(chan string, watcherRoom), began: h.began}
	h.watchers[w] = true
	return w, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watchers, w)
	}, true
}

// idle ends the looking when nobody watches.
func (h *hub) idle() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.watchers) == 0 {
		h.looking = false
		return true
	}
	return false
}

func (h *hub) look(began chan struct{}) {
	var at sqlstore.Activity
	failing, first := false, true
	for {
		ctx, cancel := context.WithTimeout(context.Background(), watchEvery*5)
		ids, next, err := h.store.Changed(ctx, at, maxChanges)
		cancel()
		if err != nil && !failing {
			h.log.Error("changes_unknown", "err", err)
		}
		if failing = err != nil; err == nil {
			at = next
			if len(ids) >= maxChanges { // there may be more of the same moment
				ids = []string{""}
			}
			h.tell(ids)
			if first {
				close(began)
				first = false
			}
		}
		select {
		case <-time.After(watchEvery):
		case <-h.closed:
			return
		}
		if h.idle() {
			return
		}
	}
}

// tell passes changes on. A page that lags behind is told to look anew instead of each of them.
func (h *hub) tell(ids []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers {
		for _, id := range ids {
			if cap(w.changes)-len(w.changes) > 1 {
				w.changes <- id
				continue
			}
			select {
			case w.changes <- "":
			default: // it will look anew anyway
			}
			break
		}
	}
}

// serveEvents answers GET /api/v1/events: a stream of server-sent events, one for each incident that changed and that
// the principal may see, from since on where that is given.
func (s *server) serveEvents(w http.ResponseWriter, r *http.Request, p principal) {
	v, err := values(r, "since")
	var since time.Time
	if err == nil {
		since, err = instant(v.Get("since"))
	}
	if err != nil {
		web.Error(w, http.StatusBadRequest, err, "since is when the page was made")
		return
	}
	watcher, stop, ok := s.hub.watch()
	if !ok {
		w.Header().Set("Retry-After", "60")
		s.fail(w, r, http.StatusServiceUnavailable, errors.New("too many pages are open"), "reload by hand, or close some")
		return
	}
	defer stop()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	out := http.NewResponseController(w)
	send := func(text string) bool {
		// A page that does not read must not hold the goroutine for ever.
		err := out.SetWriteDeadline(time.Now().Add(streamWrite))
		if err != nil && !errors.Is(err, http.ErrNotSupported) {
			return false
		}
		_, err = io.WriteString(w, text) //nolint:gosec // no page: a stream of events, and ids are escaped for a path
		return err == nil && out.Flush() == nil
	}
	if !send("retry: 3000\n\n") || !s.catchUp(r.Context(), p, watcher, since, send) {
		return
	}
	beat := time.NewTicker(s.beat)
	defer beat.Stop()
	for {
		select {
		case id := <-watcher.changes:
			if text, ok := s.eventFor(r.Context(), p, id); ok && !send(text) {
				return
			}
		case <-beat.C:
			// Somebody whose rights have changed asks anew, with those of now.
			if now, ok := s.who(r); !ok || now.rights() != p.rights() || !send(": still here\n\n") {
				return
			}
		case <-r.Context().Done():
			return
		case <-s.hub.closed:
			return
		}
	}
}

// catchUp tells what changed between since and the first look of the hub, and marks where news begin.
func (s *server) catchUp(ctx context.Context, p principal, w *watcher, since time.Time, send func(string) bool) bool {
	select {
	case <-w.began:
	case <-ctx.Done():
		return false
	case <-s.hub.closed:
		return false
	}
	if !since.IsZero() {
		since = since.Add(-2 * watchEvery) // a page reads before it says when it was made
		ids, _, err := s.hub.store.Changed(ctx, sqlstore.Activity{Touched: since, Line: math.MaxInt64}, watcherRoom)
		if err != nil || len(ids) == watcherRoom {
			ids = []string{""} // it looks anew
		}
		for _, id := range ids {
			if text, ok := s.eventFor(ctx, p, id); ok && !send(text) {
				return false
			}
		}
	}
	return send(": news from here\n\n")
}

// eventFor is what p is told of a change; ok is false when that is nothing.
func (s *server) eventFor(ctx context.Context, p principal, id string) (text string, ok bool) {
	if id == "" {
		return "event: many\ndata: {}\n\n", true
	}
	if p.scoped() {
		if _, _, err := s.see(ctx, p, id); err != nil {
			return "", false // what it must not see does not change either
		}
	}
	return "event: incident\ndata: {\"id\":\"" + url.PathEscape(id) + "\"}\n\n", true
}
