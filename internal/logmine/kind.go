package logmine

import "strings"

// Kind says what a token of a line is. Word is part of the message; every other
// kind is a parameter.
type Kind uint8

// The kinds of parameters. Their order is that of Kind.String's names.
const (
	Word     Kind = iota
	Number        // 42, -1, 3.14
	Hex           // 0x7fed806eb5d, 9f4ef63c
	UUID          // b9000564-fe1a-409b-b8cc-1e88b294cd1d
	IP            // 10.11.10.1, 10.11.10.1:8080, fe80::1, a MAC address
	Duration      // 12ms, 1h30m
	Size          // 93.0 B, 5KiB
	Time          // 2017-05-16 05:00:00, Tue Aug 02 2005
	Path          // /var/lib/nova, C:\Windows, ./run
	URL           // https://example.org/a?b=c
	Email         // someone@example.org
	Bool          // true, null
	Name          // a dotted name: com.tencent.mm, db.example.org
	ID            // letters and digits: rdd_2_0, mesos-slave-07
	Method        // GET, where a path follows
	Value         // what stands behind key= or in quotes behind it
	Any           // anything: a word that differs from line to line
	Secret        // what Redact hid
	numKinds
)

var kindNames = [numKinds]string{
	"word", "number", "hex", "uuid", "ip", "duration", "size", "time", "path", "url", "email", "bool", "name", "id",
	"method", "value", "any", "secret",
}

// String returns the kind's name as the API spells it.
func (k Kind) String() string {
	if k < numKinds {
		return kindNames[k]
	}
	return "unknown"
}

// Classes of bytes. Letters include every byte of a multi-byte rune.
const (
	isSpace uint8 = 1 << iota
	isLetter
	isDigit
	isHard // ends a chunk: brackets, quotes, comma, semicolon, bar, equals
	isSoft // splits words inside a chunk: colon, slash, at, …
)

var classes = byteClasses()

func byteClasses() (c [256]uint8) {
	for i := range c {
		switch b := byte(i); {
		case b == ' ' || b == '\t' || b == '\r' || b == '\n' || b < 0x20:
			c[i] = isSpace
		case b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= 0x80:
			c[i] = isLetter
		case b >= '0' && b <= '9':
			c[i] = isDigit
		}
	}
	for _, b := range []byte("()[]{}<>\"',;|=") {
		c[b] = isHard
	}
	for _, b := range []byte(":/@\\!*+&?#~`^%") {
		c[b] = isSoft
	}
	return c
}

func allOf(s string, class uint8) bool {
	for i := range len(s) {
		if classes[s[i]]&class == 0 {
			return false
		}
	}
	return s != ""
}

func hasDigit(s string) bool {
	for i := range len(s) {
		if classes[s[i]]&isDigit != 0 {
			return true
		}
	}
	return false
}

// kindOfWord tells a word from a parameter by its own bytes. A word with one or two
// digits (eth0, NAT64, utf8) stays a word: clustering makes it a parameter where it
// varies.
func kindOfWord(w string) Kind {
	digits, letters, hex, dots := 0, 0, 0, 0
	for i := range len(w) {
		switch b := w[i]; {
		case b >= '0' && b <= '9':
			digits++
			hex++
		case b == '.':
			dots++
		case classes[b]&isLetter != 0:
			letters++
			if b|0x20 >= 'a' && b|0x20 <= 'f' {
				hex++
			}
		}
	}
	switch {
	case digits == 0:
		if dots >= 2 && letters > 4 {
			return Name
		}
		return Word
	case letters == 0:
		if dots == 3 && digits+dots == len(w) {
			return IP
		}
		return Number
	case digits <= 2 && digits+letters == len(w) && classes[w[0]]&isLetter != 0 && (digits == 1 || letters >= 3):
		return Word
	}
	return kindOfMixed(w, hex)
}

