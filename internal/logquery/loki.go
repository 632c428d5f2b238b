package logquery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/portent-dev/portent/internal/elasticapi"
	"github.com/portent-dev/portent/internal/logmine"
	"github.com/portent-dev/portent/internal/lokiapi"
)

// LokiClient is what is needed of a Loki. Its errors are *lokiapi.Error.
type LokiClient interface {
	Lines(ctx context.Context, r lokiapi.PageRequest) (lokiapi.Page, error)
	Count(ctx context.Context, expr string, start, end time.Time, step time.Duration) (map[time.Time]float64, error)
	Query(ctx context.Context, expr string, at time.Time) (lokiapi.Answer, error)
}

var _ LokiClient = (*lokiapi.Client)(nil)

// Loki is a Store: the lines that a log query gives.
type Loki struct {
	client  LokiClient
	query   logQL
	mu      sync.Mutex // guards what follows
	streams map[string]*Stream
	ran     []string
	page    int // lines that the server gives at most
	// span is the longest range that the server answers; 0 is not known.
	span time.Duration
}

var _ Store = (*Loki)(nil)

// NewLoki reads lines with a LogQL log query: a selector, filters, parsers, formats,
// whatever the server knows. The forced matchers are added to its selector, so that
// it gives no lines of others. The query is not run; an error is a *QueryError.
func NewLoki(client LokiClient, query string, forced ...*labels.Matcher) (*Loki, error) {
	q, err := parseLogQL(query, forced)
	if err != nil {
		return nil, &QueryError{Text: "LogQL: " + err.Error()}
	}
	return &Loki{client: client, query: q, streams: map[string]*Stream{}, page: lokiapi.MaxLines}, nil
}

// QueryError is a query that cannot be run as it stands. Its text is for the person
// who wrote it.
type QueryError struct{ Text string }

func (e *QueryError) Error() string { return e.Text }

// Executed returns the queries that ran since it was last called.
func (l *Loki) Executed() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.ran
	l.ran = nil
	return out
}

func (l *Loki) note(query string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.ran, query) && len(l.ran) < 20 {
		l.ran = append(l.ran, query)
	}
}

