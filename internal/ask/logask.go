package ask

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Bounds of sampling: enough lines to see the format, the fields and the words of
// a program, few enough to cost milliseconds.
const (
	sampleLines = 80
	hitLines    = 60
	maxSearches = 4  // for fields that two words may name
	maxWords    = 60 // of a question about logs
)

var (
	// reLogs are the words that only logs answer to.
	reLogs = regexp.MustCompile(`\b(?:(?:error |access |audit |event |server |container |pod |app )?logs?|loglines?|log ?lines?|lines?|log (?:entr(?:y|ies)|volume|messages?)|entries|` +
		`logging|\w*exceptions?|stack ?traces?|tracebacks?|panics?|panicked|panicking|(?:error|fatal|warning|warn|critical) messages?)\b`)
	// reMaybeLogs are words that logs may answer to.
	reMaybeLogs = regexp.MustCompile(`\b(?:events?|say|says|said|mention|mentions|mentioning|logged|everything about|anything about|complain(?:s|ing)? about|(?:top|common|frequent|most) (?:\d+ )?(?:[a-z]+ )?messages?)\b`)
	reLoggedIn  = regexp.MustCompile(`\b(?:logged|logging) (?:in|on|out)\b`)
	reEvents    = regexp.MustCompile(`\bevents?\b`)
	reErrors    = regexp.MustCompile(`\b(?:errors|warnings|errored)\b`)
	reNotLogs   = regexp.MustCompile(`\b(?:rate|ratio|percent|percentage|share|budget|requests?|http|5xx|4xx|network|interface|nic|scrape|rule|alerts?|metric|metrics|per second|receive|transmit)\b|%`)
	reQuoted    = regexp.MustCompile("\"([^\"]{1,200})\"|(?:^|[ (])'([^']{1,200})'|`([^`]{1,200})`|“([^”]{1,200})”")
	reEntries   = regexp.MustCompile(`\b(?:bytes?|volume|megabytes|gigabytes|[kmgt]i?b)\b`)
	reFraction  = regexp.MustCompile(`\b(?:fraction|share|ratio|percent|percentage|proportion)\b|%`)
	rePerSecond = regexp.MustCompile(`\bper second\b|\ba second\b|/s(?:ec)?\b|\brate\b|\bhow fast\b`)
	rePerMinute = regexp.MustCompile(`\bper minute\b|\ba minute\b|/min\b|\beach minute\b`)
	reThings    = regexp.MustCompile(`\b(?:responses?|requests?|calls|hits|statements?|queries)\b`)
	reShow      = regexp.MustCompile(`\b(?:show|find|list|print|get|give|tail|see|display|fetch|search)\b`)
	reIdentity  = regexp.MustCompile(`^[a-z]*[-_#]?[0-9][0-9a-z_-]{2,}$|^[0-9a-f-]{8,}$`)
	reElapsedIn = regexp.MustCompile(`(?i)\b((?:duration|took|elapsed|latency|cost|response_time|time)[=:]? ?)(\d+(?:\.\d+)?) ?(ms|us|µs|s|sec|seconds)\b`)
	elapsedKeys = []string{"duration", "latency", "elapsed", "took", "response_time", "request_time", "duration_ms", "latency_ms", "elapsed_ms", "took_ms", "duration_seconds", "time_ms", "ms"}
	levelKeys   = []string{"level", "severity", "lvl", "log_level", "loglevel", "levelname", "severity_text"}
	statusNames = []string{"status", "status_code", "code", "http_status", "response_code", "statuscode"}
)

// expected are words that a program may well not have logged: that nothing is found
// is an answer then.
var expected = set(`panic exception traceback stacktrace timeout oom oomkilled segfault deadlock refused denied unauthorized killed crash`)

// logTask is one question about logs.
type logTask struct {
	ctx   context.Context //nolint:containedctx // a task lives for one call
	l     *Logs
	q     Question
	norm  string
	when  when
	in    intent
	words []word

	names   []streamName
	quoted  []string
	levels  []string // asked for
	sel     []*labels.Matcher
	filters []LogStage // by line
	fields  []LogStage // by label, with their parser
	last    int        // how many of filters and fields came from what is counted: for shares
	parsed  string     // parser that is in fields already
	sample  logSample
	hits    []LogLine
	event   bool
	strict  bool // answer only where the logs certainly say so
	told    []string
	unsaid  int // words that no line says
}

