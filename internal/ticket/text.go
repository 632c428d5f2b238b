package ticket

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxText bounds any one text of a draft or update, in runes. No tracker takes
// more in one field (Jira: 32767).
const MaxText = 32767

// Clean makes hostile text fit for any tracker: invalid UTF-8 becomes U+FFFD,
// line ends become \n, tabs stay, and what could hide or reorder text for a
// reader (control characters, bidirectional controls, zero-width characters,
// noncharacters) is dropped.
func Clean(s string) string {
	if isClean(s) {
		return s
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\r', r == '\u2028', r == '\u2029', r == '\u0085':
			return '\n'
		case hidden(r):
			return -1
		}
		return r
	}, s)
}

func isClean(s string) bool {
	for _, r := range s {
		if r == utf8.RuneError || r == '\u2028' || r == '\u2029' || hidden(r) {
			return false
		}
	}
	return true
}

func hidden(r rune) bool {
	switch {
	case r == '\n', r == '\t':
		return false
	case unicode.IsControl(r):
		return true
	case r == '\u200B', r == '\u200E', r == '\u200F', r == '\u061C', r == '\u2060', r == '\uFEFF':
		return true
	case r >= '\u202A' && r <= '\u202E', r >= '\u2066' && r <= '\u2069':
		return true
	case r&0xFFFE == 0xFFFE, r >= '\uFDD0' && r <= '\uFDEF':
		return true
	case r >= 0xE0000 && r <= 0xE007F: // tag characters: invisible text
		return true
	}
	return false
}

// OneLine cleans s, folds all white space to single spaces, trims it and cuts it
// to that many runes at most, the last of which is then an ellipsis.
func OneLine(s string, most int) string {
	return Cut(strings.Join(strings.Fields(Clean(s)), " "), most)
}

// Cut shortens s to that many runes at most. When it cuts, the last rune is an
// ellipsis. It never splits a rune; most below 1 gives "".
func Cut(s string, most int) string {
	if most < 1 {
		return ""
	}
	if len(s) <= most || utf8.RuneCountInString(s) <= most {
		return s
	}
	n := 0
	for i := range s {
		if n == most-1 {
			return strings.TrimRightFunc(s[:i], unicode.IsSpace) + "…"
		}
		n++
	}
	return s
}
