// Package otlplogs receives log records over OTLP/HTTP: POST /v1/logs, protobuf or
// JSON (https://opentelemetry.io/docs/specs/otlp/#otlphttp).
//
// It must not know what becomes of a record.
package otlplogs

import (
	"encoding/json"
	"net/http"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/portent-dev/portent/internal/ingest/linehttp"
)

const (
	mediaJSON     = "application/json"
	mediaProtobuf = "application/x-protobuf"
)

// New returns the handler of POST /v1/logs. It answers 200 with an
// ExportLogsServiceResponse in the content type of the request, in which a partial
// success tells how many records were beyond the limit of lines: the sender must not
// repeat them. Any other answer has a google.rpc.Status as its body; of those it
// gives, a sender repeats 503 alone. See linehttp.New for the rest.
func New(o linehttp.Options) (http.Handler, error) {
	return linehttp.New(linehttp.Protocol{
		Source:       "otlp",
		ContentTypes: []string{mediaProtobuf, mediaJSON},
		Encodings:    []string{"", "gzip", "zstd"},
		Decode: func(contentType string, body []byte, b *linehttp.Batch) error {
			if contentType == mediaJSON {
				return decodeJSON(body, b)
			}
			return decodeProtobuf(body, b)
		},
		Accept: accept,
		Refuse: refuse,
	}, o)
}

const partialMessage = "more log records than one request may have (max_lines); send fewer at a time"

// accept writes the ExportLogsServiceResponse.
func accept(w http.ResponseWriter, contentType string, b *linehttp.Batch) {
	w.Header().Set("Content-Type", contentType)
	var body []byte
	switch {
	case contentType == mediaJSON && b.Rejected == 0:
		body = []byte("{}")
	case contentType == mediaJSON:
		body, _ = json.Marshal(map[string]any{"partialSuccess": map[string]string{ // strings always marshal
			"rejectedLogRecords": strconv.Itoa(b.Rejected), "errorMessage": partialMessage,
		}})
	case b.Rejected > 0:
		var partial []byte
		partial = protowire.AppendTag(partial, 1, protowire.VarintType)
		partial = protowire.AppendVarint(partial, uint64(b.Rejected))
		partial = protowire.AppendTag(partial, 2, protowire.BytesType)
		partial = protowire.AppendString(partial, partialMessage)
		body = protowire.AppendTag(body, 1, protowire.BytesType)
		body = protowire.AppendBytes(body, partial)
	}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // the sender may be gone
}

// codes are those of google.rpc.Code that our statuses stand for.
var codes = map[int]int{
	http.StatusBadRequest: 3, http.StatusRequestEntityTooLarge: 3, http.StatusUnsupportedMediaType: 3,
	http.StatusMethodNotAllowed: 12, http.StatusServiceUnavailable: 14,
}

// refuse writes a google.rpc.Status.
func refuse(w http.ResponseWriter, contentType string, status int, err error, hint string) {
	text := err.Error()
	if hint != "" {
		text += " (" + hint + ")"
	}
	var body []byte
	if contentType == mediaProtobuf {
		body = protowire.AppendTag(body, 1, protowire.VarintType)
		body = protowire.AppendVarint(body, uint64(codes[status]))
		body = protowire.AppendTag(body, 2, protowire.BytesType)
		body = protowire.AppendString(body, text)
	} else {
		contentType = mediaJSON
		body, _ = json.Marshal(map[string]any{"code": codes[status], "message": text}) // always marshals
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
