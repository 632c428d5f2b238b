// Package ticket is what Portent needs of a ticket system: a draft to file, a
// reference to keep, an update to send, and the errors that decide what the
// outbox does next. Each tracker has a package below this one.
//
// It knows no tracker, no incident store and no network. Text in drafts and
// updates comes from alerts and is hostile: a tracker renders it with the
// escaping of its own format and never passes it on as markup or as part of a
// query.
package ticket

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// State is what Portent knows of a ticket's progress. A tracker maps its own
// workflow onto it.
type State string

// The states of a ticket.
const (
	// Unchanged leaves the state of a ticket alone; only an Update carries it.
	Unchanged State = ""
	Open      State = "open"
	Resolved  State = "resolved"
)

// Draft is a ticket to be filed. It is stored as JSON in the outbox.
type Draft struct {
	// Key is the stable key of the incident, such as portent-01J8X. Every
	// tracker writes it on the ticket in a field that can be searched. Letters,
	// digits, '.', '_' and '-', at most MaxKey bytes.
	Key string `json:"key"`
	// Title is one line. A tracker cuts it to its own limit.
	Title string `json:"title"`
	// Summary is one or two sentences of plain text that open the description.
	Summary string `json:"summary,omitempty"`
	// Body is the rest of the description.
	Body Doc `json:"body"`
	// Severity is critical, warning or info.
	Severity string `json:"severity,omitempty"`
	// Priority overrides what the tracker would derive from Severity, in the
	// words of the tracker's configuration. Empty means derive.
	Priority string `json:"priority,omitempty"`
	// Team is who is asked to look, in the words of the alerts; a tracker that knows groups maps it. May be empty.
	Team string `json:"team,omitempty"`
	// Labels are extra labels. Characters a tracker refuses are replaced.
	Labels []string `json:"labels,omitempty"`
	// IncidentURL leads to the incident's page in the receiver; may be empty.
	IncidentURL string `json:"incidentUrl,omitempty"`
	// StartedAt is when the incident began.
	StartedAt time.Time `json:"startedAt,omitzero"`
	// Does is what sending the draft does besides filing words, for whoever approves it, and Declaration the SHA-256 of what
	// was declared of that. Both are part of what is approved; a tracker that does something refuses another declaration.
	Does        string `json:"does,omitempty"`
	Declaration string `json:"declaration,omitempty"`
	// Origin is what the words were made of, for whoever shows them to people who may not see everything. No tracker sends
	// it; nil: not known.
	Origin *Origin `json:"origin,omitempty"`
}

// Origin is what the words of a draft were made of.
type Origin struct {
	// Alerts are the fingerprints of the alerts; More: there were more than these.
	Alerts []string `json:"alerts,omitempty"`
	More   bool     `json:"more,omitempty"`
	// Evidence lists what was found, by its kind and by the query that gives it again.
	Evidence []OriginEvidence `json:"evidence,omitempty"`
	// History: alerts of other incidents came or went, and the timeline names them.
	History bool `json:"history,omitempty"`
	// Words: they were changed by somebody who sees everything.
	Words bool `json:"words,omitempty"`
}

// OriginEvidence is one piece of evidence that words were made of.
type OriginEvidence struct {
	Kind  string `json:"kind"`
	Query string `json:"query,omitempty"`
}

// Ref names one ticket in one tracker. Key is what people read (OPS-12) and is
// enough to address the ticket; ID, where the tracker has one, survives a move
// to another project.
type Ref struct {
	Key string `json:"key"`
	ID  string `json:"id,omitempty"`
	URL string `json:"url,omitempty"`
}

// Ticket is a ticket as its tracker shows it now.
type Ticket struct {
	Ref
	State State `json:"state"`
	// Status is the tracker's own word for the state, in its own language.
	Status string `json:"status"`
	// Failed says that what the ticket was to do did not help. Trackers that only keep words never say so.
	Failed bool `json:"-"`
}

// Update is a change of a ticket: a comment, a new state, or both.
type Update struct {
	// Key makes the update happen once: a tracker that sees the same key on the
	// same ticket again adds no second comment. Same alphabet as Draft.Key.
	Key string `json:"key"`
	// Comment is added to the ticket unless it is empty.
	Comment Doc `json:"comment,omitzero"`
	// State is the state to reach. A ticket that is there already, because a
	// person moved it, stays as it is.
	State State `json:"state,omitempty"`
}

// Tracker files tickets in one ticket system. All methods are safe for
// concurrent use; the caller sends at most one Create or Update per key at a
// time. Arguments are not kept. Errors are *Error, or wrap ErrNotFound, or are
// those of the context before anything was sent.
type Tracker interface {
	// Create files the draft. It does not look for an earlier ticket with the
	// same key, except where the tracker does that itself at no cost. An
	// ambiguous error means that the ticket may exist all the same.
	Create(ctx context.Context, d Draft) (Ticket, error)
	// Find returns the ticket that carries the draft key, or ErrNotFound. It may
	// miss a ticket for Target.SearchLag after its creation. When several carry
	// the key, the oldest is returned and a tracker that can closes the others
	// as duplicates.
	Find(ctx context.Context, key string) (Ticket, error)
	// Get returns the ticket as it is now, or ErrNotFound.
	Get(ctx context.Context, r Ref) (Ticket, error)
	// Update applies u. It can be repeated after any error: what was done already
	// is not done again.
	Update(ctx context.Context, r Ref, u Update) error
}

// Target is a configured tracker as the outbox sees it.
type Target struct {
	Tracker
	// Name is the name of the tracker in incidents, metrics and the API.
	Name string
	// SearchLag is how long Find may miss a ticket that exists. Zero means that
	// Find is exact.
	SearchLag time.Duration
}

// MaxKey bounds Draft.Key and Update.Key in bytes: with the 255 of a Jira label
// as the tightest known limit, room stays for a tracker's own prefix.
const MaxKey = 200

// ErrNotFound says that no such ticket exists. Test with errors.Is.
var ErrNotFound = errors.New("ticket not found")

// CheckKey reports what is wrong with a draft or update key.
func CheckKey(key string) error {
	if key == "" {
		return errors.New("ticket key is empty")
	}
	if len(key) > MaxKey {
		return errors.New("ticket key is longer than 200 bytes")
	}
	for _, c := range []byte(key) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return errors.New("ticket key may hold letters, digits, '.', '_' and '-' only")
		}
	}
	return nil
}

// Validate reports what a tracker could not file.
func (d Draft) Validate() error {
	if err := CheckKey(d.Key); err != nil {
		return err
	}
	if OneLine(d.Title, MaxText) == "" {
		return errors.New("ticket has no title")
	}
	return nil
}

// Validate reports what a tracker could not apply.
func (u Update) Validate() error {
	if err := CheckKey(u.Key); err != nil {
		return err
	}
	switch u.State {
	case Unchanged, Open, Resolved:
		return nil
	default:
		return fmt.Errorf("unknown ticket state %q", u.State)
	}
}
