package app

import (
	"fmt"
	"testing"
	"time"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/noise"
)

const idStorm = "01JDB4STORM"

// storm puts an outage of a data centre into the store: ninety alerts on a long chain of services, three causes, and a
// title as long as people make them.
func storm(t testing.TB, ts *testServer) {
	t.Helper()
	services := []string{"checkout", "payments-gateway-internal-reconciliation-worker", "cart", "search", "catalog", "orders-db", "recommendations", "identity-provider", "mail"}
	names := []string{"HTTPErrorRateHigh", "LatencyBudgetBurn", "KubePodCrashLooping", "TargetDown", "KubeDeploymentReplicasMismatch", "PersistentVolumeClaimAlmostFullForMoreThanAnHour"}
	var alerts []incident.Alert
	for i := range 90 {
		since, ended := 95*time.Minute-time.Duration(i*i%55)*time.Minute, time.Duration(0)
		if i%4 == 3 {
			ended = time.Duration(5+i%17) * time.Minute
		}
		severity := "warning"
		if i%5 == 0 {
			severity = "critical"
		}
		s := services[i%len(services)]
		alerts = append(alerts, testAlert(names[i%len(names)], since, ended, "namespace", "shop-production", "cluster", "prod-eu-central-1", "severity", severity, "service", s,
			"pod", fmt.Sprintf("%s-6d5f7c9b8-%05d", s, i), "@summary", fmt.Sprintf("%s: %d of 12 checks fail, and have for %s", s, 1+i%12, span(since))))
	}
	first := testAlert("NodeNotReady", 97*time.Minute, 0, "cluster", "prod-eu-central-1", "severity", "critical", "node", "ip-10-20-31-117.eu-central-1.compute.internal", "@summary", "The kubelet has not been heard of for 5 minutes")
	ts.add(t, seed{
		id: idStorm, title: "[Auto] Node not ready - ip-10-20-31-117.eu-central-1.compute.internal and 9 services of shop-production (Cluster: prod-eu-central-1)",
		summary: "91 alerts (69 still firing) in namespace shop-production of cluster prod-eu-central-1 since 2026-11-22 01:27:05 UTC. NodeNotReady: The kubelet has not been heard of for 5 minutes.",
		status:  incident.StatusOpen, severity: incident.SeverityCritical, started: 97 * time.Minute, labels: map[string]string{"cluster": "prod-eu-central-1", "namespace": "shop-production"},
		cause:  incident.RootCause{Entity: "ip-10-20-31-117.eu-central-1.compute.internal", Alertname: "NodeNotReady", Confidence: 0.74},
		alerts: append([]incident.Alert{first}, alerts...), tracker: "jira",
		events: []incident.Event{
			{At: t0.Add(-97 * time.Minute), Kind: incident.EventOpened, Actor: "portent", Text: "NodeNotReady on ip-10-20-31-117.eu-central-1.compute.internal fired"},
			{At: t0.Add(-60 * time.Minute), Kind: incident.EventMerged, Actor: "portent", Text: "took over incident 01JDB4OTHER with KubePodCrashLooping and 12 more"},
			{At: t0.Add(-31 * time.Minute), Kind: incident.EventEscalated, Actor: "oidc:ann@example.com", Text: "Escalated by oidc:ann@example.com: customers cannot pay"},
		},
	})
	inc, err := ts.db.Get(t.Context(), idStorm)
	if err == nil {
		inc.Causes = []incident.Cause{
			{RootCause: inc.RootCause, Why: "8 of 9 other things depend on it; it fired first, by 2 min"},
			{RootCause: incident.RootCause{Entity: "orders-db", Alertname: "TargetDown", Confidence: .17}, Why: "5 of 9 other things depend on it"},
			{RootCause: incident.RootCause{Entity: "identity-provider", Alertname: "LatencyBudgetBurn", Confidence: .09}},
		}
		err = ts.db.Apply(t.Context(), incident.Change{Incidents: []incident.Incident{inc}})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// noisy counts three weeks of notifications.
func noisy(t testing.TB, ts *testServer) {
	t.Helper()
	day := t0.Truncate(24 * time.Hour)
	var c incident.Change
	for d := range 21 {
		at := day.AddDate(0, 0, -d)
		n := int64(1 + (d*7)%5)
		c.Noise = append(c.Noise, noise.Count{Day: at, Notices: 400 * n})
		for i, rule := range []string{"HTTPErrorRateHigh", "KubePodCrashLooping", "DiskFull", "PersistentVolumeClaimAlmostFullForMoreThanAnHourInTheProductionNamespace"} {
			c.Noise = append(c.Noise, noise.Count{Day: at, Rule: rule, Team: []string{"shop", "platform", "", "storage"}[i], Notices: 90 * n, Alerts: 20 * n, Incidents: 3 * n, Tickets: n})
		}
		c.Noise = append(c.Noise, noise.Count{Day: at, Rule: "Watchdog", Kept: "heartbeat", Notices: 40, Alerts: 1}, noise.Count{Day: at, Rule: "CPUThrottlingHigh", Team: "shop", Kept: "info", Notices: 60 * n, Alerts: 30 * n})
	}
	if err := ts.db.Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}
