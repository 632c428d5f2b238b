package plugin_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/datasource-plugin/pkg/plugin"
)

// instantPrometheus answers at once, with as many series as a panel shows: what a query takes beyond it is the
// plugin's.
func instantPrometheus(b *testing.B, series int) string {
	b.Helper()
	var rows []string
	for i := range series {
		rows = append(rows, fmt.Sprintf(`{"metric":{"namespace":"n%d","pod":"pod-%d"},"value":[1,"%d"]}`, i%7, i, i))
	}
	vector := `{"status":"success","data":{"resultType":"vector","result":[` + strings.Join(rows, ",") + `]}}`
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch path := r.URL.Path; {
		case path == "/api/v1/label/__name__/values":
			_, _ = io.WriteString(w, `{"status":"success","data":["kube_pod_info","container_memory_working_set_bytes"]}`)
		case strings.HasPrefix(path, "/api/v1/label/"):
			_, _ = io.WriteString(w, `{"status":"success","data":["n1","n2"]}`)
		case path == "/api/v1/labels":
			_, _ = io.WriteString(w, `{"status":"success","data":["__name__","container","namespace","pod"]}`)
		case path == "/api/v1/series":
			_, _ = io.WriteString(w, `{"status":"success","data":[{"__name__":"kube_pod_info"}]}`)
		case path == "/api/v1/metadata":
			_, _ = io.WriteString(w, `{"status":"success","data":{}}`)
		default:
			_, _ = io.WriteString(w, vector)
		}
	}))
	b.Cleanup(srv.Close)
	return srv.URL
}

// BenchmarkAsk is what a question costs beyond what its Prometheus takes: one that a panel has stored, and one that is
// asked. p95-ms is the slowest of 20 but one. The bound is 15 ms.
func BenchmarkAsk(b *testing.B) {
	raw, err := json.Marshal(map[string]any{"prometheusUrl": instantPrometheus(b, 100)})
	require.NoError(b, err)
	made, err := plugin.NewInstance(b.Context(), backend.DataSourceInstanceSettings{UID: "P1", Type: plugin.ID, Name: "Portent", JSONData: raw})
	require.NoError(b, err)
	in := made.(*plugin.Instance)
	b.Cleanup(in.Dispose)
	for name, model := range map[string]string{
		"stored": `{"queryType":"ask","ask":{"question":"q","frozen":{"question":"q","language":"promql","query":"sum by (namespace, pod) (container_memory_working_set_bytes)"}}}`,
		"asked":  `{"queryType":"ask","ask":{"question":"memory by pod"}}`,
	} {
		b.Run(name, func(b *testing.B) {
			now := time.Now()
			req := &backend.QueryDataRequest{
				PluginContext: backend.PluginContext{User: &backend.User{Login: "ann"}},
				Queries:       []backend.DataQuery{{RefID: "A", JSON: json.RawMessage(model), TimeRange: backend.TimeRange{From: now.Add(-time.Hour), To: now}, Interval: time.Minute, MaxDataPoints: 500}},
			}
			var took []time.Duration
			for b.Loop() {
				start := time.Now()
				resp, err := in.QueryData(b.Context(), req)
				if err != nil || resp.Responses["A"].Error != nil || len(resp.Responses["A"].Frames[0].Fields) == 0 {
					b.Fatal(err, resp.Responses["A"].Error)
				}
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
		})
	}
}
