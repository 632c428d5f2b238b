package logquery

import (
	"maps"
	"math/bits"
	"slices"
	"strings"

	"github.com/portent-dev/portent/internal/logmine"
)

// Bounds of what is kept of lines.
const (
	// maxKept bytes of lines are kept to check queries against: all lines of an ordinary
	// answer. Beyond, maxSamples of each skeleton are.
	maxKept    = 32 << 20
	maxSamples = 4
	// maxSampleBytes is up to where a line is kept: no query can be checked on a longer
	// one.
	maxSampleBytes = 16 << 10
	// maxStreams that are counted for one skeleton; the rest counts as one.
	maxStreams = 8
	// maxOpen stack traces are put together at once, one a stream.
	maxOpen = 2000
	// maxRaw lines of an open stack trace are kept to find the one that names the cause.
	maxRaw = 200
	// maxTraces and maxVisits bound what is known of requests: the patterns that the
	// lines of one trace belong to.
	maxTraces = 5000
	maxVisits = 16
)

// collector mines lines and keeps of each skeleton what an answer needs. Memory is
// bounded by the lines that it is given: up to 2 KiB for each skeleton.
type collector struct {
	miner  *logmine.Miner
	side   side // that lines go to
	time   bucketer
	open   map[*Stream]*openEvent
	refs   []refStat // by logmine.Ref
	keys   *logmine.Miner
	traces map[string][]visit
	kept   int // bytes of lines
	// keepLines says that queries will be made.
	keepLines bool

	volume [2]map[logmine.Severity]*series
	weight [2]float64 // of all lines
}

// side says which of two windows lines are of.
type side uint8

const (
	now side = iota
	before
)

// refStat is what is known of a skeleton.
type refStat struct {
	win     [2]tally
	samples []sample
	seen    uint32
	streams []streamCount
	keys    []logmine.Ref // of the lines that name the cause
	several bool          // events of several lines
	cause   logmine.Cause
}

// tally counts the lines of a skeleton within a window.
type tally struct {
	read        float64 // lines
	weight      float64
	parts       [numParts]float64 // weight by part
	first, last int64             // Unix ms
	series      series
}

// sample is a line as it came, and the message in it.
type sample struct {
	raw, message string
	format       logmine.Format
}

type streamCount struct {
	stream *Stream
	n      float64
}

// visit is a line of a trace.
type visit struct {
	ref     logmine.Ref
	service string
	at      int64
}

// openEvent is an event that more lines may belong to.
type openEvent struct {
	joiner logmine.Joiner
	first  Line
	format logmine.Format
	msg    string
	weight float64
	raws   []string
}

func newCollector(t bucketer) *collector {
	return &collector{
		miner:  logmine.New(logmine.Options{KeepRefs: true, Entities: true}),
		time:   t,
		open:   map[*Stream]*openEvent{},
		keys:   logmine.New(logmine.Options{KeepRefs: true, MaxLeaves: 2000}),
		traces: map[string][]visit{},
		volume: [2]map[logmine.Severity]*series{{}, {}},
	}
}

// add takes a line in.
func (c *collector) add(l Line) {
	if l.record == nil && strings.IndexByte(strings.TrimRight(l.Text, "\r\n"), '\n') >= 0 {
		e := logmine.EntryEvent(l.Text)
		c.enrich(&e.Record, &l)
		first, _, _ := strings.Cut(l.Text, "\n")
		c.commit(&e, &openEvent{first: l, format: e.Format, msg: logmine.Parse(first).Message, weight: l.Weight})
		return
	}
	r := l.record
	if r == nil {
		r = new(logmine.Parse(l.Text))
	}
	c.enrich(r, &l)
	o := c.open[l.Stream]
	if o == nil {
		if len(c.open) >= maxOpen {
			c.flush()
		}
		o = &openEvent{}
		c.open[l.Stream] = o
	}
	e, complete := o.joiner.Add(*r)
	switch {
	case complete:
		c.commit(&e, o)
		fallthrough
	case o.weight == 0:
		o.first, o.weight, o.raws, o.format, o.msg = l, l.Weight, o.raws[:0], r.Format, r.Message
	default:
		o.weight += l.Weight
		if len(o.raws) < maxRaw {
			o.raws = append(o.raws, l.Text)
		}
	}
}

// enrich adds what the source knows of a line, but for its time: by that a Joiner
// tells which lines have a header of their own.
func (c *collector) enrich(r *logmine.Record, l *Line) {
	if r.Severity == logmine.Unknown {
		r.Severity = l.Severity
	}
	if r.TraceID == "" {
		r.TraceID = l.TraceID
	}
}