// wantsLogs reports whether the words ask for logs: surely, or perhaps.
func wantsLogs(norm string) (surely, perhaps bool) {
	norm = reLoggedIn.ReplaceAllString(norm, "")
	return reLogs.MatchString(norm), reMaybeLogs.MatchString(norm)
}

// translateLogs makes a LogQL query of a question. With strict it refuses where the
// lines do not plainly say what the question says.
func (l *Logs) translateLogs(ctx context.Context, q Question, norm string, strict bool) (Translation, error) {
	t := &logTask{ctx: ctx, l: l, q: q, norm: norm, strict: strict}
	rest := t.takeQuotes(norm)
	t.when, rest = takeWhen(rest, q)
	t.in, rest = takeIntent(rest)
	t.spans()
	if t.slowest() && t.in.quantile == 0 {
		t.in.agg = "max"
	}
	t.words = cutWords(rest)
	if len(t.words) > maxWords {
		return Translation{}, t.refuse("the question has %d words, at most %d are looked for in logs", len(t.words), maxWords)
	}
	for i := range t.words {
		if m, ok := misspelt[t.words[i].text]; ok {
			t.words[i].text, t.words[i].stem = m, m
		}
	}
	t.identities()
	if len(t.words) > 0 && (t.words[0].text == "search" || t.words[0].text == "find" || t.words[0].text == "tail") {
		t.words[0].used = true
	}
	t.names = l.findStreams(t.words)
	if err := t.choose(); err != nil {
		return Translation{}, err
	}
	if err := t.resolve(); err != nil {
		return Translation{}, err
	}
	return t.build()
}

// takeQuotes takes quoted text as literals; its case is that of the question as
// typed.
func (t *logTask) takeQuotes(norm string) string {
	for _, m := range reQuoted.FindAllStringSubmatch(strings.Join(strings.Fields(strings.ToValidUTF8(t.q.Text, " ")), " "), 4) {
		text := m[1] + m[2] + m[3] + m[4]
		t.quoted = append(t.quoted, text)
		if i := strings.Index(norm, strings.ToLower(text)); i >= 0 {
			norm = norm[:i] + strings.Repeat(" ", len(text)) + norm[min(len(norm), i+len(text)):]
		}
	}
	return norm
}

// identities takes words that look like the number of something as literals, with
// the word before that says of what.
func (t *logTask) identities() {
	for i := range t.words {
		w := &t.words[i]
		if !reIdentity.MatchString(w.text) || len(t.l.exact[w.text]) > 0 || reStatus.MatchString(w.text) || reCode.MatchString(w.text) {
			continue
		}
		w.used = true
		t.quoted = append(t.quoted, strings.TrimLeft(t.typed(w.text), "#"))
		for j := i - 1; j >= 0 && j >= i-2 && !stopWords[t.words[j].text]; j-- {
			if len(t.l.exact[t.words[j].text]) == 0 {
				t.words[j].used = true
			}
		}
	}
}

// typed returns a word in the case of the question.
func (t *logTask) typed(w string) string {
	if i := strings.Index(strings.ToLower(t.q.Text), w); i >= 0 && len(strings.ToLower(t.q.Text)) == len(t.q.Text) {
		return t.q.Text[i : i+len(w)]
	}
	return w
}

func (t *logTask) refuse(format string, args ...any) error {
	return &Refusal{Reason: fmt.Sprintf(format, args...), Suggestions: []string{"error logs of a program", "count of lines by app", "log volume per namespace"}}
}

func matcher(typ labels.MatchType, name, value string) *labels.Matcher {
	return labels.MustNewMatcher(typ, name, value)
}

