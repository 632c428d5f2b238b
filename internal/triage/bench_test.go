package triage_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/sqlstore"
	"github.com/portent-dev/portent/internal/triage"
)

// nothing knows no alert.
type nothing struct{}

func (nothing) Known([]string) ([]incident.Alert, error) { return nil, nil }

func (nothing) Incident(string) (incident.Incident, error) {
	return incident.Incident{}, incident.ErrNotFound
}

// storm makes the nth batch of a stream: 64 notifications of three alerts, over
// 40 services, of which each alert is told twice.
func storm(b *testing.B, w *world, n int) []incident.Notification {
	b.Helper()
	var ns []incident.Notification
	for i := range 64 {
		var as []al
		for j := range 3 {
			at := float64(n / 2)
			as = append(as, al{fmt.Sprintf("Slow cluster=c%d namespace=n%d service=s pod=p%d-%d-%d severity=warning", i%4, i%10, n/2, i, j), at, 0})
			if n%2 == 1 {
				as[j].end = at + 0.5
			}
		}
		ns = append(ns, w.note(float64(n)/2+1, nil, as...))
	}
	return ns
}

// BenchmarkProcess is judging alone.
func BenchmarkProcess(b *testing.B) {
	w := &world{t: b}
	tr, err := triage.New(triage.DefaultPolicy(), words{}, func(incident.Incident) []string { return []string{"jira"} })
	require.NoError(b, err)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		ns := storm(b, w, n)
		b.StartTimer()
		if _, err := tr.Process(ns, nothing{}); err != nil {
			b.Fatal(err)
		}
		tr.Commit()
	}
	b.ReportMetric(float64(b.N)*64*3/b.Elapsed().Seconds(), "alerts/s")
}

// BenchmarkRunner is the way from the inbox to stored incidents.
func BenchmarkRunner(b *testing.B) {
	w := &world{t: b}
	log := slog.New(slog.DiscardHandler)
	s, err := sqlstore.Open(b.Context(), sqlstore.Options{DSN: "sqlite:" + filepath.Join(b.TempDir(), "p.db"), Logger: log, Registerer: prometheus.NewRegistry()})
	require.NoError(b, err)
	for n := range b.N {
		ns := storm(b, w, n)
		for i := range ns {
			ns[i].ID = 0
		}
		require.NoError(b, s.Put(b.Context(), ns...))
	}
	r, err := triage.NewRunner(triage.RunnerOptions{
		Store: s, Policy: triage.DefaultPolicy(), Writer: words{}, Trackers: []string{"jira"}, Logger: log, Registerer: prometheus.NewRegistry(), Replay: true,
	})
	require.NoError(b, err)
	b.ResetTimer()
	done := make(chan struct{})
	go func() { defer close(done); _ = r.Run(b.Context()) }()
	for {
		n, err := s.Pending(b.Context())
		require.NoError(b, err)
		if n == 0 {
			break
		}
		time.Sleep(2 * time.Millisecond) //nolint:forbidigo // a benchmark polls: there is nothing to wait on
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)*64*3/b.Elapsed().Seconds(), "alerts/s")
	b.Cleanup(func() { <-done; _ = s.Close() })
}
