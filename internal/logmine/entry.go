package logmine

import "strings"

// EntryEvent makes one event of an entry that a store kept as one, be it of several
// lines: a stack trace that a shipper joined. What it is about is found as by
// Joiner.Add. It counts as one line, because that is what the store counts.
func EntryEvent(text string) Event {
	first, rest, several := strings.Cut(text, "\n")
	e := Event{Record: Parse(first), Text: text, Lines: 1}
	if !several || strings.TrimSpace(rest) == "" {
		e.Text = e.Message
		return e
	}
	if len(text) > maxEventBytes {
		e.Text = cut(text, maxEventBytes)
	}
	if c, ok := RootCause(e.Text); ok {
		e.Message = c.message(strings.TrimSpace(e.Message))
		e.Severity = max(e.Severity, Error)
	}
	return e
}

// Forms returns the templates of all shapes that were joined into the pattern because
// they say the same words, the pattern's own first.
func (p *Pattern) Forms() []string { return append([]string{p.Template}, p.forms...) }

// Cause returns what a stack trace comes down to, and reports whether the event is
// one.
func (e *Event) Cause() (Cause, bool) {
	if !strings.Contains(e.Text, "\n") {
		return Cause{}, false
	}
	return RootCause(e.Text)
}
