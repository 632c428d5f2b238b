package linehttp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/golang/snappy"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// statusError is a request that is answered with an error; nothing of it was taken.
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
	hintSmaller = "let the sender make smaller requests, or raise the limit in the exporter's configuration"
	hintAgain   = "send it again after a pause; nothing of it was taken"
)

// load reads and decompresses the body of a request into b.body. release must be
// called when it is done with. The order bounds the cost of a hostile body: the
// announced length, then room in memory for all that it may become, then what
// arrives, then what it decompresses to, each up to its limit.
func (h *handler) load(w http.ResponseWriter, r *http.Request, encoding string, b *Batch) (release func(), err error) {
	c := &h.config
	if r.ContentLength > c.MaxBodyBytes {
		w.Header().Set("Connection", "close") // or the server would read on to keep the connection
		return nil, tooLarge(refusedBody, "the request body has %d bytes, more than max_body_bytes (%d)", r.ContentLength, c.MaxBodyBytes)
	}
	// Not every ResponseWriter can do this (a test's recorder cannot). Then the
	// server's own timeout is all there is.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(time.Duration(c.ReadTimeout)))
	weight := r.ContentLength
	if weight < 0 {
		weight = c.MaxBodyBytes
	}
	if encoding != "" {
		weight += c.MaxDecompressedBytes
	}
	weight = min(weight, c.MaxInFlightBytes)
	if err := h.acquire(r.Context(), weight); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			h.release(weight)
		}
	}()
	body := http.MaxBytesReader(w, r.Body, c.MaxBodyBytes)
	if b.compressed, err = readAll(body, b.compressed); err != nil {
		return nil, readError(err)
	}
	_ = control.SetReadDeadline(time.Time{})
	h.metrics.received.Add(float64(len(b.compressed)))
	if encoding == "" {
		b.body, b.compressed = b.compressed, b.body
	} else if b.body, err = decompress(b.body, b.compressed, encoding, c.MaxDecompressedBytes); err != nil {
		return nil, err
	}
	return func() { h.release(weight) }, nil
}

// decompress appends what body holds to into, at most limit bytes.
func decompress(into, body []byte, encoding string, limit int64) ([]byte, error) {
	bad := func(err error) error {
		return &statusError{http.StatusBadRequest, refusedEncoding, fmt.Errorf("%s: %w", encoding, err), hintCorrupt}
	}
	var r io.Reader
	switch encoding {
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return into, bad(err)
		}
		r = z
	case "deflate":
		z, err := zlib.NewReader(bytes.NewReader(body))
		if err != nil {
			return into, bad(err)
		}
		r = z
	case "zstd":
		z, err := zstd.NewReader(bytes.NewReader(body), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecoderLowmem(true))
		if err != nil {
			return into, bad(err)
		}
		defer z.Close()
		r = z
	case "snappy":
		if bytes.HasPrefix(body, []byte("\xff\x06\x00\x00sNaPpY")) {
			r = snappy.NewReader(bytes.NewReader(body))
			break
		}
		n, err := snappy.DecodedLen(body)
		switch {
		case err != nil:
			return into, bad(err)
		case int64(n) > limit:
			return into, tooLarge(refusedDecompressed, "the request declares %d bytes after decompression, more than max_decompressed_bytes (%d)", n, limit)
		case n > maxSnappyRatio*len(body):
			return into, bad(fmt.Errorf("the body declares %d bytes, more than its %d bytes can hold", n, len(body)))
		case n > cap(into):
			into = make([]byte, n)
		}
		out, err := snappy.Decode(into[:cap(into)], body)
		if err != nil {
			return into, bad(err)
		}
		return out, nil
	default:
		panic("BUG: unknown encoding " + encoding)
	}
	out, err := readAll(io.LimitReader(r, limit+1), into)
	if err != nil {
		return out, bad(err)
	}
	if int64(len(out)) > limit {
		return out, tooLarge(refusedDecompressed, "the request has more than max_decompressed_bytes (%d) after decompression", limit)
	}
	return out, nil
}

// maxSnappyRatio bounds what snappy's block format can make of a byte: its densest
// element writes 64 bytes for 3.
const maxSnappyRatio = 22

func tooLarge(why refusal, format string, args ...any) error {
	return &statusError{http.StatusRequestEntityTooLarge, why, fmt.Errorf(format, args...), hintSmaller}
}

// readError tells apart why a body could not be read. A connection that broke or a
// sender that was too slow may try again; a body beyond the limit may not.
func readError(err error) error {
	var limit *http.MaxBytesError
	if errors.As(err, &limit) {
		return tooLarge(refusedBody, "the request body has more than max_body_bytes (%d)", limit.Limit)
	}
	return &statusError{http.StatusServiceUnavailable, refusedUnread, fmt.Errorf("read request body: %w", err), hintAgain}
}

// acquire waits for room in memory.
func (h *handler) acquire(ctx context.Context, bytes int64) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(h.config.QueueTimeout))
	defer cancel()
	if err := h.room.Acquire(ctx, bytes); err != nil {
		return &statusError{
			http.StatusServiceUnavailable, refusedNoRoom,
			fmt.Errorf("too many requests are in work: no room for %d more bytes in max_in_flight_bytes (%d)", bytes, h.config.MaxInFlightBytes), hintAgain,
		}
	}
	h.metrics.inFlight.Add(float64(bytes))
	return nil
}

func (h *handler) release(bytes int64) {
	h.room.Release(bytes)
	h.metrics.inFlight.Sub(float64(bytes))
}

// readAll appends all of r. Memory grows with what arrives, not with what was
// announced.
func readAll(r io.Reader, into []byte) ([]byte, error) {
	if cap(into) < 512 {
		into = make([]byte, 0, 16<<10)
	}
	for {
		if len(into) == cap(into) {
			into = append(into, 0)[:len(into)]
		}
		n, err := r.Read(into[len(into):cap(into)])
		into = into[:len(into)+n]
		if err == io.EOF {
			return into, nil
		}
		if err != nil {
			return into, err
		}
	}
}
