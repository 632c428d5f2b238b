package incidentapi

import (
	"encoding/json"
	"time"
)

// Paths of what people decide.
const (
	PathPolicy     = "/api/v1/policy"
	PathKillSwitch = "/api/v1/policy/killswitch"
	PathEvents     = "/api/v1/events"
)

// Verdicts of feedback.
const (
	VerdictConfirmed = "confirmed" // it was worth a ticket
	VerdictDismissed = "dismissed" // it was not
	VerdictUndo      = "undo"      // takes back what was said of the incident
)

// Draft is a ticket that is not filed by itself.
type Draft struct {
	Task    int64  `json:"task"`
	Tracker string `json:"tracker"`
	State   string `json:"state"` // held, recorded, dropped, or that of a task once it was approved
	Reason  string `json:"reason,omitempty"`
	// What decided, and why.
	Phase  string   `json:"phase"` // observe, suggest, draft, auto or person
	Rule   string   `json:"rule"`
	Policy string   `json:"policy"` // version
	Why    []string `json:"why"`
	// Hash is the SHA-256 of exactly what would be sent, which is Payload. An approval is for it alone.
	Hash    string          `json:"hash"`
	Payload json.RawMessage `json:"payload"`
	// Hidden says why Payload is null for whoever asks: it also tells of what they may not see, so they cannot approve it.
	Hidden string `json:"hidden,omitempty"`
	// Approvals for this very payload; it takes Needs of them.
	Approvals []Approval `json:"approvals"`
	Needs     int        `json:"needs"`
	ExpiresAt *time.Time `json:"expiresAt"`
	EditedBy  string     `json:"editedBy,omitempty"`
}

// Approval is the word of one person.
type Approval struct {
	Actor  string    `json:"actor"`
	Reason string    `json:"reason"`
	Hash   string    `json:"hash"`
	At     time.Time `json:"at"`
}

// Routing is how sure Portent is that incidents of a class are worth a ticket: the mean of a Beta posterior
// with its central 90 %, learned from what people confirmed and dismissed of the class lately.
type Routing struct {
	Cluster    string  `json:"cluster"`
	Class      string  `json:"class"`
	Confidence float64 `json:"confidence"`
	Low        float64 `json:"low"`
	High       float64 `json:"high"`
	Confirmed  int     `json:"confirmed"`
	Dismissed  int     `json:"dismissed"`
	// Verdict is what was said of this incident: confirmed, dismissed or empty.
	Verdict string `json:"verdict,omitempty"`
}

// Switch is the kill switch.
type Switch struct {
	Engaged  bool       `json:"engaged"`
	ByConfig bool       `json:"byConfig"` // the configuration engages it, and only it can let go
	Actor    string     `json:"actor,omitempty"`
	Reason   string     `json:"reason,omitempty"`
	At       *time.Time `json:"at"`
}

// SwitchAction is the body of a request to the kill switch.
type SwitchAction struct {
	Engaged bool   `json:"engaged"`
	Reason  string `json:"reason"`
}

// Policy is the policy in use, and what came of it.
type Policy struct {
	Version    string          `json:"version"`
	KillSwitch Switch          `json:"killSwitch"`
	Config     json.RawMessage `json:"config"`
	Report     []PolicyCount   `json:"report"`
	Since      time.Time       `json:"since"` // of the report
	Classes    []Routing       `json:"classes"`
}

// PolicyCount counts the tickets that one rule decided about.
type PolicyCount struct {
	Rule     string `json:"rule"`
	Phase    string `json:"phase"`
	Filed    int    `json:"filed"`    // sent without a person, or on their way
	Approved int    `json:"approved"` // sent because somebody approved or asked for it
	Waiting  int    `json:"waiting"`  // for somebody
	Recorded int    `json:"recorded"` // would have been filed
	Dropped  int    `json:"dropped"`  // dismissed, lapsed or overtaken
	GivenUp  int    `json:"givenUp"`  // the tracker did not take it
}
