// Package remotewrite receives samples over Prometheus remote write, 1.0 and 2.0
// (https://prometheus.io/docs/specs/prw/remote_write_spec/ and
// https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/), and hands them to
// an ingest.Target.
//
// It must not know what becomes of a sample: no detector, no score, no other
// source. Nor has it a route or a listener; it is one http.Handler.
//
// What is done with the parts of a request that are no samples:
//
//   - A native histogram is checked and then given as two series, <name>_count
//     and <name>_sum, counters unless it is a gauge histogram.
//   - Exemplars are checked and counted as written; they are not used.
//   - Metadata says which series are counters. That of 2.0 comes with the series;
//     that of 1.0 comes apart, and is remembered by family (see families).
//   - Start timestamps, in the sample, the histogram or, as older senders have it,
//     the series, go along with the samples: they tell resets that the values do not.
//   - Our own scores (ingest.OwnOutput) are left out, counted, and reported to the
//     sender as written: nothing is wrong with its request.
package remotewrite

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/portent-dev/portent/internal/ingest"
)

// Options are what the handler is made of. All but Config are required.
type Options struct {
	Target     ingest.Target
	Config     Config // zero fields have their defaults
	Registerer prometheus.Registerer
	Logger     *slog.Logger
}

type handler struct {
	target   ingest.Target
	config   Config
	logger   *slog.Logger
	metrics  *metrics
	counters *ingest.Counters
	families families
	native   families
	room     *semaphore.Weighted
	states   sync.Pool // of *state
}

// New returns the handler of POST /api/v1/write. It is safe for concurrent use.
//
// Its answers: 204 when all was written. 400 when the body is damaged (nothing was
// written) or when some of it is invalid, out of order, ahead of time or beyond
// the series cap (the rest was written); the same request can never succeed. 413
// when it is over a limit, 415 when its content type or encoding is not ours. 503
// when there is no room for it or the body could not be read: it was not written,
// and may come again. Never 429. Errors are {"error", "hint"}. Every answer to
// 2.0 says in headers what was written.
func New(o Options) (http.Handler, error) {
	if o.Target == nil || o.Registerer == nil || o.Logger == nil {
		return nil, errors.New("remotewrite: Target, Registerer and Logger are required")
	}
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	h := &handler{
		target:   o.Target,
		config:   o.Config.withDefaults(),
		logger:   o.Logger,
		metrics:  newMetrics(o.Registerer),
		counters: ingest.NewCounters(o.Registerer, "remote_write"),
	}
	h.families.size, h.families.dropped = h.metrics.families, h.metrics.familiesDropped
	h.native.size, h.native.dropped = h.metrics.native, h.metrics.nativeDropped
	h.room = semaphore.NewWeighted(h.config.MaxInFlightBytes)
	return h, nil
}

// Headers that an answer to 2.0 must have.
const (
	headerSamples    = "X-Prometheus-Remote-Write-Samples-Written"
	headerHistograms = "X-Prometheus-Remote-Write-Histograms-Written"
	headerExemplars  = "X-Prometheus-Remote-Write-Exemplars-Written"
)

// retryAfter is what 503 asks a sender to wait. Room is free again as soon as
// another request is done, which takes milliseconds.
const retryAfter = time.Second

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	proto, err := negotiate(r.Header)
	var written tally
	switch {
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		err = &statusError{http.StatusMethodNotAllowed, refusedMethod, errors.New("method " + cut(r.Method) + " is not allowed: want POST"), ""}
	case err != nil:
		err = &statusError{http.StatusUnsupportedMediaType, refusedContent, err, "remote write 1.0 and 2.0 are served here"}
	default:
		written, err = h.serve(w, r, proto)
	}
	if proto == protocolV2 {
		w.Header().Set(headerSamples, strconv.Itoa(written.samples))
		w.Header().Set(headerHistograms, strconv.Itoa(written.histograms))
		w.Header().Set(headerExemplars, strconv.Itoa(written.exemplars))
	}
	status := h.answer(w, err)
	h.metrics.requests[proto][status].Inc()
	h.metrics.duration.Observe(time.Since(start).Seconds())
	if err != nil {
		h.logger.Debug("remote write refused", "status", status, "err", err, "sender", cut(r.UserAgent()), "from", r.RemoteAddr)
	}
}

// serve writes what the request holds. It returns how much of it, even with an error.
func (h *handler) serve(w http.ResponseWriter, r *http.Request, proto protocol) (tally, error) {
	st := h.get()
	defer h.put(st)
	release, err := h.load(w, r, st)
	if err != nil {
		return tally{}, err
	}
	defer release()

	b := &st.batch
	b.reset(h, proto)
	if proto == protocolV2 {
		err = st.decoder.v2(st.message, b.take)
	} else {
		err = st.decoder.v1(st.message, b.take)
	}
	if err != nil {
		b.rollback()
		var limit *LimitError
		if errors.As(err, &limit) {
			return tally{}, tooLarge(refusedItems, "%w", err)
		}
		return tally{}, corrupt(refusedMessage, err)
	}
	h.families.learn(st.decoder.families)
	written := b.commit(h.counters)
	h.metrics.histograms.Add(float64(written.histograms))
	h.metrics.exemplars.Add(float64(written.exemplars))
	if !b.report.bad() {
		return written, nil
	}
	return written, &statusError{
		http.StatusBadRequest,
		notRefused,
		errors.New(b.report.message(b.sent, written)),
		"the rest of the request was written; do not send it again",
	}
}

// answer writes the response and returns its status.
func (h *handler) answer(w http.ResponseWriter, err error) int {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
		return http.StatusNoContent
	}
	var se *statusError
	if !errors.As(err, &se) {
		panic("BUG: remote write error without a status: " + err.Error())
	}
	if se.why != notRefused {
		h.metrics.refused[se.why].Inc()
	}
	if se.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff") // the message quotes the sender's text
	w.WriteHeader(se.status)
	// The sender may be gone; there is nobody else to tell.
	_ = json.NewEncoder(w).Encode(struct {
		Error string `json:"error"`
		Hint  string `json:"hint,omitempty"`
	}{se.Error(), se.hint})
	return se.status
}
