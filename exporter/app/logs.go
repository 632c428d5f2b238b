package app

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/ingest/kubehttp"
	"github.com/portent-dev/portent/internal/loghistory"
	"github.com/portent-dev/portent/internal/logmine"
	"github.com/portent-dev/portent/internal/logwatch"
	"github.com/portent-dev/portent/internal/patternrules"
)

// logs mines the lines of all sources. It implements ingest.LineTarget and
// prometheus.Collector, and is safe for concurrent use.
type logs struct {
	now     func() time.Time
	metrics *logMetrics
	events  *kubehttp.Counts

	mu     sync.Mutex
	config Logs
	rules  *patternrules.Rules
	pins   []string
	groups map[string]*logGroup
	watch  *logwatch.Watch
	store  *loghistory.Store // nil: nothing is kept
	open   map[string]*openEvent
	key    []byte    // of the stream in work
	looked time.Time // when watch last saw all patterns
	last   []minedGroup
	told   map[toldKey]bool // findings that were counted
}

// logGroup is the streams that have the same values of group_by.
type logGroup struct {
	key    string   // see groupKey
	values []string // of group_by
	other  bool
	miner  *logmine.Miner
}

// otherGroup is the value of every grouping label of the streams beyond max_groups.
const otherGroup = "_other"

func newLogs(c Logs, reg prometheus.Registerer, now func() time.Time) *logs {
	l := &logs{
		config: c, now: now, groups: map[string]*logGroup{}, watch: logwatch.New(c.watched(), now().UnixMilli()),
		rules: patternrules.New(patternrules.File{}), open: map[string]*openEvent{}, told: map[toldKey]bool{}, metrics: newLogMetrics(reg),
		events: kubehttp.NewCounts(),
	}
	reg.MustRegister(l, (*patternSeries)(l), l.events)
	return l
}

// configure takes another configuration over. With other groups or another room for
// patterns mining begins anew; what is known of the streams stays.
func (l *logs) configure(c Logs, rules patternrules.File) {
	l.mu.Lock()
	defer l.mu.Unlock()
	anew := !slices.Equal(l.config.GroupBy, c.GroupBy) || l.config.MaxPatterns != c.MaxPatterns || c.MaxGroups < l.config.MaxGroups && len(l.groups) > c.MaxGroups
	l.config = c
	l.watch.SetOptions(c.watched())
	l.rules, l.pins = patternrules.New(rules), rules.Pins()
	if anew {
		l.flush()
		l.groups = map[string]*logGroup{}
	}
	for _, g := range l.groups {
		g.miner.SetPins(l.pins)
	}
	l.looked = time.Time{}
}

// TakeLines implements ingest.LineTarget. Neighbouring lines of one stream are joined
// to events, also with the last lines of the call before.
func (l *logs) TakeLines(lines []ingest.Line) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.metrics.lines.Add(float64(len(lines)))
	for from := 0; from < len(lines); {
		to := from + 1
		for to < len(lines) && sameLabels(lines[to].Labels, lines[from].Labels) {
			to++
		}
		l.mine(lines[from:to])
		from = to
	}
	return nil
}

func sameLabels(a, b []ingest.Label) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || slices.Equal(a, b))
}

// openEvent is the last event of a stream's last call, which may go on in the next.
type openEvent struct {
	group  *logGroup
	joiner *logmine.Joiner
	since  time.Time
}

const (
	// maxOpen bounds the streams whose last event is held, at 64 KiB each at most.
	maxOpen = 500
	// openFor is how long a trace may be cut between two calls.
	openFor = 5 * time.Second
)

