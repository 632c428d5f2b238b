package plugin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/datasource-plugin/pkg/plugin"
	"github.com/portent-dev/portent/datasource-plugin/prometheustest"
)

// crowd passes requests on and notes how many were under way at once.
type crowd struct {
	next      http.Handler
	now, most atomic.Int64
}

func (c *crowd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := c.now.Add(1)
	defer c.now.Add(-1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	c.next.ServeHTTP(w, r)
}

func instance(t *testing.T, jsonData map[string]any) *plugin.Instance {
	t.Helper()
	raw, err := json.Marshal(jsonData)
	require.NoError(t, err)
	in, err := plugin.NewInstance(t.Context(), backend.DataSourceInstanceSettings{UID: "P1", Type: plugin.ID, Name: "Portent", JSONData: raw})
	require.NoError(t, err)
	t.Cleanup(in.(*plugin.Instance).Dispose)
	return in.(*plugin.Instance)
}

func request(n int, view string) *backend.QueryDataRequest {
	req := &backend.QueryDataRequest{}
	for i := range n {
		req.Queries = append(req.Queries, backend.DataQuery{
			RefID: fmt.Sprintf("Q%d", i), JSON: json.RawMessage(`{"queryType":"anomalies","anomalies":{"view":"` + view + `","show":["score","observed","band"]}}`),
			TimeRange: backend.TimeRange{From: prometheustest.FleetStart, To: prometheustest.FleetEnd}, Interval: time.Minute, MaxDataPoints: 60,
		})
	}
	return req
}

// A dashboard of many panels asks all at once, from many users: all are answered, and Prometheus is never asked
// more at once than it can answer.
func TestManyAtOnce(t *testing.T) {
	prom := prometheustest.Serve(t, prometheustest.Fleet()...)
	address, err := url.Parse(prom.URL)
	require.NoError(t, err)
	c := &crowd{next: httputil.NewSingleHostReverseProxy(address)}
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	in := instance(t, map[string]any{"prometheusUrl": srv.URL})

	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			resp, err := in.QueryData(t.Context(), request(5, []string{"table", "timeseries", "numeric", "annotations"}[i%4]))
			if err != nil || len(resp.Responses) != 5 {
				t.Errorf("got %d answers and %v", len(resp.Responses), err)
				return
			}
			for id, one := range resp.Responses {
				if one.Error != nil || len(one.Frames) == 0 {
					t.Errorf("%s: %v", id, one.Error)
				}
			}
		})
		wg.Go(func() {
			if h, err := in.CheckHealth(t.Context(), &backend.CheckHealthRequest{}); err != nil || h.Status != backend.HealthStatusOk {
				t.Errorf("health: %v %v", h, err)
			}
		})
		wg.Go(func() {
			err := in.CallResource(t.Context(), &backend.CallResourceRequest{Method: "GET", Path: "labels", URL: "labels"},
				backend.CallResourceResponseSenderFunc(func(r *backend.CallResourceResponse) error {
					if r.Status != http.StatusOK {
						t.Errorf("labels: %d %s", r.Status, r.Body)
					}
					return nil
				}))
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	// Each of the six health checks may have a probe more under way, which waits for no place.
	require.LessOrEqual(t, c.most.Load(), int64(10+6))
	require.Greater(t, c.most.Load(), int64(1))
}

// What one query costs beyond what Prometheus takes.
func BenchmarkTable(b *testing.B) {
	fleet := prometheustest.Fleet()
	srv := httptest.NewServer(recorded(b, fleet))
	b.Cleanup(srv.Close)
	raw, err := json.Marshal(map[string]any{"prometheusUrl": srv.URL})
	require.NoError(b, err)
	made, err := plugin.NewInstance(b.Context(), backend.DataSourceInstanceSettings{UID: "P1", Type: plugin.ID, Name: "Portent", JSONData: raw})
	require.NoError(b, err)
	in := made.(*plugin.Instance)
	b.Cleanup(in.Dispose)
	req := request(1, "table")
	for b.Loop() {
		resp, err := in.QueryData(b.Context(), req)
		if err != nil || resp.Responses["Q0"].Error != nil {
			b.Fatal(err, resp.Responses["Q0"].Error)
		}
	}
}

// recorded answers each request that came before from memory, so that the benchmark does not measure the fake.
func recorded(b *testing.B, fleet []prometheustest.Series) http.Handler {
	b.Helper()
	prom := prometheustest.Serve(b, fleet...)
	address, err := url.Parse(prom.URL)
	require.NoError(b, err)
	proxy := httputil.NewSingleHostReverseProxy(address)
	var answers sync.Map
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		key := r.URL.Path + "?" + r.Form.Encode()
		if body, ok := answers.Load(key); ok {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(body.([]byte))
			return
		}
		rec := httptest.NewRecorder()
		again := httptest.NewRequest(http.MethodGet, r.URL.Path+"?"+r.Form.Encode(), nil)
		proxy.ServeHTTP(rec, again)
		answers.Store(key, rec.Body.Bytes())
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(rec.Body.Bytes())
	})
}
