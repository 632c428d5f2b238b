package ask

import (
	"context"
	"regexp"
	"slices"
	"strings"
)

// How a metric that no file names is asked: by its type where the server tells one, else by its
// name, its help text and its labels.

var (
	reWhether  = regexp.MustCompile(`(?i)\bwhether\b|\b1 (?:if|when|for|=|means)\b|\(1 ?=|\bboolean\b|\b0 or 1\b`)
	reCounting = regexp.MustCompile(`(?i)^(?:the )?(?:current )?(?:number|count|total|amount|how many)\b`)
	reUnixTime = regexp.MustCompile(`(?i)\bunix ?(?:time|epoch|timestamp)|\btimestamp\b|since (?:the )?(?:unix )?epoch|since 1970|\bwhen (?:the|a|it)\b|\btime (?:of|at|when) the (?:last|next|most)|\blast time\b|\bnext time\b`)
	reSeconds  = regexp.MustCompile(`_(?:time|timestamp|time_seconds|timestamp_seconds|created|expiry|expires|expiration|epoch)(?:_seconds|_ms)?$`)
	reAhead    = regexp.MustCompile(`expir|not_after|(?:^|_)next_|renew|deadline|valid_until|_until`)
	reInfoHelp = regexp.MustCompile(`(?i)constant '?1|^(?:build )?info(?:rmation)? (?:about|on|of)\b|^build of\b|^build information`)
)

// stateLabels are the labels that tell in which of several states a thing is, in a series each.
var stateLabels = set("state status phase condition health color colour reason mode role result")

// stateWords are the words of metrics that are 1 or 0 for each state.
var stateWords = set("status state phase condition health reason role mode")

// yesWords end the names of metrics that are 1 while something is so; noWords of those that are 1
// while something is not well. In a question, they say which of the two is meant.
var (
	yesWords = set("up success successful healthy ready enabled connected online synced alive available running leader ok reachable synchronized open valid complete completed active working good")
	noWords  = set(`down failed failing failure failures fail fails unhealthy broken offline unreachable dead disabled unavailable stale degraded disconnected unready unsynced error errors bad
		unsuccessful readonly paused suspended blocked stuck lost closed invalid expired missing rejected unassigned abandoned stalled`)
)

// conceptOf describes a metric by its type, or by its name where none is told. It returns nil
// for one that cannot be asked for.
func (t *Rules) conceptOf(ctx context.Context, s *snapshot, metric string, words []word) *concept {
	m := s.metrics[metric]
	c := &concept{Name: strings.ReplaceAll(metric, "_", " "), Unit: unitOfMetric(metric, m), unlisted: true}
	has, err := t.catalog.LabelsOf(ctx, metric)
	if err != nil {
		return nil
	}
	t.typed(c, s, metric, has, words)
	if c.Unit == "ratio" || c.Unit == "percent" || c.Unit == "celsius" {
		c.Agg = "avg"
	}
	if c.Gauge != "" && (c.Unit == "seconds" || c.Unit == "milliseconds") {
		c.Agg = "max" // ages and lags do not add up
	}
	c.By = ownLabels(has)
	if c.Counter != "" && c.Per == "" {
		t.outcomeOf(ctx, c, has, words)
	}
	if err := c.prepare(); err != nil {
		return nil // a name that only quotes can hold
	}
	return c
}

// typed says which of State, Since, Counter, … the metric is.
func (t *Rules) typed(c *concept, s *snapshot, metric string, has []string, words []word) {
	m := s.metrics[metric]
	base, bucket := strings.CutSuffix(metric, "_bucket")
	part := strings.TrimSuffix(strings.TrimSuffix(metric, "_sum"), "_count")
	_, whole := s.metrics[part]
	_, sum := s.metrics[part+"_sum"]
	_, count := s.metrics[part+"_count"]
	switch {
	case bucket:
		c.Histogram = base
	case m.Type == "histogram" && part == metric:
		c.Native = metric
	case sum && count && (slices.Contains(has, "quantile") || whole && part != metric):
		c.Summary = part
	case m.Type == "counter" || strings.HasSuffix(metric, "_total") && m.Type != "gauge" || strings.HasSuffix(metric, "_count") && m.Type != "gauge" || strings.HasSuffix(metric, "_sum"):
		c.Counter = metric
	case isTime(metric, m):
		c.Since, c.Unit = metric, "seconds"
		if reAhead.MatchString(metric) {
			c.Since, c.Until = "", metric
		}
	case strings.HasSuffix(metric, "_info") || reInfoHelp.MatchString(m.Help):
		c.State = metric
	case len(codesOf(m.Help)) > 1:
		c.Gauge = metric
		if is := codeSaid(codesOf(m.Help), words); is != "" {
			c.Gauge, c.State, c.Is = "", metric, is
		}
	case isOneHot(metric, m, has):
		c.State = metric
	case isBoolean(metric, m):
		c.State, c.Is = metric, polarity(metric, words)
	default:
		c.Gauge = metric
	}
}

