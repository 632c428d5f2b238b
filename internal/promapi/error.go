package promapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
)

// Reason says why a call failed. The set is closed; it serves as a metric label.
type Reason string

// The reasons.
const (
	ReasonDown          Reason = "down"           // no connection: refused, no such host, no route, broken off
	ReasonTimeout       Reason = "timeout"        // no answer in time, from the server or by the server's own limit
	ReasonCanceled      Reason = "canceled"       // the caller gave up, or the server was told to stop
	ReasonTLS           Reason = "tls"            // no trust: expired, unknown authority, another name
	ReasonUnauthorized  Reason = "unauthorized"   // 401
	ReasonForbidden     Reason = "forbidden"      // 403
	ReasonNotFound      Reason = "not_found"      // 404: another path, or no such function
	ReasonTooMany       Reason = "too_many"       // 429
	ReasonNotPrometheus Reason = "not_prometheus" // an answer, but no answer of a Prometheus
	ReasonTooLarge      Reason = "too_large"      // an answer beyond MaxBytes
	ReasonBadData       Reason = "bad_data"       // the server does not understand the query
	ReasonExecution     Reason = "execution"      // the server understands it and cannot evaluate it
	ReasonServer        Reason = "server"         // any other error of the server
)

// Reasons lists them all.
func Reasons() []Reason {
	return []Reason{
		ReasonDown, ReasonTimeout, ReasonCanceled, ReasonTLS, ReasonUnauthorized, ReasonForbidden, ReasonNotFound,
		ReasonTooMany, ReasonNotPrometheus, ReasonTooLarge, ReasonBadData, ReasonExecution, ReasonServer,
	}
}

// Error is a call that failed.
type Error struct {
	Reason Reason
	Status int // of the HTTP answer; 0 when there was none
	// Downstream says that the fault is with the server, the way to it or the query,
	// not with the program that asks. Only a caller that gave up is not downstream.
	Downstream bool
	Hint       string // what to do, a sentence; may be empty
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

// fail makes the error of a call. Errors of the transport are *Error already.
func (c *Client) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	if !errors.As(err, &e) {
		e = ofAPI(err)
	}
	out := *e
	out.Op, out.Server, out.Downstream = op, c.http.server, e.Reason != ReasonCanceled
	return &out
}

// ofAPI reads an error that client_golang made of a 2xx answer.
func ofAPI(err error) *Error {
	var a *v1.Error
	if !errors.As(err, &a) {
		return &Error{Reason: ReasonServer, Err: err}
	}
	switch a.Type {
	case v1.ErrBadResponse:
		return &Error{Reason: ReasonNotPrometheus, Status: http.StatusOK, Hint: hintNotPrometheus, Err: fmt.Errorf("the answer is not that of a Prometheus API: %s", quote(a.Msg))}
	default:
		return ofType(string(a.Type), a.Msg, http.StatusOK)
	}
}

// ofType reads the errorType of a Prometheus answer.
func ofType(errorType, message string, status int) *Error {
	e := &Error{Status: status, Err: errors.New(quote(message))}
	switch v1.ErrorType(errorType) {
	case v1.ErrBadData:
		e.Reason, e.Hint = ReasonBadData, "correct the query"
	case v1.ErrExec:
		e.Reason, e.Hint = ReasonExecution, "ask for fewer series or a shorter range"
	case v1.ErrTimeout:
		e.Reason, e.Hint = ReasonTimeout, "ask for fewer series or a shorter range, or record the expression with a rule"
	case v1.ErrCanceled:
		e.Reason = ReasonCanceled
	default:
		e.Reason = ReasonServer
	}
	return e
}

const (
	hintNotPrometheus = "check that the address is that of a Prometheus-compatible API, without /api/v1, and that no login page stands in front"
	hintDown          = "check that the server runs and that the address and port are right"
	hintSlow          = "the server is slow or does not answer: check its load, or raise the timeout"
)

// ofNetwork reads an error of a request that got no answer, or half of one. ctx is
// that of the request.
func ofNetwork(ctx context.Context, err error) *Error {
	// url.Error repeats the method and the whole address, password and query included.
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	if e := ofTLS(err); e != nil {
		return e
	}
	var ne net.Error
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return &Error{Reason: ReasonCanceled, Err: context.Canceled}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &ne) && ne.Timeout():
		return &Error{Reason: ReasonTimeout, Hint: hintSlow, Err: fmt.Errorf("no answer in time: %w", err)}
	default:
		return &Error{Reason: ReasonDown, Hint: hintDown, Err: err}
	}
}

// ofTLS returns nil when err is not about trust.
func ofTLS(err error) *Error {
	var (
		invalid   x509.CertificateInvalidError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		verify    *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		op        *net.OpError
	)
	var hint string
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		hint = "the server's certificate is not valid now: renew it, or set the clock right"
	case errors.As(err, &authority):
		hint = "the server's certificate is signed by an authority that is not trusted here: name its CA in the TLS configuration"
	case errors.As(err, &host):
		hint = "the server's certificate is for another name: use that name in the address, or set server_name"
	case errors.As(err, &invalid), errors.As(err, &verify):
		hint = "the server's certificate is not accepted: see the error"
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		hint = "the server does not speak TLS on this port: use http:// in the address"
	case errors.As(err, &op) && op.Op == "remote error": // an alert, in crypto/tls's words
		hint = "the server refuses the TLS connection: does it want a client certificate?"
	default:
		return nil
	}
	return &Error{Reason: ReasonTLS, Hint: hint, Err: err}
}

// maxQuoted bounds what is repeated of an answer in an error.
const maxQuoted = 300

// quote makes one bounded line of a server's text. It is not trusted: whoever
// shows it must escape it as text.
func quote(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "�")), " ")
	if len(s) <= maxQuoted {
		return s
	}
	return strings.ToValidUTF8(s[:maxQuoted], "") + "…"
}
