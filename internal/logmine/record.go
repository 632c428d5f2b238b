package logmine

import "strings"

// Format is the form that a line has around its message.
type Format string

// The forms that Parse knows.
const (
	Plain  Format = "plain"
	JSON   Format = "json"
	Logfmt Format = "logfmt"
	Klog   Format = "klog"
	Syslog Format = "syslog"
	CRI    Format = "cri"
	Docker Format = "docker"
)

// Record is what a log line says besides its text. Strings alias the line, except
// where a JSON or logfmt value had to be unescaped.
type Record struct {
	Format   Format
	Time     int64 // Unix ms; 0 if the line gives none, or no full date
	Severity Severity
	Logger   string // component, tag or program
	TraceID  string
	// Message is what patterns are mined from: the line without its header, or the
	// message field of a structured line. A structured line without one is whole.
	Message string

	given  bool                     // Time is the source's: the line itself gives none
	fields [maxFieldEntities]Entity // what other fields than the message name
	named  int
}

// Fields returns what the fields of a structured line name, the message apart.
func (r *Record) Fields() []Entity { return r.fields[:r.named] }

// SetTime puts the time that the source of a line gives, Unix ms, over that of the line.
func (r *Record) SetTime(ms int64) {
	r.given = r.Time == 0 || r.given
	r.Time = ms
}

// headed reports whether the line itself gives a time.
func (r *Record) headed() bool { return r.Time != 0 && !r.given }

// maxEnvelopes bounds how many wrappers are taken off (a JSON line in a CRI line in
// a Docker line).
const maxEnvelopes = 4

// Parse reads the header or the structure of a line in whatever form it has.
func Parse(line string) Record {
	r := Record{Format: Plain, Message: strings.TrimRight(line, "\r\n")}
	for range maxEnvelopes {
		if !r.unwrap() {
			break
		}
	}
	if r.Severity == Unknown {
		r.Severity = guessSeverity(r.Message)
	}
	return r
}

// unwrap takes one envelope off r.Message and reports whether there may be another
// inside.
func (r *Record) unwrap() bool {
	msg := strings.TrimLeft(r.Message, " \t")
	switch {
	case strings.HasPrefix(msg, "{"):
		return r.json(msg)
	case r.cri(msg):
		return true
	case r.klog(msg), r.header(msg):
		return strings.HasPrefix(r.Message, "{")
	}
	return r.logfmt(msg)
}

// cri reads `2016-10-06T00:17:09.669794202Z stdout F message`, the form of the
// container runtimes.
func (r *Record) cri(msg string) bool {
	n, ms := readISO(msg)
	if n < 20 {
		return false
	}
	rest := msg[n:]
	for _, stream := range [...]string{" stdout F ", " stderr F ", " stdout P ", " stderr P "} {
		if strings.HasPrefix(rest, stream) {
			r.Format, r.Time, r.Message = CRI, ms, rest[len(stream):]
			return true
		}
	}
	return false
}

// klog reads `I0102 15:04:05.000000   12345 file.go:123] message`.
func (r *Record) klog(msg string) bool {
	if len(msg) < 30 || strings.IndexByte("IWEF", msg[0]) < 0 || msg[5] != ' ' {
		return false
	}
	if _, ok := digits(msg, 1, 4); !ok {
		return false
	}
	if n, _, _, _, _ := readClock(msg[6:]); n == 0 {
		return false
	}
	end := strings.Index(msg, "] ")
	if end < 0 || end > 200 {
		return false
	}
	where := msg[strings.LastIndexByte(msg[:end], ' ')+1 : end]
	r.Format, r.Severity, r.Logger, r.Message = Klog, ParseSeverity(msg[:1]), where, msg[end+2:]
	return true
}

// header takes off what stands before the message of a plain line: times, numbers
// of processes and threads, level, host and program of syslog, a logger's name.
// Without a time near the start a line has no header.
func (r *Record) header(msg string) bool {
	h := header{rest: msg}
	if strings.HasPrefix(msg, "<") { // <priority> of syslog
		if end := strings.IndexByte(msg[:min(6, len(msg))], '>'); end > 1 && allOf(msg[1:end], isDigit) {
			if r.syslog5424(msg[end+1:]) {
				return true
			}
			h.rest, h.syslog = msg[end+1:], true
		}
	}
	for range maxHeaderFields {
		if !h.field() {
			break
		}
	}
	if !h.timed || h.rest == "" || !h.dated && h.severity == Unknown {
		return false
	}
	if h.time != 0 {
		r.Time = h.time
	}
	if h.severity != Unknown {
		r.Severity = h.severity
	}
	if h.logger != "" {
		r.Logger = h.logger
	}
	if h.syslog {
		r.Format = Syslog
	}
	r.Message = h.rest
	return true
}

