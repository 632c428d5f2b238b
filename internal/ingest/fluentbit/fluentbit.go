// Package fluentbit receives log records from the http output of Fluent Bit and of
// Fluentd (https://docs.fluentbit.io/manual/pipeline/outputs/http): POST
// /ingest/fluentbit, in the formats json, json_lines, json_stream and msgpack, with
// time in any of json_date_format's forms.
//
// It must not know what becomes of a record.
package fluentbit

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/portent-dev/portent/internal/ingest"
	"github.com/portent-dev/portent/internal/ingest/linehttp"
)

// New returns the handler: 204 when all was taken. Fluent Bit drops a chunk on a 4xx
// other than 408 and 429, and repeats on 5xx; Fluentd repeats on 503 alone. See
// linehttp.New for what else it answers.
//
// The text of a line is the record's log, message, msg or MESSAGE; without one it is
// the record itself, as JSON. What the Kubernetes filter adds becomes the labels
// namespace, pod, container and node; other fields with a string are no labels, for
// they differ from line to line.
func New(o linehttp.Options) (http.Handler, error) {
	return linehttp.New(linehttp.Protocol{
		Source:       "fluentbit",
		ContentTypes: []string{"application/json", "application/x-ndjson", "application/msgpack", ""},
		Encodings:    []string{"", "gzip", "snappy", "zstd"},
		Decode: func(contentType string, body []byte, b *linehttp.Batch) error {
			if contentType == "application/msgpack" {
				return decodeMsgpack(body, b)
			}
			return decodeJSON(body, b)
		},
		Accept: func(w http.ResponseWriter, _ string, _ *linehttp.Batch) { w.WriteHeader(http.StatusNoContent) },
	}, o)
}

var (
	timeKeys     = []string{"date", "@timestamp", "timestamp", "time"}
	textKeys     = []string{"log", "message", "msg", "MESSAGE"}
	severityKeys = []string{"level", "severity", "levelname", "PRIORITY"}
	traceKeys    = []string{"trace_id", "traceId", "traceID"}
	// appKeys are the labels of a pod that say which application it is of.
	appKeys = []string{"app.kubernetes.io/name", "app", "k8s-app"}
)

// kubernetesLabels names what the Kubernetes filter adds.
var kubernetesLabels = [...]struct{ key, label string }{
	{"namespace_name", "namespace"}, {"pod_name", "pod"}, {"container_name", "container"}, {"host", "node"},
}

// add gives a record to the batch. at is its time when the format has it apart.
func add(b *linehttp.Batch, record map[string]any, at int64) error {
	l := ingest.Line{T: at, Severity: text(record, severityKeys), TraceID: text(record, traceKeys), Text: text(record, textKeys)}
	for _, k := range timeKeys {
		if l.T == 0 {
			l.T = millis(record[k])
		}
	}
	if l.Text == "" {
		whole, err := json.Marshal(record)
		if err != nil {
			return err
		}
		l.Text = string(whole)
	}
	l.Text = strings.TrimRight(l.Text, "\n")
	var labels []ingest.Label
	if k, ok := record["kubernetes"].(map[string]any); ok {
		for _, x := range kubernetesLabels {
			if v, ok := k[x.key].(string); ok {
				labels = append(labels, ingest.Label{Name: x.label, Value: v})
			}
		}
		if of, ok := k["labels"].(map[string]any); ok {
			if v := text(of, appKeys); v != "" {
				labels = append(labels, ingest.Label{Name: "app", Value: v})
			}
		}
	}
	l.Labels = b.Labels(nil, labels)
	return b.Add(l)
}

// text returns the first of the keys that holds a string.
func text(record map[string]any, keys []string) string {
	for _, k := range keys {
		if s, ok := record[k].(string); ok && s != "" {
			return s
		}
	}
	return ""
}

// dateForms are those of json_date_format that are text: iso8601 and
// java_sql_timestamp.
var dateForms = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999"}

// millis reads a time in any form; 0 if it is none. Numbers are seconds (epoch,
// double) or, beyond the year 5000, milliseconds (epoch_ms).
func millis(v any) int64 {
	const msFrom = 1e11
	var f float64
	switch x := v.(type) {
	case string:
		for _, form := range dateForms {
			if t, err := time.Parse(form, x); err == nil {
				return t.UnixMilli()
			}
		}
		return 0
	case json.Number:
		var err error
		if f, err = strconv.ParseFloat(string(x), 64); err != nil {
			return 0
		}
	case float64:
		f = x
	case int64:
		f = float64(x)
	}
	switch {
	case !(f > 0 && f < 1e15):
		return 0
	case f < msFrom:
		return int64(math.Round(f * 1000))
	}
	return int64(f)
}
