package incident

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// GateOutcome is what becomes of a task when it is written.
type GateOutcome string

// The outcomes.
const (
	// GateSend: it is sent as soon as it is its turn.
	GateSend GateOutcome = ""
	// GateHold: it waits for somebody to approve it.
	GateHold GateOutcome = "hold"
	// GateRecord: it is shown, and sent only if somebody asks for it.
	GateRecord GateOutcome = "record"
)

// A Gate is what the policy said of a task before it was written. The zero value
// sends it: tasks that follow from one, such as a comment on a ticket, share what
// becomes of the task that creates the ticket.
type Gate struct {
	Outcome GateOutcome `json:"outcome,omitempty"`
	// Phase, Rule and Policy name what decided: observe, suggest, draft, auto or
	// PhasePerson; a rule; a version of the policy.
	Phase  string `json:"phase,omitempty"`
	Rule   string `json:"rule,omitempty"`
	Policy string `json:"policy,omitempty"`
	// Why are the reasons.
	Why []string `json:"why,omitempty"`
	// Approvals is how many persons it takes, Expires until when they may.
	Approvals int       `json:"approvals,omitempty"`
	Expires   time.Time `json:"expires,omitzero"`
	// DecidedAt is in the time of correlation.
	DecidedAt time.Time `json:"decidedAt,omitzero"`
}

// PhasePerson is the phase of what a person asked for: no policy stands in its way.
const PhasePerson = "person"

// Verdict is what somebody said of an incident by what they did.
type Verdict string

// The verdicts. The empty one takes back an earlier one.
const (
	VerdictConfirmed Verdict = "confirmed"
	VerdictDismissed Verdict = "dismissed"
	VerdictNone      Verdict = ""
)

// Feedback is the verdict on one incident; a later one replaces it.
type Feedback struct {
	IncidentID string
	// Cluster and Class are those of the incident then: what it teaches about.
	Cluster, Class string
	Verdict        Verdict
	Actor, Reason  string
	At             time.Time
}

// Class names what an incident teaches about: the alert of its probable cause,
// or of its first alert, in its cluster.
func (i Incident) Class() (cluster, class string) {
	class = i.RootCause.Alertname
	if class == "" && len(i.Alerts) > 0 {
		class = i.Alerts[0].Name()
	}
	return i.Labels["cluster"], class
}

// PayloadHash is the lower-case hex SHA-256 of a payload: what an approval binds to.
func PayloadHash(payload json.RawMessage) string {
	sum := sha256.Sum256(payload)
	return hex.EncodeToString(sum[:])
}
