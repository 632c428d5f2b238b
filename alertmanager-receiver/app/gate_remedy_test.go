package app

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket/remedy"
)

// Whoever approves a remedy reads what it would do, and none goes without somebody.
func TestARemedySaysWhatItWouldDo(t *testing.T) {
	ts := newTestServer(t, nil)
	set := &trackerSet{}
	c := remedy.DefaultConfig()
	c.Do, c.Namespace, c.Workload = remedy.Restart, "shop", "deployment/cart"
	set.active.Store(&map[string]*builtTracker{"restart-cart": {config: TrackerConfig{Type: TrackerRemedy, Remedy: &c}}})
	ts.gater.action = set.action
	inc := incident.Incident{ID: "01", Severity: incident.SeverityCritical, Labels: map[string]string{"namespace": "shop"}}

	g := ts.gater.gate(t0, inc, "restart-cart")
	require.Equal(t, incident.GateHold, g.Outcome)
	require.Equal(t, "it would restart shop/deployment/cart, and say so and change nothing if not all pods are ready after 10m", g.Why[0])
	require.NotEqual(t, incident.GateHold, ts.gater.gate(t0, inc, "jira").Outcome, "a ticket goes as before")
}
