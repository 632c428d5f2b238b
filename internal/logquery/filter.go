package logquery

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/portent-dev/portent/internal/logmine"
)

// Filter keeps the lines of one pattern.
type Filter struct {
	// Pattern is the template as Loki's |> has it, with <_> for each parameter; "" where
	// it cannot say it.
	Pattern string
	// Regexp is the same as a regular expression of RE2; "" where Pattern is enough.
	Regexp string
	// Must is a text that all lines have, which is cheap to look for; "" for none.
	Must string
	// Except are regular expressions of other patterns that Regexp or Pattern would
	// take in.
	Except []string
	// Literals are the texts between the parameters, in order: for stores that search
	// words.
	Literals []string
	// Exact says that the filter was checked: of the lines read it keeps the pattern's,
	// and no others.
	Exact bool
	Note  string // what it keeps instead; "" when exact
}

// keeps reports whether a line passes, by the semantics of Loki.
func (f *Filter) keeps(line string, re func(string) *regexp.Regexp) bool {
	if !strings.Contains(line, f.Must) {
		return false
	}
	if f.Pattern != "" && !patternMatches(f.Pattern, line) {
		return false
	}
	if f.Regexp != "" && !re(f.Regexp).MatchString(line) {
		return false
	}
	for _, x := range f.Except {
		if re(x).MatchString(line) {
			return false
		}
	}
	return true
}

// anyPart is a parameter in a pattern filter of LogQL.
const anyPart = "<_>"

// patternMatches reports whether Loki's |> keeps a line: the literals of the pattern
// are searched one after the other, each at its first place behind the one before,
// and what stands for <_> is never empty. The first literal may stand anywhere when the
// pattern begins with it, the last must end the line when the pattern ends with it.
// (Observed of Loki 3.7; the tests hold it to the real one.)
func patternMatches(pattern, line string) bool {
	if line == "" || pattern == "" {
		return line == "" && pattern == ""
	}
	literals := strings.Split(pattern, anyPart)
	rest := line
	for i, lit := range literals {
		if lit == "" {
			continue
		}
		at := strings.Index(rest, lit)
		if at < 0 || at == 0 && i > 0 {
			return false
		}
		rest = rest[at+len(lit):]
	}
	return strings.HasSuffix(pattern, anyPart) == (rest != "")
}

// reCapture finds what a pattern filter would take for a named part.
var reCapture = regexp.MustCompile(`<[A-Za-z_][A-Za-z0-9_]*>`)

// patternFilter writes a template as a pattern filter, or returns "" where that cannot
// say it.
func patternFilter(literals []string, b bounds) string {
	var p strings.Builder
	if b.quoted {
		p.WriteString(anyPart + `"`)
	}
	for i, lit := range literals {
		if i > 0 && !strings.HasSuffix(p.String(), anyPart) {
			p.WriteString(anyPart)
		}
		if reCapture.MatchString(lit) || strings.ContainsAny(lit, "\uFFFD") {
			return ""
		}
		if b.quoted {
			lit = jsonEscape(lit)
		}
		p.WriteString(lit)
	}
	if b.quoted {
		p.WriteString(`"` + anyPart)
	}
	out := p.String()
	if strings.Trim(strings.ReplaceAll(out, anyPart, ""), ` "`) == "" {
		return ""
	}
	return out
}

func jsonEscape(s string) string { return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) }

// bounds say how a message stands in its line.
type bounds struct {
	quoted bool // in quotes: of JSON or logfmt, with what that escapes
	bare   bool // unquoted behind key= of logfmt
	alone  bool // the line is the message
}

// boundsOf looks where the message of a line is.
func boundsOf(s sample) (bounds, bool) {
	raw := strings.TrimRight(s.raw, " \t\r\n")
	msg := strings.TrimRight(s.message, " \t\r\n")
	switch {
	case msg == "":
		return bounds{}, false
	case raw == strings.TrimLeft(msg, " \t"), raw == msg:
		return bounds{alone: true}, true
	case s.format == logmine.JSON || s.format == logmine.Docker || s.format == logmine.Logfmt:
		if strings.HasSuffix(raw, " "+msg) { // a structured line without a message is whole
			return bounds{}, true
		}
		if s.format == logmine.Logfmt && strings.Contains(raw, "="+msg) && !strings.Contains(raw, `"`+msg) {
			return bounds{bare: true}, true
		}
		return bounds{quoted: true}, true
	}
	return bounds{}, strings.HasSuffix(raw, msg)
}

