package triage

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"time"

	"github.com/portent-dev/portent/internal/correlate"
	"github.com/portent-dev/portent/internal/incident"
)

// handleOf names a firing to the correlator. Two starts of one firing share one.
func handleOf(fingerprint string, start time.Time) int64 {
	h := fnv.New64a()
	h.Write([]byte(fingerprint))
	h.Write(strconv.AppendInt(nil, start.UnixNano(), 36))
	return int64(h.Sum64())
}

// correlated is an alert as the correlator wants it.
func (t *Triage) correlated(k *known) correlate.Alert {
	a := correlate.Alert{
		ID: k.handle, Key: k.Fingerprint, Scope: t.policy.scope(k.Labels), Name: k.Name(), Severity: correlate.Info,
		Start: k.StartsAt.UnixMilli(), Labels: k.Labels, Annotations: k.Annotations,
	}
	if k.Status == incident.AlertResolved {
		a.End = k.EndsAt.UnixMilli()
	}
	switch t.severity(k) {
	case incident.SeverityCritical:
		a.Severity = correlate.Critical
	case incident.SeverityWarning:
		a.Severity = correlate.Warning
	case incident.SeverityInfo:
	}
	return a
}

// scope is what an alert must share with others of its incident.
func (c compiled) scope(labels map[string]string) string {
	b := make([]byte, 0, 64)
	for _, l := range c.ScopeLabels {
		b = strconv.AppendQuote(b, labels[l])
	}
	return string(b)
}

// await leaves it to the next regroup which incident an alert belongs to.
func (t *Triage) await(k *known) {
	k.IncidentID = ""
	t.remember(k)
	t.batch.waiting = append(t.batch.waiting, k)
}

// A claim is that of an incident on a group of the correlator: n is the weight of its
// alerts that are in it.
type claim struct {
	g    *group
	part int
	n    int
}

// weight is what an alert counts for when it is asked which part of an incident keeps
// its name and its ticket: what the ticket is about rather than what came along.
func (t *Triage) weight(k *known) int {
	switch {
	case k.evidence || k.expected():
		return 1
	case t.severity(k) == incident.SeverityCritical:
		return 6
	default:
		return 3
	}
}

// regroup brings the incidents in line with the groups of the correlator.
func (t *Triage) regroup() {
	parts := t.cor.Regroup(t.now.UnixMilli())
	for _, k := range t.batch.waiting {
		t.acquaint(k)
	}
	for _, k := range t.loose {
		t.acquaint(k)
	}
	members := make([][]*known, len(parts))
	var claims []claim
	for i, ids := range parts {
		counts := map[*group]int{}
		var order []*group
		for _, id := range ids {
			for _, k := range t.firings[id] {
				members[i] = append(members[i], k)
				if k.group != nil {
					if counts[k.group] == 0 {
						order = append(order, k.group)
					}
					counts[k.group] += 100 + t.weight(k)
				}
			}
		}
		for _, g := range order {
			claims = append(claims, claim{g, i, counts[g]})
		}
	}
	for i, g := range t.match(claims, members) {
		if len(members[i]) == 0 { // forgotten, see trim
			continue
		}
		if g == nil || slices.ContainsFunc(members[i], func(k *known) bool { return k.group != g }) {
			t.assign(members[i], g)
		}
	}
	// What the correlator compares with nothing any more, being too old, stands
	// alone.
	for _, k := range t.batch.waiting {
		if k.group == nil {
			t.assign([]*known{k}, nil)
		}
	}
	t.batch.waiting = nil
}

// match gives each group of the correlator at most one incident, and each
// incident at most one group. The incident with a ticket goes first, then the
// one with most alerts in the group, then the older one: so the larger part of
// a split and the ticketed side of a merge keep the id.
func (t *Triage) match(claims []claim, members [][]*known) []*group {
	out := make([]*group, len(members))
	slices.SortStableFunc(claims, func(a, b claim) int {
		return cmp.Or(-cmp.Compare(len(a.g.Trackers), len(b.g.Trackers)), -cmp.Compare(a.n, b.n), cmp.Compare(a.g.ID, b.g.ID))
	})
	for _, g := range t.incidents {
		g.part = -1
	}
	for _, c := range claims {
		if c.g.part < 0 && out[c.part] == nil && t.claims(c.g, members[c.part]) {
			c.g.part, out[c.part] = c.part, c.g
		}
	}
	return out
}