// syslog5424 reads `1 time host app procid msgid [data] message` (RFC 5424).
func (r *Record) syslog5424(s string) bool {
	if !strings.HasPrefix(s, "1 ") {
		return false
	}
	n, ms := readISO(s[2:])
	part := strings.SplitN(strings.TrimPrefix(s[2+n:], " "), " ", 5) // host app procid msgid rest
	if n == 0 || len(part) < 5 {
		return false
	}
	rest := strings.TrimPrefix(part[4], "- ")
	for strings.HasPrefix(rest, "[") {
		end := strings.IndexByte(rest, ']')
		if end < 0 {
			break
		}
		rest = strings.TrimPrefix(rest[end+1:], " ")
	}
	r.Format, r.Time, r.Logger, r.Message = Syslog, ms, part[1], strings.TrimPrefix(rest, "\uFEFF")
	return true
}

// maxHeaderFields bounds a header: more fields than any format above has.
const maxHeaderFields = 12

type header struct {
	rest     string
	time     int64
	timed    bool
	syslog   bool
	dated    bool // more than a time of day
	bare     bool // a date without a year, as syslog writes it
	severity Severity
	logger   string
}

// clockOnly reports whether a time that was read is only a time of day, or a bare
// number that may be something else.
func clockOnly(s string) bool { return len(s) > 2 && s[2] == ':' || allOf(s, isDigit) }

// field takes one field off and reports whether it did.
func (h *header) field() bool {
	s := strings.TrimLeft(h.rest, " \t|-")
	if s == "" {
		return false
	}
	if s[0] == '[' {
		return h.bracket(s)
	}
	if n, ms := readTime(s); n > 0 {
		if h.time == 0 {
			h.time = ms
		}
		h.dated = h.dated || !clockOnly(s[:n])
		h.bare = h.bare || !h.timed && ms == 0 && classes[s[0]]&isLetter != 0
		h.timed = true
		h.rest = strings.TrimLeft(s[n:], " \t,|:")
		return true
	}
	end := strings.IndexAny(s, " \t|")
	if end <= 0 {
		return false
	}
	w := strings.TrimRight(s[:end], ",:")
	switch {
	case !h.timed:
		return false
	case h.severity == Unknown && ParseSeverity(w) != Unknown && (len(w) > 1 || end == 1):
		h.severity = ParseSeverity(w)
	case allOf(w, isDigit) && (s[end] == '|' || h.severity == Unknown && h.logger == ""):
	case h.bare && h.logger == "" && h.host(s, end):
		return true
	case h.logger == "" && s[end-1] == ':' && end > 1 && !strings.ContainsAny(w, "=\"'()"):
		h.logger = w
	case h.logger == "" && s[end] == '|':
		h.logger = w
	default:
		return false
	}
	h.rest = strings.TrimLeft(s[end:], " \t|")
	return true
}

// host takes `host program[pid]: ` off, as syslog has them behind its date.
func (h *header) host(s string, end int) bool {
	rest := strings.TrimLeft(s[end:], " ")
	colon := strings.Index(rest, ": ")
	if colon <= 0 || colon > 64 {
		return false
	}
	program := rest[:colon]
	if i := strings.IndexByte(program, '['); i > 0 {
		program = program[:i]
	} else if strings.IndexByte(program, ' ') >= 0 {
		return false
	}
	h.syslog, h.logger, h.rest = true, program, rest[colon+2:]
	return true
}

// bracket takes [time], [LEVEL], [thread] off; anything with blanks inside only
// where it is a time.
func (h *header) bracket(s string) bool {
	end := strings.IndexByte(s, ']')
	if end < 2 {
		return false
	}
	in := strings.TrimSpace(s[1:end])
	n, ms := readTime(in)
	switch {
	case n > 0 && n == len(in):
		if h.time == 0 {
			h.time = ms
		}
		h.timed = true
		h.dated = h.dated || !clockOnly(in)
	case !h.timed:
		return false
	case h.severity == Unknown && ParseSeverity(in) != Unknown:
		h.severity = ParseSeverity(in)
	case h.severity != Unknown || strings.ContainsAny(in, " ="):
		return false
	}
	h.rest = strings.TrimLeft(s[end+1:], " :")
	return true
}
