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

func (c chain) About(ctx context.Context, subject string, limit int) ([]audit.Record, error) {
	return c.db.LatestAudit(ctx, subject, 0, limit)
}

func (c chain) Latest(ctx context.Context, before int64, limit int) ([]audit.Record, error) {
	return c.db.LatestAudit(ctx, "", before, limit)
}

func (c chain) Head(ctx context.Context) (audit.Head, error) { return c.db.AuditHead(ctx) }
