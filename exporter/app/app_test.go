package app

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"
	toolkitweb "github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ingest"
)

// testApp is an exporter in process, with its files in a folder of its own.
type testApp struct {
	*App
	dir string
	log *syncBuffer
}

// newApp makes an exporter. config is its configuration file, to which the state directory is added unless it has a state.
func newApp(t *testing.T, dir, config string) *testApp {
	t.Helper()
	a, err := tryApp(t, dir, config)
	require.NoError(t, err)
	return a
}

func tryApp(t *testing.T, dir, config string) (*testApp, error) {
	t.Helper()
	if !strings.Contains(config, "state:") {
		config += "\nstate: {directory: " + filepath.Join(dir, "state") + "}\n"
	}
	file := filepath.Join(dir, "exporter.yml")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	log := &syncBuffer{}
	a, err := New(Options{
		ConfigFile: file,
		WebConfig:  testFlags(),
		Logger:     slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err == nil {
		t.Cleanup(func() { _ = a.closeState() })
	}
	return &testApp{a, dir, log}, err
}

func testFlags() *toolkitweb.FlagConfig {
	addresses, none := []string{"127.0.0.1:0"}, ""
	return &toolkitweb.FlagConfig{WebListenAddresses: &addresses, WebConfigFile: &none}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// ownMetrics returns the metrics that an exporter with everything turned on has about itself.
func ownMetrics(t *testing.T) (out []*dto.MetricFamily) {
	t.Helper()
	a := newApp(t, t.TempDir(), "backfill: {url: 'http://127.0.0.1:1'}\npromql: {servers: [{url: 'http://127.0.0.1:1', queries: [{name: q, expr: up}]}]}\n"+
		"federate: {targets: [{url: 'http://127.0.0.1:1', match: [up]}]}\nscore_writer: {url: 'http://127.0.0.1:1'}")
	scrape(a.Handler()) // the metrics by route begin with the first request
	fs, err := a.gather()
	require.NoError(t, err)
	for _, f := range fs {
		if strings.HasPrefix(f.GetName(), prefix) {
			out = append(out, f)
		}
	}
	return out
}

// pass lets time pass, which in a bubble of synctest costs none.
func pass(d time.Duration) { <-time.After(d) }

// syncBuffer is a log that can be read while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestBothVersionsOfRemoteWriteGiveScores(t *testing.T) {
	a := newApp(t, t.TempDir(), "")
	now := time.Now().UnixMilli()
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, newWrite("/api/v1/write", requestV1(point{labelsOf("__name__", "one", "job", "x"), now, 1}), false))
	require.Equal(t, http.StatusNoContent, w.Code, "%s", w.Body)
	send(t, a.Handler(), point{labelsOf("__name__", "two", "job", "x"), now, 1})
	_, body := get(t, a.Handler(), "/metrics")
	require.Contains(t, body, `anomaly_score{metric="one",job="x"} 0`+"\n")
	require.Contains(t, body, `anomaly_score{metric="two",job="x"} 0`+"\n")
	require.NotContains(t, body, "anomaly_expected{", "nothing was expected yet")
	require.NotContains(t, body, " NaN\n")
	require.Contains(t, body, `portent_exporter_samples_total{source="remote_write"} 2`+"\n")
}

func TestAnAnomalyIsSeenEverywhere(t *testing.T) {
	a := newApp(t, t.TempDir(), "")
	now := time.Now()
	for _, name := range []string{"burning", "calm"} {
		teach(t, a.Handler(), labelsOf("__name__", name, "job", "x"), 2000, now.Add(-15*time.Second))
	}
	send(t, a.Handler(), point{labelsOf("__name__", "burning", "job", "x"), now.UnixMilli(), 100_000}, point{labelsOf("__name__", "calm", "job", "x"), now.UnixMilli(), wave(2000)})

	w := scrape(a.Handler())
	got := parsed(t, w.Header().Get("Content-Type"), w.Body.Bytes())
	value := func(name, metric string) float64 {
		v, ok := got[labels.FromStrings("__name__", name, "metric", metric, "job", "x").String()]
		require.True(t, ok, "%s of %s", name, metric)
		return v
	}
	require.Greater(t, value("anomaly_score", "burning"), 1.0)
	require.LessOrEqual(t, value("anomaly_score", "calm"), 1.0)
	require.InDelta(t, 105, value("anomaly_expected", "calm"), 20)
	require.Less(t, value("anomaly_expected_lower", "calm"), value("anomaly_expected", "calm"))
	require.Greater(t, value("anomaly_expected_upper", "calm"), value("anomaly_expected", "calm"))
	require.InDelta(t, 1, got[labels.FromStrings("__name__", "portent_exporter_series_anomalous").String()], 0)

	code, body := get(t, a.Handler(), "/api/v1/anomalies")
	require.Equal(t, 200, code)
	var answer anomalies
	require.NoError(t, json.Unmarshal([]byte(body), &answer))
	require.Equal(t, 1, answer.Total)
	require.Len(t, answer.Anomalies, 1)
	found := answer.Anomalies[0]
	require.Equal(t, map[string]string{"__name__": "burning", "job": "x"}, found.Labels)
	require.Greater(t, found.Score, 1.0)
	require.InDelta(t, 100_000, found.Observed, 0)
	require.Equal(t, now.UnixMilli(), found.Since.UnixMilli())
	require.Equal(t, "combined", found.Detector)
	require.Contains(t, found.Explanation, `burning of x is 100000 `)
	require.Contains(t, body, `"explanation":`)
}

func TestTheEndOfAnInputEndsItsScore(t *testing.T) {
	a := newApp(t, t.TempDir(), "")
	ls := labelsOf("__name__", "m", "job", "x")
	now := time.Now().UnixMilli()
	send(t, a.Handler(), point{ls, now - 1000, 1})
	_, body := get(t, a.Handler(), "/metrics")
	require.Contains(t, body, `anomaly_score{metric="m"`)
	send(t, a.Handler(), point{ls, now, ingest.StaleNaN()})
	_, body = get(t, a.Handler(), "/metrics")
	require.NotContains(t, body, `metric="m"`)
	// The model is still there, and the series may come back.
	require.Contains(t, body, "portent_exporter_series 1\n")
	send(t, a.Handler(), point{ls, now + 1000, 1})
	_, body = get(t, a.Handler(), "/metrics")
	require.Contains(t, body, `anomaly_score{metric="m"`)
}

func TestAnomaliesAnswers(t *testing.T) {
	a := newApp(t, t.TempDir(), "")
	f := func(query string, code int, want string) {
		t.Helper()
		c, body := get(t, a.Handler(), "/api/v1/anomalies"+query)
		require.Equal(t, code, c)
		require.Contains(t, body, want)
	}
	f("", 200, `{"total":0,"heldBack":0,"anomalies":[],"groups":[]}`)
	f("?limit=10&match[]=up&match[]=%7Bjob%3D%22x%22%7D", 200, `"total":0`)
	f("?limit=0", 400, `limit \"0\" is no number from 1 to 10000`)
	f("?limit=many", 400, `"hint":"leave it out for the worst 100"`)
	f("?match[]=sum(up)", 400, `is no series selector`)
}

func TestRestartKeepsTheModels(t *testing.T) {
	dir := t.TempDir()
	ls := labelsOf("__name__", "m", "job", "x")
	now := time.Now()
	one := newApp(t, dir, "")
	url, stop := start(t, one.App)
	teach(t, one.Handler(), ls, 2000, now.Add(-30*time.Second))
	send(t, one.Handler(), point{ls, now.Add(-15 * time.Second).UnixMilli(), 5000})
	_, before := httpGet(t, url+"/metrics")
	require.NoError(t, stop())

	two := newApp(t, dir, "")
	_, after := get(t, two.Handler(), "/metrics")
	scores := func(body string) (out []string) {
		for line := range strings.Lines(body) {
			if strings.HasPrefix(line, "anomaly_") {
				out = append(out, line)
			}
		}
		return out
	}
	require.Len(t, scores(before), 4)
	require.Equal(t, scores(before), scores(after))

	// Both go on alike: a third that never restarted gives the same.
	next := point{ls, now.UnixMilli(), wave(2001)}
	three := newApp(t, t.TempDir(), "")
	teach(t, three.Handler(), ls, 2000, now.Add(-30*time.Second))
	send(t, three.Handler(), point{ls, now.Add(-15 * time.Second).UnixMilli(), 5000})
	send(t, two.Handler(), next)
	send(t, three.Handler(), next)
	_, restarted := get(t, two.Handler(), "/metrics")
	_, steady := get(t, three.Handler(), "/metrics")
	require.Equal(t, scores(steady), scores(restarted))
}

func TestShutdownLosesNothing(t *testing.T) {
	dir := t.TempDir()
	a := newApp(t, dir, "")
	url, stop := start(t, a.App)
	// A request is half sent when the exporter is told to end.
	body := requestV2(point{labelsOf("__name__", "late"), time.Now().UnixMilli(), 1})
	r, w := io.Pipe()
	req := newWrite(url+"/api/v1/write", nil, true)
	req.Body, req.ContentLength = r, int64(len(body))
	answer := make(chan int, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			answer <- -1
			return
		}
		resp.Body.Close()
		answer <- resp.StatusCode
	}()
	_, err := w.Write(body[:len(body)/2])
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, m := get(t, a.Handler(), "/metrics")
		return strings.Contains(m, "portent_exporter_http_requests_in_flight 2\n") // it and this scrape
	}, 5*time.Second, time.Millisecond)
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	require.Eventually(t, func() bool { code, _ := get(t, a.Handler(), "/-/ready"); return code == 503 }, 5*time.Second, time.Millisecond)
	_, err = w.Write(body[len(body)/2:])
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.Equal(t, http.StatusNoContent, <-answer)
	require.NoError(t, <-stopped)

	_, m := get(t, newApp(t, dir, "").Handler(), "/metrics")
	require.Contains(t, m, `anomaly_score{metric="late"} 0`)
}

