package app

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/ticket"
	"github.com/portent-dev/portent/internal/ticket/local"
)

const (
	idMemory   = "01JDB2M7V0MEMORY"
	idCheckout = "01JDB2K100CHECKOUT"
	hostile    = "<script>alert(1)</script>"
)

// fill puts a night's worth of incidents into the store: what the pages are looked at with.
func fill(t testing.TB, ts *testServer) {
	t.Helper()
	eu := map[string]string{"cluster": "prod-eu-1", "namespace": "shop", "service": "checkout"}
	us := map[string]string{"cluster": "prod-us-east-1", "namespace": "frontend-api"}
	ts.add(t, seed{
		id: idMemory, title: "[Auto] Memory pressure - frontend-api namespace (Cluster: prod-us-east-1)",
		summary: "3 alerts (2 still firing) in namespace frontend-api of cluster prod-us-east-1 since 2026-11-22 02:52:05 UTC. MemoryPressure: Working set is 1.9 GiB of 2 GiB.",
		status:  incident.StatusOpen, severity: incident.SeverityCritical, started: 12 * time.Minute, labels: us, tracker: TrackerLocal,
		cause: incident.RootCause{Entity: "web-7d9f8c6b54-x2xkq", Alertname: "MemoryPressure", Confidence: 0.8},
		alerts: []incident.Alert{
			testAlert("MemoryPressure", 12*time.Minute, 0, "namespace", "frontend-api", "cluster", "prod-us-east-1", "severity", "warning", "pod", "web-7d9f8c6b54-x2xkq",
				"container", "web", "@summary", "Working set is 1.9 GiB of 2 GiB and rises by 14 MiB a minute", "@runbook_url", "https://runbooks.example.com/memory-pressure"),
			testAlert("HTTPErrorRateHigh", 8*time.Minute, 0, "namespace", "frontend-api", "cluster", "prod-us-east-1", "severity", "critical", "service", "web", "@summary", "4.1 % of requests fail with 5xx"),
			testAlert("KubePodCrashLooping", 10*time.Minute, 3*time.Minute, "namespace", "frontend-api", "cluster", "prod-us-east-1", "severity", "warning",
				"pod", "web-7d9f8c6b54-aaaaa-with-a-very-long-name-that-somebody-chose-once-upon-a-time", "@description", "Pod restarted 4 times in 10 minutes"),
		},
		events: []incident.Event{
			{At: t0.Add(-12 * time.Minute), Kind: incident.EventOpened, Actor: "portent", Text: "MemoryPressure on web-7d9f8c6b54-x2xkq fired"},
			{At: t0.Add(-10 * time.Minute), Kind: incident.EventAlert, Actor: "portent", Text: "KubePodCrashLooping joined: same namespace within 5 minutes"},
			{At: t0.Add(-8 * time.Minute), Kind: incident.EventSeverity, Actor: "portent", Text: "Severity rose from warning to critical"},
			{At: t0.Add(-8 * time.Minute), Kind: incident.EventTicket, Actor: "portent/outbox", Text: "LOCAL-1 was filed in local"},
		},
	})
	ts.add(t, seed{
		id: idCheckout, title: "[Auto] Latency budget burn - checkout (Cluster: prod-eu-1)", summary: "1 alert on service checkout of cluster prod-eu-1.",
		status: incident.StatusOpen, severity: incident.SeverityWarning, started: 3*time.Hour + 7*time.Minute, labels: eu, tracker: "jira",
		alerts: []incident.Alert{testAlert("LatencyBudgetBurn", 3*time.Hour+7*time.Minute, 0, "namespace", "shop", "cluster", "prod-eu-1", "severity", "warning", "service", "checkout")},
	})
	ts.add(t, seed{
		id: "01JDB2H000HOSTILE", title: "[Auto] " + hostile + " " + "Averyveryverylongwordwithoutanyspaceinitthatmustnotmakethepagewiderthanthescreenofaphone",
		summary: hostile, status: incident.StatusOpen, severity: incident.SeverityInfo, started: 26 * time.Hour,
		alerts: []incident.Alert{testAlert(hostile, 26*time.Hour, 0, "pod", `"><img src=x onerror=alert(1)>`, "@summary", hostile, "@runbook_url", "javascript:alert(1)")},
	})
	for i := range 3 {
		ts.add(t, seed{
			id: fmt.Sprintf("01JDA%02d", i), title: fmt.Sprintf("[Auto] Disk full - db-%d:9100 (Cluster: prod-eu-1)", i), summary: "1 alert, all over.", status: incident.StatusResolved,
			severity: incident.SeverityCritical, started: time.Duration(30+i) * time.Hour, ended: time.Duration(28+i) * time.Hour, labels: map[string]string{"cluster": "prod-eu-1"},
			alerts: []incident.Alert{testAlert("DiskFull", time.Duration(30+i)*time.Hour, time.Duration(28+i)*time.Hour, "instance", fmt.Sprintf("db-%d:9100", i), "cluster", "prod-eu-1", "severity", "critical")},
		})
	}
	ctx := context.Background()
	inc, err := ts.db.Get(ctx, idMemory)
	require.NoError(t, err)
	require.NoError(t, ts.tickets.(*local.Tracker).Update(ctx, ticket.Ref{Key: "LOCAL-1"}, ticket.Update{Key: "u1", Comment: ts.settings.Load().words.Comment(inc, inc.Alerts[1:2], inc.Alerts[2:], "Severity rose from warning to critical.")}))
	watchdog := testAlert("Watchdog", 90*time.Hour, 0, "severity", "none", "cluster", "prod-eu-1")
	watchdog.Why = "it fires always, to show that alerting works"
	inhibitor := testAlert("InfoInhibitor", 2*time.Hour, time.Hour, "severity", "none", "namespace", "shop")
	inhibitor.Why = "severity none"
	require.NoError(t, ts.db.Apply(ctx, incident.Change{
		Alerts: []incident.Alert{watchdog, inhibitor},
		Tasks:  []incident.Task{{IncidentID: idCheckout, Tracker: "jira", Key: "portent-" + idCheckout, Kind: incident.TaskUpdate, Payload: []byte(`{}`)}},
	}))
	bury(t, ts, "permission: 403: You do not have permission to comment on this issue")
}

// bury makes the oldest task of jira dead.
func bury(t testing.TB, ts *testServer, why string) int64 {
	t.Helper()
	ctx := context.Background()
	tasks, err := ts.db.Claim(ctx, outbox.Claim{Now: time.Now().Add(2 * time.Hour), Lease: time.Minute, Limit: 1, Actor: "test", Tracker: "jira"})
	require.NoError(t, err)
	require.Len(t, tasks, 1)
	require.NoError(t, ts.db.Bury(ctx, tasks[0], outbox.Outcome{At: t0, Error: why, Reason: "permission"}))
	return tasks[0].ID
}
