package localtest

import (
	"context"
	"slices"
	"sync"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/local"
)

// Memory is a store in memory. The zero value is empty and ready.
type Memory struct {
	mu      sync.Mutex
	tickets []local.Ticket // by number
}

var _ local.Store = (*Memory)(nil)

// InsertTicket implements local.Store.
func (m *Memory) InsertTicket(ctx context.Context, t local.Ticket) (local.Ticket, error) {
	if err := ctx.Err(); err != nil {
		return local.Ticket{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, old := range m.tickets {
		if old.DraftKey == t.DraftKey {
			return clone(old), nil
		}
	}
	t.Number = int64(len(m.tickets) + 1)
	m.tickets = append(m.tickets, t)
	return clone(t), nil
}

// TicketByKey implements local.Store.
func (m *Memory) TicketByKey(ctx context.Context, draftKey string) (local.Ticket, error) {
	return m.find(ctx, func(t local.Ticket) bool { return t.DraftKey == draftKey })
}

// TicketByNumber implements local.Store.
func (m *Memory) TicketByNumber(ctx context.Context, number int64) (local.Ticket, error) {
	return m.find(ctx, func(t local.Ticket) bool { return t.Number == number })
}

func (m *Memory) find(ctx context.Context, match func(local.Ticket) bool) (local.Ticket, error) {
	if err := ctx.Err(); err != nil {
		return local.Ticket{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range m.tickets {
		if match(t) {
			return clone(t), nil
		}
	}
	return local.Ticket{}, ticket.ErrNotFound
}

// ChangeTicket implements local.Store.
func (m *Memory) ChangeTicket(ctx context.Context, number int64, c local.Comment, s ticket.State) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := slices.IndexFunc(m.tickets, func(t local.Ticket) bool { return t.Number == number })
	if n < 0 {
		return ticket.ErrNotFound
	}
	t := &m.tickets[n]
	if !c.Body.Empty() && !slices.ContainsFunc(t.Comments, func(have local.Comment) bool { return have.Key == c.Key }) {
		t.Comments = append(t.Comments, c)
		t.UpdatedAt = c.At
	}
	if s != ticket.Unchanged && s != t.State {
		t.State, t.UpdatedAt = s, c.At
	}
	return nil
}

func clone(t local.Ticket) local.Ticket {
	t.Comments = slices.Clone(t.Comments)
	return t
}
