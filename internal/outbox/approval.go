package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/incident"
)

// States of tasks that the policy does not let go by themselves. None of them is
// ever claimed, and what follows from a task shares its state.
const (
	// StateHeld: it waits for somebody to approve it.
	StateHeld State = "held"
	// StateRecorded: it would have been done; somebody may still ask for it.
	StateRecorded State = "recorded"
	// StateDropped: a draft that was dismissed, lapsed, or was overtaken.
	StateDropped State = "dropped"
)

// Why a task was dropped, and why a dead one was never sent.
const (
	ReasonDismissed  = "dismissed"
	ReasonLapsed     = "lapsed"
	ReasonMerged     = "merged"
	ReasonSuperseded = "superseded"
	// ReasonUnapproved: its payload is not the one that was let go.
	ReasonUnapproved = "unapproved"
)

// ErrStale says that a payload is not the one that was looked at. It wraps
// incident.ErrConflict.
var ErrStale = fmt.Errorf("the draft is another one than was looked at: %w", incident.ErrConflict)

// ErrNotHeld says that a task waits for nobody. It wraps incident.ErrConflict.
var ErrNotHeld = fmt.Errorf("nothing waits for an approval: %w", incident.ErrConflict)

// An Approval is the word of one person for one payload of one task.
type Approval struct {
	TaskID     int64     `json:"taskId"`
	IncidentID string    `json:"incidentId"`
	Actor      string    `json:"actor"`
	Reason     string    `json:"reason"`
	Hash       string    `json:"hash"`
	At         time.Time `json:"at"`
	// Needs is how many persons it takes at least, when that is more than the task says.
	Needs int `json:"-"`
}

// An Edit replaces the payload of a draft.
type Edit struct {
	TaskID  int64
	Actor   string
	Reason  string
	Hash    string // of the payload it replaces
	Payload json.RawMessage
	At      time.Time
	// Redraft: it is made anew from the incident, not by a person. One that a person
	// has edited stays (ErrStale), and comments that wait for it are overtaken.
	Redraft bool
}

// Approvals keeps what waits for people. It is safe for concurrent use, also by
// several processes where the store allows them. Each method is one durable
// transaction with its audit record, and fails with incident.ErrNotFound,
// ErrStale or ErrNotHeld without a trace.
type Approvals interface {
	// Approve lets a create go that is held or recorded, when a.Hash is that of its
	// payload now, a.At is before it lapses, and enough persons have approved it;
	// what follows from it goes along. The same approval twice is one, also when it was sent meanwhile.
	// more is how many persons it still takes.
	Approve(ctx context.Context, a Approval, f incident.Feedback) (t Task, more int, err error)
	// Edit replaces the payload of a create that is held or recorded; earlier
	// approvals are void by that.
	Edit(ctx context.Context, e Edit) (Task, error)
	// Lapse drops drafts that waited until now or longer, and returns how many.
	Lapse(ctx context.Context, now time.Time) (int, error)
	// Outdated returns held creates, that no person edited, behind which comments wait.
	Outdated(ctx context.Context, limit int) ([]Task, error)
	// ApprovalsOf returns the approvals of an incident's tasks, oldest first.
	ApprovalsOf(ctx context.Context, incidentID string) ([]Approval, error)
	// FiledBy returns when a rule filed tickets without a person since a time, by
	// incident and tracker, at most limit of them.
	FiledBy(ctx context.Context, rule string, since time.Time, limit int) (map[string]time.Time, error)
}

// A PolicyCount is how many creates a rule decided about came to a state.
type PolicyCount struct {
	Rule, Phase string
	State       State
	ByPerson    bool
	N           int
}

// A Switch stops or lets go; the only one is KillSwitch.
type Switch struct {
	Name    string    `json:"name"`
	Engaged bool      `json:"engaged"`
	Actor   string    `json:"actor"`
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
}

// KillSwitch stops all tasks that no person asked for or approved.
const KillSwitch = "kill"

// unauthorized reports why a task must not be sent: its payload is not the one
// that was let go. Tasks of versions that knew no policy have no phase.
func (t Task) unauthorized() error {
	got := incident.PayloadHash(t.Payload)
	switch {
	case t.Authorized == got:
		return nil
	case t.Authorized == "" && t.Gate.Phase == "" && t.Hash == "":
		return nil
	case t.Authorized == "":
		return errors.New("nobody let this task go")
	}
	return fmt.Errorf("the payload has hash %s, what was let go had %s", got, t.Authorized)
}

// Entry makes the audit record of something that was decided about a task, with what the policy said of it.
func (t Task) Entry(at time.Time, actor, action string, detail map[string]any) audit.Entry {
	detail["task"], detail["tracker"], detail["key"] = t.ID, t.Tracker, t.Key
	detail["phase"], detail["rule"], detail["policy"] = t.Gate.Phase, t.Gate.Rule, t.Gate.Policy
	b, err := json.Marshal(detail)
	if err != nil {
		panic("BUG: audit detail cannot be encoded: " + err.Error())
	}
	return audit.Entry{At: at, Actor: actor, Action: action, Subject: t.IncidentID, Detail: b}
}
