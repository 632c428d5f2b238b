package report_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/report"
)

func TestSuggestedPriority(t *testing.T) {
	f := func(want string, severity incident.Severity, alerts ...incident.Alert) {
		t.Helper()
		inc := of(alerts...)
		inc.Severity = severity
		require.Contains(t, text(plain(t).Draft("portent-01", inc).Body), "| Suggested priority | "+want+" |")
	}
	one, other := alert("A", 0, "namespace", "shop", "service", "cart"), alert("B", 1, "namespace", "shop", "service", "web")
	f("P1 (critical): now, at any hour", incident.SeverityCritical, one)
	f("P1 (critical, 2 services): now, at any hour", incident.SeverityCritical, one, other)
	f("P2 (warning, 2 services): now, in the day", incident.SeverityWarning, one, other)
	f("P2 (warning, 2 namespaces): now, in the day", incident.SeverityWarning, one, alert("C", 1, "namespace", "pay"))
	f("P2 (warning, a whole node): now, in the day", incident.SeverityWarning, alert("D", 0, "node", "n1"))
	f("P3 (warning): today", incident.SeverityWarning, one)
	f("P4 (info, 2 services): when there is time", incident.SeverityInfo, one, other)
}

func TestTheTeamIsWhomAllAlertsName(t *testing.T) {
	of2 := func(a, b string) incident.Incident {
		return of(alert("A", 0, "team", a, "owner", "ann"), alert("B", 1, "team", b, "owner", "ann"))
	}
	d := plain(t).Draft("portent-01", of2("checkout", "checkout"))
	require.Equal(t, "checkout", d.Team)
	require.Contains(t, text(d.Body), "| Team | checkout |")
	require.Equal(t, "ann", plain(t).Draft("portent-01", of2("checkout", "cart")).Team, "of whom they do not all say so, nobody")
	d = plain(t).Draft("portent-01", of(alert("A", 0)))
	require.Empty(t, d.Team)
	require.NotContains(t, text(d.Body), "| Team |")
	d = templated(t, report.TemplatesConfig{Team: `{{ with .CommonLabels.namespace }}{{ . }}-oncall{{ end }}`}).Draft("portent-01", of(alert("A", 0, "namespace", "shop", "team", "x")))
	require.Equal(t, "shop-oncall", d.Team)
}
