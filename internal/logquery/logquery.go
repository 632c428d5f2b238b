// Package logquery answers what the log lines of a window say: their patterns, how
// often and since when each comes, what changed against another window, what most
// probably is the cause, and for each pattern the query that gives its lines.
//
// Lines come from a Source: a Loki, an Elasticsearch or OpenSearch, a file or a pipe.
// An answer is bounded in lines, bytes and time, and says what it was made from: how
// many lines were read of how many there are, and what is missing.
//
// It must not know who asks, and what is done with an answer. It reads the clock only
// to keep within a time limit.
package logquery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/portent-dev/portent/internal/logmine"
)

// Window is a stretch of time, From included, To not. The zero value is all times.
type Window struct{ From, To time.Time }

// Length returns how long the window is.
func (w Window) Length() time.Duration { return w.To.Sub(w.From) }

// IsZero reports whether the window is that of all times.
func (w Window) IsZero() bool { return w.From.IsZero() && w.To.IsZero() }

func (w Window) String() string {
	return w.From.UTC().Format(time.RFC3339) + " to " + w.To.UTC().Format(time.RFC3339)
}

// Limits bound what a Source reads for one window. The zero value takes the defaults.
type Limits struct {
	Lines int           // 0 = DefaultLines
	Bytes int64         // of text; 0 = DefaultBytes
	Time  time.Duration // after it no further page is asked for; 0 = DefaultTime
}

// Defaults of Limits.
const (
	// DefaultLines is what a Loki gives in four pages: a second or two, and enough that a
	// pattern of one line in five thousand is seen with a chance of 98 %.
	DefaultLines = 20_000
	DefaultBytes = 64 << 20
	DefaultTime  = 20 * time.Second
	// MaxLines bounds what may be asked for: what is kept of a line is up to 2 KiB.
	MaxLines = 1_000_000
)

func (l Limits) withDefaults() (Limits, error) {
	switch {
	case l.Lines < 0 || l.Lines > MaxLines:
		return l, fmt.Errorf("limit of lines: got %d, want 1 to %d", l.Lines, MaxLines)
	case l.Bytes < 0 || l.Time < 0:
		return l, errors.New("limits may not be negative")
	}
	if l.Lines == 0 {
		l.Lines = DefaultLines
	}
	if l.Bytes == 0 {
		l.Bytes = DefaultBytes
	}
	if l.Time == 0 {
		l.Time = DefaultTime
	}
	return l, nil
}

// Stream is where lines come from, one after the other: a container, a file.
type Stream struct {
	Labels map[string]string
	key    string
}

func (s *Stream) id() string {
	if s == nil {
		return ""
	}
	return s.key
}

// service names what the stream belongs to, by the labels that are usual for that;
// "" when it has none of them.
func (s *Stream) service() string {
	if s == nil {
		return ""
	}
	for _, l := range serviceLabels {
		if v := s.Labels[l]; v != "" && v != "unknown_service" {
			return v
		}
	}
	return ""
}

// serviceLabels name a service, best first. It is read only.
var serviceLabels = []string{"service_name", "service", "service.name", "app_kubernetes_io_name", "app", "deployment", "job", "container", "kubernetes.container.name", "unit", "host"}

// Line is one line, or one entry of several lines, of a source.
type Line struct {
	Time   time.Time // zero where the source knows none: then the line's own time counts
	Stream *Stream   // nil is one stream for all
	Text   string
	// Weight is how many lines of the source this one stands for: 1 unless sampled.
	Weight float64
	// Part is the stratum of the sample that it is of.
	Part     Part
	Severity logmine.Severity // given by the source; the line's own wins
	TraceID  string           // likewise

	record *logmine.Record // the line as Parse reads it, where the source did that
}

// Part is a stratum: a share of a window's lines that is sampled by itself.
type Part uint8

// The parts. A window that is read whole has only All.
const (
	All    Part = iota
	Errors      // lines that speak of an error
	Others      // the rest
	numParts
)

// Read says what an answer was made from.
type Read struct {
	Lines int64 `json:"lines"` // read
	// Of is how many lines the window holds; 0 when the source cannot say.
	Of    int64 `json:"of"`
	Bytes int64 `json:"bytes"`
	// Sampled says how lines were chosen, a sentence; "" when all were read. Counts are
	// scaled then.
	Sampled string `json:"sampled,omitempty"`
	// Truncated says that there are more lines than were read and that counts are not
	// scaled, because the source cannot say how many more.
	Truncated bool `json:"truncated,omitempty"`
	// Partial says what is missing, a sentence each.
	Partial []string `json:"partial,omitempty"`
	// Queries are those that ran, without repetition.
	Queries []string `json:"queries,omitempty"`
	// Window is the stretch that was covered. Of a source without times it is what the
	// lines say.
	Window Window `json:"-"`

	read  [numParts]float64
	total [numParts]float64
}

// fraction is the share of a part's lines that was read.
func (r *Read) fraction(p Part) float64 {
	if r.total[p] <= 0 || r.read[p] >= r.total[p] {
		return 1
	}
	return r.read[p] / r.total[p]
}

// Source gives the lines of a window. Implementations are safe for use by one
// goroutine at a time.
type Source interface {
	// Read calls add for lines of the window, those of one stream in order of time.
	// add's argument may be kept. It keeps to the limits and says in Read how; an error
	// means that nothing useful was read.
	Read(ctx context.Context, w Window, l Limits, add func(Line)) (Read, error)
	// Narrow returns the query that gives the lines that the filter keeps, of those that
	// the source's own query gives; the zero Query where there is no language for it.
	Narrow(f *Filter) Query
	// Language names the language of its queries; "" says that there is none, so that
	// nothing is kept for making them.
	Language() string
}

// Query is a query that a person can run.
type Query struct {
	Language string `json:"language"` // logql, lucene, grep
	Text     string `json:"text"`
	// DSL is the same as query DSL, where there is such a thing.
	DSL json.RawMessage `json:"dsl,omitempty"`
	// Exact says that it was checked against the lines read: it gives the pattern's and
	// no others.
	Exact bool `json:"exact"`
	// Note says what it gives instead; "" when exact.
	Note string `json:"note,omitempty"`
}
