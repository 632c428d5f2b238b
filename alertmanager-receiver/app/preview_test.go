package app

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incidentapi"
)

func TestPreviewOfRules(t *testing.T) {
	ts := newTestServer(t, nil)
	fill(t, ts)
	ask := func(matchers ...string) incidentapi.Preview {
		t.Helper()
		w := ts.send(t, "GET", incidentapi.PathPreview+"?"+url.Values{"matchers": matchers}.Encode(), "")
		require.Equal(t, http.StatusOK, w.Code, w.Body.String())
		var p incidentapi.Preview
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
		return p
	}
	one := ask(`cluster="prod-us-east-1"`, `severity=~"warning|info"`)
	require.Equal(t, []incidentapi.PreviewRule{{Rule: "preview", Matches: 2, Examples: []string{"MemoryPressure", "KubePodCrashLooping"}}}, one.Rules)
	require.GreaterOrEqual(t, one.Alerts, 8)
	require.Equal(t, []incidentapi.PreviewRule{{Rule: "preview", Examples: []string{}}}, ask(`severity="wraning"`).Rules)
	require.Greater(t, len(ask().Rules), 1, "the configured rules")
	requireError(t, ts.send(t, "GET", incidentapi.PathPreview+"?matchers=severity", ""), http.StatusBadRequest, "severity")
	requireError(t, ts.send(t, "GET", incidentapi.PathPreview+"?matcher=a", ""), http.StatusBadRequest, "known are matchers")
}

func TestTryingARuleOnThePage(t *testing.T) {
	ts := newTestServer(t, withPeople)
	fill(t, ts)
	page := func(try, token string) string {
		w := ts.send(t, "GET", "/suppressed?try="+url.QueryEscape(try), "", "Authorization", "Bearer "+token)
		require.Equal(t, http.StatusOK, w.Code)
		return w.Body.String()
	}
	body := page(`cluster="prod-us-east-1", severity=~"warning|info"`, viewerToken)
	require.Regexp(t, `<b>It</b> would keep out 2 of \d+ alerts: MemoryPressure, KubePodCrashLooping\.`, body)
	require.Contains(t, body, `value="cluster=&#34;prod-us-east-1&#34;`)
	require.Contains(t, page(`severity="wraning"`, viewerToken), "Look for a typing error")
	require.Contains(t, page("severity", viewerToken), "matchers cannot be read")
	require.Contains(t, page("", viewerToken), "<b>heartbeat</b> would keep out 1 of")
	require.NotContains(t, page("", shopToken), "heartbeat", "the configured rules are of everybody")
}

// Whoever sees a part is told of no alert outside of it.
func TestPreviewIsScoped(t *testing.T) {
	ts := newTestServer(t, nil)
	fill(t, ts)
	shop, err := parseMatchers([]string{`namespace="shop"`})
	require.NoError(t, err)
	p := principal{name: "ann", role: RoleViewer, scope: shop}
	alerts, err := ts.lastWeek(t.Context(), p)
	require.NoError(t, err)
	require.NotEmpty(t, alerts)
	for _, a := range alerts {
		require.Equal(t, "shop", a.Labels["namespace"])
	}
}
