package ask

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// Metric is what the server says of a metric.
type Metric struct{ Type, Help, Unit string }

// Source is what a Catalog is read from: the label and metadata calls of a server.
// matches is empty or holds one selector. Lists may be cut at limit entries.
type Source interface {
	Metadata(ctx context.Context) (map[string]Metric, error)
	LabelNames(ctx context.Context, matches []string, limit int) ([]string, error)
	LabelValues(ctx context.Context, label string, matches []string, limit int) ([]string, error)
}

// Bounds of a Catalog: what a large fleet has of things that people name in
// questions. Names past it cannot be found by their value alone.
const (
	maxMetrics    = 100_000
	maxValues     = 20_000 // of one label
	maxAllValues  = 1_000_000
	maxLabelsRead = 200
	// maxCached bounds what is kept of single metrics: labels and values. Past it they
	// are forgotten and asked for again.
	maxCached = 500_000
)

// unnamed are labels whose values nobody asks for by name: there are too many, or
// they are numbers.
var unnamed = set(`__name__ id uid image image_spec image_id container_id le quantile pod_ip host_ip internal_ip cluster_ip ip address
	kernel_version kubelet_version container_runtime_version os_image provider_id system_uuid boot_id machine_id mac created_by_name
	version goversion revision branch build_date checksum git_commit`)

// Catalog is what a server knows: its metrics, and which labels hold which values.
// It is safe for concurrent use. A server without metadata (Thanos, VictoriaMetrics,
// a Mimir that has it switched off) will do: types then come from the names. A label
// whose values the server does not give is one without names.
type Catalog struct {
	source Source
	now    atomic.Pointer[snapshot]

	mu     sync.Mutex
	cached int
	labels map[string][]string            // metric to its label names, matcher to its metrics
	of     map[string]map[string]struct{} // metric + label to the values
}

// snapshot is what one reading gave. It is never written after that.
type snapshot struct {
	metrics map[string]Metric
	values  map[string]named               // lower-case value to what has it
	known   map[string][]string            // label to its values
	parts   map[string]map[string][]string // label to part of its values to the values
	rooted  map[string]named               // root of a value that tells how things are or end, to the value
	words   map[string][]string            // word of a metric's name, and its root, to the metrics
	systems map[string]int                 // first word of names of metrics to how many there are
}

// named is a label value: its spelling and the labels that have it.
type named struct {
	cased  string
	labels []string
}

// Load reads a catalog. It makes one call a label.
func Load(ctx context.Context, source Source) (*Catalog, error) {
	c := &Catalog{source: source}
	return c, c.Refresh(ctx)
}

// Refresh reads all again. Until it is done, and if it fails, the catalog is as
// before.
func (c *Catalog) Refresh(ctx context.Context) error {
	s := &snapshot{metrics: map[string]Metric{}, values: map[string]named{}, known: map[string][]string{}}
	names, err := c.source.LabelValues(ctx, "__name__", nil, maxMetrics)
	if err != nil {
		return fmt.Errorf("read the metric names: %w", err)
	}
	for _, n := range names[:min(len(names), maxMetrics)] {
		s.metrics[n] = Metric{}
	}
	if meta, err := c.source.Metadata(ctx); err == nil {
		for n, m := range meta {
			for _, suffix := range [...]string{"", "_bucket", "_count", "_sum", "_total"} {
				if _, ok := s.metrics[n+suffix]; ok {
					s.metrics[n+suffix] = m
				}
			}
		}
	}
	keys, err := c.source.LabelNames(ctx, nil, maxLabelsRead)
	if err != nil {
		return fmt.Errorf("read the label names: %w", err)
	}
	slices.Sort(keys)
	if err := s.readValues(ctx, c.source, keys[:min(len(keys), maxLabelsRead)]); err != nil {
		return err
	}
	s.indexParts()
	s.indexStates()
	s.indexNames()
	c.now.Store(s)
	c.forget()
	return nil
}

// Run refreshes the catalog every so often until ctx ends. failed is told of what
// went wrong; the catalog then stays as it is.
func (c *Catalog) Run(ctx context.Context, every time.Duration, failed func(error)) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if err := c.Refresh(ctx); err != nil && ctx.Err() == nil {
				failed(err)
			}
		}
	}
}

// forget drops what is known of single metrics.
func (c *Catalog) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cached, c.labels, c.of = 0, map[string][]string{}, map[string]map[string]struct{}{}
}

