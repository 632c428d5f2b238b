package local

import (
	"context"
	"time"

	"github.com/portent-dev/portent/internal/ticket"
)

// Store keeps the tickets of the local tracker. It is safe for concurrent use,
// also by several processes over one database. Times are UTC.
type Store interface {
	// InsertTicket stores t with State open unless a ticket with the same
	// DraftKey exists. It gives t the next Number (1, 2, …; gaps are allowed) and
	// returns the stored ticket, new or old, so that repeating it changes
	// nothing.
	InsertTicket(ctx context.Context, t Ticket) (Ticket, error)
	// TicketByKey returns the ticket with that DraftKey with its comments, oldest
	// first, or ticket.ErrNotFound.
	TicketByKey(ctx context.Context, draftKey string) (Ticket, error)
	// TicketByNumber returns the ticket with that number with its comments,
	// oldest first, or ticket.ErrNotFound.
	TicketByNumber(ctx context.Context, number int64) (Ticket, error)
	// ChangeTicket adds c, unless the ticket has a comment with the same Key or
	// c.Body is empty, and sets the state to s, unless s is ticket.Unchanged, in
	// one transaction; UpdatedAt becomes c.At when anything changed. It returns
	// ticket.ErrNotFound for an unknown number.
	ChangeTicket(ctx context.Context, number int64, c Comment, s ticket.State) error
}

// Ticket is a ticket that lives in the receiver.
type Ticket struct {
	Number int64
	// DraftKey is the incident's key (ticket.Draft.Key), unique.
	DraftKey string
	// Draft is the ticket's content as it was filed. Stores keep it as JSON.
	Draft     ticket.Draft
	State     ticket.State
	CreatedAt time.Time
	UpdatedAt time.Time
	Comments  []Comment
}

// Comment is a comment on a ticket. Key is the update's key (ticket.Update.Key)
// and unique within the ticket.
type Comment struct {
	Key  string
	Body ticket.Doc
	At   time.Time
}
