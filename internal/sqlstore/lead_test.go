package sqlstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLead(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		s := open(t, sqliteDSN(t))
		held, release, err := s.Lead(t.Context(), "triage")
		require.NoError(t, err)
		require.NoError(t, held.Err())
		release()
		require.Error(t, held.Err())
	})
	t.Run("postgres", func(t *testing.T) {
		dsn := postgresDSN(t)
		a, b := open(t, dsn), open(t, dsn)
		first, release, err := a.Lead(t.Context(), "triage")
		require.NoError(t, err)
		_, other, err := b.Lead(t.Context(), "another")
		require.NoError(t, err)
		other()

		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, _, err = b.Lead(short, "triage")
		require.ErrorIs(t, err, context.DeadlineExceeded, "another one leads")

		release()
		require.Error(t, first.Err())
		second, release, err := b.Lead(t.Context(), "triage")
		require.NoError(t, err)
		defer release()

		// The session of the leader is killed: it must notice.
		_, err = a.Writer().ExecContext(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted`)
		require.NoError(t, err)
		select {
		case <-second.Done():
		case <-time.After(10 * time.Second):
			t.Fatal("the lost leadership went unseen")
		}
		_, again, err := a.Lead(t.Context(), "triage")
		require.NoError(t, err)
		again()
	})
}
