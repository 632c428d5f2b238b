package triage

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/portent-dev/portent/internal/incident"
)

type metrics struct {
	notifications, aside, failures, truncated prometheus.Counter
	seconds                                   prometheus.Histogram
	alerts, incidents, matches                *prometheus.CounterVec
	open, memory, clock                       prometheus.Gauge
	seen                                      stats // what was counted already
}

func newMetrics(reg prometheus.Registerer, p Policy) *metrics {
	f := promauto.With(reg)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: "portent_receiver_triage_" + name, Help: help})
	}
	vec := func(name, help, label string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: "portent_receiver_triage_" + name, Help: help}, []string{label})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return f.NewGauge(prometheus.GaugeOpts{Name: "portent_receiver_triage_" + name, Help: help})
	}
	m := &metrics{
		notifications: counter("notifications_total", "Notifications that were judged."),
		aside:         counter("notifications_aside_total", "Notifications that could not be judged and were set aside."),
		failures:      counter("failures_total", "Batches that failed and were tried again."),
		truncated:     counter("truncated_alerts_total", "Alerts that Alertmanager left out of notifications."),
		seconds: f.NewHistogram(prometheus.HistogramOpts{
			Name: "portent_receiver_triage_batch_seconds", Help: "Time to judge a batch of notifications and store what follows.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}),
		alerts:    vec("alerts_total", "Alerts in notifications, by what they meant.", "outcome"),
		incidents: vec("incidents_total", "Incidents that opened, resolved and opened again.", "event"),
		matches:   vec("rule_matches_total", "New alerts that a rule kept out of incidents.", "rule"),
		open:      gauge("open_incidents", "Incidents that are open."),
		memory:    gauge("memory_alerts", "Alerts that are held in memory."),
		clock:     gauge("clock_seconds", "The time that correlation has reached, as Unix time."),
	}
	for _, o := range []string{outcomeNew, outcomeRepeated, outcomeResolved, outcomeRefired, outcomeLate, outcomeSuppressed, outcomeExpired} {
		m.alerts.WithLabelValues(o)
	}
	for _, e := range []string{incident.EventOpened, incident.EventResolved, incident.EventReopened} {
		m.incidents.WithLabelValues(e)
	}
	m.rules(p)
	return m
}

// rules makes the rules visible that never matched: such a rule is often wrong.
func (m *metrics) rules(p Policy) {
	for _, r := range p.Suppress {
		m.matches.WithLabelValues(r.Name)
	}
	for _, w := range p.Maintenance {
		m.matches.WithLabelValues(w.Name)
	}
}

// update counts what was committed since the last call.
func (m *metrics) update(t *Triage) {
	for _, v := range []struct {
		vec      *prometheus.CounterVec
		now, old map[string]int
	}{
		{m.alerts, t.stats.Outcomes, m.seen.counted(&m.seen.Outcomes)},
		{m.incidents, t.stats.Incidents, m.seen.counted(&m.seen.Incidents)},
		{m.matches, t.stats.Rules, m.seen.counted(&m.seen.Rules)},
	} {
		for k, n := range v.now {
			v.vec.WithLabelValues(k).Add(float64(n - v.old[k]))
			v.old[k] = n
		}
	}
	m.truncated.Add(float64(t.stats.Truncated - m.seen.Truncated))
	m.seen.Truncated = t.stats.Truncated
	m.open.Set(float64(t.stats.Open))
	m.memory.Set(float64(t.stats.Alerts))
	if !t.now.IsZero() {
		m.clock.Set(float64(t.now.UnixMilli()) / 1000)
	}
}

func (*stats) counted(m *map[string]int) map[string]int {
	if *m == nil {
		*m = map[string]int{}
	}
	return *m
}
