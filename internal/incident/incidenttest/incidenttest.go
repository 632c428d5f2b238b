// Package incidenttest is the suite that every store of incidents passes.
package incidenttest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/outbox"
)

// Stores are the faces of one store.
type Stores struct {
	Store  incident.Store
	Inbox  incident.Inbox
	Recall incident.Recall
	Queue  outbox.Queue

	Dossiers     incident.Dossiers
	ObjectEvents incident.ObjectEvents
	// Audit returns the whole audit chain.
	Audit func() []audit.Record
	// Reopen closes the store and opens it again.
	Reopen func() Stores
}

// Run runs the suite; open returns a new and empty store each time.
func Run(t *testing.T, open func(t *testing.T) Stores) {
	for _, tt := range []struct {
		name string
		f    func(t *testing.T, s Stores)
	}{
		{"Inbox", inboxOrder},
		{"InboxDuplicates", inboxDuplicates},
		{"InboxConcurrent", inboxConcurrent},
		{"InboxAside", inboxAside},
		{"InboxReopen", inboxReopen},
		{"IncidentRoundTrip", incidentRoundTrip},
		{"IncidentVersions", incidentVersions},
		{"IncidentOpenKeys", incidentOpenKeys},
		{"ApplyAllOrNothing", applyAllOrNothing},
		{"ListPages", listPages},
		{"ListFilters", listFilters},
		{"MergeAndSplit", mergeAndSplit},
		{"Alerts", alerts},
		{"AlertPages", alertPages},
		{"Known", known},
		{"HostileText", hostileText},
		{"QueueLife", queueLife},
		{"QueueOrder", queueOrder},
		{"QueueLease", queueLease},
		{"QueueRetry", queueRetry},
		{"QueueDead", queueDead},
		{"QueueSweep", queueSweep},
		{"QueueConcurrent", queueConcurrent},
		{"QueueStats", queueStats},
		{"Dossiers", dossiers},
		{"ObjectEvents", objectEvents},
		{"Audit", auditChain},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t)
			tt.f(t, s)
			if t.Failed() {
				return
			}
			verify(t, s)
		})
	}
}

// Base is the time that the suite's data is around, with nanoseconds.
var Base = time.Date(2026, 11, 22, 10, 0, 0, 123456789, time.UTC)

// NewIncident returns an open incident that started n minutes after Base. Its
// id sorts by n.
func NewIncident(n int) incident.Incident {
	return incident.Incident{
		ID: fmt.Sprintf("01test%06d", n), Key: fmt.Sprintf("cluster=c%d", n), Status: incident.StatusOpen, Severity: incident.SeverityWarning,
		Title: fmt.Sprintf("incident %d", n), Summary: "summary", StartedAt: minute(n), UpdatedAt: minute(n + 1), ToldAt: minute(n),
		Labels:    map[string]string{"cluster": fmt.Sprintf("c%d", n), "namespace": "shop"},
		RootCause: incident.RootCause{Entity: "shop/api", Alertname: "HighLatency", Confidence: 0.25},
		Firing:    1, Total: 2, Trackers: []string{"jira", "local"}, Pinned: n%2 == 1,
	}
}

// NewAlert returns a firing alert that started n minutes after Base.
func NewAlert(n int, incidentID string) incident.Alert {
	return incident.Alert{
		Fingerprint: fmt.Sprintf("%016x", n), StartsAt: minute(n), Status: incident.AlertFiring, IncidentID: incidentID,
		Labels: map[string]string{"alertname": "HighLatency", "n": strconv.Itoa(n)}, Annotations: map[string]string{"summary": "slow"},
		GeneratorURL: "http://prometheus/graph", ExternalURL: "http://am", GroupKey: "{}:{}", Receiver: "r",
		ReceivedAt: minute(n + 1), UpdatedAt: minute(n + 2), Why: "same namespace",
	}
}

// NewTask returns a task.
func NewTask(incidentID, tracker string, kind incident.TaskKind) incident.Task {
	return incident.Task{
		IncidentID: incidentID, Tracker: tracker, Key: "portent-" + incidentID, Kind: kind,
		Payload: json.RawMessage(`{"key":"portent-` + incidentID + `","title":"` + string(kind) + `"}`),
	}
}

func minute(n int) time.Time { return Base.Add(time.Duration(n) * time.Minute) }
