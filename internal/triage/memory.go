package triage

import (
	"maps"
	"slices"

	"github.com/portent-dev/portent/internal/incident"
)

// maxRemembered bounds the alerts in memory, at about 2 KB each, as far as they are of incidents that ended: those of the
// longest ago are forgotten first, then those that ended of incidents that are open. At usual rates an incident is kept for
// policy.memory, and all this is never reached; in a storm that lasts, memory stays flat. What is forgotten is in the store, which is asked about an alert that comes again, so
// only correlation has less to compare with. Alerts that fire are needed, but for those of big incidents; see letGo.
const maxRemembered = 100_000

// keepFew is how many alerts an open incident keeps at least.
const keepFew = 10

// trim forgets incidents that ended until memory is within its bound again, a tenth below it, so that it need not be done
// with every batch. Where that is not to be had, it is tried again when there are a tenth more.
func (t *Triage) trim() {
	if t.stats.Alerts <= max(t.most, t.trimAt) {
		return
	}
	defer func() { t.trimAt = t.stats.Alerts + t.most/10 }()
	var ended []*group
	for _, g := range t.incidents {
		if g.Status != incident.StatusOpen && g.Firing == 0 {
			ended = append(ended, g)
		}
	}
	slices.SortFunc(ended, func(a, b *group) int { return a.UpdatedAt.Compare(b.UpdatedAt) })
	for _, g := range ended {
		if t.stats.Alerts <= t.most-t.most/10 {
			return
		}
		t.drop(g)
	}
	t.trimOpen()
}

// trimOpen lets go of alerts that ended of incidents that are open, as far as correlation is done with them, the oldest
// incident first.
func (t *Triage) trimOpen() {
	if !t.learned {
		return // correlation knows none of them yet
	}
	over := func(k *known) bool { return k.Status == incident.AlertResolved }
	for _, id := range slices.Sorted(maps.Keys(t.incidents)) { // the oldest first
		if t.stats.Alerts <= t.most-t.most/10 {
			return
		}
		t.shed(t.incidents[id], keepFew, over)
	}
}
