package ask

import (
	"regexp"
	"strconv"
	"strings"
)

// intent is what a question wants of the values.
type intent struct {
	threshold *threshold
	rank      int  // > 0: the highest; < 0: the lowest
	k         int  // how many of them; 0 if none is said
	count     bool // how many things
	graph     bool
	list      bool   // which, any, list
	agg       string // sum avg min max, where said
	quantile  float64
	unit      string // wanted of the answer: percent, MB, ms, …
}

// threshold is a bound that a value must be beyond.
type threshold struct {
	op      string // > >= < <= ==
	value   float64
	percent bool
	unit    string // of the value: mb, ms, …; "" if plain
}

const bound = `(?:(\d+(?:[.,]\d+)*|once|twice|zero|one|two|three|four|five|ten|a hundred|a thousand|a million|half|an?) ?(k\b|m\b|%|percent|pct|bytes|kb|kib|mb|mib|gb|gib|tb|tib|milliseconds?|ms|seconds?|secs?|s\b|minutes?|mins?|hours?|h\b|days?|d\b|rps|qps|cores?)?)`

var (
	reAbove = regexp.MustCompile(`(?:(?:is |are )?(?:more|greater|larger|higher|bigger|longer|slower|older|worse) than|above|over|exceed(?:s|ing)?|beyond|>|north of|at more than) ?` + bound)
	reAtLst = regexp.MustCompile(`(?:at least|no less than|>=|minimum of) ?` + bound)
	reBelow = regexp.MustCompile(`(?:(?:less|fewer|lower|smaller|shorter|faster|younger|quicker) than|below|under|<) ?` + bound)
	reAtMst = regexp.MustCompile(`(?:at most|no more than|<=|up to|maximum of) ?` + bound)
	reOver  = regexp.MustCompile(`\((>|<|>=|<=) ?` + bound + `\)`)
	reTop   = regexp.MustCompile(`\b(?:top|first|biggest|highest|largest|worst|busiest) (\d{1,3})\b|\b(\d{1,3}) (?:most|biggest|highest|largest|worst|busiest|slowest|hungriest|noisiest|top)\b`)
	reLow   = regexp.MustCompile(`\b(?:bottom|lowest|smallest|least|fewest|fastest|emptiest|quietest)\b(?: (\d{1,3})\b)?`)
	reMost  = regexp.MustCompile(`\b(?:most|highest|biggest|largest|worst|busiest|slowest|hungriest|noisiest|longest|top|hogs?|greediest|heaviest|hottest|fullest|maxed|leaking)\b`)
	reQuant = regexp.MustCompile(`\bp ?(\d{2,3}(?:\.\d+)?)\b|\b(\d{2}(?:\.\d+)?)(?:th|st|nd|rd)?[ -]?(?:percentiles?|quantiles?|pct(?:ile)?)\b|\b(median)\b`)
	reIn    = regexp.MustCompile(`\b(?:in|as|,) ?(percent|percentage|%|bytes?|kb|kib|mb|mib|gb|gib|tb|ms|milliseconds|seconds|minutes|hours|days|mb/s|kb/s|gb/s|bytes/s|cores)(?:[ ?.!]|$)|\bhow many (minutes|hours|days|seconds|gb|gib|mb|mib|tb|kb|bytes|cores)\b|\b(days|hours|minutes) (?:left|until|till|remaining|to)\b|(mb/s|kb/s|gb/s|bytes/s)|\b(percentage)\b|\bwhat (percent)`)
	reCount = regexp.MustCompile(`\bhow many\b|\bnumber of\b|\bcount(?: of)?\b|\bhow often\b|\bhow much\b`)
	reGraph = regexp.MustCompile(`\b(?:graph|plot|chart|draw|over time|timeline|time series|history of|trend of|visuali[sz]e)\b`)
	reList  = regexp.MustCompile(`\b(?:which|who|what|list|show|any|are there|is there|find|whose|name)\b`)
	reAgg   = regexp.MustCompile(`\b(average|avg|mean|maximum|max|minimum|min|total|sum|in total|overall)\b`)
)

