package federate

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/portent-dev/portent/internal/promapi"
)

// reason says why a reading failed: one of promapi's, or reasonParse.
type reason string

// reasonParse is an answer that is in no exposition format.
const reasonParse reason = "parse"

// metrics are those of all targets; the label target is bounded by the configuration.
type metrics struct {
	success, duration, series, bytes *prometheus.GaugeVec
	failures, dropped                *prometheus.CounterVec
}

type targetMetrics struct {
	success, duration, series, bytes prometheus.Gauge
	dropped                          prometheus.Counter
	failures                         map[reason]prometheus.Counter // read-only
}

func newMetrics(reg prometheus.Registerer) *metrics {
	const prefix = "portent_exporter_federate_"
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: prefix + name, Help: help}, []string{"target"})
	}
	m := &metrics{
		success:  gauge("last_success_timestamp_seconds", "Time of the last good reading of a target; 0 when there was none."),
		duration: gauge("last_duration_seconds", "Time that the last reading of a target took."),
		series:   gauge("series", "Series in the last good reading of a target that were taken."),
		bytes:    gauge("last_answer_bytes", "Size of the last good answer of a target, decompressed."),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "failures_total", Help: "Readings that failed, by reason.",
		}, []string{"target", "reason"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "samples_dropped_total", Help: "Samples left out because of the target's max_series.",
		}, []string{"target"}),
	}
	reg.MustRegister(m.success, m.duration, m.series, m.bytes, m.failures, m.dropped)
	return m
}

// of makes the metrics of one target, every reason at zero.
func (m *metrics) of(name string) *targetMetrics {
	t := &targetMetrics{
		success:  m.success.WithLabelValues(name),
		duration: m.duration.WithLabelValues(name),
		series:   m.series.WithLabelValues(name),
		bytes:    m.bytes.WithLabelValues(name),
		dropped:  m.dropped.WithLabelValues(name),
		failures: make(map[reason]prometheus.Counter),
	}
	for _, why := range promapi.Reasons() {
		t.failures[reason(why)] = m.failures.WithLabelValues(name, string(why))
	}
	t.failures[reasonParse] = m.failures.WithLabelValues(name, string(reasonParse))
	return t
}
