package triage

import (
	"slices"
	"time"

	"github.com/portent-dev/portent/internal/incident"
)

// An incident that goes on for ever gathers alerts for ever. Memory lets go of those
// that correlation looks at no more, beyond keepMembers of them, and keeps their number;
// the store has them, and what is heard of one brings it back. So memory is bounded by
// what correlation keeps, not by what ever came, or fires.
const (
	// keepMembers is far above an ordinary incident, and a bad outage of 3,000 alerts is
	// hardly touched: correlation still looks at most of it.
	keepMembers = 2000
	// keepFirst of an incident stay: what it is about rests on how it began.
	keepFirst = incident.FirstAlerts
	// loadedEach bounds the alerts of an incident that are read at the start: as many as
	// correlation keeps of a scope.
	loadedEach = 6000
	tryAgain   = 10 * time.Minute
)

// gone is what an incident knows of the alerts that memory let go of.
type gone struct {
	total, firing int
	lastEnd       time.Time
	// names are those that its tickets know.
	names map[string]bool
	// It is worth trying from next members on, or tryAgain after tried.
	next  int
	tried time.Time
}

// letGo lets go of what correlation is done with in a big incident.
func (t *Triage) letGo(g *group) {
	n := len(g.members)
	if n <= t.keep || n <= g.gone.next && t.now.Sub(g.gone.tried) < tryAgain {
		return
	}
	t.shed(g, min(keepFirst, t.keep), func(*known) bool { return true })
	g.gone.next, g.gone.tried = len(g.members)+len(g.members)/4, t.now
}

// shed lets go of those members, but the first so many, that correlation is done with and
// which says so.
func (t *Triage) shed(g *group, first int, which func(*known) bool) {
	if len(g.members) <= first {
		return
	}
	oldest := g.first()
	kept := g.members[:first:first]
	for _, k := range g.members[first:] {
		if k == oldest || k.dirty || t.cor.Live(k.handle) || !which(k) {
			kept = append(kept, k)
			continue
		}
		g.gone.add(k)
		t.forget(k)
		k.group = nil
	}
	g.members = kept
}

func (o *gone) add(k *known) {
	o.total++
	if k.Status == incident.AlertFiring {
		o.firing++
	} else if k.EndsAt.After(o.lastEnd) {
		o.lastEnd = k.EndsAt
	}
	if !k.joinUntold {
		o.know(k.Name())
	}
}

func (o *gone) know(name string) {
	if o.names == nil {
		o.names = map[string]bool{}
	}
	o.names[name] = true
}

// back makes a recalled alert a member of its incident again, if that is in memory and
// had let go of it.
func (t *Triage) back(k *known) {
	g := t.incidents[k.IncidentID]
	if k.group != nil || g == nil || g.gone.total == 0 || !slices.Contains(t.alerts[k.Fingerprint], k) {
		return
	}
	g.gone.total--
	if k.Status == incident.AlertFiring {
		g.gone.firing--
	}
	if g.names[k.Name()]--; g.names[k.Name()] <= 0 {
		delete(g.names, k.Name())
	}
	t.forget(k)
	t.join(g, k)
}

// size is the number of its alerts, in memory or not.
func (g *group) size() int { return len(g.members) + g.gone.total }

// LongSilent returns until when an alert that fires must have been heard of by now, when
// it is time to ask and there are such that memory let go of: whoever knows them shall
// tell Silent.
func (t *Triage) LongSilent(now time.Time) (before time.Time, ok bool) {
	if now.Before(t.nextExpiry) {
		return time.Time{}, false
	}
	for _, g := range t.incidents {
		if g.gone.firing > 0 {
			// What is stored may be a hundredth older than what was heard, see hear.
			ttl := time.Duration(t.policy.AlertTTL)
			return now.Add(-ttl - ttl/100), true
		}
	}
	return time.Time{}, false
}

// Silent takes back alerts that fire, which memory let go of and nobody heard of for long;
// the next Flush ends them.
func (t *Triage) Silent(as []incident.Alert) {
	for _, a := range as {
		if t.find(a.Fingerprint, a.StartsAt) >= 0 || t.incidents[a.IncidentID] == nil {
			continue
		}
		k := &known{Alert: a, storedAt: a.UpdatedAt, handle: handleOf(a.Fingerprint, a.StartsAt)}
		t.remember(k)
		t.back(k)
		if k.group == nil {
			t.forget(k)
		}
	}
	if len(as) > 0 {
		t.nextExpiry = time.Time{}
	}
}
