package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/portent-dev/portent/internal/audit"
)

// An AuditQuery selects audit records.
type AuditQuery struct {
	// Since leaves out what happened before it.
	Since time.Time
	// Subject is empty for all.
	Subject string
	Limit   int
	Cursor  string
}

const auditColumns = `seq, at, actor, action, subject, detail, prev, hash`

// AuditRecords returns a page of the chain, oldest first, and the cursor of the
// next page, empty after the last.
func (s *Store) AuditRecords(ctx context.Context, q AuditQuery) ([]audit.Record, string, error) {
	after, err := cursorID('s', q.Cursor)
	if err != nil {
		return nil, "", err
	}
	var w where
	w.add("seq > ?", after)
	if !q.Since.IsZero() {
		w.add("at >= ?", nano(q.Since))
	}
	if q.Subject != "" {
		w.add("subject = ?", text(q.Subject))
	}
	n := limit(q.Limit)
	w.args = append(w.args, n+1)
	rs, err := s.auditRows(ctx, w, n+1)
	if err != nil {
		return nil, "", s.reading("audit records", err)
	}
	next := ""
	if len(rs) > n {
		rs = rs[:n]
		next = newCursor('s', rs[n-1].Seq)
	}
	return rs, next, nil
}

// LatestAudit returns the newest records, newest first: those about a subject
// unless it is empty, and those before seq unless that is 0.
func (s *Store) LatestAudit(ctx context.Context, subject string, before int64, n int) ([]audit.Record, error) {
	var w where
	if subject != "" {
		w.add("subject = ?", text(subject))
	}
	if before > 0 {
		w.add("seq < ?", before)
	}
	w.args = append(w.args, limit(n))
	rs, err := s.auditOrdered(ctx, w, n, "seq DESC")
	return rs, s.reading("audit records", err)
}

func (s *Store) auditRows(ctx context.Context, w where, n int) ([]audit.Record, error) {
	return s.auditOrdered(ctx, w, n, "seq")
}

// auditOrdered reads records; the last argument of w is the most of them.
func (s *Store) auditOrdered(ctx context.Context, w where, n int, order string) ([]audit.Record, error) {
	out := make([]audit.Record, 0, min(n, 1000))
	rows, err := s.r.QueryContext(ctx, `SELECT `+auditColumns+` FROM audit`+w.String()+` ORDER BY `+order+` LIMIT $`+strconv.Itoa(len(w.args)), w.args...)
	err = eachRow(rows, err, func() error {
		var r audit.Record
		var at int64
		var detail string
		err := rows.Scan(&r.Seq, &at, &r.Actor, &r.Action, &r.Subject, &detail, &r.Prev, &r.Hash)
		r.At = fromNano(at)
		if detail != "" {
			r.Detail = json.RawMessage(detail)
		}
		out = append(out, r)
		return err
	})
	return out, err
}

// AuditHead is where the chain ends.
func (s *Store) AuditHead(ctx context.Context) (audit.Head, error) {
	var h audit.Head
	err := s.r.QueryRowContext(ctx, `SELECT seq, hash FROM audit_head WHERE id = 1`).Scan(&h.Seq, &h.Hash)
	return h, s.reading("audit head", err)
}

// VerifyAudit walks the whole chain and returns how many records it has, or a
// *audit.BrokenError. Records that are added meanwhile are not looked at.
func (s *Store) VerifyAudit(ctx context.Context) (int64, error) {
	want, err := s.AuditHead(ctx)
	if err != nil {
		return 0, err
	}
	head, err := audit.Verify(audit.Head{}, s.auditUpTo(ctx, want.Seq), want)
	if err != nil {
		return head.Seq, fmt.Errorf("verify audit chain of %s: %w", s.dsn, err)
	}
	if want == (audit.Head{}) {
		// Nothing was ever recorded; then nothing may be there.
		var n int64
		err = s.r.QueryRowContext(ctx, `SELECT COUNT(*) FROM audit`).Scan(&n)
		if err == nil && n > 0 {
			err = &audit.BrokenError{Fault: audit.FaultChanged, Seq: 1, Text: "the head says that there is none"}
		}
	}
	return head.Seq, s.reading("audit records", err)
}

// auditUpTo yields the records up to seq, a page at a time, so that a long
// chain neither fills memory nor holds a connection.
func (s *Store) auditUpTo(ctx context.Context, seq int64) iter.Seq2[audit.Record, error] {
	return func(yield func(audit.Record, error) bool) {
		const page = 1000
		for after := int64(-1 << 62); ; {
			var w where
			w.add("seq > ?", after)
			w.add("seq <= ?", seq)
			w.args = append(w.args, page)
			rs, err := s.auditRows(ctx, w, page)
			if err != nil {
				yield(audit.Record{}, s.reading("audit records", err))
				return
			}
			for _, r := range rs {
				if !yield(r, nil) {
					return
				}
				after = r.Seq
			}
			if len(rs) < page {
				return
			}
		}
	}
}
