package app

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incidentapi"
)

// The pages are looked at in a real browser: with PORTENT_SCREENSHOTS=DIR each is also written as a picture.
func TestPagesInABrowser(t *testing.T) {
	ts, empty := newTestServer(t, nil), newTestServer(t, nil)
	fill(t, ts)
	dress(t, ts)
	full := httptest.NewServer(ts.mux)
	defer func() { ts.hub.close(); full.Close() }()
	none := httptest.NewServer(empty.mux)
	defer func() { empty.hub.close(); none.Close() }()

	pages := pagesToLookAt(full.URL, none.URL)
	browser := startBrowser(t)
	for _, p := range pages {
		t.Run(p.name, func(t *testing.T) {
			tab := openTab(browser, t)
			for _, width := range []int64{390, 1280} {
				require.NoError(t, chromedp.Do(tab.ctx, chromedp.EmulateViewport(width, 844), chromedp.Navigate(p.url)))
				for _, scheme := range []string{"light", "dark"} {
					_, err := chromedp.Run(tab.ctx, scheming(scheme))
					require.NoError(t, err)
					found, err := chromedp.Run(tab.ctx, chromedp.Evaluate[[]string](inspect))
					require.NoError(t, err)
					require.Empty(t, found, "%s at %d", scheme, width)
					if os.Getenv("PORTENT_SCREENSHOTS") != "" {
						shot, err := chromedp.Run(tab.ctx, chromedp.FullScreenshot(100))
						require.NoError(t, err)
						save(t, fmt.Sprintf("%s-%d-%s.png", p.name, width, scheme), shot)
					}
				}
			}
			require.Empty(t, tab.problems(), "what the browser complains of")
			for _, u := range tab.requests() {
				require.True(t, strings.HasPrefix(u, full.URL) || strings.HasPrefix(u, none.URL), "a resource from elsewhere: %s", u)
			}
		})
	}
}

// dress adds what the pages show besides: a draft that waits, evidence, and verdicts.
func dress(t *testing.T, ts *testServer) {
	t.Helper()
	storm(t, ts)
	ts.addDraft(t, idDraft, 2)
	require.NoError(t, ts.db.PutDossier(t.Context(), idMemory, incident.Dossier{
		At: t0, Evidence: []incident.Evidence{
			{Kind: incident.EvidenceAnomaly, Title: "container_memory_working_set_bytes rose first, score 3.1", Text: "1.9 GiB, expected 0.8 to 1.1 GiB", Query: `container_memory_working_set_bytes{namespace="frontend-api"}`, At: t0.Add(-14 * time.Minute), Source: "exporter"},
			{Kind: incident.EvidenceLog, Title: "new: java.lang.OutOfMemoryError: <*>", Text: "214 lines in 5 minutes", At: t0.Add(-9 * time.Minute), Source: "loki"},
			{Kind: incident.EvidenceChange, Title: "web was rolled out", At: t0.Add(-20 * time.Minute), Source: "kubernetes"},
			{Kind: incident.EvidenceLink, Title: "Dashboard of the namespace", URL: "https://grafana.example.com/d/x", Source: "grafana"},
		},
		Missing: []incident.Gap{{Source: "kubernetes", Reason: "no answer within 5 s"}},
	}))
	noisy(t, ts)
	for i, v := range []string{incidentapi.VerdictConfirmed, incidentapi.VerdictDismissed} {
		_, err := ts.carryOut(t.Context(), principal{name: "ann", role: RoleAdmin}, decision{Incident: []string{idMemory, idCheckout}[i], Do: actionFeedback, Action: incidentapi.Action{Reason: "as we saw", Verdict: v}})
		require.NoError(t, err)
	}
}

// The keyboard alone must do: skip link, filters, list, and the form.
func TestPagesByKeyboard(t *testing.T) {
	ts := newTestServer(t, nil)
	fill(t, ts)
	srv := httptest.NewServer(ts.mux)
	defer func() { ts.hub.close(); srv.Close() }()
	tab := openTab(startBrowser(t), t)
	read := func(js string) string {
		t.Helper()
		v, err := chromedp.Run(tab.ctx, chromedp.Evaluate[string](js))
		require.NoError(t, err)
		return v
	}
	require.NoError(t, chromedp.Do(tab.ctx, chromedp.Navigate(srv.URL+"/"), chromedp.KeyEvent("\t")))
	require.Equal(t, "Skip to content", read(`document.activeElement.textContent`))
	require.NoError(t, chromedp.Do(tab.ctx, chromedp.KeyEvent("\r")))
	require.Equal(t, "#main", read(`location.hash`))

	require.NoError(t, chromedp.Do(tab.ctx,
		chromedp.Navigate(srv.URL+"/incidents/"+idMemory),
		chromedp.Click(`//summary[text()="Dismiss"]`),
		chromedp.SendKeys(chromedp.CSS("#reason-d"), "known, fixed by the rollout\r"),
		chromedp.WaitVisible(`//summary[text()="Reopen"]`),
	))
	focused, at := read(`document.querySelector(".timeline li").textContent`), read(`location.href`)
	require.Contains(t, focused, "known, fixed by the rollout")
	require.Equal(t, srv.URL+"/incidents/"+idMemory, at)
	require.Equal(t, []string{"local"}, ts.decide.actors)
}

