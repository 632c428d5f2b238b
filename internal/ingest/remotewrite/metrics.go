package remotewrite

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// refusal says why a request was refused as a whole, before it was known how many
// samples it holds. It is a metric label; the set is closed.
type refusal string

const (
	notRefused          refusal = "" // written, or written in part
	refusedMethod       refusal = "method"
	refusedContent      refusal = "content_type"       // or its encoding
	refusedBody         refusal = "body_bytes"         // over max_body_bytes
	refusedDecompressed refusal = "decompressed_bytes" // over max_decompressed_bytes
	refusedItems        refusal = "samples"            // over max_samples
	refusedSnappy       refusal = "snappy"             // damaged, or empty
	refusedMessage      refusal = "protobuf"           // damaged, or of another schema
	refusedNoRoom       refusal = "no_room"            // over max_in_flight_bytes for queue_timeout
	refusedUnread       refusal = "unread"             // the body stopped coming
)

var refusals = [...]refusal{
	refusedMethod, refusedContent, refusedBody, refusedDecompressed, refusedItems,
	refusedSnappy, refusedMessage, refusedNoRoom, refusedUnread,
}

type metrics struct {
	requests      map[protocol]map[int]prometheus.Counter // read-only after newMetrics
	refused       map[refusal]prometheus.Counter          // read-only after newMetrics
	duration      prometheus.Histogram
	receivedBytes prometheus.Counter
	inFlight      prometheus.Gauge
	histograms    prometheus.Counter
	exemplars     prometheus.Counter

	families        prometheus.Gauge
	familiesDropped prometheus.Counter
	native          prometheus.Gauge
	nativeDropped   prometheus.Counter
}

// statuses are all that the handler answers with.
var statuses = [...]int{
	http.StatusNoContent, http.StatusBadRequest, http.StatusMethodNotAllowed,
	http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusServiceUnavailable,
}

func newMetrics(reg prometheus.Registerer) *metrics {
	const prefix = "portent_exporter_remote_write_"
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: prefix + "requests_total",
		Help: "Remote-write requests answered, by version of the protocol and HTTP status.",
	}, []string{"protocol", "code"})
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: prefix + "requests_refused_total",
		Help: "Remote-write requests of which nothing was looked at or written, by reason.",
	}, []string{"reason"})
	m := &metrics{
		refused:  make(map[refusal]prometheus.Counter),
		requests: make(map[protocol]map[int]prometheus.Counter),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    prefix + "request_duration_seconds",
			Help:    "Time from the start of a remote-write request to its answer, reading of the body included.",
			Buckets: []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30},
		}),
		receivedBytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "received_bytes_total",
			Help: "Compressed bytes of remote-write bodies read.",
		}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "in_flight_bytes",
			Help: "Bytes set aside for remote-write requests in work, compressed and decompressed.",
		}),
		histograms: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "histograms_total",
			Help: "Native histograms written. Each becomes a sample of a _count and of a _sum series.",
		}),
		exemplars: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "exemplars_total",
			Help: "Exemplars that were valid. They are counted as written and not used.",
		}),
		families: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "metadata_families",
			Help: "Metric families whose type is known from the metadata of remote write 1.0.",
		}),
		familiesDropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "metadata_families_dropped_total",
			Help: "Times that the type of a new metric family was not remembered for want of room.",
		}),
		native: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "native_histogram_families",
			Help: "Metric names of which native histograms came, so that their end is known when it comes.",
		}),
		nativeDropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "native_histogram_families_dropped_total",
			Help: "Times that the name of a native histogram was not remembered for want of room.",
		}),
	}
	for _, p := range [...]protocol{protocolV1, protocolV2, protocolUnknown} {
		m.requests[p] = make(map[int]prometheus.Counter)
		for _, status := range statuses {
			m.requests[p][status] = requests.WithLabelValues(string(p), strconv.Itoa(status))
		}
	}
	for _, why := range refusals {
		m.refused[why] = refused.WithLabelValues(string(why))
	}
	reg.MustRegister(requests, refused, m.duration, m.receivedBytes, m.inFlight, m.histograms, m.exemplars, m.families, m.familiesDropped, m.native, m.nativeDropped)
	return m
}
