package discover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/promapi"
	"github.com/portent-dev/portent/internal/topology"
)

// answers is a Prometheus by metric.
type answers struct {
	vectors map[string]model.Vector
	away    atomic.Bool
	asked   atomic.Int64
}

func (a *answers) Query(_ context.Context, expr string, _ time.Time, limit int) (promapi.Answer, error) {
	a.asked.Add(1)
	if a.away.Load() {
		return promapi.Answer{}, errors.New("away")
	}
	for metric, v := range a.vectors {
		if strings.Contains(expr, metric) {
			return promapi.Answer{Value: v[:min(len(v), limit)]}, nil
		}
	}
	return promapi.Answer{Value: model.Vector{}}, nil
}

func row(pairs ...string) *model.Sample {
	m := model.Metric{}
	for i := 0; i < len(pairs); i += 2 {
		m[model.LabelName(pairs[i])] = model.LabelValue(pairs[i+1])
	}
	return &model.Sample{Metric: m, Value: 1}
}

// worker returns one that keeps what it last handed on in used.
func worker(t *testing.T, used *atomic.Pointer[topology.Topology]) (*Worker, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	return NewWorker(WorkerOptions{
		Use: func(topo *topology.Topology, _ string) { used.Store(topo) }, Now: time.Now, Logger: slog.New(slog.DiscardHandler), Registerer: reg,
	}), reg
}

func services(topo *topology.Topology, from, to string) string {
	find := func(s string) []topology.Anchor {
		e := service("prod", s)
		return topo.Find(nil, topology.Service, e.Cluster, e.Namespace, e.Name)
	}
	return topo.Words(topo.Relate(find(from), find(to)))
}

// What Prometheus no longer tells counts for a while, then not; a server that is away is asked again.
func TestLinksAreKeptForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		prom := &answers{vectors: map[string]model.Vector{"istio_requests_total": {
			row("source_workload", "checkout", "source_workload_namespace", "shop", "destination_workload", "orders", "destination_workload_namespace", "shop"),
		}}}
		var used atomic.Pointer[topology.Topology]
		w, reg := worker(t, &used)
		w.Set(Settings{Config: DefaultConfig(), Prometheus: prom})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		synctest.Wait()
		require.Equal(t, "shop/checkout depends on shop/orders", services(used.Load(), "shop/checkout", "shop/orders"))

		prom.away.Store(true)
		virtual(2*time.Hour + time.Minute)
		synctest.Wait()
		require.NotEmpty(t, services(used.Load(), "shop/checkout", "shop/orders"))
		virtual(70 * time.Minute)
		synctest.Wait()
		require.Empty(t, services(used.Load(), "shop/checkout", "shop/orders"))
		n, err := testutil.GatherAndCount(reg, "portent_receiver_topology_last_success_timestamp_seconds")
		require.NoError(t, err)
		require.Equal(t, 4, n)
		require.InDelta(t, 1, testutil.ToFloat64(w.metrics.rounds.WithLabelValues("istio", "ok")), 0)
		require.Greater(t, testutil.ToFloat64(w.metrics.rounds.WithLabelValues("istio", "failed")), 30.0)

		prom.away.Store(false)
		virtual(5 * time.Minute)
		synctest.Wait()
		require.NotEmpty(t, services(used.Load(), "shop/checkout", "shop/orders"))

		w.Set(Settings{Config: DefaultConfig()}) // neither Prometheus nor a file
		synctest.Wait()
		require.Nil(t, used.Load())
		before := prom.asked.Load()
		virtual(70 * time.Minute)
		require.Equal(t, before, prom.asked.Load())
		cancel()
		require.NoError(t, <-done)
	})
}

func TestAnAnswerIsBounded(t *testing.T) {
	var v model.Vector
	for i := range 50 {
		v = append(v, row("source_workload", fmt.Sprint("w", i), "destination_workload", strings.Repeat("x", 100*(i%5))))
	}
	var used atomic.Pointer[topology.Topology]
	w, _ := worker(t, &used)
	c := DefaultConfig()
	c.MaxSeries, c.Sources = 20, []Source{Istio}
	w.Set(Settings{Config: c, Prometheus: &answers{vectors: map[string]model.Vector{"istio_requests_total": v}}})
	w.round(t.Context())
	require.Equal(t, 8, used.Load().Links(), "of twenty, those whose names can be some")
	require.InDelta(t, 1, testutil.ToFloat64(w.metrics.truncated), 0)
}

