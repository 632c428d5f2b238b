package correlate

import "strings"

// maxPods bounds the addresses whose pod is known.
const maxPods = 20_000

// resident learns from an alert which pod answers at an address. An address beside which
// several pods are named is that of an exporter that watches them, and of none.
func (m *memory) resident(a Alert) {
	pod, at := a.Labels["pod"], host(a.Labels["instance"])
	if pod == "" || len(pod) > 253 || !isNumber(strings.ReplaceAll(at, ".", "")) || len(at) < 7 {
		return
	}
	if ns := a.Labels["namespace"]; ns != "" && len(ns) < 254 {
		pod = ns + "/" + pod
	}
	k := hash(a.Scope, at)
	switch known, ok := m.pods[k]; {
	case ok && known != pod:
		m.pods[k] = ""
	case !ok:
		if len(m.pods) >= maxPods {
			m.pods = map[word]string{}
		}
		m.pods[k] = pod
	}
}
