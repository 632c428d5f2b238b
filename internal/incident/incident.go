// Package incident holds the nouns of the receiver: a notification as it came
// in, an alert, an incident that gathers alerts, and the interfaces that the
// receiver asks of a store. It decides nothing (triage does), knows no SQL
// (sqlstore does) and no tracker.
package incident

import (
	"time"
)

// Status is the state of an incident.
type Status string

// The states of an incident. A merged-away incident keeps its last state and
// has MergedInto set.
const (
	StatusOpen      Status = "open"
	StatusResolved  Status = "resolved"
	StatusDismissed Status = "dismissed"
)

// Severity says how bad an incident is.
type Severity string

// The severities, worst first.
const (
	SeverityCritical Severity = "critical"
	SeverityWarning  Severity = "warning"
	SeverityInfo     Severity = "info"
)

// Rank orders severities: 3 for critical, 2 for warning, 1 for info, 0 for
// anything else.
func (s Severity) Rank() int {
	switch s {
	case SeverityCritical:
		return 3
	case SeverityWarning:
		return 2
	case SeverityInfo:
		return 1
	default:
		return 0
	}
}

// AlertStatus is the state of one alert.
type AlertStatus string

// The states of an alert.
const (
	AlertFiring   AlertStatus = "firing"
	AlertResolved AlertStatus = "resolved"
)

