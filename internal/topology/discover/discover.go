// Package discover finds out what depends on what: it reads kube-state-metrics, the metrics of service meshes and the service
// graphs of traces from Prometheus, and a file that people write, and keeps a topology.Topology of them.
//
// It only finds: what links mean for alerts is decided in correlate.
package discover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"

	"github.com/portent-dev/portent/internal/promapi"
	"github.com/portent-dev/portent/internal/topology"
	"github.com/portent-dev/portent/internal/web"
)

// Config says where dependencies are looked for.
type Config struct {
	// File is the path of a file of them; see File. Empty: none.
	File string `yaml:"file"`
	// Sources are read from Prometheus, when there is one.
	Sources  []Source       `yaml:"sources"`
	Interval model.Duration `yaml:"interval"`
	// Timeout of one query.
	Timeout model.Duration `yaml:"timeout"`
	// Keep is how long a link counts that was not seen any more.
	Keep model.Duration `yaml:"keep"`
	// MaxSeries bounds the answer to one query.
	MaxSeries int `yaml:"max_series"`
	// ClusterLabel names the cluster on series and alerts; Cluster is that of series without it. Empty: they hold for all.
	ClusterLabel string `yaml:"cluster_label"`
	Cluster      string `yaml:"cluster"`
}

// MaxBytes bounds an answer; whoever makes the client of Prometheus sets it. It is ten times what 50,000 series take.
const MaxBytes = 64 << 20

// DefaultConfig reads all sources.
func DefaultConfig() Config {
	return Config{
		Sources: Sources(), Interval: model.Duration(5 * time.Minute), Timeout: model.Duration(30 * time.Second),
		// Alerts are compared when they began within 140 minutes; a pod that failed is no longer listed after five.
		Keep: model.Duration(3 * time.Hour),
		// As many pods. The answers of all queries are then 60 MB.
		MaxSeries: 50_000, ClusterLabel: "cluster",
	}
}

// Validate reports everything that is wrong, each with its key.
func (c *Config) Validate() error {
	var errs []error
	for i, s := range c.Sources {
		switch {
		case !slices.Contains(Sources(), s):
			errs = append(errs, web.Invalid(fmt.Sprintf("sources[%d]", i), unknown(s)))
		case slices.Contains(c.Sources[:i], s):
			errs = append(errs, web.Invalid(fmt.Sprintf("sources[%d]", i), fmt.Errorf("%s is there twice", s)))
		}
	}
	for _, x := range []struct {
		key      string
		d        model.Duration
		min, max time.Duration
	}{
		{"interval", c.Interval, 30 * time.Second, 24 * time.Hour}, {"timeout", c.Timeout, time.Second, 5 * time.Minute}, {"keep", c.Keep, 0, 7 * 24 * time.Hour},
	} {
		if d := time.Duration(x.d); d < x.min || d > x.max {
			errs = append(errs, web.Invalid(x.key, fmt.Errorf("%s: want %s to %s", x.d, model.Duration(x.min), model.Duration(x.max))))
		}
	}
	if c.Keep < c.Interval {
		errs = append(errs, web.Invalid("keep", fmt.Errorf("%s: want at least interval, %s", c.Keep, c.Interval)))
	}
	if c.MaxSeries < 1 || c.MaxSeries > 1_000_000 {
		errs = append(errs, web.Invalid("max_series", fmt.Errorf("%d: want 1 to 1000000", c.MaxSeries)))
	}
	if c.ClusterLabel != "" && !model.LegacyValidation.IsValidLabelName(c.ClusterLabel) {
		errs = append(errs, web.Invalid("cluster_label", fmt.Errorf("%q is not the name of a label", c.ClusterLabel)))
	}
	return errors.Join(errs...)
}

// A Prometheus answers queries; *promapi.Client does. The answer has at most limit series where the server knows the bound.
type Prometheus interface {
	Query(ctx context.Context, expr string, at time.Time, limit int) (promapi.Answer, error)
}

// Settings are a Config with what it takes to follow it.
type Settings struct {
	Config
	// Prometheus is asked; nil: none is.
	Prometheus Prometheus
	// Links are those of the file.
	File File
}

// off reports whether there is nothing to look at.
func (s *Settings) off() bool {
	return len(s.File.Dependencies) == 0 && (s.Prometheus == nil || len(s.Sources) == 0)
}

