// Package linehttp is what the receivers of log lines over HTTP share: it reads a
// request within limits, has it decoded, hands the lines on, counts, and answers.
//
// It must not know any protocol: those are lokipush, otlplogs and fluentbit. Nor has
// it a route or a listener.
package linehttp

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/portent-dev/portent/internal/ingest"
)

// Options are what a handler is made of. All but Config are required.
type Options struct {
	Target     ingest.LineTarget
	Config     Config // zero fields have their defaults
	Registerer prometheus.Registerer
	Logger     *slog.Logger
}

// Protocol is what one receiver knows and the others do not.
type Protocol struct {
	// Source names it in metrics: a word of the code, never data.
	Source string
	// ContentTypes are those that it takes, "" for none given. Encodings are the
	// content encodings, "" for none given.
	ContentTypes, Encodings []string
	// Snappy says that bodies of a content type are in snappy's block format although
	// no content encoding says so.
	Snappy func(contentType string) bool
	// Decode gives the lines of a body to b. Its error is answered with 400, and nothing
	// of the body is taken. Strings may alias body.
	Decode func(contentType string, body []byte, b *Batch) error
	// Accept answers a request that was taken; Refuse one that was not, after the
	// status's headers were set. A nil Refuse answers {"error", "hint"}.
	Accept func(w http.ResponseWriter, contentType string, b *Batch)
	Refuse func(w http.ResponseWriter, contentType string, status int, err error, hint string)
}

type handler struct {
	Protocol
	target  ingest.LineTarget
	config  Config
	logger  *slog.Logger
	metrics *metrics
	room    *semaphore.Weighted
	batches sync.Pool // of *Batch
}

// New returns the handler of a protocol, safe for concurrent use.
//
// Statuses, which decide what a sender does: 400 for a body that cannot be decoded,
// 405, 413 and 415 for one that is not for us, all of which make a sender drop it; 503
// with Retry-After when there is no room or the body did not arrive whole, after which
// it comes again. Never 429. An answer other than that of Accept means that nothing
// was taken.
func New(p Protocol, o Options) (http.Handler, error) {
	if o.Target == nil || o.Registerer == nil || o.Logger == nil {
		return nil, fmt.Errorf("%s: Target, Registerer and Logger are required", p.Source)
	}
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	h := &handler{Protocol: p, target: o.Target, config: o.Config.withDefaults(), logger: o.Logger, metrics: newMetrics(o.Registerer, p.Source)}
	h.room = semaphore.NewWeighted(h.config.MaxInFlightBytes)
	return h, nil
}

// retryAfter is what 503 asks a sender to wait.
const retryAfter = time.Second

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	contentType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	contentType = strings.ToLower(strings.TrimSpace(contentType))
	b := h.batch()
	defer h.put(b)
	err := h.serve(w, r, contentType, b)
	status := http.StatusOK
	if err == nil {
		h.metrics.count(b)
		h.Accept(w, contentType, b)
	} else {
		status = h.refuse(w, contentType, err)
		h.logger.Debug("log lines refused", "status", status, "err", err, "from", r.RemoteAddr)
	}
	h.metrics.requests[status].Inc()
	h.metrics.duration.Observe(time.Since(start).Seconds())
}

func (h *handler) serve(w http.ResponseWriter, r *http.Request, contentType string, b *Batch) error {
	encoding := strings.ToLower(strings.TrimSpace(strings.Join(r.Header.Values("Content-Encoding"), ",")))
	switch {
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		return &statusError{http.StatusMethodNotAllowed, refusedMethod, errors.New("want POST"), ""}
	case !contains(h.ContentTypes, contentType):
		return &statusError{http.StatusUnsupportedMediaType, refusedContent, fmt.Errorf("content type %q is not taken here", short(contentType)), "want " + list(h.ContentTypes)}
	case !contains(h.Encodings, encoding):
		return &statusError{http.StatusUnsupportedMediaType, refusedContent, fmt.Errorf("content encoding %q is not taken here", short(encoding)), "want " + list(h.Encodings)}
	}
	if encoding == "" && h.Snappy != nil && h.Snappy(contentType) {
		encoding = "snappy"
	}
	release, err := h.load(w, r, encoding, b)
	if err != nil {
		return err
	}
	defer release()
	if err := h.Decode(contentType, b.body, b); err != nil {
		var limit *LimitError
		if errors.As(err, &limit) {
			return &statusError{http.StatusRequestEntityTooLarge, refusedItems, err, hintSmaller}
		}
		return &statusError{http.StatusBadRequest, refusedMessage, err, hintCorrupt}
	}
	if len(b.Lines) == 0 {
		return nil
	}
	if err := h.target.TakeLines(b.Lines); err != nil {
		return &statusError{http.StatusServiceUnavailable, refusedTarget, err, hintAgain}
	}
	return nil
}

func (h *handler) refuse(w http.ResponseWriter, contentType string, err error) int {
	var se *statusError
	if !errors.As(err, &se) {
		panic("BUG: an error without a status: " + err.Error())
	}
	h.metrics.refused[se.why].Inc()
	if se.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	}
	w.Header().Set("X-Content-Type-Options", "nosniff") // the message quotes the sender's text
	if h.Refuse == nil {
		WriteError(w, se.status, se.err, se.hint)
	} else {
		h.Refuse(w, contentType, se.status, se.err, se.hint)
	}
	return se.status
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func list(of []string) string {
	return strings.Join(strings.Fields(strings.Join(of, " ")), ", ")
}

// short cuts text of a sender for a message.
func short(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}
