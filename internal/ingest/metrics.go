package ingest

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Reason says why a sample was not taken. It is the label `reason` of
// portent_exporter_samples_rejected_total; the set is closed.
type Reason string

// The reasons.
const (
	ReasonLabels      Reason = "invalid_labels"    // no name, empty, twice, not UTF-8, a bad reference
	ReasonLabelLimit  Reason = "label_limit"       // too many labels, or one too long
	ReasonHistogram   Reason = "invalid_histogram" // a native histogram that contradicts itself
	ReasonMixed       Reason = "mixed_series"      // samples and histograms in one series
	ReasonOutOfOrder  Reason = "out_of_order"      // older than the newest of its series
	ReasonTooFarAhead Reason = "too_far_ahead"     // in the future
	ReasonSeriesLimit Reason = "series_limit"      // the engine has no room for the series
	ReasonSourceLimit Reason = "source_limit"      // beyond the cap of one query or scrape
	ReasonOwnOutput   Reason = "own_output"        // one of our own scores; see OwnOutput
)

var reasons = [...]Reason{
	ReasonLabels, ReasonLabelLimit, ReasonHistogram, ReasonMixed, ReasonOutOfOrder,
	ReasonTooFarAhead, ReasonSeriesLimit, ReasonSourceLimit, ReasonOwnOutput,
}

// Counters counts, for one source, what became of its samples. All sources share
// the metric names and differ in the label `source`. Safe for concurrent use.
type Counters struct {
	accepted, duplicate prometheus.Counter
	rejected            map[Reason]prometheus.Counter // read-only after NewCounters
}

// NewCounters registers the counters of a source with reg, every reason at zero.
// The name of a source comes from the code, never from data. It panics, as
// prometheus.MustRegister does, when the source is registered twice.
func NewCounters(reg prometheus.Registerer, source string) *Counters {
	labels := prometheus.Labels{"source": source}
	c := &Counters{
		accepted: prometheus.NewCounter(prometheus.CounterOpts{
			Name:        "portent_exporter_samples_total",
			Help:        "Samples taken, stale markers included, by the source they came from.",
			ConstLabels: labels,
		}),
		duplicate: prometheus.NewCounter(prometheus.CounterOpts{
			Name:        "portent_exporter_samples_duplicate_total",
			Help:        "Samples that came again with the same time and value, and were ignored.",
			ConstLabels: labels,
		}),
		rejected: make(map[Reason]prometheus.Counter, len(reasons)),
	}
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name:        "portent_exporter_samples_rejected_total",
		Help:        "Samples not taken, by the source they came from and the reason.",
		ConstLabels: labels,
	}, []string{"reason"})
	for _, r := range reasons {
		c.rejected[r] = vec.WithLabelValues(string(r))
	}
	reg.MustRegister(c.accepted, c.duplicate, vec)
	return c
}

// Add counts what a target said of a batch.
func (c *Counters) Add(r Result) {
	c.accepted.Add(float64(r.Accepted))
	c.duplicate.Add(float64(r.Duplicate))
	c.Reject(ReasonOutOfOrder, r.OutOfOrder)
	c.Reject(ReasonTooFarAhead, r.TooFarAhead)
	c.Reject(ReasonSeriesLimit, r.Dropped)
}

// Reject counts n samples that were kept from the target.
func (c *Counters) Reject(reason Reason, n int) {
	if n == 0 {
		return
	}
	counter, ok := c.rejected[reason]
	if !ok {
		panic(fmt.Sprintf("BUG: unknown reason %q", reason))
	}
	counter.Add(float64(n))
}