func parseBound(n, unit string) (v float64, percent bool, u string, ok bool) {
	switch n {
	case "once", "one", "a", "an":
		v = 1
	case "twice", "two":
		v = 2
	case "three":
		v = 3
	case "four":
		v = 4
	case "five":
		v = 5
	case "ten":
		v = 10
	case "zero":
		v = 0
	case "half":
		return 50, true, "", true
	case "a hundred":
		v = 100
	case "a thousand":
		v = 1000
	case "a million":
		v = 1e6
	default:
		f, err := strconv.ParseFloat(strings.ReplaceAll(n, ",", ""), 64)
		if err != nil {
			return 0, false, "", false
		}
		v = f
	}
	switch unit {
	case "k":
		return v * 1000, false, "", true
	case "m":
		return v * 1e6, false, "", true
	case "%", "percent", "pct":
		return v, true, "", true
	}
	return v, false, unit, true
}

// takeIntent finds thresholds, rankings, units and aggregations in a question and
// blanks out those whose words could be taken for something else.
func takeIntent(norm string) (intent, string) {
	var in intent
	blank := func(at []int) { norm = norm[:at[0]] + strings.Repeat(" ", at[1]-at[0]) + norm[at[1]:] }
	group := func(at []int, i int) string {
		if 2*i+1 >= len(at) || at[2*i] < 0 {
			return ""
		}
		return norm[at[2*i]:at[2*i+1]]
	}
	if at := reOver.FindStringSubmatchIndex(norm); at != nil {
		if v, p, u, ok := parseBound(group(at, 2), group(at, 3)); ok {
			in.threshold = &threshold{group(at, 1), v, p, u}
			blank(at)
		}
	}
	for _, c := range [...]struct {
		re *regexp.Regexp
		op string
	}{{reAtLst, ">="}, {reAtMst, "<="}, {reAbove, ">"}, {reBelow, "<"}} {
		if in.threshold != nil {
			break
		}
		if at := c.re.FindStringSubmatchIndex(norm); at != nil {
			if v, p, u, ok := parseBound(group(at, 1), group(at, 2)); ok {
				in.threshold = &threshold{c.op, v, p, u}
				blank(at)
			}
		}
	}
	for at := reQuant.FindStringSubmatchIndex(norm); at != nil; at = reQuant.FindStringSubmatchIndex(norm) { // of several, the last
		s := group(at, 1) + group(at, 2)
		if group(at, 3) != "" {
			s = "50"
		}
		if v, err := strconv.ParseFloat(s, 64); err == nil {
			for v > 100 {
				v /= 10 // p999
			}
			if in.quantile = v / 100; in.quantile >= 1 {
				in.quantile = 0
			}
		}
		blank(at)
	}
	if at := reTop.FindStringSubmatchIndex(norm); at != nil {
		in.rank = 1
		in.k, _ = strconv.Atoi(group(at, 1) + group(at, 2))
		blank(at)
	} else if at := reLow.FindStringSubmatchIndex(norm); at != nil && !strings.Contains(norm[at[0]:at[1]], "at least") {
		in.rank = -1
		in.k, _ = strconv.Atoi(group(at, 1))
	} else if reMost.MatchString(norm) {
		in.rank = 1
	}
	if m := reIn.FindStringSubmatch(norm); m != nil {
		for _, g := range m[1:] {
			if g != "" {
				in.unit = strings.TrimSuffix(g, "/s")
			}
		}
	}
	in.count = reCount.MatchString(norm)
	in.graph = reGraph.MatchString(norm)
	in.list = reList.MatchString(norm)
	if m := reAgg.FindStringSubmatch(norm); m != nil {
		switch m[1] {
		case "average", "avg", "mean":
			in.agg = "avg"
		case "maximum", "max":
			in.agg = "max"
		case "minimum", "min":
			in.agg = "min"
		default:
			in.agg = "sum"
		}
	}
	return in, norm
}

// scale returns by how much a value in base units must be multiplied to be in unit.
func scale(unit string) (float64, bool) {
	switch strings.TrimSuffix(unit, "s") {
	case "percent", "percentage", "%":
		return 100, true
	case "kb":
		return 1e-3, true
	case "mb":
		return 1e-6, true
	case "gb":
		return 1e-9, true
	case "tb":
		return 1e-12, true
	case "kib":
		return 1.0 / 1024, true
	case "mib":
		return 1.0 / (1 << 20), true
	case "gib":
		return 1.0 / (1 << 30), true
	case "m", "millisecond":
		return 1000, true
	case "minute", "min":
		return 1.0 / 60, true
	case "hour", "h":
		return 1.0 / 3600, true
	case "day", "d":
		return 1.0 / 86400, true
	case "byte", "second", "core", "sec":
		return 1, true
	}
	return 1, false
}
