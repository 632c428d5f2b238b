package group

import (
	"regexp"
	"strings"
)

// Workload in Rule.By is the label of that name, or else what WorkloadOf says of the
// label pod.
const Workload = "workload"

// Kubernetes generates the ends of pods' names from an alphabet without vowels and
// without digits that look like letters (k8s.io/apimachinery/pkg/util/rand).
var (
	ofReplicaSet  = regexp.MustCompile(`^(.+)-[bcdf0-9a-z]{6,10}-[bcdfghjklmnpqrstvwxz2456789]{5}$`)
	ofDaemonSet   = regexp.MustCompile(`^(.+)-[bcdfghjklmnpqrstvwxz2456789]{5}$`)
	ofStatefulSet = regexp.MustCompile(`^(.+)-[0-9]{1,5}$`)
)

// WorkloadOf returns the name of the workload that a pod of this name belongs to, by
// the way Kubernetes builds names: web for web-7d9c5b8f6d-x2k4p, db for db-0. A name
// that was not built so is a workload of its own.
func WorkloadOf(pod string) string {
	for _, form := range []*regexp.Regexp{ofReplicaSet, ofDaemonSet, ofStatefulSet} {
		m := form.FindStringSubmatch(pod)
		if m == nil || form == ofReplicaSet && !hashed(pod) {
			continue
		}
		// Jobs of a CronJob end in a time, and their pods in five letters more.
		if form == ofDaemonSet {
			if job := ofJob.FindStringSubmatch(m[1]); job != nil {
				return job[1]
			}
		}
		return m[1]
	}
	return pod
}

var ofJob = regexp.MustCompile(`^(.+)-[0-9]{8,10}$`)

// hashed reports whether the last but one part of a name looks like the hash of a
// ReplicaSet, in which a digit stands, rather than a word.
func hashed(pod string) bool {
	parts := strings.Split(pod, "-")
	return strings.ContainsAny(parts[len(parts)-2], "0123456789") || !strings.ContainsAny(parts[len(parts)-2], "aeiou")
}
