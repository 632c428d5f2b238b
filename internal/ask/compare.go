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
	one       bool // one is asked for: "which pod … the most"
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

const fewNumbers = `\d{1,3}|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty`

const bound = `(?:(\d+(?:[.,]\d+)*|once|twice|zero|one|two|three quarters|three|four|five|six|seven|eight|nine|ten|twelve|twenty|fifty|a dozen|a hundred|a thousand|a million|half an?|half|a quarter|a tenth|a fifth|two thirds|a third|an?) ?` +
	`(k\b|m\b|%|percent|pct|` + sizes + `|milliseconds?|msecs?|ms|seconds?|secs?|s\b|minutes?|mins?|hours?|hrs?\b|h\b|days?|d\b|weeks?|rps|qps|v?cpus?\b|cores?)?)`

// sizes are the units of amounts of data, and of data in time.
const sizes = `bytes|kilobytes?|megabytes?|gigabytes?|terabytes?|gibibytes?|mebibytes?|gigs?\b|megs?\b|[kmgt]i?b(?:yte)?s?(?:/s(?:ec)?)?\b|[kmgt]?bits?(?:/s(?:ec)?)?\b|[kmg]bps\b|(?:kilo|mega|giga)bits?(?: per second| a second|/s)?\b`

var (
	reAbove = regexp.MustCompile(`(?:(?:is |are )?(?:more|greater|larger|higher|bigger|longer|slower|older|worse|hotter|warmer|busier|fuller) than|above|over|exceed(?:s|ed|ing)?|beyond|>|north of|upwards? of|in excess of|past|surpass(?:es|ing)?|at more than) ?` + bound)
	reAtLst = regexp.MustCompile(`(?:at least|no (?:less|fewer) than|not (?:less|fewer) than|>=|minimum of) ?` + bound)
	reBelow = regexp.MustCompile(`(?:(?:less|fewer|lower|smaller|shorter|faster|younger|newer|quicker|cooler) than|below|under(?:neath)?|beneath|<|south of|short of) ?` + bound)
	reAtMst = regexp.MustCompile(`(?:at most|(?:no|not) (?:more|longer) than|<=|up to|maximum of) ?` + bound)
	reOrMor = regexp.MustCompile(`\b` + bound + `(?: [a-z]+)? or (?:more|higher|above|over|longer|greater)\b`)
	reOrLss = regexp.MustCompile(`\b` + bound + `(?: [a-z]+)? or (?:less|fewer|lower|below|under)\b`)
	reOver  = regexp.MustCompile(`\((>|<|>=|<=) ?` + bound + `\)`)
	reTop   = regexp.MustCompile(`\b(?:top|first|biggest|highest|largest|worst|busiest|slowest|hungriest|heaviest) (` + fewNumbers + `)\b|\b(` + fewNumbers + `) (?:most|biggest|highest|largest|worst|busiest|slowest|hungriest|noisiest|top|heaviest|longest|hottest|fullest|greediest|loudest)\b`)
	reFew   = regexp.MustCompile(`\b(?:bottom|lowest|smallest|least|fewest) (` + fewNumbers + `)\b|\b(` + fewNumbers + `) (?:least|lowest|smallest|fewest|idlest|emptiest|quietest|fastest)\b`)
	reOne   = regexp.MustCompile(`\b(?:which|what|the) (?:single |one )?([a-z]+) (?:is|has|had|was|uses|used|gets|got|takes|took|does|did|with|spends|sends|receives|consumes|burns|eats|restarted|produces|handles|serves|writes|reads|runs|holds|failed)\b|` +
		`\b(?:highest|biggest|largest|worst|busiest|slowest|hungriest|noisiest|longest|greediest|heaviest|hottest|fullest|greatest|loudest|smallest|lowest|fastest|emptiest|quietest|idlest) ([a-z]+)\b|^([a-z]+) with the\b`)
	reLow   = regexp.MustCompile(`\b(?:bottom|lowest|smallest|least|fewest|fastest|emptiest|quietest|shortest|coolest|coldest|tiniest|idlest|laziest|most idle|cheapest)\b(?: (\d{1,3})\b)?`)
	reMost  = regexp.MustCompile(`\b(?:most|highest|biggest|largest|worst|busiest|slowest|hungriest|noisiest|longest|top|hogs?|greediest|heaviest|hottest|warmest|fullest|greatest|loudest|maxed|leaking|leaks?|laggiest|chattiest)\b`)
	reQuant = regexp.MustCompile(`\bp ?(\d{2,3}(?:\.\d+)?)\b|\b(\d{2}(?:\.\d+)?)(?:th|st|nd|rd)?[ -]?(?:percentiles?|quantiles?|pct(?:ile)?)\b|\b(median)\b`)
	reIn    = regexp.MustCompile(`(?:\b(?:in|as|,) ?|\()(?:a |an )?(percent|percentage|%|` + sizes + `|bytes/s|ms|milliseconds|seconds|minutes|hours|days|weeks|cores)(?:[ ?.!,)]|$)|` +
		`\bhow many (minutes|hours|days|seconds|` + sizes + `|cores)\b|\b(days|hours|minutes) (?:left|until|till|remaining|to|old|ago)\b|\b(bytes/s|[kmgt]i?b/s|[kmg]bit/s|[kmg]bps)\b|\b(percentage)\b|\bwhat (percent)`)
	reCount = regexp.MustCompile(`\bhow many\b|\bnumber of\b|\bnr\.? of\b|\btally\b|\bcount(?: of)?\b|\bhow often\b|\bhow much\b`)
	reGraph = regexp.MustCompile(`\b(?:graph|plot|chart|draw|over time|timeline|time series|history of|trend of|visuali[sz]e)\b`)
	reList  = regexp.MustCompile(`\b(?:which|who|what|list|show|any|are there|is there|find|whose|name)\b`)
	reAgg   = regexp.MustCompile(`\b(average|averaged|avg|mean|on average|maximum|max|peak|minimum|min|total|sum|summed|in total|overall|all together|altogether|combined|add up|adding up)\b`)
)

