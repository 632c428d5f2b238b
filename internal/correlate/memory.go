package correlate

import "math"

// A memory is what is learned of a site as alerts come: which names are rare,
// what recurs, what fires together. All of it is bounded: counts that are full
// are halved, which forgets what is rare and old first.
type memory struct {
	alerts     float64           // seen
	until      int64             // the latest start that was learned
	learned    int64             // the one up to which a restored memory had learned
	entities   counts            // by scope and entity
	namespaces counts            // by scope and namespace
	names      counts            // alerts by name
	bursts     counts            // times that a name began to fire anew, in any scope
	roots      counts            // what was believed of names as causes, see prior
	among      counts            // groups that they were in
	together   counts            // names that started within busyWindow, by pair
	fired      map[word]*history // by what recurs, see like
	rules      map[word]*history // by scope and name
	near       map[word][]word   // entities that were named together in one alert
	pods       map[word]string   // the pod at an address, empty where there are several
	hours      map[word]*hours   // alerts of each hour, by scope
}

const (
	busyWindow = 20 * 60_000
	// maxCounts bounds each table of counts: 5 MB.
	maxCounts = 100_000
	// maxHistories bounds the histories of fingerprints and of rules.
	maxHistories = 50_000
	historyDepth = 32
	maxNear      = 64
)

func newMemory() memory {
	return memory{
		entities: counts{}, namespaces: counts{}, names: counts{}, bursts: counts{}, roots: counts{}, among: counts{}, together: counts{},
		fired: map[word]*history{}, rules: map[word]*history{}, near: map[word][]word{}, hours: map[word]*hours{}, pods: map[word]string{},
	}
}

type counts map[word]float32

func (c *counts) add(w word, n float32) {
	(*c)[w] += n
	if len(*c) <= maxCounts {
		return
	}
	next := make(counts, len(*c)/2)
	for w, n := range *c {
		if n >= 2 {
			next[w] = n / 2
		}
	}
	*c = next
}

// A history is when something began to fire, and for how long.
type history struct {
	starts   [historyDepth]int64
	n        int // ever
	last     int64
	duration float64 // mean of those that ended, ms, recent ones count more
	ended    int
	long     int64 // when its last firing that went on for long ended
	open     int64 // when the last firing that is not known to have ended began
}

func (h *history) add(start int64) {
	h.starts[h.n%historyDepth] = start
	h.n++
	h.last = max(h.last, start)
}

// between counts starts in [from, to).
func (h *history) between(from, to int64) (n int) {
	if h == nil {
		return 0
	}
	for _, s := range h.starts[:min(h.n, historyDepth)] {
		if s >= from && s < to {
			n++
		}
	}
	return n
}

// put adds to a history; when there are too many, those not heard of for longest
// go.
func put(m map[word]*history, w word, start int64) *history {
	h := m[w]
	if h == nil {
		if len(m) >= maxHistories {
			forgetOldest(m)
		}
		h = &history{}
		m[w] = h
	}
	h.add(start)
	return h
}

// forgetOldest drops about half, by the time they were last heard of.
func forgetOldest(m map[word]*history) {
	var lo, hi int64 = math.MaxInt64, math.MinInt64
	for _, h := range m {
		lo, hi = min(lo, h.last), max(hi, h.last)
	}
	for mid := lo + (hi-lo)/2; len(m) > maxHistories/2; mid += (hi-mid)/2 + 1 {
		for w, h := range m {
			if h.last <= mid {
				delete(m, w)
			}
		}
	}
}

// A past is how usual an alert was when it came: how often this one fired in the
// last two hours and in the day before, and how often its rule did in its scope.
type past struct {
	lately, day, rule float64
	chronic           bool    // it fired for long, not long ago
	ruleMinutes       float64 // how long those of its rule last on the mean; 0 when not known
}

const (
	hour = 3600_000
	// longFor is how long an alert fires that nobody cares about.
	longFor = 8 * hour
)

func (m *memory) past(n *node) past {
	h, r := m.fired[n.like], m.rules[n.scope.id^n.name]
	p := past{
		lately: float64(h.between(n.Start-2*hour, n.Start-60_000)),
		day:    float64(h.between(n.Start-24*hour, n.Start-2*hour)),
		rule:   float64(r.between(n.Start-24*hour, n.Start-hour/2)),
	}
	p.chronic = h.chronicAt(n.Start)
	if r != nil && r.ended > 0 {
		p.ruleMinutes = r.duration / 60_000
	}
	return p
}

