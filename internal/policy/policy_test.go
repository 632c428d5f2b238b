package policy_test

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/portent-dev/portent/internal/policy"
)

func ptr[T any](v T) *T { return &v }

func at(t *testing.T, s string) time.Time {
	t.Helper()
	out, err := time.Parse(time.RFC3339, s)
	require.NoError(t, err)
	return out
}

func input(kv ...string) policy.Input {
	m := map[string]string{}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i]] = kv[i+1]
	}
	return policy.Input{Action: policy.Ticket, Value: func(n string) string { return m[n] }, Confidence: 0.8, At: time.Unix(1e9, 0)}
}

func compile(t *testing.T, change func(*policy.Config)) *policy.Policy {
	t.Helper()
	c := policy.DefaultConfig()
	if change != nil {
		change(&c)
	}
	p, err := policy.New(c)
	require.NoError(t, err)
	return p
}

func TestTheDefaultFilesAtOnce(t *testing.T) {
	p := compile(t, nil)
	d := p.Decide(input())
	require.Equal(t, policy.Send, d.Outcome)
	require.Equal(t, policy.Auto, d.Phase)
	require.Equal(t, policy.DefaultRule, d.Rule)
	require.Equal(t, []string{`rule "default" says auto`}, d.Why)
	require.Len(t, d.Version, 12)
	require.Equal(t, 1, d.Approvals)
}

func TestPhases(t *testing.T) {
	for _, x := range []struct {
		phase           policy.Phase
		ticket, message policy.Outcome
	}{
		{policy.Observe, policy.Record, policy.Record},
		{policy.Suggest, policy.Record, policy.Send},
		{policy.Draft, policy.Hold, policy.Send},
		{policy.Auto, policy.Send, policy.Send},
	} {
		p := compile(t, func(c *policy.Config) { c.Phase = x.phase })
		in := input()
		require.Equal(t, x.ticket, p.Decide(in).Outcome, x.phase)
		in.Action = policy.Message
		require.Equal(t, x.message, p.Decide(in).Outcome, x.phase)

		in.Killed = true
		require.Equal(t, policy.Record, p.Decide(in).Outcome, "a message under the kill switch")
		in.Action = policy.Ticket
		require.NotEqual(t, policy.Send, p.Decide(in).Outcome, "a ticket under the kill switch")
	}
	killed := compile(t, func(c *policy.Config) { c.KillSwitch = true }).Decide(input())
	require.Equal(t, policy.Hold, killed.Outcome)
	require.Contains(t, strings.Join(killed.Why, "; "), "kill switch")
}

func TestTheFirstRuleCounts(t *testing.T) {
	p := compile(t, func(c *policy.Config) {
		c.Rules = []policy.Rule{
			{Name: "staging", Matchers: []string{`cluster=~"staging.*"`}, Phase: policy.Observe},
			{Name: "disks", Matchers: []string{`alertname="DiskFull"`, `tracker="jira"`}, Phase: policy.Draft, Approvals: ptr(2), DraftTTL: ptr(model.Duration(time.Hour))},
		}
	})
	f := func(rule string, want policy.Outcome, kv ...string) policy.Decision {
		t.Helper()
		d := p.Decide(input(kv...))
		require.Equal(t, rule, d.Rule)
		require.Equal(t, want, d.Outcome)
		return d
	}
	f("staging", policy.Record, "cluster", "staging-1", "alertname", "DiskFull", "tracker", "jira")
	d := f("disks", policy.Hold, "cluster", "prod", "alertname", "DiskFull", "tracker", "jira")
	require.Equal(t, 2, d.Approvals)
	require.Equal(t, time.Hour, d.TTL)
	f("default", policy.Send, "cluster", "prod", "alertname", "DiskFull", "tracker", "local")
}

