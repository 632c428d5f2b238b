package app

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// axeRun opens what is folded away, as it is looked at too, but of the groups of a storm two: they are all made alike. It returns
// what axe finds of any impact.
const axeRun = `var groups = [...document.querySelectorAll('.group')];
document.querySelectorAll('details').forEach((d) => { d.open = groups.indexOf(d.closest('.group')) < 2; });
axe.run().then((r) => JSON.stringify(r.violations.map((v) => v.impact + ': ' + v.id + ': ' + v.nodes.map((n) => n.html.slice(0, 120)).join(' | '))))`

// axe, the checker of accessibility, finds nothing of any impact on any page. It is npm's axe-core, among what the plugin's
// front end is tested with; PORTENT_AXE names another axe.min.js. Where npm's packages were installed or this is CI it must be there.
func TestAxeFindsNothing(t *testing.T) {
	path := os.Getenv("PORTENT_AXE")
	if path == "" {
		path = "../../datasource-plugin/node_modules/axe-core/axe.min.js"
	}
	axe, err := os.ReadFile(path)
	if err != nil {
		if os.Getenv("PORTENT_CI")+os.Getenv("PORTENT_REQUIRE_DIST") != "" {
			t.Fatalf("axe-core is not installed: %v", err)
		}
		t.Skip("axe-core is not installed: npm ci in datasource-plugin, or PORTENT_AXE=/path/to/axe.min.js")
	}
	ts, empty := newTestServer(t, nil), newTestServer(t, nil)
	fill(t, ts)
	dress(t, ts)
	srv, none := httptest.NewServer(ts.mux), httptest.NewServer(empty.mux)
	defer func() { ts.hub.close(); srv.Close(); empty.hub.close(); none.Close() }()
	browser := startBrowser(t)
	for _, page := range pagesToLookAt(srv.URL, none.URL) {
		t.Run(page.name, func(t *testing.T) {
			tab := openTab(browser, t)
			for _, width := range []int64{390, 1280} {
				require.NoError(t, chromedp.Do(tab.ctx, chromedp.EmulateViewport(width, 844), chromedp.Navigate(page.url)))
				_, err = chromedp.Run(tab.ctx, chromedp.Evaluate[bool](string(axe)+"; true"))
				require.NoError(t, err)
				for _, scheme := range []string{"light", "dark"} {
					_, err := chromedp.Run(tab.ctx, scheming(scheme))
					require.NoError(t, err)
					found, err := chromedp.Run(tab.ctx, chromedp.Evaluate[string](axeRun, chromedp.EvalAwaitPromise))
					require.NoError(t, err)
					var wrong []string
					require.NoError(t, json.Unmarshal([]byte(found), &wrong))
					require.Empty(t, wrong, "%s at %d", scheme, width)
				}
			}
		})
	}
}

// lookedAt is a page that tests open in a browser.
type lookedAt struct{ name, url string }

// pagesToLookAt are all pages of a receiver with incidents, and those of one without that differ.
func pagesToLookAt(full, none string) []lookedAt {
	return []lookedAt{
		{"list", full + "/"},
		{"list-all", full + "/?status=all"},
		{"list-no-match", full + "/?status=dismissed"},
		{"list-empty", none + "/"},
		{"incident", full + "/incidents/" + idMemory},
		{"incident-dead-task", full + "/incidents/" + idCheckout},
		{"incident-hostile", full + "/incidents/01JDB2H000HOSTILE"},
		{"incident-storm", full + "/incidents/" + idStorm},
		{"incident-draft", full + "/incidents/" + idDraft},
		{"incident-unknown", full + "/incidents/nope"},
		{"ticket", full + "/tickets/LOCAL-1"},
		{"suppressed", full + "/suppressed"},
		{"suppressed-empty", none + "/suppressed"},
		{"outbox", full + "/outbox"},
		{"outbox-empty", none + "/outbox"},
		{"policy", full + "/policy"},
		{"audit", full + "/audit"},
		{"audit-empty", none + "/audit"},
		{"noise", full + "/noise"},
		{"noise-empty", none + "/noise"},
		{"login", full + "/login"},
	}
}

// A page that is added is looked at too.
func TestEveryPageIsLookedAt(t *testing.T) {
	pages := pagesToLookAt("", "")
	for _, route := range newTestServer(t, nil).table() {
		path, ok := strings.CutPrefix(route.pattern, "GET ")
		if !ok || strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, "/assets/") || strings.HasPrefix(path, "/login/oidc") {
			continue
		}
		path = strings.TrimSuffix(path, "{$}")
		found := false
		for _, p := range pages {
			head, _, folder := strings.Cut(path, "{")
			found = found || p.url == path || folder && strings.HasPrefix(p.url, head)
		}
		require.True(t, found, "add a page of %s to pagesToLookAt", route.pattern)
	}
}
