package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/portent-dev/portent/internal/incident"
)

// Backup copies the SQLite database that dsn names into a new file, as it is at one moment, and returns the size of the
// copy. The process that works with the database goes on, and writes are not held up: the copy reads a snapshot beside them,
// while the write-ahead log grows by what they write. The file appears under its name when it is whole, checked and on
// disk; one that is there is an error. The copy has the schema that the database has.
//
// It is what SQLite calls VACUUM INTO (https://www.sqlite.org/lang_vacuum.html), so the copy has no free pages either.
func Backup(ctx context.Context, dsn, to string) (size int64, err error) {
	scheme, path, _ := strings.Cut(dsn, ":")
	if scheme != "sqlite" {
		return 0, errors.New("backup: only a database of SQLite is copied this way; for PostgreSQL run pg_dump --format=custom, which reads one moment while others write, and restore with pg_restore")
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("backup %s to %s: %w", dsn, to, err)
		}
	}()
	if path, err = filepath.Abs(strings.TrimPrefix(path, "//")); err != nil {
		return 0, err
	}
	if _, err := os.Stat(path); err != nil { // SQLite would make an empty one
		return 0, err
	}
	if to, err = filepath.Abs(to); err != nil {
		return 0, err
	}
	if _, err := os.Lstat(to); !errors.Is(err, os.ErrNotExist) {
		return 0, errors.Join(err, errors.New("there is a file of this name: name a new one, or move it away"))
	}
	part := to + ".part"
	if err := createEmpty(part); err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignore(os.Remove(part), os.ErrNotExist))
		}
	}()
	if err := copySQLite(ctx, path, part); err != nil {
		return 0, err
	}
	if size, err = syncFile(part); err != nil {
		return 0, err
	}
	if err := os.Rename(part, to); err != nil {
		return 0, err
	}
	_, err = syncFile(filepath.Dir(to))
	return size, err
}

// createEmpty makes a file that only we may read, and empties what an interrupted backup left.
func createEmpty(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: create the folder first", err)
	}
	if err != nil {
		return err
	}
	return f.Close()
}

func copySQLite(ctx context.Context, from, to string) (err error) {
	db, err := sql.Open("sqlite", sqliteURL(from, []string{"busy_timeout(5000)"}, "deferred"))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, `VACUUM INTO $1`, to); err != nil {
		return errors.Join(classed(err), db.Close())
	}
	if err := db.Close(); err != nil {
		return err
	}
	made, err := sql.Open("sqlite", sqliteURL(to, []string{"query_only(1)"}, "deferred"))
	if err != nil {
		return err
	}
	return errors.Join(checkSQLite(ctx, made, func(string, ...any) {}), made.Close())
}

func classed(err error) error {
	hint, class := classifySQLite(err)
	if class == nil || errors.Is(class, incident.ErrConflict) {
		return err
	}
	return fmt.Errorf("%w: %w; %s", class, err, hint)
}

// syncFile returns the size of what is on disk then.
func syncFile(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	return info.Size(), nil
}