// choose makes the stream selector and looks at a sample of its lines.
func (t *logTask) choose() error {
	lines, err := t.selectStreams()
	for err == nil && len(lines) == 0 && (len(t.names) > 1 || len(t.names) == 1 && t.events()) {
		// These names have nothing in common: the least certain one is a word of messages.
		at := len(t.names) - 1
		if weak := slices.IndexFunc(t.names, func(n streamName) bool {
			return !slices.Contains(programLabels, n.label) && hintAt(t.words, n.at[0]) == ""
		}); weak >= 0 {
			at = weak
		}
		last := t.names[at]
		t.names = slices.Delete(slices.Clone(t.names), at, at+1)
		for _, i := range last.at {
			t.words[i].used = false
		}
		lines, err = t.selectStreams()
	}
	if err != nil {
		return err
	}
	t.sample = look(lines)
	reason, kind := t.sample.find("reason"), t.sample.find("type")
	t.event = reason != nil && kind != nil && 5*min(reason.lines, kind.lines) >= 4*len(lines) && kind.values["Warning"]+kind.values["Normal"] > 0
	return nil
}

func (t *logTask) events() bool { return reEvents.MatchString(t.norm) }

// selectStreams makes the selector of the names and samples its lines.
func (t *logTask) selectStreams() ([]LogLine, error) {
	t.sel = nil
	for _, n := range t.names {
		typ, re := labels.MatchEqual, labels.MatchRegexp
		if n.not {
			typ, re = labels.MatchNotEqual, labels.MatchNotRegexp
		}
		if len(n.values) == 1 {
			t.sel = append(t.sel, matcher(typ, n.label, n.values[0]))
		} else {
			t.sel = append(t.sel, matcher(re, n.label, regexFor(n.values)))
		}
	}
	if t.events() {
		if m := t.l.eventStream(); m != nil {
			t.sel = slices.DeleteFunc(t.sel, func(o *labels.Matcher) bool { return slices.Contains(programLabels, o.Name) && o.Value == m.Value })
			t.sel = append([]*labels.Matcher{m}, t.sel...)
		}
	}
	if !slices.ContainsFunc(t.sel, func(m *labels.Matcher) bool { return !m.Matches("") }) {
		t.sel = append(t.sel, t.l.all(t.wanted()))
	}
	return t.read(t.selector(), sampleLines)
}

// wanted returns the stream label that the answer is by, if it is one.
func (t *logTask) wanted() string {
	for _, w := range t.words {
		if w.used {
			continue
		}
		for _, l := range kindWords[w.stem] {
			if slices.Contains(t.l.labels, l) {
				return l
			}
		}
	}
	return ""
}

// all selects every stream that has the label, or every one there is.
func (l *Logs) all(label string) *labels.Matcher {
	if label == "" {
		for _, x := range [...]string{"service_name", "cluster", "namespace", "job", "app", "service", "svc"} {
			if slices.Contains(l.labels, x) {
				label = x
				break
			}
		}
	}
	if label == "" && len(l.labels) > 0 {
		label = l.labels[0]
	}
	if label == "" {
		label = "job"
	}
	return matcher(labels.MatchRegexp, label, ".+")
}

// eventStream finds the streams of Kubernetes events by their name.
func (l *Logs) eventStream() *labels.Matcher {
	for _, label := range [...]string{"job", "app", "service_name", "container", "component", "source", "unit", "stream"} {
		var hits []string
		for _, v := range l.values[label] {
			if slices.ContainsFunc(partsOf(v), func(p string) bool { return p == "event" || p == "events" || p == "eventrouter" || p == "kubeevents" }) {
				hits = append(hits, v)
			}
		}
		if len(hits) == 1 {
			return matcher(labels.MatchEqual, label, hits[0])
		}
		if len(hits) > 1 && len(hits) < maxUnion {
			return matcher(labels.MatchRegexp, label, regexFor(hits))
		}
	}
	return nil
}

// selector is the selector with the line filters so far.
func (t *logTask) selector(extra ...LogStage) *LogStreams {
	return &LogStreams{Matchers: t.sel, Stages: append(slices.Clone(t.filters), extra...)}
}

// read samples lines of the time asked for, or of the day before if there are none.
func (t *logTask) read(s *LogStreams, limit int) ([]LogLine, error) {
	w := t.when.window
	if w == 0 {
		w = time.Hour
	}
	end := t.q.Now.Add(-t.when.end)
	lines, err := t.l.source.Sample(t.ctx, s.String(), end.Add(-w), end, limit)
	if err != nil {
		return nil, fmt.Errorf("sample the logs: %w", err)
	}
	if len(lines) == 0 && w < labelsWindow {
		if lines, err = t.l.source.Sample(t.ctx, s.String(), end.Add(-labelsWindow), end, limit); err != nil {
			return nil, fmt.Errorf("sample the logs: %w", err)
		}
	}
	return lines, nil
}

