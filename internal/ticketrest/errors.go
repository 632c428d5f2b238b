package ticketrest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/ticket"
)

// maxMessage bounds what is repeated of the site's own error text, in runes.
const maxMessage = 500

// MaxRetryAfter bounds what the site may ask us to wait: the longest quotas
// reset within the hour.
const MaxRetryAfter = time.Hour

// refusedRetry is the wait after refused credentials or permissions. Both are
// mended by people, and asking more often could lock the account.
const refusedRetry = time.Minute

// transportError is a failure without an answer.
func transportError(ctx context.Context, err error, ambiguous bool) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		u.URL, _, _ = strings.Cut(u.URL, "?") // some addresses carry their secret there
	}
	e := &ticket.Error{Reason: ticket.ReasonNetwork, Retry: true, Ambiguous: ambiguous, Err: err}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		e.Reason = ticket.ReasonCanceled
		e.Err = fmt.Errorf("%w (%w)", err, ctx.Err())
	case errors.Is(err, context.DeadlineExceeded):
		e.Reason = ticket.ReasonTimeout
	default:
		if t, ok := errors.AsType[interface {
			error
			Timeout() bool
		}](err); ok && t.Timeout() {
			e.Reason = ticket.ReasonTimeout
		}
	}
	return e
}

// BadAnswer is an answer of success that cannot be read. The effect took place or
// not; only a look can tell.
func BadAnswer(effect bool, err error) error {
	return &ticket.Error{Reason: ticket.ReasonBadAnswer, Retry: true, Ambiguous: effect, Err: err}
}

// statusError is an answer of 300 and above.
func (c *Client) statusError(resp *http.Response, body []byte, effect bool) error {
	e := &ticket.Error{Err: errors.New(resp.Status + c.message(resp, body))}
	switch code := resp.StatusCode; {
	case code < 400:
		e.Reason = ticket.ReasonBadAnswer
		e.Err = fmt.Errorf("%s: the address redirects to %q; configure the address of the site itself",
			resp.Status, ticket.OneLine(resp.Header.Get("Location"), 200))
	case code == http.StatusUnauthorized:
		e.Reason, e.Retry, e.RetryAfter = ticket.ReasonAuth, true, refusedRetry
	case code == http.StatusForbidden:
		e.Reason, e.Retry, e.RetryAfter = ticket.ReasonPermission, true, refusedRetry
	case code == http.StatusNotFound:
		e.Reason = ticket.ReasonNotFound
	case code == http.StatusTooManyRequests:
		e.Reason, e.Retry, e.RetryAfter = ticket.ReasonRateLimited, true, c.wait(resp)
	case code == http.StatusRequestTimeout:
		e.Reason, e.Retry, e.Ambiguous = ticket.ReasonTimeout, true, effect
	case code == http.StatusConflict:
		e.Reason, e.Retry = ticket.ReasonUnavailable, true
	case code < 500:
		e.Reason = ticket.ReasonInvalid
	default:
		e.Reason, e.Retry, e.RetryAfter = ticket.ReasonUnavailable, true, c.wait(resp)
		// A gateway gives 5xx also when the connection behind it broke while the site was
		// at work. Only a 503 that names a time was refused before.
		e.Ambiguous = effect && (code != http.StatusServiceUnavailable || e.RetryAfter == 0)
	}
	return e
}

func (c *Client) message(resp *http.Response, body []byte) string {
	if len(body) == 0 {
		return ""
	}
	if !json.Valid(body) {
		return ": " + describe(resp.Header.Get("Content-Type"), body)
	}
	s := ticket.OneLine(c.Message(resp.Header, body), maxMessage)
	if s == "" {
		return ""
	}
	return ": " + s
}

func (c *Client) wait(resp *http.Response) time.Duration {
	return min(max(c.RetryAfter(resp, c.Now()), 0), MaxRetryAfter)
}

// RetryAfter reads the header Retry-After, in seconds or as a date. Zero means
// that it is absent or cannot be read.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	s := h.Get("Retry-After")
	if s == "" {
		return 0
	}
	if d, ok := Seconds(s); ok {
		return d
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(at.Sub(now), time.Second)
	}
	return 0
}

// Seconds reads a number of seconds of at most MaxRetryAfter.
func Seconds(s string) (time.Duration, bool) {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n >= 0) {
		return 0, false
	}
	return time.Duration(min(n, MaxRetryAfter.Seconds()) * float64(time.Second)), true
}
