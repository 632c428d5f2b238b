package report_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
)

// reviewed is an incident that is over, with all that may be known of it.
func reviewed() incident.Incident {
	inc := of(alert("KubePodCrashLooping", 0, "namespace", "shop", "cluster", "prod", "pod", "cart-1", "severity", "critical", "@summary", "Pod cart-1 restarts"))
	inc.Status, inc.EndedAt = incident.StatusResolved, t0.Add(42*time.Minute)
	inc.RootCause = incident.RootCause{Entity: "pod/cart-1", Alertname: "KubePodCrashLooping", Confidence: .8}
	inc.Tickets = []incident.Ticket{{Tracker: "jira", Key: "OPS-12", URL: "https://jira.example/browse/OPS-12", Status: "Done"}}
	inc.Timeline = []incident.Event{
		{At: t0, Kind: incident.EventOpened, Actor: "portent", Text: "opened with 1 alert"},
		{At: t0.Add(90 * time.Second), Kind: incident.EventTicket, Actor: "portent", Text: "OPS-12 filed"},
		{At: t0.Add(42 * time.Minute), Kind: incident.EventResolved, Actor: "portent", Text: "all alerts are over"},
	}
	inc.Dossier = &incident.Dossier{
		At: t0.Add(time.Minute),
		Evidence: []incident.Evidence{
			{ID: "E1", Kind: incident.EvidenceAnomaly, Title: "memory of cart-1 moved first of 3", At: t0.Add(-5 * time.Minute), Query: `anomaly_score{pod="cart-1"}`, Source: "prometheus_scores"},
			{ID: "E2", Kind: incident.EvidenceRunbook, Title: "Crash loop", URL: "https://runbooks.example/crash", Text: "Named by the alert.", Source: "runbooks"},
		},
		Missing: []incident.Gap{{Source: "exporter_patterns", Reason: "no answer within 10s"}},
	}
	inc.Dossier.Account = plainWords(inc)
	return inc
}

func TestReview(t *testing.T) {
	got := plain(t).Review(reviewed()).Markdown()
	path := filepath.Join("testdata", "review.md")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
	require.Contains(t, plain(t).Review(incident.Incident{ID: "01"}).Markdown(), "not yet", "an empty incident has a review too")
}

func TestReviewIsOfHostileTexts(t *testing.T) {
	inc := reviewed()
	inc.Timeline[0].Text = "</script><script>alert(1)</script>\n# heading | cell"
	inc.Dossier.Evidence[0].Title = "[x](javascript:alert(1)) | `"
	got := plain(t).Review(inc).Markdown()
	require.NotContains(t, got, "<script>")
	require.NotContains(t, strings.ReplaceAll(got, `\]`, ""), "](javascript:", "an escaped bracket makes no link")
	require.NotContains(t, got, "\n# heading")
}

func TestEvidenceInTheTicket(t *testing.T) {
	p := plain(t)
	inc := reviewed()
	text := p.Draft("portent-01", inc).Body.Text()
	require.Contains(t, text, "memory of cart-1 moved first of 3")
	require.Contains(t, text, "Could not be looked at: exporter_patterns (no answer within 10s).")
	require.Less(t, strings.Index(text, "Probable cause"), strings.Index(text, "Evidence"))

	inc.Dossier = nil
	require.NotContains(t, p.Draft("portent-01", inc).Body.Text(), "Evidence")
	require.Equal(t, ticket.Doc(nil), p.Evidence(incident.Dossier{}))
	require.NotEmpty(t, p.Evidence(incident.Dossier{Missing: []incident.Gap{{Source: "x", Reason: "y"}}}))
}
