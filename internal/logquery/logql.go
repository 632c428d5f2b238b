package logquery

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// maxLogQL bounds a query in bytes. Loki itself takes 128 KiB.
const maxLogQL = 8 << 10

// logQL is a log query that a person wrote, fit to have stages put behind it. The
// text is not understood beyond its brackets, strings and comments, so that every
// filter and parser that the Loki knows can stand in it; what it may hold is checked
// so far that what is put behind it cannot end up in a string or a comment.
type logQL struct{ text string }

// parseLogQL checks that text is one log query: a selector in braces and what may
// follow it. Comments and brackets around the whole are left out, because nothing may
// follow those in LogQL. The forced matchers become part of the selector. An error says
// what is wrong and where.
func parseLogQL(text string, forced []*labels.Matcher) (logQL, error) {
	if len(text) > maxLogQL {
		return logQL{}, fmt.Errorf("the query has %d bytes, at most %d are read", len(text), maxLogQL)
	}
	clean, err := bracketed(text)
	if err != nil {
		return logQL{}, err
	}
	for strings.HasPrefix(clean, "(") && strings.HasSuffix(clean, ")") {
		clean = strings.TrimSpace(clean[1 : len(clean)-1])
	}
	switch {
	case clean == "":
		return logQL{}, errors.New(`the query is empty, want a log query as {app="shop"} |= "error"`)
	case clean[0] != '{':
		return logQL{}, fmt.Errorf(`the query begins with %q, want a log query as {app="shop"} |= "error"`, firstWord(clean))
	}
	if _, err := bracketed(clean); err != nil { // "({a="b"}) + ({a="b"})" lost its outer brackets
		return logQL{}, err
	}
	end := selectorEnd(clean)
	if selectors(clean) != 1 {
		return logQL{}, errors.New("the query has several selectors in braces, want one")
	}
	if len(forced) == 0 {
		return logQL{clean}, nil
	}
	own := strings.TrimSuffix(strings.TrimSpace(clean[1:end]), ",")
	if own != "" {
		own += ", "
	}
	parts := make([]string, len(forced))
	for i, m := range forced {
		parts[i] = m.Name + m.Type.String() + strconv.Quote(m.Value)
	}
	return logQL{"{" + own + strings.Join(parts, ", ") + clean[end:]}, nil
}

// selectorEnd returns where the selector that the query begins with is closed.
func selectorEnd(q string) int {
	for i := 0; i < len(q); i++ {
		switch q[i] {
		case '"', '`':
			s, _ := strconv.QuotedPrefix(q[i:]) // bracketed has seen it
			i += max(0, len(s)-1)
		case '}':
			return i
		}
	}
	return len(q) - 1
}

// selectors counts the braces outside of strings.
func selectors(q string) (n int) {
	for i := 0; i < len(q); i++ {
		switch q[i] {
		case '"', '`':
			s, _ := strconv.QuotedPrefix(q[i:]) // bracketed has seen it
			i += max(0, len(s)-1)
		case '{':
			n++
		}
	}
	return n
}

func firstWord(s string) string {
	if i := strings.IndexAny(s, " \t\n({"); i > 0 {
		s = s[:i]
	}
	return s[:min(len(s), 40)]
}

// bracketed returns text without comments and outer blanks, or says which bracket or
// string does not end.
func bracketed(text string) (string, error) {
	var open []byte
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '"', '`':
			q, err := strconv.QuotedPrefix(text[i:])
			if err != nil {
				return "", fmt.Errorf("at byte %d: a string that does not end", i)
			}
			b.WriteString(q)
			i += len(q) - 1
			continue
		case '#':
			if nl := strings.IndexByte(text[i:], '\n'); nl >= 0 {
				i += nl - 1
				continue
			}
			i = len(text)
			continue
		case '{', '(', '[':
			open = append(open, c)
		case '}', ')', ']':
			if len(open) == 0 || open[len(open)-1] != opening[c] {
				return "", fmt.Errorf("at byte %d: %q closes nothing", i, c)
			}
			open = open[:len(open)-1]
			if len(open) == 0 && c == ']' {
				return "", fmt.Errorf("at byte %d: a range in square brackets gives numbers, want log lines", i)
			}
		}
		b.WriteByte(text[i])
	}
	if len(open) > 0 {
		return "", fmt.Errorf("%q is not closed", open[len(open)-1])
	}
	return strings.TrimSpace(b.String()), nil
}

// opening brackets by closing ones. It is read only.
var opening = map[byte]byte{'}': '{', ')': '(', ']': '['}

// with returns the query with stages behind it.
func (q logQL) with(stages ...string) string {
	return strings.Join(append([]string{q.text}, stages...), " ")
}

// counting returns the metric query that counts the lines. Lines that a parser cannot
// read would make it fail; they are lines all the same.
func (q logQL) counting(window string, stages ...string) string {
	return "sum(count_over_time(" + q.with(append(stages, "| drop __error__, __error_details__")...) + " [" + window + "]))"
}

// quoteLogQL writes a string of LogQL, in backquotes where that reads better.
func quoteLogQL(s string) string {
	if strings.ContainsAny(s, "\"\\") && !strings.ContainsAny(s, "`\r\n") && strconv.CanBackquote(s) {
		return "`" + s + "`"
	}
	return strconv.Quote(s)
}

// errorWords finds lines that speak of an error, whatever their form.
const errorWords = `(?i)(error|exception|fatal|panic|critical|traceback|fail|refused|denied|timed? ?out)`

func partStage(p Part) []string {
	switch p {
	case Errors:
		return []string{"|~ `" + errorWords + "`"}
	case Others:
		return []string{"!~ `" + errorWords + "`"}
	case All, numParts:
	}
	return nil
}
