package triage

import (
	"context"
	"slices"
	"time"

	"github.com/portent-dev/portent/internal/incident"
)

// A RuleMatch is what one rule that keeps alerts out would have done.
type RuleMatch struct {
	// Rule is the name of the rule or of the window of maintenance.
	Rule string
	// Matches counts the alerts that it would have kept out, Examples are the names of some.
	Matches  int
	Examples []string
}

// maxExamples bounds the names that a preview shows of a rule.
const maxExamples = 5

// Preview tells for each window and rule of a policy which of some alerts it would have kept out, as each began. A rule
// with none is often one with a typing error. It fails when the policy is not valid.
func Preview(p Policy, alerts []incident.Alert) ([]RuleMatch, error) {
	c, err := p.compile()
	if err != nil {
		return nil, err
	}
	var out []RuleMatch
	at := map[string]int{}
	for _, w := range p.Maintenance {
		at[w.Name] = len(out)
		out = append(out, RuleMatch{Rule: w.Name})
	}
	for _, r := range p.Suppress {
		at[r.Name] = len(out)
		out = append(out, RuleMatch{Rule: r.Name})
	}
	for _, a := range alerts {
		rule, ok := c.keepsOut(a.Labels, a.StartsAt)
		if !ok {
			continue
		}
		m := &out[at[rule.Name]]
		if m.Matches++; len(m.Examples) < maxExamples && !slices.Contains(m.Examples, a.Name()) {
			m.Examples = append(m.Examples, a.Name())
		}
	}
	return out, nil
}

const (
	// previewed is how many alerts of the last week a preview looks at, the oldest of them first.
	previewed = 5000
	// enough is from how many alerts on a rule without a match is worth a warning.
	enough = 500
)

// Preview tells what the rules of a policy would have done with alerts of the last week, kept out or not, and how many of
// these it looked at.
func (r *Runner) Preview(ctx context.Context, p Policy) (matches []RuleMatch, of int, err error) {
	clock, err := r.o.Store.Clock(ctx)
	if err != nil {
		return nil, 0, err
	}
	var alerts []incident.Alert
	for _, suppressed := range []bool{true, false} {
		q := incident.AlertQuery{Suppressed: suppressed, Since: clock.Add(-7 * 24 * time.Hour), Limit: incident.MaxLimit}
		for n := 0; n < previewed/2; {
			as, next, err := r.o.Store.ListAlerts(ctx, q)
			if err != nil {
				return nil, 0, err
			}
			alerts = append(alerts, as...)
			n += len(as)
			if q.Cursor = next; next == "" {
				break
			}
		}
	}
	matches, err = Preview(p, alerts)
	return matches, len(alerts), err
}

// warn tells of rules that matched none of many alerts.
func (r *Runner) warn(ctx context.Context) {
	p := r.triage.policy.Policy
	ms, of, err := r.Preview(ctx, p)
	if err != nil || of < enough {
		return
	}
	builtin := map[string]bool{}
	for _, d := range DefaultPolicy().Suppress {
		builtin[d.Name] = true
	}
	for _, m := range ms {
		if m.Matches == 0 && !builtin[m.Rule] {
			r.o.Logger.Warn("rule_matches_nothing", "rule", m.Rule, "alerts", of, "hint", "no alert of the last week has these labels: look for a typing error in its matchers")
		}
	}
}
