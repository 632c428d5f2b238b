// Package policy says what may happen to an incident without a person: nothing
// but a record (observe), a message (suggest), a ticket that waits for somebody
// (draft), or a ticket at once (auto).
//
// A decision explains itself: it names the rule, the reasons and the version of
// the policy, so that it can be read in the audit chain a year later. The package
// is pure. It has no clock, no store and no network; how sure we are of a class
// of incidents and how much was sent already is told to it. It knows no model and
// no tracker.
package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	amlabels "github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/web"
)

// Phase is how far Portent goes by itself.
type Phase string

// The phases, in the order in which trust grows.
const (
	// Observe records what would have been done.
	Observe Phase = "observe"
	// Suggest sends messages and files nothing.
	Suggest Phase = "suggest"
	// Draft sends messages, and tickets once somebody has approved them.
	Draft Phase = "draft"
	// Auto sends all of it at once.
	Auto Phase = "auto"
)

var phases = []Phase{Observe, Suggest, Draft, Auto}

func (p Phase) known() bool { return slices.Contains(phases, p) }

// Config is the policy as it is written. Everything a rule leaves out is as
// outside of the rules.
type Config struct {
	// KillSwitch stops everything that no person approved, as the one on the
	// policy page does.
	KillSwitch bool `yaml:"kill_switch" json:"killSwitch"`
	// Phase of what no rule is about.
	Phase Phase `yaml:"phase" json:"phase"`
	// MinConfidence is the routing confidence, 0 to 1, below which auto is draft.
	MinConfidence float64 `yaml:"min_confidence" json:"minConfidence"`
	// Approvals is how many persons must approve a draft: 1 or 2.
	Approvals int `yaml:"approvals" json:"approvals"`
	// DraftTTL is how long a draft waits before it lapses.
	DraftTTL model.Duration `yaml:"draft_ttl" json:"draftTtl"`
	// MaxPerHour and MaxPerDay bound what one rule, or the part without a rule,
	// files by itself; what exceeds them waits as a draft. 0: no bound.
	MaxPerHour int `yaml:"max_per_hour" json:"maxPerHour"`
	MaxPerDay  int `yaml:"max_per_day" json:"maxPerDay"`
	// EscalateTo names trackers that get a ticket when somebody escalates.
	EscalateTo []string `yaml:"escalate_to" json:"escalateTo"`
	// Hours are named working hours.
	Hours map[string]Hours `yaml:"hours" json:"hours"`
	// Rules: the first that matches counts.
	Rules []Rule `yaml:"rules" json:"rules"`
}

// A Rule is the policy for a class of incidents, a cluster, or both.
type Rule struct {
	Name string `yaml:"name" json:"name"`
	// Matchers are written as in Alertmanager and match the labels of the incident
	// with severity, alertname (of its probable cause) and tracker.
	Matchers []string `yaml:"matchers" json:"matchers"`
	Phase    Phase    `yaml:"phase" json:"phase"`
	// Hours names working hours, outside of which Outside is the phase.
	Hours         string          `yaml:"hours" json:"hours,omitempty"`
	Outside       Phase           `yaml:"outside" json:"outside,omitempty"`
	MinConfidence *float64        `yaml:"min_confidence" json:"minConfidence,omitempty"`
	Approvals     *int            `yaml:"approvals" json:"approvals,omitempty"`
	DraftTTL      *model.Duration `yaml:"draft_ttl" json:"draftTtl,omitempty"`
	MaxPerHour    *int            `yaml:"max_per_hour" json:"maxPerHour,omitempty"`
	MaxPerDay     *int            `yaml:"max_per_day" json:"maxPerDay,omitempty"`
}

// DefaultConfig files tickets without asking, but for classes that people keep
// dismissing: from nine dismissals without a confirmation on, the confidence is
// below 0.3 and their tickets wait for somebody.
func DefaultConfig() Config {
	return Config{
		Phase: Auto, MinConfidence: 0.3, Approvals: 1, DraftTTL: model.Duration(7 * 24 * time.Hour),
		EscalateTo: []string{}, Hours: map[string]Hours{}, Rules: []Rule{},
	}
}

// maxRules bounds what is gone through for each ticket.
const maxRules = 1000