// A page follows what changes, goes where j and k say, opens what a letter names, and leaves a form alone that somebody
// writes in.
func TestPagesAreLive(t *testing.T) {
	ts := newTestServer(t, nil)
	fill(t, ts)
	srv := httptest.NewServer(ts.mux)
	defer func() { ts.hub.close(); srv.Close() }()
	tab := openTab(startBrowser(t), t)
	read := func(js string) string {
		t.Helper()
		v, err := chromedp.Run(tab.ctx, chromedp.Evaluate[string](js))
		require.NoError(t, err)
		return v
	}
	eventually := func(js, want string) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Contains(read(js), want) }, time.Minute, 50*time.Millisecond, "%s: %s", js, want)
	}
	keys := func(ks string) {
		t.Helper()
		for _, k := range ks {
			require.NoError(t, chromedp.Do(tab.ctx, chromedp.KeyEvent(string(k))))
		}
	}
	require.NoError(t, chromedp.Do(tab.ctx, chromedp.Navigate(srv.URL+"/")))
	eventually(`document.getElementById("live").textContent`, "Live")
	keys("jj")
	second := read(`document.activeElement.textContent`)
	require.Contains(t, second, "Latency budget burn")
	eventually(`String(performance.now() > 1500)`, "true") // the first look found where to begin
	ts.add(t, seed{id: "01JDB9NEW", title: "It has just begun", status: incident.StatusOpen, severity: incident.SeverityCritical, started: time.Minute})
	eventually(`document.querySelector(".rows").textContent`, "It has just begun")
	keys("k")
	require.NotEqual(t, second, read(`document.activeElement.textContent`), "the focus was kept, and moves on")
	keys("\r")
	eventually(`location.pathname`, "/incidents/")

	require.NoError(t, chromedp.Do(tab.ctx, chromedp.Navigate(srv.URL+"/incidents/"+idMemory)))
	eventually(`document.getElementById("live").textContent`, "Live")
	// The protocol sends the letter apart from its key, so that it cannot be held back as a real keyboard's is.
	require.Equal(t, "false", read(`String(document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "d", bubbles: true, cancelable: true })))`), "the letter is used up")
	require.Equal(t, "reason-d", read(`document.activeElement.id`))
	keys("known")
	eventually(`String(performance.now() > 1500)`, "true")
	inc, err := ts.db.Get(t.Context(), idMemory)
	require.NoError(t, err)
	inc.Title = "Something else"
	require.NoError(t, ts.db.Apply(t.Context(), incident.Change{Incidents: []incident.Incident{inc}}))
	eventually(`document.getElementById("live").textContent`, "This page has changed")
	require.Equal(t, "known", read(`document.getElementById("reason-d").value`), "what was written stays")
	require.Contains(t, read(`document.querySelector("h1").textContent`), "Memory pressure")
	require.Empty(t, tab.problems(), "what the browser complains of")
}

