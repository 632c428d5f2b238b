package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/portent-dev/portent/internal/incident"
)

var postgresDialect = dialect{
	name: "postgres", goose: goose.DialectPostgres,
	snapshot:   sql.LevelRepeatableRead,
	skipLocked: ` FOR UPDATE OF o SKIP LOCKED`, forUpdate: ` FOR UPDATE`,
	size:      `SELECT pg_database_size(current_database())`,
	maxParams: 65535,
	ownerGone: ownerGone,
	classify:  classifyPostgres,
}

func (s *Store) openPostgres(ctx context.Context, dsn string) error {
	s.d = postgresDialect
	s.dsn = "postgres" // until we know that it holds no password
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return errors.New("cannot read the address; want postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full, the password in PGPASSFILE or PGPASSWORD")
	}
	s.dsn = fmt.Sprintf("postgres://%s@%s:%d/%s", config.User, config.Host, config.Port, config.Database)
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
	}
	config.RuntimeParams["application_name"] = "portent-receiver"
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	db.SetConnMaxIdleTime(5 * time.Minute)
	s.w, s.r = db, db
	var synchronous, fsync string
	if err := db.QueryRowContext(ctx, `SELECT current_setting('synchronous_commit'), current_setting('fsync')`).Scan(&synchronous, &fsync); err != nil {
		return err
	}
	if synchronous == "off" || fsync == "off" {
		return fmt.Errorf("the server acknowledges what is not on disk (synchronous_commit=%s, fsync=%s): switch both on, for this role at least", synchronous, fsync)
	}
	return nil
}

// Codes: https://www.postgresql.org/docs/15/errcodes-appendix.html
func classifyPostgres(err error) (hint string, class error) {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch {
		case e.Code == "23505", e.Code == "40001", e.Code == "40P01": // unique, serialization, deadlock
			return "", incident.ErrConflict
		case e.Code == "53100": // disk full
			return "free space on the database server", incident.ErrFull
		case e.Code == "55P03", e.Code == "57014": // lock not available, query cancelled
			return "another session holds a lock: look at pg_locks", incident.ErrLocked
		case strings.HasPrefix(e.Code, "XX"), e.Code == "58P01": // data or index corrupted, internal, undefined file
			return "the database server reports damage: check its log and restore a backup", incident.ErrDamaged
		case slices.ContainsFunc([]string{"08", "28", "53", "57", "25006", "3D000"}, func(p string) bool { return strings.HasPrefix(e.Code, p) }):
			// connection, authorisation, resources, shutdown, read-only standby, no such database
			return "", incident.ErrClosed
		}
		return "", nil
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return "the database server must run and be reachable", incident.ErrClosed
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return "the database server must run and be reachable", incident.ErrClosed
	}
	return "", nil
}
