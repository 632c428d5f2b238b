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
// together, later when two do, and when a lone one lasts: the longer, the more often
// its rule fires. What usually fires, or did when we came, counts for none
// of it.
func (t *Triage) ticketAt(g *group) time.Time {
	at := never
	var calm, quiet []*known
	for _, k := range g.members {
		severity := t.policy.severity(k.Labels)
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
	slices.SortStableFunc(calm, func(a, b *known) int {
		return cmp.Or(a.StartsAt.Compare(b.StartsAt), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	for _, r := range []struct {
		n    int
		of   func(*known) string
		hold model.Duration
	}{
		{3, (*known).rulename, t.policy.HoldMany},
		{2, (*known).rulename, t.policy.HoldTogether},
		{3, (*known).subject, t.policy.HoldTogether},
		{2, (*known).subject, t.policy.HoldAlone},
	} {
		at = earliest(at, fireTogether(calm, r.n, r.of, time.Duration(r.hold)))
	}
	return at
}

// expected reports whether nobody needs to be told of a warning by itself: it
// fires again and again, or did for long, or since before we came.
func (k *known) expected() bool { return k.past.Alert >= usualFrom || k.past.Chronic || k.known }

// usualFrom is how often an alert must have fired in the day before to count as
// usual.
const usualFrom = 2

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

// fireTogether is when n alerts that differ in of have fired at the same time
// for so long; ks are by start.
func fireTogether(ks []*known, n int, of func(*known) string, hold time.Duration) time.Time {
	for i, b := range ks {
		d := b.StartsAt.Add(hold)
		if !b.firesAt(d) {
			continue
		}
		names := map[string]bool{of(b): true}
		for _, a := range ks[:i] {
			if a.firesAt(d) {
				names[of(a)] = true
			}
		}
		if len(names) >= n {
			return d
		}
	}
	return never
}