// resolve finds out what the other words of the question are in the lines.
func (t *logTask) resolve() error {
	for _, text := range t.quoted {
		t.filters = append(t.filters, LineFilter{"|=", text})
		t.told = append(t.told, strconv.Quote(text))
	}
	t.last = len(t.filters)
	for i := range t.words {
		if lv := levelOf(t.words[i]); lv != "" && !t.words[i].used && !t.sample.isField(t.words[i]) {
			t.words[i].used = true
			t.levels = append(t.levels, lv)
		}
	}
	if err := t.status(); err != nil {
		return err
	}
	t.named()
	if err := t.mentioned(); err != nil {
		return err
	}
	if err := t.level(); err != nil {
		return err
	}
	return t.bound()
}

// isField reports whether a word is the name of a field, as programs write them.
func (s *logSample) isField(w word) bool {
	return strings.Contains(w.text, "_") && s.fields[w.text] != nil
}

// status takes "5xx" or "404" for the status of a response.
func (t *logTask) status() error {
	for i := range t.words {
		w := &t.words[i]
		var class string
		if m := reStatus.FindStringSubmatch(w.text); m != nil {
			class = m[1] + "[0-9][0-9]"
		} else if m := reCode.FindStringSubmatch(w.text); m != nil && !w.used {
			class = m[1]
		} else {
			continue
		}
		w.used = true
		t.told = append(t.told, "status "+w.text)
		if f := t.sample.find(statusNames...); f != nil && t.sample.format != "access" {
			t.byField(f, LabelFilter{Name: f.name, Op: "=~", Text: class})
			continue
		}
		t.filters = append(t.filters, LineFilter{"|~", `HTTP/[0-9.]+" ` + class + ` `})
		for j := range t.words { // what an access log is full of
			switch t.words[j].stem {
			case "access", "response", "request", "http", "status":
				t.words[j].used = true
			}
		}
	}
	return nil
}

// byField adds a filter by a field, behind the parser of the format.
func (t *logTask) byField(f *logField, filter LabelFilter) {
	p := t.sample.parser(f)
	if t.parsed != p.Kind || p.Kind == "regexp" {
		t.fields = append(t.fields, p)
		t.parsed = p.Kind
	}
	t.fields = append(t.fields, filter)
}

// named marks the words that name a field of the lines: "duration_ms", "stack trace".
// One that only some lines have is a condition.
func (t *logTask) named() {
	searches := 0
	for i := range t.words {
		for n := 3; n >= 2; n-- {
			if i+n > len(t.words) || slices.ContainsFunc(t.words[i:i+n], func(w word) bool { return w.used }) {
				continue
			}
			name := make([]string, n)
			for k := range name {
				name[k] = t.words[i+k].stem
			}
			key := strings.Join(name, "_")
			f := t.sample.find(key, strings.Join(name, ""))
			wordy := slices.ContainsFunc(t.words[i:i+n], func(w word) bool { return stopWords[w.text] || t.isDimension(i) || t.skips(w) })
			if f == nil && !wordy && searches < maxSearches {
				searches++
				if lines, err := t.read(t.selector(LineFilter{"|~", "(?i)" + strings.Join(quoteAll(name), "[_ ]?")}), hitLines); err == nil && len(lines) > 0 {
					s := look(lines)
					if f = s.find(key, strings.Join(name, "")); f != nil && s.format == "json" {
						t.sample.format = s.format
					}
				}
			}
			if f == nil {
				continue
			}
			for k := range name {
				t.words[i+k].used = true
			}
			if !t.introduced(i) && 2*t.count(f.name) < len(t.sample.lines)+1 && t.in.quantile == 0 && t.in.agg == "" {
				t.byField(f, LabelFilter{Name: f.name, Op: "!=", Text: ""})
				t.told = append(t.told, "with "+f.name)
			}
		}
	}
}

func quoteAll(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = regexp.QuoteMeta(w)
	}
	return out
}

// count is how many sampled lines have the field.
func (t *logTask) count(field string) int {
	if f := t.sample.fields[field]; f != nil {
		return f.lines
	}
	return 0
}

