package app

import (
	"context"

	"github.com/portent-dev/portent/internal/sqlstore"
)

// Backup copies the SQLite database of a configuration into a new file and returns the size of the copy. The receiver that
// uses the database goes on.
func Backup(ctx context.Context, o Options, to string) (size int64, err error) {
	c, err := Load(o.ConfigFile)
	if err != nil {
		return 0, err
	}
	return sqlstore.Backup(ctx, (&App{opts: o}).dsn(c), to)
}
