package triage

import (
	"cmp"
	"slices"
	"time"

	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/incident"
)

// never is when an incident deserves a ticket that, as it is, does not.
var never = time.Unix(1<<40, 0)

// ticketAt is when an incident deserves a ticket, if what fires fires on. It goes
// by the times inside the alerts alone, so it does not matter when it is asked.
//
// A critical alert deserves one at once, after a short hold against flapping.
// Warnings do soon when three different ones that do not usually fire belong
// together or two are tied closely, later when two are tied loosely, and when a lone one
// lasts: the longer, the more often its rule fires. What usually fires, or did when we came, counts for none
// of it.
func (t *Triage) ticketAt(g *group) time.Time {
	at := never
	var calm, quiet []*known
	if len(g.Trackers) > 0 {
		return earliest(g.ticketAt, t.now) // it has, and keeps
	}
	for _, k := range g.members {
		severity := t.severity(k)
		if severity.Rank() < t.policy.TicketMinSeverity.Rank() {
			if !k.expected() {
				quiet = append(quiet, k)
			}
			continue
		}
		var hold time.Duration
		switch critical := severity == incident.SeverityCritical; {
		case critical && k.past.Alert < usualFrom:
			hold = time.Duration(t.policy.HoldCritical)
		case critical:
			hold = time.Duration(t.policy.HoldTogether)
		case k.expected():
			continue
		default:
			hold = time.Duration(t.policy.HoldAlone) * time.Duration(1+2*k.past.Rule)
		}
		if d := k.StartsAt.Add(hold); d.Before(at) && k.firesAt(d) {
			at = d
		}
		calm = append(calm, k)
	}
	if len(calm) > 0 { // what deserves no ticket may bear witness to what does
		calm = append(calm, quiet...)
	}
	calm = calm[:min(len(calm), maxHeld)]
	slices.SortStableFunc(calm, func(a, b *known) int {
		return cmp.Or(a.StartsAt.Compare(b.StartsAt), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	for _, r := range []struct {
		n      int
		of     func(*known) string
		hold   model.Duration
		common bool
	}{
		{3, (*known).rulename, t.policy.HoldMany, true},
		{3, (*known).subject, t.policy.HoldTogether, false},
		{2, (*known).subject, t.policy.HoldAlone, true},
	} {
		at = earliest(at, fireTogether(calm, r.n, r.of, time.Duration(r.hold), r.common))
	}
	at = earliest(at, t.firePaired(calm))
	return earliest(at, keepComing(calm))
}

// firePaired is when two alerts of different rules have fired together for as long as
// their tie asks for: the closer it is, the less it may be chance; ks are by start.
func (t *Triage) firePaired(ks []*known) time.Time {
	at := never
	for i, b := range ks[:min(len(ks), maxPaired)] {
		for _, a := range ks[:i] {
			hold := time.Duration(t.policy.HoldTogether)
			z, ok := t.cor.Belief(a.handle, b.handle)
			switch {
			case a.Fingerprint == b.Fingerprint, a.common() && b.common() && (!ok || z < closeTie):
				continue
			case a.Name() == b.Name():
				if !ok || z < sameTie {
					continue
				}
				hold *= 2
			case ok && z >= closeTie:
				hold = time.Duration(t.policy.HoldMany)
			case ok && z < looseTie:
				hold *= 2
			}
			if d := b.StartsAt.Add(hold); d.Before(at) && a.firesAt(d) && b.firesAt(d) {
				at = d
			}
		}
	}
	return at
}

const (
	// maxHeld bounds the alerts of an incident without ticket that are looked at
	// together: so many deserve one or never do.
	maxHeld = 200
	// maxPaired bounds the alerts that are looked at in pairs, the earliest.
	maxPaired = 30
	// closeTie and looseTie are log-odds from which, and below which, two alerts are
	// more, and less, than a chance meeting; sameTie is that from which two of one rule
	// are. Chosen on generated storms of four seeds, checked on others.
	closeTie = 3
	looseTie = 2
	sameTie  = 4
)

const (
	// An alert that begins againFirings times within comingWithin, beside another
	// rule's, deserves a ticket however short each firing is: a link that goes up and
	// down.
	againFirings = 3
	comingWithin = 90 * time.Minute
)

// keepComing is when an alert that does not usually fire has begun so often, with
// company, that it is news; ks are by start.
func keepComing(ks []*known) time.Time {
	for i, k := range ks {
		again, company := 0, false
		for _, o := range ks[:i+1] {
			if k.StartsAt.Sub(o.StartsAt) > comingWithin {
				continue
			}
			if o.Fingerprint == k.Fingerprint {
				again++
			}
			company = company || o.Name() != k.Name()
		}
		if again >= againFirings && company {
			return k.StartsAt
		}
	}
	return never
}

// expected reports whether nobody needs to be told of a warning by itself: it
// fires again and again, or did for long, or since before we came.
func (k *known) expected() bool { return k.past.Alert >= usualFrom || k.past.Chronic || k.known }

// commonFrom is how often a rule must have fired in its scope in the day before to
// count as common.
const commonFrom = 8

// usualFrom is how often an alert must have fired in the day before to count as
// usual.
const usualFrom = 2

// common reports whether the rule of an alert fires so often in its scope that several
// such at a time are no news: only with another they are.
func (k *known) common() bool {
	return k.past.Rule >= commonFrom
}

func (k *known) rulename() string { return k.Name() }
func (k *known) subject() string  { return k.Fingerprint }

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// firesAt reports whether an alert fires at a time, or will if it fires on.
func (k *known) firesAt(at time.Time) bool {
	return k.Status == incident.AlertFiring || !k.EndsAt.Before(at)
}

// fireTogether is when n alerts that differ in of, and are not all of common rules
// unless common says that this will do, have fired at the same time for so long; ks are
// by start.
func fireTogether(ks []*known, n int, of func(*known) string, hold time.Duration, common bool) time.Time {
	for i, b := range ks {
		d := b.StartsAt.Add(hold)
		if !b.firesAt(d) {
			continue
		}
		names, rare := map[string]bool{of(b): true}, !b.common()
		for _, a := range ks[:i] {
			if a.firesAt(d) {
				names[of(a)] = true
				rare = rare || !a.common()
			}
		}
		if len(names) >= n && (rare || common) {
			return d
		}
	}
	return never
}