// chronicAt reports whether what begins at start fired for long until lately, or does
// still: the notice of the end may come later, or never, when its exporter moved.
func (h *history) chronicAt(start int64) bool {
	if h == nil {
		return false
	}
	return h.long > 0 && start-h.long < 24*hour || h.open > 0 && start-h.open > longFor
}

// learn takes in an alert and those near it.
func (m *memory) learn(n *node, near []*node) {
	if n.Start <= m.learned {
		return
	}
	m.until = max(m.until, n.Start)
	m.relate(n)
	m.resident(n.Alert)
	m.alerts++
	for _, w := range n.entities {
		m.entities.add(n.scope.id^w, 1)
	}
	for _, w := range n.namespaces {
		m.namespaces.add(n.scope.id^w, 1)
	}
	m.names.add(n.name, 1)
	m.count(n.scope.id, n.Start)
	if r := m.rules[n.scope.id^n.name]; r == nil || n.Start-r.last > hour {
		m.bursts.add(n.name, 1)
	}
	seen := map[word]bool{n.name: true}
	for _, o := range near {
		if !seen[o.name] && abs(o.Start-n.Start) < busyWindow {
			seen[o.name] = true
			m.together.add(pairOf(n.name, o.name), 1)
		}
	}
	h := put(m.fired, n.like, n.Start)
	if n.End == 0 && (h.open == 0 || n.Start-h.open > 7*24*hour) {
		h.open = n.Start
	}
	put(m.rules, n.scope.id^n.name, n.Start)
}

// ended notes how long an alert fired.
func (m *memory) ended(n *node) {
	if h := m.fired[n.like]; h != nil {
		if n.End-n.Start > longFor {
			h.long = n.End
		}
		if h.open == n.Start {
			h.open = 0
		}
	}
	if h := m.rules[n.scope.id^n.name]; h != nil {
		h.ended++
		h.duration += (float64(n.End-n.Start) - h.duration) / float64(min(h.ended, 8))
	}
}

// relate notes which rare entities one alert names together, in any scope: a
// service and what it calls, a pod and its node.
func (m *memory) relate(n *node) {
	var rare []word
	for _, ws := range [][]word{n.entities, n.mentions} {
		for i, w := range ws {
			known := m.entities[n.scope.id^w] > 0
			if (known || i < len(n.entities) && &ws[0] == &n.entities[0]) && m.rarity(n.scope, w) > 0.25 {
				rare = append(rare, w)
			}
		}
	}
	if len(m.near) > maxCounts {
		m.near = map[word][]word{}
	}
	for _, a := range rare {
		for _, b := range rare {
			if a != b && len(m.near[a]) < maxNear && !contains(m.near[a], b) {
				m.near[a] = append(m.near[a], b)
			}
		}
	}
}

func contains(ws []word, w word) bool {
	for _, x := range ws {
		if x == w {
			return true
		}
	}
	return false
}

// related reports whether an entity of one was named with one of the other.
func (m *memory) related(a, b *node) bool {
	for _, w := range a.entities {
		for _, x := range m.near[w] {
			if has(b.entities, x) {
				return true
			}
		}
	}
	return false
}

// rarity is the inverse frequency of an entity in its scope: 1 when new, towards
// 0 when every alert has it.
func (m *memory) rarity(s *scope, w word) float64 {
	return inverse(m.alerts, m.entities[s.id^w])
}

func inverse(all float64, n float32) float64 {
	return math.Log((all+20)/(float64(n)+1)) / math.Log(all+20)
}

// lift is how often the names of two alerts fired together, of the times that
// the rarer one fired; 0 when they have one name.
func (m *memory) lift(a, b *node) float64 {
	return (float64(m.together[pairOf(a.name, b.name)]) + 0.15) / (float64(min(m.names[a.name], m.names[b.name])) + 1)
}

// prior is how much more than its share a name was believed to be the cause where it was
// with others, as a logarithm; 0 when nothing is known.
func (m *memory) prior(name word) float64 {
	return math.Log((float64(m.roots[name]) + priorCount) / (float64(m.among[name]) + priorCount))
}

// priorCount is how many groups it takes until what is learned of a name counts as much
// as that nothing was known.
const priorCount = 2

func pairOf(a, b word) word {
	if a > b {
		a, b = b, a
	}
	return a*1099511628211 ^ b
}
