package ask

import (
	"math"
	"slices"
	"strings"
)

// Two metrics make a ratio when their names say the same but for the words below: what is used of
// what there is, what failed of what was tried, hits of hits and misses, time by number.
var (
	usedWords  = set("used usage use current active allocated busy inuse connected open assigned consumed occupied process acquired claimed borrowed checked running resident live reserved requested utilized threads healthy ready online taken stored")
	limitWords = set("max maximum limit limits capacity quota hard allowed allocatable ceiling bound maxconn desired expected spec")
	wholeWords = set("total size physical") // there is, unless something is used of it
	freeWords  = set("free available avail remaining idle left unused")
	badWords   = set("error errors err errs failed failure failures fail rejected rejection rejections dropped drop drops timeout timeouts denied declined aborted exception exceptions invalid lost discarded cancelled canceled refused throttled")
	hitWords   = set("hit hits")
	missWords  = set("miss misses missed")
	timeWords  = set("time duration seconds milliseconds ms latency sum second elapsed micros")
	plainWords = set("total count bytes number num requests request started attempts attempted calls all read reads status variables variable global resource of in scanned processed received handled seen submitted checked")
)

// maxPairs bounds how many metrics of one system are looked at for a partner.
const maxPairs = 3_000

// role is what a name says besides what the metric is about.
type role struct {
	core []string // what it is about
	kind string   // used, limit, free, bad, hit, miss, time or "" for none of them
}

// roleOf takes the words of a role out of a metric's name.
func roleOf(metric string) role {
	var r role
	kinds := map[string]bool{}
	for _, w := range strings.Split(strings.TrimSuffix(snake(metric), "_total"), "_") {
		switch {
		case freeWords[w]:
			kinds["free"] = true
		case badWords[w]:
			kinds["bad"] = true
		case hitWords[w]:
			kinds["hit"] = true
		case missWords[w]:
			kinds["miss"] = true
		case timeWords[w]:
			kinds["time"] = true
		case wholeWords[w]:
			kinds["whole"] = true
		case usedWords[w]:
			kinds["used"] = true
		case limitWords[w]:
			kinds["limit"] = true
		case plainWords[w]:
		default:
			r.core = append(r.core, stem(w))
		}
	}
	for _, k := range [...]string{"free", "bad", "hit", "miss", "time", "limit", "used", "whole"} {
		if kinds[k] {
			if r.kind = k; k == "whole" {
				r.kind = "limit"
			}
			break
		}
	}
	slices.Sort(r.core)
	r.core = slices.Compact(r.core)
	return r
}

// alikeness is how much of what two metrics are about is the same, 0 to 1 (Jaccard).
func alikeness(a, b []string) float64 {
	if len(a)+len(b) == 0 {
		return 0
	}
	both := 0
	for _, w := range a {
		if slices.Contains(b, w) {
			both++
		}
	}
	return float64(both) / float64(len(a)+len(b)-both)
}

// minAlike is how alike the rest of two names must be: one word of four may differ.
const minAlike = 0.6

// roleOf is roleOf of a metric whose type is known: the total of a gauge is what there is at most, that of a counter only says so.
func (s *snapshot) roleOf(metric string) role {
	r := roleOf(metric)
	if r.kind == "" && strings.HasSuffix(metric, "_total") && s.metrics[metric].Type == "gauge" {
		r.kind = "limit"
	}
	return r
}

// partner finds the metric that goes with this one in one of the roles, the most alike; "" is none. A
// counter goes with a counter, a gauge with a gauge.
func (s *snapshot) partner(metric string, kinds ...string) string {
	own := roleOf(metric)
	if len(own.core) == 0 {
		return ""
	}
	first, _, _ := strings.Cut(strings.ToLower(metric), "_")
	list := s.words[stem(first)]
	if len(list) > maxPairs {
		list = s.words[own.core[len(own.core)-1]]
	}
	best, most := "", 0.0
	for _, m := range list[:min(len(list), maxPairs)] {
		if m == metric || s.isCounter(m) != s.isCounter(metric) || strings.HasSuffix(m, "_bucket") || strings.HasSuffix(m, "_info") {
			continue
		}
		r := s.roleOf(m)
		at := slices.Index(kinds, r.kind)
		if at < 0 {
			continue
		}
		a := alikeness(own.core, r.core) - 0.05*float64(at) - 0.01*math.Abs(float64(len(m)-len(metric)))/10
		if unitOfMetric(m, s.metrics[m]) != unitOfMetric(metric, s.metrics[metric]) && own.kind != "time" {
			a -= 0.1
		}
		if own.kind == "" && r.kind != "bad" && len(r.core) > 0 && len(r.core) < len(own.core) && !slices.ContainsFunc(r.core, func(w string) bool { return !slices.Contains(own.core, w) }) {
			a += 0.15 // misrouted parcels of parcels
		}
		if a >= minAlike && (a > most || a == most && m < best) {
			best, most = m, a
		}
	}
	return best
}

// isCounter reports whether a metric only grows.
func (s *snapshot) isCounter(m string) bool {
	t := s.metrics[m].Type
	return t == "counter" || t != "gauge" && (strings.HasSuffix(m, "_total") || strings.HasSuffix(m, "_count") || strings.HasSuffix(m, "_sum"))
}

// pair makes a ratio of the concept's metric and its partner, where it has one: with mean an average, with
// free what is left instead of what is used. It reports whether it has.
func (c *concept) pair(s *snapshot, mean, free bool) bool {
	metric := c.Gauge + c.Counter
	if metric == "" || strings.ContainsAny(metric, "{( ") {
		return false
	}
	own := s.roleOf(metric)
	set := func(num, den, plus string, complement bool) bool {
		if num == "" || den == "" && plus == "" {
			return false
		}
		if c.Gauge != "" {
			c.Gauge = num
		} else {
			c.Counter = num
		}
		c.Per, c.Plus, c.OneMinus, c.Unit, c.Agg = den, plus, complement, "ratio", ""
		return true
	}
	if mean {
		if own.kind != "time" || c.Counter == "" {
			return false
		}
		unit := c.Unit
		ok := set(metric, s.partner(metric, "limit", ""), "", false)
		c.Unit = unit
		return ok
	}
	switch own.kind {
	case "hit":
		return set(metric, "", s.partner(metric, "miss"), false) || set(metric, s.partner(metric, "limit", ""), "", false)
	case "miss":
		return set(metric, "", s.partner(metric, "hit"), false)
	case "bad":
		return set(metric, s.partner(metric, "limit", "", "used"), "", false)
	case "free":
		return set(metric, s.partner(metric, "limit"), "", !free)
	case "limit":
		if c.Counter != "" {
			return set(s.partner(metric, "bad"), metric, "", false)
		}
		return set(s.partner(metric, "used", ""), metric, "", false) || set(s.partner(metric, "free"), metric, "", !free)
	}
	if c.Counter != "" {
		return set(s.partner(metric, "bad"), metric, "", false) || set(metric, s.partner(metric, "limit", ""), "", false)
	}
	return set(metric, s.partner(metric, "limit"), "", false)
}
