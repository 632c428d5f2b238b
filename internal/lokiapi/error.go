package lokiapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Reason says why a call failed. The set is closed; it serves as a metric label.
type Reason string

// The reasons.
const (
	ReasonDown         Reason = "down"         // no connection, or broken off
	ReasonTimeout      Reason = "timeout"      // no answer in time
	ReasonCanceled     Reason = "canceled"     // the caller gave up
	ReasonUnauthorized Reason = "unauthorized" // 401, or no tenant named
	ReasonForbidden    Reason = "forbidden"    // 403
	ReasonNotFound     Reason = "not_found"    // 404: another path, or no such function
	ReasonTooMany      Reason = "too_many"     // 429
	ReasonNotLoki      Reason = "not_loki"     // an answer, but no answer of a Loki
	ReasonTooLarge     Reason = "too_large"    // an answer beyond MaxBytes, or a query beyond the server's limits
	ReasonBadData      Reason = "bad_data"     // the server does not understand the query
	ReasonServer       Reason = "server"       // any other error of the server
)

// Error is a call that failed.
type Error struct {
	Reason Reason
	Status int // of the HTTP answer; 0 when there was none
	// Downstream says that the fault is with the server, the way to it or the query.
	// Only a caller that gave up is not downstream.
	Downstream bool
	Hint       string // what to do, a sentence; may be empty
	// RetryAfter is how long the server asks to wait; 0 when it does not say.
	RetryAfter time.Duration
	Op         string // what was asked for
	Server     string // address without a password
	Err        error
}

func (e *Error) Error() string { return fmt.Sprintf("%s from %s: %v", e.Op, e.Server, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// ReasonOf returns the reason of a failed call, "" for nil, and ReasonServer for
// an error that is not of this package.
func ReasonOf(err error) Reason {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ReasonServer
}

func (c *Client) fail(op string, e *Error) error {
	e.Op, e.Server, e.Downstream = op, c.server, e.Reason != ReasonCanceled
	return e
}

const hintNotLoki = "check that the address is that of a Loki, without /loki/api/v1, and that no login page stands in front"

func ofNetwork(ctx context.Context, err error) *Error {
	var ue *url.Error // repeats the whole address, password and query included
	if errors.As(err, &ue) {
		err = ue.Err
	}
	var ne net.Error
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return &Error{Reason: ReasonCanceled, Err: context.Canceled}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &ne) && ne.Timeout():
		return &Error{Reason: ReasonTimeout, Hint: "ask for fewer streams or a shorter range, or raise the timeout", Err: fmt.Errorf("no answer in time: %w", err)}
	default:
		return &Error{Reason: ReasonDown, Hint: "check that the server runs and that the address and port are right", Err: err}
	}
}

// ofStatus reads an answer that is not 2xx. Loki writes errors as plain text.
func ofStatus(resp *http.Response, body []byte) *Error {
	e := &Error{Status: resp.StatusCode, Reason: ReasonServer, Err: fmt.Errorf("HTTP status %s", resp.Status)}
	html := bytes.HasPrefix(bytes.TrimSpace(body[:min(len(body), 64)]), []byte("<"))
	text := ""
	if !html {
		text = quote(string(body))
	}
	if text != "" {
		e.Err = fmt.Errorf("HTTP status %s: %s", resp.Status, text)
	}
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		e.Reason, e.Hint = ReasonBadData, "correct the query"
		for _, limit := range [...]string{"the query time range exceeds", "max entries limit", "query would read too many bytes", "too large to execute on a single querier", "maximum of series", "maximum number of series"} {
			if strings.Contains(text, limit) {
				e.Reason, e.Hint = ReasonTooLarge, "ask for fewer streams or a shorter range"
			}
		}
	case http.StatusUnauthorized:
		e.Reason, e.Hint = ReasonUnauthorized, "the server wants a login or a tenant: check user, password, token and tenant"
	case http.StatusForbidden:
		e.Reason, e.Hint = ReasonForbidden, "the login is known but not allowed to do this: check its rights and the tenant"
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		e.Reason, e.Hint = ReasonNotFound, hintNotLoki
	case http.StatusTooManyRequests:
		e.Reason, e.Hint = ReasonTooMany, "the server limits how often and how much may be asked: ask less"
		if sec, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && sec > 0 {
			e.RetryAfter = time.Duration(min(sec, maxRetryAfter)) * time.Second
		}
	case http.StatusGatewayTimeout:
		e.Reason, e.Hint = ReasonTimeout, "ask for fewer streams or a shorter range"
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		e.Reason, e.Hint = ReasonDown, "a proxy in front cannot reach the server, or it is starting"
	default:
		if resp.StatusCode/100 != 5 {
			e.Reason, e.Hint = ReasonNotLoki, hintNotLoki
		}
	}
	return e
}

// maxRetryAfter bounds what a server may ask to wait, in seconds.
const maxRetryAfter = 3600

// maxQuoted bounds what is repeated of an answer in an error.
const maxQuoted = 300

// quote makes one bounded line of a server's text, which is not trusted.
func quote(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "�")), " ")
	if len(s) <= maxQuoted {
		return s
	}
	return strings.ToValidUTF8(s[:maxQuoted], "") + "…"
}
