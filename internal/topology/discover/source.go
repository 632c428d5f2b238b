package discover

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/portent-dev/portent/internal/topology"
)

// A Source is where dependencies are read from in Prometheus.
type Source string

// The sources.
const (
	// Kubernetes is kube-state-metrics: the nodes, owners and volumes of pods.
	Kubernetes Source = "kubernetes"
	// Istio and Linkerd are service meshes.
	Istio   Source = "istio"
	Linkerd Source = "linkerd"
	// ServiceGraph is what Tempo and the OpenTelemetry collector make of traces.
	ServiceGraph Source = "service_graph"
)

// Sources are all of them, in order.
func Sources() []Source { return []Source{Kubernetes, Istio, Linkerd, ServiceGraph} }

// A query is one metric of a source: the labels that are asked for, and what a series says.
type query struct {
	source  Source
	metric  string
	matches map[string]string // label: value
	by      []string
	read    func(m series) []link
}

// A kind of link.
type kind uint8

const (
	needs kind = iota
	partOf
	alias // from.Name is another name of to
)

// A link is one thing that a source says.
type link struct {
	kind     kind
	from, to topology.Entity
}

// series are the labels of one, and the cluster that it is in.
type series struct {
	model.Metric
	cluster string
}

// get returns the first of the labels that is there and says something.
func (s series) get(names ...string) string {
	for _, n := range names {
		if v := string(s.Metric[model.LabelName(n)]); v != "" && v != "unknown" {
			return v
		}
	}
	return ""
}

// own returns a label of what a series is about: Prometheus renames it when it clashes with that of the target.
func (s series) own(name string) string { return s.get("exported_"+name, name) }

func (s series) entity(k topology.Kind, namespace, name string) topology.Entity {
	return topology.Entity{Kind: k, Cluster: s.cluster, Namespace: namespace, Name: name}
}

func (s series) pod() topology.Entity {
	return s.entity(topology.Pod, s.own("namespace"), s.own("pod"))
}

// queries is the table of all that is asked. The labels are those of kube-state-metrics 2, Istio's standard metrics, Linkerd's proxies as
// its Prometheus labels them, and the service graphs of Tempo, which the connector of the OpenTelemetry collector has too.
func queries() []query {
	both := func(names ...string) (out []string) {
		for _, n := range names {
			out = append(out, n, "exported_"+n)
		}
		return out
	}
	return []query{
		{source: Kubernetes, metric: "kube_pod_info", by: both("namespace", "pod", "node"), read: podInfo},
		{source: Kubernetes, metric: "kube_pod_owner", by: append(both("namespace", "pod"), "owner_kind", "owner_name"), read: podOwner},
		{source: Kubernetes, metric: "kube_replicaset_owner", by: append(both("namespace"), "replicaset", "owner_kind", "owner_name"), read: owner("replicaset")},
		{source: Kubernetes, metric: "kube_job_owner", by: append(both("namespace"), "job_name", "owner_kind", "owner_name"), read: owner("job_name")},
		{
			source: Kubernetes, metric: "kube_pod_spec_volumes_persistentvolumeclaims_info",
			by: append(both("namespace", "pod"), "persistentvolumeclaim"), read: podVolume,
		},
		{source: Kubernetes, metric: "kube_node_info", by: append(both("node"), "internal_ip"), read: nodeInfo},
		{source: Istio, metric: "istio_requests_total", by: istioLabels, read: istio},
		{source: Istio, metric: "istio_tcp_connections_opened_total", by: istioLabels, read: istio},
		{
			source: Linkerd, metric: "response_total", matches: map[string]string{"direction": "outbound"},
			by: []string{
				"namespace", "deployment", "statefulset", "daemonset",
				"dst_namespace", "dst_deployment", "dst_statefulset", "dst_daemonset", "dst_service",
			}, read: linkerd,
		},
		{
			source: ServiceGraph, metric: "traces_service_graph_request_total",
			by: []string{"client", "server", "client_k8s_namespace_name", "server_k8s_namespace_name"}, read: serviceGraph,
		},
	}
}

var istioLabels = []string{
	"source_workload", "source_workload_namespace", "source_cluster",
	"destination_workload", "destination_workload_namespace", "destination_service_name", "destination_service_namespace", "destination_cluster",
}

// expr is the query: one series for each set of the labels. It reads the newest sample of each, which costs little, and does not
// ask for a rate: who may call whom is told by counters that stand still too.
func (q query) expr(clusterLabel string) string {
	ms := []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, q.metric)}
	for l, v := range q.matches {
		ms = append(ms, labels.MustNewMatcher(labels.MatchEqual, l, v))
	}
	by := slices.Clone(q.by)
	if clusterLabel != "" && !slices.Contains(by, clusterLabel) {
		by = append(by, clusterLabel)
	}
	slices.Sort(by)
	return (&parser.AggregateExpr{Op: parser.GROUP, Expr: &parser.VectorSelector{Name: q.metric, LabelMatchers: ms}, Grouping: by}).String()
}

