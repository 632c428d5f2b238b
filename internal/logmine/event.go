package logmine

import "strings"

// Joiner makes one event of lines that belong together: the frames of a stack trace,
// with its causes, and any line that is indented under another. Lines come one after
// the other from one source, read by Parse. The zero value is ready; it is not safe
// for concurrent use. What it holds is bounded: maxEventLines lines, of which
// maxEventBytes are kept.
type Joiner struct {
	open  bool
	first Record
	lines int
	text  []byte // the event's messages, with newlines
	state traceState
}

// Bounds of one event. Deep recursion prints 1,024 frames in Java; more lines begin
// a new event.
const (
	maxEventLines = 2000
	maxEventBytes = 64 << 10
)

// traceState is what is known of the stack trace that an event holds.
type traceState uint8

const (
	noTrace     traceState = iota
	inPython               // behind "Traceback (most recent call last):"
	afterPython            // behind the exception that ends it
	inGo                   // behind panic: or goroutine 1 [running]:
)

// Event is what a Joiner gives back.
type Event struct {
	Record        // of the first line; Message is what the event is about: see Joiner.Add
	Text   string // all lines of it, as far as they are kept; dead after the next Add
	Lines  int
}

// Add takes the next line in, and returns the event before it if that is complete.
//
// The message of an event of one line is that line's. That of a stack trace is its
// first line, and behind an arrow the root cause: the class and message of the
// innermost exception and its first frame outside of the language's own library and
// well-known frameworks. That of other events is the first line.
func (j *Joiner) Add(r Record) (e Event, complete bool) {
	if j.open && j.lines < maxEventLines && j.continues(&r) {
		j.append(&r)
		return Event{}, false
	}
	e, complete = j.Flush()
	j.open, j.first, j.lines, j.text, j.state = true, r, 0, j.text[:0], noTrace
	j.append(&r)
	return e, complete
}

// Flush returns the event that is open, if any: at the end of the input, or when a
// source has been quiet.
func (j *Joiner) Flush() (Event, bool) {
	if !j.open {
		return Event{}, false
	}
	j.open = false
	e := Event{Record: j.first, Lines: j.lines}
	if j.lines == 1 {
		e.Text = j.first.Message
		return e, true
	}
	e.Text = string(j.text)
	head := strings.TrimSpace(j.first.Message)
	if c, ok := RootCause(e.Text); ok {
		e.Message = c.message(head)
		e.Severity = max(e.Severity, Error)
	}
	return e, true
}

func (j *Joiner) append(r *Record) {
	j.lines++
	msg := r.Message
	if r.Severity > j.first.Severity {
		j.first.Severity = r.Severity
	}
	if j.first.Time == 0 {
		j.first.Time = r.Time
	}
	switch {
	case strings.HasPrefix(msg, "Traceback (most recent call last)"), strings.HasSuffix(msg, "Traceback (most recent call last):"):
		j.state = inPython
	case strings.HasPrefix(msg, "panic: "), strings.HasPrefix(msg, "goroutine ") && strings.HasSuffix(msg, "]:"), strings.HasPrefix(msg, "fatal error: "):
		j.state = inGo
	case j.state == inPython && !indented(msg):
		j.state = afterPython
	}
	if len(j.text)+len(msg) < maxEventBytes {
		if len(j.text) > 0 {
			j.text = append(j.text, '\n')
		}
		j.text = append(j.text, msg...)
	}
}

func indented(s string) bool { return s != "" && (s[0] == ' ' || s[0] == '\t') }

// continues reports whether a line belongs to the open event.
func (j *Joiner) continues(r *Record) bool {
	msg := r.Message
	if r.Format != Plain && r.Format != CRI && r.Format != Docker && r.Format != Syslog {
		return false // structured: each line is an event
	}
	if r.Format == Plain && r.headed() {
		return false // a header of its own
	}
	switch {
	case indented(msg):
		return strings.TrimSpace(msg) != "" || j.state != noTrace
	case strings.HasPrefix(msg, "Caused by: "), strings.HasPrefix(msg, "Suppressed: "), strings.HasPrefix(msg, "... ") && strings.HasSuffix(msg, " more"),
		strings.HasPrefix(msg, "at ") && strings.HasSuffix(msg, ")"):
		return true
	case strings.HasPrefix(msg, "Traceback (most recent call last)"):
		return j.first.Severity >= Error || j.state == afterPython
	case j.state == inPython, j.state == afterPython:
		return j.continuesPython(msg)
	case j.state == inGo:
		return continuesGo(msg)
	case j.lines == 1 && beginsWithException(msg) && !beginsWithException(j.first.Message):
		return r.Format == Plain && j.first.Format == Plain && j.first.Severity >= Error && j.first.headed() // log4j: the message, then the trace
	}
	return j.first.Severity >= Error && strings.HasPrefix(msg, "goroutine ") && strings.HasSuffix(msg, "]:") // net/http: panic serving …
}

func (j *Joiner) continuesPython(msg string) bool {
	if j.state == inPython {
		return true // the line that names the exception
	}
	return msg == "" || strings.HasPrefix(msg, "During handling of the above exception") ||
		strings.HasPrefix(msg, "The above exception was the direct cause")
}

// continuesGo knows the lines of the traces that Go's runtime prints.
func continuesGo(msg string) bool {
	switch {
	case msg == "", strings.HasPrefix(msg, "goroutine "), strings.HasPrefix(msg, "created by "), strings.HasPrefix(msg, "exit status "),
		strings.HasPrefix(msg, "panic("), strings.HasPrefix(msg, "[signal "), strings.HasPrefix(msg, "rax "), strings.HasPrefix(msg, "runtime"):
		return true
	}
	open := strings.IndexByte(msg, '(')
	return open > 0 && strings.HasSuffix(msg, ")") && strings.IndexByte(msg[:open], '.') > 0 && strings.IndexByte(msg[:open], ' ') < 0
}

// beginsWithException reports whether a line is `some.Exception: text` or
// `Exception in thread …`.
func beginsWithException(msg string) bool {
	end := strings.IndexAny(msg, ": ")
	if end < 0 {
		end = len(msg)
	}
	return isExceptionClass(msg[:end]) || strings.HasPrefix(msg, "Exception in thread ")
}

// MayContinue reports whether the event that is open looks as if it went on: the next
// line may come in another batch.
func (j *Joiner) MayContinue() bool {
	return j.open && j.lines < maxEventLines && (j.lines > 1 || j.state != noTrace || j.first.Severity >= Error || beginsWithException(j.first.Message))
}

// Own copies what of the open event aliases the lines it was made of, so that it can
// outlive them.
func (j *Joiner) Own() {
	r := &j.first
	r.Message, r.Logger, r.TraceID = strings.Clone(r.Message), strings.Clone(r.Logger), strings.Clone(r.TraceID)
	for i := range r.fields[:r.named] {
		r.fields[i].Value = strings.Clone(r.fields[i].Value)
	}
}

// Lines returns how many lines the open event has.
func (j *Joiner) Lines() int {
	if !j.open {
		return 0
	}
	return j.lines
}
