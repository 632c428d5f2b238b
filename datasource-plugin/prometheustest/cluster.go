package prometheustest

import "math"

// Cluster is the same hour of a small Kubernetes cluster, as kube-state-metrics and cAdvisor tell of it:
//
//   - namespaces shop (cart, web), pay (ledger) and batch; one pod of pay waits, two of batch were evicted.
//   - the volume of ledger loses 2 MiB a minute, so that it is full 40 minutes after the hour.
//   - cart fails one of ten requests, web none; the namespace pay is not to be seen from shop.
//   - cart starts again every ten minutes, and its memory is close to its limit.
//   - a label value and a metric's name hold what a query or a page could trip over.
func Cluster() []Series {
	var all []Series
	add := func(name string, f func(minute float64) float64, ls ...string) {
		m := map[string]string{"cluster": "eu1"}
		for i := 0; i+1 < len(ls); i += 2 {
			m[ls[i]] = ls[i+1]
		}
		s := Series{Name: name, Labels: m, Start: FleetStart.Add(fleetStep), Step: fleetStep}
		for i := range 240 {
			s.Values = append(s.Values, f(float64(i)*fleetStep.Minutes()))
		}
		all = append(all, s)
	}
	flat := func(v float64) func(float64) float64 { return func(float64) float64 { return v } }
	total := func(perMinute float64) func(float64) float64 {
		return func(m float64) float64 { return math.Round(perMinute * m) }
	}
	for _, pod := range []struct {
		namespace, name, container, phase string
		mebibytes                         float64
	}{
		{"shop", "cart-7f9c4d5b6-abcde", "cart", "Running", 120},
		{"shop", "web-5d8f7c6b9-fghij", "web", "Running", 60},
		{"pay", "ledger-0", "ledger", "Running", 300},
		{"pay", "ledger-1", "ledger", "Pending", 0},
		{"batch", "report-x1", "report", "Failed", 0},
		{"batch", "report-x2", "report", "Failed", 0},
	} {
		add("kube_pod_info", flat(1), "namespace", pod.namespace, "pod", pod.name, "node", "n1")
		for _, phase := range []string{"Running", "Pending", "Failed"} {
			add("kube_pod_status_phase", flat(pick(phase == pod.phase, 1, 0)), "namespace", pod.namespace, "pod", pod.name, "phase", phase)
		}
		add("kube_pod_status_reason", flat(pick(pod.namespace == "batch", 1, 0)), "namespace", pod.namespace, "pod", pod.name, "reason", "Evicted")
		if pod.mebibytes > 0 {
			add("container_memory_working_set_bytes", func(m float64) float64 { return pod.mebibytes*(1<<20) + math.Round(wave(m, 1<<20)) },
				"namespace", pod.namespace, "pod", pod.name, "container", pod.container)
			add("container_cpu_usage_seconds_total", total(pod.mebibytes/4), "namespace", pod.namespace, "pod", pod.name, "container", pod.container)
		}
	}
	add("kube_pod_container_status_restarts_total", func(m float64) float64 { return math.Floor(m / 10) }, "namespace", "shop", "pod", "cart-7f9c4d5b6-abcde", "container", "cart")
	add("kube_pod_container_resource_limits", flat(128<<20), "namespace", "shop", "pod", "cart-7f9c4d5b6-abcde", "container", "cart", "resource", "memory", "unit", "byte")
	for _, s := range []struct {
		service, code string
		perMinute     float64
	}{{"cart", "200", 540}, {"cart", "500", 60}, {"web", "200", 900}} {
		add("http_requests_total", total(s.perMinute), "namespace", "shop", "service", s.service, "code", s.code)
	}
	const capacity = 200 << 20
	add("kubelet_volume_stats_capacity_bytes", flat(capacity), "namespace", "pay", "persistentvolumeclaim", "data-ledger-0")
	add("kubelet_volume_stats_available_bytes", func(m float64) float64 { return capacity - (2<<20)*m }, "namespace", "pay", "persistentvolumeclaim", "data-ledger-0")
	add("kubelet_volume_stats_used_bytes", func(m float64) float64 { return (2 << 20) * m }, "namespace", "pay", "persistentvolumeclaim", "data-ledger-0")
	add("build_info", flat(1), "namespace", "shop", "note", HostileValue)
	return all
}
