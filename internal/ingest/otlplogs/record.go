package otlplogs

import (
	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/ingest/linehttp"
)

// record is a LogRecord as far as it is used.
type record struct {
	time, observed uint64 // Unix nanoseconds
	number         int    // SeverityNumber
	severity       string
	trace          string
	body           string
	attributes     []ingest.Label
}

// add gives a record to the batch; one beyond the limit is rejected, not the request.
func (r *record) add(resource []ingest.Label, b *linehttp.Batch) error {
	if b.Full() {
		b.Reject()
		return nil
	}
	l := ingest.Line{Labels: b.Labels(resource, r.attributes), Severity: r.severity, TraceID: r.trace, Text: r.body}
	at := r.time
	if at == 0 {
		at = r.observed
	}
	l.T = int64(at / 1e6)
	if l.Severity == "" {
		l.Severity = severityOf(r.number)
	}
	return b.Add(l)
}

// severityOf names a SeverityNumber: four of each, from 1 on.
func severityOf(n int) string {
	names := [...]string{"trace", "debug", "info", "warn", "error", "fatal"}
	if n < 1 || n > 4*len(names) {
		return ""
	}
	return names[(n-1)/4]
}

// maxDepth bounds how deep a value may nest lists and maps.
const maxDepth = 32
