package sqlstore_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/portent-dev/portent/internal/incident"
	"github.com/portent-dev/portent/internal/incident/incidenttest"
	"github.com/portent-dev/portent/internal/outbox"
	"github.com/portent-dev/portent/internal/sqlstore"
)

// body is of the size of a notification with n alerts.
func body(n, seed int) []byte {
	b := fmt.Appendf(nil, `{"version":"4","seed":%d,"alerts":[`, seed)
	for range n {
		b = append(b, `{"status":"firing","labels":{"alertname":"KubePodCrashLooping","cluster":"prod-eu-1","container":"api","namespace":"shop","pod":"api-7d9f8b6c5d-x2x4z","severity":"warning","team":"shop"},"annotations":{"description":"Pod shop/api-7d9f8b6c5d-x2x4z (api) is in waiting state (reason: CrashLoopBackOff).","runbook_url":"https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepodcrashlooping","summary":"Pod is crash looping."},"startsAt":"2026-11-22T10:32:46.253290152Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus.example/graph?g0.expr=max_over_time","fingerprint":"a350557aa430340e"},`...)
	}
	return append(b, `]}`...)
}

// databases runs f with SQLite and with PostgreSQL where that is installed.
func databases(b *testing.B, f func(b *testing.B, s *sqlstore.Store)) {
	b.Run("db=sqlite", func(b *testing.B) { f(b, open(b, sqliteDSN(b))) })
	b.Run("db=postgres", func(b *testing.B) { f(b, open(b, postgresDSN(b))) })
}

// BenchmarkPut is durable intake: each call returns when its notification is on
// disk. Callers are the requests that are open at a time.
func BenchmarkPut(b *testing.B) {
	for _, alerts := range []int{1, 5} {
		for _, callers := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("alerts=%d/callers=%d", alerts, callers), func(b *testing.B) {
				databases(b, func(b *testing.B, s *sqlstore.Store) {
					bodies := make([][]byte, b.N)
					for i := range bodies {
						bodies[i] = body(alerts, i)
					}
					took := make([]time.Duration, b.N)
					work := make(chan int)
					var wg sync.WaitGroup
					b.ResetTimer()
					for range callers {
						wg.Go(func() {
							for i := range work {
								start := time.Now()
								if err := s.Put(context.Background(), incident.Notification{Source: incident.SourceAlertmanager, ReceivedAt: start, Body: bodies[i]}); err != nil {
									b.Error(err)
								}
								took[i] = time.Since(start)
							}
						})
					}
					for i := range b.N {
						work <- i
					}
					close(work)
					wg.Wait()
					b.StopTimer()
					slices.Sort(took)
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "notifications/s")
					b.ReportMetric(float64(took[b.N/2].Microseconds())/1000, "p50-ms")
					b.ReportMetric(float64(took[b.N*99/100].Microseconds())/1000, "p99-ms")
				})
			})
		}
	}
}

// BenchmarkApply is one step of triage: a batch of notifications becomes alerts
// of a few incidents, with tasks and audit records.
func BenchmarkApply(b *testing.B) {
	databases(b, func(b *testing.B, s *sqlstore.Store) {
		const alerts, incidents = 100, 10
		for n := range b.N {
			var c incident.Change
			for i := range incidents {
				inc := incidenttest.NewIncident(n*incidents + i)
				c.Incidents = append(c.Incidents, inc)
				c.Tasks = append(c.Tasks, incidenttest.NewTask(inc.ID, "jira", incident.TaskCreate))
				for j := range alerts / incidents {
					c.Alerts = append(c.Alerts, incidenttest.NewAlert((n*incidents+i)*incidents+j, inc.ID))
				}
			}
			require.NoError(b, s.Apply(b.Context(), c))
		}
		b.ReportMetric(float64(b.N*alerts)/b.Elapsed().Seconds(), "alerts/s")
	})
}

// many fills a store with incidents of ten alerts, of which a hundredth is open.
func many(b *testing.B, s *sqlstore.Store, n int) {
	b.Helper()
	for i := 0; i < n; {
		var c incident.Change
		for range 500 {
			inc := incidenttest.NewIncident(i)
			if i%100 != 0 {
				inc.Status, inc.EndedAt = incident.StatusResolved, inc.StartedAt.Add(time.Hour)
			}
			c.Incidents = append(c.Incidents, inc)
			for j := range 10 {
				c.Alerts = append(c.Alerts, incidenttest.NewAlert(i*10+j, inc.ID))
			}
			i++
		}
		require.NoError(b, s.Apply(b.Context(), c))
	}
}

// BenchmarkQueries asks what pages and API ask, of 100 000 incidents with a
// million alerts. It takes minutes to fill, so it wants PORTENT_BENCH_LARGE=1;
// without it there are 10 000.
func BenchmarkQueries(b *testing.B) {
	n := 10_000
	if os.Getenv("PORTENT_BENCH_LARGE") != "" {
		n = 100_000
	}
	databases(b, func(b *testing.B, s *sqlstore.Store) {
		many(b, s, n)
		list := func(q incident.Query) func() error {
			return func() error { _, _, err := s.List(b.Context(), q); return err }
		}
		at := func(share int) time.Time { return incidenttest.NewIncident(n / 100 * share).StartedAt }
		for _, tt := range []struct {
			name string
			f    func() error
		}{
			{"newest", list(incident.Query{Limit: 50, Brief: true})},
			{"newest-with-alerts", list(incident.Query{Limit: 50})},
			{"open", list(incident.Query{Limit: 50, Status: incident.StatusOpen, Brief: true})},
			{"critical-none-match", list(incident.Query{Limit: 50, Severity: incident.SeverityCritical, Brief: true})},
			{"since-last-percent", list(incident.Query{Limit: 50, Since: at(99), Brief: true})},
			{"long-ago", list(incident.Query{Limit: 50, Since: at(1), Until: at(2), Brief: true})},
			{"updated-since", list(incident.Query{Limit: 1000, UpdatedSince: at(99), Brief: true})},
			{"deep-page", list(incident.Query{Limit: 50, Cursor: "i" + incidenttest.NewIncident(n/2).ID, Brief: true})},
			{"get", func() error { _, err := s.Get(b.Context(), incidenttest.NewIncident(n/3).ID); return err }},
			{"counts", func() error { _, err := s.Counts(b.Context()); return err }},
			{"known-100", func() error {
				var fps []string
				for i := range 100 {
					fps = append(fps, incidenttest.NewAlert(i*97, "").Fingerprint)
				}
				_, err := s.Known(b.Context(), fps)
				return err
			}},
			{"clock", func() error { _, err := s.Clock(b.Context()); return err }},
			{"pending", func() error { _, err := s.Pending(b.Context()); return err }},
			{"stats", func() error { _, err := s.Stats(b.Context()); return err }},
			{"claim-none", func() error {
				_, err := s.Claim(b.Context(), outbox.Claim{Now: time.Now(), Lease: time.Minute, Tracker: "jira", Limit: 4, Actor: "a"})
				return err
			}},
		} {
			b.Run("q="+tt.name, func(b *testing.B) {
				for b.Loop() {
					if err := tt.f(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	})
}
