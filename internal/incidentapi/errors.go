package incidentapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Reason says in one word why a call failed. The set is closed, so it can be a metric label.
type Reason string

// Reasons.
const (
	ReasonCanceled     Reason = "canceled"      // the caller's context ended it
	ReasonTimeout      Reason = "timeout"       // no answer in time
	ReasonUnreachable  Reason = "unreachable"   // no connection: refused, unknown host, cut
	ReasonTLS          Reason = "tls"           // certificate expired, unknown or for another name
	ReasonUnauthorized Reason = "unauthorized"  // 401 or 403
	ReasonNotFound     Reason = "not_found"     // 404
	ReasonConflict     Reason = "conflict"      // 409: the state does not allow the action
	ReasonBadRequest   Reason = "bad_request"   // any other 4xx
	ReasonUnavailable  Reason = "unavailable"   // 5xx and 429
	ReasonNotReceiver  Reason = "not_receiver"  // the answer is HTML or another program's
	ReasonBadAnswer    Reason = "bad_answer"    // the JSON could not be read
	ReasonTooLarge     Reason = "too_large"     // the answer is greater than the limit
	ReasonBadAddress   Reason = "bad_address"   // the configured address is no http(s) address
	ReasonBadParameter Reason = "bad_parameter" // the caller gave a parameter that cannot be sent
)

// Error is what every method of Client returns when it fails. Its text is fit for a user and never
// holds a secret.
type Error struct {
	Reason Reason
	Status int    // HTTP status, 0 when there was none
	Hint   string // what to do about it; may be empty
	Err    error  // what happened
}

func (e *Error) Error() string {
	if e.Hint != "" {
		return e.Err.Error() + " (" + e.Hint + ")"
	}
	return e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Retry reports whether the same call may succeed later without anybody changing anything.
func (e *Error) Retry() bool {
	switch e.Reason {
	case ReasonTimeout, ReasonUnreachable, ReasonUnavailable:
		return true
	default:
		return false
	}
}

// transportError names what went wrong before an answer came.
func transportError(ctx context.Context, where string, err error) *Error {
	var (
		expired x509.CertificateInvalidError
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		record  tls.RecordHeaderError
		certErr *tls.CertificateVerificationError
		netErr  net.Error
	)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return &Error{Reason: ReasonCanceled, Err: fmt.Errorf("ask %s: %w", where, context.Canceled)}
	case errors.As(err, &expired) && expired.Reason == x509.Expired:
		return &Error{
			Reason: ReasonTLS, Err: fmt.Errorf("ask %s: its certificate has expired or is not valid yet", where),
			Hint: expiredHint(expired.Cert),
		}
	case errors.As(err, &unknown):
		return &Error{
			Reason: ReasonTLS, Err: fmt.Errorf("ask %s: its certificate is signed by an unknown authority", where),
			Hint: "configure the CA certificate that signed it",
		}
	case errors.As(err, &host):
		return &Error{
			Reason: ReasonTLS, Err: fmt.Errorf("ask %s: its certificate is for another name", where),
			Hint: "use the name in the certificate as address, or set the TLS server name",
		}
	case errors.As(err, &certErr):
		return &Error{Reason: ReasonTLS, Err: fmt.Errorf("ask %s: its certificate is not accepted: %w", where, certErr.Err)}
	case errors.As(err, &record) || errors.Is(err, http.ErrSchemeMismatch):
		return &Error{Reason: ReasonTLS, Err: fmt.Errorf("ask %s: it does not speak TLS", where), Hint: "use http:// or turn TLS on in the receiver"}
	case errors.Is(err, context.DeadlineExceeded) || errors.As(err, &netErr) && netErr.Timeout():
		return &Error{Reason: ReasonTimeout, Err: fmt.Errorf("ask %s: no answer in time", where)}
	}
	return &Error{Reason: ReasonUnreachable, Err: fmt.Errorf("ask %s: %w", where, unwrapURL(err)), Hint: "is the receiver running, and is this its address?"}
}

func expiredHint(cert *x509.Certificate) string {
	if cert == nil {
		return "renew it, or check the clock of this machine"
	}
	return fmt.Sprintf("valid %s to %s: renew it, or check the clock of this machine",
		cert.NotBefore.UTC().Format(time.RFC3339), cert.NotAfter.UTC().Format(time.RFC3339))
}

// statusError turns an answer that is not 2xx into an Error; body holds its first bytes.
func statusError(where string, status int, msg ErrorBody) *Error {
	text := msg.Error
	if text == "" {
		text = http.StatusText(status)
	}
	e := &Error{Status: status, Hint: msg.Hint, Err: fmt.Errorf("ask %s: %d: %s", where, status, text)}
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		e.Reason = ReasonUnauthorized
		if e.Hint == "" {
			e.Hint = "check the token or password configured for the receiver"
		}
	case status == http.StatusNotFound:
		e.Reason = ReasonNotFound
	case status == http.StatusConflict:
		e.Reason = ReasonConflict
	case status == http.StatusTooManyRequests || status >= 500:
		e.Reason = ReasonUnavailable
	case status >= 400:
		e.Reason = ReasonBadRequest
	default: // 1xx and 3xx do not reach us from a receiver
		e.Reason = ReasonNotReceiver
	}
	return e
}
