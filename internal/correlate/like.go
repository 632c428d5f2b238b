package correlate

import "slices"

// volatile labels may be those of what measures rather than of what is measured:
// when an exporter moves, they change, and with them the fingerprint.
var volatile = []string{"instance", "pod", "container", "endpoint", "uid", "node", "service", "namespace", "host", "hostname"}

// like is what recurs of an alert: its scope, name and labels, without those of an
// exporter that its text does not name while it names others. The alert of a
// kube-state-metrics that moved is the same alert, though its fingerprint is not.
func (e *Engine) like(a Alert, scope word) word {
	keys := make([]string, 0, len(a.Labels))
	named := false
	for _, k := range sortedKeys(a.Labels) {
		v := a.Labels[k]
		if v == "" || v == a.Name || k == "prometheus" || k == "prometheus_replica" || k == "replica" {
			continue
		}
		t := !e.skip[k] && told(a, v)
		named = named || t
		if t || !slices.Contains(volatile, k) {
			keys = append(keys, k)
		}
	}
	if !named {
		return hash(a.Key)
	}
	parts := make([]string, 0, 2+2*len(keys))
	parts = append(parts, a.Name)
	for _, k := range keys {
		parts = append(parts, k, a.Labels[k])
	}
	return hash(parts...) ^ scope
}