func podInfo(s series) []link {
	return []link{{needs, s.pod(), s.entity(topology.Node, "", s.own("node"))}}
}

// ownerPrefix marks an owner that is not what people know, until it is looked up: a replica set, a job.
const ownerPrefix = "\x00"

func between(label, name string) string { return ownerPrefix + label + "\x00" + name }

// podOwner says what a pod is part of. What its owner belongs to in turn is told by other metrics.
func podOwner(s series) []link {
	name := s.get("owner_name")
	switch s.get("owner_kind") {
	case "ReplicaSet":
		name = between("replicaset", name)
	case "Job":
		name = between("job_name", name)
	case "Node", "<none>", "": // a static pod, a pod of nobody
		return nil
	}
	return []link{{partOf, s.pod(), s.entity(topology.Service, s.own("namespace"), name)}}
}

func owner(label string) func(s series) []link {
	return func(s series) []link {
		name, of := s.get(label), s.get("owner_name")
		if of == "<none>" || of == "" {
			of = name // a replica set or job of nobody is what people know
		}
		if name == "" {
			return nil
		}
		ns := s.own("namespace")
		return []link{{partOf, s.entity(topology.Service, ns, between(label, name)), s.entity(topology.Service, ns, of)}}
	}
}

func podVolume(s series) []link {
	return []link{{needs, s.pod(), s.entity(topology.Volume, s.own("namespace"), s.get("persistentvolumeclaim"))}}
}

// nodeInfo gives a node the other names that alerts have for it: its address and its name without the domain.
func nodeInfo(s series) []link {
	node := s.entity(topology.Node, "", s.own("node"))
	out := []link{{alias, topology.Entity{Name: s.get("internal_ip")}, node}}
	if short, _, ok := strings.Cut(node.Name, "."); ok && strings.Trim(short, "0123456789") != "" {
		out = append(out, link{alias, topology.Entity{Name: short}, node})
	}
	return out
}

func istio(s series) []link {
	from := s.entity(topology.Service, s.get("source_workload_namespace"), s.get("source_workload"))
	to := s.entity(topology.Service, s.get("destination_workload_namespace", "destination_service_namespace"), s.get("destination_workload", "destination_service_name"))
	if a, b := s.get("source_cluster"), s.get("destination_cluster"); a != "" && b != "" && a != b {
		return nil // alerts of two clusters are never compared
	}
	return []link{{needs, from, to}}
}

func linkerd(s series) []link {
	from := s.entity(topology.Service, s.get("namespace"), s.get("deployment", "statefulset", "daemonset"))
	to := s.entity(topology.Service, s.get("dst_namespace"), s.get("dst_deployment", "dst_statefulset", "dst_daemonset", "dst_service"))
	return []link{{needs, from, to}}
}

func serviceGraph(s series) []link {
	client, server := s.get("client"), s.get("server")
	if client == "user" { // Tempo's name for whoever is not traced
		return nil
	}
	return []link{{
		needs, s.entity(topology.Service, s.get("client_k8s_namespace_name"), client),
		s.entity(topology.Service, s.get("server_k8s_namespace_name"), server),
	}}
}

// whole reports whether a link names both ends, in names that can be some.
func (l link) whole() bool {
	for _, e := range []topology.Entity{l.from, l.to} {
		if e.Name == "" || len(e.Name) > maxName || len(e.Namespace) > maxName || len(e.Cluster) > maxName {
			return false
		}
	}
	return true
}

// maxName is somewhat more than the longest name of Kubernetes and of a host, 253.
const maxName = 280

// build makes a topology of links. Pods are part of what owns their replica set or job.
func build(links []link, limits topology.Limits) (*topology.Topology, int) {
	slices.SortFunc(links, compare)
	owners := map[topology.Entity]topology.Entity{}
	for _, l := range links {
		if l.kind == partOf && strings.HasPrefix(l.from.Name, ownerPrefix) {
			owners[l.from] = l.to
		}
	}
	b := topology.NewBuilder(limits)
	for _, l := range links {
		switch {
		case l.kind == needs:
			b.Depends(l.from, l.to)
		case l.kind == alias:
			b.Alias(l.from.Name, l.to)
		case l.from.Kind == topology.Pod:
			if of := root(owners, l.to); !strings.HasPrefix(of.Name, ownerPrefix) {
				b.PartOf(l.from, of)
			}
		}
	}
	return b.Build(), b.Dropped()
}

// root follows owners: a pod of a job of a cron job.
func root(owners map[topology.Entity]topology.Entity, e topology.Entity) topology.Entity {
	for range 4 {
		of, ok := owners[e]
		if !ok {
			break
		}
		e = of
	}
	return e
}

func compare(a, b link) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), compareEntity(a.from, b.from), compareEntity(a.to, b.to))
}

func compareEntity(a, b topology.Entity) int {
	return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
}

// unknown returns the error of a source that there is none of.
func unknown(s Source) error {
	names := make([]string, 0, len(Sources()))
	for _, x := range Sources() {
		names = append(names, string(x))
	}
	return fmt.Errorf("unknown source %q, known are %s", s, strings.Join(names, ", "))
}
