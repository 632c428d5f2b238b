package promquery

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/portent-dev/portent/internal/promapi"
)

// metrics are those of all queries; the label query is bounded by the configuration.
type metrics struct {
	success, duration, series *prometheus.GaugeVec
	failures, warnings        *prometheus.CounterVec
	missed, dropped           *prometheus.CounterVec
}

type queryMetrics struct {
	success, duration, series prometheus.Gauge
	warnings, missed, dropped prometheus.Counter
	failures                  map[promapi.Reason]prometheus.Counter // read-only
}

func newMetrics(reg prometheus.Registerer) *metrics {
	const prefix = "portent_exporter_promql_"
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: prefix + name, Help: help}, []string{"query"})
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, append([]string{"query"}, labels...))
	}
	m := &metrics{
		success:  gauge("last_success_timestamp_seconds", "Evaluation time of the last good result of a query; 0 when there was none."),
		duration: gauge("last_duration_seconds", "Time that the last evaluation of a query took."),
		series:   gauge("series", "Series in the last good result of a query that were taken."),
		failures: counter("failures_total", "Evaluations that failed, by reason.", "reason"),
		warnings: counter("warnings_total", "Good evaluations that came with warnings."),
		missed:   counter("missed_evaluations_total", "Evaluation times left out because the evaluation before took too long."),
		dropped:  counter("samples_dropped_total", "Samples of results left out because of the query's max_series."),
	}
	reg.MustRegister(m.success, m.duration, m.series, m.failures, m.warnings, m.missed, m.dropped)
	return m
}

// of makes the metrics of one query, every reason at zero.
func (m *metrics) of(name string) *queryMetrics {
	q := &queryMetrics{
		success:  m.success.WithLabelValues(name),
		duration: m.duration.WithLabelValues(name),
		series:   m.series.WithLabelValues(name),
		warnings: m.warnings.WithLabelValues(name),
		missed:   m.missed.WithLabelValues(name),
		dropped:  m.dropped.WithLabelValues(name),
		failures: make(map[promapi.Reason]prometheus.Counter),
	}
	for _, reason := range promapi.Reasons() {
		q.failures[reason] = m.failures.WithLabelValues(name, string(reason))
	}
	return q
}
