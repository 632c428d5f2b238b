package app

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fleet is the nth notification of a fleet in trouble: five alerts of one namespace of eight clusters, every second one
// tells that those of a thousand before are over. Each alert is another one, so nothing is cheap for being a repeat; some
// thousand fire at a time, as what fires for ever must be kept for ever.
func fleet(n int64, now time.Time) []byte {
	id, end := n, ""
	if n%2 == 1 && n > 1000 {
		id, end = n-1001, now.UTC().Format(time.RFC3339Nano)
	}
	var b bytes.Buffer
	cluster, ns := fmt.Sprintf("prod-%d", id/4%8), fmt.Sprintf("ns-%d", id%160)
	fmt.Fprintf(&b, `{"version":"4","groupKey":"{}:{namespace=%s}","truncatedAlerts":0,"status":"firing","receiver":"portent","externalURL":"http://am-0:9093","groupLabels":{"namespace":%q},"commonLabels":{},"commonAnnotations":{},"alerts":[`, ns, ns)
	for i := range int64(5) {
		if i > 0 {
			b.WriteByte(',')
		}
		status, ends := "firing", "0001-01-01T00:00:00Z"
		if end != "" {
			status, ends = "resolved", end
		}
		fmt.Fprintf(&b, `{"status":%q,"labels":{"alertname":"Rule%d","cluster":%q,"namespace":%q,"pod":"web-%d-7d9f8c6b54-%05d","service":"svc-%d","severity":"warning","job":"kube-state-metrics"},
			"annotations":{"description":"Pod %s/web-%d is restarting 1.2 times / 10 minutes","summary":"Pod is crash looping."},"startsAt":%q,"endsAt":%q,"generatorURL":"http://prometheus/graph","fingerprint":"%016x"}`,
			status, (id+i)%40, cluster, ns, id%30, id%99999, id%30, ns, id%30, now.Add(-time.Duration(id%60)*time.Second).Truncate(time.Minute).UTC().Format(time.RFC3339), ends, id*5+i+1<<40)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

// TestSustainedLoad is a measurement: PORTENT_LOAD=10m posts as fast as it is answered (or PORTENT_LOAD_RATE alerts a second) to
// the whole receiver, then waits until everything is processed, and prints what was reached.
func TestSustainedLoad(t *testing.T) {
	if os.Getenv("PORTENT_LOAD") == "" {
		t.Skip("a measurement of minutes: PORTENT_LOAD=10m, PORTENT_LOAD_RATE=1000 for a steady rate of alerts a second")
	}
	length, err := time.ParseDuration(os.Getenv("PORTENT_LOAD"))
	require.NoError(t, err)
	rate, _ := strconv.Atoi(os.Getenv("PORTENT_LOAD_RATE"))
	o, _ := options(t, "ready: {max_pending: 20000}\n")
	a, url := running(t, o)
	const connections = 32
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	var seq, busy atomic.Int64
	var mu sync.Mutex
	var took []time.Duration
	begin := time.Now()
	post := func(n int64) {
		body := fleet(n, begin.Add(time.Since(begin)))
		for {
			at := time.Now()
			r, err := client.Post(url+hook, "application/json", bytes.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			_ = r.Body.Close()
			if r.StatusCode == http.StatusServiceUnavailable { // as Alertmanager: again in a moment
				busy.Add(1)
				time.Sleep(50 * time.Millisecond) //nolint:forbidigo // a real load
				continue
			}
			if r.StatusCode != http.StatusOK {
				t.Errorf("status %d", r.StatusCode)
				return
			}
			mu.Lock()
			took = append(took, time.Since(at))
			mu.Unlock()
			return
		}
	}
	heap := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() {
			for time.Since(begin) < length && !t.Failed() {
				n := seq.Add(1) - 1
				if rate > 0 {
					if wait := time.Duration(n*5) * time.Second / time.Duration(rate); wait > time.Since(begin) {
						time.Sleep(wait - time.Since(begin)) //nolint:forbidigo // a real load
					}
				}
				post(n)
			}
		})
	}
	var heaps []string
	for i := range 10 {
		time.Sleep(time.Until(begin.Add(length * time.Duration(i+1) / 10))) //nolint:forbidigo // a real load
		pending, err := a.db.Pending(t.Context())
		require.NoError(t, err)
		heaps = append(heaps, fmt.Sprintf("%.0f MiB (%d wait)", heap(), pending))
	}
	wg.Wait()
	sent := time.Since(begin)
	require.NotEmpty(t, took)
	require.Eventually(t, func() bool { n, err := a.db.Pending(t.Context()); return err == nil && n == 0 }, 10*time.Minute, 20*time.Millisecond)
	total := time.Since(begin)
	alerts := float64(len(took) * 5)
	slices.Sort(took)
	at := func(q float64) time.Duration { return took[int(q*float64(len(took)-1))].Round(10 * time.Microsecond) }
	t.Logf("%.0f alerts: %.0f/s taken, %.0f/s taken and processed; webhook p50 %s p99 %s max %s; %d times busy; heap %s", alerts, alerts/sent.Seconds(), alerts/total.Seconds(),
		at(.5), at(.99), at(1), busy.Load(), strings.Join(heaps, ", "))
}