// reNonZero is a bound without a number.
var reNonZero = regexp.MustCompile(`\b(?:non-?zero|other than (?:zero|0)|not (?:zero|0)|different from (?:zero|0))\b`)

func parseBound(n, unit string) (v float64, percent bool, u string, ok bool) {
	if share, ok := shares[n]; ok {
		return share, true, "", true
	}
	if said, ok := amounts[n]; ok {
		v = said
	} else {
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

// amounts are numbers as words, shares what they are of a hundred.
var (
	amounts = map[string]float64{
		"zero": 0, "half a": 0.5, "half an": 0.5, "once": 1, "one": 1, "a": 1, "an": 1, "twice": 2, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
		"ten": 10, "twelve": 12, "a dozen": 12, "twenty": 20, "fifty": 50, "a hundred": 100, "a thousand": 1000, "a million": 1e6,
	}
	shares = map[string]float64{"half": 50, "a quarter": 25, "three quarters": 75, "a third": 100. / 3, "a tenth": 10, "a fifth": 20, "two thirds": 200. / 3}
)

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
	}{{reOrMor, ">="}, {reOrLss, "<="}, {reAtLst, ">="}, {reAtMst, "<="}, {reAbove, ">"}, {reBelow, "<"}} {
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
	if at := reNonZero.FindStringIndex(norm); at != nil && in.threshold == nil {
		in.threshold = &threshold{op: "!="}
		blank([]int{at[0], at[1]})
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
			if in.quantile = round(v / 100); in.quantile >= 1 {
				in.quantile = 0
			}
		}
		blank(at)
	}
	if at := reTop.FindStringSubmatchIndex(norm); at != nil {
		in.rank = 1
		in.k = few(group(at, 1) + group(at, 2))
		blank(at)
	} else if at := reFew.FindStringSubmatchIndex(norm); at != nil && !strings.Contains(norm, "at least") {
		in.rank, in.k = -1, few(group(at, 1)+group(at, 2))
		blank(at)
	} else if at := reLow.FindStringSubmatchIndex(norm); at != nil && !strings.Contains(norm[at[0]:at[1]], "at least") {
		in.rank = -1
		in.k, _ = strconv.Atoi(group(at, 1))
	} else if reMost.MatchString(norm) {
		in.rank = 1
	}
	in.one = in.rank != 0 && in.k == 0 && asksOne(norm)
	if m := reIn.FindStringSubmatch(norm); m != nil {
		for _, g := range m[1:] {
			if g != "" {
				in.unit = unitName(g)
			}
		}
	}
	in.count = reCount.MatchString(norm)
	in.graph = reGraph.MatchString(norm)
	in.list = reList.MatchString(norm)
	if m := reAgg.FindStringSubmatch(norm); m != nil {
		switch m[1] {
		case "average", "averaged", "avg", "mean", "on average":
			in.agg = "avg"
		case "maximum", "max", "peak":
			in.agg = "max"
		case "minimum", "min":
			in.agg = "min"
		default:
			in.agg = "sum"
		}
	}
	return in, norm
}

