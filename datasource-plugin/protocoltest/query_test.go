package protocoltest

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/grafana/grafana-plugin-sdk-go/data"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/datasource-plugin/pkg/plugin"
	"github.com/portent-dev/portent/datasource-plugin/prometheustest"
	"github.com/portent-dev/portent/e2e/servertest"
)

// fleetQueries are asked of a Prometheus that holds prometheustest.Fleet, the hour of the fleet in 30 s steps.
var fleetQueries = []struct {
	name  string // of the golden
	model map[string]any
}{
	{"anomalies-table", map[string]any{}},
	{"anomalies-table-filtered", map[string]any{"metric": "node_load1", "threshold": 0, "limit": 1, "matchers": matchers("instance", "=~", "web-.+:9100")}},
	{"anomalies-table-nothing-anomalous", map[string]any{"matchers": matchers("instance", "=", "db-1:9100")}},
	{"anomalies-table-no-scores", map[string]any{"metric": "no_such_metric"}},
	{"anomalies-timeseries", map[string]any{"view": "timeseries", "limit": 2}},
	{"anomalies-timeseries-band", map[string]any{
		"view": "timeseries", "metric": "node_load1", "limit": 1, "show": []string{"score", "observed", "expected", "band"}, "legend": "{{instance}}",
	}},
	{"anomalies-timeseries-counter", map[string]any{
		"view": "timeseries", "matchers": matchers("path", "=", prometheustest.HostileValue), "show": []string{"observed", "band"},
	}},
	{"anomalies-timeseries-own-metric-label", map[string]any{"view": "timeseries", "metric": "custom_gauge", "show": []string{"observed", "expected"}}},
	{"anomalies-timeseries-no-scores", map[string]any{"view": "timeseries", "metric": "no_such_metric"}},
	{"anomalies-numeric", map[string]any{"view": "numeric", "limit": 3}},
	{"anomalies-numeric-above", map[string]any{"view": "numeric", "threshold": 100}},
	{"anomalies-annotations", map[string]any{"view": "annotations"}},
}

func matchers(label, op, value string) []map[string]string {
	return []map[string]string{{"label": label, "op": op, "value": value}}
}

func anomaliesTarget(refID string, model map[string]any) target {
	return target{
		refID: refID, model: map[string]any{"queryType": "anomalies", "anomalies": model},
		from: prometheustest.FleetStart, to: prometheustest.FleetEnd, interval: 30 * time.Second, points: 120,
	}
}

func TestAnomalies(t *testing.T) {
	p := start(t)
	prom := prometheustest.Serve(t, prometheustest.Fleet()...)
	for _, q := range fleetQueries {
		t.Run(q.name, func(t *testing.T) { ask(t, p, prom.URL, q.name, q.model) })
	}
}

// The same queries and the same goldens with a real Prometheus: what the goldens say is what Prometheus means.
func TestAnomaliesOnRealPrometheus(t *testing.T) {
	if *update {
		t.Skip("goldens are written from the Prometheus in the test process")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "fleet.om")
	writeFile(t, file, prometheustest.OpenMetrics(prometheustest.Fleet()...))
	out, err := exec.CommandContext(t.Context(), servertest.Binary(t, "promtool"), "tsdb", "create-blocks-from", "openmetrics", file, filepath.Join(dir, "data")).CombinedOutput()
	require.NoError(t, err, "%s", out)
	server := servertest.Prometheus(t, servertest.Config{Dir: dir, Args: []string{"--storage.tsdb.retention.time=100y"}})

	p := start(t)
	for _, q := range fleetQueries {
		t.Run(q.name, func(t *testing.T) { ask(t, p, server.URL, q.name, q.model) })
	}
}

func ask(t *testing.T, p *Plugin, address, golden string, model map[string]any) {
	t.Helper()
	s := source{json: map[string]any{"prometheusUrl": address}, login: "ann"}
	got, err := p.query(t, s, anomaliesTarget("A", model))
	require.NoError(t, err)
	require.NoError(t, got["A"].Error)
	requireContract(t, got["A"])
	requireGolden(t, golden, got["A"], address, "http://prometheus")
}

