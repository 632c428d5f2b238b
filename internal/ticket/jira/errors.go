package jira

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/ticket"
)

// maxMessage bounds what is repeated of Jira's own error text, in runes.
const maxMessage = 500

// maxRetryAfter bounds what the site may ask us to wait. Hourly quotas reset
// within the hour.
const maxRetryAfter = time.Hour

// refusedRetry is the wait after refused credentials or permissions. Both are
// mended by people, and asking more often could lock the account.
const refusedRetry = time.Minute

// transportError is a failure without an answer.
func transportError(ctx context.Context, err error, ambiguous bool) error {
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

// badAnswer is an answer of success that cannot be read. The effect took place
// or not; only a look can tell.
func badAnswer(effect bool, err error) error {
	return &ticket.Error{Reason: ticket.ReasonBadAnswer, Retry: true, Ambiguous: effect, Err: err}
}

// statusError is an answer of 300 and above.
func statusError(resp *http.Response, body []byte, effect bool, now time.Time) error {
	e := &ticket.Error{Err: errors.New(resp.Status + message(resp, body))}
	switch code := resp.StatusCode; {
	case code < 400:
		e.Reason = ticket.ReasonBadAnswer
		e.Err = fmt.Errorf("%s: the address redirects to %q; set url to the address of the site itself",
			resp.Status, ticket.OneLine(resp.Header.Get("Location"), 200))
	case code == http.StatusUnauthorized:
		e.Reason, e.Retry, e.RetryAfter = ticket.ReasonAuth, true, refusedRetry
	case code == http.StatusForbidden:
		e.Reason, e.Retry, e.RetryAfter = ticket.ReasonPermission, true, refusedRetry
	case code == http.StatusNotFound:
		e.Reason = ticket.ReasonNotFound
	case code == http.StatusTooManyRequests:
		e.Reason, e.Retry, e.RetryAfter = ticket.ReasonRateLimited, true, retryAfter(resp.Header, now)
	case code == http.StatusRequestTimeout:
		e.Reason, e.Retry, e.Ambiguous = ticket.ReasonTimeout, true, effect
	case code == http.StatusConflict:
		// Two writes to one issue at the same time: Jira asks to repeat.
		e.Reason, e.Retry = ticket.ReasonUnavailable, true
	case code < 500:
		e.Reason = ticket.ReasonInvalid
	default:
		e.Reason, e.Retry, e.RetryAfter = ticket.ReasonUnavailable, true, retryAfter(resp.Header, now)
		// A gateway gives 5xx also when the connection behind it broke while Jira was
		// at work. Only a 503 that names a time was refused before.
		e.Ambiguous = effect && (code != http.StatusServiceUnavailable || e.RetryAfter == 0)
	}
	return e
}

// message is what the site says of the error, cleaned and bounded: it goes to
// logs and pages.
func message(resp *http.Response, body []byte) string {
	var b errorBody
	if err := json.Unmarshal(body, &b); err != nil {
		if len(body) == 0 {
			return ""
		}
		return ": " + describe(resp.Header.Get("Content-Type"), body)
	}
	parts := slices.Clone(b.ErrorMessages)
	for _, field := range slices.Sorted(maps.Keys(b.Errors)) {
		parts = append(parts, field+": "+b.Errors[field])
	}
	for _, s := range []string{b.Message, b.Detail} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if reason := resp.Header.Get("RateLimit-Reason"); reason != "" {
		parts = append(parts, reason)
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + ticket.OneLine(strings.Join(parts, "; "), maxMessage)
}

// retryAfter reads Retry-After (seconds or a date) or else X-RateLimit-Reset (a
// date, often without seconds). Zero means that neither is there or readable.
func retryAfter(h http.Header, now time.Time) time.Duration {
	if s := h.Get("Retry-After"); s != "" {
		if n, err := strconv.ParseFloat(s, 64); err == nil && n >= 0 {
			return min(time.Duration(min(n, maxRetryAfter.Seconds())*float64(time.Second)), maxRetryAfter)
		}
		if at, err := http.ParseTime(s); err == nil {
			return wait(at, now)
		}
	}
	if s := h.Get("X-RateLimit-Reset"); s != "" {
		for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00"} {
			if at, err := time.Parse(layout, s); err == nil {
				return wait(at, now)
			}
		}
	}
	return 0
}

func wait(until, now time.Time) time.Duration {
	return min(max(until.Sub(now), time.Second), maxRetryAfter)
}