// few reads a small number, as digits or as a word.
func few(s string) int {
	if v, ok := amounts[s]; ok {
		return int(v)
	}
	k, _ := strconv.Atoi(s)
	return k
}

// asksOne reports whether a ranking asks for its first alone: its noun is in the singular.
func asksOne(norm string) bool {
	m := reOne.FindStringSubmatch(norm)
	if m == nil {
		return false
	}
	noun := m[1] + m[2] + m[3]
	_, kind := kindWords[noun]
	return kind && stem(noun) == noun
}

// unitName folds the spellings of a unit: gigabytes, gigs and gb/s are gb.
func unitName(u string) string {
	u = strings.TrimSuffix(strings.TrimSuffix(u, "/sec"), "/s")
	if p, ok := strings.CutSuffix(u, "bps"); ok && p != "" {
		return p + "bit"
	}
	u = strings.TrimSuffix(strings.TrimSuffix(u, " per second"), " a second")
	switch s := strings.TrimSuffix(u, "s"); s {
	case "kilobit", "megabit", "gigabit":
		return s[:1] + "bit"
	case "kilobyte", "kbyte":
		return "kb"
	case "megabyte", "meg", "mbyte":
		return "mb"
	case "gigabyte", "gig", "gbyte":
		return "gb"
	case "terabyte", "tbyte":
		return "tb"
	case "mebibyte":
		return "mib"
	case "gibibyte":
		return "gib"
	case "kb", "mb", "gb", "tb", "kib", "mib", "gib", "tib", "bit", "kbit", "mbit", "gbit":
		return s
	case "msec":
		return "ms"
	case "cpu", "vcpu":
		return "cores"
	}
	return u
}

// factors are by how much a value in base units is multiplied to be in a unit.
var factors = map[string]float64{
	"percent": 100, "percentage": 100, "%": 100, "kb": 1e-3, "mb": 1e-6, "gb": 1e-9, "tb": 1e-12, "kib": 1.0 / 1024, "mib": 1.0 / (1 << 20), "gib": 1.0 / (1 << 30),
	"tib": 1.0 / (1 << 40), "bit": 8, "kbit": 8e-3, "mbit": 8e-6, "gbit": 8e-9, "m": 1000, "millisecond": 1000, "minute": 1.0 / 60, "min": 1.0 / 60, "hour": 1.0 / 3600,
	"hr": 1.0 / 3600, "h": 1.0 / 3600, "day": 1.0 / 86400, "d": 1.0 / 86400, "week": 1.0 / 604800, "byte": 1, "second": 1, "core": 1, "sec": 1, "": 1,
}

// scale returns by how much a value in base units must be multiplied to be in unit.
func scale(unit string) (float64, bool) {
	v, ok := factors[strings.TrimSuffix(unitName(unit), "s")]
	if !ok {
		v = 1
	}
	return v, ok
}
