package linehttp

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// refusal says why a request was not taken. It is a metric label; the set is closed.
type refusal string

const (
	refusedMethod       refusal = "method"
	refusedContent      refusal = "content_type"
	refusedBody         refusal = "body_too_large"
	refusedDecompressed refusal = "decompressed_too_large"
	refusedItems        refusal = "too_many_lines"
	refusedEncoding     refusal = "encoding"
	refusedMessage      refusal = "message"
	refusedUnread       refusal = "unread"
	refusedNoRoom       refusal = "no_room"
	refusedTarget       refusal = "target_busy"
)

var refusals = [...]refusal{
	refusedMethod, refusedContent, refusedBody, refusedDecompressed, refusedItems, refusedEncoding, refusedMessage, refusedUnread,
	refusedNoRoom, refusedTarget,
}

var statuses = [...]int{
	http.StatusOK, http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
	http.StatusServiceUnavailable,
}

type metrics struct {
	lines, linesRejected, linesCut, labels, received prometheus.Counter
	duration                                         prometheus.Histogram
	inFlight                                         prometheus.Gauge
	requests                                         map[int]prometheus.Counter
	refused                                          map[refusal]prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, source string) *metrics {
	const prefix = "portent_exporter_log_"
	labels := prometheus.Labels{"source": source}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + name, Help: help, ConstLabels: labels})
		reg.MustRegister(c)
		return c
	}
	m := &metrics{
		lines:         counter("lines_total", "Log lines and records taken, by the source they came from."),
		linesRejected: counter("lines_rejected_total", "Log records of requests that were taken, but not this part of them: over the limit of lines, or no record."),
		linesCut:      counter("lines_cut_total", "Log lines longer than max_line_bytes, of which only the start was looked at."),
		labels:        counter("labels_dropped_total", "Labels of log lines that were left out because of the limits of labels."),
		received:      counter("received_bytes_total", "Bytes of bodies with log lines read, as they were sent."),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: prefix + "request_duration_seconds", Help: "Time from the start of a request with log lines to its answer, reading of the body included.",
			ConstLabels: labels, Buckets: []float64{0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30},
		}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "in_flight_bytes", Help: "Bytes set aside for requests with log lines in work.", ConstLabels: labels,
		}),
		requests: map[int]prometheus.Counter{}, refused: map[refusal]prometheus.Counter{},
	}
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: prefix + "requests_total", Help: "Requests with log lines answered, by HTTP status; 200 stands for every success.", ConstLabels: labels,
	}, []string{"code"})
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: prefix + "requests_refused_total", Help: "Requests with log lines of which nothing was taken, by reason.", ConstLabels: labels,
	}, []string{"reason"})
	for _, s := range statuses {
		m.requests[s] = requests.WithLabelValues(strconv.Itoa(s))
	}
	for _, why := range refusals {
		m.refused[why] = refused.WithLabelValues(string(why))
	}
	reg.MustRegister(m.duration, m.inFlight, requests, refused)
	return m
}

func (m *metrics) count(b *Batch) {
	m.lines.Add(float64(len(b.Lines)))
	m.linesRejected.Add(float64(b.Rejected))
	m.linesCut.Add(float64(b.cut))
	m.labels.Add(float64(b.labelsDropped))
}

// WriteError answers {"error", "hint"}.
func WriteError(w http.ResponseWriter, status int, err error, hint string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The sender may be gone; there is nobody else to tell.
	_ = json.NewEncoder(w).Encode(struct {
		Error string `json:"error"`
		Hint  string `json:"hint,omitempty"`
	}{err.Error(), hint})
}
