package detect_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/ingest"
)

// BenchmarkObserve is one sample of one series, state in the cache: the arithmetic
// alone.
func BenchmarkObserve(b *testing.B) {
	for _, row := range detect.Builtin {
		b.Run(row.Name, func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 1))
			values := make([]float64, 1<<16)
			for i := range values {
				values[i] = 50 + 3*r.NormFloat64()
			}
			bank := row.Open(detect.Config{})
			bank.Reset(0)
			var out detect.Output
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				bank.Observe(0, start+int64(i)*15_000, values[i&(1<<16-1)], &out)
			}
		})
	}
}

// fleet is n series as a Prometheus with some hundred pods sends them: eight labels
// each, of which two tell them apart, in requests of 2,000 samples.
type fleet struct {
	engine *detect.Engine
	labels [][]ingest.Label
	noise  []float64
	round  int64
}

func newFleet(tb testing.TB, n int) *fleet {
	f := &fleet{engine: newEngine(tb, detect.Options{MaxSeries: n}), labels: make([][]ingest.Label, n), noise: make([]float64, 1<<12)}
	for i := range f.labels {
		pod := i / 100
		f.labels[i] = []ingest.Label{
			{Name: "__name__", Value: fmt.Sprintf("container_memory_working_set_%d_bytes", i%100)},
			{Name: "cluster", Value: "production-eu-west-1"},
			{Name: "container", Value: "app"},
			{Name: "instance", Value: fmt.Sprintf("10.%d.%d.%d:10250", pod>>16, pod>>8&255, pod&255)},
			{Name: "job", Value: "kubelet"},
			{Name: "namespace", Value: fmt.Sprintf("team-%d", pod%40)},
			{Name: "node", Value: fmt.Sprintf("ip-10-0-%d-%d.internal", pod%7, pod%200)},
			{Name: "pod", Value: fmt.Sprintf("service-%d-7d9c5b8f6d-%05x", pod%40, pod)},
		}
	}
	r := rand.New(rand.NewPCG(1, 1))
	for i := range f.noise {
		f.noise[i] = 1e8 + 1e6*r.NormFloat64()
	}
	return f
}

// scrape sends one sample of every series.
func (f *fleet) scrape() {
	f.round++
	var sample [1]ingest.Sample
	for from := 0; from < len(f.labels); from += 2000 {
		a := f.engine.Appender()
		for i := from; i < min(from+2000, len(f.labels)); i++ {
			sample[0] = ingest.Sample{T: start + f.round*15_000, V: f.noise[(int64(i)+f.round*7)&(1<<12-1)]}
			a.Append(f.labels[i], ingest.KindGauge, sample[:])
		}
		a.Commit()
	}
}

// BenchmarkEngineLookup is the floor of BenchmarkEngineAppend: every sample has been
// seen, so that it is hashed, looked up and counted, and no model sees it.
func BenchmarkEngineLookup(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("series=%d", n), func(b *testing.B) {
			if n > 100_000 && testing.Short() {
				b.Skip("takes a gigabyte")
			}
			f := newFleet(b, n)
			f.scrape()
			cpu := cpuTime(b)
			b.ResetTimer()
			for range b.N {
				f.round--
				f.scrape()
			}
			b.ReportMetric(float64((cpuTime(b)-cpu).Nanoseconds())/float64(b.N)/float64(n), "cpu-ns/sample")
		})
	}
}

// cpuTime is the processor time that the process took: what a busy machine does not
// falsify as it does the clock.
func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkEngineAppend is labels and sample to updated score, on one core. The
// memory is what the process holds more than before, labels and index included.
func BenchmarkEngineAppend(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("series=%d", n), func(b *testing.B) {
			if n > 100_000 && testing.Short() {
				b.Skip("takes a gigabyte")
			}
			f := newFleet(b, n)
			before := heap()
			f.scrape()
			held := heap() - before
			for range 40 {
				f.scrape()
			}
			cpu := cpuTime(b)
			b.ResetTimer()
			b.ReportAllocs()
			for range b.N {
				f.scrape()
			}
			b.ReportMetric(float64((cpuTime(b)-cpu).Nanoseconds())/float64(b.N)/float64(n), "cpu-ns/sample")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/sample")
			b.ReportMetric(float64(held)/float64(n), "bytes/series")
			b.ReportMetric(float64(f.engine.Stats().Bytes)/float64(n), "told-bytes/series")
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkSnapshot writes the state of a fleet to nowhere.
func BenchmarkSnapshot(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("series=%d", n), func(b *testing.B) {
			if n > 100_000 && testing.Short() {
				b.Skip("takes a gigabyte")
			}
			f := newFleet(b, n)
			f.scrape()
			b.ResetTimer()
			for range b.N {
				var w counter
				if err := f.engine.Snapshot(&w); err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(w))
			}
		})
	}
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

var _ io.Writer = (*counter)(nil)

// BenchmarkForEach visits every series, as a scrape of the exporter does.
func BenchmarkForEach(b *testing.B) {
	f := newFleet(b, 100_000)
	f.scrape()
	b.ReportAllocs()
	for b.Loop() {
		f.engine.ForEach(func([]ingest.Label, detect.Output) bool { return true })
	}
}
