// Package llm is the optional language model: one method, and what keeps it within
// bounds. Portent works whole without one; a model makes words better, and decides
// nothing.
//
// Whoever asks a model has a deterministic twin that answers when the model fails, is
// slow or is over its budget, and checks what the model says like the word of any
// stranger.
package llm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A Client asks a model. It is safe for concurrent use.
type Client interface {
	// Complete returns the model's answer to one prompt. Errors are *Error. It does
	// not try again by itself.
	Complete(ctx context.Context, p Prompt) (Answer, error)
}

// Prompt is what a model is asked.
type Prompt struct {
	// Name and Version are those of the prompt's file, for metrics and audit.
	Name    string
	Version int
	// System are our instructions; User is what they are about. User holds text of
	// strangers: System says so, and that it is no instruction.
	System, User string
	// Schema of the answer, JSON Schema in the subset of structured output: every
	// property required, none besides. nil asks for plain text.
	Schema json.RawMessage
	// MaxTokens of the answer; 0 is DefaultMaxTokens.
	MaxTokens int
}

// Bounds of a prompt.
const (
	// DefaultMaxTokens is a page of text, or a query with its explanation ten times over.
	DefaultMaxTokens = 1000
	// MaxPromptBytes of System and User: about 16,000 tokens, which the smallest models in
	// use take.
	MaxPromptBytes = 64 << 10
)

// Answer is what a model said.
type Answer struct {
	Text string
	// Model is the one that answered, as it calls itself.
	Model string
	// PromptTokens and AnswerTokens are what it says it took, 0 where it does not.
	PromptTokens, AnswerTokens int
}

// Reason classifies errors. It is a metric label.
type Reason string

// The reasons.
const (
	ReasonAddress   Reason = "address"    // nobody there, no TLS, not an OpenAI-compatible server
	ReasonAccess    Reason = "access"     // the key is missing, wrong, or may not do this
	ReasonRateLimit Reason = "rate_limit" // asked too often, or the account is empty
	ReasonTimeout   Reason = "timeout"
	ReasonRefused   Reason = "refused" // the model or its filter declined
	ReasonCut       Reason = "cut"     // the answer was longer than allowed
	ReasonBadAnswer Reason = "bad_answer"
	ReasonBudget    Reason = "budget" // ours
	ReasonPrompt    Reason = "prompt" // ours is too long, or the model does not take it
	ReasonServer    Reason = "server" // it failed
)

// Error is why there is no answer. Its text holds no secret and no part of a prompt.
type Error struct {
	Reason Reason
	// RetryAfter is what the server asked for, 0 if nothing.
	RetryAfter time.Duration
	Err        error
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("language model (%s): %s", e.Reason, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ReasonOf returns the reason of an error, ReasonServer for one that is no *Error.
func ReasonOf(err error) Reason {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.Reason
	}
	return ReasonServer
}

// Check reports a prompt that must not be sent.
func (p Prompt) Check() error {
	switch n := len(p.System) + len(p.User); {
	case p.System == "" || p.User == "":
		return &Error{Reason: ReasonPrompt, Err: errors.New("the prompt is empty")}
	case n > MaxPromptBytes:
		return &Error{Reason: ReasonPrompt, Err: fmt.Errorf("the prompt has %d bytes, at most %d are sent", n, MaxPromptBytes)}
	}
	return nil
}
