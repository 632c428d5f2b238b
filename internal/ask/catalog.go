package ask

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
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
	maxLabelsRead = 200
)

// unnamed are labels whose values nobody asks for by name: there are too many, or
// they are numbers.
var unnamed = set(`__name__ id uid image image_spec image_id container_id le quantile pod_ip host_ip internal_ip cluster_ip ip address
	kernel_version kubelet_version container_runtime_version os_image provider_id system_uuid boot_id machine_id mac created_by_name
	version goversion revision branch build_date checksum git_commit`)

// Catalog is what a server knows: its metrics, and which labels hold which values.
// It is safe for concurrent use.
type Catalog struct {
	source  Source
	metrics map[string]Metric
	values  map[string][]string // lower-case value to the labels that have it
	cased   map[string]string   // lower-case value to one spelling
	known   map[string][]string // label to its values

	mu     sync.Mutex
	labels map[string][]string            // metric to its label names
	of     map[string]map[string]struct{} // metric + label to the values
}

// Load reads a catalog. It makes one call a label.
func Load(ctx context.Context, source Source) (*Catalog, error) {
	c := &Catalog{
		source: source, metrics: map[string]Metric{}, values: map[string][]string{}, cased: map[string]string{}, known: map[string][]string{},
		labels: map[string][]string{}, of: map[string]map[string]struct{}{},
	}
	names, err := source.LabelValues(ctx, "__name__", nil, maxMetrics)
	if err != nil {
		return nil, fmt.Errorf("read the metric names: %w", err)
	}
	for _, n := range names {
		c.metrics[n] = Metric{}
	}
	// A server without metadata still answers: types then come from the names.
	if meta, err := source.Metadata(ctx); err == nil {
		for n, m := range meta {
			if _, ok := c.metrics[n]; ok {
				c.metrics[n] = m
			}
			for _, suffix := range [...]string{"_bucket", "_count", "_sum", "_total"} {
				if _, ok := c.metrics[n+suffix]; ok {
					c.metrics[n+suffix] = m
				}
			}
		}
	}
	labels, err := source.LabelNames(ctx, nil, maxLabelsRead)
	if err != nil {
		return nil, fmt.Errorf("read the label names: %w", err)
	}
	slices.Sort(labels)
	if err := c.readValues(ctx, labels); err != nil {
		return nil, err
	}
	return c, nil
}

// valueReaders is how many labels are read at once.
const valueReaders = 8

func (c *Catalog) readValues(ctx context.Context, labels []string) error {
	lists := make([][]string, len(labels))
	errs := make([]error, len(labels))
	var wg sync.WaitGroup
	next := make(chan int)
	for range valueReaders {
		wg.Go(func() {
			for i := range next {
				lists[i], errs[i] = c.source.LabelValues(ctx, labels[i], nil, maxValues)
			}
		})
	}
	for i, l := range labels {
		if !unnamed[l] {
			next <- i
		}
	}
	close(next)
	wg.Wait()
	for i, l := range labels {
		if errs[i] != nil {
			return fmt.Errorf("read the values of label %s: %w", l, errs[i])
		}
		c.known[l] = lists[i]
		for _, v := range lists[i] {
			low := strings.ToLower(v)
			c.values[low] = append(c.values[low], l)
			c.cased[low] = v
		}
	}
	return nil
}

// Has reports whether the server has the metric.
func (c *Catalog) Has(metric string) bool {
	_, ok := c.metrics[metric]
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
	c.of[key] = v
	return v, nil
}