// isDimension reports whether word i says by what the answer is wanted.
func (t *logTask) isDimension(i int) bool {
	_, kind := kindWords[t.words[i].stem]
	return kind || t.introduced(i)
}

// introduced reports whether word i stands behind by, per or each.
func (t *logTask) introduced(i int) bool {
	before := strings.Fields(t.norm[:min(t.words[i].start, len(t.norm))])
	for k := 1; k <= 3 && k <= len(before); k++ {
		switch strings.Trim(before[len(before)-k], ",()") {
		case "by", "per", "each", "every", "across":
			return true
		case "and", "the", "search", "http", "status", "error", "log":
			continue
		}
		return false
	}
	return false
}

// mentioned looks for the words that are left in the lines.
func (t *logTask) mentioned() error {
	var words []string
	var at, vague []int
	for i := range t.words {
		w := t.words[i]
		if w.used || stopWords[w.text] || stopWords[w.stem] || negations[w.text] || len(w.text) < 2 || isNumber(w.text) || t.isDimension(i) || t.skips(w) {
			continue
		}
		if f := t.sample.find(w.text, w.stem); f != nil && (strings.Contains(w.text, "_") || t.in.agg != "" || t.in.quantile > 0) {
			continue
		}
		if soft[w.text] { // "customs-bridge keeps dying": what programs do in general, no line may say
			vague = append(vague, i)
			continue
		}
		words, at = append(words, w.stem), append(at, i)
	}
	if len(words) == 0 && len(t.levels)+len(t.quoted) == 0 {
		for _, i := range vague {
			words, at = append(words, t.words[i].stem), append(at, i)
		}
	}
	if len(words) == 0 {
		if t.strict && len(t.quoted) > 0 {
			lines, err := t.read(t.selector(), 1)
			if err != nil || len(lines) > 0 {
				return err
			}
		}
		if t.strict && len(t.levels) == 0 && !slices.ContainsFunc(t.words, t.sample.isField) {
			return t.refuse("nothing in it is about log lines")
		}
		return nil
	}
	stems := make([]string, len(words))
	var search []LogStage
	for i, w := range words {
		stems[i] = searchStem(w)
		search = append(search, LineFilter{"|~", "(?i)" + regexp.QuoteMeta(stems[i])})
	}
	hits, err := t.read(t.selector(search...), hitLines)
	if err != nil {
		return err
	}
	if len(hits) == 0 && len(words) > 1 && !t.strict {
		if words, at, stems, search, hits, err = t.spoken(words, at, stems, search); err != nil {
			return err
		}
	}
	if len(hits) == 0 {
		if missing := slices.IndexFunc(words, func(w string) bool { return !expected[w] }); missing >= 0 {
			return t.refuse("no log line says anything about %s", quoteList(words))
		}
		t.filters = append(t.filters, search...)
		t.told = append(t.told, quoteList(words))
		return nil
	}
	t.hits = hits
	for _, i := range at {
		t.words[i].used = true
	}
	if text := verbatim(t.norm, words, hits); text != "" {
		t.filters = append(t.filters, LineFilter{"|=", text})
		t.told = append(t.told, strconv.Quote(text))
		return nil
	}
	return t.say(words, stems, search)
}

// spoken keeps the words that some line does say, where no line says all of them: people do not always use a program's
// words. At least half of them must be there.
func (t *logTask) spoken(words []string, at []int, stems []string, search []LogStage) ([]string, []int, []string, []LogStage, []LogLine, error) {
	var (
		w, st []string
		where []int
		se    []LogStage
	)
	for i := range words[:min(len(words), maxSearches)] {
		lines, err := t.read(t.selector(search[i]), 1)
		if err != nil {
			return nil, nil, nil, nil, nil, err
		}
		if len(lines) == 0 && (outcomeWords[words[i]] || yesWords[words[i]] || noWords[words[i]]) {
			return words, at, stems, search, nil, nil // without it, the question is another one
		}
		if len(lines) > 0 {
			w, st, where, se = append(w, words[i]), append(st, stems[i]), append(where, at[i]), append(se, search[i])
		}
	}
	if len(w) == len(words) || 2*len(w) < len(words) {
		return words, at, stems, search, nil, nil
	}
	hits, err := t.read(t.selector(se...), hitLines)
	if err != nil || len(hits) == 0 {
		return words, at, stems, search, nil, err
	}
	t.unsaid = len(words) - len(w)
	return w, where, st, se, hits, nil
}

