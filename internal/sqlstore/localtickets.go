package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/local"
)

// InsertTicket stores a ticket of the local tracker, once for a draft key.
func (s *Store) InsertTicket(ctx context.Context, t local.Ticket) (local.Ticket, error) {
	draft, err := json.Marshal(t.Draft)
	if err != nil {
		return local.Ticket{}, fmt.Errorf("store ticket %s: %w", t.DraftKey, err)
	}
	err = s.write(ctx, "ticket", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO local_tickets (draft_key, draft, state, created_at, updated_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (draft_key) DO NOTHING`, text(t.DraftKey), string(draft), string(ticket.Open), nano(t.CreatedAt), nano(t.UpdatedAt))
		return err
	})
	if err != nil {
		return local.Ticket{}, err
	}
	return s.TicketByKey(ctx, t.DraftKey)
}

// TicketByKey finds a ticket by the key of its draft.
func (s *Store) TicketByKey(ctx context.Context, draftKey string) (local.Ticket, error) {
	return s.localTicket(ctx, `draft_key = $1`, text(draftKey))
}

// TicketByNumber finds a ticket by its number.
func (s *Store) TicketByNumber(ctx context.Context, number int64) (local.Ticket, error) {
	return s.localTicket(ctx, `number = $1`, number)
}

func (s *Store) localTicket(ctx context.Context, cond string, arg any) (local.Ticket, error) {
	t, err := s.readLocalTicket(ctx, cond, arg)
	if errors.Is(err, sql.ErrNoRows) {
		return local.Ticket{}, fmt.Errorf("local ticket %v: %w", arg, ticket.ErrNotFound)
	}
	return t, s.reading("local ticket", err)
}

func (s *Store) readLocalTicket(ctx context.Context, cond string, arg any) (local.Ticket, error) {
	tx, err := s.r.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: s.d.snapshot})
	if err != nil {
		return local.Ticket{}, err
	}
	defer tx.Rollback()
	var t local.Ticket
	var draft string
	var created, updated int64
	err = tx.QueryRowContext(ctx, `SELECT number, draft_key, draft, state, created_at, updated_at FROM local_tickets WHERE `+cond, arg).
		Scan(&t.Number, &t.DraftKey, &draft, &t.State, &created, &updated)
	if err != nil {
		return t, err
	}
	t.CreatedAt, t.UpdatedAt = fromNano(created), fromNano(updated)
	if err := json.Unmarshal([]byte(draft), &t.Draft); err != nil {
		return t, fmt.Errorf("%w: draft of ticket %d: %w", incident.ErrDamaged, t.Number, err)
	}
	rows, err := tx.QueryContext(ctx, `SELECT key, body, at FROM local_comments WHERE number = $1 ORDER BY id`, t.Number)
	err = eachRow(rows, err, func() error {
		var c local.Comment
		var body string
		var at int64
		if err := rows.Scan(&c.Key, &body, &at); err != nil {
			return err
		}
		c.At = fromNano(at)
		if err := json.Unmarshal([]byte(body), &c.Body); err != nil {
			return fmt.Errorf("%w: comment %s of ticket %d: %w", incident.ErrDamaged, c.Key, t.Number, err)
		}
		t.Comments = append(t.Comments, c)
		return nil
	})
	return t, err
}

// ChangeTicket adds a comment and sets the state.
func (s *Store) ChangeTicket(ctx context.Context, number int64, c local.Comment, to ticket.State) error {
	body, err := json.Marshal(c.Body)
	if err != nil {
		return fmt.Errorf("store comment on ticket %d: %w", number, err)
	}
	return s.write(ctx, fmt.Sprintf("local ticket %d", number), func(tx *sql.Tx) error {
		var state ticket.State
		err := tx.QueryRowContext(ctx, `SELECT state FROM local_tickets WHERE number = $1`+s.d.forUpdate, number).Scan(&state)
		if errors.Is(err, sql.ErrNoRows) {
			return ticket.ErrNotFound
		}
		if err != nil {
			return err
		}
		changed := to != ticket.Unchanged && to != state
		if changed {
			state = to
		}
		if len(c.Body) > 0 {
			res, err := tx.ExecContext(ctx, `INSERT INTO local_comments (number, key, body, at) VALUES ($1, $2, $3, $4) ON CONFLICT (number, key) DO NOTHING`,
				number, text(c.Key), string(body), nano(c.At))
			if err != nil {
				return err
			}
			n, err := res.RowsAffected()
			if err != nil {
				return err
			}
			changed = changed || n > 0
		}
		if !changed {
			return nil
		}
		_, err = tx.ExecContext(ctx, `UPDATE local_tickets SET state = $1, updated_at = $2 WHERE number = $3`, string(state), nano(c.At), number)
		return err
	})
}
