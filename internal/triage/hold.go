package triage

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/incident"
)

// never is when an incident deserves a ticket that, as it is, does not.
var never = time.Unix(1<<40, 0)

// A due is when an incident deserves a ticket, and why: of is what says so, of kind.
type due struct {
	at   time.Time
	kind reason
	hold time.Duration
	of   [2]*known
	n    int
}

// A reason for a ticket.
type reason uint8

const (
	reasonNone reason = iota
	reasonAlone
	reasonCritical
	reasonCriticalUsual
	reasonRules
	reasonAlerts
	reasonTied
	reasonComing
)

// why says it in words.
func (d due) why() string {
	hold := model.Duration(d.hold)
	switch d.kind {
	case reasonAlone:
		if hold == 0 {
			return d.of[0].Name() + " fires"
		}
		return fmt.Sprintf("%s went on for %s", d.of[0].Name(), hold)
	case reasonCritical:
		return d.of[0].Name() + " is critical"
	case reasonCriticalUsual:
		return fmt.Sprintf("%s is critical, though it often fires, and did for %s", d.of[0].Name(), hold)
	case reasonRules:
		return fmt.Sprintf("alerts of %d rules that belong together fired for %s", d.n, hold)
	case reasonAlerts:
		return fmt.Sprintf("%d alerts that belong together fired for %s", d.n, hold)
	case reasonTied:
		return fmt.Sprintf("%s and %s belong together and fired for %s", d.of[0].Name(), d.of[1].Name(), hold)
	case reasonComing:
		return fmt.Sprintf("%s began %d times within %s", d.of[0].Name(), d.n, model.Duration(comingWithin))
	case reasonNone:
	}
	return "it has one"
}

// or is the earlier of two.
func (d due) or(o due) due {
	if o.at.Before(d.at) {
		return o
	}
	return d
}

// ticketDue is when an incident deserves a ticket, if what fires fires on. It goes
// by the times inside the alerts alone, so it does not matter when it is asked.
//
// A critical alert deserves one at once, after a short hold against flapping.
// Warnings do soon when three different ones that do not usually fire belong
// together or two are tied closely, later when two are tied loosely, and when a lone one
// lasts: the longer, the more often its rule fires. What usually fires, or did when we came, counts for none
// of it.
func (t *Triage) ticketDue(g *group) due {
	if len(g.Trackers) > 0 { // it has, and keeps
		return due{at: earliest(g.ticket.at, t.now)}
	}
	return t.dueOf(g.members)
}