// reMeaning finds the meaning of a number in a help text: "0 = HEALTH_OK", "1 up, 2 down", "3: failed".
var reMeaning = regexp.MustCompile(`\b(\d{1,2}) ?(?:=|:|-|is|means|for)? ?"?([A-Za-z][A-Za-z_-]+)`)

// codesOf reads what the numbers of a metric stand for, as its help text says.
func codesOf(help string) map[string]string {
	at := strings.IndexByte(help, '(')
	if at < 0 && !strings.Contains(help, "=") {
		return nil
	}
	out := map[string]string{}
	for _, m := range reMeaning.FindAllStringSubmatch(help[max(at, 0):], 20) {
		out[strings.ToLower(m[2])] = m[1]
	}
	return out
}

// codeSaid is the condition for the code whose name the question says; "" if it says none.
func codeSaid(codes map[string]string, words []word) string {
	for i, w := range words {
		code, ok := codes[w.text]
		for name, c := range codes {
			parts := strings.FieldsFunc(name, func(r rune) bool { return r == '_' || r == '-' })
			if !ok && len(w.text) > 1 && slices.Contains(parts, w.text) {
				code, ok = c, true
			}
		}
		if ok && len(w.text) > 1 && !everything[w.text] {
			if negated(words, i) {
				return "!= " + code
			}
			return "== " + code
		}
	}
	return ""
}

// isTime reports whether the values are points in time.
func isTime(metric string, m Metric) bool {
	if strings.HasSuffix(metric, "_bytes") || strings.HasSuffix(metric, "_ratio") {
		return false
	}
	return strings.Contains(metric, "timestamp") || reSeconds.MatchString(metric) && !strings.Contains(strings.ToLower(m.Help), "took") || reUnixTime.MatchString(m.Help) && !reCounting.MatchString(m.Help)
}

// isOneHot reports whether each state of a thing has a series, 1 for the one it is in.
func isOneHot(metric string, m Metric, has []string) bool {
	if reCounting.MatchString(m.Help) || !slices.ContainsFunc(has, func(l string) bool { return stateLabels[l] }) {
		return false
	}
	return slices.ContainsFunc(strings.Split(strings.ToLower(metric), "_"), func(w string) bool { return stateWords[w] })
}

func isBoolean(metric string, m Metric) bool {
	if reCounting.MatchString(m.Help) {
		return false
	}
	last := metric[strings.LastIndexByte(metric, '_')+1:]
	return reWhether.MatchString(m.Help) || last == "up" || last == "healthy" || last == "ready" || last == "success" || last == "successful" || last == "enabled" || last == "connected"
}

// polarity is the condition that a question for a boolean asks about: what is down where the metric
// says what is up.
func polarity(metric string, words []word) string {
	bad, good, not := false, false, false
	for _, w := range words {
		bad = bad || noWords[w.stem] || noWords[w.text]
		good = good || yesWords[w.text]
		not = not || w.text == "not"
	}
	ill := slices.ContainsFunc(strings.Split(strings.ToLower(metric), "_"), func(w string) bool { return noWords[w] })
	if (bad || good && not) != ill && (bad || not) {
		return "== 0"
	}
	return "== 1"
}

// unitSuffixes are the endings of names that say in which unit the values are.
var unitSuffixes = [...][2]string{
	{"_seconds", "seconds"},
	{"_milliseconds", "milliseconds"},
	{"_millis", "milliseconds"},
	{"_ms", "milliseconds"},
	{"_bytes", "bytes"},
	{"_ratio", "ratio"},
	{"_celsius", "celsius"},
	{"_percent", "percent"},
	{"_percentage", "percent"},
	{"_pct", "percent"},
	{"_cents", "cents"},
	{"_mib", "mib"},
	{"_mb", "mb"},
	{"_kb", "kb"},
	{"_gb", "gb"},
	{"_megabytes", "mb"},
	{"_kilobytes", "kb"},
	{"_microseconds", "us"},
	{"_us", "us"},
	{"_nanoseconds", "ns"},
	{"_watts", "watts"},
	{"_volts", "volts"},
}

// unitOfMetric is the unit of a metric's values, as told or as its name says.
func unitOfMetric(metric string, m Metric) string {
	if m.Unit != "" {
		return m.Unit
	}
	name := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(metric, "_bucket"), "_total"), "_sum"), "_count")
	for _, u := range unitSuffixes {
		if strings.HasSuffix(strings.ToLower(name), u[0]) {
			return u[1]
		}
	}
	return ""
}

// ownLabels are the labels that tell the things of a metric apart: common ones, or if it has none of
// those, its own.
func ownLabels(has []string) []string {
	var by []string
	for _, order := range [...][]string{labelOrder, has} {
		for _, l := range order {
			if len(by) < 4 && slices.Contains(has, l) && !unnamed[l] && l != "job" && !slices.Contains(by, l) {
				by = append(by, l)
			}
		}
		if slices.ContainsFunc(by, func(l string) bool { return !slices.Contains(wholes, l) }) {
			break
		}
	}
	return by
}
