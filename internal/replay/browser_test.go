package replay_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/detect/group"
	"github.com/portent-dev/portent/internal/replay"
)

// The page is looked at in a real browser, narrow and wide, light and dark: no wider than the screen, every chart drawn, text
// with contrast. With PORTENT_SCREENSHOTS=DIR each is written as a picture too.
func TestPageInABrowser(t *testing.T) {
	watch, err := group.New(group.Options{Rules: []group.Rule{{Name: "vanishing", Kind: group.Joint, By: []string{"pod"}}}})
	require.NoError(t, err)
	r, err := replay.New(replay.Options{Detect: detect.Options{Sensitivity: detect.Medium}, Groups: watch, GroupsEveryMs: 15_000, MaxGroups: 10})
	require.NoError(t, err)
	gone := wave("gone", 0)
	gone.Samples = gone.Samples[:2300]
	r.Take(replay.Page{Series: []replay.Series{wave("quiet", 0), gone, wave("loud", 2000), wave(strings.Repeat("long-", 40), 2500)}})
	report := r.Report(`memory_bytes{namespace="a"}`)
	report.HeldBack, report.Notes = 12, []string{"rollouts are not taken into account: bad_data: no such series"}
	var b strings.Builder
	require.NoError(t, report.HTML(&b))
	file := filepath.Join(t.TempDir(), "plot.html")
	require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o600))

	browser := startBrowser(t)
	for _, width := range []int64{390, 1280} {
		for _, scheme := range []string{"light", "dark"} {
			ctx, cancel := chromedp.NewContext(browser)
			require.NoError(t, chromedp.Do(ctx))
			ctx, stop := context.WithTimeout(ctx, time.Minute)
			_, err := chromedp.Run(ctx, scheming(scheme))
			require.NoError(t, err)
			require.NoError(t, chromedp.Do(ctx, chromedp.EmulateViewport(width, 844), chromedp.Navigate("file://"+file)))
			found, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](inspect))
			require.NoError(t, err)
			shot, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
			require.NoError(t, err)
			if dir := os.Getenv("PORTENT_SCREENSHOTS"); dir != "" {
				require.NoError(t, os.WriteFile(filepath.Join(dir, "backtest-"+scheme+map[int64]string{390: "-390", 1280: "-1280"}[width]+".png"), shot, 0o600))
			}
			require.Empty(t, found, "%d %s", width, scheme)
			stop()
			cancel()
		}
	}
}

const inspect = `(() => {
  const wrong = [];
  if (document.documentElement.scrollWidth > innerWidth) wrong.push('wider than the screen: ' + document.documentElement.scrollWidth);
  const plots = [...document.querySelectorAll('svg')];
  if (plots.length !== 10) wrong.push(plots.length + ' plots');
  for (const p of plots) {
    const r = p.getBoundingClientRect();
    if (r.width < innerWidth / 2 || r.height < 50) wrong.push('small plot ' + r.width + ' x ' + r.height);
    for (const path of p.querySelectorAll('path')) if (path.getTotalLength() < 100) wrong.push('nothing drawn');
  }
  if (![...document.querySelectorAll('rect')].length) wrong.push('no firing drawn');
  const parse = c => c.match(/[\d.]+/g).map(Number);
  const lum = c => { const f = v => (v /= 255) <= .03928 ? v / 12.92 : Math.pow((v + .055) / 1.055, 2.4); return .2126 * f(c[0]) + .7152 * f(c[1]) + .0722 * f(c[2]); };
  const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] === 1) return c; } return [255, 255, 255]; };
  for (const e of document.querySelectorAll('h1,h2,p,dt,dd,td,th,li,span,footer')) {
    if (!e.textContent.trim()) continue;
    const [x, y] = [lum(parse(getComputedStyle(e).color)), lum(behind(e))].sort((a, b) => b - a);
    if ((x + .05) / (y + .05) < 4.5) wrong.push('contrast of ' + e.textContent.trim().slice(0, 40));
  }
  return wrong;
})()`

// startBrowser starts headless Chromium. It is needed, not optional: without it nobody has looked at the page.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	path := os.Getenv("PORTENT_CHROMIUM")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path == "" {
			path, _ = exec.LookPath(name)
		}
	}
	if path == "" {
		t.Fatal("Chromium is missing: the page cannot be tested. Install it (Debian: apt-get install chromium) or name it in PORTENT_CHROMIUM.")
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

// scheming makes pages see the preferred colour scheme.
func scheming(scheme string) chromedp.Action[cdp.Empty] {
	return func(ctx context.Context, t *chromedp.Target) (cdp.Empty, error) {
		return cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
	}
}
