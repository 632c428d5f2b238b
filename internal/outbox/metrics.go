package outbox

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/portent-dev/portent/internal/ticket"
)

type metrics struct {
	attempts *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		attempts: f.NewCounterVec(prometheus.CounterOpts{
			Name: "portent_outbox_attempts_total",
			Help: "Attempts to do something to a ticket, by how they ended: ok, found (the ticket was there already), searching, or why they failed.",
		}, []string{"tracker", "reason"}),
		seconds: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "portent_outbox_attempt_seconds", Help: "Time that an attempt took.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 13),
		}, []string{"tracker"}),
	}
}

// trackers makes zeros visible.
func (m *metrics) trackers(ts map[string]ticket.Target) {
	for name := range ts {
		for _, r := range []string{resultDone, resultFound, resultSearching} {
			m.attempts.WithLabelValues(name, r)
		}
		for _, r := range ticket.Reasons() {
			m.attempts.WithLabelValues(name, string(r))
		}
		m.seconds.WithLabelValues(name)
	}
}

// A collector reads the state of the queue when it is scraped. When the store
// cannot be read its metrics are absent, and the others are there.
type collector struct{ w *Worker }

var (
	pendingDesc = prometheus.NewDesc("portent_outbox_pending",
		"What was accepted and is not done: notifications to be processed and tasks on tickets. 0 when drained.", nil, nil)
	backlogDesc = prometheus.NewDesc("portent_outbox_backlog",
		"The parts of portent_outbox_pending.", []string{"what"}, nil)
	deadDesc = prometheus.NewDesc("portent_outbox_dead",
		"Tasks that were given up and wait for a person to replay them.", []string{"tracker"}, nil)
	orphanDesc = prometheus.NewDesc("portent_outbox_orphaned",
		"Tasks that wait for a tracker that is not configured.", nil, nil)
	oldestDesc = prometheus.NewDesc("portent_outbox_oldest_seconds",
		"Age of the oldest task to do, 0 when there is none.", nil, nil)
)

func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{pendingDesc, backlogDesc, deadDesc, orphanDesc, oldestDesc} {
		ch <- d
	}
}

// scrapeTimeout is below the usual timeout of a scrape, 10 s.
const scrapeTimeout = 5 * time.Second

func (c collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	notes, err := c.w.o.Inbox.Pending(ctx)
	if err != nil {
		c.w.o.Logger.Debug("outbox_not_readable", "err", err)
		return
	}
	// In this order: a notification that is processed in between shows in the tasks.
	st, err := c.w.o.Queue.Stats(ctx)
	if err != nil {
		c.w.o.Logger.Debug("outbox_not_readable", "err", err)
		return
	}
	c.w.mu.Lock()
	dead, todo, orphaned := map[string]int{}, 0, 0
	for name := range c.w.trackers {
		dead[name] = 0
	}
	for name, n := range st.Todo {
		todo += n
		if _, ok := c.w.trackers[name]; !ok {
			orphaned += n
		}
	}
	c.w.mu.Unlock()
	for name, n := range st.Dead {
		dead[name] = n
	}
	var age float64
	if !st.Oldest.IsZero() {
		age = time.Since(st.Oldest).Seconds()
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(pendingDesc, float64(notes+todo))
	gauge(backlogDesc, float64(notes), "notifications")
	gauge(backlogDesc, float64(todo), "tasks")
	gauge(orphanDesc, float64(orphaned))
	gauge(oldestDesc, age)
	for name, n := range dead {
		gauge(deadDesc, float64(n), name)
	}
}
