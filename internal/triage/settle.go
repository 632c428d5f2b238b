package triage

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
)

// Flush does what is due by now: it ends alerts that were not heard of for too
// long and incidents whose alerts are over, and tells tickets what waited.
func (t *Triage) Flush(now time.Time) incident.Change {
	t.begin()
	t.advance(now)
	t.expire()
	t.regroup()
	t.settle(t.now)
	return t.finish()
}

// Quiet does what only waits for time to pass, as if it had: when a replay has
// come to its end its clock stands, and nothing else would ever do it. Alerts do
// not expire by it.
func (t *Triage) Quiet() incident.Change {
	t.begin()
	t.settle(t.now.Add(max(time.Duration(t.policy.ResolveAfter), time.Duration(t.policy.CommentInterval))))
	return t.finish()
}

// expire ends firing alerts that were not heard of for the time to live. They
// are looked through a hundred times in that time, which is exact enough.
func (t *Triage) expire() {
	if t.now.Before(t.nextExpiry) {
		return
	}
	ttl := time.Duration(t.policy.AlertTTL)
	t.nextExpiry = t.now.Add(ttl / 100)
	for _, id := range slices.Sorted(maps.Keys(t.incidents)) {
		g := t.incidents[id]
		var gone int
		for _, k := range g.members {
			if k.Status == incident.AlertFiring && t.now.Sub(k.UpdatedAt) > ttl {
				k.Status, k.Expired, k.EndsAt, k.endUntold = incident.AlertResolved, true, k.UpdatedAt, true
				if k.EndsAt.Before(k.StartsAt) {
					k.EndsAt = k.StartsAt
				}
				t.cor.End(k.handle, k.EndsAt.UnixMilli())
				t.changed(k)
				t.count(outcomeExpired)
				gone++
			}
		}
		if gone > 0 {
			t.event(g, incident.EventAlert, fmt.Sprintf("%s not heard of for %s: taken as ended", countAlerts(gone), t.policy.AlertTTL))
		}
	}
}

// settle brings the incidents in line with their alerts: those that this batch
// touched, and those that wait for now.
func (t *Triage) settle(now time.Time) {
	var due []string
	for id, g := range t.incidents {
		if g.Status == incident.StatusOpen && !g.dirty && t.due(g, now) {
			due = append(due, id)
		}
	}
	slices.Sort(due)
	for _, id := range due {
		t.touch(t.incidents[id])
	}
	for _, g := range t.batch.touched {
		t.settleOne(g, now)
	}
	t.batch.settled = t.now
}

// due reports whether an untouched open incident has something to do by now.
func (t *Triage) due(g *group, now time.Time) bool {
	if len(g.Trackers) == 0 && !now.Before(g.ticket.at) {
		return true
	}
	if g.Firing == 0 {
		return t.over(g, now)
	}
	return len(g.Trackers) > 0 && t.mayComment(g, now) && g.news()
}

// over reports whether an open incident has ended by now.
func (t *Triage) over(g *group, now time.Time) bool {
	return !g.Pinned && g.Firing == 0 && !now.Before(g.lastEnd().Add(time.Duration(t.policy.ResolveAfter)))
}

func (g *group) lastEnd() time.Time {
	end := g.gone.lastEnd
	for _, k := range g.members {
		if k.EndsAt.After(end) {
			end = k.EndsAt
		}
	}
	return end
}

// settleOne brings one incident in line.
func (t *Triage) settleOne(g *group, now time.Time) {
	if g.MergedInto != "" {
		g.Firing, g.Total, g.UpdatedAt = 0, 0, t.now
		return
	}
	joined := t.measure(g)
	g.grew = joined > 0
	if g.fired {
		g.Pinned = false // from here on it goes by its alerts again
	}
	switch {
	case g.was == incident.StatusResolved && g.Status == incident.StatusOpen:
		t.batch.events[incident.EventReopened]++
		t.event(g, incident.EventReopened, "opened again: "+t.firing(g))
		t.record(g, "incident.reopened", map[string]any{"firing": g.Firing, "evidence": proof(g.members, fires)})
	case g.Version == 0:
		t.event(g, incident.EventOpened, t.firing(g))
		t.record(g, "incident.opened", map[string]any{"severity": g.Severity, "alerts": g.Total, "labels": g.Labels, "evidence": proof(g.members, nil)})
	case joined > 0:
		t.event(g, incident.EventAlert, t.joinedText(g))
	}
	if g.Status == incident.StatusOpen && t.over(g, now) {
		g.Status, g.EndedAt = incident.StatusResolved, g.lastEnd()
		t.cor.Settle(t.correlatedAll(g))
		t.batch.events[incident.EventResolved]++
		t.event(g, incident.EventResolved, "all alerts are over")
		t.record(g, "incident.resolved", map[string]any{"endedAt": g.EndedAt})
	} else if g.Status == incident.StatusResolved {
		g.EndedAt = g.lastEnd() // a late notice may know better
	}
	t.tell(g, now)
}