// claims reports whether an incident may take up what is new in a group.
func (t *Triage) claims(g *group, members []*known) bool {
	if g.Status == incident.StatusDismissed {
		return false
	}
	for _, k := range members {
		if k.group == nil && !t.takes(g, k) {
			return false
		}
	}
	return true
}

// assign puts the alerts of a group of the correlator into its incident, which
// is a new one when g is nil.
func (t *Triage) assign(members []*known, g *group) {
	members = slices.Clone(members)
	slices.SortStableFunc(members, func(a, b *known) int { return cmp.Compare(btoi(a.evidence), btoi(b.evidence)) })
	moved := map[*group][]*known{}
	var from []*group
	quiet := t.quiet(members, g)
	over := slices.ContainsFunc(members, func(m *known) bool { return m.group != nil && m.group.Status == incident.StatusDismissed })
	onlyEvidence := g == nil && !slices.ContainsFunc(members, func(k *known) bool { return !k.evidence })
	for _, k := range members {
		switch {
		case k.group == nil && k.evidence && onlyEvidence:
		case k.group == g && g != nil:
		case k.group == nil:
			t.forget(k) // it waited; entering remembers it again
			t.changed(k)
			if over { // asked for all of them, since there may be thousands
				if d := dismissed(members, k, t); d != nil {
					k.Why = "more of what was dismissed"
					t.enter(d, k)
					continue
				}
			}
			if g == nil {
				g = t.before(k)
			}
			if k.evidence && g != nil && g.Status == incident.StatusResolved && k.Status == incident.AlertFiring {
				t.remember(k) // evidence opens nothing again
				continue
			}
			switch {
			case g == nil:
				g = t.open(k, t.policy.place(k.Labels))
				k.Why = "first alert of the incident"
			case len(members) == 1:
				k.Why = "the same alert fired before in this incident"
			default:
				k.Why = t.why(k)
			}
			t.enter(g, k)
		case quiet && k.told():
			// A ticket tells of it, and where it would go nobody is told of anything any more.
		case t.mayLeave(k):
			if moved[k.group] == nil {
				from = append(from, k.group)
			}
			moved[k.group] = append(moved[k.group], k)
		}
	}
	for _, old := range from {
		g = t.move(old, g, moved[old])
	}
}

// before returns the incident in which an alert fired last, when the correlator
// has let go of that firing and it stood alone: one that fires for days and
// begins anew.
func (t *Triage) before(k *known) *group {
	for _, o := range t.alerts[k.Fingerprint] {
		if o.group != nil && o.group.part < 0 && len(o.group.names) == 1 && !t.cor.Live(o.handle) && o.group.Status != incident.StatusDismissed && t.takes(o.group, k) {
			return o.group
		}
	}
	return nil
}

// release lets go of evidence that found an incident, or can find none any more.
func (t *Triage) release() {
	t.loose = slices.DeleteFunc(t.loose, func(k *known) bool {
		if k.group == nil && t.cor.Live(k.handle) {
			return false
		}
		if k.group == nil {
			t.forget(k)
		}
		return true
	})
}

// dismissed returns the dismissed incident that k is more of.
func dismissed(members []*known, k *known, t *Triage) *group {
	for _, m := range members {
		if m.group != nil && m.group.Status == incident.StatusDismissed && t.takes(m.group, k) {
			return m.group
		}
	}
	return nil
}

// mayLeave reports whether an alert that is in the group of another incident may
// go there. Two tickets are never merged: when all of an incident that people
// know of belongs to another such one, its first alert stays and stands for it.
func (t *Triage) mayLeave(k *known) bool {
	g := k.group
	switch {
	case g.Status == incident.StatusDismissed:
		return false
	case len(g.Trackers) == 0 || g.part >= 0:
		return true
	default:
		return k != g.first()
	}
}

