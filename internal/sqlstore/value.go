package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/incident"
)

// nano is a time as it is kept: Unix nanoseconds, 0 for the zero time.
func nano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNano(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// text is a string as it can be kept: PostgreSQL takes neither NUL nor bytes
// that are not UTF-8.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// labels is a map as JSON text; encoding/json makes it valid UTF-8.
func labels(m map[string]string) string {
	if len(m) == 0 {
		return "{}"
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic("BUG: a map of strings cannot be encoded: " + err.Error())
	}
	return string(b)
}

func fromLabels(s string) (map[string]string, error) {
	m := map[string]string{}
	if s == "{}" {
		return m, nil
	}
	if err := json.Unmarshal([]byte(s), &m); err != nil {
		return nil, fmt.Errorf("%w: labels %.60q: %w", incident.ErrDamaged, s, err)
	}
	return m, nil
}

// A cursor is a letter for its kind and the key of the last row.
func cursorID(kind byte, cursor string) (int64, error) {
	if cursor == "" {
		return 0, nil
	}
	id, err := strconv.ParseInt(cursor[1:], 10, 64)
	if cursor[0] != kind || err != nil || id < 0 {
		return 0, fmt.Errorf("%w %.40q: use one that a page gave as next", incident.ErrBadCursor, cursor)
	}
	return id, nil
}

func newCursor(kind byte, id int64) string { return string(kind) + strconv.FormatInt(id, 10) }

// limit is the page size for what was asked.
func limit(n int) int {
	if n <= 0 {
		return incident.DefaultLimit
	}
	return min(n, incident.MaxLimit)
}

// A where collects conditions with their parameters.
type where struct {
	conds []string
	args  []any
}

// add adds a condition in which ? stands for the one parameter.
func (w *where) add(cond string, arg any) {
	w.args = append(w.args, arg)
	w.conds = append(w.conds, strings.ReplaceAll(cond, "?", "$"+strconv.Itoa(len(w.args))))
}

func (w *where) String() string {
	if len(w.conds) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conds, " AND ")
}

// inList adds column IN (...) for a few values.
func inList[T any](w *where, column string, values []T) {
	marks := make([]string, len(values))
	for i, v := range values {
		w.args = append(w.args, v)
		marks[i] = "$" + strconv.Itoa(len(w.args))
	}
	w.conds = append(w.conds, column+" IN ("+strings.Join(marks, ",")+")")
}

// maxRows bounds the rows of one INSERT: beyond some hundred nothing is gained.
const maxRows = 200

// insert writes rows with as few statements as their number allows, as in
// head VALUES (...),(...) tail. It returns how many rows were written.
func (s *Store) insert(ctx context.Context, tx *sql.Tx, head, tail string, rows [][]any) (written int64, err error) {
	for len(rows) > 0 {
		n := min(len(rows), maxRows, s.d.maxParams/len(rows[0]))
		var b strings.Builder
		b.WriteString(head)
		b.WriteString(" VALUES ")
		args := make([]any, 0, n*len(rows[0]))
		for i, row := range rows[:n] {
			if i > 0 {
				b.WriteByte(',')
			}
			sep := byte('(')
			for _, v := range row {
				b.WriteByte(sep)
				sep = ','
				args = append(args, v)
				if s.d.anonymous {
					b.WriteByte('?')
				} else {
					b.WriteString("$" + strconv.Itoa(len(args)))
				}
			}
			b.WriteByte(')')
		}
		b.WriteByte(' ')
		b.WriteString(tail)
		res, err := tx.ExecContext(ctx, b.String(), args...)
		if err != nil {
			return written, err
		}
		affected, err := res.RowsAffected()
		if err != nil {
			return written, err
		}
		written += affected
		rows = rows[n:]
	}
	return written, nil
}
