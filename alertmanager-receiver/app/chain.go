package app

import (
	"context"
	"time"

	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/sqlstore"
)

// chain reads the audit log of the store.
type chain struct{ db *sqlstore.Store }

var _ auditLog = chain{}

func (c chain) Records(ctx context.Context, since time.Time, limit int, cursor string) ([]audit.Record, string, error) {
	return c.db.AuditRecords(ctx, sqlstore.AuditQuery{Since: since, Limit: limit, Cursor: cursor})
}