func TestLinksWithoutAPrometheusAreTheFiles(t *testing.T) {
	var used atomic.Pointer[topology.Topology]
	w, _ := worker(t, &used)
	f := File{Dependencies: []Dependency{{Service: "a", Calls: []string{"b"}}}}
	w.Set(Settings{Config: DefaultConfig(), File: f})
	w.round(t.Context())
	require.Equal(t, "a depends on b", services(used.Load(), "a", "b"))
}

func TestPodsBelongToWhatPeopleKnow(t *testing.T) {
	ns := []string{"namespace", "monitoring", "exported_namespace", "shop"}
	prom := &answers{vectors: map[string]model.Vector{
		"kube_pod_info":         {row(append(ns, "pod", "ksm-0", "exported_pod", "web-odd", "node", "n1.example.com")...), row("namespace", "shop", "pod", "nightly-1-xyz", "node", "n1.example.com")},
		"kube_pod_owner":        {row(append(ns, "exported_pod", "web-odd", "owner_kind", "ReplicaSet", "owner_name", "web-5f")...), row("namespace", "shop", "pod", "nightly-1-xyz", "owner_kind", "Job", "owner_name", "nightly-1")},
		"kube_replicaset_owner": {row(append(ns, "replicaset", "web-5f", "owner_kind", "Deployment", "owner_name", "web")...)},
		"kube_job_owner":        {row("namespace", "shop", "job_name", "nightly-1", "owner_kind", "CronJob", "owner_name", "nightly")},
		"kube_node_info":        {row("node", "n1.example.com", "internal_ip", "10.0.0.1")},
	}}
	var used atomic.Pointer[topology.Topology]
	w, _ := worker(t, &used)
	w.Set(Settings{Config: DefaultConfig(), Prometheus: prom})
	w.round(t.Context())
	topo := used.Load()
	node := topo.Find(nil, topology.Node, "", "", "10.0.0.1:9100")
	require.Len(t, node, 1)
	require.Equal(t, node, topo.Find(nil, topology.Node, "", "", "n1"))
	for _, name := range []string{"web", "nightly"} {
		require.Equal(t, "shop/"+name+" runs on n1.example.com", topo.Words(topo.Relate(topo.Find(nil, topology.Service, "", "shop", name), node)))
	}
	require.Len(t, topo.Find(nil, topology.Pod, "", "shop", "web-odd"), 2, "the pod and its deployment")
	for id := range topo.Len() {
		require.NotContains(t, topo.Entity(topology.ID(id)).Name, ownerPrefix)
	}
}

func TestQueriesAreValid(t *testing.T) {
	for _, q := range queries() {
		_, err := parser.NewParser(parser.Options{}).ParseExpr(q.expr("cluster"))
		require.NoError(t, err, q.metric)
		require.Contains(t, Sources(), q.source)
	}
}

func TestConfigIsChecked(t *testing.T) {
	c := DefaultConfig()
	require.NoError(t, c.Validate())
	f := func(change func(c *Config), want string) {
		t.Helper()
		c := DefaultConfig()
		change(&c)
		require.ErrorContains(t, c.Validate(), want)
	}
	f(func(c *Config) { c.Sources = []Source{"consul"} }, "known are kubernetes, istio, linkerd, service_graph")
	f(func(c *Config) { c.Sources = []Source{Istio, Istio} }, "twice")
	f(func(c *Config) { c.Interval = 1 }, "interval")
	f(func(c *Config) { c.Timeout = 0 }, "timeout")
	f(func(c *Config) { c.Keep = 0 }, "keep")
	f(func(c *Config) { c.MaxSeries = 0 }, "max_series")
	f(func(c *Config) { c.ClusterLabel = "a-b" }, "cluster_label")
}