// quiet reports whether alerts are over and deserve no ticket where they would be.
func (t *Triage) quiet(members []*known, g *group) bool {
	if g != nil && len(g.Trackers) > 0 || slices.ContainsFunc(members, func(k *known) bool { return k.Status == incident.AlertFiring || !k.told() }) {
		return false
	}
	return t.dueOf(members).at.Equal(never)
}

// told reports whether a ticket tells of an alert.
func (k *known) told() bool { return k.group != nil && len(k.group.Trackers) > 0 && !k.joinUntold }

// first is the member that started first.
func (g *group) first() *known {
	return slices.MinFunc(g.members, func(a, b *known) int {
		return cmp.Or(a.StartsAt.Compare(b.StartsAt), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
}

// move takes alerts from one incident to another, which is made when it is nil.
func (t *Triage) move(old, g *group, ks []*known) *group {
	whole := len(ks) == old.size()
	if g == nil {
		if whole {
			return old
		}
		g = t.open(ks[0], t.policy.place(ks[0].Labels))
	}
	for _, k := range ks {
		firing := k.Status == incident.AlertFiring
		t.leave(k)
		k.Why = t.why(k)
		t.changed(k)
		k.joinUntold, k.endUntold = true, !firing
		k.fresh = true
		t.join(g, k)
		if firing {
			t.fires(g)
		}
	}
	t.touch(g)
	names := countAlerts(len(ks))
	if whole {
		old.MergedInto = g.ID
		t.event(old, incident.EventMerged, "went into incident "+g.ID)
		t.event(g, incident.EventMerged, fmt.Sprintf("took over incident %s with %s", old.ID, names))
		t.record(old, "incident.merged", map[string]any{"into": g.ID, "alerts": len(ks), "evidence": proof(ks, nil)})
		return g
	}
	t.event(old, incident.EventSplit, fmt.Sprintf("%s went to incident %s", names, g.ID))
	t.event(g, incident.EventSplit, fmt.Sprintf("%s came from incident %s", names, old.ID))
	t.record(old, "incident.split", map[string]any{"into": g.ID, "alerts": len(ks), "evidence": proof(ks, nil)})
	return g
}

// why says in words why an alert is in a group.
func (t *Triage) why(k *known) string {
	if w := t.cor.Why(k.handle, nil); w != "" {
		return w
	}
	return "grouped with the other alerts"
}

// acquaint notes how usual an alert is.
func (t *Triage) acquaint(k *known) {
	if t.cor.Live(k.handle) {
		k.past = t.cor.Past(k.handle)
	}
	scope := t.policy.scope(k.Labels)
	if since, ok := t.since[scope]; !ok || k.ReceivedAt.Before(since) {
		t.since[scope] = k.ReceivedAt
	}
	k.known = k.ReceivedAt.Before(t.since[scope].Add(time.Duration(t.policy.Baseline)))
}

// learn gives the correlator the alerts of loaded incidents.
func (t *Triage) learn() {
	for _, ks := range t.firings {
		for _, k := range ks {
			if k.handle == handleOf(k.Fingerprint, k.StartsAt) { // not another start
				t.cor.Add(t.correlated(k))
			}
		}
	}
	t.cor.Regroup(t.now.UnixMilli())
	for _, ks := range t.firings {
		for _, k := range ks { // the first of each scope
			t.acquaint(k)
		}
	}
	for scope, since := range t.since {
		if t.now.Sub(since) < correlateFor { // it may have been longer
			t.since[scope] = time.Time{}
		}
	}
	for _, ks := range t.firings {
		for _, k := range ks {
			t.acquaint(k)
		}
	}
}

// adopt gives an alert of a loaded incident its handle: that of another start of
// the same firing, when the incident has one.
func (g *group) adopt(k *known) {
	k.handle = handleOf(k.Fingerprint, k.StartsAt)
	for _, o := range g.members {
		if o.Fingerprint == k.Fingerprint && !k.StartsAt.Before(o.StartsAt) && o.firesAt(k.StartsAt) {
			k.handle = o.handle
			return
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
