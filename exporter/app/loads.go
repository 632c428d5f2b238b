package app

import (
	"sync"

	"github.com/portent-dev/portent/internal/allowance"
	"github.com/portent-dev/portent/internal/analyze"
	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
)

// Bounds of what is remembered of load: workloads and machines, and names of metrics.
const (
	mostLoaded    = 50_000
	mostLoadNames = 100_000
)

// loads remembers of each workload and machine a metric of its load that is as usual, so that whoever asks what is anomalous does
// not look through all series for it. It is safe for concurrent use.
type loads struct {
	names map[string]bool // whether it is load: a regular expression for each name, not for each of a million series; of the one goroutine that looks

	mu sync.RWMutex
	of map[allowance.Workload]string
}

func newLoads() *loads { return &loads{names: map[string]bool{}} }

// during returns a visitor of the same series, in whose pass the load of all places is noted. It is for one goroutine.
func (l *loads) during(each forEach) forEach {
	return func(f func([]ingest.Label, detect.Output) bool) {
		of := map[allowance.Workload]string{}
		each(func(labels []ingest.Label, o detect.Output) bool {
			if name := metricNameOf(labels); o.Ready && o.Score <= 1 && len(of) < mostLoaded && l.isLoad(name) {
				if p := placeOf(labels); p.Name != "" && of[p] == "" {
					of[p] = name
				}
			}
			return f(labels, o)
		})
		l.mu.Lock()
		defer l.mu.Unlock()
		l.of = of
	}
}

func (l *loads) isLoad(name string) bool {
	load, known := l.names[name]
	if !known {
		if len(l.names) >= mostLoadNames {
			clear(l.names)
		}
		load = analyze.IsLoad(name)
		l.names[name] = load
	}
	return load
}

// unchanged returns the name of a metric of the load of a place that is as usual, "" if none is known.
func (l *loads) unchanged(p allowance.Workload) string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.of[p]
}
