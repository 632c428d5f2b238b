package baseline

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/portent-dev/portent/internal/finding"
)

// Builtin is what a workload in Kubernetes is looked at by, from cAdvisor and
// kube-state-metrics. Scope puts the workload in.
var Builtin = []Spec{
	{
		Name: "MemoryHigh", Subject: "memory of container {{ $labels.container }} in {{ $labels.pod }}", Unit: "bytes", Direction: finding.Above, Least: 16 << 20,
		Expr: `max by (namespace, pod, container) (container_memory_working_set_bytes{container!="",container!="POD"})`,
	},
	{
		Name: "MemoryNearLimit", Subject: "memory of container {{ $labels.container }} in {{ $labels.pod }}, as a share of its limit,", Unit: "ratio", Direction: finding.Above, Most: 1, Least: 0.02,
		Expr: `max by (namespace, pod, container) (container_memory_working_set_bytes{container!="",container!="POD"}) / max by (namespace, pod, container) (kube_pod_container_resource_limits{resource="memory"})`,
	},
	{
		Name: "CPUHigh", Subject: "CPU of container {{ $labels.container }} in {{ $labels.pod }}", Unit: "cores", Direction: finding.Above, Least: 0.01,
		Expr: `sum by (namespace, pod, container) (rate(container_cpu_usage_seconds_total{container!="",container!="POD"}[5m]))`,
	},
	{
		Name: "CPUThrottled", Subject: "throttled CPU periods of container {{ $labels.container }} in {{ $labels.pod }}", Unit: "ratio", Direction: finding.Above, Most: 1, Least: 0.02,
		Expr: `sum by (namespace, pod, container) (rate(container_cpu_cfs_throttled_periods_total{container!=""}[5m])) / sum by (namespace, pod, container) (rate(container_cpu_cfs_periods_total{container!=""}[5m]))`,
	},
	{
		Name: "Restarts", Subject: "restarts of container {{ $labels.container }} in {{ $labels.pod }} within an hour", Direction: finding.Above, Least: 1,
		Expr: `sum by (namespace, pod, container) (increase(kube_pod_container_status_restarts_total[1h]))`,
	},
	{
		Name: "NetworkReceiveHigh", Subject: "network receive of {{ $labels.pod }}", Unit: "bytes per second", Direction: finding.Above, Least: 64 << 10,
		Expr: `sum by (namespace, pod) (rate(container_network_receive_bytes_total[5m]))`,
	},
	{
		Name: "NetworkTransmitHigh", Subject: "network transmit of {{ $labels.pod }}", Unit: "bytes per second", Direction: finding.Above, Least: 64 << 10,
		Expr: `sum by (namespace, pod) (rate(container_network_transmit_bytes_total[5m]))`,
	},
}

// Scope returns specs whose selectors match the pods of one workload alone, and whose names
// begin with its name. An empty namespace is any.
func Scope(specs []Spec, namespace, workload string) ([]Spec, error) {
	if workload == "" {
		return nil, errors.New("workload: want the name of a Deployment, StatefulSet or DaemonSet")
	}
	pods, err := labels.NewMatcher(labels.MatchRegexp, "pod", regexp.QuoteMeta(workload)+`(-[a-z0-9]+){1,2}`)
	if err != nil {
		return nil, fmt.Errorf("workload %q: %w", workload, err)
	}
	add := []*labels.Matcher{pods}
	if namespace != "" {
		add = append(add, labels.MustNewMatcher(labels.MatchEqual, "namespace", namespace))
	}
	out := slices.Clone(specs)
	for i := range out {
		e, err := parser.NewParser(parser.Options{}).ParseExpr(out[i].Expr)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", out[i].Name, err)
		}
		parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
			if v, ok := n.(*parser.VectorSelector); ok {
				v.LabelMatchers = append(v.LabelMatchers, add...)
			}
			return nil
		})
		out[i].Expr, out[i].Name = e.String(), CamelCase(workload)+out[i].Name
	}
	return out, nil
}

// CamelCase makes a name of an alert from any text.
func CamelCase(s string) string {
	var b strings.Builder
	up := true
	for _, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		switch {
		case letter && up:
			b.WriteString(strings.ToUpper(string(r)))
			up = false
		case letter || b.Len() > 0 && r >= '0' && r <= '9':
			b.WriteRune(r)
		default:
			up = true
		}
	}
	return b.String()
}