// mine adds the lines of one stream. Each counts as one line, newlines in it or not.
func (l *logs) mine(lines []ingest.Line) {
	g := l.group(lines[0].Labels, len(lines))
	l.key = l.key[:0]
	for _, x := range lines[0].Labels {
		l.key = append(append(append(append(l.key, x.Name...), 0xff), x.Value...), 0xff)
	}
	j := new(logmine.Joiner)
	add := func(e logmine.Event, ok bool) {
		if ok {
			g.miner.AddEvent(&e)
		}
	}
	if o := l.open[string(l.key)]; o != nil {
		delete(l.open, string(l.key))
		if j = o.joiner; o.group != g || l.now().Sub(o.since) > openFor {
			l.end(o)
		}
	}
	for i := range lines {
		x := &lines[i]
		if strings.IndexByte(x.Text, '\n') >= 0 {
			add(j.Flush())
			add(g.record(x))
			continue
		}
		add(j.Add(hinted(logmine.Parse(x.Text), x)))
	}
	if !j.MayContinue() {
		add(j.Flush())
		return
	}
	if len(l.open) >= maxOpen {
		l.flush()
	}
	j.Own()
	l.open[string(l.key)] = &openEvent{g, j, l.now()}
}

// end counts an event that is open.
func (l *logs) end(o *openEvent) {
	if e, ok := o.joiner.Flush(); ok {
		o.group.miner.AddEvent(&e)
	}
}

// flush counts all events that are open, so that the patterns hold every line.
func (l *logs) flush() {
	for key, o := range l.open {
		l.end(o)
		delete(l.open, key)
	}
}

// record makes one event of a line that holds newlines.
func (g *logGroup) record(x *ingest.Line) (logmine.Event, bool) {
	var j logmine.Joiner
	for text := range strings.SplitSeq(x.Text, "\n") {
		if e, ok := j.Add(hinted(logmine.Parse(text), x)); ok { // the first event says what the record is
			e.Lines = 1
			return e, true
		}
	}
	e, ok := j.Flush()
	e.Lines = 1
	return e, ok
}

// hinted puts what the source says over what the text says.
func hinted(r logmine.Record, x *ingest.Line) logmine.Record {
	if x.T != 0 {
		r.SetTime(x.T)
	}
	if s := logmine.ParseSeverity(x.Severity); s != logmine.Unknown {
		r.Severity = s
	}
	if x.TraceID != "" {
		r.TraceID = x.TraceID
	}
	return r
}

// group finds or makes the group of a stream.
func (l *logs) group(labels []ingest.Label, lines int) *logGroup {
	values := make([]string, len(l.config.GroupBy))
	for i, name := range l.config.GroupBy {
		for _, x := range labels {
			if x.Name == name || strings.IndexByte(x.Name, '.') >= 0 && strings.ReplaceAll(x.Name, ".", "_") == name {
				values[i] = strings.ToValidUTF8(x.Value, "\uFFFD")
			}
		}
	}
	key := groupKey(l.config.GroupBy, values)
	if g := l.groups[key]; g != nil {
		return g
	}
	other := len(l.groups) >= l.config.MaxGroups
	if other {
		l.metrics.ungrouped.Add(float64(lines))
		for i := range values {
			values[i] = otherGroup
		}
		key = groupKey(l.config.GroupBy, values)
		if g := l.groups[key]; g != nil {
			return g
		}
	}
	g := &logGroup{key: key, other: other, miner: logmine.New(logmine.Options{MaxLeaves: l.config.MaxPatterns, Entities: true})}
	g.miner.SetPins(l.pins)
	for _, v := range values {
		g.values = append(g.values, strings.Clone(v))
	}
	l.groups[key] = g
	return g
}

// groupKey names a group by its labels, in a form that survives a restart.
func groupKey(names, values []string) string {
	var b strings.Builder
	for i, v := range values {
		if v != "" {
			b.WriteString(names[i] + "\x01" + v + "\x00")
		}
	}
	return b.String()
}

// groupLabels reads a groupKey.
func groupLabels(key string) map[string]string {
	out := map[string]string{}
	for pair := range strings.SplitSeq(key, "\x00") {
		if name, v, ok := strings.Cut(pair, "\x01"); ok {
			out[name] = v
		}
	}
	return out
}