// inspect returns what is wrong with a page: too wide, no or several main headings, a heading level left out, a missing
// landmark, a control without a name or too small for a thumb, or text whose contrast is below WCAG AA.
const inspect = `(() => {
  const wrong = [];
  const doc = document.documentElement;
  if (doc.scrollWidth > innerWidth) {
    const wide = [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.hide'));
    wrong.push('wider than the screen: ' + doc.scrollWidth + ' by ' + wide.slice(0, 3).map(e => e.outerHTML.slice(0, 80)).join(' | '));
  }
  if (!doc.lang) wrong.push('no language');
  if (!document.title.endsWith('· Portent')) wrong.push('title: ' + document.title);
  for (const [what, sel] of [['header', 'body > header'], ['navigation', 'header'], ['main', 'main'], ['footer', 'body > footer'], ['h1', 'h1']]) {
    const n = document.querySelectorAll(sel).length;
    if (n !== 1) wrong.push(n + ' of ' + what + ', want 1');
  }
  let last = 0;
  for (const h of document.querySelectorAll('h1,h2,h3,h4,h5,h6')) {
    const level = +h.tagName[1];
    if (last && level > last + 1) wrong.push('heading level left out before: ' + h.textContent);
    last = level;
  }
  for (const n of document.querySelectorAll('nav')) if (!n.getAttribute('aria-label')) wrong.push('nav without a name');
  for (const e of document.querySelectorAll('a[href],button,input:not([type=hidden]),textarea,summary')) {
    const label = e.id && document.querySelector('label[for="' + e.id + '"]');
    if (!(e.textContent.trim() || e.getAttribute('aria-label') || label)) wrong.push('no name: ' + e.outerHTML);
    const r = e.getBoundingClientRect();
    const inline = getComputedStyle(e).display === 'inline';
    if (!inline && r.height > 0 && r.height < 24) wrong.push('small target ' + Math.round(r.height) + ': ' + e.outerHTML.slice(0, 80));
  }
  const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
  if (new Set(ids).size !== ids.length) wrong.push('an id twice: ' + ids);
  const parse = c => { const m = c.match(/[\d.]+/g).map(Number); return { r: m[0], g: m[1], b: m[2], a: m.length > 3 ? m[3] : 1 }; };
  const lum = c => { const f = v => (v /= 255) <= .03928 ? v / 12.92 : Math.pow((v + .055) / 1.055, 2.4); return .2126 * f(c.r) + .7152 * f(c.g) + .0722 * f(c.b); };
  const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.a === 1) return c; if (c.a > 0) return null; } return { r: 255, g: 255, b: 255 }; };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = new Set();
  for (let n; (n = walk.nextNode());) {
    const e = n.parentElement;
    if (!n.textContent.trim() || !e.getClientRects().length) continue;
    const s = getComputedStyle(e), fg = parse(s.color), bg = behind(e);
    if (!bg) { wrong.push('half transparent background behind: ' + n.textContent.trim()); continue; }
    const [x, y] = [lum(fg), lum(bg)].sort((a, b) => b - a);
    const ratio = (x + .05) / (y + .05), size = parseFloat(s.fontSize), large = size >= 24 || size >= 18.66 && +s.fontWeight >= 700;
    const key = s.color + '/' + JSON.stringify(bg);
    if (ratio < (large ? 3 : 4.5) && !seen.has(key)) { seen.add(key); wrong.push('contrast ' + ratio.toFixed(2) + ' of: ' + n.textContent.trim().slice(0, 60)); }
  }
  for (const e of document.querySelectorAll('script')) if (!e.src || e.textContent.trim()) wrong.push('a script in the page');
  return wrong;
})()`

// startBrowser starts headless Chromium. It is needed, not optional: without it nobody has looked at the pages.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	path := os.Getenv("PORTENT_CHROMIUM")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path == "" {
			path, _ = exec.LookPath(name)
		}
	}
	if path == "" {
		t.Fatal("Chromium is missing: the pages cannot be tested. Install it (Debian: apt-get install chromium) or name it in PORTENT_CHROMIUM.")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true))
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Do(ctx), "start %s", path)
	return ctx
}

// tab is a browser tab that remembers what it asked for and what went wrong.
type tab struct {
	ctx  context.Context
	mu   sync.Mutex
	bad  []string
	seen []string
}

func openTab(browser context.Context, t *testing.T) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Do(ctx))                 // opens the tab; a timeout on this first call would end the browser
	ctx, stop := context.WithTimeout(ctx, 5*time.Minute) // seconds, unless the machine starves
	t.Cleanup(stop)
	tb := &tab{ctx: ctx}
	require.NoError(t, chromedp.Listen(ctx, func(ev any) {
		tb.mu.Lock()
		defer tb.mu.Unlock()
		switch e := ev.(type) {
		case *log.EventEntryAdded:
			// The browser writes a line for every answer that is an error; a page about an error is one on purpose.
			if e.Entry.Source != log.EntrySourceNetwork {
				tb.bad = append(tb.bad, e.Entry.Text)
			}
		case *runtime.EventExceptionThrown:
			tb.bad = append(tb.bad, e.ExceptionDetails.Text)
		case *network.EventRequestWillBeSent:
			tb.seen = append(tb.seen, e.Request.URL)
		}
	}))
	require.NoError(t, chromedp.Do(ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		if _, err := cdp.Call(ctx, t, network.Enable, network.EnableParams{}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, t, log.Enable, cdp.Empty{})
		return err
	})))
	return tb
}

// scheming makes pages see the preferred colour scheme.
func scheming(scheme string) chromedp.Action[cdp.Empty] {
	return func(ctx context.Context, t *chromedp.Target) (cdp.Empty, error) {
		return cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
	}
}

func (tb *tab) problems() []string {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	return append([]string(nil), tb.bad...)
}

func (tb *tab) requests() []string {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	var out []string
	for _, u := range tb.seen {
		if p, err := url.Parse(u); err == nil && p.Scheme != "data" {
			out = append(out, u)
		}
	}
	return out
}

func save(t *testing.T, name string, png []byte) {
	t.Helper()
	dir := os.Getenv("PORTENT_SCREENSHOTS")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), png, 0o644))
}
