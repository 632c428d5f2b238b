package ticket

import (
	"errors"
	"fmt"
	"time"
)

// Reason says in one word why a tracker refused or failed. The set is closed
// (Reasons) and is used as a metric label.
type Reason string

// The reasons.
const (
	// ReasonAuth: the credentials were refused.
	ReasonAuth Reason = "auth"
	// ReasonPermission: the account may not do this.
	ReasonPermission Reason = "permission"
	// ReasonNotFound: the ticket, project or address does not exist.
	ReasonNotFound Reason = "not_found"
	// ReasonInvalid: the tracker refused the content of the request.
	ReasonInvalid Reason = "invalid"
	// ReasonWorkflow: the ticket's workflow has no way to the wanted state. The
	// comment of the update was written.
	ReasonWorkflow Reason = "workflow"
	// ReasonRateLimited: too many requests.
	ReasonRateLimited Reason = "rate_limited"
	// ReasonUnavailable: the tracker answered with a server error.
	ReasonUnavailable Reason = "unavailable"
	// ReasonNetwork: no connection, or it broke.
	ReasonNetwork Reason = "network"
	// ReasonTimeout: no answer in time.
	ReasonTimeout Reason = "timeout"
	// ReasonBadAnswer: the answer was not what the tracker's API promises.
	ReasonBadAnswer Reason = "bad_answer"
	// ReasonCanceled: the caller gave up.
	ReasonCanceled Reason = "canceled"
)

// Reasons lists every Reason, for metrics that are created at start.
func Reasons() []Reason {
	return []Reason{
		ReasonAuth, ReasonPermission, ReasonNotFound, ReasonInvalid, ReasonWorkflow, ReasonRateLimited,
		ReasonUnavailable, ReasonNetwork, ReasonTimeout, ReasonBadAnswer, ReasonCanceled,
	}
}

// Error is how a tracker fails. It never holds a credential.
type Error struct {
	Reason Reason
	// Retry says that the same call may succeed later.
	Retry bool
	// RetryAfter is how long the tracker asked to wait; zero when it did not.
	RetryAfter time.Duration
	// Ambiguous says that the call may have had its effect: look before repeating
	// a Create.
	Ambiguous bool
	Err       error
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %v", e.Reason, e.Err)
	if e.Ambiguous {
		s += " (may have had its effect)"
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes an Error with ReasonNotFound match ErrNotFound.
func (e *Error) Is(target error) bool {
	return target == ErrNotFound && e.Reason == ReasonNotFound
}

// AsError returns the *Error in err's chain. Any other error becomes one that
// is neither retried nor ambiguous, so that a caller has one type to branch on;
// nil stays nil.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if errors.Is(err, ErrNotFound) {
		return &Error{Reason: ReasonNotFound, Err: err}
	}
	return &Error{Reason: ReasonInvalid, Err: err}
}
