//go:build unix

package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSustainedLoad is a measurement: PORTENT_LOAD=10m posts to the whole receiver for that long, as fast as it is answered,
// waits until everything is processed and prints what was reached.
//
//   - PORTENT_LOAD_RATE: so many alerts a second instead.
//   - PORTENT_LOAD_ALERTS: so many alerts instead of for a time.
//   - PORTENT_LOAD_SHAPE: churn (the default), series or distinct; see shapes.
//   - PORTENT_LOAD_STORE: an address of PostgreSQL instead of an SQLite file.
func TestSustainedLoad(t *testing.T) {
	if os.Getenv("PORTENT_LOAD") == "" {
		t.Skip("a measurement of minutes: PORTENT_LOAD=10m, PORTENT_LOAD_RATE=1000 for a steady rate of alerts a second")
	}
	l := loadOf(t)
	o, _ := options(t, "ready: {max_pending: 20000}\n")
	if dsn := os.Getenv("PORTENT_LOAD_STORE"); dsn != "" {
		o.Store = dsn
	}
	idle := l.generatorAlone(t)
	a, url := running(t, o)
	before := cpuTime()
	begin := time.Now()
	watch, stop := context.WithCancel(t.Context())
	var memory []string
	var wg sync.WaitGroup
	wg.Go(func() { memory = l.watch(watch, a, begin) })
	l.post(t, url+hook, begin)
	sent := time.Since(begin)
	stop()
	wg.Wait()
	require.NotEmpty(t, l.took)
	require.Eventually(t, func() bool { n, err := a.db.Pending(t.Context()); return err == nil && n == 0 }, 10*time.Minute, 20*time.Millisecond)
	total, used := time.Since(begin), cpuTime()-before
	alerts := float64(len(l.took) * perNotice)
	counts, err := a.db.Counts(t.Context())
	require.NoError(t, err)
	slices.Sort(l.took)
	at := func(q float64) time.Duration {
		return l.took[int(q*float64(len(l.took)-1))].Round(10 * time.Microsecond)
	}
	t.Logf("%s: %.0f alerts: %.0f/s taken, %.0f/s taken and processed; processor time %.0f µs an alert, of it the sender %.0f; webhook p50 %s p95 %s p99 %s max %s; %d times busy; incidents %v; memory %s",
		l.name, alerts, alerts/sent.Seconds(), alerts/total.Seconds(), micros(used)/alerts, micros(idle), at(.5), at(.95), at(.99), at(1), l.busy, counts, strings.Join(memory, ", "))
}

// A load is what is sent, and what came of it.
type load struct {
	name   string
	shape  shape
	length time.Duration
	alerts int64 // 0: no bound
	rate   int   // alerts a second; 0: as fast as answered
	client *http.Client

	mu   sync.Mutex
	next int64
	took []time.Duration
	busy int
}

// connections is how many notifications are on their way at a time.
const connections = 32

func loadOf(t *testing.T) *load {
	t.Helper()
	l := &load{name: "churn", client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}}
	number := func(name string) (n int) {
		if v := os.Getenv(name); v != "" {
			var err error
			n, err = strconv.Atoi(v)
			require.NoError(t, err, name)
		}
		return n
	}
	var err error
	l.length, err = time.ParseDuration(os.Getenv("PORTENT_LOAD"))
	require.NoError(t, err)
	l.rate, l.alerts = number("PORTENT_LOAD_RATE"), int64(number("PORTENT_LOAD_ALERTS"))
	if l.alerts > 0 {
		l.length = 24 * time.Hour
	}
	if v := os.Getenv("PORTENT_LOAD_SHAPE"); v != "" {
		l.name = v
	}
	l.shape = shapes[l.name]
	require.NotNil(t, l.shape, "PORTENT_LOAD_SHAPE: want churn, series or distinct")
	return l
}

// take returns the number of the next notification, when it is time for it.
func (l *load) take(begin time.Time) (n int64, ok bool) {
	l.mu.Lock()
	n = l.next
	l.next++
	l.mu.Unlock()
	if l.rate > 0 {
		time.Sleep(time.Until(begin.Add(time.Duration(n*perNotice) * time.Second / time.Duration(l.rate)))) //nolint:forbidigo // a real load
	}
	return n, time.Since(begin) < l.length && (l.alerts == 0 || n*perNotice < l.alerts)
}

// post sends until it is over.
func (l *load) post(t *testing.T, url string, begin time.Time) {
	t.Helper()
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() {
			for {
				n, ok := l.take(begin)
				if !ok {
					return
				}
				if err := l.send(url, l.shape(n, begin)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// send posts one notification until it is taken, as Alertmanager does.
func (l *load) send(url string, body []byte) error {
	for {
		at := time.Now()
		r, err := l.client.Post(url, "application/json", bytes.NewReader(body))
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, r.Body)
		if err = firstOf(err, r.Body.Close()); err != nil {
			return err
		}
		l.mu.Lock()
		switch r.StatusCode {
		case http.StatusOK:
			l.took = append(l.took, time.Since(at))
		case http.StatusServiceUnavailable:
			l.busy++
		default:
			err = fmt.Errorf("status %d", r.StatusCode)
		}
		l.mu.Unlock()
		if r.StatusCode != http.StatusServiceUnavailable {
			return err
		}
		time.Sleep(50 * time.Millisecond) //nolint:forbidigo // a real load
	}
}

// generatorAlone is the processor time an alert that making and sending it costs, and that of an HTTP server which only reads it.
func (l *load) generatorAlone(t *testing.T) time.Duration {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer srv.Close()
	before := cpuTime()
	begin := time.Now()
	alone := &load{shape: l.shape, length: time.Minute, alerts: 25_000, client: l.client}
	alone.post(t, srv.URL, begin)
	return (cpuTime() - before) / time.Duration(alone.alerts)
}

// watch notes, twenty times, how much memory the process has and how many notifications wait.
func (l *load) watch(ctx context.Context, a *App, begin time.Time) (out []string) {
	every := l.length / 20
	if l.alerts > 0 {
		every = 10 * time.Second
	}
	for i := 1; ; i++ {
		select {
		case <-ctx.Done():
			return out
		case <-time.After(time.Until(begin.Add(every * time.Duration(i)))):
		}
		pending, err := a.db.Pending(ctx)
		if err != nil {
			continue
		}
		l.mu.Lock()
		n := len(l.took) * perNotice
		l.mu.Unlock()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		out = append(out, fmt.Sprintf("%dk: %d MiB resident, %d heap (%d wait)", n/1000, resident()>>20, m.HeapAlloc>>20, pending))
	}
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// resident is the resident memory of this process in bytes, 0 where there is no /proc.
func resident() int {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, rss int
	_, _ = fmt.Sscan(string(b), &size, &rss)
	return rss * os.Getpagesize()
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
