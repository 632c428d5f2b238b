package incident

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/noise"
)

// What callers branch on. Errors of a store wrap them and say more.
var (
	// ErrNotFound: there is no such thing.
	ErrNotFound = errors.New("not found")
	// ErrConflict: somebody else changed it since it was read; read it again.
	ErrConflict = errors.New("changed in the meantime")
	// ErrBadCursor: the cursor of a query is not one that the store gave out.
	ErrBadCursor = errors.New("bad cursor")

	// The next ones mean that nothing was stored and that it may work later;
	// the webhook answers 503 on them.

	// ErrFull: no room on the disk, or the configured size is reached.
	ErrFull = errors.New("store is full")
	// ErrLocked: another process holds the database.
	ErrLocked = errors.New("store is locked")
	// ErrClosed: the store was closed or cannot be reached.
	ErrClosed = errors.New("store is closed")
	// ErrDamaged: the database is not what was written; see the wrapping text.
	ErrDamaged = errors.New("store is damaged")
)

// Inbox keeps notifications durably until they were processed.
// It is safe for concurrent use.
type Inbox interface {
	// Put stores notifications; when it returns nil they are on disk. On an
	// error none of them is guaranteed to be, and the sender must be told to try
	// again. Concurrent calls share a transaction. A notification that equals one
	// still unprocessed (same Digest) is stored once.
	Put(ctx context.Context, ns ...Notification) error
	// Next returns up to limit unprocessed notifications, oldest first, without
	// taking them: Apply with their ids in Done does that.
	Next(ctx context.Context, limit int) ([]Notification, error)
	// Pending is the number of unprocessed notifications.
	Pending(ctx context.Context) (int, error)
	// Refuse keeps, for a person to look at, a body that can never be processed.
	// Only the newest are kept, up to a bound of the store.
	Refuse(ctx context.Context, n Notification, reason string) error
	// Aside returns the bodies that were refused or set aside (Change.Aside),
	// newest first.
	Aside(ctx context.Context, limit int) ([]AsideNotification, error)
}

// An AsideNotification could not be processed, for Reason.
type AsideNotification struct {
	Notification
	Reason string
}

// Store keeps incidents. It is safe for concurrent use.
type Store interface {
	// Get returns an incident with its alerts, tickets and timeline, merged-away
	// ones too. ErrNotFound when there is none. Of one with more than a bound of the
	// store, some ten thousand, these are the first and the latest alerts; Total says
	// how many there are.
	Get(ctx context.Context, id string) (Incident, error)
	// List returns incidents, newest first, and the cursor of the next page,
	// empty after the last. Paging is by id, which never changes: what is there
	// during the whole walk is seen exactly once.
	List(ctx context.Context, q Query) (incidents []Incident, next string, err error)
	// ListAlerts returns alerts in the order they were first stored, and the
	// cursor of the next page, empty after the last.
	ListAlerts(ctx context.Context, q AlertQuery) (alerts []Alert, next string, err error)
	// Apply makes a change, whole or not at all, durable when it returns nil.
	// ErrConflict, and nothing is written, when an incident's Version is not the
	// stored one, when two open incidents would have the same Key, or when a
	// notification in Done or Aside is no longer pending.
	Apply(ctx context.Context, c Change) error
	// Counts counts incidents by status, without merged-away ones.
	Counts(ctx context.Context) (map[Status]int, error)
}

// Recall is what triage asks a store for besides. It is safe for concurrent use.
type Recall interface {
	// Known returns the alerts with these fingerprints: of each the RecallDepth
	// firings that started last, latest first.
	Known(ctx context.Context, fingerprints []string) ([]Alert, error)
	// Clock is the greatest UpdatedAt of any alert, zero when there is none.
	Clock(ctx context.Context) (time.Time, error)
}

// RecallDepth bounds how many firings of one alert are recalled. The two that
// one firing may have, the one before and some room.
const RecallDepth = 8

// MaxLimit bounds the page of a query; DefaultLimit stands for a Limit of 0.
const (
	MaxLimit     = 1000
	DefaultLimit = 100
)

