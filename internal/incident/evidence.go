package incident

import (
	"context"
	"time"
)

// EvidenceKind says what a piece of evidence is.
type EvidenceKind string

// The kinds of evidence, in the order in which they are shown.
const (
	EvidenceAnomaly EvidenceKind = "anomaly" // a series that is or was unusual
	EvidenceLog     EvidenceKind = "log"     // a log pattern that is new or changed its rate
	EvidenceEvent   EvidenceKind = "event"   // an event of Kubernetes
	EvidenceChange  EvidenceKind = "change"  // a rollout or a changed configuration
	EvidenceSimilar EvidenceKind = "similar" // an incident of the past, and how it ended
	EvidenceRunbook EvidenceKind = "runbook"
	EvidenceLink    EvidenceKind = "link" // a page to look at
)

// EvidenceKinds returns all kinds, in the order in which they are shown.
func EvidenceKinds() []EvidenceKind {
	return []EvidenceKind{EvidenceAnomaly, EvidenceLog, EvidenceEvent, EvidenceChange, EvidenceSimilar, EvidenceRunbook, EvidenceLink}
}

// Evidence is one thing that was found about an incident. Its texts come from
// telemetry and are as hostile as that.
type Evidence struct {
	// ID names it within its Dossier: E1, E2, … It is empty in one that was kept by an older version.
	ID   string       `json:"id,omitempty"`
	Kind EvidenceKind `json:"kind"`
	// Title is one line; Text says more where there is more to say.
	Title string `json:"title"`
	Text  string `json:"text,omitempty"`
	// Query is what gives it again, in the language of the source.
	Query string `json:"query,omitempty"`
	URL   string `json:"url,omitempty"`
	// At is when it happened or began, zero when it has no time.
	At time.Time `json:"at,omitzero"`
	// Source names where it was found, from a bounded set: prometheus, exporter, …
	Source string `json:"source"`
}

// A Gap is evidence that could not be had.
type Gap struct {
	Source string `json:"source"`
	Reason string `json:"reason"`
}

// A Dossier is what was found about one incident when it was last looked for.
type Dossier struct {
	At       time.Time  `json:"at"`
	Evidence []Evidence `json:"evidence"`
	Missing  []Gap      `json:"missing,omitempty"`
	// Account tells the incident by it, without sentences where there is nothing to tell.
	Account Account `json:"account,omitzero"`
	// Told: the incident's tickets hold it, or got it as a comment.
	Told bool `json:"told,omitempty"`
}

// Dossiers keeps what was found. It is safe for concurrent use.
type Dossiers interface {
	// PutDossier replaces the dossier of an incident. It goes when the incident
	// does.
	PutDossier(ctx context.Context, incidentID string, d Dossier) error
	// Dossier returns it; ErrNotFound when nothing was looked for yet.
	Dossier(ctx context.Context, incidentID string) (Dossier, error)
}

// An ObjectEvent is an event of Kubernetes about one object.
type ObjectEvent struct {
	// UID is the event's own; the same UID again replaces what was known.
	UID     string
	At      time.Time
	Cluster string // empty: not known
	// Namespace is empty for objects of the cluster, such as nodes.
	Namespace, Kind, Name string
	Reason, Message       string
	Warning               bool
	Count                 int
	// Node is where the object runs, empty when it is not known.
	Node string
}

// An ObjectEventQuery selects events in [From, To] that are of one of the
// namespaces, or on or about one of the nodes.
type ObjectEventQuery struct {
	From, To          time.Time
	Namespaces, Nodes []string
	Limit             int
}

// ObjectEvents keeps events of Kubernetes for a bounded time, in a bounded number. It
// is safe for concurrent use.
type ObjectEvents interface {
	PutObjectEvents(ctx context.Context, events ...ObjectEvent) error
	// ListObjectEvents returns them, newest first.
	ListObjectEvents(ctx context.Context, q ObjectEventQuery) ([]ObjectEvent, error)
}