func TestWhatStandsAgainstAuto(t *testing.T) {
	p := compile(t, func(c *policy.Config) { c.MaxPerHour, c.MaxPerDay = 2, 3 })
	in := input()
	var sent []time.Time
	in.Sent = func(rule string, since time.Time, most int) []time.Time {
		require.Equal(t, policy.DefaultRule, rule)
		var out []time.Time
		for _, s := range sent {
			if !s.Before(since) {
				out = append(out, s)
			}
		}
		return out[:min(most, len(out))]
	}
	require.Equal(t, policy.Send, p.Decide(in).Outcome)
	sent = []time.Time{in.At.Add(-10 * time.Minute), in.At}
	d := p.Decide(in)
	require.Equal(t, policy.Hold, d.Outcome)
	require.Contains(t, strings.Join(d.Why, "; "), "bound of 2 tickets by itself per hour")
	sent = []time.Time{in.At.Add(-20 * time.Hour), in.At.Add(-10 * time.Hour), in.At.Add(-2 * time.Hour)}
	require.Equal(t, policy.Hold, p.Decide(in).Outcome, "the day")
	sent = sent[1:]
	require.Equal(t, policy.Send, p.Decide(in).Outcome)

	in.Confidence = 0.29
	d = p.Decide(in)
	require.Equal(t, policy.Hold, d.Outcome)
	require.Contains(t, strings.Join(d.Why, "; "), "0.29")
	in.Action = policy.Message
	require.Equal(t, policy.Send, p.Decide(in).Outcome, "a message asks for no confidence")
}

func TestHours(t *testing.T) {
	p := compile(t, func(c *policy.Config) {
		c.Hours = map[string]policy.Hours{
			"office": {TimeZone: "Europe/Berlin", Days: []string{"mon", "tue", "wed", "thu", "fri"}, From: "09:00", To: "17:30", Holidays: []string{"2026-12-25"}},
			"night":  {TimeZone: "America/New_York", Days: []string{"fri"}, From: "22:00", To: "06:00"},
			"all":    {From: "00:00", To: "24:00"},
		}
		for _, h := range []string{"office", "night", "all"} {
			c.Rules = append(c.Rules, policy.Rule{Name: h, Matchers: []string{`h="` + h + `"`}, Phase: policy.Auto, Hours: h, Outside: policy.Draft})
		}
	})
	f := func(hours, when string, open bool) {
		t.Helper()
		in := input("h", hours)
		in.At = at(t, when)
		require.Equal(t, open, p.Decide(in).Phase == policy.Auto, when)
	}
	f("office", "2026-11-23T08:00:00Z", true) // Monday, 09:00 in Berlin
	f("office", "2026-11-23T07:59:59Z", false)
	f("office", "2026-11-23T16:29:59Z", true)
	f("office", "2026-11-23T16:30:00Z", false)
	f("office", "2026-11-22T12:00:00Z", false) // Sunday
	f("office", "2026-12-25T12:00:00Z", false) // a holiday, on a Friday
	f("office", "2026-07-06T07:00:00Z", true)  // summer time: 09:00 again
	f("night", "2026-11-21T03:00:00Z", true)   // Friday 22:00 in New York
	f("night", "2026-11-21T10:59:00Z", true)   // Saturday 05:59, begun on Friday
	f("night", "2026-11-21T11:00:00Z", false)
	f("night", "2026-11-22T03:30:00Z", false) // Saturday 22:30
	f("all", "2026-11-22T23:59:59Z", true)
}

func TestTheVersionIsThatOfTheContent(t *testing.T) {
	a, b := compile(t, nil), compile(t, nil)
	require.Equal(t, a.Version(), b.Version())
	c := compile(t, func(c *policy.Config) {
		c.Rules = []policy.Rule{{Name: "x", Matchers: []string{`a="b"`}, Phase: policy.Draft}}
	})
	require.NotEqual(t, a.Version(), c.Version())
}