// Count counts the lines between edges. Those in between are whole multiples of one
// step (see edgesOf): Loki moves steps to such multiples, so that only the first and
// the last stretch need a query of their own.
func (l *Loki) Count(ctx context.Context, edges []time.Time, p Part) ([]float64, error) {
	out := make([]float64, len(edges)-1)
	stages := partStage(p)
	single := func(i int, at time.Time, length time.Duration) (err error) {
		out[i], err = l.countOne(ctx, at, length, stages)
		return err
	}
	if len(out) <= 3 {
		for i := range out { // a range leaves out its start and holds its end: a nanosecond makes it the other way round
			if err := single(i, edges[i+1].Add(-time.Nanosecond), edges[i+1].Sub(edges[i])); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	step := edges[2].Sub(edges[1])
	query := l.query.counting(model.Duration(step).String(), stages...)
	l.note(query)
	inner := edges[1 : len(edges)-1]
	var by map[time.Time]float64
	err := l.retry(ctx, func() (err error) {
		by, err = l.client.Count(ctx, query, inner[1], inner[len(inner)-1], step)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := 1; i < len(inner); i++ {
		out[i] = by[inner[i].UTC()]
	}
	// The steps in between hold their end and not their start: the first stretch holds
	// both, the last neither. LogQL knows no unit below the millisecond.
	last := len(edges) - 1
	if err := single(0, edges[1], edges[1].Sub(edges[0])+time.Millisecond); err != nil {
		return nil, err
	}
	return out, single(last-1, edges[last].Add(-time.Nanosecond), edges[last].Sub(edges[last-1])-time.Millisecond)
}

// countOne counts the lines of the stretch that ends at a time, its start excluded.
func (l *Loki) countOne(ctx context.Context, at time.Time, length time.Duration, stages []string) (float64, error) {
	if length < time.Millisecond {
		return 0, nil
	}
	query := l.query.counting(strconv.FormatInt(length.Milliseconds(), 10)+"ms", stages...)
	l.note(query)
	var a lokiapi.Answer
	err := l.retry(ctx, func() (err error) {
		a, err = l.client.Query(ctx, query, at)
		return err
	})
	sum := 0.0
	for _, s := range a.Vector {
		sum += float64(s.Value)
	}
	return sum, err
}

// Scan reads lines page by page.
func (l *Loki) Scan(ctx context.Context, w Window, limit int, maxBytes int64, p Part, newest bool) (Scanned, error) {
	query := l.query.with(partStage(p)...)
	l.note(query)
	s := lokiScan{Loki: l, query: query, part: p, rest: w, limit: limit, maxBytes: maxBytes, newest: newest}
	err := s.run(ctx)
	slices.SortStableFunc(s.out.Lines, func(a, b Line) int { return a.Time.Compare(b.Time) })
	if err != nil && len(s.out.Lines) > 0 && !hopeless(err) {
		s.out.Cut = true
		s.out.Notes = append(s.out.Notes, fmt.Sprintf("%s was not read: %v", s.rest, causeOf(ctx, err)))
		err = nil
	}
	return s.out, err
}

// lokiScan is one Scan under way.
type lokiScan struct {
	*Loki
	query    string
	part     Part
	rest     Window // not read yet
	limit    int
	maxBytes int64
	newest   bool
	out      Scanned
	edge     map[string]int // lines at the edge of rest that were taken already
	edgeAt   time.Time      // their time
}

// minSpan is the shortest range that a refused one is cut into.
const minSpan = time.Second

func (s *lokiScan) run(ctx context.Context) error {
	span := s.rest.Length()
	for s.rest.From.Before(s.rest.To) {
		if len(s.out.Lines) >= s.limit {
			s.out.More = true
			return nil
		}
		if s.out.Bytes >= s.maxBytes {
			s.out.Cut, s.out.Notes = true, append(s.out.Notes, fmt.Sprintf("reading stopped at %d bytes of text", s.maxBytes))
			return nil
		}
		span = min(span, s.longest(span), s.rest.Length())
		part := s.rest
		if s.newest {
			part.From = part.To.Add(-span)
		} else {
			part.To = part.From.Add(span)
		}
		full, err := s.readPage(ctx, part)
		if tooMuch(err) && span > minSpan {
			span = s.shorten(span)
			continue
		}
		if err != nil {
			return err
		}
		if !full {
			s.advance(part)
		}
	}
	return nil
}

// advance leaves behind a stretch that was read whole.
func (s *lokiScan) advance(part Window) {
	if s.newest {
		s.rest.To = part.From
	} else {
		s.rest.From = part.To
	}
	s.edge = nil
}

func (l *Loki) longest(span time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.span > 0 {
		return min(l.span, span)
	}
	return span
}

// shorten halves what is asked for at once, for all scans.
func (l *Loki) shorten(span time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.span = max(minSpan, span/2)
	return l.span
}

// tooMuch reports whether a shorter range may be answered.
func tooMuch(err error) bool {
	switch lokiapi.ReasonOf(err) { //nolint:exhaustive // the others are not about length
	case lokiapi.ReasonTooLarge, lokiapi.ReasonTimeout:
		var e *lokiapi.Error
		return errors.As(err, &e) && (e.Reason == lokiapi.ReasonTooLarge || e.Status != 0)
	}
	return false
}

// readPage reads one page of a stretch and reports whether the page was full: then
// the rest begins at the time of its last line, whose fellows of the same time may be
// on the next page, so that time is asked for again and what was taken is left out.
func (s *lokiScan) readPage(ctx context.Context, part Window) (full bool, err error) {
	atEdge := 0
	for _, n := range s.edge {
		atEdge += n
	}
	want := min(s.pageSize(), s.limit-len(s.out.Lines)+atEdge)
	page, want, err := s.lines(ctx, lokiapi.PageRequest{Query: s.query, Start: part.From, End: part.To, Limit: want, Forward: !s.newest})
	if err != nil {
		return false, err
	}
	entries := page.Entries
	slices.SortStableFunc(entries, func(a, b lokiapi.Entry) int { return a.Time.Compare(b.Time) })
	if s.newest {
		slices.Reverse(entries)
	}
	taken := 0
	seen := maps.Clone(s.edge)
	streams := map[uintptr]*Stream{}
	for i := range entries {
		e := &entries[i]
		if len(seen) > 0 && e.Time.Equal(s.edgeAt) {
			if key := entryKey(e); seen[key] > 0 {
				seen[key]--
				continue
			}
		}
		taken++
		s.out.Bytes += int64(len(e.Text))
		at := reflect.ValueOf(e.Stream).Pointer()
		if streams[at] == nil {
			streams[at] = s.stream(e.Stream)
		}
		s.out.Lines = append(s.out.Lines, s.line(e, streams[at]))
	}
	s.out.Notes = append(s.out.Notes, page.Warnings...)
	if len(entries) < want {
		return false, nil
	}
	s.moveTo(entries, taken, want)
	return true, nil
}

// moveTo begins the rest at the last line of a full page.
func (s *lokiScan) moveTo(entries []lokiapi.Entry, taken, want int) {
	last := entries[len(entries)-1].Time
	if taken == 0 && entries[0].Time.Equal(last) && want >= s.pageSize() {
		s.out.Cut = true
		s.out.Notes = append(s.out.Notes, fmt.Sprintf(
			"more than %d lines have the time %s; the server gives no more than that of one time", want, last.Format(time.RFC3339Nano)))
		if s.newest {
			s.rest.To = last
		} else {
			s.rest.From = last.Add(time.Nanosecond)
		}
		s.edge = nil
		return
	}
	edge := map[string]int{}
	for i := len(entries) - 1; i >= 0 && entries[i].Time.Equal(last); i-- {
		edge[entryKey(&entries[i])]++
	}
	s.edge, s.edgeAt = edge, last
	if s.newest {
		s.rest.To = last.Add(time.Nanosecond)
	} else {
		s.rest.From = last
	}
}

func (l *Loki) pageSize() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.page
}

// reEntriesLimit reads the server's own limit out of its refusal.
var reEntriesLimit = regexp.MustCompile(`max_entries_limit_per_query \(\d+ > (\d+)\)`)

// lines reads one page and returns of how many lines it was; a server that gives fewer
// lines at once is asked again for that many.
func (l *Loki) lines(ctx context.Context, r lokiapi.PageRequest) (page lokiapi.Page, limit int, err error) {
	for {
		err := l.retry(ctx, func() (err error) {
			page, err = l.client.Lines(ctx, r)
			return err
		})
		if err == nil {
			return page, r.Limit, nil
		}
		m := reEntriesLimit.FindStringSubmatch(err.Error())
		if m == nil {
			return page, r.Limit, err
		}
		n, convErr := strconv.Atoi(m[1])
		if convErr != nil || n < 1 || n >= r.Limit {
			return page, r.Limit, err
		}
		l.mu.Lock()
		l.page = n
		l.mu.Unlock()
		r.Limit = n
	}
}

// Bounds of asking again.
const (
	attempts     = 4
	firstBackoff = 250 * time.Millisecond
	maxBackoff   = 5 * time.Second
)

// retry asks again when the server is busy, waiting twice as long each time, or as
// long as it says.
func (l *Loki) retry(ctx context.Context, call func() error) error {
	wait := firstBackoff
	for i := 1; ; i++ {
		err := call()
		var e *lokiapi.Error
		if err == nil || i == attempts || !errors.As(err, &e) || !busy(e) {
			return err
		}
		if e.RetryAfter > maxBackoff {
			return err
		}
		select {
		case <-time.After(max(wait, e.RetryAfter)):
		case <-ctx.Done():
			return err
		}
		wait = min(2*wait, maxBackoff)
	}
}

// busy reports whether the same request may be answered in a moment.
func busy(e *lokiapi.Error) bool {
	return e.Reason == lokiapi.ReasonTooMany || e.Reason == lokiapi.ReasonDown && e.Status == 503 ||
		e.Reason == lokiapi.ReasonServer && e.Status == 500 && strings.Contains(e.Error(), "empty ring")
}

// entryKey tells entries apart that have one time.
func entryKey(e *lokiapi.Entry) string {
	return labelsKey(e.Stream) + "\x00" + labelsKey(e.Extra) + "\x00" + e.Text
}

func labelsKey(l map[string]string) string {
	if len(l) == 0 {
		return ""
	}
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(l)) {
		b.WriteString(k + "\x01" + l[k] + "\x02")
	}
	return b.String()
}

// line makes a Line of an entry.
func (s *lokiScan) line(e *lokiapi.Entry, st *Stream) Line {
	out := Line{Time: e.Time, Stream: st, Text: e.Text, Weight: 1, Part: s.part}
	for _, k := range severityFields {
		if v := logmine.ParseSeverity(e.Extra[k]); v != logmine.Unknown {
			out.Severity = v
			break
		}
		if v := logmine.ParseSeverity(e.Stream[k]); v != logmine.Unknown {
			out.Severity = v
			break
		}
	}
	for _, k := range traceFields {
		if v := e.Extra[k]; v != "" {
			out.TraceID = v
			break
		}
	}
	return out
}

// Labels and fields under which stores keep what a line says. They are read only.
var (
	severityFields = []string{"detected_level", "level", "severity", "severity_text", "log.level", "loglevel"}
	traceFields    = []string{"trace_id", "traceID", "traceId", "trace.id"}
)

// maxKnownStreams bounds what is kept to tell streams apart; lines of further ones
// have a stream each time anew.
const maxKnownStreams = 10_000

func (l *Loki) stream(labels map[string]string) *Stream {
	key := labelsKey(labels)
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.streams[key]; s != nil {
		return s
	}
	s := &Stream{Labels: labels, key: key}
	if len(l.streams) < maxKnownStreams {
		l.streams[key] = s
	}
	return s
}

// reasonOf returns the reason of a failed call of a store's client.
func reasonOf(err error) string {
	var (
		l *lokiapi.Error
		e *elasticapi.Error
	)
	switch {
	case errors.As(err, &l):
		return string(l.Reason)
	case errors.As(err, &e):
		return string(e.Reason)
	}
	return ""
}
