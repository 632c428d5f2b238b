package ask_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/ask"
)

// vast is a server of 50,000 metrics and a million label values; the metrics of shop
// are among them.
type vast struct{ fleet }

const (
	vastMetrics = 50_000
	vastLabels  = 60 // with as many values each as a catalog takes
	vastValues  = 20_000
)

func (v vast) LabelNames(ctx context.Context, matches []string, limit int) ([]string, error) {
	names, err := v.fleet.LabelNames(ctx, matches, limit)
	if len(matches) == 0 {
		for i := range vastLabels {
			names = append(names, fmt.Sprintf("label_%02d", i))
		}
	}
	return names, err
}

// LabelValues is a server that knows no limits.
func (v vast) LabelValues(ctx context.Context, label string, matches []string, limit int) ([]string, error) {
	values, err := v.fleet.LabelValues(ctx, label, matches, limit)
	switch {
	case len(matches) > 0:
	case label == "__name__":
		for i := range vastMetrics - len(values) {
			values = append(values, fmt.Sprintf("app%d_queue_worker%d_retries_total", i%500, i))
		}
	case label == "pod" || strings.HasPrefix(label, "label_"):
		for i := range vastValues + 5000 {
			values = append(values, fmt.Sprintf("%s-7f9c4d5b6-%06d", label, i))
		}
	}
	return values, err
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestVastCatalog: a million label values stay below 300 MiB.
func TestVastCatalog(t *testing.T) {
	before := heap()
	c, err := ask.Load(t.Context(), vast{shop})
	require.NoError(t, err)
	used := heap() - before
	t.Logf("%d MiB", used>>20)
	require.Less(t, used, uint64(300<<20))
	r, err := ask.NewRules(c, nil)
	require.NoError(t, err)
	tr, err := r.Translate(t.Context(), ask.Question{Text: "top 3 pods by memory in blue", Now: now})
	require.NoError(t, err)
	require.Equal(t, `topk(3, sum by (cluster, namespace, pod) (container_memory_working_set_bytes{container!="",namespace="blue"}))`, tr.Query)
	runtime.KeepAlive(c)
}

// BenchmarkVast asks many kinds of questions of a warm catalog of 50,000 metrics and a
// million label values. p95-ms is the slowest of the 20 questions but one.
func BenchmarkVast(b *testing.B) {
	c, err := ask.Load(b.Context(), vast{shop})
	require.NoError(b, err)
	r, err := ask.NewRules(c, nil)
	require.NoError(b, err)
	questions := []string{
		"which pods are crash-looping in blue?", "how many pods are pending", "nodes not ready in c-west-2", "pods per namespace", "top 3 pods by memory", "memory of web pods",
		"pods using more than 2gb of memory", "nodes with over 85% memory used", "p95 latency of web over the last 2 hours", "error rate of web compared to yesterday",
		"how many requests did web get between 14:00 and 15:00 UTC", "restarts by namespace since midnight", "will any volume fill up in the next 3 days",
		"certs that expire within 10 days", "what is firing in blue", "evicted pods on n1", "wich pods are crahslooping", "gpu temperature of the worker nodes in the east",
		"retries of app7 queue worker4007", "memory of label_07-7f9c4d5b6-000123 and of pods on the east clusters",
	}
	var took []time.Duration
	for b.Loop() {
		for _, q := range questions {
			start := time.Now()
			_, err := r.Translate(b.Context(), ask.Question{Text: q, Now: now})
			took = append(took, time.Since(start))
			if refusal := (*ask.Refusal)(nil); err != nil && !errors.As(err, &refusal) {
				b.Fatal(err)
			}
		}
	}
	took = took[len(questions):] // the first round warms the catalog
	if len(took) > 0 {
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
	}
}

// odd is a server that fails in parts, and changes while it is asked.
type odd struct {
	broken string // label without values

	mu   sync.Mutex
	now  fleet
	down bool
}

func (o *odd) set(f fleet, down bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now, o.down = f, down
}

func (o *odd) get() (f fleet, down bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now, o.down
}

func (o *odd) Metadata(ctx context.Context) (map[string]ask.Metric, error) {
	f, _ := o.get()
	return f.Metadata(ctx)
}

func (o *odd) LabelNames(ctx context.Context, matches []string, limit int) ([]string, error) {
	f, _ := o.get()
	return f.LabelNames(ctx, matches, limit)
}

func (o *odd) LabelValues(ctx context.Context, label string, matches []string, limit int) ([]string, error) {
	f, down := o.get()
	if down || label == o.broken && len(matches) == 0 {
		return nil, errors.New("no")
	}
	return f.LabelValues(ctx, label, matches, limit)
}

// TestPartlyBroken: a label that cannot be listed costs its names, not the catalog.
func TestPartlyBroken(t *testing.T) {
	c, err := ask.Load(t.Context(), &odd{now: shop, broken: "pod"})
	require.NoError(t, err)
	r, err := ask.NewRules(c, nil)
	require.NoError(t, err)
	tr, err := r.Translate(t.Context(), ask.Question{Text: "how many pods are pending in blue", Now: now})
	require.NoError(t, err)
	require.Equal(t, `count(kube_pod_status_phase{namespace="blue",phase="Pending"} == 1)`, tr.Query)
}

// TestRun: new metrics come by themselves, and a server that is down costs nothing.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &odd{now: fleet{"up": series("job=a")}}
		c, err := ask.Load(t.Context(), s)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		failures := 0
		done := make(chan struct{})
		go func() { c.Run(ctx, time.Minute, func(error) { failures++ }); close(done) }()
		s.set(fleet{"up": series("job=a")}, true)
		time.Sleep(90 * time.Second) //nolint:forbidigo // virtual time
		synctest.Wait()
		require.Equal(t, 1, failures)
		require.True(t, c.Has("up"))
		s.set(fleet{"down": series("job=a")}, false)
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
		synctest.Wait()
		require.False(t, c.Has("up"))
		require.True(t, c.Has("down"))
		cancel()
		<-done
	})
}

