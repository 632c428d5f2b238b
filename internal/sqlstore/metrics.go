package sqlstore

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/portent-dev/portent/internal/incident"
)

type metrics struct {
	stored, duplicate prometheus.Counter
	commit, batch     prometheus.Histogram
	errors            *prometheus.CounterVec
	size              prometheus.Gauge
	deleted           *prometheus.CounterVec
}

// The reasons of failure that are counted. Conflicts and absent things are
// ordinary and are not.
var failures = []struct {
	err    error
	reason string
}{
	{incident.ErrFull, "full"},
	{incident.ErrLocked, "locked"},
	{incident.ErrClosed, "closed"},
	{incident.ErrDamaged, "damaged"},
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		stored: f.NewCounter(prometheus.CounterOpts{
			Name: "portent_receiver_store_notifications_total", Help: "Notifications written durably.",
		}),
		duplicate: f.NewCounter(prometheus.CounterOpts{
			Name: "portent_receiver_store_duplicate_notifications_total", Help: "Notifications that equalled one still unprocessed and were stored once.",
		}),
		commit: f.NewHistogram(prometheus.HistogramOpts{
			Name: "portent_receiver_store_commit_seconds", Help: "Time to write a batch of notifications to disk.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
		batch: f.NewHistogram(prometheus.HistogramOpts{
			Name: "portent_receiver_store_batch_size", Help: "Notifications written in one transaction.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}),
		errors: f.NewCounterVec(prometheus.CounterOpts{
			Name: "portent_receiver_store_errors_total", Help: "Failed reads and writes of the store.",
		}, []string{"reason"}),
		size: f.NewGauge(prometheus.GaugeOpts{
			Name: "portent_receiver_store_size_bytes", Help: "Size of the database.",
		}),
		deleted: f.NewCounterVec(prometheus.CounterOpts{
			Name: "portent_receiver_store_deleted_total", Help: "Rows that were deleted because they were older than configured.",
		}, []string{"what"}),
	}
	for _, f := range failures {
		m.errors.WithLabelValues(f.reason)
	}
	m.errors.WithLabelValues("other")
	for _, w := range retained {
		m.deleted.WithLabelValues(w.what)
	}
	return m
}

// failed counts an error that the caller did not cause.
func (m *metrics) failed(err error) {
	for _, ordinary := range []error{incident.ErrNotFound, incident.ErrConflict, incident.ErrBadCursor} {
		if errors.Is(err, ordinary) {
			return
		}
	}
	for _, f := range failures {
		if errors.Is(err, f.err) {
			m.errors.WithLabelValues(f.reason).Inc()
			return
		}
	}
	m.errors.WithLabelValues("other").Inc()
}
