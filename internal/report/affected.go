package report

import (
	"slices"
	"strings"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/ticket"
)

// affected is where an incident is: the distinct values, most alerts first, then by name.
type affected struct {
	clusters, namespaces, services, nodes []string
}

// The labels that say where an alert is, most telling first. They are those of kube-prometheus, the
// Kubernetes mixins, node_exporter and the common ways to name a service.
var (
	serviceLabels = []string{"service", "app", "app_kubernetes_io_name", "deployment", "statefulset", "daemonset", "workload", "job"}
	nodeLabels    = []string{"node", "nodename", "host", "instance"}
	subjectLabels = []string{
		"pod", "container", "deployment", "statefulset", "daemonset", "job_name", "cronjob", "persistentvolumeclaim",
		"node", "nodename", "device", "mountpoint", "instance", "service", "app", "job",
	}
)

func affectedBy(inc incident.Incident) affected {
	return affected{
		clusters:   distinct(inc, "cluster"),
		namespaces: distinct(inc, "namespace"),
		services:   distinct(inc, serviceLabels...),
		nodes:      distinct(inc, nodeLabels...),
	}
}

// distinct collects the value of the first of the labels that each alert has. What correlation settled on
// for the incident itself wins over the labels of the alerts, which may be those of an exporter.
func distinct(inc incident.Incident, keys ...string) []string {
	if v := value(first(inc.Labels, keys)); v != "" {
		return []string{v}
	}
	n := map[string]int{}
	for _, a := range inc.Alerts {
		if v := value(first(a.Labels, keys)); v != "" {
			n[v]++
		}
	}
	out := make([]string, 0, len(n))
	for v := range n {
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b string) int {
		if n[a] != n[b] {
			return n[b] - n[a]
		}
		return strings.Compare(a, b)
	})
	return out
}

// shared returns the value of a label that all alerts of the incident have in common, empty when there is none.
func shared(inc incident.Incident, key string) string {
	v := ""
	for i, a := range inc.Alerts {
		x := value(a.Labels[key])
		if x == "" || i > 0 && x != v {
			return ""
		}
		v = x
	}
	return v
}

func first(labels map[string]string, keys []string) string {
	for _, k := range keys {
		if v := labels[k]; v != "" {
			return v
		}
	}
	return ""
}

// Subject names the thing an alert is about: a pod rather than its namespace.
func Subject(a incident.Alert) string { return value(first(a.Labels, subjectLabels)) }

// where is the middle of a title: " - frontend-api namespace".
func (a affected) where() string {
	for _, k := range []struct {
		values    []string
		one, many string
	}{{a.namespaces, "namespace", "namespaces"}, {a.services, "service", "services"}, {a.nodes, "", "hosts"}} {
		switch len(k.values) {
		case 0:
			continue
		case 1:
			return strings.TrimRight(" - "+k.values[0]+" "+k.one, " ")
		case 2:
			return strings.TrimRight(" - "+k.values[0]+" and "+k.values[1]+" "+k.many, " ")
		default:
			return " - " + plural(len(k.values), k.one, k.many)
		}
	}
	return ""
}

// clusterSuffix is the end of a title: " (Cluster: prod-us-east-1)".
func (a affected) clusterSuffix() string {
	switch len(a.clusters) {
	case 0:
		return ""
	case 1:
		return " (Cluster: " + a.clusters[0] + ")"
	case 2:
		return " (Clusters: " + a.clusters[0] + ", " + a.clusters[1] + ")"
	default:
		return " (" + plural(len(a.clusters), "cluster", "clusters") + ")"
	}
}

// sentence is the middle of a summary: " in namespace a of cluster b".
func (a affected) sentence() string {
	var b strings.Builder
	switch {
	case len(a.namespaces) == 1:
		b.WriteString(" in namespace " + a.namespaces[0])
	case len(a.namespaces) > 1:
		b.WriteString(" in namespaces " + names(a.namespaces))
	case len(a.services) == 1:
		b.WriteString(" on service " + a.services[0])
	case len(a.services) > 1:
		b.WriteString(" on services " + names(a.services))
	case len(a.nodes) > 0:
		b.WriteString(" on " + names(a.nodes))
	}
	switch {
	case len(a.clusters) == 1:
		b.WriteString(" of cluster " + a.clusters[0])
	case len(a.clusters) > 1:
		b.WriteString(" of clusters " + names(a.clusters))
	}
	return b.String()
}

// table lists what is affected; empty when nothing is known.
func (a affected) table() [][][]ticket.Span {
	var rows [][][]ticket.Span
	for _, r := range []struct {
		head   string
		values []string
	}{{"Cluster", a.clusters}, {"Namespace", a.namespaces}, {"Service", a.services}, {"Host", a.nodes}} {
		if len(r.values) > 0 {
			rows = append(rows, [][]ticket.Span{{ticket.Text(r.head)}, {ticket.Text(names(r.values))}})
		}
	}
	return rows
}

func names(values []string) string {
	if len(values) <= maxNames {
		return strings.Join(values, ", ")
	}
	return strings.Join(values[:maxNames], ", ") + " and " + plural(len(values)-maxNames, "more", "more")
}