// flush ends all events, in an order that does not depend on chance: at the end of
// the input.
func (c *collector) flush() {
	streams := slices.SortedFunc(maps.Keys(c.open), func(a, b *Stream) int { return strings.Compare(a.id(), b.id()) })
	for _, s := range streams {
		if e, ok := c.open[s].joiner.Flush(); ok {
			c.commit(&e, c.open[s])
		}
	}
	clear(c.open)
}

// countVolume counts lines by severity.
func (c *collector) countVolume(e *logmine.Event, n float64) {
	if e.Time == 0 {
		return
	}
	vol := c.volume[c.side]
	if vol[e.Severity] == nil {
		vol[e.Severity] = &series{}
	}
	vol[e.Severity].add(&c.time, e.Time, n)
}

// commit counts an event.
func (c *collector) commit(e *logmine.Event, o *openEvent) {
	c.weight[c.side] += o.weight
	if !o.first.Time.IsZero() {
		e.Time = o.first.Time.UnixMilli()
	}
	ref := c.miner.AddEvent(e)
	c.countVolume(e, o.weight)
	if ref == logmine.Other {
		o.weight = 0
		return
	}
	for int(ref) >= len(c.refs) {
		c.refs = append(c.refs, refStat{})
	}
	s := &c.refs[ref]
	t := &s.win[c.side]
	t.read += float64(e.Lines)
	t.weight += o.weight
	t.parts[o.first.Part] += o.weight
	if e.Time != 0 {
		t.series.add(&c.time, e.Time, o.weight)
		if t.first == 0 || e.Time < t.first {
			t.first = e.Time
		}
		t.last = max(t.last, e.Time)
	}
	c.keep(s, o)
	if c.side == now {
		s.countStream(o.first.Stream, o.weight)
		c.visit(e, ref, o.first.Stream)
	}
	c.noteCause(s, e, o)
	o.weight = 0
}

// keep keeps a line to check queries against: when there is no room for all, the
// first, and each that doubles the count.
func (c *collector) keep(s *refStat, o *openEvent) {
	s.seen++
	raw := strings.TrimRight(o.first.Text, "\r\n")
	few := len(s.samples) < maxSamples && bits.OnesCount32(s.seen) == 1
	if !c.keepLines || !few && c.kept+len(raw) > maxKept || len(raw) > maxSampleBytes {
		return
	}
	raw = strings.Clone(raw)
	m := sample{raw: raw, message: o.msg, format: o.format}
	if at := strings.Index(raw, o.msg); at >= 0 {
		m.message = raw[at : at+len(o.msg)]
	} else {
		m.message = strings.Clone(o.msg)
	}
	c.kept += len(raw)
	s.samples = append(s.samples, m)
}

func (s *refStat) countStream(st *Stream, n float64) {
	for i := range s.streams {
		if s.streams[i].stream == st {
			s.streams[i].n += n
			return
		}
	}
	if len(s.streams) == maxStreams {
		s.streams[maxStreams-1] = streamCount{nil, s.streams[maxStreams-1].n + n}
		return
	}
	s.streams = append(s.streams, streamCount{st, n})
}

// visit notes which requests the line belongs to.
func (c *collector) visit(e *logmine.Event, ref logmine.Ref, st *Stream) {
	if e.TraceID == "" || len(e.TraceID) > 128 {
		return
	}
	vs, ok := c.traces[e.TraceID]
	if !ok && len(c.traces) >= maxTraces || len(vs) >= maxVisits {
		return
	}
	service := st.service()
	if service == "" {
		service = e.Logger
	}
	key := e.TraceID
	if !ok {
		key = strings.Clone(key)
	}
	c.traces[key] = append(vs, visit{ref, strings.Clone(service), e.Time})
}

// noteCause keeps what a stack trace comes down to, and the line that says it.
func (c *collector) noteCause(s *refStat, e *logmine.Event, o *openEvent) {
	cause, ok := e.Cause()
	if e.Lines > 1 {
		s.several = true
	}
	if !ok {
		return
	}
	if s.cause.Class == "" {
		s.cause = logmine.Cause{
			Class: strings.Clone(cause.Class), Message: logmine.Redact(strings.Clone(cause.Message)), Frame: strings.Clone(cause.Frame),
		}
	}
	if e.Lines == 1 || len(s.keys) >= maxSamples {
		return
	}
	for _, raw := range o.raws {
		if strings.Contains(raw, cause.Class) && strings.Contains(raw, cause.Message) {
			if ref := c.keys.Add(logmine.Parse(raw).Message, 0, logmine.Unknown); ref != logmine.Other {
				s.keys = append(s.keys, ref)
			}
			return
		}
	}
}
