package outbox

import "context"

// A Prompt is the message by which a messenger asked about a draft, and what it
// shows: one for each draft and messenger.
type Prompt struct {
	TaskID     int64
	IncidentID string
	// Messenger is the name of the tracker that asked.
	Messenger string
	// Ref is the message, in the messenger's own words.
	Ref string
	// Hash is that of the payload it shows, Approvals how many it says it has.
	Hash      string
	Approvals int
	// Waiting: it says that the draft waits for somebody.
	Waiting bool
}

// An Asked is a draft as it is now, beside its prompt. A draft nobody was asked
// about has a zero Prompt.
type Asked struct {
	Prompt Prompt
	Task   Task
	// Approvals counts those of its payload. Waiting reports whether it is held, or
	// was suggested for an incident that is still open.
	Approvals int
	Waiting   bool
}

// Prompts keeps what messengers ask. It is safe for concurrent use.
type Prompts interface {
	// Unasked returns the drafts, oldest first and at most limit, that wait and that
	// messenger did not ask about though it is told of their incident. Drafts for
	// those in except are none: they would be messages themselves.
	Unasked(ctx context.Context, messenger string, except []string, limit int) ([]Asked, error)
	// OutdatedPrompts returns the drafts, oldest first and at most limit, whose prompt of
	// messenger does not show what is.
	OutdatedPrompts(ctx context.Context, messenger string, limit int) ([]Asked, error)
	// PutPrompt keeps p in place of an earlier one.
	PutPrompt(ctx context.Context, p Prompt) error
	// Prompt returns the prompt of a messenger for a draft, or incident.ErrNotFound.
	Prompt(ctx context.Context, task int64, messenger string) (Prompt, error)
}