// Validate reports everything that is wrong, each with its key.
func (c *Config) Validate() error {
	errs := []error{
		c.validateLimits(),
	}
	if !c.Phase.known() {
		errs = append(errs, web.Invalid("phase", unknownPhase(c.Phase)))
	}
	for _, name := range sortedKeys(c.Hours) {
		h := c.Hours[name]
		errs = append(errs, web.Invalid("hours."+name, h.validate()))
	}
	if len(c.Rules) > maxRules {
		errs = append(errs, web.Invalid("rules", fmt.Errorf("%d: want at most %d", len(c.Rules), maxRules)))
	}
	names := map[string]bool{}
	for i := range c.Rules {
		r := &c.Rules[i]
		key := fmt.Sprintf("rules[%d]", i)
		if names[r.Name] {
			errs = append(errs, web.Invalid(key+".name", fmt.Errorf("%q is the name of an earlier rule", r.Name)))
		}
		names[r.Name] = true
		errs = append(errs, web.Invalid(key, r.validate(c.Hours)))
	}
	return errors.Join(errs...)
}

func (c *Config) validateLimits() error {
	return errors.Join(
		web.Invalid("min_confidence", checkConfidence(c.MinConfidence)),
		web.Invalid("approvals", checkApprovals(c.Approvals)),
		web.Invalid("draft_ttl", checkTTL(c.DraftTTL)),
		web.Invalid("max_per_hour", checkBound(c.MaxPerHour)),
		web.Invalid("max_per_day", checkBound(c.MaxPerDay)),
	)
}

func (r *Rule) validate(hours map[string]Hours) error {
	var errs []error
	add := func(key string, err error) { errs = append(errs, web.Invalid(key, err)) }
	if r.Name == "" || len(r.Name) > 60 || r.Name == DefaultRule {
		add("name", fmt.Errorf("%.80q: want 1 to 60 characters, and not %q", r.Name, DefaultRule))
	}
	if len(r.Matchers) == 0 {
		add("matchers", errors.New("is missing: a rule needs at least one; policy.phase is for the rest"))
	}
	if _, err := parseMatchers(r.Matchers); err != nil {
		add("matchers", err)
	}
	if !r.Phase.known() {
		add("phase", unknownPhase(r.Phase))
	}
	_, ok := hours[r.Hours]
	switch {
	case r.Hours != "" && !ok:
		add("hours", fmt.Errorf("no working hours are named %q; there are %s", r.Hours, listOr(sortedKeys(hours), "none")))
	case r.Hours != "" && !r.Outside.known():
		add("outside", unknownPhase(r.Outside))
	case r.Hours == "" && r.Outside != "":
		add("outside", errors.New("says nothing without hours"))
	}
	if r.MinConfidence != nil {
		add("min_confidence", checkConfidence(*r.MinConfidence))
	}
	if r.Approvals != nil {
		add("approvals", checkApprovals(*r.Approvals))
	}
	if r.DraftTTL != nil {
		add("draft_ttl", checkTTL(*r.DraftTTL))
	}
	if r.MaxPerHour != nil {
		add("max_per_hour", checkBound(*r.MaxPerHour))
	}
	if r.MaxPerDay != nil {
		add("max_per_day", checkBound(*r.MaxPerDay))
	}
	return errors.Join(errs...)
}

func unknownPhase(p Phase) error {
	return fmt.Errorf("%.40q: want observe, suggest, draft or auto", string(p))
}

func checkConfidence(v float64) error {
	if !(v >= 0 && v <= 1) {
		return fmt.Errorf("%v: want 0 to 1", v)
	}
	return nil
}

func checkApprovals(n int) error {
	if n != 1 && n != 2 {
		return fmt.Errorf("%d: want 1 or 2", n)
	}
	return nil
}

func checkTTL(d model.Duration) error {
	if t := time.Duration(d); t < time.Minute || t > 366*24*time.Hour {
		return fmt.Errorf("%s: want 1m to 366d", d)
	}
	return nil
}

func checkBound(n int) error {
	if n < 0 || n > MaxBound {
		return fmt.Errorf("%d: want 0 for no bound, or up to %d", n, MaxBound)
	}
	return nil
}

// MaxBound is the greatest rate limit: what was sent is listed to hold against it.
const MaxBound = 10_000

func parseMatchers(in []string) (amlabels.Matchers, error) {
	var out amlabels.Matchers
	for _, s := range in {
		m, err := amlabels.ParseMatcher(s)
		if err != nil {
			return nil, fmt.Errorf("%q is not a matcher such as cluster=\"prod\": %w", s, err)
		}
		out = append(out, m)
	}
	return out, nil
}

// version is a hash of what the policy says: equal policies have equal versions.
func version(c Config) (string, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6]), nil
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func listOr(names []string, none string) string {
	if len(names) == 0 {
		return none
	}
	return strings.Join(names, ", ")
}
