// Package correlate finds out which alerts are signs of the same fault.
//
// Two alerts of one scope (a cluster, a tenant) get a log-odds of belonging
// together, from when they started and ended, what they name, what they say, how
// often they fired before and with whom. Groups come of it by average linkage.
// Nothing is keyed to names of alerts or labels of one site; what is particular
// to a site (which names are rare, what fires together) is learned as alerts
// come. A topology, when there is one, ties what depends on each other.
//
// The package is pure: no clock, no goroutine, no I/O. Time comes with the
// alerts. What it keeps is bounded, and the same alerts in the same batches give
// the same groups. It knows no incident: triage maps groups to incidents.
package correlate

import (
	"cmp"
	"slices"
	"time"

	"github.com/portent-dev/portent/internal/topology"
)

// Severity of an alert as far as correlation cares.
type Severity uint8

// The severities.
const (
	Info Severity = iota
	Warning
	Critical
)

// An Alert is one firing of an alert. Times are Unix milliseconds.
type Alert struct {
	// ID is the caller's handle of this firing, unique.
	ID int64
	// Key is the identity that recurs: the fingerprint.
	Key string
	// Scope is what never shares a group with another scope.
	Scope    string
	Name     string
	Severity Severity
	Start    int64
	// End is 0 while the alert fires.
	End                 int64
	Labels, Annotations map[string]string
}

// Options bound an Engine. The zero value means the defaults.
type Options struct {
	// SkipLabels are labels that say nothing about the subject besides those that
	// are known: the labels of the scope and of the severity.
	SkipLabels []string
	// Window is how long after its start an alert may still change its group; 0
	// means 5 h, twice as long as two alerts that are compared may lie apart.
	Window time.Duration
	// MaxLive bounds the alerts of one scope that may change their group; 0 means
	// 6000, twice a bad outage. The oldest are frozen first.
	MaxLive int
}

const (
	// pairWindow is how far apart two alerts may start to be compared.
	pairWindow = 140 * 60_000
	// endedWindow is how long after its end an alert is compared with new ones.
	endedWindow = 30 * 60_000
	// againWindow is how long after its end the same alert counts as the same thing
	// when it fires again, and againLogit the least log-odds of that.
	againWindow = 60 * 60_000
	againLogit  = 4
	// maxPairs bounds the alerts that a new one is compared with. In an outage of
	// 3,000 alerts it keeps the cost linear; in ordinary hours it is not reached.
	maxPairs = 48
)

// An Engine groups alerts. It is not safe for concurrent use.
type Engine struct {
	o      Options
	skip   map[string]bool
	memory memory
	scopes map[string]*scope
	alerts map[int64]*node
	batch  []*node // added since the last Regroup
	ends   endings

	topology *topology.Topology // nil: none
	cluster  string             // the label that names a cluster of it
}

// A scope holds the alerts that may still change their group, by start.
type scope struct {
	name        string
	id          word
	live        []*node
	dirty       bool
	slots             // of live, and of what was added since
	round, part int   // of clustering, and of its components
	now         int64 // of the last Regroup
}

// A node is an alert in the engine.
type node struct {
	Alert
	scope *scope
	subject
	name     word
	like     word // see like
	past     past
	dense    float64 // see memory.density
	ending   bool    // it is among the endings
	sign     *sign   // once it was asked for
	anchors  []topology.Anchor
	links    []link // to nodes that were there when it came, and back
	group    *node  // the first node of its group; itself when alone
	slot     int32  // in the scope
	order    int    // in the scope, during clustering
	news     int    // round of clustering in which its group has news
	neighbor int    // starts near its own, when it came
}

// A link is the log-odds of a pair: base without what their ends tell, z with it.
// The other alert is named by its slot: there are up to a hundred links for an
// alert, and as pointers they were a fifth of the work of the garbage collector.
type link struct {
	to      int32
	base, z float32
	bound   bool // by what both need, see bind
}

// New returns an empty Engine.
func New(o Options) *Engine {
	if o.Window <= 0 {
		o.Window = 5 * time.Hour
	}
	if o.MaxLive <= 0 {
		o.MaxLive = 6000
	}
	e := &Engine{o: o, skip: map[string]bool{}, scopes: map[string]*scope{}, alerts: map[int64]*node{}, memory: newMemory()}
	for _, l := range silentLabels {
		e.skip[l] = true
	}
	for _, l := range o.SkipLabels {
		e.skip[l] = true
	}
	return e
}

