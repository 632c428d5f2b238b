package jira

import (
	"fmt"
	"strings"
)

// A query is built as a tree and printed: no text of an alert or a label is ever
// pasted into JQL. Field names come from this file, values are always quoted.

type jqlClause struct {
	field  string
	values []string // one value prints as =, several as in (…)
}

// String prints the clause.
func (c jqlClause) String() string {
	quoted := make([]string, len(c.values))
	for i, v := range c.values {
		quoted[i] = jqlString(v)
	}
	if len(quoted) == 1 {
		return c.field + " = " + quoted[0]
	}
	return c.field + " in (" + strings.Join(quoted, ", ") + ")"
}

// jqlPhrase finds words that stand one after another in a text.
type jqlPhrase struct{ field, words string }

// String prints the clause. The inner quotes make a phrase of the words.
func (p jqlPhrase) String() string {
	return p.field + " ~ " + jqlString(`"`+strings.ReplaceAll(p.words, `"`, "")+`"`)
}

// jqlEither is the disjunction of two clauses.
type jqlEither [2]fmt.Stringer

// String prints the clause.
func (e jqlEither) String() string { return "(" + e[0].String() + " OR " + e[1].String() + ")" }

// jqlAll prints the conjunction of clauses, oldest issue first. At least one
// clause must be there: Jira refuses unbounded queries.
func jqlAll(clauses ...fmt.Stringer) string {
	parts := make([]string, len(clauses))
	for i, c := range clauses {
		parts[i] = c.String()
	}
	return strings.Join(parts, " AND ") + " ORDER BY created ASC"
}

// jqlString quotes s as a JQL string. Escapes are those of JQL's lexer: \", \\
// and \uXXXX for control characters.
func jqlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
