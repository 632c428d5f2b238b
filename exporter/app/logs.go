package app

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/ingest/linehttp"
	"github.com/portent-dev/portent/internal/logmine"
	"github.com/portent-dev/portent/internal/web"
)

// Logs says how log lines are mined.
type Logs struct {
	Intake      linehttp.Config `yaml:"intake"`
	GroupBy     []string        `yaml:"group_by"`
	MaxGroups   int             `yaml:"max_groups"`
	MaxPatterns int             `yaml:"max_patterns"`
	MaxSeries   int             `yaml:"max_series"`
	Learning    model.Duration  `yaml:"learning"`
	NewFor      model.Duration  `yaml:"new_for"`
}

func defaultLogs() Logs {
	return Logs{
		Intake:  linehttp.DefaultConfig(),
		GroupBy: []string{"namespace", "app", "service_name", "job"},
		// A miner of 2,000 skeletons takes about 4 MiB when it is full.
		MaxGroups: 50, MaxPatterns: 2000, MaxSeries: 5000,
		Learning: model.Duration(time.Hour), NewFor: model.Duration(time.Hour),
	}
}

// mined returns l without what can change while lines are mined.
func (l Logs) mined() Logs {
	l.Intake = linehttp.Config{}
	return l
}

var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

func (l *Logs) validate() error {
	errs := []error{web.Invalid("intake", keyed(l.Intake.Validate()))}
	check := func(ok bool, key, format string, args ...any) {
		if !ok {
			errs = append(errs, web.Invalid(key, fmt.Errorf(format, args...)))
		}
	}
	for i, n := range l.GroupBy {
		key := fmt.Sprintf("group_by[%d]", i)
		check(labelName.MatchString(n) && n != "pattern" && n != "severity" && !strings.HasPrefix(n, "__"), key, "%q cannot be a label beside pattern and severity", n)
		check(!slices.Contains(l.GroupBy[:i], n), key, "%q is given twice", n)
	}
	check(len(l.GroupBy) <= 8, "group_by", "must not have more than 8 labels, has %d", len(l.GroupBy))
	check(l.MaxGroups > 0, "max_groups", "must be above 0, is %d", l.MaxGroups)
	check(l.MaxPatterns > 0, "max_patterns", "must be above 0, is %d", l.MaxPatterns)
	check(l.MaxSeries >= 0, "max_series", "must not be below 0, is %d", l.MaxSeries)
	check(l.NewFor > 0, "new_for", "must be above 0s")
	return errors.Join(errs...)
}

// logs mines the lines of all sources. It implements ingest.LineTarget and
// prometheus.Collector, and is safe for concurrent use.
type logs struct {
	config Logs
	now    func() time.Time

	mu     sync.Mutex
	groups map[string]*logGroup
	memory memory
	looked time.Time // when memory last saw all patterns
	last   []minedGroup

	lines, ungrouped, fresh, unexported prometheus.Counter
	size, known, forgotten              *prometheus.Desc
	perPattern                          *prometheus.Desc
}

// logGroup is the streams that have the same values of group_by.
type logGroup struct {
	values []string // of group_by; all empty for the group of those that found no room
	other  bool
	miner  *logmine.Miner
}

// otherGroup is the value of every grouping label of the streams beyond max_groups.
const otherGroup = "_other"

func newLogs(c Logs, reg prometheus.Registerer, now func() time.Time) *logs {
	counter := func(name, help string) prometheus.Counter {
		m := prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + "log_patterns_" + name, Help: help})
		reg.MustRegister(m)
		return m
	}
	l := &logs{
		config: c, now: now, groups: map[string]*logGroup{}, memory: newMemory(now()),
		lines:      counter("mined_lines_total", "Log lines mined, of all sources."),
		ungrouped:  counter("ungrouped_lines_total", "Log lines of streams beyond logs.max_groups, which share one group named _other."),
		fresh:      counter("new_total", "Patterns seen for the first time after logs.learning."),
		unexported: counter("series_left_out_total", "Series of log_pattern_lines_total left out of a scrape because of logs.max_series; their lines are counted as pattern other."),
		size:       prometheus.NewDesc(prefix+"log_patterns", "Patterns of log lines now, of all groups.", nil, nil),
		known:      prometheus.NewDesc(prefix+"log_patterns_known", "Patterns whose first sight is remembered.", nil, nil),
		forgotten:  prometheus.NewDesc(prefix+"log_patterns_forgotten_total", "Patterns whose first sight was forgotten for want of room, the longest unseen first.", nil, nil),
		perPattern: prometheus.NewDesc("log_pattern_lines_total", "Log lines by pattern. The lines of no pattern, and of patterns left out, have the pattern other.",
			append([]string{"pattern", "severity"}, c.GroupBy...), nil),
	}
	reg.MustRegister(l)
	return l
}

// TakeLines implements ingest.LineTarget. Neighbouring lines of one stream are joined
// to events.
func (l *logs) TakeLines(lines []ingest.Line) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines.Add(float64(len(lines)))
	for from := 0; from < len(lines); {
		to := from + 1
		for to < len(lines) && slices.Equal(lines[to].Labels, lines[from].Labels) {
			to++
		}
		l.mine(lines[from:to])
		from = to
	}
	return nil
}

// mine adds the lines of one stream. Each counts as one line, newlines in it or not.
func (l *logs) mine(lines []ingest.Line) {
	g := l.group(lines[0].Labels, len(lines))
	var j logmine.Joiner
	add := func(e logmine.Event, ok bool) {
		if ok {
			g.miner.AddEvent(&e)
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
	add(j.Flush())
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
		r.Time = x.T
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
			if x.Name == name || strings.ReplaceAll(x.Name, ".", "_") == name {
				values[i] = strings.ToValidUTF8(x.Value, "\uFFFD")
			}
		}
	}
	key := strings.Join(values, "\x00")
	if g := l.groups[key]; g != nil {
		return g
	}
	other := len(l.groups) >= l.config.MaxGroups
	if other {
		l.ungrouped.Add(float64(lines))
		for i := range values {
			values[i] = otherGroup
		}
		key = "\x00" + otherGroup
		if g := l.groups[key]; g != nil {
			return g
		}
	}
	g := &logGroup{other: other, miner: logmine.New(logmine.Options{MaxLeaves: l.config.MaxPatterns, Entities: true})}
	for _, v := range values {
		g.values = append(g.values, strings.Clone(v))
	}
	l.groups[strings.Clone(key)] = g
	return g
}