// A Query selects incidents. The zero value means the newest of all.
type Query struct {
	// Status and Severity are empty for all.
	Status   Status
	Severity Severity
	// Since leaves out what ended before it, Until what started at or after it:
	// together they select what went on in [Since, Until).
	Since, Until time.Time
	// UpdatedSince leaves out what has not changed since.
	UpdatedSince time.Time
	// Firing leaves out incidents none of whose alerts fires.
	Firing bool
	// Limit is at most MaxLimit.
	Limit  int
	Cursor string
	// Brief leaves out the alerts. The timeline is never loaded; tickets always.
	Brief bool
	// AlertsEach bounds the alerts of each incident: beyond FirstAlerts that were stored
	// first these are the latest. 0: as many as Get returns.
	AlertsEach int
}

// FirstAlerts are loaded of an incident whatever Query.AlertsEach says: those that it
// began with.
const FirstAlerts = 100

// An AlertQuery selects alerts.
type AlertQuery struct {
	// Suppressed selects alerts that were kept out of incidents; otherwise those
	// inside of incidents are selected.
	Suppressed bool
	// IncidentID is empty for all.
	IncidentID string
	// Firing leaves out resolved alerts.
	Firing bool
	// Since leaves out alerts last heard of before it, HeardBefore those heard of then
	// or later.
	Since, HeardBefore time.Time
	Limit              int
	Cursor             string
}

// A Change is everything that follows from one step, written in one transaction.
type Change struct {
	// Incidents are inserted when Version is 0, otherwise replaced when the
	// stored Version is the same; the stored one then counts up. Their Alerts,
	// Tickets and Timeline are not written.
	Incidents []Incident
	// Alerts are inserted or replaced by fingerprint and start. Moving an alert
	// to another incident is writing it with another IncidentID.
	Alerts []Alert
	// Events are appended to the timelines.
	Events []Event
	// Tasks are put into the outbox.
	Tasks []Task
	// Records are appended to the audit chain.
	Records []audit.Entry
	// Feedback replaces what was said of the same incidents.
	Feedback []Feedback
	// Noise is added to what was counted of those days and rules before.
	Noise []noise.Count
	// Done are the ids of the notifications that this change comes from.
	Done []int64
	// Aside are notifications that cannot be processed, with the reason. They no
	// longer count as pending and are kept for a person to look at.
	Aside map[int64]string
}

// Empty reports whether the change writes nothing.
func (c Change) Empty() bool {
	return len(c.Incidents)+len(c.Alerts)+len(c.Events)+len(c.Tasks)+len(c.Records)+len(c.Feedback)+len(c.Noise)+len(c.Done)+len(c.Aside) == 0
}

// TaskKind is what is to be done to a ticket.
type TaskKind string

// The kinds of tasks.
const (
	TaskCreate  TaskKind = "create"
	TaskUpdate  TaskKind = "update"
	TaskResolve TaskKind = "resolve"
	TaskReopen  TaskKind = "reopen"
	// TaskSweep looks for tickets that were created twice; the outbox asks for it
	// itself, after a create that followed one of unknown fate.
	TaskSweep TaskKind = "sweep"
)

// A Task is an outward action that was decided: the outbox does it once.
type Task struct {
	IncidentID string   `json:"incidentId"`
	Tracker    string   `json:"tracker"`
	Key        string   `json:"key"`
	Kind       TaskKind `json:"kind"`
	// Payload is the JSON of a ticket.Draft (create) or a ticket.Update (else),
	// exactly what will be sent.
	Payload json.RawMessage `json:"payload"`
	// Gate is what the policy said of it.
	Gate Gate `json:"gate,omitzero"`
}

// BodyDigest is the Digest of a notification.
func BodyDigest(n Notification) string {
	h := sha256.New()
	h.Write([]byte(n.Source))
	h.Write([]byte{0})
	h.Write(n.Body)
	return hex.EncodeToString(h.Sum(nil))
}
