package app

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/policy"
	"github.com/portent-dev/portent/internal/triage"
)

// gateStore is what the policy is told by the store.
type gateStore interface {
	Verdicts(ctx context.Context, cluster, class string, n int) ([]incident.Feedback, error)
	FiledBy(ctx context.Context, rule string, since time.Time, limit int) (map[string]time.Time, error)
	Switch(ctx context.Context, name string) (outbox.Switch, error)
}

// gater asks the policy for each ticket. When the store cannot tell what the policy needs to know, the ticket waits
// for somebody. Safe for concurrent use.
type gater struct {
	store  gateStore
	log    *slog.Logger
	policy atomic.Pointer[policy.Policy]
	// action is what sending something to a tracker is, and what it does besides filing a text, for whoever approves
	// it; "" for nothing.
	action func(tracker string) (action policy.Action, does string)
	// declared is action's words with the hash of what is declared.
	declared func(tracker string) (does, declaration string)

	mu sync.Mutex
	// sent is what was decided since the start under rules with a bound: the store knows it only when the batch
	// that it belongs to was written.
	sent map[string]map[string]time.Time
}

func newGater(store gateStore, log *slog.Logger) *gater {
	return &gater{
		store: store, log: log, sent: map[string]map[string]time.Time{}, action: func(string) (policy.Action, string) { return policy.Ticket, "" },
		declared: nothing,
	}
}

// nothing is what most trackers do besides filing words.
func nothing(string) (does, declaration string) { return "", "" }

var _ triage.Gate = (*gater)(nil).gate

// gateTimeout bounds what the policy may ask of the store: triage waits for it.
const gateTimeout = 2 * time.Second

// gate says what becomes of a ticket of inc in a tracker.
func (g *gater) gate(now time.Time, inc incident.Incident, tracker string) incident.Gate {
	ctx, cancel := context.WithTimeout(context.Background(), gateTimeout)
	defer cancel()
	p := g.policy.Load()
	key := inc.ID + "/" + tracker
	value := incidentValue(inc)
	action, does := g.action(tracker)
	in := policy.Input{
		Action: action, At: now, Killed: g.killed(ctx),
		Value: func(name string) string {
			if name == "tracker" {
				return tracker
			}
			return value(name)
		},
		Sent: func(rule string, since time.Time, most int) []time.Time { return g.filed(ctx, rule, key, since, most) },
	}
	if tally, err := g.tally(ctx, inc); err == nil {
		in.Confidence = tally.Confidence()
	} else {
		g.log.Error("confidence_unknown", "err", err, "hint", "the ticket waits for somebody")
	}
	d := p.Decide(in)
	if does != "" {
		d.Why = append([]string{"it would " + does}, d.Why...)
	}
	out := incident.Gate{Phase: string(d.Phase), Rule: d.Rule, Policy: d.Version, Why: d.Why, DecidedAt: now}
	switch d.Outcome {
	case policy.Send:
		g.note(d.Rule, key, now)
	case policy.Hold:
		out.Outcome, out.Approvals, out.Expires = incident.GateHold, d.Approvals, time.Now().Add(d.TTL)
	case policy.Record:
		out.Outcome, out.Approvals = incident.GateRecord, d.Approvals
	}
	return out
}

// needs is how many persons the policy of now wants for a ticket: a draft that waits from before a reload takes as many, if
// that is more than when it was made.
func (g *gater) needs(now time.Time, inc incident.Incident, tracker string) int {
	action, _ := g.action(tracker)
	value := incidentValue(inc)
	return g.policy.Load().Decide(policy.Input{Action: action, At: now, Value: func(name string) string {
		if name == "tracker" {
			return tracker
		}
		return value(name)
	}}).Approvals
}

// killed reports whether nothing may go out that nobody approved.
func (g *gater) killed(ctx context.Context) bool {
	w, err := g.store.Switch(ctx, outbox.KillSwitch)
	if err != nil {
		g.log.Error("kill_switch_unknown", "err", err, "hint", "taken as engaged")
	}
	return err != nil || w.Engaged
}

// byConfig reports whether the configuration engages the kill switch.
func (g *gater) byConfig() bool {
	p := g.policy.Load()
	return p != nil && p.Config().KillSwitch
}

// tally counts the verdicts on the class of an incident.
func (g *gater) tally(ctx context.Context, inc incident.Incident) (policy.Tally, error) {
	cluster, class := inc.Class()
	vs, err := g.store.Verdicts(ctx, cluster, class, policy.Window)
	return tallyOf(vs), err
}

func tallyOf(vs []incident.Feedback) (t policy.Tally) {
	for _, v := range vs {
		switch v.Verdict {
		case incident.VerdictConfirmed:
			t.Confirmed++
		case incident.VerdictDismissed:
			t.Dismissed++
		case incident.VerdictNone:
		}
	}
	return t
}

// filed returns when tickets but key were filed by a rule since a time.
func (g *gater) filed(ctx context.Context, rule, key string, since time.Time, most int) []time.Time {
	all, err := g.store.FiledBy(ctx, rule, since, most)
	if err != nil {
		g.log.Error("rate_unknown", "err", err, "hint", "the ticket waits for somebody")
		return make([]time.Time, most)
	}
	g.mu.Lock()
	for k, at := range g.sent[rule] {
		if !at.Before(since) {
			all[k] = at
		}
	}
	g.mu.Unlock()
	delete(all, key)
	var out []time.Time
	for _, at := range all {
		out = append(out, at)
	}
	return out
}

// note remembers what was let go. What is older than a day counts no more; beyond the greatest bound nothing
// needs to be remembered.
func (g *gater) note(rule, key string, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := g.sent[rule]
	if m == nil {
		m = map[string]time.Time{}
		g.sent[rule] = m
	}
	if len(m) > policy.MaxBound {
		maps.DeleteFunc(m, func(_ string, at time.Time) bool { return now.Sub(at) > 24*time.Hour })
	}
	if len(m) <= policy.MaxBound {
		m[key] = now
	}
}

// replace takes over another policy. What was counted for rules that are gone is forgotten.
func (g *gater) replace(p *policy.Policy) {
	g.policy.Store(p)
	names := map[string]bool{policy.DefaultRule: true}
	for _, r := range p.Config().Rules {
		names[r.Name] = true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	maps.DeleteFunc(g.sent, func(rule string, _ map[string]time.Time) bool { return !names[rule] })
}
