// Package lokipush receives log lines as Promtail, Alloy, Fluent Bit and others push
// them to Loki: POST /loki/api/v1/push
// (https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs), JSON
// or protobuf in snappy's block format.
//
// It must not know what becomes of a line.
package lokipush

import (
	"net/http"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/ingest/linehttp"
)

const (
	mediaJSON     = "application/json"
	mediaProtobuf = "application/x-protobuf"
)

// New returns the handler of POST /loki/api/v1/push: 204 when all was taken; see
// linehttp.New for what else it answers. Promtail and Alloy drop on 4xx and repeat
// on 5xx.
func New(o linehttp.Options) (http.Handler, error) {
	return linehttp.New(linehttp.Protocol{
		Source:       "loki_push",
		ContentTypes: []string{mediaJSON, mediaProtobuf, ""}, // Loki takes protobuf where none is given
		Encodings:    []string{"", "gzip", "deflate", "snappy"},
		Snappy:       func(contentType string) bool { return contentType != mediaJSON },
		Decode: func(contentType string, body []byte, b *linehttp.Batch) error {
			if contentType == mediaJSON {
				return decodeJSON(body, b)
			}
			return decodeProtobuf(body, b)
		},
		Accept: func(w http.ResponseWriter, _ string, _ *linehttp.Batch) { w.WriteHeader(http.StatusNoContent) },
	}, o)
}

// hints finds what labels say of severity and trace.
func hints(l *ingest.Line) {
	for _, x := range l.Labels {
		switch x.Name {
		case "detected_level":
			l.Severity = x.Value
		case "level", "severity", "severity_text":
			if l.Severity == "" {
				l.Severity = x.Value
			}
		case "trace_id", "traceID", "traceid":
			l.TraceID = x.Value
		}
	}
}
