package remotewrite

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portent-dev/portent/internal/ingest"
)

// maxFamilies bounds the families whose type is remembered: a few megabytes.
// Large Prometheus servers know some ten thousand metric names.
const maxFamilies = 50_000

// families remembers the types of metric families. One of them holds what 1.0
// sends apart from the series, once a minute by default: without it a counter
// whose name does not end in _total would be modelled raw. When two senders
// disagree the last one wins. Another holds the names of native histograms.
//
// Readers, one per series, take no lock; a change copies the map, which happens
// when a new family appears. Safe for concurrent use.
type families struct {
	mu      sync.Mutex // held by writers
	current atomic.Pointer[map[string]metadata]

	size    prometheus.Gauge
	dropped prometheus.Counter
}

// learn takes the types of one request. Names may alias its buffer.
func (f *families) learn(types []familyType) {
	if !f.news(types) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	next := make(map[string]metadata)
	if m := f.current.Load(); m != nil {
		next = maps.Clone(*m)
	}
	for _, t := range types {
		if _, ok := next[t.name]; !ok && len(next) >= maxFamilies {
			f.dropped.Inc()
			continue
		}
		next[strings.Clone(t.name)] = t.typ
	}
	f.current.Store(&next)
	f.size.Set(float64(len(next)))
}

// news reports whether there is anything to learn.
func (f *families) news(types []familyType) bool {
	m := f.current.Load()
	if m == nil {
		return len(types) > 0
	}
	for _, t := range types {
		if typ, ok := (*m)[t.name]; !ok || typ != t.typ {
			return true
		}
	}
	return false
}

// lookup returns the type of the family of that very name.
func (f *families) lookup(name string) metadata {
	m := f.current.Load()
	if m == nil {
		return metadataUnspecified
	}
	return (*m)[name]
}

// familyType is a prometheus.MetricMetadata, but for its texts.
type familyType struct {
	name string
	typ  metadata
}

// typeLabel is the label in which Prometheus puts a series' type when its feature
// type-and-unit-labels is on.
const typeLabel = "__type__"

// kind says how a series behaves, by the best word on it: the metadata that came
// with it, its label __type__, what was said of its family, its name.
func (b *batch) kind(s *series, name string) ingest.Kind {
	typ := s.metadata
	if typ == metadataUnspecified {
		for _, l := range s.labels {
			if l.Name == typeLabel {
				typ = metadataNames[l.Value]
				break
			}
		}
	}
	if typ == metadataUnspecified {
		typ = b.families.lookup(name)
	}
	return typ.kind(name)
}

// metadataNames are the types as Prometheus writes them in labels.
var metadataNames = map[string]metadata{
	"counter":        metadataCounter,
	"gauge":          metadataGauge,
	"histogram":      metadataHistogram,
	"gaugehistogram": metadataGaugeHistogram,
	"summary":        metadataSummary,
	"info":           metadataInfo,
	"stateset":       metadataStateset,
}
