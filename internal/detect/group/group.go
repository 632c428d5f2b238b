// Package group judges series by one another, on top of what detect says of each
// alone: many small deviations that are nothing alone (joint), one member unlike its
// siblings (peers), a group that vanishes whole, and a rise that its load explains
// (unless).
//
// It is pure, as detect is: time comes with Tick, and it starts nothing. It must not
// know where series come from or what is done with a score.
package group

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
)

// Kind says how the members of a group are judged.
type Kind string

// The kinds.
const (
	Joint Kind = "joint" // their deviations together
	Peers Kind = "peers" // each against the others
)

// Rule says which series belong together. It is read-only after New.
type Rule struct {
	Name string // names the group: the value of the label `group`
	Kind Kind
	// By are the labels that members share. A series that lacks one is no member. For
	// Workload, the label of that name counts, or what the label pod says. Peers are
	// series of one metric, besides.
	By []string
	// Match reports whether a series is a member; nil = all. It is called once for a
	// series and depends on nothing but the labels.
	Match func(labels []ingest.Label) bool
}

// Context says what explains a deviation: one of a series that Match takes is no
// anomaly if the series that With takes, with the same values of On, deviate the same
// way and at least half as far. It is read-only after New.
type Context struct {
	Name        string // of what explains, for people
	Match, With func(labels []ingest.Label) bool
	On          []string
}

// Options say what is watched. The zero value watches nothing.
type Options struct {
	Rules       []Rule
	Contexts    []Context
	Sensitivity detect.Sensitivity // "" = Medium; of a group, as of a series
	// Excused reports whether something is known at a time (Unix ms) that explains why a
	// series is gone, such as maintenance: a group one of whose members is excused has not
	// vanished without notice. It is called rarely. nil = nothing ever is.
	Excused    func(now int64, labels []ingest.Label) bool
	MaxGroups  int // 0 = DefaultMaxGroups
	MaxMembers int // over all groups and contexts; 0 = DefaultMaxMembers
}

// Defaults of Options.
const (
	DefaultMaxGroups  = 10_000
	DefaultMaxMembers = 200_000
)

// Result is what a group shows.
type Result struct {
	Group  string
	Kind   Kind
	Labels []ingest.Label // those of Rule.By, for peers the name of the metric as well
	// Score is 0..1 while the group is normal and above 1 when it is not; 0 while Ready
	// is false. For peers, that of the member least like the others.
	Score    float64
	Ready    bool
	Since    int64 // Unix ms at which the anomaly began, 0 if there is none
	Members  int
	Vanished bool    // no member is left
	Shares   []Share // of the members that make the score, largest first, at most MaxShares
}

// MaxShares bounds Result.Shares.
const MaxShares = 20

// Share is what one member adds to a score.
type Share struct {
	Labels    []ingest.Label
	Part      float64 // of the whole, 0..1
	Deviation float64 // how far it lies off, in its own usual deviations; signed
	Score     float64 // of the member alone: of detect for Joint, against its peers for Peers
}

// Verdict is what groups say of one series.
type Verdict struct {
	Score       float64 // to show in place of the detector's
	ExplainedBy string  // Context.Name that holds the score back, or ""
	Peer        bool    // the score is that of a member unlike its siblings
}

// Stats count what a Watch holds.
type Stats struct {
	Groups, Members int
	Dropped         uint64 // times that a series found no room in its group
}

// Watch keeps the groups. It is safe for concurrent use.
type Watch struct {
	opts     Options
	periodMs float64

	// odd names the metrics with a member that was unlike its peers at the last tick, nil
	// for none: a series of another, normal itself, need not be looked up.
	odd atomic.Pointer[map[string]struct{}]

	mu       sync.RWMutex
	groups   map[uint64]*state
	order    []*state         // by their labels, for a stable order of Results
	series   map[uint64]entry // by their labels
	contexts contexts
	last     int64 // time of the tick, Unix ms
	// stepMs is the usual time between two ticks, 0 until there were two.
	stepMs float64
	// refused says that a series was left out for want of room since the last time that
	// those were looked at again.
	refused bool
	// restoredAt is the time of the state that was restored, until the first tick after.
	restoredAt int64
	// awaitedUntil is when those that were restored and have not come again are forgotten.
	awaitedUntil int64
	ticks        uint32
	members      int
	dropped      uint64
	buf          []byte // scratch, like the two below
	parts        []float64
	of           []*member
}

// entry is what a series is to groups and contexts.
type entry struct {
	places  []place
	roles   []role
	refused bool // by a group that had no room
}

// place is a member within its group.
type place struct {
	group  *state
	member *member
}