// skips reports whether a word is about the logs themselves.
func (t *logTask) skips(w word) bool {
	switch w.stem {
	case "event", "k8s", "kubernetes", "logged", "logging", "line", "log", "fraction", "share", "find", "search", "mention", "mentioning", "mentioned",
		"containing", "contain", "tail", "grep", "dump", "according", "regarding", "concerning", "distinct", "unique", "common", "frequent", "complain", "complains", "complaining", "matching", "match", "volume", "longer", "loudest", "chattiest", "noisiest", "time", "emit", "emitted", "produce", "produced", "print", "printed":
		return true
	case "access":
		return t.sample.format == "access"
	case "slowest", "longest":
		return t.slowest()
	case "message":
		return t.in.rank != 0
	case "took", "take", "last", "lasted", "lasting", "slow":
		return t.in.threshold != nil && t.in.threshold.unit != ""
	case "request", "response", "call", "hit":
		return t.in.threshold != nil && t.in.threshold.unit != "" || t.slowest() || t.sample.format == "access" || t.in.quantile > 0 || t.in.agg != ""
	}
	return false
}

// say turns words that lines do mention into the filter that fits: the value of a
// field, a text that all of them have, or one search a word.
func (t *logTask) say(words, stems []string, search []LogStage) error {
	s := look(t.hits)
	if s.format == "json" || s.format == "logfmt" {
		var restWords, restStems []string
		var restSearch []LogStage
		for i, w := range words {
			f, v := s.holds(w, len(t.hits))
			if f == nil || len(words) > 1 && f == s.find("msg", "message") {
				restWords, restStems, restSearch = append(restWords, w), append(restStems, stems[i]), append(restSearch, search[i])
				continue
			}
			t.sample.format = s.format
			t.byField(f, LabelFilter{Name: f.name, Op: "=", Text: v})
			t.told = append(t.told, f.name+" "+v)
		}
		if words, stems, search = restWords, restStems, restSearch; len(words) == 0 {
			return nil
		}
	}
	text := literal(t.hits, stems)
	if t.strict && (text == "" || len(words) < 2 && !t.program()) {
		return t.refuse("no metric of this server is known to answer that, and no log line plainly says it")
	}
	if text != "" {
		t.filters = append(t.filters, LineFilter{"|=", text})
		t.told = append(t.told, strconv.Quote(text))
		return nil
	}
	t.filters = append(t.filters, search...)
	t.told = append(t.told, "lines with "+quoteList(words))
	return nil
}

// slowest reports whether the question ranks by how long things took.
func (t *logTask) slowest() bool {
	return t.in.threshold == nil && strings.Contains(t.norm, "slowest") || strings.Contains(t.norm, "took longest")
}

// program reports whether the question names a program that logs.
func (t *logTask) program() bool {
	return slices.ContainsFunc(t.names, func(n streamName) bool { return slices.Contains(programLabels, n.label) })
}

// holds returns the field that has the word as its value in all lines.
func (s *logSample) holds(word string, lines int) (*logField, string) {
	var names []string
	for n := range s.fields {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		for v, count := range s.fields[n].values {
			if strings.ToLower(v) == word && count == lines {
				return s.fields[n], v
			}
		}
	}
	return nil, ""
}

// levelWords are how the levels are spelt: for Loki's detected_level, and for fields
// and plain lines.
var levelWords = map[string][2]string{
	"error": {"error|critical|fatal", "error|err|severe|critical|fatal|panic"},
	"fatal": {"critical|fatal", "critical|fatal|emerg|emergency|panic"},
	"warn":  {"warn", "warn|warning"},
	"info":  {"info", "info|notice"},
	"debug": {"debug", "debug|trace"},
}

