// Package localtest is the suite that every local.Store passes, and a store in
// memory for tests.
package localtest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/local"
	"github.com/portent-dev/portent/internal/ticket/tickettest"
)

var start = time.Date(2026, 11, 22, 10, 32, 46, 123456000, time.UTC)

func draft(key string) local.Ticket {
	return local.Ticket{DraftKey: key, Draft: tickettest.Draft(key), State: ticket.Open, CreatedAt: start, UpdatedAt: start}
}

// Run runs the suite; fresh returns an empty store.
func Run(t *testing.T, fresh func(t *testing.T) local.Store) {
	t.Run("insert", func(t *testing.T) {
		s := fresh(t)
		first, err := s.InsertTicket(t.Context(), draft("portent-a"))
		require.NoError(t, err)
		require.Equal(t, int64(1), first.Number)
		want := draft("portent-a")
		want.Number = 1
		require.Equal(t, want, first)
		second, err := s.InsertTicket(t.Context(), draft("portent-b"))
		require.NoError(t, err)
		require.Greater(t, second.Number, first.Number)

		again := draft("portent-a")
		again.Draft.Title, again.CreatedAt = "another", start.Add(time.Hour)
		again, err = s.InsertTicket(t.Context(), again)
		require.NoError(t, err)
		require.Equal(t, first, again, "the stored ticket wins")
	})
	t.Run("read", func(t *testing.T) {
		s := fresh(t)
		made, err := s.InsertTicket(t.Context(), draft("portent-a"))
		require.NoError(t, err)
		byKey, err := s.TicketByKey(t.Context(), "portent-a")
		require.NoError(t, err)
		require.Equal(t, made, byKey)
		byNumber, err := s.TicketByNumber(t.Context(), made.Number)
		require.NoError(t, err)
		require.Equal(t, made, byNumber)
		for _, key := range []string{"", "portent-", "portent-A", "portent-a ", "%", "portent-_"} {
			_, err := s.TicketByKey(t.Context(), key)
			require.ErrorIs(t, err, ticket.ErrNotFound, key)
		}
		for _, n := range []int64{0, -1, made.Number + 1, 1 << 62} {
			_, err := s.TicketByNumber(t.Context(), n)
			require.ErrorIs(t, err, ticket.ErrNotFound)
			require.ErrorIs(t, s.ChangeTicket(t.Context(), n, note("u1", 1), ticket.Resolved), ticket.ErrNotFound)
		}
	})
	t.Run("change", func(t *testing.T) {
		s := fresh(t)
		made, err := s.InsertTicket(t.Context(), draft("portent-a"))
		require.NoError(t, err)
		change := func(c local.Comment, st ticket.State) local.Ticket {
			require.NoError(t, s.ChangeTicket(t.Context(), made.Number, c, st))
			got, err := s.TicketByNumber(t.Context(), made.Number)
			require.NoError(t, err)
			return got
		}
		want := made
		want.Comments = []local.Comment{note("u1", 1)}
		want.UpdatedAt = start.Add(time.Minute)
		require.Equal(t, want, change(note("u1", 1), ticket.Unchanged))
		require.Equal(t, want, change(note("u1", 2), ticket.Unchanged), "the same key again changes nothing")
		require.Equal(t, want, change(note("u1", 3), ticket.Open), "the same state again changes nothing")

		want.State, want.UpdatedAt = ticket.Resolved, start.Add(4*time.Minute)
		require.Equal(t, want, change(note("u1", 4), ticket.Resolved))
		want.Comments, want.UpdatedAt = append(want.Comments, note("u2", 5)), start.Add(5*time.Minute)
		require.Equal(t, want, change(note("u2", 5), ticket.Unchanged))
		want.State, want.UpdatedAt = ticket.Open, start.Add(6*time.Minute)
		require.Equal(t, want, change(local.Comment{Key: "u3", At: start.Add(6 * time.Minute)}, ticket.Open), "an empty comment is none")
	})
	t.Run("many at once", func(t *testing.T) { testMany(t, fresh(t)) })
}

// testMany inserts few keys from many sides: one ticket each.
func testMany(t *testing.T, s local.Store) {
	const keys, writers = 4, 6
	numbers := make([][keys]int64, writers)
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for k := range keys {
				made, err := s.InsertTicket(t.Context(), draft(fmt.Sprintf("portent-%d", k)))
				if err == nil {
					err = s.ChangeTicket(t.Context(), made.Number, note("u1", 1), ticket.Resolved)
				}
				if err != nil {
					errs[w] = err
					return
				}
				numbers[w][k] = made.Number
			}
		})
	}
	wg.Wait()
	for w := range writers {
		require.NoError(t, errs[w])
		require.Equal(t, numbers[0], numbers[w])
	}
	for k := range keys {
		got, err := s.TicketByKey(t.Context(), fmt.Sprintf("portent-%d", k))
		require.NoError(t, err)
		require.Len(t, got.Comments, 1)
	}
}

func note(key string, minute int) local.Comment {
	return local.Comment{Key: key, Body: tickettest.Note("words of " + key), At: start.Add(time.Duration(minute) * time.Minute)}
}
