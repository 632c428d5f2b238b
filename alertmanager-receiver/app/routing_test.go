package app

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
)

func TestRouting(t *testing.T) {
	trackers := []TrackerConfig{{Name: "ops"}, {Name: "local"}}
	r, err := newRouter(RoutingConfig{Routes: []RouteConfig{
		{Matchers: []string{`cluster="staging"`, `severity!="critical"`}, Trackers: []string{}},
		{Matchers: []string{`namespace=~"shop|pay"`}, Trackers: []string{"local", "ops"}},
		{Matchers: []string{`alertname=Broken`}, Trackers: []string{"local"}},
		{Matchers: []string{`team="db"`}, Trackers: []string{"local"}},
	}}, trackers)
	require.NoError(t, err)
	inc := func(sev incident.Severity, kv ...string) incident.Incident {
		out := incident.Incident{Severity: sev, Labels: map[string]string{}}
		for i := 0; i < len(kv); i += 2 {
			out.Labels[kv[i]] = kv[i+1]
		}
		return out
	}
	f := func(i incident.Incident, want ...string) {
		t.Helper()
		require.ElementsMatch(t, want, r.trackers(i))
	}
	f(inc("warning", "cluster", "staging"))
	f(inc("critical", "cluster", "staging"), "ops")
	f(inc("critical", "cluster", "staging", "namespace", "pay"), "local", "ops")
	f(inc("warning", "namespace", "shopping"), "ops")

	broken := inc("warning")
	broken.RootCause.Alertname = "Broken"
	f(broken, "local")
	first := inc("warning")
	first.Alerts = []incident.Alert{{Labels: map[string]string{"team": "db"}}}
	f(first, "local")

	none, err := newRouter(RoutingConfig{Default: []string{}}, trackers)
	require.NoError(t, err)
	require.Empty(t, none.trackers(inc("critical")), "an empty list means no ticket")
	none, err = newRouter(RoutingConfig{}, nil)
	require.NoError(t, err)
	require.Empty(t, none.trackers(inc("critical")))
}