// measure computes what an incident says of its alerts and returns how many of
// them are new in this batch.
func (t *Triage) measure(g *group) (joined int) {
	g.Firing, g.Total = g.gone.firing, g.size()
	severity := incident.SeverityInfo
	for i, k := range g.members {
		if k.Status == incident.AlertFiring {
			g.Firing++
		}
		if s := t.severity(k); s.Rank() > severity.Rank() {
			severity = s
		}
		if i == 0 && g.gone.total == 0 || k.StartsAt.Before(g.StartedAt) {
			g.StartedAt = k.StartsAt
		}
		if k.fresh {
			joined++
		}
	}
	if g.Version > 0 && severity.Rank() > g.Severity.Rank() {
		t.event(g, incident.EventSeverity, fmt.Sprintf("severity rises from %s to %s", g.Severity, severity))
		raised := func(k *known) bool { return t.severity(k) == severity }
		t.record(g, "incident.severity", map[string]any{"from": g.Severity, "to": severity, "evidence": proof(g.members, raised)})
	}
	if severity.Rank() > g.Severity.Rank() || g.Version == 0 {
		g.Severity = severity
	}
	g.UpdatedAt = t.now
	g.ticket = t.ticketDue(g)
	if t.worthWords(g) {
		if g.reshaped { // it goes by starts, not by ends
			g.Causes, g.RootCause = t.causes(g), incident.RootCause{}
			if len(g.Causes) > 0 {
				g.RootCause = g.Causes[0].RootCause
			}
		}
		g.measured, g.reshaped = g.size(), false
		inc := g.snapshot()
		g.Title, g.Summary = t.writer.Title(inc), t.writer.Summary(inc)
	}
	return joined
}

// worthWords reports whether title, summary and cause are to be found anew. In a big
// incident a few alerts more do not change them, and an outage that grows by one alert
// a time would cost the square of its size.
func (t *Triage) worthWords(g *group) bool {
	n := g.size()
	return n < bigIncident || g.measured == 0 || n < g.measured || n > g.measured+g.measured/20 || g.Firing == 0 || g.was != g.Status
}

// bigIncident is the number of alerts from which an incident is big.
const bigIncident = 200

// snapshot is the incident with its alerts, for the Writer.
func (g *group) snapshot() incident.Incident {
	i := g.Incident
	i.Alerts = make([]incident.Alert, len(g.members))
	for n, k := range g.members {
		i.Alerts[n] = k.Alert
	}
	return i
}

// mayComment reports whether a comment about alerts that joined is due.
func (t *Triage) mayComment(g *group, now time.Time) bool {
	return !now.Before(g.ToldAt.Add(time.Duration(t.policy.CommentInterval)))
}

// tell decides what the tickets of an incident are told.
func (t *Triage) tell(g *group, now time.Time) {
	if g.Status == incident.StatusDismissed {
		return
	}
	was := g.Trackers
	// What is over gets no ticket, unless it came to deserve one since we looked last.
	if !now.Before(g.ticket.at) && (g.Version == 0 || g.Status == incident.StatusOpen && g.Firing > 0 || g.grew || g.ticket.at.After(t.settled)) {
		t.file(g)
	}
	if len(was) == 0 { // nobody to tell before, and a draft tells all there is now
		if g.Status == incident.StatusResolved && len(g.Trackers) > 0 {
			t.update(g, g.Trackers, incident.TaskResolve, ticket.Resolved, "")
		}
		return
	}
	switch {
	case g.was == incident.StatusOpen && g.Status == incident.StatusResolved:
		t.update(g, g.Trackers, incident.TaskResolve, ticket.Resolved, "")
	case g.was == incident.StatusResolved && g.Status == incident.StatusOpen:
		t.update(g, was, incident.TaskReopen, ticket.Open, "")
	case g.Status != incident.StatusOpen:
	case g.Severity.Rank() > g.worst.Rank():
		t.update(g, was, incident.TaskUpdate, ticket.Unchanged, fmt.Sprintf("Severity is now %s.", g.Severity))
	case t.mayComment(g, now) && g.news():
		t.update(g, was, incident.TaskUpdate, ticket.Unchanged, "")
	}
}

// news reports whether what joined since the tickets were told is worth a
// comment: an alert name that they do not know yet, or as many alerts again.
func (g *group) news() bool {
	if g.untold == 0 || g.untold == g.weighed {
		return false
	}
	old := map[string]bool{}
	for _, k := range g.members {
		if !k.joinUntold {
			old[k.Name()] = true
		}
	}
	for name := range g.gone.names {
		if g.names[name] > 0 {
			old[name] = true
		}
	}
	if len(old) < len(g.names) || g.untold > g.size()-g.untold {
		return true
	}
	g.weighed = g.untold
	return false
}

// told notes that the tickets of an incident know all there is.
func (t *Triage) told(g *group) {
	for _, k := range g.members {
		k.joinUntold, k.endUntold = false, false
	}
	if g.gone.total > 0 {
		for name := range g.names {
			g.gone.know(name)
		}
	}
	g.untold, g.weighed = 0, 0
	g.ToldAt, g.worst = t.now, g.Severity
}

