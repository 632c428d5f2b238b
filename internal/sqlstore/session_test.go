package sqlstore_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incident/incidenttest"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/sqlstore"
)

// What a killed replica had in flight another one takes at once, and knows that it may have been done; what a living one
// has, it lets alone.
func TestTasksOfADeadReplica(t *testing.T) {
	dsn := postgresDSN(t)
	a, b := open(t, dsn), open(t, dsn)
	for _, s := range []*sqlstore.Store{a, b} {
		require.Eventually(t, func() bool { return s.SessionLost() != nil }, 30*time.Second, 10*time.Millisecond, "each has a session")
	}
	inc := incidenttest.NewIncident(1)
	require.NoError(t, a.Apply(t.Context(), incident.Change{
		Incidents: []incident.Incident{inc}, Tasks: []incident.Task{incidenttest.NewTask(inc.ID, "jira", incident.TaskCreate)},
	}))
	claim := func(s *sqlstore.Store) ([]outbox.Task, time.Time) {
		now := time.Now()
		ts, err := s.Claim(t.Context(), outbox.Claim{Now: now, Lease: time.Hour, Tracker: "jira", Limit: 4, Actor: "test"})
		require.NoError(t, err)
		return ts, now
	}
	mine, _ := claim(a)
	require.Len(t, mine, 1)
	require.Zero(t, mine[0].Uncertain)
	none, _ := claim(b)
	require.Empty(t, none, "its owner lives")

	lost := a.SessionLost()
	_, err := b.Writer().ExecContext(t.Context(), `SELECT pg_terminate_backend(l.pid) FROM pg_locks l, outbox o WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.objid::bigint = o.owner`)
	require.NoError(t, err)
	var taken []outbox.Task
	var at time.Time
	require.Eventually(t, func() bool { taken, at = claim(b); return len(taken) == 1 }, 30*time.Second, 10*time.Millisecond)
	require.Equal(t, 2, taken[0].Attempts)
	require.WithinDuration(t, at.Add(15*time.Second), taken[0].Uncertain, 0, "the first may notice late that it lost it")
	select {
	case <-lost:
	case <-time.After(30 * time.Second):
		t.Fatal("the first does not notice")
	}
	require.ErrorIs(t, a.Finish(t.Context(), mine[0], outbox.Outcome{At: time.Now()}), incident.ErrConflict)
	require.NoError(t, b.Finish(t.Context(), taken[0], outbox.Outcome{At: time.Now()}))
}

func TestSQLiteHasNoSession(t *testing.T) {
	require.Nil(t, open(t, sqliteDSN(t)).SessionLost())
}
