package triage

import (
	"cmp"
	"slices"
	"time"

	"github.com/portent-dev/portent/internal/incident"
)

// never is when an incident deserves a ticket that, as it is, does not.
var never = time.Unix(1<<40, 0)

// ticketAt is when an incident deserves a ticket, if what fires fires on. It goes
// by the times inside the alerts alone, so it does not matter when it is asked.
//
// A critical alert deserves one at once, after a short hold against flapping.
// Warnings do when two different ones that do not usually fire do so together for
// a while, or a lone one for long.
func (t *Triage) ticketAt(g *group) time.Time {
	at := never
	var calm []*known
	for _, k := range g.members {
		hold := time.Duration(t.policy.HoldCritical)
		critical := t.policy.severity(k.Labels) == incident.SeverityCritical
		switch {
		case t.policy.severity(k.Labels).Rank() < t.policy.TicketMinSeverity.Rank():
			continue
		case k.usual >= 2 && critical:
			hold = time.Duration(t.policy.HoldTogether)
		case k.usual >= 2:
			continue
		case critical:
		default:
			hold = time.Duration(t.policy.HoldAlone)
			calm = append(calm, k)
		}
		if d := k.StartsAt.Add(hold); d.Before(at) && k.firesAt(d) {
			at = d
		}
		if critical {
			calm = append(calm, k)
		}
	}
	return earliest(at, together(calm, time.Duration(t.policy.HoldTogether)))
}

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

// together is when two alerts of different names have fired at the same time for
// so long.
func together(ks []*known, hold time.Duration) time.Time {
	at := never
	slices.SortStableFunc(ks, func(a, b *known) int { return cmp.Or(a.StartsAt.Compare(b.StartsAt), cmp.Compare(a.Fingerprint, b.Fingerprint)) })
	for i, b := range ks {
		d := b.StartsAt.Add(hold)
		if !d.Before(at) {
			break
		}
		if !b.firesAt(d) {
			continue
		}
		for _, a := range ks[:i] {
			if a.Name() != b.Name() && a.firesAt(d) {
				at = d
				break
			}
		}
	}
	return at
}
