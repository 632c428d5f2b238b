package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/portent-dev/portent/internal/incident"
)

// pageSize is SQLite's own default; MaxBytes is held in pages of it.
const pageSize = 4096

// The writer keeps 64 MB of pages: alerts come in the order of time, but their index is
// by fingerprint, so that each is written into another page of it. SQLite's own 2 MB hold
// the index of 50,000 alerts. It copies the log into the database when that has 16 MB, not
// 4: what is written again and again, as the head of the audit chain, is copied less often.
const (
	writerCache  = "cache_size(-65536)"
	checkpointAt = "wal_autocheckpoint(4000)"
)

var sqliteDialect = dialect{
	name: "sqlite", goose: goose.DialectSQLite3, onlyProcess: true, anonymous: true,
	size: `SELECT (SELECT page_count FROM pragma_page_count()) * (SELECT page_size FROM pragma_page_size())`,
	used: `SELECT ((SELECT page_count FROM pragma_page_count()) - (SELECT freelist_count FROM pragma_freelist_count()))
		* (SELECT page_size FROM pragma_page_size())`,
	maxParams: 32766, // SQLITE_MAX_VARIABLE_NUMBER since 3.32
	classify:  classifySQLite,
}

func (s *Store) openSQLite(ctx context.Context, path string) error {
	s.d = sqliteDialect
	path = strings.TrimPrefix(path, "//")
	if path == "" || strings.HasPrefix(path, ":memory:") {
		return errors.New("want a file after sqlite:, since what is acknowledged must survive")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if err := createPrivate(path); err != nil {
		return err
	}
	if s.release, err = lockProcess(ctx, path); err != nil {
		return err
	}
	// FULL: a commit is on disk when it returns. Writers wait for another
	// process, such as a backup, for five seconds.
	pragmas := []string{"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "journal_size_limit(67108864)", "temp_store(MEMORY)"}
	reading := append([]string{"query_only(1)"}, pragmas...)
	pragmas = append(pragmas, writerCache, checkpointAt)
	if s.o.MaxBytes > 0 {
		pragmas = append(pragmas, fmt.Sprintf("max_page_count(%d)", max(1, s.o.MaxBytes/pageSize)))
	}
	if s.w, err = sql.Open("sqlite", sqliteURL(path, pragmas, "immediate")); err != nil {
		return err
	}
	s.w.SetMaxOpenConns(1)
	if err := checkSQLite(ctx, s.w, s.log.Warn); err != nil {
		return err
	}
	if s.r, err = sql.Open("sqlite", sqliteURL(path, reading, "deferred")); err != nil {
		return err
	}
	s.r.SetMaxOpenConns(4)
	s.r.SetMaxIdleConns(4)
	return nil
}

func sqliteURL(path string, pragmas []string, lock string) string {
	q := url.Values{"_pragma": pragmas, "_txlock": {lock}}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

// createPrivate makes the file readable by us only when it is not there yet:
// alerts and tickets are nobody else's.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: create the folder first", err)
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// lockProcess holds an exclusive lock on a file beside the database until the
// process ends or release is called. Triage keeps its state in memory, so two
// processes over one SQLite database would work against each other.
func lockProcess(ctx context.Context, path string) (release func() error, err error) {
	db, err := sql.Open("sqlite", sqliteURL(path+".lock", []string{"busy_timeout(0)"}, "exclusive"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	// The transaction must outlive ctx.
	tx, err := db.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		if _, class := classifySQLite(err); errors.Is(class, incident.ErrLocked) {
			err = fmt.Errorf("%w: another process uses this database; stop it, or use PostgreSQL for several replicas", incident.ErrLocked)
		}
		return nil, errors.Join(err, db.Close())
	}
	return func() error { return errors.Join(tx.Rollback(), db.Close()) }, nil
}

// checkTime bounds the check at start; a sound database of 1 GB takes about 2 s.
const checkTime = 20 * time.Second

// checkSQLite looks for damage. It stops early with a warning when the database
// is too large to be read through in checkTime.
func checkSQLite(ctx context.Context, db *sql.DB, warn func(string, ...any)) error {
	bounded, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	rows, err := db.QueryContext(bounded, `PRAGMA quick_check(3)`)
	var found []string
	if err == nil {
		defer rows.Close()
		for rows.Next() {
			var line string
			if err = rows.Scan(&line); err != nil {
				break
			}
			if line != "ok" {
				found = append(found, line)
			}
		}
		err = errors.Join(err, rows.Err())
	}
	if len(found) > 0 {
		return fmt.Errorf("%w: %s; %s", incident.ErrDamaged, strings.Join(found, ", "), damagedHint)
	}
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		warn("store_check_cut_short", "after", checkTime)
		return nil
	}
	return err
}

const damagedHint = "move the file and its -wal and -shm away and restore a backup, or save what can be read with: sqlite3 FILE .recover"

func classifySQLite(err error) (hint string, class error) {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return "", nil
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return "free space on the disk, or raise the size limit of the store", incident.ErrFull
	case sqlite3.SQLITE_IOERR:
		return "look at the disk and the system log; SQLite's extended code is " + strconv.Itoa(e.Code()), incident.ErrClosed
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return "another process writes to the database for longer than 5 s: find it with lsof or fuser", incident.ErrLocked
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return damagedHint, incident.ErrDamaged
	case sqlite3.SQLITE_CONSTRAINT:
		if e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY {
			return "", incident.ErrConflict
		}
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return "the file and its folder must be writable by this user", incident.ErrClosed
	case sqlite3.SQLITE_INTERRUPT:
		return "", context.Canceled
	}
	return "", nil
}
