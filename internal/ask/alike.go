package ask

import (
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// alike are the labels that different fleets use for the same thing. The knowledge is
// written with the first; a metric that lacks it is asked by the next one that it has.
var alike = [][]string{
	{"cluster", "cluster_name", "k8s_cluster_name", "kubernetes_cluster", "k8s_cluster", "region", "datacenter", "data_center", "dc", "site", "location", "env", "environment", "stage", "landscape"},
	{
		"namespace", "exported_namespace", "kubernetes_namespace", "kubernetes_namespace_name", "k8s_namespace_name", "namespace_name", "pod_namespace",
		"k8s_namespace", "service_namespace", "destination_service_namespace", "destination_workload_namespace",
	},
	{"pod", "exported_pod", "pod_name", "kubernetes_pod_name", "kubernetes_pod", "k8s_pod_name", "k8s_pod"},
	{"container", "exported_container", "container_name", "kubernetes_container_name", "k8s_container_name"},
	{"node", "exported_node", "node_name", "nodename", "kubernetes_node", "kubernetes_node_name", "k8s_node_name", "host", "hostname", "host_name", "machine", "vm"},
	{"host", "hostname", "Hostname", "host_name", "nodename", "machine", "vm", "server", "server_id", "node", "instance"},
	{"instance", "host", "hostname", "Hostname", "host_name", "server", "server_id", "machine", "vm", "node", "name", "exported_instance"},
	{"deployment", "deployment_name", "k8s_deployment_name"},
	{"service", "service_name", "exported_service", "app", "app_kubernetes_io_name", "application", "app_name", "svc", "destination_service_name", "destination_workload", "job"},
	{"app", "app_kubernetes_io_name", "application", "app_name", "k8s_app", "label_app", "service", "service_name", "container"},
	{"handler", "route", "http_route", "uri", "path", "endpoint", "url_path", "http_target"},
	{"code", "status", "status_code", "response_code", "http_status_code", "http_response_status_code", "http_status", "grpc_code", "grpc_status_code", "rpc_grpc_status_code"},
	{"verb", "method", "http_method", "http_request_method", "request_method"},
	{"rcode", "rcode_name", "response_code"},
	{"persistentvolumeclaim", "exported_persistentvolumeclaim", "pvc"},
	{"consumergroup", "consumer_group", "group", "group_id"},
	{"topic", "topic_name"},
	{"queue", "queue_name"},
	{"datname", "database", "db", "dbname", "schema"},
	{"device", "interface", "disk"},
	{"job_name", "exported_job"},
	{"name", "exported_name"},
	{"proxy", "backend"},
}

// wholes are the labels that say in which part of a fleet a thing is. Names recur in
// several parts, so things are told apart by each of these labels that there is.
var wholes = alike[0]

// alikeTo returns the label and those that stand for the same, the likeliest first.
func alikeTo(label string) []string {
	out := []string{label}
	for _, same := range alike {
		if same[0] == label {
			return same
		}
		if slices.Contains(same, label) {
			for _, l := range same {
				if !slices.Contains(out, l) {
					out = append(out, l)
				}
			}
		}
	}
	return out
}

// widen adds to each of the labels of a noun those that stand for the same.
func widen(ls []string) []string {
	out := slices.Clone(ls)
	for _, l := range ls {
		for _, same := range alike {
			if same[0] != l {
				continue
			}
			for _, a := range same {
				if !slices.Contains(out, a) {
					out = append(out, a)
				}
			}
		}
	}
	return out
}

// labelNamed returns the label, of those that has holds, that a word of the question is
// for: "campaign", "methods" for grpc_method, "host" for Hostname. "" is none.
func labelNamed(w word, has []string) string {
	for _, text := range [...]string{w.text, w.stem, strings.ReplaceAll(w.stem, "-", "_")} {
		for _, l := range has {
			if strings.EqualFold(l, text) && l != "__name__" {
				return l
			}
		}
	}
	if len(w.stem) < 3 {
		return ""
	}
	for _, l := range has {
		low := strings.ToLower(l)
		if strings.HasSuffix(low, "_"+w.stem) || strings.HasSuffix(low, "_"+w.stem+"_name") || low == w.stem+"_name" || low == w.stem+"_status" || low == w.stem+"_state" || low == w.stem+"_id" || low == w.stem+"_type" || low == w.stem+"_code" {
			return l
		}
	}
	return ""
}

// fit puts the matchers of the knowledge on the labels that the metric has: a fleet
// may call the code of an answer status. A matcher that only leaves out what has no
// value is dropped where the metric has no such label.
func (b *builder) fit(v *parser.VectorSelector) {
	has, err := b.t.catalog.LabelsOf(b.ctx, v.Name)
	if err != nil {
		b.err = err
		return
	}
	v.LabelMatchers = slices.DeleteFunc(v.LabelMatchers, func(m *labels.Matcher) bool {
		if m.Name == model.MetricNameLabel || slices.Contains(has, m.Name) {
			return false
		}
		for _, l := range alikeTo(m.Name) {
			if slices.Contains(has, l) {
				m.Name = l
				return false
			}
		}
		return m.Type == labels.MatchNotEqual && m.Value == ""
	})
}