// WorkerOptions are those of a Worker. All are needed.
type WorkerOptions struct {
	// Use takes a new topology, nil when there is none any more. It is called from one goroutine.
	Use        func(t *topology.Topology, clusterLabel string)
	Now        func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// A Worker keeps a topology up to date. It is safe for concurrent use.
type Worker struct {
	o       WorkerOptions
	metrics *metrics
	wake    chan struct{}

	mu       sync.Mutex
	settings Settings

	seen    map[link]time.Time // when Prometheus told it last; only Run uses what follows
	failing map[Source]string
	used    bool
}

// NewWorker returns a Worker. It does nothing until Run.
func NewWorker(o WorkerOptions) *Worker {
	return &Worker{o: o, metrics: newMetrics(o.Registerer), wake: make(chan struct{}, 1), seen: map[link]time.Time{}, failing: map[Source]string{}}
}

// Set replaces the settings. What Prometheus told before is kept for as long as they say.
func (w *Worker) Set(s Settings) {
	w.mu.Lock()
	w.settings = s
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Run works until ctx ends. It never fails: what cannot be had is counted, logged when it changes, and asked for again.
func (w *Worker) Run(ctx context.Context) error {
	for {
		select {
		case <-w.wake: // what it tells of is read now
		default:
		}
		wait := w.round(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
		case <-time.After(wait):
		}
	}
}

// round asks once and hands on what came of it. It returns how long to wait for the next.
func (w *Worker) round(ctx context.Context) time.Duration {
	w.mu.Lock()
	s := w.settings
	w.mu.Unlock()
	if s.off() {
		if w.used {
			w.used = false
			w.seen = map[link]time.Time{}
			w.o.Use(nil, "")
			w.metrics.size(&topology.Topology{}, 0)
		}
		return 24 * time.Hour // Set wakes
	}
	w.ask(ctx, &s)
	if ctx.Err() != nil {
		return 0
	}
	w.forget(&s)
	links := s.File.links()
	for l := range w.seen {
		links = append(links, l)
	}
	t, dropped := build(links, topology.Limits{})
	w.metrics.size(t, dropped)
	w.used = true
	w.o.Use(t, s.ClusterLabel)
	return time.Duration(s.Interval)
}

// maxSeen bounds what is remembered: half a million links, 150 MB at the most. What was not seen for longest goes first.
const maxSeen = 500_000

// forget lets go of what was not seen for too long.
func (w *Worker) forget(s *Settings) {
	keep := time.Duration(s.Keep)
	if s.Prometheus == nil {
		keep = -1
	}
	for {
		for l, at := range w.seen {
			if w.o.Now().Sub(at) > keep {
				delete(w.seen, l)
			}
		}
		if len(w.seen) <= maxSeen || keep < 0 {
			return
		}
		if keep /= 2; keep < time.Second {
			keep = -1
		}
	}
}

// ask reads the sources. What one of them does not answer stays as it was.
func (w *Worker) ask(ctx context.Context, s *Settings) {
	if s.Prometheus == nil {
		return
	}
	for _, source := range s.Sources {
		var errs []error
		for _, q := range queries() {
			if q.source == source {
				errs = append(errs, w.query(ctx, s, q))
			}
		}
		if ctx.Err() != nil {
			return
		}
		err := errors.Join(errs...)
		w.metrics.asked(source, err, w.o.Now())
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != w.failing[source] {
			w.failing[source] = text
			if err != nil {
				w.o.Logger.Warn("topology_not_read", "source", string(source), "err", err, "hint", "what was known is kept for "+s.Keep.String())
			} else {
				w.o.Logger.Info("topology_read_again", "source", string(source))
			}
		}
	}
}

func (w *Worker) query(ctx context.Context, s *Settings, q query) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.Timeout))
	defer cancel()
	now := w.o.Now()
	a, err := s.Prometheus.Query(ctx, q.expr(s.ClusterLabel), now, s.MaxSeries+1)
	if err != nil {
		return fmt.Errorf("%s: %w", q.metric, err)
	}
	v, ok := a.Value.(model.Vector)
	if !ok {
		return fmt.Errorf("%s: got a %T, want a vector", q.metric, a.Value)
	}
	if len(v) > s.MaxSeries {
		w.metrics.truncated.Inc()
		v = v[:s.MaxSeries]
	}
	for _, sample := range v {
		m := series{Metric: sample.Metric, cluster: s.Cluster}
		if c := sample.Metric[model.LabelName(s.ClusterLabel)]; s.ClusterLabel != "" && c != "" {
			m.cluster = string(c)
		}
		for _, l := range q.read(m) {
			if l.whole() {
				w.seen[l] = now
			}
		}
	}
	return nil
}
