package sqlstore_test

import (
	"database/sql"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/sqlstore"
)

// A database of the first version, with a ticket and a comment that wait, is taken over: both are sent.
func TestTheFirstVersionIsTakenOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "old.db")
	script, err := os.ReadFile("migrations/sqlite/00001_init.sql")
	require.NoError(t, err)
	up, _, _ := strings.Cut(string(script), "-- +goose Down")
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), up)
	require.NoError(t, err)
	for _, q := range []string{
		`CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL, is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now')))`,
		`INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1), (1, 1)`,
		`INSERT INTO outbox (incident_id, tracker, key, kind, payload, state, attempts, not_before, lease_until, created_at, first_tried, uncertain, last_error, reason)
			VALUES ('i1', 'jira', 'portent-i1', 'create', '{"title":"old"}', 'pending', 0, 0, 0, 1, 0, 0, '', ''), ('i1', 'jira', 'portent-i1', 'update', '{"key":"u"}', 'pending', 0, 0, 0, 1, 0, 0, '', '')`,
	} {
		_, err = db.ExecContext(t.Context(), q)
		require.NoError(t, err)
	}
	require.NoError(t, db.Close())

	s, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: "sqlite:" + path, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	for _, want := range []incident.TaskKind{incident.TaskCreate, incident.TaskUpdate} {
		ts, err := s.Claim(t.Context(), outbox.Claim{Now: time.Now(), Lease: time.Minute, Tracker: "jira", Limit: 5, Actor: "test"})
		require.NoError(t, err)
		require.Len(t, ts, 1)
		require.Equal(t, want, ts[0].Kind)
		require.Zero(t, ts[0].Gate, "no policy decided about it")
		require.True(t, json.Valid(ts[0].Payload))
		require.NoError(t, s.Finish(t.Context(), ts[0], outbox.Outcome{At: t0, Ticket: incident.Ticket{Tracker: "jira", Key: "OPS-1"}}))
	}
}
