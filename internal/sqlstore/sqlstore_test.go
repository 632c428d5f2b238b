package sqlstore_test

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/incident/incidenttest"
	"github.com/portent-dev/portent/internal/sqlstore"
	"github.com/portent-dev/portent/internal/ticket/local"
	"github.com/portent-dev/portent/internal/ticket/local/localtest"
)

func sqliteDSN(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "portent.db") }

func options(dsn string) sqlstore.Options {
	return sqlstore.Options{DSN: dsn, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()}
}

func open(t testing.TB, dsn string) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), options(dsn))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// both runs f with SQLite and with PostgreSQL; dsn gives a new, empty database.
func both(t *testing.T, f func(t *testing.T, dsn func(testing.TB) string)) {
	t.Run("sqlite", func(t *testing.T) { f(t, sqliteDSN) })
	t.Run("postgres", func(t *testing.T) { f(t, postgresDSN) })
}

func stores(t *testing.T, dsn string) incidenttest.Stores {
	t.Helper()
	s := open(t, dsn)
	now := incidenttest.Stores{Store: s, Inbox: s, Recall: s, Queue: s, Dossiers: s, ObjectEvents: s, Audit: func() []audit.Record { return auditRecords(t, s) }}
	now.Reopen = func() incidenttest.Stores {
		require.NoError(t, s.Close())
		s = open(t, dsn)
		now.Store, now.Inbox, now.Recall, now.Queue, now.Dossiers, now.ObjectEvents = s, s, s, s, s, s
		return now
	}
	return now
}

func auditRecords(t *testing.T, s *sqlstore.Store) []audit.Record {
	t.Helper()
	var out []audit.Record
	q := sqlstore.AuditQuery{Limit: 7}
	for {
		rs, next, err := s.AuditRecords(t.Context(), q)
		require.NoError(t, err)
		out = append(out, rs...)
		if next == "" {
			return out
		}
		q.Cursor = next
	}
}

func TestStoreSQLite(t *testing.T) {
	incidenttest.Run(t, func(t *testing.T) incidenttest.Stores { return stores(t, sqliteDSN(t)) })
}

func TestStorePostgres(t *testing.T) {
	incidenttest.Run(t, func(t *testing.T) incidenttest.Stores { return stores(t, postgresDSN(t)) })
}

func TestLocalTickets(t *testing.T) {
	both(t, func(t *testing.T, dsn func(testing.TB) string) {
		localtest.Run(t, func(t *testing.T) local.Store { return open(t, dsn(t)) })
	})
}
