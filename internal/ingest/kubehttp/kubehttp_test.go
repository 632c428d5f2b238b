package kubehttp_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/ingest/kubehttp"
	"github.com/portent-dev/portent/internal/ingest/linehttp"
	"github.com/portent-dev/portent/internal/ingest/linehttp/linetest"
	"github.com/portent-dev/portent/internal/spectest"
)

func handler(t *testing.T, counts *kubehttp.Counts) (http.Handler, *linetest.Target) {
	t.Helper()
	h, target, _ := linetest.Handler(t, func(o linehttp.Options) (http.Handler, error) { return kubehttp.New(o, counts) }, linehttp.Config{})
	return h, target
}

func post(h http.Handler, body string) int {
	return linetest.Post(h, "application/json", "", []byte(body)).Code
}

// TestSample takes what the sender's own code wrote.
func TestSample(t *testing.T) {
	body, err := os.ReadFile(filepath.Join(spectest.Dir(t), "inbound", "sample-k8s-event-exporter.json"))
	require.NoError(t, err)
	var samples map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(body, &samples))
	require.Len(t, samples, 2)
	for name, body := range samples {
		counts := kubehttp.NewCounts()
		h, target := handler(t, counts)
		require.Equal(t, http.StatusOK, post(h, string(body)), name)
		got := target.Take()
		require.Len(t, got, 1)
		require.Positive(t, got[0].T)
		require.Contains(t, got[0].Labels, ingest.Label{Name: "job", Value: "kubernetes-events"})
		require.Equal(t, 1, testutil.CollectAndCount(counts, "kubernetes_events_total"))
		require.Equal(t, http.StatusOK, post(h, string(body)), "the same again, after a restart of its sender")
		require.Empty(t, target.Take())
	}
}

func event(uid string, count int, reason string) string {
	return fmt.Sprintf(`{"metadata":{"uid":%q},"reason":%q,"message":"Back-off restarting failed container\n","type":"Warning","count":%d,
		"lastTimestamp":"2026-11-22T12:00:00Z","source":{"host":"n1"},"involvedObject":{"kind":"Pod","namespace":"shop","name":"web-1"}}`, uid, reason, count)
}

func TestOccurrences(t *testing.T) {
	counts := kubehttp.NewCounts()
	h, target := handler(t, counts)
	for _, n := range []int{7, 7, 9, 8, 12} { // 1 + 0 + 2 + 0 + 3
		require.Equal(t, http.StatusOK, post(h, event("u1", n, "BackOff")))
	}
	require.Equal(t, http.StatusOK, post(h, event("", 1, "BackOff")))
	require.Equal(t, http.StatusOK, post(h, event("", 1, "BackOff")))
	require.NoError(t, testutil.CollectAndCompare(counts, strings.NewReader(`
# HELP kubernetes_events_total Occurrences of events that kubernetes-event-exporter sent, by what they are about and why.
# TYPE kubernetes_events_total counter
kubernetes_events_total{cluster="",kind="Pod",namespace="shop",reason="BackOff",type="Warning"} 8
# HELP portent_exporter_kubernetes_events_repeated_total Events that came again with nothing new, as after a restart of their sender, and were not counted.
# TYPE portent_exporter_kubernetes_events_repeated_total counter
portent_exporter_kubernetes_events_repeated_total 2
`)))
	got := target.Take()
	require.Len(t, got, 5)
	require.Equal(t, "BackOff: Back-off restarting failed container", got[0].Text)
	require.Equal(t, "warning", got[0].Severity)
	require.EqualValues(t, 1795348800000, got[0].T)
	require.Equal(t, []ingest.Label{
		{Name: "job", Value: "kubernetes-events"},
		{Name: "kind", Value: "pod"},
		{Name: "namespace", Value: "shop"},
		{Name: "node", Value: "n1"},
		{Name: "pod", Value: "web-1"},
		{Name: "reason", Value: "BackOff"},
	}, got[0].Labels)
}

func TestBounds(t *testing.T) {
	counts := kubehttp.NewCounts()
	h, target := handler(t, counts)
	for i := range 1500 {
		require.Equal(t, http.StatusOK, post(h, event(strconv.Itoa(i), 1, "r"+strconv.Itoa(i))))
	}
	require.LessOrEqual(t, testutil.CollectAndCount(counts, "kubernetes_events_total"), 1001)
	sum := int64(0)
	counts.Each(func(_ kubehttp.Key, n int64) { sum += n })
	require.EqualValues(t, 1500, sum)
	target.Take()
	for _, bad := range []string{"", "[]", "{}", `{"reason":"x"}`, event("u", 1, "x")[1:]} {
		require.Equal(t, http.StatusBadRequest, post(h, bad))
	}
	require.Equal(t, http.StatusBadRequest, post(h, strings.Repeat(" ", 2<<20)))
	require.Empty(t, target.Take())
	require.Equal(t, http.StatusUnsupportedMediaType, linetest.Post(h, "text/plain", "", bytes.Repeat([]byte("x"), 10)).Code)
}