func TestSnapshotsArePeriodic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t, t.TempDir(), "state: {directory: "+filepath.Join(t.TempDir(), "s")+", snapshot_interval: 1m}")
		ctx, cancel := context.WithCancel(t.Context())
		go a.keep(ctx)
		path := a.state.path()
		require.NoFileExists(t, path)
		pass(time.Minute + time.Second)
		synctest.Wait()
		first, err := os.Stat(path)
		require.NoError(t, err)
		send(t, a.Handler(), point{labelsOf("__name__", "m"), time.Now().UnixMilli(), 1})
		pass(time.Minute)
		synctest.Wait()
		second, err := os.Stat(path)
		require.NoError(t, err)
		require.Greater(t, second.Size(), first.Size())
		cancel()
	})
}

func TestTheClockIsToldAndSeriesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t, t.TempDir(), "detection: {stale_after: 5m, expire_after: 1h}")
		ctx, cancel := context.WithCancel(t.Context())
		go a.tick(ctx)
		send(t, a.Handler(), point{labelsOf("__name__", "m"), time.Now().UnixMilli(), 1})
		has := func(want bool, what string) {
			t.Helper()
			synctest.Wait()
			_, body := get(t, a.Handler(), "/metrics")
			require.Equal(t, want, strings.Contains(body, what), what)
		}
		pass(4 * time.Minute)
		has(true, `anomaly_score{metric="m"}`)
		pass(2 * time.Minute)
		has(false, `anomaly_score{metric="m"}`) // stale
		has(true, "portent_exporter_series 1\n")
		pass(time.Hour)
		has(true, "portent_exporter_series 0\n")
		has(true, `portent_exporter_series_ended_total{reason="expired"} 1`)
		has(true, "portent_exporter_clock_jumps_total 0\n")

		// Ahead of time is refused, with the reason.
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, newWrite("/api/v1/write", requestV2(point{labelsOf("__name__", "m"), time.Now().Add(time.Hour).UnixMilli(), 1}), true))
		require.Equal(t, 400, w.Code)
		has(true, `portent_exporter_samples_rejected_total{reason="too_far_ahead",source="remote_write"} 1`)
		cancel()
	})
}