// keep makes room for n more cached names. It is called with mu held.
func (c *Catalog) keep(n int) {
	if c.cached += n; c.cached > maxCached {
		c.cached, c.labels, c.of = n, map[string][]string{}, map[string]map[string]struct{}{}
	}
}

// valueReaders is how many labels are read at once.
const valueReaders = 8

func (s *snapshot) readValues(ctx context.Context, source Source, keys []string) error {
	lists := make([][]string, len(keys))
	var wg sync.WaitGroup
	next := make(chan int)
	for range valueReaders {
		wg.Go(func() {
			for i := range next {
				// A server that cannot list one label still answers questions by others.
				if list, err := source.LabelValues(ctx, keys[i], nil, maxValues); err == nil {
					lists[i] = list[:min(len(list), maxValues)]
				}
			}
		})
	}
	for i, l := range keys {
		if !unnamed[l] {
			next <- i
		}
	}
	close(next)
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("read the label values: %w", err)
	}
	// Short lists first: where there is no room for all, names of namespaces go before
	// those of requests.
	order := make([]int, len(keys))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return len(lists[a]) - len(lists[b]) })
	left := maxAllValues
	for _, i := range order {
		l := keys[i]
		alone := []string{l} // shared by all values that only this label has
		list := lists[i][:min(len(lists[i]), left)]
		left -= len(list)
		s.known[l] = list
		for _, v := range list {
			if v == "" {
				continue
			}
			low := strings.ToLower(v)
			n, ok := s.values[low]
			switch {
			case !ok:
				n.labels = alone
			case !slices.Contains(n.labels, l):
				n.labels = append(slices.Clip(n.labels), l)
			}
			n.cased = v
			s.values[low] = n
		}
	}
	return nil
}

// labelled returns what has the value, in lower case.
func (c *Catalog) labelled(value string) (named, bool) {
	n, ok := c.now.Load().values[value]
	return n, ok
}

// isValue reports whether some label has the value, in lower case.
func (c *Catalog) isValue(value string) bool {
	_, ok := c.labelled(value)
	return ok
}

// Has reports whether the server has the metric.
func (c *Catalog) Has(metric string) bool {
	_, ok := c.now.Load().metrics[metric]
	return ok
}

// LabelsOf returns the label names of a metric.
func (c *Catalog) LabelsOf(ctx context.Context, metric string) ([]string, error) {
	c.mu.Lock()
	l, ok := c.labels[metric]
	c.mu.Unlock()
	if ok {
		return l, nil
	}
	l, err := c.source.LabelNames(ctx, []string{metric}, maxLabelsRead)
	if err != nil {
		return nil, fmt.Errorf("read the labels of %s: %w", metric, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep(len(l) + 1)
	c.labels[metric] = l
	return l, nil
}

// HasValue reports whether some series of the metric has the label value.
func (c *Catalog) HasValue(ctx context.Context, metric, label, value string) (bool, error) {
	vals, err := c.ValuesOf(ctx, metric, label)
	if err != nil {
		return false, err
	}
	_, ok := vals[value]
	return ok, nil
}

// Holders returns the metrics of which some series has the label value, at most
// maxHolders.
func (c *Catalog) Holders(ctx context.Context, label, value string) ([]string, error) {
	m, err := labels.NewMatcher(labels.MatchEqual, label, value)
	if err != nil {
		return nil, err
	}
	sel := "{" + m.String() + "}"
	c.mu.Lock()
	l, ok := c.labels[sel]
	c.mu.Unlock()
	if ok {
		return l, nil
	}
	l, err = c.source.LabelValues(ctx, model.MetricNameLabel, []string{sel}, maxHolders)
	if err != nil {
		return nil, fmt.Errorf("read the metrics with %s: %w", sel, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep(len(l) + 1)
	c.labels[sel] = l
	return l, nil
}

// ValuesOf returns the values that a label has on a metric.
func (c *Catalog) ValuesOf(ctx context.Context, metric, label string) (map[string]struct{}, error) {
	key := metric + "\x00" + label
	c.mu.Lock()
	v, ok := c.of[key]
	c.mu.Unlock()
	if ok {
		return v, nil
	}
	list, err := c.source.LabelValues(ctx, label, []string{metric}, maxValues)
	if err != nil {
		return nil, fmt.Errorf("read the values of %s of %s: %w", label, metric, err)
	}
	v = make(map[string]struct{}, len(list))
	for _, s := range list {
		v[s] = struct{}{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep(len(v) + 1)
	c.of[key] = v
	return v, nil
}
