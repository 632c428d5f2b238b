// Package outbox carries out decided actions on trackers, each exactly once.
//
// A task is written in the transaction that decided it (incident.Change). The
// Worker claims it, which marks it in flight durably before anything is sent,
// calls the tracker and writes the outcome. After a crash or an error that may
// have had its effect, it looks the ticket up by its key, through the search
// lag of the tracker, before it creates again.
package outbox

import (
	"context"
	"time"

	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/incident"
)

// State is where a task stands.
type State string

// The states of a task. Dead tasks wait for a person: Replay.
const (
	StatePending  State = "pending"
	StateInflight State = "inflight"
	StateDone     State = "done"
	StateDead     State = "dead"
)

// A Task is an action in the outbox.
type Task struct {
	ID int64 `json:"id"`
	incident.Task
	State State `json:"state"`
	// Attempts counts the calls that were begun since it was created or replayed.
	Attempts int `json:"attempts"`
	// NotBefore is when it may be tried next.
	NotBefore time.Time `json:"notBefore"`
	CreatedAt time.Time `json:"createdAt"`
	// FirstTried is zero before the first attempt.
	FirstTried time.Time `json:"firstTried"`
	// Uncertain is the end of the last attempt that may have had its effect
	// though we do not know; zero when there is none.
	Uncertain time.Time `json:"uncertain"`
	LastError string    `json:"lastError,omitempty"`
	// Reason is the bounded class of LastError.
	Reason string `json:"reason,omitempty"`
	// Hash is that of the payload as it was written or last edited; Authorized is
	// that of the payload that may be sent, empty while nobody let it go. ByPerson
	// says that a person did, EditedBy who wrote the payload when a person did.
	Hash       string `json:"hash,omitempty"`
	Authorized string `json:"authorized,omitempty"`
	ByPerson   bool   `json:"byPerson,omitempty"`
	EditedBy   string `json:"editedBy,omitempty"`
	// Ticket is the ticket the incident has in this tracker, zero before one is
	// known.
	Ticket incident.Ticket `json:"ticket"`
}

// ReasonBlocked marks a dead task that waits for the dead create before it.
const ReasonBlocked = "blocked"

// A Claim asks for work.
type Claim struct {
	// Now is the time against which NotBefore and leases are held.
	Now time.Time
	// Lease is how long the claimed tasks are ours; a task whose lease is over
	// was interrupted and is given out again with Uncertain set to Now.
	Lease time.Duration
	// Tracker selects the tasks of one tracker.
	Tracker string
	Limit   int
	// Actor names the worker in the audit records.
	Actor string
	// OnlyByPerson passes over what no person asked for or approved. The switch
	// KillSwitch of the store does so too.
	OnlyByPerson bool
}

// An Outcome is the end of an attempt. At, Error and Reason describe it;
// the entries are appended to the audit chain in the same transaction.
type Outcome struct {
	At time.Time
	// NotBefore is when to try again (Retry only).
	NotBefore time.Time
	// Uncertain replaces the field of the task (Retry and Bury).
	Uncertain time.Time
	// Uncounted takes back the attempt: nothing was sent (Retry only).
	Uncounted bool
	Error     string
	Reason    string
	// Ticket is stored as the incident's ticket in this tracker when Key is set.
	Ticket incident.Ticket
	// Sweep, when not zero, adds a TaskSweep for the same ticket that is due then
	// (Finish only).
	Sweep time.Time
	// Events are appended to the timeline of the incident.
	Events  []incident.Event
	Records []audit.Entry
}

// Queue keeps the tasks. It is safe for concurrent use, also by several
// processes where the store allows them. Each method is one durable transaction.
type Queue interface {
	// Claim marks up to Limit due tasks in flight and returns them: pending ones
	// whose NotBefore has come, and in-flight ones whose lease is over. Of the
	// tasks of one incident in one tracker only the oldest unfinished is due;
	// sweeps are outside of that order. It writes an audit record for each.
	Claim(ctx context.Context, c Claim) ([]Task, error)
	// Finish marks a claimed task done. It, Retry and Bury return
	// incident.ErrConflict when the task is not in flight in the attempt that t
	// is: its lease was over and another worker has it.
	Finish(ctx context.Context, t Task, o Outcome) error
	// Retry makes a claimed task pending again.
	Retry(ctx context.Context, t Task, o Outcome) error
	// Bury makes a claimed task dead. With a create, the later tasks of the same
	// incident and tracker become dead too, with ReasonBlocked.
	Bury(ctx context.Context, t Task, o Outcome) error
	// Replay makes a dead task pending with no attempts counted, and with it
	// those that it blocked. ErrNotFound when there is no such dead task.
	Replay(ctx context.Context, id int64, actor string, at time.Time) error
	// Stats counts.
	Stats(ctx context.Context) (Stats, error)
	// ListTasks returns tasks, newest first, and the cursor of the next page.
	ListTasks(ctx context.Context, q Query) (tasks []Task, next string, err error)
}

// A Query selects tasks.
type Query struct {
	// State and IncidentID are empty for all.
	State      State
	IncidentID string
	Limit      int
	Cursor     string
}

// Stats are counts over the whole queue.
type Stats struct {
	// Todo counts pending and in-flight tasks, Dead dead ones, by tracker.
	Todo, Dead map[string]int
	// Oldest is when the oldest task to do was created, zero when there is none.
	Oldest time.Time
}