func TestValidateNamesWhatIsWrong(t *testing.T) {
	f := func(want string, change func(*policy.Config)) {
		t.Helper()
		c := policy.DefaultConfig()
		change(&c)
		require.ErrorContains(t, c.Validate(), want)
		_, err := policy.New(c)
		require.Error(t, err)
	}
	rule := func(change func(*policy.Rule)) func(*policy.Config) {
		return func(c *policy.Config) {
			r := policy.Rule{Name: "r", Matchers: []string{`a="b"`}, Phase: policy.Draft}
			change(&r)
			c.Rules = append(c.Rules, r)
		}
	}
	f("phase", func(c *policy.Config) { c.Phase = "manual" })
	f("min_confidence", func(c *policy.Config) { c.MinConfidence = 1.1 })
	f("approvals", func(c *policy.Config) { c.Approvals = 3 })
	f("draft_ttl", func(c *policy.Config) { c.DraftTTL = 0 })
	f("max_per_hour", func(c *policy.Config) { c.MaxPerHour = -1 })
	f("rules[0]: matchers", rule(func(r *policy.Rule) { r.Matchers = []string{"a=~("} }))
	f("rules[0]: matchers", rule(func(r *policy.Rule) { r.Matchers = nil }))
	f("rules[0]: name", rule(func(r *policy.Rule) { r.Name = "default" }))
	f("rules[0]: hours", rule(func(r *policy.Rule) { r.Hours, r.Outside = "office", policy.Draft }))
	f("rules[0]: outside", rule(func(r *policy.Rule) { r.Outside = policy.Draft }))
	f("rules[1].name", func(c *policy.Config) { rule(func(*policy.Rule) {})(c); rule(func(*policy.Rule) {})(c) })
	f("hours.x: time_zone", func(c *policy.Config) {
		c.Hours = map[string]policy.Hours{"x": {TimeZone: "Mars/Base", From: "09:00", To: "17:00"}}
	})
	f("hours.x: from", func(c *policy.Config) { c.Hours = map[string]policy.Hours{"x": {From: "9", To: "17:00"}} })
	f("hours.x: days[0]", func(c *policy.Config) {
		c.Hours = map[string]policy.Hours{"x": {Days: []string{"monday"}, From: "09:00", To: "17:00"}}
	})
}

func TestBelief(t *testing.T) {
	var none policy.Tally
	require.InDelta(t, 0.8, none.Confidence(), 1e-12)
	low, high := none.Interval(0.9)
	// Beta(4, 1) has the distribution x^4.
	require.InDelta(t, 0.47287, low, 1e-4)
	require.InDelta(t, 0.98726, high, 1e-4)

	require.GreaterOrEqual(t, policy.Tally{Dismissed: 8}.Confidence(), 0.3)
	require.Less(t, policy.Tally{Dismissed: 9}.Confidence(), 0.3)
	require.Greater(t, policy.Tally{Dismissed: policy.Window}.Confidence(), 0.07)
	require.Less(t, policy.Tally{Confirmed: policy.Window}.Confidence(), 0.99)
	low, high = policy.Tally{Confirmed: 6, Dismissed: 9}.Interval(0.9)
	// Beta(10, 10), whose density was integrated numerically in 20,000 steps.
	require.InDelta(t, 0.32009, low, 1e-4)
	require.InDelta(t, 1-0.32009, high, 1e-4)
}

func FuzzConfig(f *testing.F) {
	f.Add("staging", `cluster="x"`, "Europe/Berlin", "09:00", "17:00")
	f.Fuzz(func(t *testing.T, name, matcher, zone, from, to string) {
		c := policy.DefaultConfig()
		c.Hours = map[string]policy.Hours{"h": {TimeZone: zone, From: from, To: to}}
		c.Rules = []policy.Rule{{Name: name, Matchers: []string{matcher}, Phase: policy.Auto, Hours: "h", Outside: policy.Draft}}
		p, err := policy.New(c)
		if err != nil {
			return
		}
		if got := p.Decide(input("cluster", "x")); got.Outcome == "" {
			t.Fatal("no outcome")
		}
	})
}

// A remedy is not let go by what was written with tickets in mind.
func TestARemedyWaitsForAPerson(t *testing.T) {
	c := policy.DefaultConfig()
	require.NoError(t, yaml.Unmarshal([]byte("rules:\n  - {name: all, matchers: ['cluster=\"prod\"'], phase: auto}\n  - {name: cart, matchers: ['tracker=\"restart-cart\"'], phase: auto, min_confidence: 0}\n"), &c))
	p, err := policy.New(c)
	require.NoError(t, err)
	decide := func(cluster, tracker string) policy.Outcome {
		return p.Decide(policy.Input{Action: policy.Remedy, Confidence: 1, Value: func(name string) string {
			return map[string]string{"cluster": cluster, "tracker": tracker}[name]
		}}).Outcome
	}
	require.Equal(t, policy.Hold, decide("prod", "restart-cart"), "by a rule that only happens to match")
	require.Equal(t, policy.Hold, decide("edge", "other"), "by default")
	require.Equal(t, policy.Send, decide("edge", "restart-cart"), "by a rule of its own")
}
