package triage

import (
	"maps"
	"slices"
	"time"

	"github.com/portent-dev/portent/internal/alert"
	"github.com/portent-dev/portent/internal/noise"
)

// teamLabels name who owns an alert, the first that is there counts.
var teamLabels = []string{"team", "owner", "squad"}

// maxRules bounds the rules and teams that are counted apart on one day, so that labels
// which change with every alert do not fill the store.
const maxRules = 2000

// seenRules are the rules of the day that correlation has reached.
type seenRules struct {
	day   time.Time
	names map[[3]string]bool
}

// tallied returns the count of a rule of today.
func (t *Triage) tallied(rule, team, kept string) *noise.Count {
	day := t.now.UTC().Truncate(24 * time.Hour)
	if !t.rules.day.Equal(day) {
		t.rules = seenRules{day, map[[3]string]bool{}}
	}
	if name := [3]string{rule, team, kept}; !t.rules.names[name] {
		if len(t.rules.names) >= maxRules {
			rule, team = noise.Others, ""
		} else {
			t.rules.names[name] = true
		}
	}
	key := noise.Count{Day: day, Rule: rule, Team: team, Kept: kept}
	c := t.batch.noise[key]
	if c == nil {
		c = &noise.Count{Day: day, Rule: rule, Team: team, Kept: kept}
		t.batch.noise[key] = c
	}
	return c
}

func (t *Triage) ruleOf(labels map[string]string, kept string) *noise.Count {
	name := labels["alertname"]
	if name == "" {
		name = "(no alertname)"
	}
	for _, l := range teamLabels {
		if v := labels[l]; v != "" {
			return t.tallied(name, v, kept)
		}
	}
	return t.tallied(name, "", kept)
}

// heard counts one notification with its alerts.
func (t *Triage) heard(as []alert.Alert) {
	t.tallied("", "", "").Notices++
	for _, a := range as {
		kept := ""
		if rule, ok := t.policy.keepsOut(a.Labels, t.now); ok {
			kept = rule.Name
		}
		t.ruleOf(a.Labels, kept).Notices++
	}
}

// counted returns the counts of the batch.
func (b *batch) counted() []noise.Count {
	out := make([]noise.Count, 0, len(b.noise))
	for c := range maps.Values(b.noise) {
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b noise.Count) int { return a.Compare(b) })
	return out
}
