package triage

import (
	"time"

	"github.com/portent-dev/portent/internal/incident"
)

// together is within what time alerts may have started in any order: symptoms
// often fire before their cause, since each rule waits for its own time.
const together = time.Minute

// cause guesses what broke first: the alert that started first, the more severe
// of those that started at once.
//
// The confidence is no measured probability. It is ½ when a single alert name
// is all there is, or when one stands alone before the rest; of n names that
// started together each has 1/(2n). It never exceeds ½, because order in time
// alone proves no cause.
func (c compiled) cause(members []*known) incident.RootCause {
	var first *known
	for _, k := range members {
		if first == nil || k.StartsAt.Before(first.StartsAt) ||
			k.StartsAt.Equal(first.StartsAt) && (c.severity(k.Labels).Rank() > c.severity(first.Labels).Rank() ||
				c.severity(k.Labels) == c.severity(first.Labels) && k.Fingerprint < first.Fingerprint) {
			first = k
		}
	}
	if first == nil {
		return incident.RootCause{}
	}
	names := map[string]bool{}
	for _, k := range members {
		if k.StartsAt.Sub(first.StartsAt) <= together {
			names[k.Name()] = true
		}
	}
	return incident.RootCause{Entity: entity(first.Labels), Alertname: first.Name(), Confidence: 0.5 / float64(len(names))}
}

// entityLabels name the subject of an alert, the most telling first. The pod and
// the instance of an exporter come last: they are rarely what broke.
var entityLabels = []string{
	"deployment", "statefulset", "daemonset", "cronjob", "job_name", "horizontalpodautoscaler", "persistentvolumeclaim", "persistentvolume",
	"exported_pod", "pod", "node", "exported_service", "service", "exported_instance", "instance", "job",
}

// entity is what an alert is about, as namespace/name.
func entity(labels map[string]string) string {
	ns := labels["exported_namespace"]
	if ns == "" {
		ns = labels["namespace"]
	}
	for _, l := range entityLabels {
		v := labels[l]
		switch {
		case v == "":
		case ns == "", l == "node", l == "persistentvolume":
			return v
		default:
			return ns + "/" + v
		}
	}
	if ns != "" {
		return ns
	}
	return labels["cluster"]
}
