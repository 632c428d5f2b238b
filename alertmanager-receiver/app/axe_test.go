package app

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// axe, the checker of accessibility, finds nothing of any impact on any page. It is npm's axe-core, which is not installed by default:
// PORTENT_AXE names its axe.min.js. TestPagesInABrowser checks the most of it without.
func TestAxeFindsNothing(t *testing.T) {
	path := os.Getenv("PORTENT_AXE")
	if path == "" {
		path = "../../datasource-plugin/node_modules/axe-core/axe.min.js"
	}
	axe, err := os.ReadFile(path)
	if err != nil {
		t.Skip("axe-core is not installed: npm install --no-save axe-core in datasource-plugin, or PORTENT_AXE=/path/to/axe.min.js")
	}
	ts := newTestServer(t, nil)
	fill(t, ts)
	dress(t, ts)
	srv := httptest.NewServer(ts.mux)
	defer func() { ts.hub.close(); srv.Close() }()
	browser := startBrowser(t)
	for _, scheme := range []string{"light", "dark"} {
		for _, page := range []string{
			"/", "/?status=all", "/incidents/" + idMemory, "/incidents/" + idDraft, "/incidents/nope", "/tickets/LOCAL-1", "/suppressed", "/outbox", "/policy", "/audit", "/noise", "/login",
		} {
			t.Run(scheme+page, func(t *testing.T) {
				tab := openTab(browser, t)
				_, err := chromedp.Run(tab.ctx, scheming(scheme))
				require.NoError(t, err)
				require.NoError(t, chromedp.Do(tab.ctx, chromedp.EmulateViewport(390, 844), chromedp.Navigate(srv.URL+page)))
				// What is folded away is looked at too.
				_, err = chromedp.Run(tab.ctx, chromedp.Evaluate[bool](string(axe)+`; document.querySelectorAll('details').forEach((d) => { d.open = true; }); true`))
				require.NoError(t, err)
				found, err := chromedp.Run(tab.ctx, chromedp.Evaluate[string](`axe.run().then((r) => JSON.stringify(r.violations.map((v) => v.impact + ': ' + v.id + ': ' + v.nodes.map((n) => n.html.slice(0, 120)).join(' | '))))`, chromedp.EvalAwaitPromise))
				require.NoError(t, err)
				var wrong []string
				require.NoError(t, json.Unmarshal([]byte(found), &wrong))
				require.Empty(t, wrong)
			})
		}
	}
}
