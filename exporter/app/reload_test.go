package app

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// reload writes a configuration and has it loaded.
func (a *testApp) reload(t *testing.T, config string) (int, string) {
	t.Helper()
	if !strings.Contains(config, "state:") {
		config += "\nstate: {directory: " + filepath.Join(a.dir, "state") + "}\n"
	}
	require.NoError(t, os.WriteFile(filepath.Join(a.dir, "exporter.yml"), []byte(config), 0o600))
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/-/reload", nil))
	return w.Code, w.Body.String()
}

func TestReloadIsAllOrNothing(t *testing.T) {
	a := newApp(t, t.TempDir(), "")
	now := time.Now().UnixMilli()
	send(t, a.Handler(), point{labelsOf("__name__", "m"), now, 1}, point{labelsOf("__name__", "n"), now, 1})
	has := func(want bool, what string) {
		t.Helper()
		_, body := get(t, a.Handler(), "/metrics")
		require.Equal(t, want, strings.Contains(body, what), what)
	}
	// Wrong at one end: nothing changes at the other.
	code, body := a.reload(t, "export: {max_series: 1}\ndetection: {sensitivity: extreme}")
	require.Equal(t, 500, code)
	require.Contains(t, body, "line 2: detection.sensitivity: unknown sensitivity")
	require.Contains(t, body, "the old configuration stays in use")
	has(true, "portent_exporter_config_last_reload_successful 0\n")
	has(true, "portent_exporter_exported_series 2\n")

	code, body = a.reload(t, "export: {max_series: 1, outputs: [score]}\nremote_write: {max_labels: 2}\ndetection: {drop: [dropped]}")
	require.Equal(t, 200, code, body)
	has(true, "portent_exporter_config_last_reload_successful 1\n")
	has(true, "portent_exporter_exported_series 1\n")
	has(true, `portent_exporter_series_dropped_total{reason="export_limit"} `)
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, newWrite("/api/v1/write", requestV2(point{labelsOf("__name__", "m", "a", "1", "b", "2"), now + 1, 1}), true))
	require.Equal(t, 400, w.Code, "the new limit holds")
	send(t, a.Handler(), point{labelsOf("__name__", "dropped"), now, 1})
	has(true, "portent_exporter_samples_unselected_total 1\n")
	has(true, "portent_exporter_series 2\n")
}

func TestReloadKeepsWhatWasLearnt(t *testing.T) {
	a := newApp(t, t.TempDir(), "")
	ls := labelsOf("__name__", "m", "job", "x")
	now := time.Now()
	teach(t, a.Handler(), ls, 2000, now.Add(-30*time.Second))
	_, before := get(t, a.Handler(), "/metrics")
	old := a.gate.engine.Load()

	code, body := a.reload(t, "detection: {sensitivity: high, max_series: 10, time_zone: Europe/Berlin}")
	require.Equal(t, 200, code, body)
	require.NotSame(t, old, a.gate.engine.Load())
	_, after := get(t, a.Handler(), "/metrics")
	expected := func(body string) string {
		i := strings.Index(body, "\nanomaly_expected{")
		require.Positive(t, i)
		line, _, _ := strings.Cut(body[i+1:], "\n")
		return line
	}
	require.Equal(t, expected(before), expected(after))
	require.Contains(t, after, "portent_exporter_series_added_total 1\n", "counts go on")
	send(t, a.Handler(), point{ls, now.UnixMilli(), 100_000})
	_, after = get(t, a.Handler(), "/metrics")
	require.Contains(t, after, "portent_exporter_series_anomalous 1\n")

	require.NotContains(t, a.log.String(), "next start")

	// Nothing about detection changed: the engine stays.
	old = a.gate.engine.Load()
	code, _ = a.reload(t, "detection: {sensitivity: high, max_series: 10, time_zone: Europe/Berlin, drop: [x]}")
	require.Equal(t, 200, code)
	require.Same(t, old, a.gate.engine.Load())
	code, _ = a.reload(t, "state: {directory: ''}")
	require.Equal(t, 200, code)
	require.Contains(t, a.log.String(), "state.directory and backfill take effect at the next start")
}

func TestReloadUnderLoadLosesNothing(t *testing.T) {
	a := newApp(t, t.TempDir(), "")
	url, stop := start(t, a.App)
	var sent atomic.Int64
	done := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			at := time.Now().UnixMilli() - 1_000_000
			for {
				select {
				case <-done:
					return
				default:
				}
				at++
				send(t, a.Handler(), point{labelsOf("__name__", "m", "i", strconv.Itoa(i)), at, 1}, point{labelsOf("__name__", "n", "i", strconv.Itoa(i)), at, 1})
				sent.Add(2)
			}
		})
	}
	for i := range 6 {
		sensitivity := []string{"low", "medium", "high"}[i%3]
		code, body := a.reload(t, fmt.Sprintf("detection: {sensitivity: %s}\nremote_write: {max_samples: %d}", sensitivity, 1000+i))
		require.Equal(t, 200, code, body)
		httpGet(t, url+"/metrics")
	}
	close(done)
	wg.Wait()
	engine := a.gate.engine.Load()
	for name, t1 := range newest(engine) {
		require.Positive(t, t1, name)
	}
	require.Equal(t, 8, engine.Stats().Series)
	require.Positive(t, sent.Load())
	require.NoError(t, stop())
}
