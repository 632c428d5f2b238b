package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/portent-dev/portent/internal/logmine"
	"github.com/portent-dev/portent/internal/logwatch"
)

type logMetrics struct {
	lines, ungrouped, unexported                            prometheus.Counter
	findings                                                map[logwatch.Kind]prometheus.Counter
	historyErrors, historyRefused, historyTorn              prometheus.Counter
	historySize                                             prometheus.Gauge
	unmatched                                               prometheus.Gauge
	size, known, fresh, forgotten, suppressed, deferred, on *prometheus.Desc
}

func newLogMetrics(reg prometheus.Registerer) *logMetrics {
	counter := func(name, help string) prometheus.Counter {
		m := prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + "log_patterns_" + name, Help: help})
		reg.MustRegister(m)
		return m
	}
	gauge := func(name, help string) prometheus.Gauge {
		m := prometheus.NewGauge(prometheus.GaugeOpts{Name: prefix + "log_patterns_" + name, Help: help})
		reg.MustRegister(m)
		return m
	}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prefix+name, help, labels, nil)
	}
	m := &logMetrics{
		lines:          counter("mined_lines_total", "Log lines mined, of all sources."),
		ungrouped:      counter("ungrouped_lines_total", "Log lines of streams beyond logs.max_groups, which share one group named _other."),
		unexported:     counter("series_left_out_total", "Series of log_pattern_lines_total left out of a scrape because of logs.max_series; their lines are counted as pattern other."),
		historyErrors:  counter("history_errors_total", "Times that the history of patterns could not be written; the next snapshot has what is missing."),
		historyRefused: counter("history_refused_total", "Files of the history of patterns that could not be read at the start and were set aside as .bad."),
		historyTorn:    counter("history_torn_bytes_total", "Bytes at the end of the journal of patterns that a crash left half written, and that were dropped."),
		historySize:    gauge("history_size_bytes", "Size of the last snapshot of the history of patterns."),
		unmatched:      gauge("rules_unmatched", "Rules of logs.rules_file that met no pattern at the last look."),
		size:           desc("log_patterns", "Patterns of log lines now, of all groups."),
		known:          desc("log_patterns_known", "Patterns whose first sight and week of counts are remembered."),
		fresh:          desc("log_patterns_new_total", "Patterns seen for the first time after the learning of their stream, told or not."),
		forgotten:      desc("log_patterns_forgotten_total", "Patterns that were forgotten for want of room or because they did not come for logs.history.retention."),
		suppressed:     desc("log_patterns_findings_suppressed_total", "Findings that were left out because of logs.max_findings."),
		deferred:       desc("log_patterns_deferred_total", "New patterns that had to wait for the next look to be compared with those known: too many came at once."),
		on:             desc("log_patterns_findings", "Findings about log patterns that are active now, by kind.", "kind"),
		findings:       map[logwatch.Kind]prometheus.Counter{},
	}
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: prefix + "log_patterns_findings_total", Help: "Findings about log patterns: new ones, and rates that have grown or shrunk.",
	}, []string{"kind"})
	reg.MustRegister(vec)
	for _, k := range logwatch.Kinds() {
		m.findings[k] = vec.WithLabelValues(string(k))
	}
	return m
}

// Describe implements prometheus.Collector.
func (l *logs) Describe(ch chan<- *prometheus.Desc) {
	m := l.metrics
	for _, d := range []*prometheus.Desc{m.size, m.known, m.fresh, m.forgotten, m.suppressed, m.deferred, m.on} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (l *logs) Collect(ch chan<- prometheus.Metric) {
	l.mu.Lock()
	groups := l.look()
	stats := l.watch.Stats()
	findings := l.findings(l.now().UnixMilli())
	l.mu.Unlock()
	total := 0
	for _, g := range groups {
		total += len(g.patterns)
	}
	m := l.metrics
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v int64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
	}
	gauge(m.size, float64(total))
	gauge(m.known, float64(stats.Tracks))
	count(m.fresh, stats.New)
	count(m.forgotten, stats.Forgotten)
	count(m.suppressed, stats.Suppressed)
	count(m.deferred, stats.Deferred)
	active := map[logwatch.Kind]int{}
	for i := range findings {
		if findings[i].EndMs == 0 {
			active[findings[i].Kind]++
		}
	}
	for _, k := range logwatch.Kinds() {
		gauge(m.on, float64(active[k]), string(k))
	}
}

// patternSeries is the collector of the series that carry the labels of group_by, which
// a reload can change.
type patternSeries logs

// Describe implements prometheus.Collector; it describes nothing, so that labels are
// not held to those of the start.
func (*patternSeries) Describe(chan<- *prometheus.Desc) {}

// ignoredPattern and otherPattern are the values of the label pattern for lines of no
// pattern.
const (
	otherPattern   = "other"
	ignoredPattern = "ignored"
)

// Collect implements prometheus.Collector. Of each group the most frequent patterns
// are published, an equal number of each; the rest is one series named other, so that
// the series add up to the lines mined.
func (s *patternSeries) Collect(ch chan<- prometheus.Metric) {
	l := (*logs)(s)
	l.mu.Lock()
	groups, config := l.look(), l.config
	findings := l.findings(l.now().UnixMilli())
	l.mu.Unlock()
	lines := prometheus.NewDesc("log_pattern_lines_total", "Log lines by pattern. Those of no pattern, and of patterns left out, have the pattern other; those that a rule ignores have the pattern ignored.",
		append([]string{"pattern", "severity"}, config.GroupBy...), nil)
	info := prometheus.NewDesc("log_pattern_info", "1 for each pattern that logs.rules_file names.", append([]string{"pattern", "name"}, config.GroupBy...), nil)
	finding := prometheus.NewDesc("log_pattern_finding", "1 for each finding about a log pattern that is active: it is new, or its rate has grown or shrunk.",
		append([]string{"kind", "pattern", "severity"}, config.GroupBy...), nil)
	each := 0
	if len(groups) > 0 {
		each = max(0, config.MaxSeries/len(groups)-2)
	}
	put := func(d *prometheus.Desc, t prometheus.ValueType, v float64, values []string, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, t, v, append(labels, values...)...)
	}
	none := logmine.Unknown.String()
	for i := range groups {
		g := &groups[i]
		other := g.counts.Other
		for i := range g.patterns {
			p := &g.patterns[i]
			if p.Name != "" {
				put(info, prometheus.GaugeValue, 1, g.values, p.ID, p.Name)
			}
			if i >= each {
				other += p.Count
				l.metrics.unexported.Inc()
				continue
			}
			put(lines, prometheus.CounterValue, float64(p.Count), g.values, p.ID, p.Severity().String())
		}
		if config.MaxSeries > 0 {
			put(lines, prometheus.CounterValue, float64(other), g.values, otherPattern, none)
			if g.ignored > 0 {
				put(lines, prometheus.CounterValue, float64(g.ignored), g.values, ignoredPattern, none)
			}
		}
	}
	seen := map[string]bool{}
	for i := range findings {
		f := &findings[i]
		labels := groupLabels(f.Stream)
		values := make([]string, len(config.GroupBy))
		for i, name := range config.GroupBy {
			values[i] = labels[name]
		}
		key := string(f.Kind) + f.ID + groupKey(config.GroupBy, values)
		if f.EndMs == 0 && !seen[key] {
			seen[key] = true
			put(finding, prometheus.GaugeValue, 1, values, string(f.Kind), f.ID, f.Severity.String())
		}
	}
}
