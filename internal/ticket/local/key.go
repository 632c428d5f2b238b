package local

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/portent-dev/portent/internal/ticket"
)

const prefix = "LOCAL-"

// Key returns the key people read, LOCAL-12 for 12.
func Key(number int64) string { return prefix + strconv.FormatInt(number, 10) }

// ParseKey returns the number in a key such as LOCAL-12.
func ParseKey(key string) (int64, error) {
	digits, ok := strings.CutPrefix(key, prefix)
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n < 1 || Key(n) != key {
		return 0, fmt.Errorf("%q is not the key of a local ticket", key)
	}
	return n, nil
}

// storeError turns a store's error into one that the outbox can branch on. A
// database that is busy or full may recover, and every write is idempotent by
// its key, so it is retried.
func storeError(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, ticket.ErrNotFound):
		return &ticket.Error{Reason: ticket.ReasonNotFound, Err: err}
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &ticket.Error{Reason: ticket.ReasonTimeout, Retry: true, Ambiguous: true, Err: err}
	case ctx.Err() != nil:
		return &ticket.Error{Reason: ticket.ReasonCanceled, Retry: true, Ambiguous: true, Err: err}
	default:
		return &ticket.Error{Reason: ticket.ReasonUnavailable, Retry: true, Ambiguous: true, Err: err}
	}
}
