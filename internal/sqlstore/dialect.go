package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// A dialect is what differs between the databases.
type dialect struct {
	name  string // also the folder of its migrations
	goose goose.Dialect
	// onlyProcess: no other process has the database.
	onlyProcess bool
	// anonymous: statements with many parameters are written with ? and not with
	// $1, $2, …, whose names SQLite looks up in a list, one by one: with 1700 of
	// them that took nine tenths of BenchmarkApply.
	anonymous bool
	// skipLocked and forUpdate end a SELECT whose rows will be written. SQLite
	// has one writer and needs neither.
	skipLocked, forUpdate string
	// ownerGone is a condition on a task in flight, o: the process that has it is gone.
	ownerGone string
	// snapshot is the isolation in which several reads see one moment.
	snapshot sql.IsolationLevel
	// size is the query for the size of the database in bytes.
	size string
	// used is the query for the bytes in use, where the store bounds them.
	used string
	// maxParams is how many parameters a statement may have.
	maxParams int
	// classify returns what to do and an error of package incident, or nil.
	classify func(error) (hint string, class error)
}

//go:embed migrations
var migrations embed.FS

// migrate brings the schema up to date. Several processes may do it at once.
func (s *Store) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations/"+s.d.name)
	if err != nil {
		return err
	}
	opts := []goose.ProviderOption{goose.WithLogger(goose.NopLogger())}
	if s.d.goose == goose.DialectPostgres {
		l, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return err
		}
		opts = append(opts, goose.WithSessionLocker(l))
	}
	p, err := goose.NewProvider(s.d.goose, s.w, files, opts...)
	if err != nil {
		return err
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if have > want {
		return fmt.Errorf("its schema is version %d, this program knows up to %d: a newer version has used it; run that one, or restore the backup made before", have, want)
	}
	done, err := p.Up(ctx)
	if err != nil {
		if partial, ok := errors.AsType[*goose.PartialError](err); ok {
			return fmt.Errorf("migrate schema to %s: %w", partial.Failed.Source.Path, partial.Err)
		}
		return fmt.Errorf("migrate schema: %w", err)
	}
	for _, m := range done {
		s.log.Info("schema_migrated", "migration", m.Source.Path, "duration", m.Duration)
	}
	return nil
}
