// Package linetest holds a handler of log lines to what all of them promise: statuses
// that senders understand, limits, and lines that are dead after the call.
package linetest

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/ingest/linehttp"
)

// Target keeps copies of the lines that it is given. It is safe for concurrent use.
type Target struct {
	Err error // what TakeLines returns

	mu    sync.Mutex
	lines []ingest.Line
}

// TakeLines implements ingest.LineTarget.
func (t *Target) TakeLines(lines []ingest.Line) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.Err != nil {
		return t.Err
	}
	for _, l := range lines {
		l.Text, l.Severity, l.TraceID = strings.Clone(l.Text), strings.Clone(l.Severity), strings.Clone(l.TraceID)
		l.Labels = slices.Clone(l.Labels)
		for i := range l.Labels {
			l.Labels[i] = ingest.Label{Name: strings.Clone(l.Labels[i].Name), Value: strings.Clone(l.Labels[i].Value)}
		}
		slices.SortFunc(l.Labels, func(a, b ingest.Label) int { return strings.Compare(a.Name, b.Name) })
		t.lines = append(t.lines, l)
	}
	return nil
}

// Take returns the lines so far and forgets them.
func (t *Target) Take() []ingest.Line {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := t.lines
	t.lines = nil
	return out
}

// New makes a handler over a Target.
type New func(linehttp.Options) (http.Handler, error)

// Handler makes one with small limits.
func Handler(t testing.TB, newHandler New, c linehttp.Config) (http.Handler, *Target, *prometheus.Registry) {
	t.Helper()
	target, reg := &Target{}, prometheus.NewRegistry()
	h, err := newHandler(linehttp.Options{Target: target, Config: c, Registerer: reg, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	return h, target, reg
}

// Post sends a body.
func Post(h http.Handler, contentType, encoding string, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	if encoding != "" {
		r.Header.Set("Content-Encoding", encoding)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// Sample is a good request of a protocol: of three lines, 10 bytes at least in all.
type Sample struct {
	ContentType string
	Body        []byte
}

// zeros is an endless body that counts what is read of it.
type zeros struct{ read int64 }

func (z *zeros) Read(p []byte) (int, error) {
	clear(p)
	z.read += int64(len(p))
	return len(p), nil
}

// Run is the suite.
func Run(t *testing.T, newHandler New, s Sample) {
	t.Run("statuses", func(t *testing.T) {
		h, target, reg := Handler(t, newHandler, linehttp.Config{})
		require.Less(t, Post(h, s.ContentType, "", s.Body).Code, 205)
		require.Len(t, target.Take(), 3)

		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		require.Equal(t, http.StatusMethodNotAllowed, w.Code)
		require.Equal(t, http.StatusUnsupportedMediaType, Post(h, "text/html", "", s.Body).Code)
		require.Equal(t, http.StatusUnsupportedMediaType, Post(h, s.ContentType, "br", s.Body).Code)
		require.Equal(t, http.StatusBadRequest, Post(h, s.ContentType, "gzip", s.Body).Code)
		require.Equal(t, http.StatusBadRequest, Post(h, s.ContentType, "", s.Body[:len(s.Body)-1]).Code)
		require.Empty(t, target.Take(), "nothing of a bad request is taken")

		target.Err = ingest.ErrBusy
		w = Post(h, s.ContentType, "", s.Body)
		require.Equal(t, http.StatusServiceUnavailable, w.Code, "never 429: what is busy may be sent again")
		require.Equal(t, "1", w.Header().Get("Retry-After"))
		n, err := testutil.GatherAndCount(reg, "portent_exporter_log_requests_refused_total")
		require.NoError(t, err)
		require.Equal(t, 10, n, "every reason is there from the start")
	})
	t.Run("limits", func(t *testing.T) {
		h, _, _ := Handler(t, newHandler, linehttp.Config{MaxBodyBytes: int64(len(s.Body)) - 1})
		require.Equal(t, http.StatusRequestEntityTooLarge, Post(h, s.ContentType, "", s.Body).Code)
		h, target, _ := Handler(t, newHandler, linehttp.Config{MaxLineBytes: 2})
		require.Less(t, Post(h, s.ContentType, "", s.Body).Code, 205)
		for _, l := range target.Take() {
			require.LessOrEqual(t, len(l.Text), 2)
		}
	})
	t.Run("1 GB costs nothing", func(t *testing.T) {
		h, _, _ := Handler(t, newHandler, linehttp.Config{MaxBodyBytes: 1 << 20})
		for _, announced := range []int64{1 << 30, -1} {
			z := &zeros{}
			r := httptest.NewRequest(http.MethodPost, "/", io.LimitReader(z, 1<<30))
			r.ContentLength = announced
			r.Header.Set("Content-Type", s.ContentType)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			require.Equal(t, http.StatusRequestEntityTooLarge, w.Code)
			require.LessOrEqual(t, z.read, int64(4<<20))
		}
	})
	t.Run("broken connection", func(t *testing.T) {
		h, _, _ := Handler(t, newHandler, linehttp.Config{})
		r := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(bytes.NewReader(s.Body[:5]), errReader{}))
		r.Header.Set("Content-Type", s.ContentType)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, http.StatusServiceUnavailable, w.Code, "it may be sent again")
	})
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