func kindOfMixed(w string, hex int) Kind {
	switch {
	case len(w) > 2 && w[0] == '0' && w[1]|0x20 == 'x':
		return Hex
	case len(w) == 36 && w[8] == '-' && w[13] == '-' && w[18] == '-' && w[23] == '-' && hex == 32:
		return UUID
	case hex == len(w) && len(w) >= 7:
		return Hex
	}
	if u := strings.TrimLeft(w, "-0123456789."); u != "" && len(u) < len(w) {
		switch {
		case isSizeUnit(u):
			return Size
		case isDuration(w):
			return Duration
		}
	}
	return ID
}

// isSizeUnit reports whether w is a unit of bytes that stands behind a number.
func isSizeUnit(w string) bool {
	switch w {
	case "B", "KB", "MB", "GB", "TB", "kB", "KiB", "MiB", "GiB", "TiB", "Ki", "Mi", "Gi", "Ti":
		return true
	}
	return false
}

// isDuration reports whether w is written as Go and Prometheus write durations.
func isDuration(w string) bool {
	units := 0
	for i := 0; i < len(w); {
		j := i
		for j < len(w) && (classes[w[j]]&isDigit != 0 || w[j] == '.' || j == 0 && w[j] == '-') {
			j++
		}
		k := j
		for k < len(w) && classes[w[k]]&isLetter != 0 {
			k++
		}
		switch w[j:k] {
		case "ns", "us", "µs", "ms", "s", "m", "h", "d", "w", "y", "sec", "secs", "min":
		default:
			return false
		}
		if j == i {
			return false
		}
		units++
		i = k
	}
	return units > 0
}

// isLiteralValue reports whether w is a value wherever it stands.
func isLiteralValue(w string) bool { return w == "true" || w == "false" }

// isNothing reports whether w says that there is no value; only behind a key does
// that make it a parameter.
func isNothing(w string) bool {
	switch w {
	case "null", "NULL", "nil", "None", "none", "True", "False", "TRUE", "FALSE":
		return true
	}
	return false
}

func isMethod(w string) bool {
	switch w {
	case "GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "CONNECT", "TRACE":
		return true
	}
	return false
}

// isCalendarWord reports whether w is a weekday, a month or a time zone in three
// letters. Beside a parameter it belongs to a date.
func isCalendarWord(w string) bool {
	switch w {
	case "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun",
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
		"UTC", "GMT", "PDT", "PST", "EST", "EDT", "CET":
		return true
	}
	return false
}

func isURL(s string) bool {
	i := strings.Index(s, "://")
	return i > 0 && allOf(s[:i], isLetter|isDigit)
}

func isPath(s string) bool {
	switch {
	case len(s) < 2:
		return false
	case s[0] == '/' && classes[s[1]]&(isLetter|isDigit) != 0,
		len(s) > 2 && s[1] == ':' && s[2] == '\\',
		strings.HasPrefix(s, "./"), strings.HasPrefix(s, "../"), strings.HasPrefix(s, "~/"):
		return true
	}
	return strings.Count(s, "/") >= 2 || strings.Count(s, `\`) >= 2
}

// isHexGroups reports whether s is a MAC or IPv6 address: groups of at most four hex
// digits, at least two colons, at least one decimal digit.
func isHexGroups(s string) bool {
	colons, run, digit := 0, 0, false
	for i := range len(s) {
		switch b := s[i]; {
		case b == ':':
			colons++
			run = 0
		case b >= '0' && b <= '9':
			digit = true
			run++
		case b|0x20 >= 'a' && b|0x20 <= 'f':
			run++
		default:
			return false
		}
		if run > 4 {
			return false
		}
	}
	return colons >= 2 && digit
}

// looksLikeName reports whether a word without digits is a name rather than a word
// of the text: camel case, or punctuation inside.
func looksLikeName(w string) bool {
	for i := 1; i < len(w); i++ {
		switch b := w[i]; {
		case b >= 'A' && b <= 'Z':
			return true
		case classes[b]&isLetter == 0 && i < len(w)-1:
			return true
		}
	}
	return false
}