// Add takes in alerts that began to fire. They are judged at the next Regroup,
// in the order of their starts, so that the order of a batch does not matter. An
// ID that is there already is ignored.
func (e *Engine) Add(a Alert) {
	if _, ok := e.alerts[a.ID]; ok {
		return
	}
	s := e.scopes[a.Scope]
	if s == nil {
		s = &scope{name: a.Scope, id: hash(a.Scope)}
		e.scopes[a.Scope] = s
	}
	n := &node{Alert: a, scope: s, name: hash(a.Name), like: e.like(a, s.id)}
	n.group = n
	s.seat(n)
	if a.End != 0 {
		e.ends.add(n)
	}
	e.alerts[a.ID] = n
	e.batch = append(e.batch, n)
}

// End notes that an alert ended; at 0 says that it fires on after all.
func (e *Engine) End(id, at int64) {
	if n, ok := e.alerts[id]; ok && n.End != at {
		n.End = at
		n.scope.dirty = true
		n.scope.changed(n)
		if at > 0 {
			e.memory.ended(n)
			e.ends.add(n)
		}
	}
}

// Live reports whether an alert may still change its group.
func (e *Engine) Live(id int64) bool {
	_, ok := e.alerts[id]
	return ok
}

// Len is the number of alerts that may still change their group.
func (e *Engine) Len() int { return len(e.alerts) }

// Regroup judges what was added and groups what has news. It returns the groups
// that may have changed, each by start, the earliest first. Now is the time
// that the alerts have reached; what started longer than the window before it is
// frozen and no longer returned.
func (e *Engine) Regroup(now int64) [][]int64 {
	slices.SortFunc(e.batch, func(a, b *node) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Key, b.Key), cmp.Compare(a.ID, b.ID))
	})
	for _, n := range e.batch {
		e.judge(n)
	}
	e.batch = nil
	e.ends.tell(now)
	var dirty []*scope
	for name, s := range e.scopes {
		s.now = now
		e.freeze(s, now)
		if s.dirty {
			dirty = append(dirty, s)
		} else if len(s.live) == 0 {
			delete(e.scopes, name)
		}
	}
	slices.SortFunc(dirty, func(a, b *scope) int { return cmp.Compare(a.name, b.name) })
	var out [][]int64
	for _, s := range dirty {
		s.dirty = false
		for _, g := range s.cluster() {
			ids := make([]int64, len(g))
			for i, n := range g {
				ids[i] = n.ID
			}
			out = append(out, ids)
		}
	}
	return out
}

// judge compares a new alert with those of its scope.
func (e *Engine) judge(n *node) {
	near := e.prepare(n)
	for _, m := range near {
		f := e.features(n, m)
		more, bound := e.tie(n, m, &f)
		z := float32(f.logit() + more)
		if n.like == m.like {
			z = max(z, againLogit)
		}
		n.links = append(n.links, link{m.slot, z, z, bound})
		m.links = append(m.links, link{n.slot, z, z, bound})
	}
	e.explainAway(n, near)
	e.enter(n, near)
}

// prepare reads a new alert and returns those that it is compared with.
func (e *Engine) prepare(n *node) (near []*node) {
	n.subject, n.anchors = e.subject(n.Alert), e.anchors(n.Alert)
	n.past = e.memory.past(n)
	n.dense = e.memory.density(n.scope.id, n.Start)
	s := n.scope
	for i := len(s.live) - 1; i >= 0 && len(near) < maxPairs; i-- {
		m := s.live[i]
		if m.Start < n.Start-pairWindow {
			break
		}
		if inReach(n, m) {
			near = append(near, m)
			if abs(m.Start-n.Start) < busyWindow {
				n.neighbor++
			}
		}
	}
	return near
}

// enter puts a judged alert among the live ones and learns from it.
func (e *Engine) enter(n *node, near []*node) {
	s := n.scope
	s.dirty = true
	e.memory.learn(n, near)
	i := len(s.live)
	for i > 0 && s.live[i-1].Start > n.Start {
		i--
	}
	s.live = slices.Insert(s.live, i, n)
}

// inReach reports whether two alerts are near enough in time for a pair.
func inReach(n, m *node) bool {
	if n.Start < m.Start {
		n, m = m, n
	}
	window := int64(endedWindow)
	if n.like == m.like {
		window = againWindow
	}
	return n.Start-m.Start < pairWindow && (m.End == 0 || n.Start-m.End <= window)
}

// freeze lets go of what is too old or too much to change.
func (e *Engine) freeze(s *scope, now int64) {
	old := now - e.o.Window.Milliseconds()
	cut := max(0, len(s.live)-e.o.MaxLive)
	for cut < len(s.live) && s.live[cut].Start < old {
		cut++
	}
	if cut == 0 {
		return
	}
	for _, n := range s.live[:cut] {
		s.leave(n)
		delete(e.alerts, n.ID)
	}
	s.live = slices.Delete(s.live, 0, cut)
}

func abs(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}
