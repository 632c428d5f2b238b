package app

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/allowance"
	"github.com/portent-dev/portent/internal/detect"
	"github.com/portent-dev/portent/internal/detect/group"
	"github.com/portent-dev/portent/internal/ingest"
)

// samplesPerRequest is what Prometheus sends at a time (max_samples_per_send).
const samplesPerRequest = 2000

// load is what a Prometheus with so many series sends, each of nine labels, one sample each 15 s.
type load struct{ series []testSeries }

// request encodes the samples of some series at one time.
func (l *load) request(v2 bool, from int, t int64, round int) []byte {
	part := l.series[from:min(from+samplesPerRequest, len(l.series))]
	value := func(i int) float64 { return wave(round) + float64((from+i)%7) }
	if !v2 {
		var w prompb.WriteRequest
		for i, s := range part {
			ts := prompb.TimeSeries{Samples: []prompb.Sample{{Timestamp: t, Value: value(i)}}}
			for _, l := range s.labels {
				ts.Labels = append(ts.Labels, prompb.Label{Name: l.Name, Value: l.Value})
			}
			w.Timeseries = append(w.Timeseries, ts)
		}
		b, err := w.Marshal()
		if err != nil {
			panic(err)
		}
		return snappy.Encode(nil, b)
	}
	symbols := writev2.NewSymbolTable()
	w := writev2.Request{}
	for i, s := range part {
		ts := writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: t, Value: value(i)}}, Metadata: writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_GAUGE}}
		for _, l := range s.labels {
			ts.LabelsRefs = append(ts.LabelsRefs, symbols.Symbolize(l.Name), symbols.Symbolize(l.Value))
		}
		w.Timeseries = append(w.Timeseries, ts)
	}
	w.Symbols = symbols.Symbols()
	b, err := w.Marshal()
	if err != nil {
		panic(err)
	}
	return snappy.Encode(nil, b)
}

// warmRounds is more samples than a detector needs to be ready: a fresh model does less work than one in use.
const warmRounds = 40

// feed gives one sample of each series to a target, past encoding and decoding.
func (l *load) feed(target ingest.Target, t int64, round int) {
	for from := 0; from < len(l.series); from += samplesPerRequest {
		app := target.Appender()
		for i, s := range l.series[from:min(from+samplesPerRequest, len(l.series))] {
			app.Append(s.labels, ingest.KindGauge, []ingest.Sample{{T: t, V: wave(round) + float64((from+i)%7)}})
		}
		app.Commit()
	}
}

// BenchmarkWriteToScore measures the way of a sample from the bytes of remote write to its updated score, through the whole
// exporter: snappy, protobuf, checks, selection, engine and detector. One operation is one sample of each series. Run it with
// -cpu 1 for samples a second and core; "samples/cpu-s" counts processor time in place of time. "bytes/series" is the heap that the exporter grew by, for each series, after warming.
func BenchmarkWriteToScore(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		for _, v2 := range []bool{false, true} {
			version := "v1"
			if v2 {
				version = "v2"
			}
			b.Run("series="+strconv.Itoa(n)+"/"+version, func(b *testing.B) { benchmarkWriteToScore(b, n, v2) })
		}
	}
}

func benchmarkWriteToScore(b *testing.B, n int, v2 bool) {
	l := load{benchSeries(n)}
	before := heapInUse()
	a := newBenchApp(b)
	h := a.Handler()
	start := time.Now().Add(-24 * time.Hour)
	round, bodyBytes := 0, 0
	var spent, cpu time.Duration
	play := func() {
		t := start.Add(time.Duration(round) * 15 * time.Second).UnixMilli()
		for from := 0; from < n; from += samplesPerRequest {
			body := l.request(v2, from, t, round)
			r := newWrite("/api/v1/write", body, v2)
			w := httptest.NewRecorder()
			begin, cpuBegin := time.Now(), cpuTime()
			h.ServeHTTP(w, r)
			spent, cpu = spent+time.Since(begin), cpu+cpuTime()-cpuBegin
			bodyBytes += len(body)
			if w.Code != http.StatusNoContent {
				b.Fatal(w.Code, w.Body)
			}
		}
		round++
	}
	for ; round < warmRounds-2; round++ {
		l.feed(a.gate, start.Add(time.Duration(round)*15*time.Second).UnixMilli(), round)
	}
	for range 2 {
		play()
	}
	after := heapInUse()
	spent, cpu, bodyBytes = 0, 0, 0
	rounds := 0
	for b.Loop() {
		play()
		rounds++
	}
	samples := float64(rounds) * float64(n)
	b.ReportMetric(samples/spent.Seconds(), "samples/s")
	b.ReportMetric(samples/cpu.Seconds(), "samples/cpu-s")
	b.ReportMetric(float64(after-before)/float64(n), "bytes/series")
	b.ReportMetric(float64(bodyBytes)/samples, "wire-bytes/sample")
	b.ReportMetric(0, "ns/op") // encoding is in it
	stats := a.gate.engine.Load().Stats()
	require.Equal(b, n, stats.Series)
	require.Zero(b, stats.OutOfOrder+stats.Duplicate+stats.Dropped)
}

