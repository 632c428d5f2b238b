package allowance

import (
	"fmt"
	"time"

	"github.com/portent-dev/portent/internal/ingest"
)

// generation is the newest that was seen of a workload.
type generation struct {
	value float64
	at    int64
}

// marker says that a workload was rolled out.
type marker struct {
	From   int64  `json:"from"` // Unix ms
	Until  int64  `json:"until"`
	Reason string `json:"reason,omitempty"`
}

func (m *marker) covers(now int64) bool { return now >= m.From && now < m.Until }

func (m *marker) text(w Workload) string {
	text := fmt.Sprintf("%s was rolled out at %s UTC", w, time.UnixMilli(m.From).UTC().Format("15:04"))
	if m.Reason != "" {
		text += " (" + m.Reason + ")"
	}
	return text
}

// String returns the workload as people write it.
func (w Workload) String() string {
	s := w.Name
	if w.Namespace != "" {
		s = w.Namespace + "/" + s
	}
	if w.Cluster != "" {
		s = w.Cluster + "/" + s
	}
	return s
}

// generationMetrics are the metrics of kube-state-metrics whose change is a rollout.
var generationMetrics = map[string]bool{
	"kube_deployment_status_observed_generation":  true,
	"kube_statefulset_status_observed_generation": true,
	"kube_daemonset_status_observed_generation":   true,
}

// RolloutQuery selects them in PromQL.
const RolloutQuery = `{__name__=~"kube_(deployment|statefulset|daemonset)_status_observed_generation"}`

// TellsRollouts reports whether samples of a metric are to be given to See.
func TellsRollouts(metric string) bool { return generationMetrics[metric] }

// maxWorkloads bounds the workloads whose generation is known.
const maxWorkloads = 50_000

// See takes a sample of a metric that TellsRollouts, and reports whether it tells of a
// rollout: its value is another than before. labels may be used again afterwards.
func (b *Book) See(labels []ingest.Label, t int64, v float64) bool {
	w := WorkloadOf(labels)
	if w.Name == "" || v != v {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	before, known := b.seen[w]
	switch {
	case known && t <= before.at:
		return false
	case !known && len(b.seen) >= maxWorkloads:
		return false
	case known && before.value == v:
		before.at = t
		b.seen[w] = before
		return false
	}
	b.seen[w.clone()] = generation{v, t}
	if !known {
		return false
	}
	b.mark(w.clone(), t, fmt.Sprintf("generation %g", v))
	return true
}

// clone makes strings of its own: those of a decoder are dead after the call.
func (w Workload) clone() Workload {
	return Workload{string([]byte(w.Cluster)), string([]byte(w.Namespace)), string([]byte(w.Name))}
}

// mark keeps a rollout; the lock is held.
func (b *Book) mark(w Workload, at int64, reason string) {
	for k, m := range b.markers {
		if m.Until < at {
			delete(b.markers, k)
		}
	}
	if len(b.markers) < maxWorkloads {
		b.markers[w] = marker{at, at + b.opts.RolloutMs, reason}
		b.changed++
	}
}

// RolledOut marks a workload as rolled out at a time, as told by a call. It returns what the
// labels say the workload is called, "" and nothing done if they do not say it.
func (b *Book) RolledOut(labels map[string]string, at int64, reason string) string {
	w := WorkloadOf(fromMap(labels))
	if w.Name == "" {
		return ""
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mark(w, at, reason)
	return w.String()
}

// Rollouts returns how many rollouts explain something now.
func (b *Book) Rollouts(now int64) (n int) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, m := range b.markers {
		if m.covers(now) {
			n++
		}
	}
	return n
}
