package ask

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// LogLine is a log line and the labels of its stream, with detected_level among
// them where Loki tells it.
type LogLine struct {
	Labels map[string]string
	Text   string
}

// LogSource is what is known of a Loki: its labels, and samples of its lines.
type LogSource interface {
	LabelNames(ctx context.Context, start, end time.Time) ([]string, error)
	LabelValues(ctx context.Context, label, selector string, start, end time.Time) ([]string, error)
	// Sample returns the newest lines that a log query finds, at most limit.
	Sample(ctx context.Context, query string, start, end time.Time, limit int) ([]LogLine, error)
}

// Logs is what a Loki knows: which labels hold which values. It is safe for
// concurrent use.
type Logs struct {
	source LogSource
	labels []string
	values map[string][]string // label to its values
	exact  map[string][]string // lower-case value to its labels
	cased  map[string]string
}

// labelsWindow is how far back labels are read: as long as a quiet stream may be
// silent and still be asked for.
const labelsWindow = 24 * time.Hour

// LoadLogs reads the labels of a Loki, one call each. To read them again, load again
// and make new Rules, which costs nothing.
func LoadLogs(ctx context.Context, source LogSource, now time.Time) (*Logs, error) {
	l := &Logs{source: source, values: map[string][]string{}, exact: map[string][]string{}, cased: map[string]string{}}
	names, err := source.LabelNames(ctx, now.Add(-labelsWindow), now)
	if err != nil {
		return nil, fmt.Errorf("read the labels of the logs: %w", err)
	}
	slices.Sort(names)
	for _, n := range names {
		if !strings.HasPrefix(n, "__") && !underived(ctx, source, n, now) && len(l.labels) < maxLabelsRead {
			l.labels = append(l.labels, n)
		}
	}
	lists := make([][]string, len(l.labels))
	var wg sync.WaitGroup
	next := make(chan int)
	for range valueReaders {
		wg.Go(func() {
			for i := range next {
				// A label that cannot be listed costs its names, not the rest.
				if vals, err := source.LabelValues(ctx, l.labels[i], "", now.Add(-labelsWindow), now); err == nil {
					lists[i] = vals[:min(len(vals), maxValues)]
				}
			}
		})
	}
	for i, n := range l.labels {
		if !unnamed[n] && n != "filename" {
			next <- i
		}
	}
	close(next)
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("read the values of the log labels: %w", err)
	}
	for i, n := range l.labels {
		l.values[n] = lists[i]
		for _, v := range lists[i] {
			low := strings.ToLower(v)
			l.exact[low] = append(l.exact[low], n)
			l.cased[low] = v
		}
	}
	return l, nil
}

// underived reports whether a label is the name of the service that Loki makes up itself, and it could make up none: each stream
// has the same one then.
func underived(ctx context.Context, source LogSource, label string, now time.Time) bool {
	if label != "service_name" {
		return false
	}
	vals, err := source.LabelValues(ctx, label, "", now.Add(-labelsWindow), now)
	return err == nil && len(vals) == 1 && vals[0] == "unknown_service"
}

// logLabelOrder is the order in which the label of a name is chosen.
var logLabelOrder = []string{
	"cluster", "app", "app_kubernetes_io_name", "application", "service_name", "service", "svc", "component", "container", "container_name", "deployment", "unit",
	"syslog_identifier", "namespace", "node", "node_name", "host", "hostname", "instance", "pod", "level", "severity", "env", "environment", "region", "stream", "job",
}

// programLabels are the labels whose values are programs: a part of the value names
// it too.
var programLabels = logLabelOrder[1:13]

// streamName is a name of the question that streams have.
type streamName struct {
	label  string
	values []string
	at     []int
	not    bool
	score  float64
}

// partOf cuts a value into the parts that people call it by.
func partsOf(v string) []string {
	return strings.FieldsFunc(strings.ToLower(v), func(r rune) bool { return strings.ContainsRune("-_./@: ", r) })
}

