package app

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portent-dev/portent/internal/ingest"
)

// benchBatch is a request of 1000 lines of 120 bytes.
func benchBatch(labels []ingest.Label) []ingest.Line {
	var lines []ingest.Line
	for i := range 1000 {
		text := fmt.Sprintf("2026-11-22T10:%02d:%02d.123Z INFO request served method=GET path=/api/v1/items/%d status=200 took=%dms peer=10.0.0.%d", i%60, i%59, i, i%400, i%250)
		if i%3 == 0 {
			text = fmt.Sprintf("Failed to pull image \"registry/%d\" for pod web-%d in namespace shop: back-off restarting failed container after %d s", i, i, i)
		}
		lines = append(lines, ingest.Line{Labels: labels, T: int64(i), Text: text})
	}
	return lines
}

// BenchmarkTakeLines is the way of a line from a decoded request to its pattern, with
// its header read and its entities counted.
func BenchmarkTakeLines(b *testing.B) {
	l := newLogs(defaultLogs(), prometheus.NewRegistry(), time.Now)
	lines := benchBatch([]ingest.Label{{Name: "app", Value: "web"}, {Name: "namespace", Value: "shop"}})
	b.ReportAllocs()
	for b.Loop() {
		if err := l.TakeLines(lines); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(lines)), "ns/line")
}

// BenchmarkLook is one look at 10,000 live patterns of five streams, as each ten
// seconds; memory is what lines, patterns and a day of history take.
func BenchmarkLook(b *testing.B) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	now := time.Unix(1_795_000_000, 0)
	l := newLogs(defaultLogs(), prometheus.NewRegistry(), func() time.Time { return now })
	word := func(i int) string {
		w := []byte("q")
		for range 4 {
			w = append(w, byte('a'+i%26), byte('a'+i%7))
			i /= 26
		}
		return string(w)
	}
	for hour := range 24 {
		for s := range 5 {
			labels := []ingest.Label{{Name: "app", Value: fmt.Sprint("app", s)}}
			var lines []ingest.Line
			for i := range 2000 {
				if hour == 0 || i%20 == hour%20 {
					lines = append(lines, ingest.Line{Labels: labels, Text: fmt.Sprintf("%s of %s(%d) {%s", word(i), word(i*7), i, word(i*31))})
				}
			}
			if err := l.TakeLines(lines); err != nil {
				b.Fatal(err)
			}
		}
		for range 12 { // new patterns wait for their turn
			now = now.Add(5 * time.Minute)
			l.look()
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	for b.Loop() {
		now = now.Add(10 * time.Second)
		l.look()
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
	b.ReportMetric(float64(l.watch.Stats().Tracks), "patterns")
}
