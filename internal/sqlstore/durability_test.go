package sqlstore_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incident/incidenttest"
	"github.com/portent-dev/portent/internal/sqlstore"
)

func note(n int) incident.Notification {
	return incident.Notification{Source: incident.SourceAlertmanager, ReceivedAt: time.Now(), Body: fmt.Appendf(nil, `{"n":%d,"pad":%q}`, n, strings.Repeat("x", 2000))}
}

func filePath(dsn string) string { return strings.TrimPrefix(dsn, "sqlite:") }

// TestPutChild is no test: it is the process that TestKill kills. It writes
// each number that Put has acknowledged to standard output.
func TestPutChild(t *testing.T) {
	dsn := os.Getenv("PORTENT_TEST_PUT_CHILD")
	if dsn == "" {
		t.Skip("runs as a child of TestKill only")
	}
	s := open(t, dsn)
	first, err := strconv.Atoi(os.Getenv("PORTENT_TEST_PUT_FIRST"))
	require.NoError(t, err)
	var n atomic.Int64
	n.Store(int64(first))
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				i := int(n.Add(1))
				if err := s.Put(context.Background(), note(i)); err != nil {
					return
				}
				mu.Lock()
				fmt.Println("acknowledged", i)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// What was acknowledged is there after the process was killed in the middle.
func TestKill(t *testing.T) {
	both(t, func(t *testing.T, newDSN func(testing.TB) string) {
		dsn := newDSN(t)
		acknowledged := map[string]bool{}
		for round := range 3 {
			cmd := exec.Command(os.Args[0], "-test.run=^TestPutChild$", "-test.v")
			cmd.Env = append(os.Environ(), "PORTENT_TEST_PUT_CHILD="+dsn, fmt.Sprintf("PORTENT_TEST_PUT_FIRST=%d", round*1_000_000))
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			lines := bufio.NewScanner(out)
			for seen := 0; lines.Scan(); {
				if n, ok := strings.CutPrefix(lines.Text(), "acknowledged "); ok {
					acknowledged[n] = true
					if seen++; seen == 100+round*37 {
						require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
					}
				}
			}
			require.Error(t, cmd.Wait(), "it was killed")
		}
		s := open(t, dsn)
		ns, err := s.Next(t.Context(), 100_000)
		require.NoError(t, err)
		stored := map[string]bool{}
		for _, n := range ns {
			_, after, _ := strings.Cut(string(n.Body), `"n":`)
			number, _, _ := strings.Cut(after, ",")
			require.False(t, stored[number], "%s is there twice", number)
			stored[number] = true
		}
		require.GreaterOrEqual(t, len(acknowledged), 300)
		for n := range acknowledged {
			require.True(t, stored[n], "notification %s was acknowledged and is gone", n)
		}
	})
}

func TestFull(t *testing.T) {
	dsn := sqliteDSN(t)
	o := options(dsn)
	o.MaxBytes = 2 << 20
	s, err := sqlstore.Open(t.Context(), o)
	require.NoError(t, err)
	stored := 0
	for ; stored < 10_000; stored++ {
		if err = s.Put(t.Context(), note(stored)); err != nil {
			break
		}
	}
	require.ErrorIs(t, err, incident.ErrFull)
	require.ErrorContains(t, err, "raise the limit or shorten the retention")
	require.Greater(t, stored, 100)
	require.ErrorIs(t, s.Ready(t.Context()), incident.ErrFull)

	// What was acknowledged can be processed still, in the reserve.
	ns, err := s.Next(t.Context(), 50)
	require.NoError(t, err)
	c := incident.Change{Incidents: []incident.Incident{incidenttest.NewIncident(1)}, Alerts: manyAlerts(100)}
	for _, n := range ns {
		c.Done = append(c.Done, n.ID)
	}
	require.NoError(t, s.Apply(t.Context(), c))

	// The reserve has an end too, and what fails there is not half done.
	err = s.Apply(t.Context(), incident.Change{Incidents: []incident.Incident{incidenttest.NewIncident(2)}, Alerts: manyAlerts(2000)})
	require.ErrorIs(t, err, incident.ErrFull)
	require.ErrorContains(t, err, "free space on the disk, or raise the size limit")
	require.Equal(t, 3, counter(t, o.Registerer, "portent_receiver_store_errors_total", "full"))
	_, err = s.Get(t.Context(), incidenttest.NewIncident(2).ID)
	require.ErrorIs(t, err, incident.ErrNotFound)
	n, err := s.Pending(t.Context())
	require.NoError(t, err)
	require.Equal(t, stored-50, n, "nothing that was acknowledged is lost")
	require.NoError(t, s.Close())

	// Retention makes room.
	o = options(dsn)
	o.MaxBytes, o.KeepBodies = 2<<20, time.Nanosecond
	s, err = sqlstore.Open(t.Context(), o)
	require.NoError(t, err)
	n, err = s.Pending(t.Context())
	require.NoError(t, err)
	require.Equal(t, stored-50, n)
	ns, err = s.Next(t.Context(), 200)
	require.NoError(t, err)
	c = incident.Change{}
	for _, n := range ns {
		c.Done = append(c.Done, n.ID)
	}
	require.NoError(t, s.Apply(t.Context(), c))
	require.NoError(t, s.Maintain(t.Context(), time.Now().Add(time.Hour)))
	require.NoError(t, s.Put(t.Context(), note(-1)))
	require.NoError(t, s.Ready(t.Context()))
	require.NoError(t, s.Close())
}

func manyAlerts(n int) []incident.Alert {
	out := make([]incident.Alert, n)
	for i := range out {
		out[i] = incidenttest.NewAlert(i, "01x")
		out[i].Annotations = map[string]string{"description": strings.Repeat("y", 1000)}
	}
	return out
}

func counter(t *testing.T, reg prometheus.Registerer, name, label string) int {
	t.Helper()
	ms, err := reg.(*prometheus.Registry).Gather()
	require.NoError(t, err)
	for _, m := range ms {
		for _, x := range m.GetMetric() {
			if m.GetName() == name && (len(x.GetLabel()) == 0 || x.GetLabel()[0].GetValue() == label) {
				return int(x.GetCounter().GetValue())
			}
		}
	}
	t.Fatalf("no metric %s %s", name, label)
	return 0
}

func TestLocked(t *testing.T) {
	dsn := sqliteDSN(t)
	s := open(t, dsn)
	_, err := sqlstore.Open(t.Context(), options(dsn))
	require.ErrorIs(t, err, incident.ErrLocked)
	require.ErrorContains(t, err, "another process uses this database")

	// Somebody else writes to it, and does not end.
	db, err := sql.Open("sqlite", filePath(dsn))
	require.NoError(t, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(t.Context(), `BEGIN IMMEDIATE`)
	require.NoError(t, err)
	_, err = s.Writer().ExecContext(t.Context(), `PRAGMA busy_timeout = 200`)
	require.NoError(t, err)
	err = s.Put(t.Context(), note(1))
	require.ErrorIs(t, err, incident.ErrLocked)
	require.ErrorContains(t, err, "lsof or fuser")
	require.ErrorIs(t, s.Ready(t.Context()), incident.ErrLocked)
	_, err = s.Pending(t.Context())
	require.NoError(t, err, "reading goes on")

	_, err = db.ExecContext(t.Context(), `ROLLBACK`)
	require.NoError(t, err)
	require.NoError(t, s.Put(t.Context(), note(1)))
}

func TestDamaged(t *testing.T) {
	build := func(t *testing.T) string {
		dsn := sqliteDSN(t)
		s := open(t, dsn)
		require.NoError(t, s.Apply(t.Context(), incident.Change{Alerts: manyAlerts(200)}))
		require.NoError(t, s.Close())
		return dsn
	}
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, path string)
	}{
		{"no database at all", func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("this is a text file\n", 500)), 0o600))
		}},
		{"pages overwritten", func(t *testing.T, path string) {
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			copy(b[len(b)/4:], strings.Repeat("\xde\xad", len(b)/4))
			require.NoError(t, os.WriteFile(path, b, 0o600))
		}},
		{"cut off", func(t *testing.T, path string) {
			info, err := os.Stat(path)
			require.NoError(t, err)
			require.NoError(t, os.Truncate(path, info.Size()/2))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dsn := build(t)
			tt.spoil(t, filePath(dsn))
			_, err := sqlstore.Open(t.Context(), options(dsn))
			require.ErrorIs(t, err, incident.ErrDamaged)
			require.ErrorContains(t, err, "restore a backup")
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	f := func(dsn, text string) {
		t.Helper()
		_, err := sqlstore.Open(t.Context(), options(dsn))
		require.ErrorContains(t, err, text)
	}
	f("mysql://x", `unknown kind "mysql"`)
	f("", `unknown kind ""`)
	f("sqlite:", "want a file after sqlite:")
	f("sqlite::memory:", "want a file after sqlite:")
	f("sqlite:"+filepath.Join(t.TempDir(), "no", "such", "folder.db"), "create the folder first")
	f("postgres://u:geheim@[", "cannot read the address")
	_, err := sqlstore.Open(t.Context(), options("postgres://u:geheim@127.0.0.1:1/db?connect_timeout=1"))
	require.ErrorIs(t, err, incident.ErrClosed)
	require.NotContains(t, err.Error(), "geheim", "no error shows a password")
	o := options(sqliteDSN(t))
	o.KeepBodies = -1
	_, err = sqlstore.Open(t.Context(), o)
	require.ErrorContains(t, err, "must not be negative")
}

func TestFileIsPrivate(t *testing.T) {
	dsn := sqliteDSN(t)
	open(t, dsn)
	info, err := os.Stat(filePath(dsn))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestNewerSchema(t *testing.T) {
	both(t, func(t *testing.T, newDSN func(testing.TB) string) {
		dsn := newDSN(t)
		s := open(t, dsn)
		_, err := s.Writer().ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, true)`)
		require.NoError(t, err)
		require.NoError(t, s.Close())
		_, err = sqlstore.Open(t.Context(), options(dsn))
		require.ErrorContains(t, err, "schema is version 99")
		require.ErrorContains(t, err, "a newer version has used it")
	})
}

func TestClosed(t *testing.T) {
	both(t, func(t *testing.T, newDSN func(testing.TB) string) {
		s := open(t, newDSN(t))
		require.NoError(t, s.Close())
		require.NoError(t, s.Close(), "twice")
		require.ErrorIs(t, s.Put(t.Context(), note(1)), incident.ErrClosed)
		require.ErrorIs(t, s.Apply(t.Context(), incident.Change{Alerts: manyAlerts(1)}), incident.ErrClosed)
		_, err := s.Get(t.Context(), "x")
		require.ErrorIs(t, err, incident.ErrClosed)
	})
}

func TestPutHonoursItsContext(t *testing.T) {
	s := open(t, sqliteDSN(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Put(ctx, note(1)), context.Canceled)
	require.NoError(t, s.Put(t.Context(), note(2)), "the others do not fail with it")
}

func TestRetention(t *testing.T) {
	both(t, func(t *testing.T, newDSN func(testing.TB) string) {
		o := options(newDSN(t))
		o.KeepBodies, o.KeepIncidents = time.Hour, 2*time.Hour
		s, err := sqlstore.Open(t.Context(), o)
		require.NoError(t, err)
		defer s.Close()
		var ns []incident.Notification
		for i := range 1300 { // more than one transaction deletes
			ns = append(ns, note(i))
		}
		require.NoError(t, s.Put(t.Context(), ns...))
		ns, err = s.Next(t.Context(), 1200)
		require.NoError(t, err)
		c := incident.Change{Alerts: manyAlerts(3)}
		for _, n := range ns {
			c.Done = append(c.Done, n.ID)
		}
		over, open := incidenttest.NewIncident(1), incidenttest.NewIncident(2)
		over.Status, over.EndedAt = incident.StatusResolved, incidenttest.Base
		c.Incidents = []incident.Incident{over, open}
		c.Alerts[0].IncidentID, c.Alerts[1].IncidentID, c.Alerts[2].IncidentID = over.ID, open.ID, ""
		c.Events = []incident.Event{{IncidentID: over.ID, Kind: incident.EventNote, At: incidenttest.Base}}
		c.Tasks = []incident.Task{incidenttest.NewTask(over.ID, "jira", incident.TaskCreate)}
		c.Records = []audit.Entry{{At: incidenttest.Base, Actor: "a", Action: "b"}}
		require.NoError(t, s.Apply(t.Context(), c))
		count := func(table string) (n int) {
			require.NoError(t, s.Writer().QueryRowContext(t.Context(), `SELECT COUNT(*) FROM `+table).Scan(&n))
			return n
		}
		all := func() string {
			var out []string
			for _, table := range []string{"notifications", "incidents", "alerts", "timeline", "outbox", "audit"} {
				out = append(out, fmt.Sprint(table, " ", count(table)))
			}
			return strings.Join(out, ", ")
		}
		require.NoError(t, s.Maintain(t.Context(), time.Now()))
		require.Equal(t, "notifications 1300, incidents 2, alerts 3, timeline 1, outbox 1, audit 1", all())
		require.NoError(t, s.Maintain(t.Context(), time.Now().Add(90*time.Minute)))
		require.Equal(t, "notifications 100, incidents 2, alerts 3, timeline 1, outbox 1, audit 1", all(), "pending ones stay")
		require.NoError(t, s.Maintain(t.Context(), time.Now().Add(3*time.Hour)))
		require.Equal(t, "notifications 100, incidents 1, alerts 1, timeline 0, outbox 0, audit 1", all(), "open ones stay, and the audit chain")
		require.Equal(t, 1200, counter(t, o.Registerer, "portent_receiver_store_deleted_total", "bodies"))
	})
}

func TestAsideIsBounded(t *testing.T) {
	s := open(t, sqliteDSN(t))
	for i := range 1010 {
		if _, err := s.Writer().ExecContext(t.Context(), `INSERT INTO notifications (source, received_at, clock, digest, body, state, reason) VALUES ('x', 1, 0, $1, 'b', 2, 'r')`, strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}
	require.NoError(t, s.Maintain(t.Context(), time.Now()))
	aside, err := s.Aside(t.Context(), 5)
	require.NoError(t, err)
	require.Equal(t, "1009", aside[0].Digest, "the newest stay")
	var n int
	require.NoError(t, s.Writer().QueryRowContext(t.Context(), `SELECT COUNT(*) FROM notifications`).Scan(&n))
	require.Equal(t, 1000, n)
}

// The database itself refuses to change the audit chain, and a change that goes
// around that is found.
func TestAuditCannotBeRewritten(t *testing.T) {
	both(t, func(t *testing.T, newDSN func(testing.TB) string) {
		fill := func(t *testing.T) *sqlstore.Store {
			s := open(t, newDSN(t))
			n, err := s.VerifyAudit(t.Context())
			require.NoError(t, err)
			require.Zero(t, n)
			for i := range 5 {
				require.NoError(t, s.Apply(t.Context(), incident.Change{Records: []audit.Entry{{At: incidenttest.Base, Actor: "ada", Action: fmt.Sprint("a", i)}}}))
			}
			n, err = s.VerifyAudit(t.Context())
			require.NoError(t, err)
			require.Equal(t, int64(5), n)
			_, err = s.Writer().ExecContext(t.Context(), `UPDATE audit SET actor = 'eve' WHERE seq = 3`)
			require.ErrorContains(t, err, "never changed")
			_, err = s.Writer().ExecContext(t.Context(), `DELETE FROM audit`)
			require.ErrorContains(t, err, "never")
			for _, drop := range []string{`DROP TRIGGER audit_no_update`, `DROP TRIGGER audit_no_delete`, `DROP TRIGGER audit_append_only ON audit`} {
				_, _ = s.Writer().ExecContext(t.Context(), drop) // those of the other database are not there
			}
			return s
		}
		for _, tt := range []struct {
			sql   []string
			fault audit.Fault
			seq   int64
		}{
			{[]string{`UPDATE audit SET actor = 'eve' WHERE seq = 3`}, audit.FaultChanged, 3},
			{[]string{`DELETE FROM audit WHERE seq = 2`}, audit.FaultMissing, 2},
			{[]string{`DELETE FROM audit WHERE seq = 5`}, audit.FaultMissing, 5},
			{[]string{`DELETE FROM audit WHERE seq = 5`, `UPDATE audit_head SET seq = 4`}, audit.FaultChanged, 4},
			{[]string{`UPDATE audit SET seq = 10 WHERE seq = 2`, `UPDATE audit SET seq = 2 WHERE seq = 3`, `UPDATE audit SET seq = 3 WHERE seq = 10`}, audit.FaultChanged, 2},
			{[]string{`DELETE FROM audit WHERE seq = 1`}, audit.FaultMissing, 1},
			{[]string{`UPDATE audit_head SET seq = 0, hash = ''`}, audit.FaultChanged, 1},
		} {
			t.Run(tt.sql[0], func(t *testing.T) {
				s := fill(t)
				for _, q := range tt.sql {
					_, err := s.Writer().ExecContext(t.Context(), q)
					require.NoError(t, err)
				}
				_, err := s.VerifyAudit(t.Context())
				var broken *audit.BrokenError
				require.ErrorAs(t, err, &broken)
				require.Equal(t, tt.fault, broken.Fault)
				require.Equal(t, tt.seq, broken.Seq)
			})
		}
	})
}

// The two schemas have the same tables with the same columns in the same order.
func TestSchemasAreAlike(t *testing.T) {
	columns := map[string]map[string][]string{}
	both(t, func(t *testing.T, newDSN func(testing.TB) string) {
		s := open(t, newDSN(t))
		columns[t.Name()] = map[string][]string{}
		for _, table := range []string{"notifications", "incidents", "alerts", "timeline", "tickets", "outbox", "audit", "audit_head", "local_tickets", "local_comments", "probe"} {
			columns[t.Name()][table] = columnsOf(t, s, table)
		}
	})
	if pg, ok := columns[t.Name()+"/postgres"]; ok && len(pg) > 0 {
		require.Equal(t, columns[t.Name()+"/sqlite"], pg)
	}
}

func columnsOf(t *testing.T, s *sqlstore.Store, table string) []string {
	t.Helper()
	rows, err := s.Writer().QueryContext(t.Context(), `SELECT * FROM `+table+` WHERE 1 = 0`)
	require.NoError(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	require.NoError(t, err)
	require.NoError(t, rows.Err())
	return columns
}
