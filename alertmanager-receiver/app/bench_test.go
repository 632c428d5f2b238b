package app

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
)

// groupOf is a notification of three alerts, 2 kB, as a usual group is; every call is another one.
func groupOf(n int64) []byte {
	one := notice("KubePodCrashLooping")
	from, to := strings.Index(one, `"alerts":[`)+len(`"alerts":[`), strings.Index(one, `],
	  "groupLabels"`)
	var b bytes.Buffer
	b.WriteString(one[:from])
	for i := range int64(3) {
		if i > 0 {
			b.WriteByte(',')
		}
		a := strings.NewReplacer(`"namespace":"shop"`, fmt.Sprintf(`"namespace":"ns-%d","pod":"web-7d9f8c6b54-%05d","cluster":"prod-eu-1","container":"web","job":"kube-state-metrics"`, n%50, n*3+i),
			"a350557aa430340e", fmt.Sprintf("%016x", n*3+i), "it is broken", "Pod shop/web is restarting 1.2 times / 10 minutes because it is in CrashLoopBackOff").Replace(one[from:to])
		b.WriteString(a)
	}
	b.WriteString(one[to:])
	return b.Bytes()
}

// BenchmarkWebhook posts notifications over HTTP from 64 connections; each is on disk before its answer. "intake" is the
// webhook with the store alone, "whole" the receiver with triage, tickets and audit going on beside it.
func BenchmarkWebhook(b *testing.B) {
	b.Run("intake", func(b *testing.B) {
		ts := newTestServer(b, func(c *Config) { c.Ready.MaxPending = 1 << 30 })
		srv := httptest.NewServer(ts.mux)
		defer srv.Close()
		benchmarkWebhook(b, srv.URL)
	})
	b.Run("whole", func(b *testing.B) {
		o, _ := options(b, "ready: {max_pending: 1000000000}\n")
		_, url := running(b, o)
		benchmarkWebhook(b, url)
	})
}

var benchSeq atomic.Int64

func benchmarkWebhook(b *testing.B, url string) {
	const connections = 64
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	var mu sync.Mutex
	var all []time.Duration
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	start := time.Now()
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() {
			var mine []time.Duration
			for left.Add(-1) >= 0 {
				body := groupOf(benchSeq.Add(1))
				at := time.Now()
				r, err := client.Post(url+hook, "application/json", bytes.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				_ = r.Body.Close()
				if r.StatusCode != http.StatusOK {
					b.Errorf("status %d", r.StatusCode)
					return
				}
				mine = append(mine, time.Since(at))
			}
			mu.Lock()
			all = append(all, mine...)
			mu.Unlock()
		})
	}
	wg.Wait()
	elapsed := time.Since(start)
	b.StopTimer()
	require.NotEmpty(b, all)
	slices.Sort(all)
	at := func(q float64) float64 { return float64(all[int(q*float64(len(all)-1))].Microseconds()) / 1000 }
	b.ReportMetric(float64(len(all))/elapsed.Seconds(), "notifications/s")
	b.ReportMetric(at(.5), "p50-ms")
	b.ReportMetric(at(.95), "p95-ms")
	b.ReportMetric(at(.99), "p99-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkPages asks for pages and lists while 100,000 incidents of three alerts are stored. What is kept for
// the charts is out of date each time.
func BenchmarkPages(b *testing.B) {
	const incidents = 100_000
	ts := newTestServer(b, nil)
	var last string
	for from := 0; from < incidents; from += 1000 {
		c := incident.Change{}
		for i := from; i < from+1000; i++ {
			last = fmt.Sprintf("01J%08d", i)
			inc := incident.Incident{
				ID: last, Key: last, Status: incident.StatusResolved, Severity: incident.SeverityWarning, Title: "[Auto] Kube pod not ready - shop namespace", Summary: "3 alerts",
				StartedAt: t0.Add(time.Duration(i-incidents) * time.Minute), EndedAt: t0.Add(time.Duration(i-incidents+5) * time.Minute), UpdatedAt: t0, Total: 3,
			}
			if i%100 == 0 {
				inc.Status, inc.EndedAt = incident.StatusOpen, time.Time{}
			}
			for j := range 3 {
				a := testAlert("KubePodNotReady", 0, time.Minute, "namespace", "shop", "pod", fmt.Sprintf("web-%d-%d", i, j), "severity", "warning")
				a.StartsAt, a.IncidentID = inc.StartedAt, inc.ID
				c.Alerts = append(c.Alerts, a)
			}
			c.Incidents = append(c.Incidents, inc)
		}
		require.NoError(b, ts.db.Apply(b.Context(), c))
	}
	for _, x := range []struct{ name, path string }{
		{"open", "/"}, {"all", "/?status=all"}, {"incident", "/incidents/" + last}, {"policy", "/policy"}, {"audit", "/audit"}, {"noise", "/noise"}, {"api-100", "/api/v1/incidents"}, {"api-1000", "/api/v1/incidents?limit=1000"},
	} {
		b.Run(x.name, func(b *testing.B) {
			for b.Loop() {
				ts.clock = ts.clock.Add(recentAge)
				require.Equal(b, 200, ts.send(b, "GET", x.path, "").Code)
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/page")
		})
	}
}
