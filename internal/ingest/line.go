package ingest

import "errors"

// Line is one log line, or one log record of several lines, as a source got it.
//
// Its strings may alias the buffer of a request: they are dead as soon as the call
// that was given the line returns.
type Line struct {
	// Labels are those of its stream and what came with the line itself (structured
	// metadata, attributes), in any order; a name comes once. Lines of one stream share
	// the array: it is not to be written to.
	Labels []Label
	T      int64 // Unix milliseconds; 0 if the source gives none
	// Severity is what the source says, in its own words; "" if it says nothing.
	Severity string
	TraceID  string // in hex; "" if the source gives none
	Text     string // may be empty, hold newlines or be no valid UTF-8
}

// ErrBusy is what a LineTarget returns that has no room now: the same lines may be
// given again later.
var ErrBusy = errors.New("no room for more log lines now")

// LineTarget takes log lines in. It is safe for concurrent use.
type LineTarget interface {
	// TakeLines takes all lines of one request, or none and returns an error. Nothing is
	// kept after the call returns unless it is copied.
	TakeLines(lines []Line) error
}
