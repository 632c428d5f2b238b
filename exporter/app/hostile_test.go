package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ingest"
)

// post sends a body as remote write 2.0 and returns the status and the answer's error and hint.
func post(t *testing.T, h http.Handler, body []byte) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, newWrite("/api/v1/write", body, true))
	if w.Code == http.StatusNoContent {
		return w.Code, ""
	}
	var p struct{ Error, Hint string }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p), "%s", w.Body)
	require.NotEmpty(t, p.Error)
	return w.Code, p.Error
}

func TestHostileLabelValuesComeOutAsTheyWere(t *testing.T) {
	a := newApp(t, t.TempDir(), "")
	now := time.Now().UnixMilli()
	values := []string{
		`"`, `\`, "\n", "\r\n", "\x00", "\u2028", `"} 1`, "a\nanomaly_score{metric=\"forged\"} 9", `{{ .Labels }}`, "$(reboot)", "<script>alert(1)</script>",
		"'; DROP TABLE incidents; --", strings.Repeat("x", 4096), "🚨", "\u202e", "NaN", "# EOF",
	}
	for i, v := range values {
		send(t, a.Handler(), point{labelsOf("__name__", "m", "i", strconv.Itoa(i), "v", v), now, 1})
	}
	w := scrape(a.Handler(), "Accept", "application/openmetrics-text;version=1.0.0")
	got := parsed(t, w.Header().Get("Content-Type"), w.Body.Bytes())
	for i, v := range values {
		require.Contains(t, got, labels.FromStrings("__name__", "anomaly_score", "metric", "m", "i", strconv.Itoa(i), "v", v).String())
	}
	require.NotContains(t, got, labels.FromStrings("__name__", "anomaly_score", "metric", "forged").String())
}

func TestInvalidUTF8IsRefusedAndTheRestTaken(t *testing.T) {
	a := newApp(t, t.TempDir(), "")
	now := time.Now().UnixMilli()
	code, msg := post(t, a.Handler(), requestV2(point{labelsOf("__name__", "good"), now, 1}, point{labelsOf("__name__", "bad", "v", "\xff\xfe"), now, 1}))
	require.Equal(t, 400, code)
	require.Contains(t, msg, "UTF-8")
	_, body := get(t, a.Handler(), "/metrics")
	require.Contains(t, body, `anomaly_score{metric="good"} 0`)
	require.NotContains(t, body, `metric="bad"`)
	require.Contains(t, body, `portent_exporter_samples_rejected_total{reason="invalid_labels",source="remote_write"} 1`)
}

func TestMalformedBodiesAreAnsweredAndCounted(t *testing.T) {
	a := newApp(t, t.TempDir(), "remote_write: {max_body_bytes: 1000, max_decompressed_bytes: 1000000}")
	f := func(body []byte, want int) {
		t.Helper()
		code, _ := post(t, a.Handler(), body)
		require.Equal(t, want, code)
	}
	f([]byte("not snappy"), 400)
	f(snappy.Encode(nil, []byte("not protobuf")), 400)
	f(bytes.Repeat([]byte{0}, 2000), 413)
	f(snappy.Encode(nil, bytes.Repeat([]byte{0}, 2_000_000))[:900], 413) // a bomb: little to send, much to unpack
	_, body := get(t, a.Handler(), "/metrics")
	require.Contains(t, body, `portent_exporter_remote_write_requests_total{code="400",protocol="2.0"} 2`)
	require.Contains(t, body, `portent_exporter_remote_write_requests_total{code="413",protocol="2.0"} 2`)
}

// A label whose every value is new, a million of them: the caps hold, what is left out is counted, and memory stays bounded.
func TestAMillionLabelValues(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const values, models, exported = 1_000_000, 50_000, 1000
	a := newApp(t, t.TempDir(), fmt.Sprintf("detection: {max_series: %d}\nexport: {max_series: %d}", models, exported))
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, now := heap(), time.Now().UnixMilli()
	var points []point
	for i := range values {
		points = append(points, point{[]ingest.Label{{Name: "__name__", Value: "m"}, {Name: "id", Value: fmt.Sprintf("user-%d", i)}}, now, 1})
		if len(points) == 5000 {
			// 400 once the cap is reached: Prometheus does not send it again. 2.0's symbols are quadratic in this test's encoder.
			w := httptest.NewRecorder()
			a.Handler().ServeHTTP(w, newWrite("/api/v1/write", requestV1(points...), false))
			points = points[:0]
		}
	}
	w := scrape(a.Handler())
	require.Equal(t, exported, strings.Count(w.Body.String(), "\nanomaly_score{"))
	body := w.Body.String()
	require.Contains(t, body, fmt.Sprintf("portent_exporter_series %d\n", models))
	require.Contains(t, body, fmt.Sprintf("portent_exporter_series_dropped_total{reason=\"series_limit\"} %d\n", values-models))
	require.Contains(t, body, fmt.Sprintf("portent_exporter_series_dropped_total{reason=\"export_limit\"} %d\n", models-exported))
	require.Contains(t, body, fmt.Sprintf("portent_exporter_samples_rejected_total{reason=\"series_limit\",source=\"remote_write\"} %d\n", values-models))
	perSeries := float64(heap()-before) / models
	t.Logf("%.0f bytes a model", perSeries)
	require.Less(t, perSeries, 2000.0, "memory follows the cap, not the input")
	runtime.KeepAlive(a)
}