// dueOf is when alerts deserve a ticket together.
func (t *Triage) dueOf(members []*known) due {
	d := due{at: never}
	var calm, quiet []*known
	for _, k := range members {
		severity := t.severity(k)
		if severity.Rank() < t.policy.TicketMinSeverity.Rank() {
			if !k.expected() {
				quiet = append(quiet, k)
			}
			continue
		}
		if severity != incident.SeverityCritical && k.expected() {
			continue
		}
		d = d.or(t.alone(k, severity))
		calm = append(calm, k)
	}
	if len(calm) > 0 { // what deserves no ticket may bear witness to what does
		calm = append(calm, quiet...)
	}
	calm = calm[:min(len(calm), maxHeld)]
	slices.SortStableFunc(calm, func(a, b *known) int {
		return cmp.Or(a.StartsAt.Compare(b.StartsAt), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	ties := t.tied(calm)
	return d.or(t.together(calm, ties)).or(t.firePaired(calm, ties)).or(keepComing(calm))
}

// alone is when an alert deserves a ticket whatever else fires.
func (t *Triage) alone(k *known, severity incident.Severity) due {
	if severity != incident.SeverityCritical && k.common() {
		return due{at: never}
	}
	d := due{kind: reasonAlone, hold: time.Duration(t.policy.HoldAlone) * time.Duration(1+2*k.past.Rule), of: [2]*known{k}}
	if severity == incident.SeverityCritical {
		if d.kind, d.hold = reasonCritical, time.Duration(t.policy.HoldCritical); k.past.Alert >= usualFrom {
			d.kind, d.hold = reasonCriticalUsual, time.Duration(t.policy.HoldTogether)
		}
	}
	if d.at = k.StartsAt.Add(d.hold); !k.firesAt(d.at) {
		d.at = never
	}
	return d
}

// together is when so many alerts have fired at the same time that it is no chance: the
// looser the closest two of them are tied, the longer; ks are by start.
func (t *Triage) together(ks []*known, ties ties) due {
	d, busy := due{at: never}, 0.0
	if len(ks) > 0 { // where much fires three meet by chance sooner than two
		busy = t.cor.Busy(ks[0].handle)
	}
	for _, r := range []struct {
		n      int
		kind   reason
		of     func(*known) string
		hold   model.Duration
		tie    float64
		common bool
	}{
		{3, reasonRules, (*known).rulename, t.policy.HoldMany, chanceTie + 2*busy, true},
		{3, reasonRules, (*known).rulename, 2 * t.policy.HoldTogether, noTie, true},
		{3, reasonAlerts, (*known).subject, t.policy.HoldTogether, chanceTie + 2*busy, false},
		{3, reasonAlerts, (*known).subject, 2 * t.policy.HoldTogether, noTie, false},
		{2, reasonAlerts, (*known).subject, t.policy.HoldAlone, noTie, true},
	} {
		hold := time.Duration(r.hold)
		d = d.or(due{at: fireTogether(ks, r.n, r.of, hold, r.common, ties, r.tie), kind: r.kind, hold: hold, n: r.n})
	}
	return d
}

// ties are the log-odds that two alerts belong together, by their places; noTie where it
// is not known.
type ties [][]float64

// tied finds those of the first alerts; ks are by start.
func (t *Triage) tied(ks []*known) ties {
	m := make(ties, min(len(ks), maxPaired))
	for i := range m {
		m[i] = make([]float64, i)
		for j := range i {
			m[i][j] = noTie
			if z, ok := t.cor.Belief(ks[j].handle, ks[i].handle); ok {
				m[i][j] = z
			}
		}
	}
	return m
}

// firePaired is when two alerts of different rules have fired together for as long as
// their tie asks for: the closer it is, the less it may be chance; ks are by start.
func (t *Triage) firePaired(ks []*known, ties ties) due {
	d := due{at: never}
	for i := range ties {
		b := ks[i]
		for j, z := range ties[i] {
			a, hold := ks[j], time.Duration(t.policy.HoldTogether)
			switch {
			case a.Fingerprint == b.Fingerprint, a.common() && b.common() && z < closeTie:
				continue
			case a.Name() == b.Name():
				if z < sameTie {
					continue
				}
				hold *= 2
			case z >= closeTie:
				hold = time.Duration(t.policy.HoldMany)
			case z < pairTie:
				continue
			case z < looseTie:
				hold *= 2
			}
			if at := b.StartsAt.Add(hold); at.Before(d.at) && a.firesAt(at) && b.firesAt(at) {
				d = due{at: at, kind: reasonTied, hold: hold, of: [2]*known{a, b}}
			}
		}
	}
	return d
}

const (
	// maxHeld bounds the alerts of an incident without ticket that are looked at
	// together: so many deserve one or never do.
	maxHeld = 200
	// maxPaired bounds the alerts that are looked at in pairs, the earliest.
	maxPaired = 30
	// closeTie and looseTie are log-odds from which, and below which, two alerts are
	// more, and less, than a chance meeting; sameTie is that from which two of one rule
	// are. Three of which no two are tied by chanceTie may have met by chance, and two that
	// are tied by less than pairTie have. NoTie is less than any. Chosen on generated storms of four seeds, checked on others.
	closeTie  = 3
	looseTie  = 2
	chanceTie = 0
	pairTie   = -1
	sameTie   = 4
	noTie     = -9
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
func keepComing(ks []*known) due {
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
			return due{at: k.StartsAt, kind: reasonComing, of: [2]*known{k}, n: again}
		}
	}
	return due{at: never}
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

// fireTogether is when n alerts that differ in of, of which two are tied by as much as
// tie, and which are not all of common rules unless common says that this will do, have
// fired at the same time for so long; ks are by start.
func fireTogether(ks []*known, n int, of func(*known) string, hold time.Duration, common bool, ties ties, tie float64) time.Time {
	for i, b := range ks {
		d := b.StartsAt.Add(hold)
		if !b.firesAt(d) {
			continue
		}
		names, rare := map[string]bool{of(b): true}, !b.common()
		fire := []int{i}
		for j, a := range ks[:i] {
			if a.firesAt(d) {
				names[of(a)] = true
				rare = rare || !a.common()
				fire = append(fire, j)
			}
		}
		if len(names) >= n && (rare || common) && ties.among(fire, tie) {
			return d
		}
	}
	return never
}

// among reports whether two of some alerts are tied by as much as z.
func (m ties) among(ks []int, z float64) bool {
	if z <= noTie {
		return true
	}
	for _, i := range ks {
		for _, j := range ks {
			if j < i && i < len(m) && m[i][j] >= z {
				return true
			}
		}
	}
	return false
}