// New makes a Watch without groups. A bad option is an error that says what is allowed.
func New(o Options) (*Watch, error) {
	if o.Sensitivity == "" {
		o.Sensitivity = detect.Medium
	}
	if o.MaxGroups == 0 {
		o.MaxGroups = DefaultMaxGroups
	}
	if o.MaxMembers == 0 {
		o.MaxMembers = DefaultMaxMembers
	}
	period, err := o.Sensitivity.Period()
	errs := []error{err}
	if o.MaxGroups < 0 || o.MaxMembers < 0 {
		errs = append(errs, fmt.Errorf("max groups %d, max members %d: want none below 0", o.MaxGroups, o.MaxMembers))
	}
	for i, r := range o.Rules {
		if r.Name == "" || len(r.By) == 0 {
			errs = append(errs, fmt.Errorf("rule %d: want a name and at least one label to group by", i))
		}
		if r.Kind != Joint && r.Kind != Peers {
			errs = append(errs, fmt.Errorf("rule %d (%s): unknown kind %q: want one of %q", i, r.Name, string(r.Kind), []Kind{Joint, Peers}))
		}
	}
	for i, c := range o.Contexts {
		if c.Name == "" || c.Match == nil || c.With == nil || len(c.On) == 0 {
			errs = append(errs, fmt.Errorf("context %d: want a name, what it explains and with what, and at least one label to match on", i))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Watch{
		opts: o, periodMs: float64(period.Milliseconds()),
		groups: map[uint64]*state{}, series: map[uint64]entry{}, contexts: newContexts(o.Contexts),
	}, nil
}

// state is one group.
type state struct {
	rule    *Rule
	labels  []ingest.Label
	key     uint64
	members []*member
	awaited map[uint64]savedMember // by their labels: known from before a restart
	begun   int64                  // Unix ms of its first tick
	lived   int64                  // Unix ms of the last tick with a member
	excused bool                   // why it has no member is known
	present int
	joint   joint
	peers   peers
	result  Result
}

// member is one series of a group.
type member struct {
	key    uint64
	labels []ingest.Label
	roles  []role
	seen   uint32 // tick
	begun  int64
	lastMs int64
	out    detect.Output
	jointMember
	peerMember
}

// forgetMs is how long a member, or a whole group, is kept that is not there.
const forgetMs = 30 * 60 * 1000

// pauseMs and pauseSteps say from when on two ticks are a pause apart, not a step.
const (
	pauseMs    = 10 * 60 * 1000
	pauseSteps = 10
	// setBackMs is by how much time must be back before it is believed: a clock was set.
	setBackMs = 10 * 60 * 1000
)

// step returns the time that a tick at now stands for, and learns how it usually is: what
// is learnt over days must not depend on how often somebody looks. 0 = not known, as at
// the very first.
func (w *Watch) step(now int64) float64 {
	gap := float64(now - w.last)
	switch {
	case w.last == 0:
		return w.stepMs
	case w.stepMs > 0 && gap > max(pauseMs, pauseSteps*w.stepMs):
		return w.stepMs
	case w.stepMs == 0:
		w.stepMs = gap
	default:
		w.stepMs += (gap - w.stepMs) / 16
	}
	return gap
}

// setBack follows a clock that was set back: nothing that is known is of the future.
func (w *Watch) setBack(now int64) {
	w.last, w.awaitedUntil = 0, min(w.awaitedUntil, now+forgetMs)
	for _, g := range w.order {
		g.begun, g.lived, g.result.Since = min(g.begun, now), min(g.lived, now), min(g.result.Since, now)
		for _, m := range g.members {
			m.begun, m.lastMs = min(m.begun, now), min(m.lastMs, now)
		}
	}
	w.contexts.setBack(now)
}

// Tick takes what all series show at now (Unix ms); forEach is that of the engine.
// A time that is not later than the last is ignored, unless the clock was set back. The
// first tick of all judges nothing. The cost is a look-up a series, and some 100 ns a
// member.
func (w *Watch) Tick(now int64, forEach func(func(labels []ingest.Label, o detect.Output) bool)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now <= w.last-setBackMs {
		w.setBack(now)
	}
	if now <= w.last {
		return
	}
	stepMs := w.step(now)
	w.last = now
	if w.restoredAt != 0 {
		w.arrive(now)
	}
	w.ticks++
	w.contexts.begin()
	series := 0
	forEach(func(labels []ingest.Label, o detect.Output) bool {
		if o.Missing {
			return true
		}
		series++
		w.take(now, labels, o)
		return true
	})
	if stepMs == 0 {
		return
	}
	w.contexts.end(now, stepMs)
	if series == 0 {
		return // the source is silent: no group has vanished
	}
	w.judge(now, stepMs)
	w.forget(now)
}

// take notes one series of the present tick.
func (w *Watch) take(now int64, labels []ingest.Label, o detect.Output) {
	w.buf = appendKey(w.buf[:0], labels)
	key := xxhash.Sum64(w.buf)
	x, known := w.series[key]
	if !known {
		x = entry{roles: w.contexts.roles(labels)}
		x.places, x.refused = w.place(now, key, labels, x.roles)
		w.refused = w.refused || x.refused
		if len(w.series) < w.mostSeries() || len(x.places) > 0 {
			w.series[key] = x
		}
	}
	w.contexts.take(now, key, x.roles, o)
	for _, p := range x.places {
		p.member.seen, p.member.lastMs, p.member.out = w.ticks, now, o
	}
}

// mostSeries bounds for how many series it is remembered that they are in no group.
func (w *Watch) mostSeries() int { return 4*w.opts.MaxMembers + 1000 }

// appendKey spells labels so that no two sets are spelt alike: 0xff is in no UTF-8 text.
func appendKey(b []byte, labels []ingest.Label) []byte {
	for _, l := range labels {
		b = append(append(append(append(b, l.Name...), 0xff), l.Value...), 0xff)
	}
	return b
}

// place makes the series a member of the groups that it belongs to.
func (w *Watch) place(now int64, key uint64, labels []ingest.Label, roles []role) (places []place, refused bool) {
	for i := range w.opts.Rules {
		r := &w.opts.Rules[i]
		if r.Match != nil && !r.Match(labels) {
			continue
		}
		shared, ok := r.shared(labels)
		if !ok {
			continue
		}
		g := w.group(now, r, i, shared)
		if g == nil || w.members >= w.opts.MaxMembers {
			w.dropped++
			refused = true
			continue
		}
		m := &member{key: key, labels: clone(labels), roles: roles, begun: now}
		g.restored(m)
		g.members = append(g.members, m)
		w.members++
		places = append(places, place{g, m})
	}
	return places, refused
}

// group returns the group of rule i with these labels, made if it is new, or nil when
// there is no room.
func (w *Watch) group(now int64, r *Rule, i int, shared []ingest.Label) *state {
	key := xxhash.Sum64(appendKey([]byte{byte(i), byte(i >> 8)}, shared))
	if g := w.groups[key]; g != nil {
		return g
	}
	if len(w.groups) >= w.opts.MaxGroups {
		return nil
	}
	g := &state{rule: r, labels: clone(shared), key: key, begun: now}
	w.groups[key] = g
	at, _ := slices.BinarySearchFunc(w.order, g, compare)
	w.order = slices.Insert(w.order, at, g)
	return g
}

// shared returns the labels that name the group of a series, and false if it is in none.
func (r *Rule) shared(labels []ingest.Label) (shared []ingest.Label, ok bool) {
	if r.Kind == Peers {
		shared = append(shared, ingest.Label{Name: ingest.MetricName, Value: value(labels, ingest.MetricName)})
	}
	for _, name := range r.By {
		v := value(labels, name)
		if name == Workload && v == "" {
			v = WorkloadOf(value(labels, "pod"))
		}
		if v == "" {
			return nil, false
		}
		shared = append(shared, ingest.Label{Name: name, Value: v})
	}
	return shared, true
}

// judge brings all groups up to date.
func (w *Watch) judge(now int64, stepMs float64) {
	var odd map[string]struct{}
	for _, g := range w.order {
		g.present = 0
		for _, m := range g.members {
			if m.seen == w.ticks {
				g.present++
			}
		}
		if g.present == 0 {
			g.vanish(w, now)
			continue
		}
		g.lived, g.excused = now, false
		g.result = Result{Group: g.rule.Name, Kind: g.rule.Kind, Labels: g.labels, Members: g.present, Since: g.result.Since}
		if g.rule.Kind == Joint {
			g.judgeJoint(w, now, stepMs)
		} else {
			if g.judgePeers(w, now, stepMs) > 0 {
				if odd == nil {
					odd = map[string]struct{}{}
				}
				odd[value(g.labels, ingest.MetricName)] = struct{}{}
			}
		}
		g.settle(now)
	}
	if odd == nil {
		w.odd.Store(nil)
		return
	}
	w.odd.Store(&odd)
}

// settle keeps Score and Since in their bounds.
func (g *state) settle(now int64) {
	r := &g.result
	if !r.Ready || !(r.Score > 0) {
		r.Score = 0
	}
	r.Score = min(r.Score, detect.MaxScore)
	switch {
	case r.Score <= 1:
		r.Since = 0
	case r.Since == 0:
		r.Since = now
	}
}

const (
	// vanishAfterMs without any member makes a group vanished, and it is told for
	// vanishForMs, if it had lived for vanishAgeMs.
	vanishAfterMs = 60 * 1000
	vanishForMs   = 15 * 60 * 1000
	vanishAgeMs   = 60 * 60 * 1000
	// vanishScore is clearly above 1; there is nothing to measure it by.
	vanishScore = 2
)

func (g *state) vanish(w *Watch, now int64) {
	gone := now - g.lived
	if g.result.Score <= 1 && gone < vanishAfterMs+vanishForMs && !g.excused && w.opts.Excused != nil {
		// Asked from when it went: a window may end before it would be told.
		g.excused = slices.ContainsFunc(g.members, func(m *member) bool { return w.opts.Excused(now, m.labels) })
	}
	g.result = Result{Group: g.rule.Name, Kind: g.rule.Kind, Labels: g.labels, Since: g.result.Since}
	if g.lived-g.begun >= vanishAgeMs && gone >= vanishAfterMs && gone < vanishAfterMs+vanishForMs && !g.excused {
		g.result.Ready, g.result.Vanished, g.result.Score = true, true, vanishScore
	}
	g.settle(now)
}

// forget drops members and groups that are long gone.
func (w *Watch) forget(now int64) {
	if w.ticks%20 != 0 {
		return
	}
	gone := func(m *member) bool { return now-m.lastMs > forgetMs }
	// A group that was restored waits for its members as long.
	empty := func(g *state) bool { return len(g.members) == 0 && now-g.lived > forgetMs }
	for _, g := range w.order {
		if now > w.awaitedUntil {
			g.awaited = nil
		}
		for _, m := range g.members {
			if gone(m) {
				delete(w.series, m.key)
				w.members--
			}
		}
		g.members = slices.DeleteFunc(g.members, gone)
		if empty(g) {
			delete(w.groups, g.key)
		}
	}
	w.order = slices.DeleteFunc(w.order, empty)
	// Series that are in no group come and go, too: they are looked at again. So are those
	// that were refused, once there is room.
	full := len(w.series) >= w.mostSeries()
	room := w.refused && w.members < w.opts.MaxMembers && len(w.groups) < w.opts.MaxGroups
	if !full && !room {
		return
	}
	w.refused = w.refused && !room
	for key, x := range w.series {
		if len(x.places) == 0 && (full || x.refused) {
			delete(w.series, key)
		}
	}
}

// Results calls f with every group as of the last tick, ordered by rule and labels,
// until f returns false. What f is given is valid during the call.
func (w *Watch) Results(f func(Result) bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	for _, g := range w.order {
		if g.present == 0 && !g.result.Vanished {
			continue
		}
		if !f(g.result) {
			return
		}
	}
}

// Judge says what groups add to the output of one series, as of the last tick. It is
// cheap while the series is normal and no series of its metric is unlike its peers.
func (w *Watch) Judge(labels []ingest.Label, o detect.Output) Verdict {
	v := Verdict{Score: o.Score}
	if (o.Score <= 1 || len(w.opts.Contexts) == 0) && !w.MayRaise(labels) {
		return v
	}
	var buf [512]byte
	key := xxhash.Sum64(appendKey(buf[:0], labels))
	w.mu.RLock()
	defer w.mu.RUnlock()
	x := w.series[key]
	for _, p := range x.places {
		if p.group.rule.Kind == Peers && p.member.seen == w.ticks && p.member.peerScore > max(1, v.Score) {
			v.Score, v.Peer = p.member.peerScore, true
		}
	}
	if v.Score > 1 && !o.Missing {
		if by := w.contexts.explain(key, x.roles); by != "" {
			v = Verdict{Score: explained, ExplainedBy: by}
		}
	}
	return v
}

// MayRaise reports whether Judge may show more than the score of a series itself, as of the
// last tick: some series of its metric is unlike its peers. It costs a few nanoseconds.
func (w *Watch) MayRaise(labels []ingest.Label) bool {
	odd := w.odd.Load()
	if odd == nil {
		return false
	}
	_, ok := (*odd)[value(labels, ingest.MetricName)]
	return ok
}

// Stats returns the counts now.
func (w *Watch) Stats() Stats {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return Stats{Groups: len(w.groups), Members: w.members, Dropped: w.dropped}
}

func value(labels []ingest.Label, name string) string {
	for i := range labels {
		if labels[i].Name == name {
			return labels[i].Value
		}
	}
	return ""
}

func clone(labels []ingest.Label) []ingest.Label { return slices.Clone(labels) }

// compare orders groups by rule and labels.
func compare(a, b *state) int {
	return slices.Compare([]byte(a.spelt()), []byte(b.spelt()))
}

func (g *state) spelt() string {
	return string(appendKey([]byte(g.rule.Name+"\xff"), g.labels))
}
