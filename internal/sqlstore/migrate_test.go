package sqlstore_test

import (
	"database/sql"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incident/incidenttest"
	"github.com/portent-dev/portent/internal/outbox"
)

// A database is taken back to each version there was and brought up again: what the first version knew is there after
// each, and the store works with it.
func TestEveryVersionIsBroughtUp(t *testing.T) {
	both(t, func(t *testing.T, newDSN func(testing.TB) string) {
		dsn := newDSN(t)
		inc := incidenttest.NewIncident(1)
		alert := incidenttest.NewAlert(1, inc.ID)
		note := incident.Notification{Source: incident.SourceAlertmanager, ReceivedAt: t0, Body: []byte(`{}`)}
		s := open(t, dsn)
		require.NoError(t, s.Put(t.Context(), note))
		require.NoError(t, s.Apply(t.Context(), incident.Change{
			Incidents: []incident.Incident{inc}, Alerts: []incident.Alert{alert},
			Tasks: []incident.Task{incidenttest.NewTask(inc.ID, "jira", incident.TaskCreate)},
		}))
		require.NoError(t, s.Close())

		for version := downTo(t, dsn, -1); version >= 1; version = downTo(t, dsn, version-1) {
			s := open(t, dsn)
			got, err := s.Get(t.Context(), inc.ID)
			require.NoError(t, err, "from version %d", version)
			require.Len(t, got.Alerts, 1)
			require.Equal(t, inc.Title, got.Title)
			n, err := s.Pending(t.Context())
			require.NoError(t, err)
			require.Equal(t, 1, n)
			ts, _, err := s.ListTasks(t.Context(), outbox.Query{State: outbox.StatePending})
			require.NoError(t, err)
			require.Len(t, ts, 1)
			require.NoError(t, s.Maintain(t.Context(), t0.Add(time.Hour)))
			require.NoError(t, s.Close())
			if version == 1 {
				return
			}
		}
	})
}

// downTo takes a database back to the greatest version up to one, to the last but one when that is below 0, and returns it.
func downTo(t *testing.T, dsn string, most int64) int64 {
	t.Helper()
	driver, dialect, folder, name := "pgx", goose.DialectPostgres, "migrations/postgres", dsn
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		driver, dialect, folder, name = "sqlite", goose.DialectSQLite3, "migrations/sqlite", path
	}
	db, err := sql.Open(driver, name)
	require.NoError(t, err)
	defer db.Close()
	p, err := goose.NewProvider(dialect, db, os.DirFS(folder), goose.WithLogger(goose.NopLogger()))
	require.NoError(t, err)
	for {
		_, err = p.Down(t.Context())
		require.NoError(t, err)
		version, err := p.GetDBVersion(t.Context())
		require.NoError(t, err)
		if most < 0 || version <= most {
			return version
		}
	}
}
