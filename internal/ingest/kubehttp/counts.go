package kubehttp

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portent-dev/portent/internal/ingest/kubeevent"
)

const (
	// maxSeries bounds the series of kubernetes_events_total; the events of further ones
	// have every label "_other".
	maxSeries = 1000
	// maxKnown bounds the events whose count is known, at about 120 bytes each: an hour
	// of a large cluster, which is how long Kubernetes keeps them.
	maxKnown = 20_000
	other    = "_other"
)

// Key is the labels of a series of events.
type Key struct{ Cluster, Namespace, Kind, Reason, Type string }

// Counts counts events. It implements prometheus.Collector and is safe for concurrent
// use.
type Counts struct {
	desc, repeated *prometheus.Desc

	mu     sync.Mutex
	series map[Key]int64
	known  map[string]int // uid to count; two generations, so that the oldest go
	older  map[string]int
	again  int64
}

// NewCounts makes Counts.
func NewCounts() *Counts {
	return &Counts{
		desc: prometheus.NewDesc("kubernetes_events_total", "Occurrences of events that kubernetes-event-exporter sent, by what they are about and why.",
			[]string{"cluster", "namespace", "kind", "reason", "type"}, nil),
		repeated: prometheus.NewDesc("portent_exporter_kubernetes_events_repeated_total", "Events that came again with nothing new, as after a restart of their sender, and were not counted.", nil, nil),
		series:   map[Key]int64{}, known: map[string]int{},
	}
}

// Add counts an event and returns how many occurrences it added: 0 for one that is
// known. Of an event that is seen for the first time the newest occurrence counts;
// those before it may have been counted before a restart.
func (c *Counts) Add(e kubeevent.Event) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := int64(1)
	if e.UID != "" && len(e.UID) <= 64 {
		before, ok := c.known[e.UID]
		if !ok {
			before, ok = c.older[e.UID]
		}
		if ok {
			n = int64(max(0, e.Count-before))
		}
		if len(c.known) >= maxKnown/2 {
			c.older, c.known = c.known, map[string]int{}
		}
		c.known[strings.Clone(e.UID)] = max(e.Count, before)
	}
	if n == 0 {
		c.again++
		return 0
	}
	valid := func(s string) string { return strings.Clone(strings.ToValidUTF8(s[:min(len(s), 256)], "\uFFFD")) }
	key := Key{e.Cluster, e.Namespace, e.Kind, e.Reason, e.Type}
	if _, there := c.series[key]; !there {
		if key = (Key{valid(e.Cluster), valid(e.Namespace), valid(e.Kind), valid(e.Reason), valid(e.Type)}); len(c.series) >= maxSeries {
			key = Key{other, other, other, other, other}
		}
	}
	c.series[key] += n
	return n
}

// Each gives the series in a stable order.
func (c *Counts) Each(f func(k Key, n int64)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	keys := make([]Key, 0, len(c.series))
	for k := range c.series {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Type, b.Type))
	})
	for _, k := range keys {
		f(k, c.series[k])
	}
}

// Describe implements prometheus.Collector.
func (c *Counts) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc; ch <- c.repeated }

// Collect implements prometheus.Collector.
func (c *Counts) Collect(ch chan<- prometheus.Metric) {
	c.Each(func(k Key, n int64) {
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.CounterValue, float64(n), k.Cluster, k.Namespace, k.Kind, k.Reason, k.Type)
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	ch <- prometheus.MustNewConstMetric(c.repeated, prometheus.CounterValue, float64(c.again))
}

var _ prometheus.Collector = (*Counts)(nil)
