package analyze

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/ingest"
)

// load says which metrics are the load of a workload, against which a deviation of others is
// to be seen: requests, queries, messages; not their errors, times and sizes.
var (
	load    = regexp.MustCompile(`(^|[_:])(requests?|rps|qps|queries|messages|operations|transactions)([_:]|$)`)
	notLoad = regexp.MustCompile(`error|fail|5xx|4xx|duration|latency|seconds|size|bytes|in_flight|inflight|rejected|dropped`)
)

// IsLoad reports whether a metric is the load of a workload, by its name.
func IsLoad(metric string) bool { return load.MatchString(metric) && !notLoad.MatchString(metric) }

// LoadName returns what people call a metric that is a load.
func LoadName(metric string) string {
	if strings.Contains(metric, "request") {
		return "request rate"
	}
	return "the rate of " + plainName(metric)
}

// Bounds of what is told of the same place.
const (
	mostMoved = 10
	toldMoved = 3
)

// around tells of each anomaly what else moved in the same place, what was first, and
// whether its load did.
func around(prepared []*prepared, best map[int]hit, out []Anomaly, index []int, names *Names) {
	type place struct {
		moved []int // of out, the first to move first
		quiet string
	}
	places := map[string]*place{}
	for k, i := range index {
		p := places[placeOf(prepared[i].labels)]
		if p == nil {
			p = &place{}
			places[placeOf(prepared[i].labels)] = p
		}
		p.moved = append(p.moved, k)
	}
	for i, p := range prepared {
		metric := p.labels[ingest.MetricName]
		if at := places[placeOf(p.labels)]; at != nil && at.quiet == "" && len(p.v) >= minPoints && IsLoad(metric) {
			if _, moved := best[i]; !moved {
				at.quiet = LoadName(metric)
			}
		}
	}
	for name, at := range places {
		slices.SortStableFunc(at.moved, func(a, b int) int { return out[a].Since.Compare(out[b].Since) })
		for _, k := range at.moved {
			a := &out[k]
			if metric := a.Series[ingest.MetricName]; at.quiet != "" && !IsLoad(metric) {
				a.Explanation += "; " + at.quiet + " is unchanged"
			}
			if name == "" || len(at.moved) < 2 {
				continue
			}
			var told []string
			for i, m := range at.moved {
				if m == k {
					continue
				}
				label, _ := names.NameOf(out[m].Series, "")
				if len(a.MovedWith) < mostMoved {
					a.MovedWith = append(a.MovedWith, Moved{Series: out[m].Series, Name: label, Since: out[m].Since, Change: out[m].Change, First: i == 0})
				}
				if len(told) < toldMoved {
					told = append(told, label+" since "+out[m].Since.Format("15:04"))
				}
			}
			if more := len(at.moved) - 1 - len(told); more > 0 {
				told = append(told, fmt.Sprintf("%d more", more))
			}
			a.Explanation += "; also moved: " + strings.Join(told, ", ")
			if a.First = at.moved[0] == k; a.First {
				a.Explanation += "; it was the first"
			}
		}
	}
}

// Moved is another anomaly of the same place.
type Moved struct {
	Series map[string]string `json:"series"`
	Name   string            `json:"name"`
	Since  time.Time         `json:"since"`
	Change *float64          `json:"change_percent"`
	First  bool              `json:"first,omitempty"`
}

// placeOf returns where a series belongs: its cluster, namespace and what owns it; "" if the
// labels do not tell. A pod belongs with the others of its workload.
func placeOf(labels map[string]string) string {
	owner := ""
	for _, name := range [...]string{"deployment", "statefulset", "daemonset", "workload", "service", "app"} {
		if owner = labels[name]; owner != "" {
			break
		}
	}
	if owner == "" {
		owner = podSuffix.ReplaceAllString(labels["pod"], "")
	}
	for _, name := range [...]string{"node", "instance"} {
		if owner == "" {
			owner = labels[name]
		}
	}
	if owner == "" {
		return ""
	}
	return labels["cluster"] + "\xff" + labels["namespace"] + "\xff" + owner
}

// podSuffix is what Kubernetes puts behind the name of a workload.
var podSuffix = regexp.MustCompile(`(-[bcdfghjklmnpqrstvwxz2456789]{6,10})?-([bcdfghjklmnpqrstvwxz2456789]{5}|[0-9]+)$`)