// requireContract holds frames to the data plane contract.
func requireContract(t *testing.T, resp backend.DataResponse) {
	t.Helper()
	require.NotEmpty(t, resp.Frames, "no data is one frame without fields")
	first := resp.Frames[0]
	seen := map[string]bool{}
	for _, f := range resp.Frames {
		require.Equal(t, first.Meta.Type, f.Meta.Type, "all frames of an answer are of one kind")
		require.Equal(t, data.FrameTypeVersion{0, 1}, f.Meta.TypeVersion)
		require.Equal(t, "A", f.RefID)
		_, err := f.RowLen() // fields of one length
		require.NoError(t, err)
		if len(f.Fields) == 0 {
			require.Len(t, resp.Frames, 1)
			continue
		}
		last := f.Fields[len(f.Fields)-1]
		switch f.Meta.Type {
		case data.FrameTypeTimeSeriesMulti:
			require.Len(t, f.Fields, 2)
			require.Equal(t, data.FieldTypeTime, f.Fields[0].Type())
			requireAscending(t, f.Fields[0])
			require.True(t, last.Type().Numeric())
		case data.FrameTypeNumericMulti:
			require.Len(t, f.Fields, 1)
			require.True(t, last.Type().Numeric())
		case data.FrameTypeTable:
			require.Len(t, resp.Frames, 1)
			continue
		default:
			t.Fatalf("frame type %q", f.Meta.Type)
		}
		id := last.Name + last.Labels.String()
		require.False(t, seen[id], "name and labels identify a series: %s twice", id)
		seen[id] = true
	}
}

func requireAscending(t *testing.T, f *data.Field) {
	t.Helper()
	for i := 1; i < f.Len(); i++ {
		require.True(t, f.At(i-1).(time.Time).Before(f.At(i).(time.Time)))
	}
}

func TestManyQueriesAtOnce(t *testing.T) {
	p := start(t)
	prom := prometheustest.Serve(t, prometheustest.Fleet()...)
	var targets []target
	for _, id := range strings.Split("ABCDEFGHIJKLMNOPQRST", "") {
		targets = append(targets, anomaliesTarget(id, map[string]any{"view": "numeric"}))
	}
	targets[3].model = map[string]any{"queryType": "oracle"}
	targets[5].model["queryType"] = "incidents"
	got, err := p.query(t, source{json: map[string]any{"prometheusUrl": prom.URL}}, targets...)
	require.NoError(t, err)
	require.Len(t, got, 20)
	for id, resp := range got {
		switch id {
		case "D":
			require.ErrorContains(t, resp.Error, `unknown queryType "oracle", want one of: anomalies, incidents`)
			require.Equal(t, backend.StatusBadRequest, resp.Status)
			require.Equal(t, backend.ErrorSourceDownstream, resp.ErrorSource)
		case "F":
			require.ErrorContains(t, resp.Error, "needs the address of Portent receiver")
		default:
			require.NoError(t, resp.Error)
			require.Len(t, resp.Frames, 5, "the sixth series has ended")
		}
	}
}

func TestUserAndOrgAreForwardedWhereConfigured(t *testing.T) {
	p := start(t)
	prom := prometheustest.Serve(t, prometheustest.Fleet()...)
	s := source{json: map[string]any{
		"prometheusUrl": prom.URL,
		"connections":   map[string]any{"prometheus": map[string]any{"forwardUserAndOrg": true, "auth": "basic", "user": "grafana"}},
	}, secrets: map[string]string{"prometheusPassword": "pw"}, login: "ann"}
	got, err := p.query(t, s, anomaliesTarget("A", map[string]any{"view": "numeric"}))
	require.NoError(t, err)
	require.NoError(t, got["A"].Error)
	headers := prom.Headers()
	require.NotEmpty(t, headers)
	for _, h := range headers {
		require.Equal(t, "ann", h.Get("X-Grafana-User"))
		require.Equal(t, "7", h.Get("X-Grafana-Org-Id"))
		require.Contains(t, h.Get("User-Agent"), plugin.ID+"/1.2.3-test", "a server sees who asks")
		user, password, _ := (&http.Request{Header: h}).BasicAuth()
		require.Equal(t, "grafana:pw", user+":"+password)
	}
}

func TestChangedSettingsTakeEffect(t *testing.T) {
	p := start(t)
	first, second := prometheustest.Serve(t), prometheustest.Serve(t, prometheustest.Fleet()...)
	frames := func(s source) int {
		got, err := p.query(t, s, anomaliesTarget("A", map[string]any{"view": "timeseries"}))
		require.NoError(t, err)
		require.NoError(t, got["A"].Error)
		return len(got["A"].Frames[0].Fields)
	}
	require.Equal(t, 0, frames(source{json: map[string]any{"prometheusUrl": first.URL}}))
	require.Equal(t, 2, frames(source{json: map[string]any{"prometheusUrl": second.URL}, version: 1}))
}

// The frames are small enough to be read over a slow line: a table never holds what a table cannot show.
func TestGoldensAreJSON(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	require.Greater(t, len(files), len(fleetQueries)-1)
	for _, f := range files {
		require.True(t, json.Valid([]byte(readFile(t, f))), f)
	}
}
