package app

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portent-dev/portent/internal/detect"
)

const prefix = "portent_exporter_"

// exportMetrics speak of what /metrics publishes.
type exportMetrics struct {
	exported, leftOut prometheus.Gauge
	dropped           atomic.Uint64 // published by engineCollector
}

func newExportMetrics(reg prometheus.Registerer) *exportMetrics {
	m := &exportMetrics{
		exported: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "exported_series",
			Help: "Series whose score this answer of /metrics publishes.",
		}),
		leftOut: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "export_left_out_series",
			Help: "Series that have a score but are left out of this answer of /metrics, because export.max_series is reached.",
		}),
	}
	reg.MustRegister(m.exported, m.leftOut)
	return m
}

func (m *exportMetrics) scraped(exported, leftOut int) {
	m.exported.Set(float64(exported))
	m.leftOut.Set(float64(leftOut))
	m.dropped.Add(uint64(leftOut))
}

// engineCollector reads the engine's own counts at each scrape. Looking at a million series takes some milliseconds.
type engineCollector struct {
	stats  func() detect.Stats
	export *exportMetrics
}

var engineGauges = []struct {
	desc  *prometheus.Desc
	value func(*detect.Stats) float64
}{
	{desc("series", "Series that have a model, those without a current score included."), func(s *detect.Stats) float64 { return float64(s.Series) }},
	{desc("series_ready", "Series that have a baseline and a current score."), func(s *detect.Stats) float64 { return float64(s.Ready) }},
	{desc("series_anomalous", "Series whose current score is above 1, before feedback, maintenance and rollouts."), func(s *detect.Stats) float64 { return float64(s.Anomalous) }},
	{desc("series_memory_bytes", "Memory that all series take: models, labels and index."), func(s *detect.Stats) float64 { return float64(s.Bytes) }},
}

var engineCounters = []struct {
	desc   *prometheus.Desc
	value  func(*detect.Stats) uint64
	labels []string
}{
	{desc("series_added_total", "Series that were seen for the first time."), func(s *detect.Stats) uint64 { return s.SeriesAdded }, nil},
	{desc("series_ended_total", "Series that ended by a stale marker (stale), or were forgotten after detection.expire_after (expired).", "reason"), func(s *detect.Stats) uint64 { return s.SeriesStale }, []string{"stale"}},
	{desc("series_ended_total", "Series that ended by a stale marker (stale), or were forgotten after detection.expire_after (expired).", "reason"), func(s *detect.Stats) uint64 { return s.SeriesExpired }, []string{"expired"}},
	{desc("samples_not_finite_total", "Samples that were NaN or infinite: taken, but without a score."), func(s *detect.Stats) uint64 { return s.NotFinite }, nil},
	{desc("input_resets_total", "Times that a counter of the input fell, as after a restart of what counts."), func(s *detect.Stats) uint64 { return s.CounterResets }, nil},
}

var droppedDesc = desc("series_dropped_total",
	"Times that a series was left out: refused as a new one (series_limit) or kept out of an answer of /metrics (export_limit).", "reason")

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prefix+name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (c engineCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c engineCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.stats()
	for _, g := range engineGauges {
		ch <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, g.value(&s))
	}
	for _, k := range engineCounters {
		ch <- prometheus.MustNewConstMetric(k.desc, prometheus.CounterValue, float64(k.value(&s)), k.labels...)
	}
	ch <- prometheus.MustNewConstMetric(droppedDesc, prometheus.CounterValue, float64(s.SeriesRefused), "series_limit")
	ch <- prometheus.MustNewConstMetric(droppedDesc, prometheus.CounterValue, float64(c.export.dropped.Load()), "export_limit")
}

// stateMetrics speak of the snapshots.
type stateMetrics struct {
	saved, duration, size, restored, restoredMembers prometheus.Gauge
	errors, refused, refusedGroups                   *prometheus.CounterVec
}

func newStateMetrics(reg prometheus.Registerer) *stateMetrics {
	m := &stateMetrics{
		saved: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "snapshot_last_success_timestamp_seconds",
			Help: "Unix time at which the models were last written to disk whole; 0 if not since the start.",
		}),
		duration: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "snapshot_duration_seconds",
			Help: "Time that the last snapshot took.",
		}),
		size: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "snapshot_size_bytes",
			Help: "Size of the last snapshot that was written or read.",
		}),
		restored: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "snapshot_restored_series",
			Help: "Series that were taken over from the snapshot at the start; 0 after a fresh start.",
		}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "snapshot_errors_total",
			Help: "Snapshots that could not be written (write) or set aside (set_aside), for example as the disk is full.",
		}, []string{"operation"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "snapshot_refused_total",
			Help: "Snapshots that were not taken over at the start, since they were damaged (corrupt), written by another version (version) or not readable (unreadable). They are kept as .bad.",
		}, []string{"reason"}),
		restoredMembers: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "groups_restored_members",
			Help: "Members of groups that were taken over from disk at the start; one that is in two groups counts twice.",
		}),
		refusedGroups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "groups_refused_total",
			Help: "Times that what groups had learnt was not taken over at the start, since it was damaged (corrupt), written by another version (version), of more than a week ago (old) or not readable (unreadable). It is kept as .bad, and groups learn anew.",
		}, []string{"reason"}),
	}
	for _, r := range []string{"corrupt", "version", "old", "unreadable"} {
		m.refusedGroups.WithLabelValues(r)
	}
	for _, op := range []string{"write", "set_aside"} {
		m.errors.WithLabelValues(op)
	}
	for _, r := range []string{"corrupt", "version", "unreadable"} {
		m.refused.WithLabelValues(r)
	}
	reg.MustRegister(m.saved, m.duration, m.size, m.restored, m.errors, m.refused, m.restoredMembers, m.refusedGroups)
	return m
}
