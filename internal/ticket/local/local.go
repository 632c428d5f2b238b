// Package local keeps tickets in the receiver itself, for those who have no
// ticket system or do not want to give Portent an account in theirs.
//
// It knows no SQL: the Store is given by the wiring.
package local

import (
	"context"
	"errors"
	"time"

	"github.com/portent-dev/portent/internal/ticket"
)

// Options are what a Tracker needs. All fields are required.
type Options struct {
	Store Store
	// URL returns the address of the page of ticket LOCAL-<number>.
	URL func(number int64) string
	// Now is the clock.
	Now func() time.Time
}

func (o Options) validate() error {
	switch {
	case o.Store == nil:
		return errors.New("local tracker: no store")
	case o.URL == nil:
		return errors.New("local tracker: no URL function")
	case o.Now == nil:
		return errors.New("local tracker: no clock")
	}
	return nil
}

// Tracker is the local ticket system.
type Tracker struct{ o Options }

var _ ticket.Tracker = (*Tracker)(nil)

// New returns a tracker over o.Store.
func New(o Options) (*Tracker, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	return &Tracker{o: o}, nil
}

// Create stores the ticket; a second Create with the same key returns the first
// ticket.
func (t *Tracker) Create(ctx context.Context, d ticket.Draft) (ticket.Ticket, error) {
	if err := d.Validate(); err != nil {
		return ticket.Ticket{}, &ticket.Error{Reason: ticket.ReasonInvalid, Err: err}
	}
	now := t.o.Now().UTC()
	s, err := t.o.Store.InsertTicket(ctx, Ticket{DraftKey: d.Key, Draft: bounded(d), State: ticket.Open, CreatedAt: now, UpdatedAt: now})
	if err != nil {
		return ticket.Ticket{}, storeError(ctx, err)
	}
	return t.view(s), nil
}

// Find returns the ticket with that key. It is exact: no search lag.
func (t *Tracker) Find(ctx context.Context, key string) (ticket.Ticket, error) {
	s, err := t.o.Store.TicketByKey(ctx, key)
	if err != nil {
		return ticket.Ticket{}, storeError(ctx, err)
	}
	return t.view(s), nil
}

// Get returns the ticket that r.Key (LOCAL-12) names.
func (t *Tracker) Get(ctx context.Context, r ticket.Ref) (ticket.Ticket, error) {
	s, err := t.Ticket(ctx, r)
	if err != nil {
		return ticket.Ticket{}, err
	}
	return t.view(s), nil
}

// Ticket returns the whole ticket with its comments, for the receiver's pages.
func (t *Tracker) Ticket(ctx context.Context, r ticket.Ref) (Ticket, error) {
	n, err := ParseKey(r.Key)
	if err != nil {
		return Ticket{}, &ticket.Error{Reason: ticket.ReasonNotFound, Err: err}
	}
	s, err := t.o.Store.TicketByNumber(ctx, n)
	if err != nil {
		return Ticket{}, storeError(ctx, err)
	}
	return s, nil
}

// Update adds the comment and sets the state in one transaction.
func (t *Tracker) Update(ctx context.Context, r ticket.Ref, u ticket.Update) error {
	if err := u.Validate(); err != nil {
		return &ticket.Error{Reason: ticket.ReasonInvalid, Err: err}
	}
	n, err := ParseKey(r.Key)
	if err != nil {
		return &ticket.Error{Reason: ticket.ReasonNotFound, Err: err}
	}
	c := Comment{Key: u.Key, Body: boundedDoc(u.Comment), At: t.o.Now().UTC()}
	if err := t.o.Store.ChangeTicket(ctx, n, c, u.State); err != nil {
		return storeError(ctx, err)
	}
	return nil
}

func (t *Tracker) view(s Ticket) ticket.Ticket {
	return ticket.Ticket{Ref: ticket.Ref{Key: Key(s.Number), URL: t.o.URL(s.Number)}, State: s.State, Status: string(s.State)}
}