// withMetadata is a server that tells types and help texts.
type withMetadata struct{ fleet }

func (withMetadata) Metadata(context.Context) (map[string]ask.Metric, error) {
	return map[string]ask.Metric{
		"silo_grain_moisture_ratio": {Type: "gauge", Help: "How wet the grain in a silo is."},
		"mill_bags_filled":          {Type: "counter", Help: "Bags that left the mill."},
	}, nil
}

// TestUnlisted: metrics that no knowledge file knows are found by name and help.
func TestUnlisted(t *testing.T) {
	f := fleet{
		"silo_grain_moisture_ratio":     series("namespace=plant,silo=s1", "namespace=plant,silo=s2"),
		"mill_bags_filled":              series("namespace=plant,line=l1"),
		"oven_bake_time_seconds_bucket": series("namespace=plant,service=oven,le=+Inf"),
		"oven_bake_time_seconds_count":  series("namespace=plant,service=oven"),
		"oven_bake_time_seconds_sum":    series("namespace=plant,service=oven"),
	}
	c, err := ask.Load(t.Context(), withMetadata{f})
	require.NoError(t, err)
	r, err := ask.NewRules(c, nil)
	require.NoError(t, err)
	ok := func(question, want string) {
		t.Helper()
		tr, err := r.Translate(t.Context(), ask.Question{Text: question, Now: now})
		require.NoError(t, err, question)
		require.Equal(t, want, tr.Query, question)
	}
	ok("grain moisture", `avg by (namespace) (silo_grain_moisture_ratio)`)
	ok("average grain moisture by namespace", `avg by (namespace) (silo_grain_moisture_ratio)`)
	ok("bags filled per namespace in the last 2h", `sum by (namespace) (increase(mill_bags_filled[2h]))`)
	ok("p95 oven bake time", `histogram_quantile(0.95, sum by (namespace, service, le) (rate(oven_bake_time_seconds_bucket[5m])))`)
	ok("mill_bags_filled", `sum by (namespace) (rate(mill_bags_filled[5m]))`)
	for _, q := range []string{"grain price", "moisture of the moon", "oven colour"} {
		_, err := r.Translate(t.Context(), ask.Question{Text: q, Now: now})
		var refusal *ask.Refusal
		require.ErrorAs(t, err, &refusal, q)
	}
}
