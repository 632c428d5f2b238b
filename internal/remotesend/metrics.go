package remotesend

import "github.com/prometheus/client_golang/prometheus"

// Reasons for which samples are dropped.
const (
	reasonFull    = "queue_full"
	reasonOld     = "too_old"
	reasonRefused = "refused"
)

type metrics struct {
	next uint64 // id of the newest batch; guarded by the sender's lock

	sent, retries             prometheus.Counter
	dropped                   *prometheus.CounterVec
	queued, queuedBytes, last prometheus.Gauge
	duration                  prometheus.Histogram
}

func newMetrics(prefix string, reg prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: prefix + name, Help: help})
	}
	m := &metrics{
		sent:    counter("samples_sent_total", "Samples that the remote-write endpoint took."),
		retries: counter("retries_total", "Requests that failed and are sent again."),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "samples_dropped_total",
			Help: "Samples not sent, by reason: pushed out by newer ones (queue_full), waited too long (too_old), not taken by the endpoint (refused).",
		}, []string{"reason"}),
		queued:      gauge("samples_queued", "Samples that wait to be sent."),
		queuedBytes: gauge("queued_bytes", "Compressed bytes that wait to be sent."),
		last:        gauge("last_success_timestamp_seconds", "Unix time at which the endpoint last took samples; 0 if it never did."),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: prefix + "request_duration_seconds", Help: "Time that a request to the remote-write endpoint took.",
			Buckets: prometheus.ExponentialBuckets(0.005, 4, 7),
		}),
	}
	for _, r := range []string{reasonFull, reasonOld, reasonRefused} {
		m.dropped.WithLabelValues(r)
	}
	reg.MustRegister(m.sent, m.retries, m.dropped, m.queued, m.queuedBytes, m.last, m.duration)
	return m
}
