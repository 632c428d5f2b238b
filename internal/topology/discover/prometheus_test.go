package discover_test

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/e2e/servertest"
	"github.com/portent-dev/portent/internal/promapi"
	"github.com/portent-dev/portent/internal/topology"
	"github.com/portent-dev/portent/internal/topology/discover"
)

// metrics are what the real programs expose, cut to a few series; cluster is a label of the targets.
const metrics = `
kube_pod_info{cluster="prod",namespace="shop",pod="checkout-7d9f8b6c5-x2x4z",node="ip-10-0-0-1.eu.internal",host_ip="10.0.0.1",pod_ip="10.1.0.9",created_by_kind="ReplicaSet",created_by_name="checkout-7d9f8b6c5",uid="1"} 1
kube_pod_info{cluster="prod",namespace="data",pod="orders-db-0",node="ip-10-0-0-2.eu.internal",uid="2"} 1
kube_pod_owner{cluster="prod",namespace="shop",pod="checkout-7d9f8b6c5-x2x4z",owner_kind="ReplicaSet",owner_name="checkout-7d9f8b6c5",owner_is_controller="true"} 1
kube_pod_owner{cluster="prod",namespace="data",pod="orders-db-0",owner_kind="StatefulSet",owner_name="orders-db",owner_is_controller="true"} 1
kube_replicaset_owner{cluster="prod",namespace="shop",replicaset="checkout-7d9f8b6c5",owner_kind="Deployment",owner_name="checkout",owner_is_controller="true"} 1
kube_node_info{cluster="prod",node="ip-10-0-0-2.eu.internal",internal_ip="10.0.0.2",kernel_version="6.1"} 1
kube_pod_spec_volumes_persistentvolumeclaims_info{cluster="prod",namespace="data",pod="orders-db-0",volume="data",persistentvolumeclaim="data-orders-db-0"} 1
istio_requests_total{cluster="prod",reporter="source",source_workload="frontend",source_workload_namespace="web",destination_workload="checkout",destination_workload_namespace="shop",response_code="200"} 100
istio_requests_total{cluster="prod",reporter="source",source_workload="frontend",source_workload_namespace="web",destination_workload="checkout",destination_workload_namespace="shop",response_code="503"} 3
istio_requests_total{cluster="prod",reporter="destination",source_workload="unknown",source_workload_namespace="unknown",destination_workload="checkout",destination_workload_namespace="shop",response_code="200"} 100
istio_tcp_connections_opened_total{cluster="prod",reporter="source",source_workload="checkout",source_workload_namespace="shop",destination_workload="unknown",destination_service_name="orders-db",destination_service_namespace="data"} 4
response_total{cluster="prod",direction="outbound",namespace="mail",deployment="newsletter",dst_namespace="mail",dst_deployment="smarthost",classification="success"} 9
response_total{cluster="prod",direction="inbound",namespace="mail",deployment="smarthost",classification="success"} 9
traces_service_graph_request_total{cluster="prod",client="checkout",server="payments",connection_type=""} 7
traces_service_graph_request_total{cluster="prod",client="user",server="frontend",connection_type="virtual_node"} 7
`

// TestRealPrometheus reads all sources from a server that holds what the real programs expose.
func TestRealPrometheus(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Prometheus")
	}
	dir := t.TempDir()
	var b strings.Builder
	now := time.Now()
	for line := range strings.Lines(metrics) {
		if line = strings.TrimSpace(line); line != "" {
			for ago := range 3 {
				fmt.Fprintf(&b, "%s %d\n", line, now.Add(time.Duration(ago-1)*time.Minute).Unix())
			}
		}
	}
	b.WriteString("# EOF\n")
	file := filepath.Join(dir, "metrics.om")
	require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o600))
	out, err := exec.CommandContext(t.Context(), servertest.Binary(t, "promtool"), "tsdb", "create-blocks-from", "openmetrics", file, filepath.Join(dir, "data")).CombinedOutput()
	require.NoError(t, err, string(out))
	server := servertest.Prometheus(t, servertest.Config{Dir: dir})
	client, err := promapi.New(promapi.Options{URL: server.URL})
	require.NoError(t, err)

	var topo *topology.Topology
	got := make(chan struct{}, 1)
	w := discover.NewWorker(discover.WorkerOptions{
		Use: func(t *topology.Topology, _ string) { topo = t; got <- struct{}{} }, Now: func() time.Time { return now },
		Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	w.Set(discover.Settings{Config: discover.DefaultConfig(), Prometheus: client})
	go func() { _ = w.Run(t.Context()) }()
	<-got

	find := func(kind topology.Kind, ns, name string) []topology.Anchor {
		return topo.Find(nil, kind, "prod", ns, name)
	}
	f := func(a, b []topology.Anchor, want string) {
		t.Helper()
		require.Equal(t, want, topo.Words(topo.Relate(a, b)))
	}
	service, db := find(topology.Service, "shop", "checkout"), find(topology.Service, "data", "orders-db")
	node := find(topology.Node, "", "10.0.0.2:9100")
	f(find(topology.Pod, "shop", "checkout-7d9f8b6c5-x2x4z"), find(topology.Node, "", "ip-10-0-0-1.eu.internal"), "shop/checkout-7d9f8b6c5-x2x4z runs on ip-10-0-0-1.eu.internal")
	f(find(topology.Service, "web", "frontend"), service, "web/frontend depends on shop/checkout")
	f(find(topology.Service, "web", "frontend"), db, "web/frontend depends on data/orders-db through shop/checkout")
	f(find(topology.Pod, "shop", "checkout-7d9f8b6c5-x2x4z"), db, "shop/checkout depends on data/orders-db")
	f(service, node, "shop/checkout depends on ip-10-0-0-2.eu.internal through data/orders-db")
	f(db, find(topology.Volume, "data", "data-orders-db-0"), "data/orders-db stores in data/data-orders-db-0")
	f(find(topology.Service, "mail", "newsletter"), find(topology.Service, "mail", "smarthost"), "mail/newsletter depends on mail/smarthost")
	f(service, find(topology.Service, "", "payments"), "shop/checkout depends on payments")
	require.Empty(t, find(topology.Service, "", "user"))
	require.Empty(t, topo.Find(nil, topology.Service, "staging", "shop", "checkout"))
}