// findStreams finds the names of streams in the words, those that say most first,
// and marks their words as used.
func (l *Logs) findStreams(words []word) []streamName {
	var all []streamName
	for n := min(4, len(words)); n >= 1; n-- {
		for i := 0; i+n <= len(words); i++ {
			if s, ok := l.streamAt(words, i, n); ok {
				all = append(all, s)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b streamName) int {
		switch {
		case a.score > b.score:
			return -1
		case a.score < b.score:
			return 1
		}
		return 0
	})
	var out []streamName
	for _, s := range all {
		taken := slices.ContainsFunc(s.at, func(i int) bool { return words[i].used })
		same := slices.ContainsFunc(out, func(o streamName) bool { return o.label == s.label })
		inside := slices.ContainsFunc(out, func(o streamName) bool { return l.covers(o, words, s.at) })
		if !taken && !same && !inside {
			out = append(out, s)
		}
		if !taken && (!same || inside) {
			for _, i := range s.at {
				words[i].used = true
			}
		}
	}
	for i := range words { // "dns" of coredns
		if !words[i].used && len(words[i].text) >= 3 && slices.ContainsFunc(out, func(o streamName) bool {
			return len(o.values) == 1 && strings.Contains(strings.ToLower(o.values[0]), words[i].stem)
		}) {
			words[i].used = true
		}
	}
	return out
}

// covers reports whether the words at at are parts of the name o.
func (l *Logs) covers(o streamName, words []word, at []int) bool {
	for _, v := range o.values {
		parts := partsOf(v)
		if !slices.ContainsFunc(at, func(i int) bool {
			return !slices.Contains(parts, words[i].text) && !slices.Contains(parts, words[i].stem)
		}) {
			return true
		}
	}
	return false
}

// streamAt looks at the n words from i on.
func (l *Logs) streamAt(words []word, i, n int) (streamName, bool) {
	at := make([]int, n)
	texts := make([]string, n)
	for k := range n {
		at[k] = i + k
		texts[k] = words[i+k].text
		if n > 1 && words[i+k].start-words[max(i, i+k-1)].end > 1 && k > 0 {
			return streamName{}, false
		}
	}
	hint := hintAt(words, i)
	if n > 1 {
		hint = hintAt(words, i+n-1)
	}
	if n == 1 {
		w := words[i]
		if stopWords[w.text] || levelOf(w) != "" {
			return streamName{}, false
		}
	}
	not := negated(words, i)
	for _, t := range joins(texts, words[i+n-1].stem) {
		if ls := l.exact[t]; len(ls) > 0 && len(t) > 1 {
			if _, kind := kindWords[words[i].stem]; kind && n == 1 {
				continue
			}
			label := preferred(ls, kindWords[hint])
			return streamName{label: label, values: []string{l.cased[t]}, at: at, not: not, score: float64(n) + 0.6}, true
		}
	}
	return l.partial(words, at, hint, not)
}

// joins are the ways in which words are one name.
func joins(texts []string, lastStem string) []string {
	var out []string
	for _, sep := range [...]string{"-", "_", "", ".", "/"} {
		out = append(out, strings.Join(texts, sep))
		if n := len(texts); lastStem != texts[n-1] {
			out = append(out, strings.Join(append(slices.Clone(texts[:n-1]), lastStem), sep))
		}
		if len(texts) == 1 {
			break
		}
	}
	return out
}

// preferred returns the label of ls that the hint names, or the likeliest.
func preferred(ls, hinted []string) string {
	for _, order := range [...][]string{hinted, logLabelOrder} {
		for _, l := range order {
			if slices.Contains(ls, l) {
				return l
			}
		}
	}
	return ls[0]
}

// maxUnion is how many values one word may stand for.
const maxUnion = 12

// partial finds programs that have all the words among the parts of their names.
func (l *Logs) partial(words []word, at []int, hint string, not bool) (streamName, bool) {
	if len(at) == 1 {
		w := words[at[0]]
		_, kind := kindWords[w.stem]
		if kind && at[0]+1 < len(words) { // "ingress logs", "gateway access log"
			next := words[at[0]+1].stem
			kind = next != "log" && next != "access"
		}
		if kind || len(w.text) < 2 {
			return streamName{}, false
		}
	}
	labels := append([]string{"cluster", "env", "environment", "region"}, programLabels...)
	if hint != "" {
		labels = append(slices.Clone(kindWords[hint]), labels...)
	}
	for _, label := range labels {
		var hits []string
		for _, v := range l.values[label] {
			parts := partsOf(v)
			ok := true
			for _, i := range at {
				w := words[i]
				ok = ok && slices.ContainsFunc(parts, func(p string) bool {
					return p == w.text || p == w.stem || strings.TrimRight(p, "0123456789") == w.text || p == aliases[w.text] || strings.TrimRight(p, "0123456789") == aliases[w.text] && aliases[w.text] != ""
				})
			}
			if ok {
				hits = append(hits, v)
			}
		}
		if len(hits) > 0 && len(hits) <= maxUnion && (len(hits) < len(l.values[label]) || len(hits) == 1) {
			return streamName{label: label, values: hits, at: at, not: not, score: float64(len(at)) + 0.3 - 0.01*float64(len(hits))}, true
		}
	}
	return streamName{}, false
}

// regexFor is a regular expression for exactly the values.
func regexFor(values []string) string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = regexp.QuoteMeta(v)
	}
	return strings.Join(out, "|")
}

// levelOf returns the level that a word means, or "".
func levelOf(w word) string {
	switch w.stem {
	case "complaining":
		return "error"
	case "error", "err", "erroring", "failure", "complain":
		return "error"
	case "warn", "warning":
		return "warn"
	case "fatal", "critical", "crit", "emergency":
		return "fatal"
	case "info", "informational":
		return "info"
	case "debug":
		return "debug"
	}
	return ""
}
