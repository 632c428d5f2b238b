package ingest

import "strings"

// Kind says how the values of a series behave. The zero value, KindUnknown,
// means that the source did not say.
type Kind uint8

// The kinds. A counter only grows, but for resets; it is never modelled raw.
const (
	KindUnknown Kind = iota
	KindGauge
	KindCounter
)

// String returns the kind as configuration spells it.
func (k Kind) String() string {
	switch k {
	case KindGauge:
		return "gauge"
	case KindCounter:
		return "counter"
	default:
		return "unknown"
	}
}

// KindOf guesses the kind from a metric's name, by the suffixes that the
// Prometheus naming rules and the exposition formats give to counters
// (https://prometheus.io/docs/practices/naming/): `_total`, and `_count`, `_sum`,
// `_bucket` of histograms and summaries. All others are KindUnknown: a name never
// proves a gauge. Names of recording rules (with a colon) are not guessed, for
// `job:requests_total:rate5m` and its like are no counters; nor, for the same
// reason, does a suffix in the middle count.
func KindOf(name string) Kind {
	if strings.Contains(name, ":") {
		return KindUnknown
	}
	for _, suffix := range [...]string{"_total", "_count", "_sum", "_bucket"} {
		if len(name) > len(suffix) && strings.HasSuffix(name, suffix) {
			return KindCounter
		}
	}
	return KindUnknown
}
