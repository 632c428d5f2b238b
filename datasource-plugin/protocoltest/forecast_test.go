package protocoltest

import (
	"testing"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/datasource-plugin/prometheustest"
)

func forecastTarget(model map[string]any) target {
	return target{
		refID: "A", model: map[string]any{"queryType": "forecast", "forecast": model},
		from: prometheustest.FleetStart, to: prometheustest.FleetEnd, interval: time.Minute, points: 60,
	}
}

func forecasts(t *testing.T, p *Plugin, s source) {
	volume := func(more map[string]any) map[string]any {
		m := map[string]any{"metric": "kubelet_volume_stats_available_bytes", "horizon": "1h", "history": "1h"}
		for k, v := range more {
			m[k] = v
		}
		return m
	}
	for _, q := range []struct {
		name  string
		model map[string]any
	}{
		{"forecast-timeseries", volume(map[string]any{"horizon": "10m", "until": 0})},
		{"forecast-counter", map[string]any{"metric": "http_requests_total", "horizon": "5m", "history": "1h", "limit": 1, "show": []string{"forecast"}, "legend": "{{service}}"}},
		{"forecast-numeric", volume(map[string]any{"view": "numeric"})},
		{"forecast-until", volume(map[string]any{"view": "numeric", "until": 0})},
		{"forecast-until-never", volume(map[string]any{"view": "numeric", "until": 1e12})},
		{"forecast-table", map[string]any{
			"expr": "sum by (namespace) (container_memory_working_set_bytes)", "view": "table", "horizon": "30m", "history": "1h", "until": 1 << 30, "unit": "bytes",
		}},
		{"forecast-nothing", map[string]any{"metric": "no_such_metric"}},
	} {
		t.Run(q.name, func(t *testing.T) {
			got, err := p.query(t, s, forecastTarget(q.model))
			require.NoError(t, err)
			require.NoError(t, got["A"].Error)
			requireContract(t, got["A"])
			requireGolden(t, q.name, got["A"])
		})
	}
	for expr, text := range map[string]string{
		`sum(`: "the query may not run: the query does not parse", `{__name__=~".+"}`: "does not name its metric", `kube_pod_info[5m]`: "not numbers",
	} {
		got, err := p.query(t, s, forecastTarget(map[string]any{"expr": expr}))
		require.NoError(t, err)
		require.ErrorContains(t, got["A"].Error, text)
		require.Equal(t, backend.StatusBadRequest, got["A"].Status)
		require.Equal(t, backend.ErrorSourceDownstream, got["A"].ErrorSource)
	}
	// A name is a value: it selects nothing else.
	for _, name := range []string{`up"} or kube_pod_info{a="`, "up\n", `kube_pod_info{namespace="pay"}`} {
		got, err := p.query(t, s, forecastTarget(map[string]any{"metric": name}))
		require.NoError(t, err)
		require.NoError(t, got["A"].Error, name)
		require.Empty(t, got["A"].Frames[0].Fields, name)
	}
}
