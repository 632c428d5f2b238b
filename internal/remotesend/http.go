package remotesend

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// refusal is an answer that is no success.
type refusal struct {
	status int
	text   string
	retry  bool
	after  time.Duration // as the endpoint asks; 0 = it does not
}

func (r *refusal) Error() string {
	return fmt.Sprintf("answer %d %s: %s", r.status, http.StatusText(r.status), r.text)
}

// maxText bounds what is kept of an error's body.
const maxText = 300

func (s *Sender) send(ctx context.Context, b batch) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.opts.URL, bytes.NewReader(b.body))
	if err != nil {
		return withoutAddress(err)
	}
	r.Header.Set("Content-Encoding", "snappy")
	r.Header.Set("Content-Type", "application/x-protobuf")
	r.Header.Set("X-Prometheus-Remote-Write-Version", "0.1.0")
	r.Header.Set("User-Agent", "portent")
	began := time.Now()
	answer, err := s.opts.Client.Do(r)
	s.metrics.duration.Observe(time.Since(began).Seconds())
	if err != nil {
		return withoutAddress(err)
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxText)) // as far as it came
	if answer.StatusCode/100 == 2 {
		return nil
	}
	return &refusal{
		status: answer.StatusCode, text: strings.ToValidUTF8(strings.Join(strings.Fields(string(text)), " "), ""),
		// The protocol: 5xx and 429 may succeed later, any other never.
		retry: answer.StatusCode/100 == 5 || answer.StatusCode == http.StatusTooManyRequests,
		after: retryAfter(answer.Header.Get("Retry-After"), time.Now()),
	}
}

// withoutAddress takes the address out of an error: it may hold a password.
func withoutAddress(err error) error {
	if u, ok := err.(*url.Error); ok { //nolint:errorlint // the outermost, as net/http makes it
		return u.Err
	}
	return err
}

// retryAfter reads seconds or a date; 0 if it is neither or past.
func retryAfter(v string, now time.Time) time.Duration {
	if n, err := strconv.ParseInt(v, 10, 32); err == nil {
		return max(0, time.Duration(n)*time.Second)
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}
