package triage

import (
	"fmt"
	"runtime/debug"
)

// A panicError is a mistake of ours that one notification brings to light. It
// must not stop the others.
type panicError struct {
	value any
	stack string
}

func (e *panicError) Error() string { return fmt.Sprintf("BUG: triage panicked: %v", e.value) }

func recoverTo(err *error) {
	if v := recover(); v != nil {
		*err = &panicError{value: v, stack: string(debug.Stack())}
	}
}