// cpuTime is the processor time that the process took so far, on all cores, the collection of garbage included: what a busy
// machine does not distort.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func newBenchApp(b *testing.B) *App {
	b.Helper()
	a, err := New(Options{ConfigFile: "testdata/bench.yml", WebConfig: testFlags(), Logger: discard()})
	require.NoError(b, err)
	return a
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkAnomalies answers GET /api/v1/anomalies with a hundred of many.
func BenchmarkAnomalies(b *testing.B) {
	for _, n := range []int{20_000, 1_000_000} {
		b.Run(fmt.Sprintf("series=%d", n), func(b *testing.B) {
			series := benchSeries(n)
			for i := range series {
				if i%100 == 0 {
					series[i].out.Score = 1.5 + float64(i%977)
				}
			}
			match := &selection{}
			v := viewOf(series)
			begin, rounds := cpuTime(), 0
			for b.Loop() {
				if got := v.worst(match, 100); got.Total != n/100 {
					b.Fatal(got.Total)
				}
				rounds++
			}
			b.ReportMetric(float64(cpuTime()-begin)/1e6/float64(rounds), "cpu-ms/op")
		})
	}
}

// BenchmarkSnapshot writes the models of 100,000 series.
func BenchmarkSnapshot(b *testing.B) {
	a := newBenchApp(b)
	l := load{benchSeries(100_000)}
	for round := range 3 {
		for from := 0; from < len(l.series); from += samplesPerRequest {
			t := time.Now().Add(time.Duration(round-10) * 15 * time.Second).UnixMilli()
			w := httptest.NewRecorder()
			a.Handler().ServeHTTP(w, newWrite("/api/v1/write", l.request(true, from, t, round), true))
			require.Equal(b, http.StatusNoContent, w.Code)
		}
	}
	var buf bytes.Buffer
	for b.Loop() {
		buf.Reset()
		require.NoError(b, a.gate.engine.Load().Snapshot(&buf))
		b.SetBytes(int64(buf.Len()))
	}
	b.ReportMetric(float64(buf.Len())/100_000, "bytes/series")
}

// busyBook is a book of allowances in which everything is known that can be: verdicts, open windows, rollouts.
func busyBook(b *testing.B, now int64) *allowances {
	b.Helper()
	x := &allowances{book: allowance.New(allowance.Defaults()), metrics: &allowanceMetrics{}}
	for i := range 20 {
		_, err := x.book.Tell(allowance.Feedback{ID: strconv.Itoa(i), At: now, Verdict: allowance.Confirmed, Labels: map[string]string{
			"__name__": "container_memory_working_set_bytes", "cluster": "production-eu-1", "namespace": "team-" + strconv.Itoa(i), "job": "kubelet",
			"pod": "checkout-service-7c9f8d6b5-00001", "container": "checkout",
		}})
		require.NoError(b, err)
	}
	var windows []allowance.Window
	for i := range 10 {
		w := allowance.Window{ID: strconv.Itoa(i), Match: []string{fmt.Sprintf(`{namespace="team-%d"}`, i)}, Start: now - 1000, End: now + 1000}
		require.NoError(b, w.Prepare())
		windows = append(windows, w)
	}
	x.book.Plan(windows)
	x.book.RolledOut(map[string]string{"__name__": "x", "namespace": "team-30", "deployment": "checkout-service"}, now, "")
	return x
}

// oddWatch is a watch of the series as peers, of which one is unlike its siblings.
func oddWatch(b *testing.B, series []testSeries, now int64) *groups {
	b.Helper()
	w, err := group.New(group.Options{Rules: []group.Rule{{Name: "peers", Kind: group.Peers, By: []string{"job"}}}})
	require.NoError(b, err)
	odd := slices.Clone(series)
	for i := range 400 {
		for k := range odd {
			odd[k].out.Value = 100 + float64((i*31+k*17)%23)
		}
		if i > 395 {
			odd[3].out.Value = 1e6
		}
		w.Tick(now+int64(i-400)*15_000, each(odd))
	}
	g := &groups{}
	g.watch.Store(w)
	require.True(b, w.Judge(odd[3].labels, detect.Output{Ready: true}).Peer)
	return g
}

// BenchmarkMetricsJudged is BenchmarkMetrics with everything on that stands between the engine and the scores: a busy book of allowances, and
// groups with a member unlike its siblings.
func BenchmarkMetricsJudged(b *testing.B) {
	series := benchSeries(20_000)
	now := time.Now().UnixMilli()
	x, g := busyBook(b, now), oddWatch(b, series, now)
	for _, encoding := range []string{"none", "identity", "gzip"} {
		b.Run(encoding, func(b *testing.B) {
			scores := func() forEach { return g.judge(x.adjust(each(series), now)) }
			e, _ := newTestExposition(published{maxSeries: 20_000, families: families[:]})
			e.current = func() published { return published{forEach: scores(), maxSeries: 20_000, families: families[:]} }
			b.ReportAllocs()
			begin := cpuTime()
			n := 0
			for b.Loop() {
				if encoding == "none" { // what stands between alone
					scores()(func([]ingest.Label, detect.Output) bool { return true })
				} else {
					scrape(e, "Accept-Encoding", encoding)
				}
				n++
			}
			b.ReportMetric(float64(cpuTime()-begin)/1e6/float64(n), "cpu-ms/op")
		})
	}
}