// tight and loose are what stands for a parameter in a regular expression.
const (
	tight = `\S+?`
	loose = `.+?`
)

// regexpOf writes a template as a regular expression. Its literals are quoted, so that
// nothing in them has a meaning.
func regexpOf(literals []string, b bounds, param, header string) string {
	var re strings.Builder
	re.WriteString(`(?s)`)
	switch {
	case b.quoted:
		re.WriteString(`"[\x00-\x20]*`)
	case b.bare:
		re.WriteString(`=`)
	case b.alone:
		re.WriteString(`^[\x00-\x20]*`)
	case header != "":
		re.WriteString("^" + header)
	}
	for i, lit := range literals {
		if i > 0 {
			re.WriteString(param)
		}
		quoteRegexp(&re, lit, b.quoted)
	}
	switch {
	case b.quoted:
		re.WriteString(`[\x00-\x20]*"`)
	case b.bare:
		re.WriteString(`(?:[\x00-\x20]|$)`)
	default:
		re.WriteString(`[\x00-\x20]*$`)
	}
	return re.String()
}

// quoteRegexp writes text so that it matches itself as it may stand in a line: white
// space of any length where the template has one blank, and in a quoted value what its
// writer may have escaped.
func quoteRegexp(re *strings.Builder, lit string, quoted bool) {
	for _, r := range lit {
		switch {
		case r == ' ':
			if quoted {
				re.WriteString(`(?:[\x00-\x20]|\\+[nrtbf])+`)
			} else {
				re.WriteString(`[\x00-\x20]+`)
			}
		case r == utf8.RuneError:
			re.WriteString(`.+?`)
		case quoted && r == '"':
			re.WriteString(`\\+"`)
		case quoted && r == '\\':
			re.WriteString(`\\+`)
		case quoted && r == '/':
			re.WriteString(`\\*/`)
		case quoted && (r == '<' || r == '>' || r == '&' || r == '\'' || r == '=' || r == '+'):
			re.WriteString(`(?:` + regexp.QuoteMeta(string(r)) + `|\\+u00` + string(hexDigits[r>>4]) + `[` + hexClass(byte(r&15)) + `])`)
		case quoted && r >= utf8.RuneSelf:
			re.WriteString(`(?:` + string(r) + `|(?:\\+u[0-9a-fA-F]{4}){1,2})`)
		default:
			re.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
}

const hexDigits = "0123456789abcdef"

// hexClass is a hexadecimal digit in either case.
func hexClass(d byte) string { return hexDigits[d:d+1] + strings.ToUpper(hexDigits[d:d+1]) }

// maxHeader bounds the header that a regular expression is made of.
const maxHeader = 200

// headerRegexp writes what stands before a message so that it matches other headers of
// its form: digits for digits, words for words, the rest as it is. "" where there is none.
func headerRegexp(s sample) string {
	raw := strings.TrimRight(s.raw, " \t\r\n")
	head, ok := strings.CutSuffix(raw, strings.TrimRight(s.message, " \t\r\n"))
	if !ok || head == "" || len(head) > maxHeader {
		return ""
	}
	var re strings.Builder
	class := func(b byte) int {
		switch {
		case b >= '0' && b <= '9':
			return 1
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= utf8.RuneSelf, b == '_':
			return 2
		case b <= ' ':
			return 3
		}
		return 0
	}
	for i := 0; i < len(head); {
		j, c := i+1, class(head[i])
		for c != 0 && j < len(head) && class(head[j]) == c {
			j++
		}
		switch c {
		case 1:
			re.WriteString(`\d+`)
		case 2:
			re.WriteString(`[\pL\d_.$-]+?`)
		case 3:
			re.WriteString(`[\x00-\x20]+`)
		default:
			re.WriteString(regexp.QuoteMeta(head[i:j]))
		}
		i = j
	}
	return re.String()
}
