package logmine

import (
	"strconv"
	"strings"
)

// The names under which loggers write what a Record holds, best first.
var (
	messageKeys  = []string{"msg", "message", "@message", "log", "event", "MESSAGE", "short_message", "body"}
	severityKeys = []string{"level", "severity", "lvl", "log.level", "loglevel", "@level", "levelname", "SeverityText", "PRIORITY"}
	timeKeys     = []string{"ts", "time", "timestamp", "@timestamp", "t", "date", "datetime"}
	traceKeys    = []string{"trace_id", "traceID", "traceId", "traceid", "trace.id", "dd.trace_id"}
	loggerKeys   = []string{"logger", "component", "caller", "logger_name", "module", "service"}
)

// fields collects the wanted fields of a structured line.
type fields struct {
	message, severity, time, trace, logger string
	rank                                   [5]int // 1 + place in the list of names of what was taken
	n                                      int
	entities                               [maxFieldEntities]Entity
	named                                  int // of entities
}

// maxFieldEntities bounds what is taken of the fields of one line.
const maxFieldEntities = 6

func (f *fields) add(key, value string) {
	f.n++
	take := func(slot int, names []string, into *string) {
		for i, k := range names {
			if k == key && (f.rank[slot] == 0 || i+1 < f.rank[slot]) {
				f.rank[slot], *into = i+1, value
			}
		}
	}
	take(0, messageKeys, &f.message)
	take(1, severityKeys, &f.severity)
	take(2, timeKeys, &f.time)
	take(3, traceKeys, &f.trace)
	take(4, loggerKeys, &f.logger)
	if h := keyHint(key); h != noEntity && f.named < maxFieldEntities && len(value) <= maxValue {
		f.named += copy(f.entities[f.named:], appendField(nil, h, value))
	}
}

// appendField appends what the value of a field is, given the hint of its key.
func appendField(dst []Entity, h EntityKind, value string) []Entity {
	tok := [1]token{{0, int32(len(value)), kindOfWord(value)}}
	s := scanner{line: value, toks: tok[:]}
	return s.appendHinted(dst, 0, h, value)
}

func (f *fields) into(r *Record) {
	if s := ParseSeverity(f.severity); s != Unknown {
		r.Severity = s
	}
	if n, ms := readTime(f.time); n > 0 && ms != 0 {
		r.Time = ms
	}
	if f.trace != "" {
		r.TraceID = f.trace
	}
	if f.logger != "" {
		r.Logger = f.logger
	}
	if strings.TrimSpace(f.message) != "" {
		r.Message = strings.TrimRight(f.message, "\r\n")
		r.fields, r.named = f.entities, f.named
	}
}

// json reads an object's top level. Values are skipped without recursion, so depth
// costs nothing. It reports whether a message was taken out that may be structured
// itself.
func (r *Record) json(s string) bool {
	var f fields
	i := skipBlank(s, 1)
	for i < len(s) && s[i] != '}' {
		key, n := jsonString(s[i:])
		if n == 0 {
			return false
		}
		i = skipBlank(s, i+n)
		if i >= len(s) || s[i] != ':' {
			return false
		}
		i = skipBlank(s, i+1)
		value, n := jsonValue(s[i:])
		if n == 0 {
			return false
		}
		f.add(key, value)
		i = skipBlank(s, i+n)
		if i < len(s) && s[i] == ',' {
			i = skipBlank(s, i+1)
		}
	}
	if i >= len(s) || f.n == 0 {
		return false
	}
	r.Format = JSON
	if messageKeys[max(f.rank[0], 1)-1] == "log" && f.n <= 4 {
		r.Format = Docker
	}
	before := r.Message
	f.into(r)
	return f.rank[0] > 0 && r.Message != before
}

func skipBlank(s string, i int) int {
	for i < len(s) && classes[s[i]]&isSpace != 0 {
		i++
	}
	return i
}

// jsonString reads a string literal and returns its length in s, 0 if there is none.
func jsonString(s string) (value string, n int) {
	if s == "" || s[0] != '"' {
		return "", 0
	}
	escaped := false
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			escaped = true
			i++
		case '"':
			if !escaped {
				return s[1:i], i + 1
			}
			return unescape(s[1:i]), i + 1
		}
	}
	return "", 0
}

// unescape resolves the escapes of JSON and logfmt strings; unknown ones stay.
func unescape(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 >= len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n', 'r', 't', 'b', 'f':
			b.WriteByte(' ')
		case 'u':
			if v, err := strconv.ParseUint(s[min(i+1, len(s)):min(i+5, len(s))], 16, 32); err == nil && i+4 < len(s) {
				b.WriteRune(rune(v))
				i += 4
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// jsonValue reads any value; objects and arrays come back as they stand.
func jsonValue(s string) (value string, n int) {
	if s == "" {
		return "", 0
	}
	switch s[0] {
	case '"':
		return jsonString(s)
	case '{', '[':
		depth := 0
		for i := 0; i < len(s); i++ {
			switch s[i] {
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return s[:i+1], i + 1
				}
			case '"':
				_, n := jsonString(s[i:])
				if n == 0 {
					return "", 0
				}
				i += n - 1
			}
		}
		return "", 0
	}
	end := strings.IndexAny(s, ",} \t\n\r")
	if end <= 0 {
		return "", 0
	}
	return s[:end], end
}

// logfmt reads key=value pairs. A line is logfmt when it starts with a pair and has
// a message, or a level and a time.
func (r *Record) logfmt(s string) bool {
	var f fields
	for i := 0; i < len(s); {
		i = skipBlank(s, i)
		eq := strings.IndexByte(s[i:], '=')
		if eq <= 0 || strings.ContainsAny(s[i:i+eq], " \"'{}[]()") {
			if f.n == 0 {
				return false
			}
			next := strings.IndexByte(s[i:], ' ') // a bare word between pairs
			if next < 0 {
				break
			}
			i += next
			continue
		}
		key := s[i : i+eq]
		i += eq + 1
		value, n := jsonString(s[i:])
		if n == 0 {
			n = strings.IndexByte(s[i:], ' ')
			if n < 0 {
				n = len(s) - i
			}
			value = s[i : i+n]
		}
		f.add(key, value)
		i += n
	}
	if f.n < 2 || f.rank[0] == 0 && (f.rank[1] == 0 || f.rank[2] == 0) {
		return false
	}
	r.Format = Logfmt
	f.into(r)
	return false
}
