package openai

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// response is what the library does not tell of an answer.
type response struct {
	status     int
	retryAfter time.Duration
}

type responseKey struct{}

// bounded bounds answers and notes Retry-After, which the library drops.
type bounded struct {
	next http.RoundTripper
	key  bool
}

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if !b.key {
		r = r.Clone(r.Context())
		r.Header.Del("Authorization") // an empty bearer token is refused by some
	}
	resp, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if seen, ok := r.Context().Value(responseKey{}).(*response); ok {
		*seen = response{status: resp.StatusCode, retryAfter: retryAfter(resp.Header.Get("Retry-After"))}
	}
	resp.Body = &limited{resp.Body, maxAnswerBytes}
	return resp, nil
}

// retryAfter reads seconds or a date; 0 for anything else.
func retryAfter(v string) time.Duration {
	if n, err := strconv.Atoi(v); err == nil && n > 0 && n < 1<<20 {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, time.Until(t))
	}
	return 0
}

// errTooLong: nothing that was asked for is that long.
var errTooLong = errors.New("the answer is longer than 1 MiB")

// limited fails, instead of ending, after so many bytes.
type limited struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errTooLong
	}
	n, err := l.ReadCloser.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	return n, err
}