// An Alert is one firing of one alert. Its identity is Fingerprint with
// StartsAt, never anything that depends on the route or on which Alertmanager
// of a pair sent it. Times are kept to the nanosecond, in UTC.
type Alert struct {
	Fingerprint string    `json:"fingerprint"`
	StartsAt    time.Time `json:"startsAt"`
	// EndsAt is the zero time while the alert fires.
	EndsAt time.Time   `json:"endsAt"`
	Status AlertStatus `json:"status"`
	// IncidentID is the incident the alert belongs to, empty when the alert was
	// kept out of incidents. An alert belongs to one incident at a time; a merge
	// or a split moves it.
	IncidentID  string            `json:"incidentId,omitempty"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	// GeneratorURL links to the expression in Prometheus. ExternalURL links to
	// the Alertmanager that sent it last; it is never identity.
	GeneratorURL string `json:"generatorUrl,omitempty"`
	ExternalURL  string `json:"externalUrl,omitempty"`
	// GroupKey and Receiver are those of the last notice; both may change.
	GroupKey string `json:"groupKey,omitempty"`
	Receiver string `json:"receiver,omitempty"`
	// ReceivedAt is when the first notice came, UpdatedAt when the last one did,
	// both in the time that correlation runs on.
	ReceivedAt time.Time `json:"receivedAt"`
	UpdatedAt  time.Time `json:"updatedAt"`
	// Expired: nobody said that it ended, it was not heard of for too long.
	Expired bool `json:"expired,omitempty"`
	// ClaimedAt is when a firing notice first contradicted the end long after it,
	// zero when none did.
	ClaimedAt time.Time `json:"claimedAt,omitzero"`
	// Why says why the alert belongs to its incident, or why it was kept out.
	Why string `json:"why"`
}

// Name is the value of the label alertname.
func (a Alert) Name() string { return a.Labels["alertname"] }

// ID is the identity of the alert.
func (a Alert) ID() AlertID {
	return AlertID{Fingerprint: a.Fingerprint, StartsAt: a.StartsAt.UnixNano()}
}

// An AlertID identifies one firing of one alert; StartsAt is Unix nanoseconds.
type AlertID struct {
	Fingerprint string
	StartsAt    int64
}

// A Ticket is what an incident knows of its ticket in one tracker.
type Ticket struct {
	// Tracker is the name of the tracker in the configuration.
	Tracker string `json:"tracker"`
	// Key is how people name it: OPS-12, INC0010023, LOCAL-3.
	Key string `json:"key"`
	// ID is the tracker's own id where it differs from Key.
	ID     string `json:"id,omitempty"`
	URL    string `json:"url"`
	Status string `json:"status"`
}

// A RootCause is the guess at what broke first. Confidence is 0 to 1.
type RootCause struct {
	Entity     string  `json:"entity"`
	Alertname  string  `json:"alertname"`
	Confidence float64 `json:"confidence"`
}

// A Cause is one of the likeliest causes of an incident.
type Cause struct {
	RootCause
	// Why in words.
	Why string `json:"why"`
}

// An Event is a line in the timeline of an incident.
type Event struct {
	IncidentID string    `json:"-"`
	At         time.Time `json:"at"`
	// Kind is from a bounded set, such as "opened" or "ticket".
	Kind string `json:"kind"`
	// Actor is who caused it: "portent" or the name of a person.
	Actor string `json:"actor"`
	Text  string `json:"text"`
}

// The kinds of timeline events.
const (
	EventOpened    = "opened"
	EventAlert     = "alert"
	EventSeverity  = "severity"
	EventResolved  = "resolved"
	EventReopened  = "reopened"
	EventDismissed = "dismissed"
	EventTicket    = "ticket"
	EventNote      = "note"
	EventTaken     = "taken"
	EventApproved  = "approved"
	EventEscalated = "escalated"
	EventMerged    = "merged"
	EventSplit     = "split"
)

// An Incident gathers the alerts that belong to one thing gone wrong.
type Incident struct {
	// ID never changes, sorts by the start of the incident and is safe in a URL,
	// a label and a file name.
	ID string `json:"id"`
	// Key is the stable key of correlation: at most one open incident has it.
	Key string `json:"key"`
	// Version counts the changes; see Store.Apply. Zero: not stored yet.
	Version   int64     `json:"version"`
	Status    Status    `json:"status"`
	Severity  Severity  `json:"severity"`
	Title     string    `json:"title"`
	Summary   string    `json:"summary"`
	StartedAt time.Time `json:"startedAt"`
	// EndedAt is the zero time while the incident is open.
	EndedAt   time.Time `json:"endedAt"`
	UpdatedAt time.Time `json:"updatedAt"`
	// ToldAt is up to when its tickets tell what happened.
	ToldAt time.Time `json:"toldAt"`
	// Labels are the labels that say where it is (cluster, namespace, service).
	Labels    map[string]string `json:"labels"`
	RootCause RootCause         `json:"rootCause"`
	// Causes are the likeliest, at most five, the first being RootCause.
	Causes []Cause `json:"causes,omitempty"`
	// Firing and Total count its alerts; they hold also when Alerts is not loaded.
	Firing int `json:"firing"`
	Total  int `json:"total"`
	// Trackers are those that it has, or will have, a ticket in.
	Trackers []string `json:"trackers,omitempty"`
	// Pinned: a person reopened it. It does not resolve by itself before another
	// alert of it has fired.
	Pinned bool `json:"pinned,omitempty"`
	// MergedInto is the id of the incident that took over its alerts, empty
	// otherwise. A merged-away incident is not listed.
	MergedInto string `json:"mergedInto,omitempty"`

	Tickets  []Ticket `json:"tickets"`
	Alerts   []Alert  `json:"alerts,omitempty"`
	Timeline []Event  `json:"timeline,omitempty"`
	// Dossier is what was found about it, nil where it was not loaded or nothing
	// was looked for. A Store does not fill it in: see Dossiers.
	Dossier *Dossier `json:"-"`
}

// TicketKey is the one key that every ticket of the incident carries, as a Jira
// label, a ServiceNow correlation id or a PagerDuty dedup key.
func (i Incident) TicketKey() string { return "portent-" + i.ID }

// A Notification is a webhook request as it came in.
type Notification struct {
	// ID is given by the store and grows in the order of storing.
	ID int64
	// Source names the kind of the body: SourceAlertmanager so far.
	Source string
	// ReceivedAt is the wall clock; Clock is the time of the replay header, zero
	// without one. Correlation uses Clock, else the times inside the alerts.
	ReceivedAt time.Time
	Clock      time.Time
	Body       []byte
	// Digest is the lower-case hex SHA-256 of Source and Body as
	// BodyDigest computes it. The store fills it in when it is empty.
	Digest string
}

// SourceAlertmanager marks the body of an Alertmanager webhook, version 4.
const SourceAlertmanager = "alertmanager"
