// Package incidentapi is the receiver's HTTP API: the JSON it speaks and a client for it.
//
// The receiver writes these types, the Grafana plugin, the command line tool and users' scripts read
// them, so a field is never renamed or removed. Keys are camelCase, times RFC 3339 in UTC with whatever
// fraction was received, and a time that does not exist yet is null.
//
// The package imports nothing of ours and reads no environment, file or system call: Grafana's review
// rejects a plugin backend that does.
package incidentapi

import (
	"encoding/json"
	"time"
)

// Paths of the API, below the receiver's address.
const (
	PathWebhook   = "/api/v1/webhook/alertmanager"
	PathIncidents = "/api/v1/incidents"
	PathAlerts    = "/api/v1/alerts"
	PathAudit     = "/api/v1/audit"
	PathOutbox    = "/api/v1/outbox"
	PathReady     = "/-/ready"
)

// HeaderAuditHead is the header of the audit chain as JSON lines that says where the chain ends, as SEQ:HASH.
const HeaderAuditHead = "Portent-Audit-Head"

// MaxLimit is the greatest page that the receiver gives; a greater limit is cut to it. At ten alerts an
// incident a page of 1000 is about 5 MB.
const MaxLimit = 1000

// Statuses of an incident.
const (
	StatusOpen      = "open"
	StatusResolved  = "resolved"
	StatusDismissed = "dismissed"
)

// Incident is one incident with its alerts and tickets. Timeline is set only where a single incident was
// asked for.
type Incident struct {
	ID       string `json:"id"`
	Status   string `json:"status"`   // open, resolved or dismissed
	Severity string `json:"severity"` // critical, warning or info
	Title    string `json:"title"`
	Summary  string `json:"summary"`

	StartedAt time.Time  `json:"startedAt"`
	EndedAt   *time.Time `json:"endedAt"` // null while open
	UpdatedAt time.Time  `json:"updatedAt"`

	RootCause *RootCause `json:"rootCause"`        // null when none is known
	Causes    []Cause    `json:"causes,omitempty"` // the likeliest, at most five, the first being the root cause
	Tickets   []Ticket   `json:"tickets"`
	Alerts    []Alert    `json:"alerts"`
	Evidence  []Evidence `json:"evidence"`
	Missing   []Gap      `json:"missing,omitempty"` // evidence that could not be had
	Account   *Account   `json:"account,omitempty"` // what happened, where something was found
	Timeline  []Event    `json:"timeline,omitempty"`
	// Only with a single incident: tickets that wait for somebody, and how sure we are of its class.
	Drafts  []Draft  `json:"drafts,omitempty"`
	Routing *Routing `json:"routing,omitempty"`

	URL string `json:"url,omitempty"` // the incident's page
}

// RootCause is the most probable cause; Confidence is 0 to 1.
type RootCause struct {
	Entity     string  `json:"entity"`
	Alertname  string  `json:"alertname"`
	Confidence float64 `json:"confidence"`
}

// Cause is one of the likeliest causes, and why it is.
type Cause struct {
	RootCause
	Why string `json:"why"`
}

// Ticket is one ticket in one tracker. Key is empty until the tracker has made it.
type Ticket struct {
	Tracker string `json:"tracker"`
	Key     string `json:"key"`
	URL     string `json:"url"`
	Status  string `json:"status"`
}

