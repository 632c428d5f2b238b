package app

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/audit"
	"github.com/portent-dev/portent/internal/incidentapi"
	"github.com/portent-dev/portent/internal/policy"
	"github.com/portent-dev/portent/internal/triage"
)

// What must stand in the detail of a record, by its action. A judgement names the version of the rules that it was made by and
// what it rests on; what is sent, or approved, its hash; what a person decided, the reason.
var proofs = map[string][]string{
	"policy.loaded":        {"version", "config"},
	"triage.loaded":        {"version", "config"},
	"incident.opened":      {"policy", "key", "severity", "evidence"},
	"incident.severity":    {"policy", "key", "from", "to", "evidence"},
	"incident.resolved":    {"policy", "key", "endedAt"},
	"policy.decided":       {"policy", "ticketPolicy", "rule", "phase", "why", "tracker", "evidence", "payloadSha256"},
	"ticket.approved":      {"policy", "rule", "phase", "reason", "task", "tracker", "payloadSha256"},
	"ticket.edited":        {"policy", "rule", "phase", "reason", "task", "tracker", "payloadSha256", "from"},
	"ticket.redrafted":     {"policy", "rule", "phase", "reason", "task", "tracker", "payloadSha256", "from"},
	"ticket.dropped":       {"policy", "rule", "phase", "reason", "task", "tracker", "payloadSha256"},
	"ticket.requested":     {"policy", "reason", "tracker", "payloadSha256"},
	"ticket.create.before": {"task", "tracker", "key", "attempt", "payloadSha256"},
	"ticket.create.after":  {"task", "tracker", "key", "attempt", "payloadSha256", "outcome"},
	"incident.dismissed":   {"policy", "reason", "from", "payloadSha256"},
	"incident.reopened":    {"policy"},
	"incident.escalated":   {"policy", "reason", "from", "payloadSha256"},
	"incident.taken":       {"reason"},
	"incident.feedback":    {"reason", "verdict", "class"},
	"switch.kill":          {"engaged", "reason"},
	"session.refused":      {"via", "reason", "address"},
}

// One life of an incident through the whole receiver leaves a record of every judgement and decision, each with what proves it.
func TestWhatTheChainProves(t *testing.T) {
	o, log := options(t, "policy: {phase: draft}\n")
	_, url := running(t, o)
	code, body := post(t, url+hook, notice("PaymentsDown"))
	require.Equal(t, 200, code, body)
	c, err := incidentapi.New(incidentapi.Options{URL: url})
	require.NoError(t, err)
	var inc incidentapi.Incident
	require.Eventually(t, func() bool {
		page, err := c.List(t.Context(), incidentapi.ListOptions{})
		if err != nil || len(page.Incidents) != 1 {
			return false
		}
		inc, err = c.Get(t.Context(), page.Incidents[0].ID)
		return err == nil && len(inc.Drafts) >= 1
	}, 30*time.Second, 10*time.Millisecond)
	act := func(action, body string) {
		t.Helper()
		code, text := post(t, url+"/api/v1/incidents/"+inc.ID+"/"+action, body, "Content-Type", "application/json")
		require.Equal(t, 200, code, text)
	}
	act("edit", `{"reason":"clearer","title":"Payments are down"}`)
	act("redraft", `{"reason":"as it was"}`)
	act("feedback", `{"reason":"worth it","verdict":"confirmed"}`)
	act("take", `{}`)
	act("dismiss", `{"reason":"a drill"}`)
	act("reopen", `{"reason":"it was none"}`)
	act("escalate", `{"reason":"customers cannot pay"}`)
	act("approve", `{"reason":"file it"}`)
	code, text := post(t, url+incidentapi.PathKillSwitch, `{"engaged":true,"reason":"a drill"}`, "Content-Type", "application/json")
	require.Equal(t, 200, code, text)
	code, _ = post(t, url+"/login", "token=guess-guess-guess", "Content-Type", "application/x-www-form-urlencoded")
	require.Equal(t, 401, code)
	var records []audit.Record
	read := func() bool {
		_, lines := get(t, url+"/api/v1/audit")
		records = nil
		for line := range strings.Lines(lines) {
			var r audit.Record
			require.NoError(t, json.Unmarshal([]byte(line), &r))
			records = append(records, r)
		}
		return strings.Contains(lines, `"ticket.create.after"`)
	}
	require.Eventually(t, read, 30*time.Second, 20*time.Millisecond)

	seen := map[string]bool{}
	for _, r := range records {
		seen[r.Action] = true
		require.NotEmpty(t, r.Actor, r.Action)
		require.NotEmpty(t, r.Subject, r.Action)
		want, known := proofs[r.Action]
		if !known {
			require.True(t, strings.HasPrefix(r.Action, "ticket."), "say in this test what proves %s", r.Action)
			want = []string{"task", "tracker", "payloadSha256"}
		}
		var d map[string]any
		require.NoError(t, json.Unmarshal(r.Detail, &d))
		for _, key := range want {
			require.NotEmpty(t, d[key], "%s of %s: %s", key, r.Action, r.Detail)
		}
		if r.Action == "incident.opened" || r.Action == "policy.decided" {
			require.Contains(t, string(r.Detail), `"query":"`, r.Action)
			require.Contains(t, string(r.Detail), `"fingerprint":"`, r.Action)
		}
	}
	for _, action := range []string{"policy.loaded", "triage.loaded", "incident.opened", "policy.decided", "ticket.edited", "incident.feedback", "incident.dismissed", "ticket.dropped", "incident.reopened", "incident.escalated", "ticket.approved", "switch.kill", "session.refused", "ticket.create.before"} {
		require.True(t, seen[action], action)
	}
	_, err = audit.Verify(audit.Head{}, func(yield func(audit.Record, error) bool) {
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
	}, audit.Head{})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "msg=audit_head") }, 30*time.Second, 10*time.Millisecond, "where the chain ends is kept elsewhere too")
}

// The versions that records name are those whose rules were recorded.
func TestRulesAreRecordedOnceEach(t *testing.T) {
	o, _ := options(t, "")
	a, err := New(t.Context(), o)
	require.NoError(t, err)
	defer func() { require.NoError(t, a.Close()) }()
	loaded := func(subject string) []audit.Record {
		rs, err := a.db.LatestAudit(t.Context(), subject, 0, 10)
		require.NoError(t, err)
		return rs
	}
	require.Len(t, loaded(policySubject), 1)
	require.Len(t, loaded(triageSubject), 1)
	require.NoError(t, a.Reload())
	require.Len(t, loaded(triageSubject), 1, "nothing new")
	require.NoError(t, os.WriteFile(o.ConfigFile, []byte("triage: {resolve_after: 7m}\npolicy: {min_confidence: 0.4}\n"), 0o600))
	require.NoError(t, a.Reload())
	require.Len(t, loaded(policySubject), 2)
	rs := loaded(triageSubject)
	require.Len(t, rs, 2)
	version, err := triage.DefaultPolicy().Version()
	require.NoError(t, err)
	require.NotContains(t, string(rs[0].Detail), version)
	require.Contains(t, string(rs[1].Detail), version)
	p, err := policy.New(policy.DefaultConfig())
	require.NoError(t, err)
	require.Contains(t, string(loaded(policySubject)[1].Detail), p.Version())
}
