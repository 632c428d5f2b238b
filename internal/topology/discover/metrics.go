package discover

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/portent-dev/portent/internal/topology"
)

type metrics struct {
	entities, links, dropped prometheus.Gauge
	truncated                prometheus.Counter
	rounds                   *prometheus.CounterVec
	last                     *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	const prefix = "portent_receiver_topology_"
	m := &metrics{
		entities:  f.NewGauge(prometheus.GaugeOpts{Name: prefix + "entities", Help: "Services, nodes, pods and volumes whose dependencies are known."}),
		links:     f.NewGauge(prometheus.GaugeOpts{Name: prefix + "dependencies", Help: "Dependencies that are known."}),
		dropped:   f.NewGauge(prometheus.GaugeOpts{Name: prefix + "dropped", Help: "Dependencies that the bounds left out of the present topology."}),
		truncated: f.NewCounter(prometheus.CounterOpts{Name: prefix + "truncated_total", Help: "Answers of Prometheus with more series than max_series; what exceeds it was left out."}),
		rounds:    f.NewCounterVec(prometheus.CounterOpts{Name: prefix + "reads_total", Help: "Times that a source was read from Prometheus, by outcome."}, []string{"source", "outcome"}),
		last:      f.NewGaugeVec(prometheus.GaugeOpts{Name: prefix + "last_success_timestamp_seconds", Help: "When a source was last read without an error, as Unix time."}, []string{"source"}),
	}
	for _, s := range Sources() {
		m.rounds.WithLabelValues(string(s), "ok")
		m.rounds.WithLabelValues(string(s), "failed")
	}
	return m
}

func (m *metrics) asked(s Source, err error, now time.Time) {
	if err != nil {
		m.rounds.WithLabelValues(string(s), "failed").Inc()
		return
	}
	m.rounds.WithLabelValues(string(s), "ok").Inc()
	m.last.WithLabelValues(string(s)).Set(float64(now.UnixMilli()) / 1000)
}

func (m *metrics) size(t *topology.Topology, dropped int) {
	m.entities.Set(float64(t.Len()))
	m.links.Set(float64(t.Links()))
	m.dropped.Set(float64(dropped))
}
