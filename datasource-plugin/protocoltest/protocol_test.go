// Package protocoltest starts the built backend as Grafana does and talks to it as Grafana does: go-plugin's
// handshake, then gRPC. What comes back is compared with goldens.
package protocoltest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/grafana/grafana-plugin-sdk-go/backend/grpcplugin"
	"github.com/grafana/grafana-plugin-sdk-go/genproto/pluginv2"
	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/stretchr/testify/require"

	// Not only for the name: without it go test would take a result from its cache when the backend has changed.
	"github.com/portent-dev/portent/datasource-plugin/pkg/plugin"
)

// buildInfo is what the build of the plugin sets, and by which the backend names itself.
const buildInfo = `-X 'github.com/grafana/grafana-plugin-sdk-go/build/buildinfo.buildInfoJSON={"pluginID":"` + plugin.ID + `","version":"1.2.3-test"}'`

// executable is the backend, built once for all tests from the sources as they are.
var executable string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "portent-plugin-")
	if err == nil {
		executable = filepath.Join(dir, "gpx_portent_aiops_datasource")
		build := exec.Command("go", "build", "-trimpath", "-tags", "arrow_json_stdlib", "-ldflags", buildInfo, "-o", executable, "github.com/portent-dev/portent/datasource-plugin/pkg")
		build.Stderr = os.Stderr
		err = build.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "build the backend:", err)
		os.Exit(1)
	}
	code := m.Run()
	goplugin.CleanupClients()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// Plugin is the running backend, as Grafana sees it.
type Plugin struct {
	diagnostics grpcplugin.DiagnosticsClient
	data        grpcplugin.DataClient
	resource    grpcplugin.ResourceClient
	stream      grpcplugin.StreamClient
	client      *goplugin.Client
}

// start runs the executable with nothing in its environment but the magic cookie and what go-plugin adds: the
// backend must not need more.
func start(t *testing.T) *Plugin {
	t.Helper()
	client := goplugin.NewClient(&goplugin.ClientConfig{
		Cmd: exec.Command(executable),
		// As in Grafana's pkg/plugins/backendplugin/grpcplugin.
		HandshakeConfig: goplugin.HandshakeConfig{
			ProtocolVersion: grpcplugin.ProtocolVersion, MagicCookieKey: grpcplugin.MagicCookieKey, MagicCookieValue: grpcplugin.MagicCookieValue,
		},
		VersionedPlugins: map[int]goplugin.PluginSet{grpcplugin.ProtocolVersion: {
			"diagnostics": &grpcplugin.DiagnosticsGRPCPlugin{},
			"data":        &grpcplugin.DataGRPCPlugin{},
			"resource":    &grpcplugin.ResourceGRPCPlugin{},
			"stream":      &grpcplugin.StreamGRPCPlugin{},
		}},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		SkipHostEnv:      true,
		Logger:           hclog.NewNullLogger(),
	})
	t.Cleanup(client.Kill)
	rpc, err := client.Client()
	require.NoError(t, err)
	p := &Plugin{client: client}
	dispense := func(name string) any {
		raw, err := rpc.Dispense(name)
		require.NoError(t, err)
		return raw
	}
	p.diagnostics = dispense("diagnostics").(grpcplugin.DiagnosticsClient)
	p.data = dispense("data").(grpcplugin.DataClient)
	p.resource = dispense("resource").(grpcplugin.ResourceClient)
	p.stream = dispense("stream").(grpcplugin.StreamClient)
	return p
}

// source is a configured data source.
type source struct {
	json    map[string]any
	secrets map[string]string
	login   string // of the user who asks; empty for Grafana itself
	version int64  // changed settings have another
}

func (s source) context(t *testing.T) *pluginv2.PluginContext {
	t.Helper()
	raw, err := json.Marshal(s.json)
	require.NoError(t, err)
	pc := &pluginv2.PluginContext{
		OrgId: 7, PluginId: plugin.ID, PluginVersion: "0.1.0",
		DataSourceInstanceSettings: &pluginv2.DataSourceInstanceSettings{
			Uid: "P1", Name: "Portent AIOps", JsonData: raw, DecryptedSecureJsonData: s.secrets,
			LastUpdatedMS: 1_700_000_000_000 + s.version,
		},
	}
	if s.login != "" {
		pc.User = &pluginv2.User{Login: s.login, Role: "Viewer"}
	}
	return pc
}

// target is one query of a request.
type target struct {
	refID    string
	model    map[string]any
	from, to time.Time
	interval time.Duration
	points   int64
}

// query sends one request and returns the answers as the SDK reads them.
func (p *Plugin) query(t *testing.T, s source, targets ...target) (backend.Responses, error) {
	t.Helper()
	resp, err := p.data.QueryData(t.Context(), request(t, s, targets...))
	if err != nil {
		return nil, err
	}
	out, err := backend.FromProto().QueryDataResponse(resp)
	require.NoError(t, err)
	return out.Responses, nil
}

func request(t *testing.T, s source, targets ...target) *pluginv2.QueryDataRequest {
	t.Helper()
	req := &pluginv2.QueryDataRequest{PluginContext: s.context(t)}
	for _, one := range targets {
		model := map[string]any{"refId": one.refID, "datasource": map[string]any{"type": "portent-aiops-datasource", "uid": "P1"}, "intervalMs": one.interval.Milliseconds()}
		for k, v := range one.model {
			model[k] = v
		}
		raw, err := json.Marshal(model)
		require.NoError(t, err)
		kind, _ := model["queryType"].(string)
		req.Queries = append(req.Queries, &pluginv2.DataQuery{
			RefId: one.refID, QueryType: kind, Json: raw, MaxDataPoints: one.points, IntervalMS: one.interval.Milliseconds(),
			TimeRange: &pluginv2.TimeRange{FromEpochMS: one.from.UnixMilli(), ToEpochMS: one.to.UnixMilli()},
		})
	}
	return req
}

// health runs the health check.
func (p *Plugin) health(t *testing.T, s source) *pluginv2.CheckHealthResponse {
	t.Helper()
	resp, err := p.diagnostics.CheckHealth(t.Context(), &pluginv2.CheckHealthRequest{PluginContext: s.context(t)})
	require.NoError(t, err)
	return resp
}

// call asks a resource.
func (p *Plugin) call(t *testing.T, s source, method, url string) (int, string) {
	t.Helper()
	return p.send(t, s, method, url, nil)
}

// send asks a resource with a body.
func (p *Plugin) send(t *testing.T, s source, method, url string, body []byte) (int, string) {
	t.Helper()
	path, _, _ := cutQuery(url)
	stream, err := p.resource.CallResource(t.Context(), &pluginv2.CallResourceRequest{PluginContext: s.context(t), Method: method, Path: path, Url: url, Body: body})
	require.NoError(t, err)
	resp, err := stream.Recv()
	require.NoError(t, err)
	return int(resp.Code), string(resp.Body)
}

func cutQuery(url string) (path, query string, found bool) {
	for i := range url {
		if url[i] == '?' {
			return url[:i], url[i+1:], true
		}
	}
	return url, "", false
}

var errNoGolden = errors.New("golden is missing: look at what came, and if it is right write it with -update")
