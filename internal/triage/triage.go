// Package triage turns notifications into incidents: which alerts belong
// together, which are kept out, when an incident opens, resolves and opens again,
// and what its tickets shall be told.
//
// A Triage is a plain state machine: it has no clock, no goroutine and no store.
// Time comes with the alerts, so a day can be replayed in a minute. The Runner
// feeds it from the inbox and writes what it decides. It knows no tracker and
// writes no words: a Writer does.
package triage

import (
	"fmt"
	"slices"
	"time"

	"github.com/portent-dev/portent/internal/alert"
	"github.com/portent-dev/portent/internal/correlate"
	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/topology"
)

// A Writer finds the words. Its methods are pure; the incident they get has its
// alerts.
type Writer interface {
	// Title is one line.
	Title(inc incident.Incident) string
	// Summary is one or two sentences.
	Summary(inc incident.Incident) string
	// Draft is the ticket for a tracker, with key on it.
	Draft(tracker, key string, inc incident.Incident) ticket.Draft
	// Comment tells what changed: alerts that joined and that ended since the
	// last comment, and text, which may be empty.
	Comment(inc incident.Incident, joined, ended []incident.Alert, text string) ticket.Doc
}

// A Route names the trackers that an incident gets a ticket in.
type Route func(inc incident.Incident) []string

// actor names triage in timelines and audit records.
const actor = "portent/triage"

// A Triage holds what is needed to judge the next alert: the open incidents and
// those that ended lately, with their alerts. It is not safe for concurrent use.
// Each Process or Flush must be followed by Commit when its change was stored;
// when it was not, the state is void and must be loaded again.
type Triage struct {
	policy compiled
	writer Writer
	route  Route
	gate   Gate
	limits alert.Limits

	// now is the time that correlation has reached. It never goes back.
	now time.Time
	// settled is the time of the last change: what was due by then was done.
	settled time.Time
	// nextExpiry is when firing alerts are looked through again.
	nextExpiry time.Time

	incidents map[string]*group
	alerts    map[string][]*known // by fingerprint, latest start first
	firings   map[int64][]*known  // by handle
	cor       *correlate.Engine
	topology  *topology.Topology // and the label that names a cluster of it
	clusters  string
	loose     []*known             // evidence that is in no incident yet
	since     map[string]time.Time // when a scope was first heard of
	stats     stats
	most      int  // see maxRemembered
	trimAt    int  // see trim
	learned   bool // what was loaded was given to the correlator
	keep      int  // see keepMembers
	rules     seenRules

	batch *batch // of the change that is being made
}

// A group is an incident in memory. Its alerts stand in members alone.
type group struct {
	incident.Incident
	members []*known
	names   map[string]int // alerts by alertname
	was     incident.Status
	worst   incident.Severity // as its tickets were last told
	// truncated is the number of hidden alerts that the timeline last mentioned.
	truncated int
	// untold counts the members that its tickets do not know of, and weighed is
	// what untold was when they were last found not to be worth a comment.
	untold, weighed int
	// part is the group of the correlator that it claimed in this regroup, or -1.
	part int
	// ticket is when it deserves one, and why; see hold.go.
	ticket   due
	gone     gone
	measured int  // alerts when title, summary and cause were last found,
	reshaped bool // and whether others joined or left since
	dirty    bool // in this batch: changed,
	fired    bool // with an alert that began to fire,
	grew     bool // with alerts that joined
}

// A known alert is one in memory.
type known struct {
	incident.Alert
	group *group // nil when kept out
	// handle names it to the correlator.
	handle int64
	// past is how usual it is, and known whether it fired when its scope was first
	// heard of.
	past     correlate.Past
	sev      incident.Severity // by the policy of sevOf
	sevOf    string
	known    bool
	evidence bool // a rule keeps it out unless an incident is there
	// The tickets do not know that it joined, that it ended.
	joinUntold, endUntold bool
	// storedAt is UpdatedAt as the store has it.
	storedAt time.Time
	dirty    bool // in this batch: changed,
	fresh    bool // joined
}

// New returns an empty Triage.
func New(p Policy, w Writer, route Route) (*Triage, error) {
	c, err := p.compile()
	if err != nil {
		return nil, err
	}
	t := &Triage{policy: c, writer: w, route: route, gate: open, limits: alert.DefaultLimits(), most: maxRemembered, keep: keepMembers}
	t.reset(time.Time{})
	return t, nil
}

func (t *Triage) reset(now time.Time) {
	t.now, t.settled, t.nextExpiry = now, now, time.Time{}
	t.incidents, t.alerts, t.firings = map[string]*group{}, map[string][]*known{}, map[int64][]*known{}
	t.since, t.loose = map[string]time.Time{}, nil
	t.cor = correlate.New(correlate.Options{SkipLabels: append(slices.Clone(t.policy.ScopeLabels), t.policy.SeverityLabels...)})
	t.cor.SetTopology(t.topology, t.clusters)
	t.stats.Open, t.stats.Alerts, t.trimAt = 0, 0, 0
	t.learned = true
}

// Reconfigure replaces policy and route. What was decided stays.
func (t *Triage) Reconfigure(p Policy, route Route) error {
	c, err := p.compile()
	if err != nil {
		return err
	}
	t.policy, t.route = c, route
	return nil
}