// file asks for a ticket in each tracker of the route that has none.
func (t *Triage) file(g *group) {
	inc := g.snapshot()
	first := len(g.Trackers) == 0
	for _, tracker := range t.route(inc) {
		if slices.Contains(g.Trackers, tracker) {
			continue
		}
		g.Trackers = append(slices.Clip(g.Trackers), tracker)
		t.create(g, inc, tracker)
		t.ruleOf(g.first().Labels, "").Tickets++
		if first {
			t.event(g, incident.EventNote, "deserves a ticket: "+g.ticket.why())
			t.told(g)
		}
	}
}

// update asks for a change of the tickets in trackers.
func (t *Triage) update(g *group, trackers []string, kind incident.TaskKind, state ticket.State, text string) {
	inc := g.snapshot()
	var joined, ended []incident.Alert
	for _, k := range g.members {
		if k.joinUntold {
			joined = append(joined, k.Alert)
		}
		if k.endUntold {
			ended = append(ended, k.Alert)
		}
	}
	u := ticket.Update{
		// The version names this change: no other one has it.
		Key:     fmt.Sprintf("%s-%d-%s", g.ID, g.Version+1, kind),
		Comment: t.writer.Comment(inc, joined, ended, text), State: state,
	}
	for _, tracker := range trackers {
		t.task(g, tracker, kind, u)
	}
	t.told(g)
}

func (t *Triage) task(g *group, tracker string, kind incident.TaskKind, payload any) {
	b, err := json.Marshal(payload)
	if err != nil {
		panic("BUG: ticket cannot be encoded: " + err.Error())
	}
	t.batch.change.Tasks = append(t.batch.change.Tasks, incident.Task{
		IncidentID: g.ID, Tracker: tracker, Key: g.TicketKey(), Kind: kind, Payload: b,
	})
}

// finish returns the change of the batch.
func (t *Triage) finish() incident.Change {
	c := t.batch.change
	c.Noise = t.batch.counted()
	for _, k := range t.batch.written {
		c.Alerts = append(c.Alerts, k.Alert)
	}
	for _, g := range t.batch.touched {
		i := g.Incident
		i.Trackers = slices.Clone(i.Trackers)
		c.Incidents = append(c.Incidents, i)
	}
	return c
}

// Commit tells that the last change was stored, and lets go of what is long over.
func (t *Triage) Commit() {
	for _, k := range t.batch.written {
		k.dirty, k.fresh, k.storedAt = false, false, k.UpdatedAt
	}
	for _, g := range t.batch.touched {
		g.Version++
		g.was, g.dirty, g.fired = g.Status, false, false
		t.letGo(g)
	}
	t.settled = t.batch.settled
	t.stats.commit(t.batch)
	t.batch = nil
	t.stats.Open = 0
	for _, g := range t.incidents {
		switch {
		case g.MergedInto != "":
			t.drop(g)
		case g.Status == incident.StatusOpen:
			t.stats.Open++
		case g.Firing == 0 && !t.recent(g):
			t.drop(g)
		}
	}
	t.trim()
}

// firing counts the members that fire.
func (g *group) firing() (n int) {
	for _, k := range g.members {
		if k.Status == incident.AlertFiring {
			n++
		}
	}
	return n
}

// firing names what fires in an incident, for its timeline.
func (t *Triage) firing(g *group) string {
	return t.list(g, func(k *known) bool { return k.Status == incident.AlertFiring }, "no alert fires any more")
}

// joinedText names what this batch brought.
func (t *Triage) joinedText(g *group) string {
	return "joined: " + t.list(g, func(k *known) bool { return k.fresh }, "no alert")
}

// maxListed bounds the alert names in a line of the timeline.
const maxListed = 8

func (t *Triage) list(g *group, which func(*known) bool, none string) string {
	counts := map[string]int{}
	for _, k := range g.members {
		if which(k) {
			counts[k.Name()]++
		}
	}
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	if len(names) == 0 {
		return none
	}
	var parts []string
	for i, n := range names {
		if i == maxListed {
			parts = append(parts, fmt.Sprintf("%d more", len(names)-i))
			break
		}
		if counts[n] > 1 {
			n = fmt.Sprintf("%s (%d)", n, counts[n])
		}
		parts = append(parts, n)
	}
	return strings.Join(parts, ", ")
}

func countAlerts(n int) string {
	if n == 1 {
		return "1 alert"
	}
	return fmt.Sprintf("%d alerts", n)
}

func (s *stats) commit(b *batch) {
	for _, m := range []struct {
		to   *map[string]int
		from map[string]int
	}{{&s.Outcomes, b.outcomes}, {&s.Incidents, b.events}, {&s.Rules, b.rules}} {
		if *m.to == nil {
			*m.to = map[string]int{}
		}
		for k, n := range m.from {
			(*m.to)[k] += n
		}
	}
	s.Truncated += b.hidden
}