// level adds the filter by level.
func (t *logTask) level() error {
	if len(t.levels) == 0 {
		return nil
	}
	slices.Sort(t.levels)
	t.levels = slices.Compact(t.levels)
	var detected, words []string
	for _, l := range t.levels {
		detected, words = append(detected, levelWords[l][0]), append(words, levelWords[l][1])
	}
	t.told = append(t.told, "level "+strings.Join(t.levels, " or "))
	if t.event {
		if f := t.sample.find("type"); f != nil {
			t.byField(f, LabelFilter{Name: f.name, Op: "=", Text: "Warning"})
			return nil
		}
	}
	if len(t.sample.levels) > 0 || len(t.sample.lines) == 0 {
		known := t.sample.levels["unknown"] < len(t.sample.lines)
		if !known {
			lines, err := t.read(t.selector(LabelFilter{Name: "detected_level", Op: "=~", Text: strings.Join(detected, "|")}), 1)
			if err != nil {
				return err
			}
			known = len(lines) > 0
		}
		if known {
			f := LabelFilter{Name: "detected_level", Op: "=~", Text: strings.Join(detected, "|")}
			if !strings.Contains(f.Text, "|") {
				f.Op = "="
			}
			t.filters = append(t.filters, f)
			return nil
		}
	}
	if f := t.sample.find(levelKeys...); f != nil && (t.sample.format == "json" || t.sample.format == "logfmt") {
		t.byField(f, LabelFilter{Name: f.name, Op: "=~", Text: "(?i)(?:" + strings.Join(words, "|") + ")"})
		return nil
	}
	t.filters = append(t.filters, LineFilter{"|~", `(?i)\b(?:` + strings.Join(words, "|") + `)\b`})
	return nil
}

// bound puts a threshold of time on the field that says how long a thing took.
func (t *logTask) bound() error {
	th := t.in.threshold
	if th == nil {
		return nil
	}
	perUnit, ok := map[string]float64{"ms": 1e-3, "millisecond": 1e-3, "milliseconds": 1e-3, "s": 1, "sec": 1, "secs": 1, "second": 1, "seconds": 1, "min": 60, "mins": 60, "minute": 60, "minutes": 60}[th.unit]
	if !ok {
		return nil
	}
	seconds := th.value * perUnit
	if f := t.duration(); f != nil {
		switch {
		case f.times > 0:
			t.byField(f, LabelFilter{Name: f.name, Op: th.op, Text: strconv.FormatFloat(seconds*1000, 'f', -1, 64) + "ms", Quantity: true})
		default:
			t.byField(f, LabelFilter{Name: f.name, Op: th.op, Number: round(seconds / unitOf(f.name))})
		}
		t.in.threshold = nil
		return nil
	}
	lines := t.hits
	if len(lines) == 0 {
		lines = t.sample.lines
	}
	for _, l := range lines {
		m := reElapsedIn.FindStringSubmatchIndex(l.Text)
		if m == nil {
			continue
		}
		key, unit := l.Text[m[2]:m[3]], l.Text[m[6]:m[7]]
		re := regexp.QuoteMeta(key) + `(?P<elapsed>[0-9.]+)` + regexp.QuoteMeta(l.Text[m[5]:m[6]]) + unit
		t.fields = append(t.fields, LineParser{"regexp", re}, LabelFilter{Name: "elapsed", Op: th.op, Number: round(seconds / inSeconds(unit))})
		t.told = append(t.told, strings.TrimSpace(key)+" "+th.op+" "+strconv.FormatFloat(th.value, 'g', -1, 64)+th.unit)
		t.in.threshold = nil
		return nil
	}
	return t.refuse("the lines do not say how long a thing took")
}

// duration returns the field that says how long a thing took.
func (t *logTask) duration() *logField {
	s := t.sample
	if len(t.hits) > 0 {
		s = look(t.hits)
	}
	if f := s.find(elapsedKeys...); f != nil && f.numbers+f.times > 0 && s.format != "plain" {
		return f
	}
	return nil
}

// unitOf is the unit of a field of durations, in seconds.
func unitOf(name string) float64 {
	switch {
	case strings.HasSuffix(name, "ms") || strings.HasSuffix(name, "millis"):
		return 1e-3
	case strings.HasSuffix(name, "_us") || strings.HasSuffix(name, "micros"):
		return 1e-6
	case strings.HasSuffix(name, "_ns") || strings.HasSuffix(name, "nanos"):
		return 1e-9
	}
	return 1
}

func inSeconds(unit string) float64 {
	switch unit {
	case "ms":
		return 1e-3
	case "us", "µs":
		return 1e-6
	}
	return 1
}
