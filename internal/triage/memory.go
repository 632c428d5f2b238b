package triage

import (
	"slices"

	"github.com/portent-dev/portent/internal/incident"
)

// maxRemembered bounds the alerts in memory, at about 2 KB each, as far as they are of incidents that ended: those of the
// longest ago are forgotten first. At usual rates an incident is kept for policy.memory, and all this is never reached; in a
// storm that lasts, memory stays flat. What is forgotten is in the store, which is asked about an alert that comes again, so
// only correlation has less to compare with. Alerts of open incidents are needed, and are as many as fire.
const maxRemembered = 100_000

// trim forgets incidents that ended until memory is within its bound again, a tenth below it, so that it need not be done
// with every batch.
func (t *Triage) trim() {
	if t.stats.Alerts <= t.most {
		return
	}
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
}
