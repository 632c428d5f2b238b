package elasticapi

import (
	"bytes"
	"context"
	"encoding/json"
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
	ReasonUnauthorized Reason = "unauthorized" // 401
	ReasonForbidden    Reason = "forbidden"    // 403
	ReasonNotFound     Reason = "not_found"    // 404: no such index, or no such function
	ReasonTooMany      Reason = "too_many"     // 429, or a queue is full
	ReasonNotElastic   Reason = "not_elastic"  // an answer, but not of such a server
	ReasonTooLarge     Reason = "too_large"    // an answer beyond MaxBytes, or a query beyond the server's limits
	ReasonBadData      Reason = "bad_data"     // the server does not understand the query
	ReasonServer       Reason = "server"       // any other error of the server
)

// Error is a call that failed.
type Error struct {
	Reason Reason
	Status int    // of the HTTP answer; 0 when there was none
	Type   string // of the server's error: search_phase_execution_exception; may be empty
	Hint   string // what to do, a sentence; may be empty
	// RetryAfter is how long the server asks to wait; 0 when it does not say.
	RetryAfter time.Duration
	Op         string // what was asked for
	Server     string // address without a password
	Err        error
}

func (e *Error) Error() string { return fmt.Sprintf("%s from %s: %v", e.Op, e.Server, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// ReasonOf returns the reason of a failed call, "" for nil, and ReasonServer for an
// error that is not of this package.
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
	e.Op, e.Server = op, c.server
	return e
}

const hintNotElastic = "check that the address is that of an Elasticsearch or OpenSearch, not of Kibana, and that no login page stands in front"

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
		return &Error{Reason: ReasonTimeout, Hint: "ask for a shorter range or fewer indices, or raise the timeout", Err: fmt.Errorf("no answer in time: %w", err)}
	default:
		return &Error{Reason: ReasonDown, Hint: "check that the server runs and that the address and port are right", Err: err}
	}
}

// problem is how both servers write an error. Some answers hold only a text.
type problem struct {
	Error json.RawMessage `json:"error"`
}

type problemCause struct {
	Type      string         `json:"type"`
	Reason    string         `json:"reason"`
	RootCause []problemCause `json:"root_cause"`
}

// explain reads the server's own words out of an error: the innermost cause says more
// than "all shards failed".
func explain(body []byte) (kind, text string) {
	var p problem
	if json.Unmarshal(body, &p) != nil || len(p.Error) == 0 {
		return "", ""
	}
	var c problemCause
	if json.Unmarshal(p.Error, &c) != nil {
		var plain string
		_ = json.Unmarshal(p.Error, &plain) // neither form: nothing to say
		return "", plain
	}
	kind, text = c.Type, c.Reason
	if len(c.RootCause) > 0 && c.RootCause[0].Reason != "" {
		kind, text = c.RootCause[0].Type, c.RootCause[0].Reason
	}
	return kind, text
}

func ofStatus(resp *http.Response, body []byte) *Error {
	kind, text := explain(body)
	e := &Error{Status: resp.StatusCode, Reason: ReasonServer, Type: quote(kind), Err: fmt.Errorf("HTTP status %s", resp.Status)}
	if text != "" {
		e.Err = fmt.Errorf("HTTP status %s: %s: %s", resp.Status, quote(kind), quote(text))
	}
	switch resp.StatusCode {
	case http.StatusBadRequest:
		e.Reason, e.Hint = ReasonBadData, "correct the query"
		if strings.Contains(kind, "too_many") || strings.Contains(text, "max_result_window") || strings.Contains(text, "maxClauseCount") {
			e.Reason, e.Hint = ReasonTooLarge, "ask for fewer documents at once"
		}
	case http.StatusUnauthorized:
		e.Reason, e.Hint = ReasonUnauthorized, "the server wants a login: check user, password, API key and token"
	case http.StatusForbidden:
		e.Reason, e.Hint = ReasonForbidden, "the login is known but may not read this: it needs the privileges read and view_index_metadata"
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		e.Reason, e.Hint = ReasonNotFound, "check the name of the index, and that the address is that of the server itself"
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		e.Reason, e.Hint = ReasonTimeout, "ask for a shorter range or fewer indices"
	case http.StatusRequestEntityTooLarge:
		e.Reason, e.Hint = ReasonTooLarge, "ask for fewer documents at once"
	case http.StatusTooManyRequests:
		e.Reason, e.Hint = ReasonTooMany, "the server is too busy: ask less"
		if sec, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && sec > 0 {
			e.RetryAfter = time.Duration(min(sec, 3600)) * time.Second
		}
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		e.Reason, e.Hint = ReasonDown, "a proxy in front cannot reach the server, or no shard is available"
	default:
		if resp.StatusCode/100 != 5 || bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) {
			e.Reason, e.Hint = ReasonNotElastic, hintNotElastic
		}
	}
	return e
}

// maxQuoted bounds what is repeated of an answer in an error.
const maxQuoted = 300

// quote makes one bounded line of a server's text, which is not trusted.
func quote(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\uFFFD")), " ")
	if len(s) <= maxQuoted {
		return s
	}
	return strings.ToValidUTF8(s[:maxQuoted], "") + "…"
}
