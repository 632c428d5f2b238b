package policy

import (
	"fmt"
	"slices"
	"time"

	amlabels "github.com/prometheus/alertmanager/pkg/labels"
)

// Action is what is to be decided about.
type Action string

// The actions.
const (
	Ticket  Action = "ticket"
	Message Action = "message"
	// Remedy changes something in a cluster: it waits for a person unless a rule that names its tracker says auto.
	Remedy Action = "remedy"
)

// Outcome is what becomes of an action.
type Outcome string

// The outcomes.
const (
	Send Outcome = "send"
	// Hold: it waits for somebody to approve it.
	Hold Outcome = "hold"
	// Record: it is shown, and done only if somebody asks for it.
	Record Outcome = "record"
)

// DefaultRule names the part of the policy without a rule.
const DefaultRule = "default"

// An Input is what a decision is made from.
type Input struct {
	Action Action
	// Value returns the value of a label, empty when there is none.
	Value func(name string) string
	// Confidence is the routing confidence of the class, 0 to 1.
	Confidence float64
	// At is the time of the decision; in a replay that of the alerts.
	At time.Time
	// Killed: somebody pulled the kill switch.
	Killed bool
	// Sent returns when tickets were filed by a rule without a person, since a time,
	// at most most of them. It is asked only when a bound is set.
	Sent func(rule string, since time.Time, most int) []time.Time
}

// A Decision is what the policy says, and why.
type Decision struct {
	Outcome Outcome
	// Phase is the one that came out; Rule is the rule it comes from.
	Phase Phase
	Rule  string
	// Why are the reasons, each a sentence without a full stop.
	Why []string
	// Version is that of the policy.
	Version string
	// Approvals is how many persons it takes, TTL how long it waits for them.
	Approvals int
	TTL       time.Duration
	// Confidence is the input's.
	Confidence float64
}

// A Policy decides. It is immutable and safe for concurrent use.
type Policy struct {
	config  Config
	version string
	rules   []rule
}

// A rule is a Rule with everything filled in.
type rule struct {
	Config   // only what one rule can say is looked at
	name     string
	matchers amlabels.Matchers
	hours    *calendar
	hoursIs  string
	outside  Phase
}

// New compiles a valid configuration.
func New(c Config) (*Policy, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	v, err := version(c)
	if err != nil {
		return nil, err
	}
	p := &Policy{config: c, version: v}
	for _, r := range c.Rules {
		x := rule{Config: c, name: r.Name, hoursIs: r.Hours, outside: r.Outside}
		x.Phase = r.Phase
		if x.matchers, err = parseMatchers(r.Matchers); err != nil {
			return nil, err
		}
		if r.Hours != "" {
			if x.hours, err = c.Hours[r.Hours].compile(); err != nil {
				return nil, err
			}
		}
		set(&x.MinConfidence, r.MinConfidence)
		set(&x.Approvals, r.Approvals)
		set(&x.DraftTTL, r.DraftTTL)
		set(&x.MaxPerHour, r.MaxPerHour)
		set(&x.MaxPerDay, r.MaxPerDay)
		p.rules = append(p.rules, x)
	}
	p.rules = append(p.rules, rule{Config: c, name: DefaultRule})
	return p, nil
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// Version is a hash of what the policy says.
func (p *Policy) Version() string { return p.version }

// Config is what the policy was made of.
func (p *Policy) Config() Config { return p.config }

// Decide says what becomes of an action. What stands against auto makes it wait
// for a person: it is never dropped.
func (p *Policy) Decide(in Input) Decision {
	r := p.match(in.Value)
	d := Decision{
		Phase: r.Phase, Rule: r.name, Version: p.version, Approvals: r.Approvals, TTL: time.Duration(r.DraftTTL), Confidence: in.Confidence,
	}
	d.because("rule %q says %s", r.name, r.Phase)
	if r.hours != nil && !r.hours.open(in.At) {
		d.Phase = r.outside
		d.because("outside of the hours %q it says %s", r.hoursIs, r.outside)
	}
	if d.Phase == Auto {
		p.hold(&d, r, in)
	}
	if (in.Killed || p.config.KillSwitch) && d.Phase != Observe {
		d.because("the kill switch is on: nothing goes out that nobody approved")
		if in.Action == Message {
			d.Outcome = Record
			return d
		}
	}
	d.Outcome = outcome(in.Action, d.Phase)
	return d
}

func (p *Policy) match(value func(string) string) *rule {
next:
	for i := range p.rules {
		for _, m := range p.rules[i].matchers {
			if !m.Matches(value(m.Name)) {
				continue next
			}
		}
		return &p.rules[i]
	}
	panic("BUG: the default rule matches everything")
}

// hold makes auto a draft where something stands against it.
func (p *Policy) hold(d *Decision, r *rule, in Input) {
	if in.Action == Remedy && !r.names("tracker") {
		d.Phase = Draft
		d.because("a remedy waits for a person unless a rule with a matcher on tracker says auto")
	}
	if in.Action == Message {
		if in.Killed || p.config.KillSwitch {
			d.Phase = Draft
		}
		return
	}
	if in.Killed || p.config.KillSwitch {
		d.Phase = Draft
	}
	if in.Confidence < r.MinConfidence {
		d.Phase = Draft
		d.because("the confidence of this class is %.2f, auto wants %.2f", in.Confidence, r.MinConfidence)
	}
	for _, x := range []struct {
		most int
		per  time.Duration
		word string
	}{{r.MaxPerHour, time.Hour, "hour"}, {r.MaxPerDay, 24 * time.Hour, "day"}} {
		if x.most > 0 && in.Sent != nil && len(in.Sent(r.name, in.At.Add(-x.per), x.most)) >= x.most {
			d.Phase = Draft
			d.because("the bound of %d tickets by itself per %s is reached", x.most, x.word)
		}
	}
}

func (d *Decision) because(format string, args ...any) {
	d.Why = append(d.Why, fmt.Sprintf(format, args...))
}

// outcome is what a phase means for an action.
func outcome(a Action, p Phase) Outcome {
	switch p {
	case Observe:
		return Record
	case Suggest:
		if a == Message {
			return Send
		}
		return Record
	case Draft:
		if a == Message {
			return Send
		}
		return Hold
	case Auto:
		return Send
	}
	return Hold // no phase of ours passes Validate; whoever asks is safe with a person
}

// names reports whether the rule is about a label: one that only happens to match does not let a remedy go.
func (r *rule) names(label string) bool {
	return slices.ContainsFunc(r.matchers, func(m *amlabels.Matcher) bool { return m.Name == label })
}