// Load replaces the state by what a store holds: incidents with their alerts,
// the time that correlation had reached, and what was Learned, nil when nothing was.
// An error says that this could not be read; all else is loaded then, and it is learned
// anew.
func (t *Triage) Load(now time.Time, incidents []incident.Incident, learned []byte) (err error) {
	t.reset(now)
	if learned != nil {
		err = t.cor.Restore(learned)
	}
	t.learned = false
	for _, i := range incidents {
		t.add(i)
	}
	t.trim()
	t.learn()
	t.learned = true
	for _, g := range t.incidents {
		t.letGo(g)
	}
	return err
}

// Learned returns what correlation learned of the site, for Load.
func (t *Triage) Learned() ([]byte, error) { return t.cor.Snapshot() }

// Refresh replaces one incident by what a store holds, after somebody else has
// changed it.
func (t *Triage) Refresh(i incident.Incident) {
	if g, ok := t.incidents[i.ID]; ok {
		t.drop(g)
	}
	t.add(i)
	if g, ok := t.incidents[i.ID]; ok {
		t.letGo(g)
	}
}

func (t *Triage) add(i incident.Incident) {
	if i.MergedInto != "" {
		return
	}
	g := &group{Incident: i, was: i.Status, worst: i.Severity, names: map[string]int{}}
	slices.SortStableFunc(i.Alerts, func(a, b incident.Alert) int { return a.StartsAt.Compare(b.StartsAt) })
	for _, a := range i.Alerts {
		k := &known{Alert: a, storedAt: a.UpdatedAt, joinUntold: a.ReceivedAt.After(i.ToldAt)}
		k.endUntold = a.Status == incident.AlertResolved && a.UpdatedAt.After(i.ToldAt)
		g.adopt(k)
		t.acquaint(k)
		t.join(g, k)
	}
	if g.gone.total = max(0, i.Total-len(i.Alerts)); g.gone.total > 0 { // see loadedEach
		g.gone.firing = max(0, i.Firing-g.firing())
		g.gone.lastEnd = i.UpdatedAt
		for _, k := range g.members {
			if !k.joinUntold {
				g.gone.know(k.Name())
			}
		}
	}
	g.ticket = t.ticketDue(g)
	g.Alerts, g.Tickets, g.Timeline = nil, nil, nil
	t.incidents[g.ID] = g
}

// join makes k a member of g.
func (t *Triage) join(g *group, k *known) {
	k.group, k.IncidentID, g.reshaped = g, g.ID, true
	g.members = append(g.members, k)
	g.names[k.Name()]++
	if k.joinUntold {
		g.untold++
	}
	t.remember(k)
}

// remember keeps k by its fingerprint, latest start first.
func (t *Triage) remember(k *known) {
	ks := t.alerts[k.Fingerprint]
	i := 0
	for i < len(ks) && ks[i].StartsAt.After(k.StartsAt) {
		i++
	}
	ks = append(ks, nil)
	copy(ks[i+1:], ks[i:])
	ks[i] = k
	t.alerts[k.Fingerprint] = ks
	t.firings[k.handle] = append(t.firings[k.handle], k)
	t.stats.Alerts++
}

// drop forgets a group and its alerts.
func (t *Triage) drop(g *group) {
	delete(t.incidents, g.ID)
	for _, k := range g.members {
		t.forget(k)
	}
}

// severity is that of an alert by the policy of now, which is asked once.
func (t *Triage) severity(k *known) incident.Severity {
	if k.sevOf != t.policy.version {
		k.sev, k.sevOf = t.policy.severity(k.Labels), t.policy.version
	}
	return k.sev
}

func (t *Triage) forget(k *known) {
	if fs := slices.DeleteFunc(t.firings[k.handle], func(f *known) bool { return f == k }); len(fs) > 0 {
		t.firings[k.handle] = fs
	} else {
		delete(t.firings, k.handle)
	}
	ks := t.alerts[k.Fingerprint]
	for i := range ks {
		if ks[i] == k {
			ks = append(ks[:i], ks[i+1:]...)
			t.stats.Alerts--
			break
		}
	}
	if len(ks) == 0 {
		delete(t.alerts, k.Fingerprint)
		return
	}
	t.alerts[k.Fingerprint] = ks
}

// Now is the time that correlation has reached.
func (t *Triage) Now() time.Time { return t.now }

// advance moves the time forward.
func (t *Triage) advance(now time.Time) {
	if now.After(t.now) {
		t.now = now
	}
}

// stats are counted for metrics; see Stats.
type stats struct {
	// Open incidents and alerts in memory.
	Open, Alerts int
	// Since the start: alerts by outcome, incidents by event, matches by rule.
	Outcomes  map[string]int
	Incidents map[string]int
	Rules     map[string]int
	Truncated int
}

// The outcomes of an alert in a notification.
const (
	outcomeNew        = "new"        // joined an incident
	outcomeRepeated   = "repeated"   // nothing new
	outcomeResolved   = "resolved"   // ended
	outcomeRefired    = "refired"    // fires again
	outcomeLate       = "late"       // a copy of what is over
	outcomeSuppressed = "suppressed" // kept out
	outcomeExpired    = "expired"    // not heard of for too long
)

func (t *Triage) count(outcome string) { t.batch.outcomes[outcome]++ }

func (g *group) String() string { return fmt.Sprintf("incident %s (%s)", g.ID, g.Key) }
