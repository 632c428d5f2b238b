package allowance

import (
	"strings"

	"github.com/portent-dev/portent/internal/ingest"
)

// Workload names what is deployed as one.
type Workload struct {
	Cluster   string `json:"cluster,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// workloadLabels say to which workload a series belongs, the most certain first.
var workloadLabels = [...]string{"deployment", "statefulset", "daemonset", "workload", "exported_workload", "app", "app_kubernetes_io_name", "service"}

// WorkloadOf returns the workload of a series; its name is "" if the labels do not tell.
// It allocates nothing.
func WorkloadOf(labels []ingest.Label) Workload {
	w := Workload{Cluster: value(labels, "cluster"), Namespace: value(labels, "namespace")}
	if w.Namespace == "" {
		w.Namespace = value(labels, "exported_namespace")
	}
	for _, name := range workloadLabels {
		if v := value(labels, name); v != "" {
			w.Name = v
			return w
		}
	}
	pod := value(labels, "pod")
	if pod == "" {
		pod = value(labels, "exported_pod")
	}
	w.Name = podOwner(pod)
	return w
}

// podOwner returns the workload that a pod's name says: that of a Deployment is
// name-hash-suffix, of a StatefulSet name-ordinal, of a DaemonSet or Job name-suffix. The
// suffixes have the letters of Kubernetes's rand.String, which leaves out vowels and what
// is easily mistaken.
func podOwner(pod string) string {
	i := strings.LastIndexByte(pod, '-')
	if i <= 0 {
		return pod
	}
	last := pod[i+1:]
	if digits(last) {
		return pod[:i]
	}
	if len(last) != 5 || !random(last) {
		return pod
	}
	owner := pod[:i]
	if k := strings.LastIndexByte(owner, '-'); k > 0 && len(owner)-k-1 >= 6 && len(owner)-k-1 <= 10 && random(owner[k+1:]) {
		return owner[:k]
	}
	return owner
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func random(s string) bool {
	for i := range len(s) {
		if !strings.Contains("bcdfghjklmnpqrstvwxz2456789", s[i:i+1]) {
			return false
		}
	}
	return true
}