// Alert is one firing of one alert. Fingerprint and StartsAt together are its identity, both as received.
type Alert struct {
	Fingerprint  string            `json:"fingerprint"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       *time.Time        `json:"endsAt"` // null while firing
	Status       string            `json:"status"` // firing or resolved
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
	Why          string            `json:"why"` // why it belongs to its incident, or was kept out of every one
}

// Account tells what happened in a few sentences, in order.
type Account struct {
	Sentences []Sentence `json:"sentences"`
	// Model found the words, asked by Prompt; both are empty where no language model did.
	Model  string `json:"model,omitempty"`
	Prompt string `json:"prompt,omitempty"`
	// WithoutModel says why no model did although one is configured.
	WithoutModel string `json:"withoutModel,omitempty"`
}

// Sentence is one sentence and what it rests on: ids of evidence, alert:FINGERPRINT, or cause.
type Sentence struct {
	Text  string   `json:"text"`
	Rests []string `json:"rests"`
}

// Evidence is one thing that was looked at, with a link to it.
type Evidence struct {
	ID     string     `json:"id,omitempty"` // E1, E2, …: what an Account names it by; none for a query
	Kind   string     `json:"kind"`         // anomaly, log, event, change, similar, runbook, link or query
	Title  string     `json:"title"`
	Text   string     `json:"text,omitempty"`
	Query  string     `json:"query,omitempty"`
	URL    string     `json:"url,omitempty"`
	At     *time.Time `json:"at,omitempty"`     // when it happened or began
	Source string     `json:"source,omitempty"` // where it was found
}

// Gap is a source that could not be asked, and why.
type Gap struct {
	Source string `json:"source"`
	Reason string `json:"reason"`
}

// Event is one line of an incident's timeline.
type Event struct {
	At    time.Time `json:"at"`
	Kind  string    `json:"kind"`
	Actor string    `json:"actor"`
	Text  string    `json:"text"`
}

// IncidentPage is one page of incidents; Next is the cursor of the following page, null on the last.
type IncidentPage struct {
	Incidents []Incident `json:"incidents"`
	Next      *string    `json:"next"`
}

// AlertPage is one page of alerts; Next as in IncidentPage.
type AlertPage struct {
	Alerts []Alert `json:"alerts"`
	Next   *string `json:"next"`
}

// Action is the body of approve, dismiss, escalate, reopen, feedback and edit. Only Reason is needed.
type Action struct {
	Reason string `json:"reason"`
	// Of approve and edit: which draft, and the hash of what was looked at. Without a hash an approval is for what
	// is there when it comes.
	Task int64  `json:"task,omitempty"`
	Hash string `json:"hash,omitempty"`
	// Verdict of feedback: confirmed, dismissed, undo, or empty for words alone.
	Verdict string `json:"verdict,omitempty"`
	// What edit replaces; what is left out stays. Body is plain text.
	Title    *string `json:"title,omitempty"`
	Summary  *string `json:"summary,omitempty"`
	Body     *string `json:"body,omitempty"`
	Priority *string `json:"priority,omitempty"`
}

// AuditRecord is one link of the audit chain. Hash is over Prev and the rest, so a record that was changed,
// removed or moved breaks the chain. internal/audit verifies it.
type AuditRecord struct {
	Seq     int64           `json:"seq"` // from 1, without gaps
	At      time.Time       `json:"at"`
	Actor   string          `json:"actor"`
	Action  string          `json:"action"`
	Subject string          `json:"subject"`
	Detail  json.RawMessage `json:"detail,omitempty"`
	Prev    string          `json:"prev"`
	Hash    string          `json:"hash"`
}

// AuditPage is one page of the audit chain.
type AuditPage struct {
	Records []AuditRecord `json:"records"`
	Next    *string       `json:"next"`
}

// Task is one outward action that waits in the outbox, was done, or was given up.
type Task struct {
	ID         int64      `json:"id"`
	Incident   string     `json:"incident"`
	Tracker    string     `json:"tracker"`
	Key        string     `json:"key"`   // the incident's key on every ticket
	Kind       string     `json:"kind"`  // create, update, resolve, reopen or sweep
	State      string     `json:"state"` // pending, inflight, done, dead, held, recorded or dropped
	Attempts   int        `json:"attempts"`
	CreatedAt  time.Time  `json:"createdAt"`
	FirstTried *time.Time `json:"firstTried"` // null before the first attempt
	NotBefore  *time.Time `json:"notBefore"`
	Reason     string     `json:"reason"` // class of lastError
	LastError  string     `json:"lastError"`
}

// TaskPage is one page of outbox tasks.
type TaskPage struct {
	Tasks []Task  `json:"tasks"`
	Next  *string `json:"next"`
}

// ErrorBody is the JSON of every error answer.
type ErrorBody struct {
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
}
