package settings

import (
	"fmt"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// maxScope is how many labels a data source may be limited by.
const maxScope = 16

// scopeMatcher is a label that every query of the data source is limited by, as it is stored.
type scopeMatcher struct {
	Label string `json:"label"`
	Op    string `json:"op"` // = or =~; empty is =
	Value string `json:"value"`
}

// readScope compiles the matchers. Operators that say what something is not are refused: a scope that lets
// through all but one is not what anybody wants to rely on.
func readScope(given []scopeMatcher) ([]*labels.Matcher, error) {
	if len(given) > maxScope {
		return nil, fmt.Errorf("scope: %d labels, at most %d", len(given), maxScope)
	}
	var out []*labels.Matcher
	for _, m := range given {
		op := labels.MatchEqual
		switch m.Op {
		case "", "=":
		case "=~":
			op = labels.MatchRegexp
		default:
			return nil, fmt.Errorf("scope: label %q: got operator %q, want = or =~", m.Label, m.Op)
		}
		label := strings.TrimSpace(m.Label)
		if !model.LegacyValidation.IsValidLabelName(label) || label == model.MetricNameLabel {
			return nil, fmt.Errorf("scope: %q is not the name of a label", m.Label)
		}
		lm, err := labels.NewMatcher(op, label, m.Value)
		if err != nil {
			return nil, fmt.Errorf("scope: label %s: %q is not a regular expression: %w", label, m.Value, err)
		}
		if lm.Matches("") {
			return nil, fmt.Errorf("scope: label %s: %q lets through what has no such label: want a value", label, m.Value)
		}
		out = append(out, lm)
	}
	return out, nil
}

// readCost checks what is done with queries that cost too much.
func readCost(mode string) (string, error) {
	switch mode {
	case "":
		return "enforce", nil
	case "off", "warn", "enforce":
		return mode, nil
	}
	return "", fmt.Errorf("cost: got %q, want off, warn or enforce", mode)
}

// PerUser reports whether the server sees who asks, so that what it told one user must not be shown to another.
func (t Target) PerUser() bool { return t.conn.Auth == authForward || t.conn.ForwardUser }
