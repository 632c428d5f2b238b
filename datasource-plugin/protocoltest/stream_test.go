package protocoltest

import (
	"encoding/json"
	"testing"

	"github.com/grafana/grafana-plugin-sdk-go/data"
	"github.com/grafana/grafana-plugin-sdk-go/genproto/pluginv2"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/datasource-plugin/prometheustest"
)

// message is one frame of a stream.
type message struct {
	stage, result, failure string
}

func (p *Plugin) listen(t *testing.T, s source, path string, body any) []message {
	t.Helper()
	stream, err := p.stream.RunStream(t.Context(), &pluginv2.RunStreamRequest{PluginContext: s.context(t), Path: path, Data: []byte(mustJSON(t, body))})
	require.NoError(t, err)
	var out []message
	for {
		packet, err := stream.Recv()
		if err != nil {
			return out // the end of the stream
		}
		var f data.Frame
		require.NoError(t, json.Unmarshal(packet.Data, &f))
		text := func(i int) string { return f.Fields[i].At(0).(string) }
		out = append(out, message{text(0), text(1), text(2)})
	}
}

// A question whose answer takes long tells each stage as it begins.
func streams(t *testing.T, p *Plugin, s source) {
	const path = "ask/0123456789abcdef"
	body := func(question string) any {
		return map[string]any{"ask": map[string]any{"question": question}, "from": prometheustest.FleetStart.UnixMilli(), "to": prometheustest.FleetEnd.UnixMilli()}
	}
	got := p.listen(t, s, path, body("memory by pod"))
	require.Len(t, got, 4)
	for i, stage := range []string{"translating", "checking", "running", "answered"} {
		require.Equal(t, stage, got[i].stage)
	}
	var e struct{ Query, Answer string }
	require.NoError(t, json.Unmarshal([]byte(got[3].result), &e))
	require.Regexp(t, `^sum by \((cluster, )?pod\) \(container_memory_working_set_bytes\{container!=""\}\)$`, e.Query)
	require.Contains(t, e.Answer, "ledger-0")

	got = p.listen(t, s, path, body("gpu temperature"))
	require.Len(t, got, 2)
	require.Equal(t, "answered", got[1].stage)
	require.Contains(t, got[1].result, `"refused":true`)

	broken := s
	broken.json, broken.version = map[string]any{"prometheusUrl": down}, 5
	got = p.listen(t, broken, path, body("memory by pod"))
	require.Equal(t, "failed", got[len(got)-1].stage)
	require.Contains(t, got[len(got)-1].failure, "connection refused")

	subscribe := func(s source, path string, body any) pluginv2.SubscribeStreamResponse_Status {
		t.Helper()
		resp, err := p.stream.SubscribeStream(t.Context(), &pluginv2.SubscribeStreamRequest{PluginContext: s.context(t), Path: path, Data: []byte(mustJSON(t, body))})
		require.NoError(t, err)
		return resp.Status
	}
	require.Equal(t, pluginv2.SubscribeStreamResponse_OK, subscribe(s, path, body("memory by pod")))
	for _, bad := range []string{"ask/short", "ask", "else/0123456789abcdef", "ask/0123456789abcdef/../x"} {
		require.Equal(t, pluginv2.SubscribeStreamResponse_NOT_FOUND, subscribe(s, bad, body("memory by pod")), bad)
	}
	nobody := s
	nobody.login = ""
	require.Equal(t, pluginv2.SubscribeStreamResponse_PERMISSION_DENIED, subscribe(nobody, path, body("x")))
	require.Equal(t, pluginv2.SubscribeStreamResponse_PERMISSION_DENIED, subscribe(s, path, "x"))
	published, err := p.stream.PublishStream(t.Context(), &pluginv2.PublishStreamRequest{PluginContext: s.context(t), Path: path})
	require.NoError(t, err)
	require.Equal(t, pluginv2.PublishStreamResponse_PERMISSION_DENIED, published.Status)
}
