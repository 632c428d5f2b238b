package app

import (
	"encoding/json"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
)

// A container that leaks says when it meets the limit that kube-state-metrics tells of it, and not that of its sibling: by remote write in,
// by /api/v1/anomalies out.
func TestLimitsOfOtherSeries(t *testing.T) {
	a := newApp(t, t.TempDir(), "detection: {sensitivity: high}")
	h := a.Handler()
	const mib = 1 << 20
	at := time.Now().Add(-12 * time.Hour).Truncate(time.Minute)
	labels := func(name, pod string, more ...string) []ingest.Label {
		return labelsOf(append([]string{"__name__", name, "namespace", "shop", "pod", pod, "container", "app"}, more...)...)
	}
	var leak *anomaly
	for i := 0; i < 12*60 && (leak == nil || leak.Limit == nil || leak.Limit.At == nil); i++ {
		at = at.Add(time.Minute)
		a.gate.engine.Load().SetNow(at.UnixMilli())
		v := 500 + float64(i*7919%13)/4
		if i > 400 {
			v += float64(i-400) * 10
		}
		send(t, h,
			point{labels("container_memory_working_set_bytes", "web-0"), at.UnixMilli(), v * mib},
			point{labels("kube_pod_container_resource_limits", "web-0", "resource", "memory", "unit", "byte"), at.UnixMilli(), 1500 * mib},
			point{labels("kube_pod_container_resource_limits", "web-1", "resource", "memory", "unit", "byte"), at.UnixMilli(), 600 * mib},
			point{labels("kube_pod_container_resource_limits", "web-0", "resource", "cpu", "unit", "core"), at.UnixMilli(), 2},
		)
		a.tickGroups(at)
		if i < 400 {
			continue
		}
		_, body := get(t, h, "/api/v1/anomalies")
		var got anomalies
		require.NoError(t, json.Unmarshal([]byte(body), &got))
		for k := range got.Anomalies {
			if got.Anomalies[k].Labels["__name__"] == "container_memory_working_set_bytes" {
				leak = &got.Anomalies[k]
			}
		}
	}
	require.NotNil(t, leak, "the leak is an anomaly")
	require.NotNil(t, leak.Limit)
	require.InDelta(t, 1500*mib, leak.Limit.Value, 0)
	require.NotNil(t, leak.Limit.At)
	require.Contains(t, leak.Explanation, "it meets its limit of 1.46 GiB at ")
	require.True(t, leak.Limit.At.After(at))
	_, metrics := get(t, h, "/metrics")
	require.Contains(t, metrics, "portent_exporter_limits 2\n")

	code, body := a.reload(t, "detection: {sensitivity: high, presets: []}")
	require.Equal(t, 200, code, body)
	require.Empty(t, a.limitsFrom.told(), "rules that are gone leave no limits")
}

// Whatever comes as a limit, what is remembered is bounded, counted, and forgotten when it is no more.
func TestLimitsFromAreBounded(t *testing.T) {
	l := newLimitsFrom(prometheus.NewRegistry())
	now := time.Now().UnixMilli()
	key := func(i int) limitKey { return limitKey{1, strconv.Itoa(i)} }
	for i := range mostLimits + 5 {
		l.take(key(i), ingest.Sample{T: now, V: 1})
	}
	require.Len(t, l.told(), mostLimits)
	for i, v := range []float64{0, -1, math.NaN(), math.Inf(1), math.Float64frombits(value.StaleNaN)} {
		l.take(key(i), ingest.Sample{T: now, V: v})
	}
	require.Len(t, l.told(), mostLimits-5)
	l.take(key(10), ingest.Sample{T: now - 1, V: 7})
	l.take(key(11), ingest.Sample{T: now + limitHolds, V: 9})
	l.expire(now + limitHolds + 1)
	require.Equal(t, []float64{9}, l.told(), "an older sample changes nothing, and what is not told any more is forgotten")
	limit := 5.0
	got, known := l.limitOf(nil, detect.Output{Class: 1}, func(detect.Output) detect.Class { return detect.Class{Limit: &limit} })
	require.True(t, known)
	require.InDelta(t, 5, got, 0)
}
