package remotewrite

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"

	"github.com/golang/snappy"
)

// statusError is a request that is answered with an error; nothing of it was written.
type statusError struct {
	status int
	why    refusal
	err    error
	hint   string
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

// Hints of answers: what the operator of the sender can do.
const (
	hintCorrupt = "the sender, or a proxy in between, damages or cuts requests; it should not send this one again"
	hintSmaller = "let the sender make smaller requests (Prometheus: queue_config.max_samples_per_send), or raise the limit in the exporter's configuration"
	hintAgain   = "send it again after a pause; nothing of it was written"
)

// maxSnappyRatio bounds what snappy's block format can make of a byte: its
// densest element writes 64 bytes for 3. A request that declares more is damaged
// or means harm, and no memory is set aside for it.
const maxSnappyRatio = 22

// errShort ends the read of a body that stops before the length of its content.
var errShort = errors.New("the request body is empty")

// load reads the body of a request and decompresses it into st.message. release
// must be called when the message is done with.
//
// The order is what bounds the cost of a hostile body: the length that is
// announced, then the decompressed length that the first bytes declare, then room
// in memory for both, and only then the rest of the body.
func (h *handler) load(w http.ResponseWriter, r *http.Request, st *state) (release func(), err error) {
	c := &h.config
	if r.ContentLength > c.MaxBodyBytes {
		w.Header().Set("Connection", "close") // or the server would read on to keep the connection
		return nil, tooLarge(refusedBody, "the request body has %d bytes, more than max_body_bytes (%d)", r.ContentLength, c.MaxBodyBytes)
	}
	// Not every ResponseWriter can do this (a test's recorder cannot). Then the
	// server's own timeout is all there is.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(time.Duration(c.ReadTimeout)))
	body := http.MaxBytesReader(w, r.Body, c.MaxBodyBytes)

	declared, err := st.readHeader(body)
	if err != nil {
		return nil, h.readError(err)
	}
	if declared > uint64(c.MaxDecompressedBytes) {
		w.Header().Set("Connection", "close")
		return nil, tooLarge(refusedDecompressed, "the request declares %d bytes after decompression, more than max_decompressed_bytes (%d)", declared, c.MaxDecompressedBytes)
	}
	expected := r.ContentLength
	if expected < 0 {
		expected = c.MaxBodyBytes
	}
	weight := expected + int64(declared)
	if err := h.acquire(r.Context(), weight); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			h.release(weight)
		}
	}()
	if st.compressed, err = readAll(body, st.compressed); err != nil {
		return nil, h.readError(err)
	}
	_ = control.SetReadDeadline(time.Time{})
	h.metrics.receivedBytes.Add(float64(len(st.compressed)))
	if declared > maxSnappyRatio*uint64(len(st.compressed)) {
		return nil, corrupt(refusedSnappy, fmt.Errorf("snappy: the body declares %d bytes, more than its %d bytes can hold", declared, len(st.compressed)))
	}
	if uint64(cap(st.raw)) < declared {
		st.raw = make([]byte, declared)
	}
	message, err := snappy.Decode(st.raw[:cap(st.raw)], st.compressed)
	if err != nil {
		return nil, corrupt(refusedSnappy, fmt.Errorf("%w (a body of %d bytes that declares %d)", err, len(st.compressed), declared))
	}
	st.message = message
	return func() { h.release(weight) }, nil
}

func tooLarge(why refusal, format string, args ...any) error {
	return &statusError{http.StatusRequestEntityTooLarge, why, fmt.Errorf(format, args...), hintSmaller}
}

func corrupt(why refusal, err error) error {
	return &statusError{http.StatusBadRequest, why, err, hintCorrupt}
}

// readError tells apart why a body could not be read. A connection that broke or
// a sender that was too slow may try again; a body beyond the limit may not.
func (h *handler) readError(err error) error {
	var limit *http.MaxBytesError
	switch {
	case errors.As(err, &limit):
		return tooLarge(refusedBody, "the request body has more than max_body_bytes (%d)", limit.Limit)
	case errors.Is(err, snappy.ErrCorrupt), errors.Is(err, errShort):
		return corrupt(refusedSnappy, err)
	}
	return &statusError{http.StatusServiceUnavailable, refusedUnread, fmt.Errorf("read request body: %w", err), hintAgain}
}

// acquire waits for room in memory.
func (h *handler) acquire(ctx context.Context, bytes int64) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(h.config.QueueTimeout))
	defer cancel()
	if err := h.room.Acquire(ctx, bytes); err != nil {
		return &statusError{
			http.StatusServiceUnavailable,
			refusedNoRoom,
			fmt.Errorf("too many requests are in work: no room for %d more bytes in max_in_flight_bytes (%d)", bytes, h.config.MaxInFlightBytes),
			hintAgain,
		}
	}
	h.metrics.inFlight.Add(float64(bytes))
	return nil
}

func (h *handler) release(bytes int64) {
	h.room.Release(bytes)
	h.metrics.inFlight.Sub(float64(bytes))
}

// readHeader reads the first bytes of a body into st.compressed and returns the
// decompressed length that snappy's block format puts in front.
func (st *state) readHeader(body io.Reader) (declared uint64, err error) {
	st.compressed = st.compressed[:0]
	if cap(st.compressed) < 512 {
		st.compressed = make([]byte, 0, 64<<10)
	}
	for {
		n, err := body.Read(st.compressed[len(st.compressed):cap(st.compressed)])
		st.compressed = st.compressed[:len(st.compressed)+n]
		declared, used := binary.Uvarint(st.compressed)
		switch {
		case used < 0, used > 0 && declared > math.MaxUint32:
			return 0, fmt.Errorf("%w: the length in front is no 32-bit number", snappy.ErrCorrupt)
		case used > 0:
			if err != nil && err != io.EOF {
				return 0, err
			}
			return declared, nil
		case err == io.EOF && len(st.compressed) == 0:
			return 0, errShort
		case err == io.EOF:
			return 0, fmt.Errorf("%w: it ends inside the length in front", snappy.ErrCorrupt)
		case err != nil:
			return 0, err
		}
	}
}

// readAll appends the rest of a body. Memory grows with what arrives, not with
// what was announced.
func readAll(body io.Reader, into []byte) ([]byte, error) {
	for {
		if len(into) == cap(into) {
			into = append(into, 0)[:len(into)]
		}
		n, err := body.Read(into[len(into):cap(into)])
		into = into[:len(into)+n]
		if err == io.EOF {
			return into, nil
		}
		if err != nil {
			return into, err
		}
	}
}
